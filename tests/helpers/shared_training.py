"""Trains a small model of every family, by several processes that share each step; run as a program, by one as well.

It writes {families: {size: numbers}}: loss terms and gradients of each step, validation losses, buffers at the end.
All of it is computed in double precision, so that a difference cannot be taken for rounding.
"""

import sys
from pathlib import Path
from typing import Any

import torch

from helpers.families import FAMILIES
from helpers.together import forked
from textvae.data.captioned_images import CaptionedImages
from textvae.models import clip_dual, spatial_vae
from textvae.models.label_conv import LabelConv
from textvae.training.config import TrainerConfig
from textvae.training.loop import Training
from textvae.training.optimizers import OptimizerName
from textvae.training.rows import CaptionedLatents
from textvae.utils.device import Execution
from textvae.utils.processes import Processes, processes
from textvae.utils.random import Draws

COUNT, BATCH = 23, 7
"""Three images are held out: a pass has two batches of seven, and one of six, or fewer than there are processes."""


def trained(name: str, group: Processes) -> dict[str, torch.Tensor]:
    build, shape, conditions = FAMILIES[name]
    optimizer: OptimizerName = "adam"
    if name == "label_conv":
        build, optimizer = LabelConv.Config(channels=(4, 32, 32), latent_dim=4, embedding_dim=8).build, "muon"
    torch.manual_seed(0)
    count = COUNT - (4 if name in ("clip_dual", "classifier") else 0)  # batch normalisation of a batch of two
    images = torch.rand(count, *shape)
    conditions = conditions.double() if conditions.is_floating_point() else conditions
    start = torch.arange(count) % len(conditions)
    ranges = torch.stack([start, start + 1], dim=1)
    data: CaptionedImages | CaptionedLatents = CaptionedLatents(images, ranges)
    if shape[0] in (1, 3):
        captions = tuple(str(i) for i in range(len(conditions)))
        data = CaptionedImages("some", "train", (255 * images).byte(), captions, ranges)
    config = TrainerConfig(
        epochs=1,
        batch_size=BATCH,
        optimizer=optimizer,
        learning_rate=1e-4,
        flip=True,
        validation_images=3,
        ema_decay=0.9,
    )
    execution = Execution(torch.device("cpu"), "fp32", 1, ())
    training = Training(build(), data, conditions, config, execution, processes=group)
    found = {}
    for step in training.steps():
        for term, value in {"total": step.loss.total.detach(), **step.loss.terms}.items():
            found[f"loss {step.number} {term}"] = value
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in training.model.parameters()]
        found[f"gradient {step.number}"] = torch.cat([gradient.flatten() for gradient in gradients])
    found |= {f"validation {term}": torch.tensor(value) for term, value in training.validate().items()}
    return found | {f"buffer {name}": buffer.clone() for name, buffer in training.averaged.named_buffers()}


def in_double_precision() -> None:
    """What this process computes in float32, it computes in float64 from now on, from the same random numbers."""
    torch.set_default_dtype(torch.float64)
    torch.Tensor.float = torch.Tensor.double  # type: ignore[method-assign]
    plain = Draws._next

    def draws(self: Draws, *arguments: Any) -> torch.Tensor:
        return plain(self, *arguments).double()

    Draws._next = draws  # type: ignore[method-assign]


def with_a_small_clip_dual() -> None:
    """Gives paper c's model, whose widths are fixed, a few channels."""
    clip_dual._DENSE, clip_dual._GRID = (32, 32, 16), (16, 8, 8)  # type: ignore[assignment]
    clip_dual._ENCODER = tuple((filters // 16, kernel) for filters, kernel in clip_dual._ENCODER)  # type: ignore[assignment]
    clip_dual._DECODER = tuple((filters // 16, kernel) for filters, kernel in clip_dual._DECODER)  # type: ignore[assignment]


def main(file: Path, size: int) -> None:
    in_double_precision()
    with_a_small_clip_dual()
    spatial_vae.perceptual_distance = lambda a, b: (a - b).square().flatten(1).mean(1)  # type: ignore[assignment]

    def shared() -> None:
        group = processes()
        found = {name: trained(name, group) for name in FAMILIES}
        if group.first:
            torch.save(found, file.with_suffix(".shared"))

    codes = forked(size, shared, file.parent)
    assert codes == [0] * size, [(file.parent / f"2.{rank}").read_text() for rank in range(size)]
    several = torch.load(file.with_suffix(".shared"))
    torch.save({name: {1: trained(name, Processes()), size: several[name]} for name in FAMILIES}, file)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(Path(sys.argv[1]), int(sys.argv[2]))
