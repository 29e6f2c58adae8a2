"""The training loop: a generator that yields a record for each step.

All random numbers are keyed (``utils.random``): the order of the batches by (seed, epoch), the draws of a loss by
(seed, step, image). So a training that is resumed from a checkpoint takes the same steps as one that was not
interrupted, and nothing that happens between two steps can change them.
"""

import copy
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from textvae.data.captioned_images import CaptionedImages
from textvae.data.parts import ConditionsInParts
from textvae.data.remote import ImagesInParts
from textvae.models.base import Trainable
from textvae.models.losses import LossTerms, all_finite
from textvae.training.config import TrainerConfig
from textvae.training.distributed import SharedStep
from textvae.training.diverged import TrainingDiverged, largest
from textvae.training.optimizers import optimizer_of
from textvae.training.rows import CaptionedLatents, LatentsInParts, LoadedRows, Rows, RowsInParts
from textvae.utils.device import Execution, to_device
from textvae.utils.errors import UserError
from textvae.utils.processes import Processes
from textvae.utils.random import Draws

LOOK_EVERY, KEEP_EVERY = 50, 500
"""On a GPU: steps between two checks of the loss, and between two copies of the state. If the loss is not finite, a
training goes back to the last copy to find the step."""


@dataclass(frozen=True)
class Step:
    """What happened in one step."""

    number: int
    """Steps taken so far, this one included."""
    epoch: int
    """The pass over the data it belongs to, from 1."""
    ends_epoch: bool
    images: int
    """Images in the batch, of all processes."""
    loss: LossTerms
    """Of the whole batch. Still on the device: reading it waits for the device."""
    stop: bool
    """Whether training should stop after this step, because a process asked for it."""


class Training:
    """The state of a training (weights, moving average, optimizer, step) and its data, on the device if they fit."""

    def __init__(
        self,
        model: Trainable,
        data: CaptionedImages | CaptionedLatents | ImagesInParts | LatentsInParts,
        conditions: Float[Tensor, "captions *condition"] | Int64[Tensor, "captions *condition"] | ConditionsInParts,
        config: TrainerConfig,
        execution: Execution,
        condition_range: Int64[Tensor, "n 2"] | None = None,
        processes: Processes | None = None,
    ) -> None:
        """Prepares a training.

        Args:
            model: the model to train, with its initial weights.
            data: training images, those to hold out for validation at their end.
            conditions: all conditions of the data set; for a set in parts, a function that returns those of some rows.
            config: settings of the training.
            execution: device and precision.
            condition_range: first and one-past-last condition of each image; by default, that of its captions.
            processes: the processes that share each step, all with the same model and data; by default, this one alone.

        Raises:
            UserError: nothing is left to train on.
        """
        device = execution.device
        held_out = config.validation_images
        check_held_out(config, len(data))
        self.config, self.execution = config, execution
        to_device(model, device)
        self.model = model
        self.averaged = copy.deepcopy(self.model).requires_grad_(False) if config.ema_decay else self.model
        self.rows: Rows
        """Where the batches come from."""
        if isinstance(data, ImagesInParts | LatentsInParts):
            assert not isinstance(conditions, Tensor)
            self.rows = RowsInParts(data, conditions, execution)
        else:
            assert isinstance(conditions, Tensor)
            self.rows = LoadedRows(data, conditions, condition_range, execution)
        self.num_training = len(data) - held_out
        muon_dtype = torch.bfloat16 if execution.precision == "bf16" else torch.float32
        self.optimizer = optimizer_of(
            config.optimizer, self.model, config.learning_rate, config.weight_decay, muon_dtype
        )
        self._rates = [group["lr"] for group in self.optimizer.param_groups]
        self.step = 0
        # On a GPU, looking at the loss waits for the queue, so it is looked at only now and then. On a CPU it is free.
        self.look_every = 1 if device.type == "cpu" else LOOK_EVERY
        """Steps between two checks of the loss."""
        self._last_loss: LossTerms | None = None
        self._finite = torch.ones((), dtype=torch.bool, device=device)
        """Whether the losses of all steps since the last check were finite; on the device."""
        self._kept: dict[str, Any] | None = None
        """A copy of the state at some step before the last check; None if the loss is checked after every step."""
        self._processes = processes or Processes()
        self._shared = SharedStep(self.model, self._processes) if self._processes.size > 1 else None

    @property
    def steps_per_epoch(self) -> int:
        """Batches in a pass; the last may be smaller."""
        return -(-self.num_training // self.config.batch_size)

    @property
    def total_steps(self) -> int:
        """Steps in the whole training."""
        return self.config.epochs * self.steps_per_epoch

    @property
    def images_seen(self) -> int:
        """Images trained on so far, over all passes."""
        epochs, position = divmod(self.step, self.steps_per_epoch)
        return epochs * self.num_training + position * self.config.batch_size

    def steps(self, stop: Callable[[], bool] = lambda: False) -> Iterator[Step]:
        """Trains from the present step to the last one, yielding after each.

        Args:
            stop: called in each step; returns whether this process wants to stop. All processes stop at the same step.

        Raises:
            TrainingDiverged: a loss term is not finite. Weights, their average and the optimizer's moments are those
                before that step.
        """
        while self.step < self.total_steps:
            epoch, position = divmod(self.step, self.steps_per_epoch)
            order, size = self.rows.order(self.config.seed, self.num_training, epoch), self.config.batch_size
            for start in range(position * size, self.num_training, size):
                if self.look_every > 1 and (self._kept is None or self.step % KEEP_EVERY == 0):
                    self._kept = copy.deepcopy(self.state_dict())
                batch = order.part(start, start + size)
                loss, wishes = self._train_on(batch, order.part(start + size, start + 2 * size), stop)
                self._finite &= all_finite(loss)
                looks = (self.step + 1) % self.look_every == 0 or self.step + 1 == self.total_steps
                if looks and not bool(self._finite):
                    self._diverged(loss)
                self._update()
                self.step += 1
                self._last_loss = loss
                ends_epoch = self.step % self.steps_per_epoch == 0
                if ends_epoch and self._shared is not None:
                    self._shared.check_weights()
                stopping = stop() if wishes is None else looks and bool(wishes)
                yield Step(self.step, epoch + 1, ends_epoch, len(batch), loss, stopping)

    def _diverged(self, loss: LossTerms) -> NoReturn:
        """Goes back to the first step whose loss was not finite, by taking those since the last copy again.

        Raises:
            TrainingDiverged: always.
        """
        last = self.step + 1
        if self._kept is not None:
            self.load_state_dict(self._kept)
            self.look_every = 1
            for step in self.steps():
                if step.number == last:  # a GPU may round otherwise the second time
                    break
        raise TrainingDiverged(last, loss, self.config)

    def _train_on(
        self, batch: Int64[Tensor, "b"], following: Int64[Tensor, "b2"], stop: Callable[[], bool]
    ) -> tuple[LossTerms, Float[Tensor, ""] | None]:
        """Computes loss and gradients of a batch; where processes share it, also how many of them wish to stop.

        Images of the following batch are read meanwhile.
        """
        if self._shared is not None:
            following, batch = self._shared.part(following), self._shared.start(batch)
        draws = Draws(self.config.seed, self.step, batch, "training", self.execution.device)
        self.model.train()
        images, condition = self.rows.gather(batch, draws.uniform())
        self.rows.begin(following)
        if self.config.flip and self.rows.in_pixels:
            mirrored = draws.uniform() < 0.5
            images = torch.where(mirrored[:, None, None, None], images.flip(3), images)
        with self.execution.autocast():
            loss: LossTerms = self.model.loss(images, condition, draws)
        if self._shared is not None:
            return self._shared.backward(loss, len(batch), stop())
        self.optimizer.zero_grad(set_to_none=True)
        loss.total.backward()  # type: ignore[no-untyped-call]
        return loss, None

    def _update(self) -> None:
        if self.config.schedule == "cosine":
            progress = torch.tensor(self.step / self.total_steps)
            for group, rate in zip(self.optimizer.param_groups, self._rates, strict=True):
                group["lr"] = rate * float(0.5 * (1 + torch.cos(torch.pi * progress)))
        self.optimizer.step()
        if self.averaged is not self.model:
            # With the full decay from the start, the average of a short training would still contain initial weights.
            average(self.averaged, self.model, min(self.config.ema_decay, (1 + self.step) / (10 + self.step)))

    def examples(self, count: int) -> tuple[Tensor, Tensor]:
        """The first images, as stored, and the first condition of each, at most ``count``."""
        return self.rows.first(min(count, self.num_training))

    @torch.no_grad()
    def validate(self, batch_size: int = 512) -> dict[str, float]:
        """Mean loss terms over the held-out images, with the averaged weights if there are any and fixed draws."""
        held_out = torch.arange(self.num_training, len(self.rows))
        self.averaged.eval()
        sums: dict[str, float] = {}
        # Whole batches are dealt out, as there are losses that relate the images of a batch to one another.
        for batch in torch.split(held_out, batch_size)[self._processes.rank :: self._processes.size]:
            draws = Draws(self.config.seed, 0, batch, "validation", self.execution.device)
            images, condition = self.rows.gather(batch, draws.uniform())
            with self.execution.autocast():
                loss: LossTerms = self.averaged.loss(images, condition, draws)
            for name, value in {"loss": loss.total, **loss.terms}.items():
                sums[name] = sums.get(name, 0.0) + float(value) * len(batch)
        shares = self._processes.gather(sums)
        names = dict.fromkeys(name for share in shares for name in share)
        return {name: sum(share.get(name, 0.0) for share in shares) / len(held_out) for name in names}

    def state_dict(self) -> dict[str, Any]:
        """Everything that is needed to resume, as tensors and numbers only.

        Raises:
            TrainingDiverged: the loss or the weights are not finite.
        """
        self.check_finite()
        state = {
            "step": self.step,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }
        if self.averaged is not self.model:
            state["averaged"] = self.averaged.state_dict()
        return state

    def check_finite(self) -> None:
        """Checks the state after the last step, since the gradient of a finite loss may not be finite.

        Raises:
            TrainingDiverged: the loss, the weights, their average or the optimizer's moments are not finite.
        """
        if self._last_loss is None:
            return
        ruined = {
            "moments": largest(self.optimizer.state_dict()),
            "averaged weights": largest(self.averaged.state_dict()),
            "weights": largest(self.model.state_dict()),
        }
        loss = LossTerms(self._last_loss.total, {**self._last_loss.terms, **ruined})
        if not bool(all_finite(loss)):
            raise TrainingDiverged(self.step, loss, self.config)

    def check_validated(self, terms: Mapping[str, float]) -> None:
        """Checks the loss of the validation images.

        Raises:
            TrainingDiverged: it is not finite.
        """
        if not all(map(math.isfinite, terms.values())):
            named = {f"validation {name}": torch.tensor(value) for name, value in terms.items()}
            raise TrainingDiverged(self.step, LossTerms(torch.tensor(terms["loss"]), named), self.config)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restores a state of ``state_dict``."""
        self.step = int(state["step"])
        self._kept, self._finite, self._last_loss = None, torch.ones_like(self._finite), None
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.averaged is not self.model:
            self.averaged.load_state_dict(state["averaged"])


def check_held_out(config: TrainerConfig, count: int) -> None:
    """Checks that the validation images leave something of ``count`` images to train on.

    Raises:
        UserError: they do not.
    """
    if config.validation_images >= count:
        raise UserError(
            f"{config.validation_images} validation images leave nothing of {count} to train on", "hold out fewer"
        )


@torch.no_grad()
def average(averaged: nn.Module, model: nn.Module, decay: float) -> None:
    """Updates the moving average of the parameters, and copies the buffers (running statistics)."""
    torch._foreach_lerp_(list(averaged.parameters()), list(model.parameters()), 1 - decay)
    for kept, current in zip(averaged.buffers(), model.buffers(), strict=True):
        kept.copy_(current)
