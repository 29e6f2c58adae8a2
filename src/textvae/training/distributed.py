"""A training step that several processes share: each computes a part of the batch, and their gradients are added.

``torch.nn.parallel.DistributedDataParallel`` is not used. It lays out its buckets of gradients anew after the first
backward pass, and from three processes on the sums of gloo depend on the place of a number in its bucket, so a training
that is resumed would have other bits than one that was not interrupted. Here all gradients lie in one buffer, in the
order of the parameters, and are added in one all-reduce.
"""

import hashlib
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.modules.batchnorm import _BatchNorm

from textvae.models.base import Trainable
from textvae.models.layers import WholeBatch
from textvae.models.losses import LossTerms
from textvae.utils.errors import UserError
from textvae.utils.processes import Processes


class SharedStep:
    """Splits the batches of a model's training over processes."""

    def __init__(self, model: Trainable, processes: Processes) -> None:
        """Prepares a model, which must be on its device, in the memory layout in which it is trained.

        Modules in it that relate the images of a batch to one another are replaced by those of the whole batch.
        """
        self.processes = processes
        self.images = 0
        """The number of images of the present batch."""
        relate_over_processes(model, self)
        self._parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
        self._numbers = sum(parameter.numel() for parameter in self._parameters)
        self._buffer = torch.zeros(0)

    @property
    def split(self) -> bool:
        """Whether the present batch is split over the processes; otherwise each computes all of it."""
        return self.images >= self.processes.size

    def part_of(self, images: int) -> slice:
        """The places of this process's part in a batch of so many images; all, where they are fewer than processes."""
        if images < self.processes.size:
            return slice(None)
        first, last = (
            images * number // self.processes.size for number in (self.processes.rank, self.processes.rank + 1)
        )
        return slice(first, last)

    def part(self, batch: Int64[Tensor, "b"]) -> Int64[Tensor, "part"]:
        """The images of a batch that are this process's."""
        return batch[self.part_of(len(batch))]

    def start(self, batch: Int64[Tensor, "b"]) -> Int64[Tensor, "part"]:
        """Begins the step of a batch; returns the images of this process."""
        self.images = len(batch)
        return self.part(batch)

    def backward(self, loss: LossTerms, images: int, wish: bool) -> tuple[LossTerms, Float[Tensor, ""]]:
        """Computes the gradients of the loss of the whole batch, from the losses of the parts.

        Args:
            loss: of this process's images, a mean over them.
            images: their number.
            wish: a yes or no of this process, on which all have to agree, such as to stop.

        Returns:
            The loss of the whole batch, and the number of processes with a wish, on the device.
        """
        share = images / self.images if self.split else 1 / self.processes.size
        self._clear(loss.total.device, len(loss.terms))
        (share * loss.total).backward()  # type: ignore[no-untyped-call]
        rest = self._buffer[self._numbers :]
        terms = [loss.total.detach(), *loss.terms.values()]
        rest.copy_(torch.stack([*(share * term.float() for term in terms), rest.new_tensor(float(wish))]))
        self.processes.add(self._buffer)
        total, *summed, wishes = rest.clone().unbind()
        return LossTerms(total, dict(zip(loss.terms, summed, strict=True))), wishes

    def check_weights(self) -> None:
        """Checks that all processes have the same weights.

        Raises:
            UserError: they differ, as where the processors round differently.
        """
        digest = hashlib.sha256()
        for parameter in self._parameters:
            digest.update(parameter.detach().cpu().contiguous().numpy().tobytes())
        digests = self.processes.gather(digest.hexdigest())
        for rank, found in enumerate(digests):
            if found != digests[0]:
                raise UserError(
                    f"process {rank} has other weights than the first process after the same steps",
                    "use processors of one kind, with the same version of torch and the same number of threads",
                )

    def _clear(self, device: torch.device, terms: int) -> None:
        """Sets all gradients to zero; they are views of the buffer, to which the backward pass adds."""
        if self._buffer.numel():
            self._buffer.zero_()
            return
        self._buffer = torch.zeros(self._numbers + terms + 2, device=device)
        start = 0
        for parameter in self._parameters:
            # With the strides of the parameter: fused optimizers need them.
            parameter.grad = self._buffer.as_strided(parameter.shape, parameter.stride(), start)
            start += parameter.numel()


def relate_over_processes(model: nn.Module, step: SharedStep) -> None:
    """Replaces each module that relates the images of a batch to one another; parameters, buffers and their names stay
    the same.
    """
    for name, module in list(model.named_children()):
        if isinstance(module, _BatchNorm):
            setattr(model, name, GlobalBatchNorm(module, step))
        elif isinstance(module, WholeBatch):
            setattr(model, name, GatheredBatch(step))
        else:
            relate_over_processes(module, step)


class GatheredBatch(WholeBatch):
    """Gathers the rows of all processes. Each computes the same loss from them, and the gradient of its own rows."""

    def __init__(self, step: SharedStep) -> None:
        super().__init__()
        self._step = step

    def forward(self, rows: Tensor) -> Tensor:
        """The rows of the whole batch in training, in their order."""
        if not (self.training and self._step.split):
            return rows
        gathered: Tensor = _Gather.apply(rows, self._step)  # type: ignore[no-untyped-call]
        return gathered


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor, step: SharedStep) -> Tensor:
        ctx.part, ctx.processes = step.part_of(step.images), step.processes
        whole = rows.new_zeros(step.images, *rows.shape[1:])
        whole[ctx.part] = rows
        step.processes.add(whole)
        return whole

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        # Every process weighs the loss by its share of the batch, and the shares add up to one.
        whole = gradient.contiguous().clone()
        ctx.processes.add(whole)
        return whole[ctx.part], None


class GlobalBatchNorm(nn.Module):
    """Batch normalisation by the mean and variance of the whole batch, of which each process has a part.

    ``torch.nn.SyncBatchNorm`` computes on GPUs only.
    """

    def __init__(self, norm: _BatchNorm, step: SharedStep) -> None:
        super().__init__()
        self.weight, self.bias = norm.weight, norm.bias
        for name, buffer in norm.named_buffers(recurse=False):
            self.register_buffer(name, buffer)
        # In a tuple, so that it is no submodule, whose parameters would be counted twice.
        self._own, self._step = (norm,), step

    def forward(self, features: Float[Tensor, "n channels *positions"]) -> Float[Tensor, "n channels *positions"]:
        """Features normalised over the whole batch in training; the running statistics are updated by it."""
        norm = self._own[0]
        norm.train(self.training)
        if not (self.training and self._step.split):
            result: Tensor = norm(features)
            return result
        normalised: Tensor
        normalised, mean, variance, count = _normalise(features, norm.weight, norm.bias, norm.eps, self._step.processes)
        with torch.no_grad():
            rate = norm.momentum
            assert norm.num_batches_tracked is not None
            assert norm.running_mean is not None
            assert norm.running_var is not None
            assert rate is not None
            norm.num_batches_tracked.add_(1)
            norm.running_mean.lerp_(mean, rate)
            norm.running_var.lerp_(variance * (count / (count - 1)), rate)
        return normalised


def _normalise(
    features: Tensor, weight: Tensor, bias: Tensor, eps: float, processes: Processes
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The normalised features, and mean, variance and number of values of a channel over all processes."""
    result: tuple[Tensor, Tensor, Tensor, Tensor] = _Normalise.apply(features, weight, bias, eps, processes)  # type: ignore[no-untyped-call]
    return result


class _Normalise(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, features: Tensor, weight: Tensor, bias: Tensor, eps: float, processes: Processes
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        x = features.float()
        over = [0, *range(2, x.dim())]
        shape = [1, -1] + [1] * (x.dim() - 2)
        # The mean first: a variance from sums of squares loses its digits where the mean is large.
        sums = torch.cat([x.sum(over), x.new_tensor([float(x.numel() // x.shape[1])])])
        processes.add(sums)
        count = sums[-1]
        mean = sums[:-1] / count
        centred = x - mean.view(shape)
        squares = centred.square().sum(over)
        processes.add(squares)
        variance = squares / count
        inverse = (variance + eps).rsqrt()
        normalised = centred * inverse.view(shape)
        ctx.save_for_backward(normalised, inverse, weight, count)
        ctx.processes, ctx.over, ctx.shape, ctx.dtype = processes, over, shape, features.dtype
        ctx.mark_non_differentiable(mean, variance, count)
        scaled = torch.addcmul(bias.view(shape), normalised, weight.view(shape)).to(features.dtype)
        return scaled, mean, variance, count

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor, *_: Any) -> tuple[Tensor, Tensor, Tensor, None, None]:
        normalised, inverse, weight, count = ctx.saved_tensors
        gradient = gradient.float()
        of_bias = gradient.sum(ctx.over)
        of_weight = (gradient * normalised).sum(ctx.over)
        # The gradients of weight and bias are added up with all others, those of the statistics are needed now.
        both = torch.stack([of_bias, of_weight])
        ctx.processes.add(both)
        mean_bias, mean_weight = (both / count).view(2, *ctx.shape).unbind()
        inner = gradient - mean_bias - normalised * mean_weight
        return (inner * (weight * inverse).view(ctx.shape)).to(ctx.dtype), of_weight, of_bias, None, None
