"""What every side of ``time_to_quality.py`` does alike: data, the clock of the training, drawing, and the report."""

import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

BATCH_SIZE = 64
"""Of the training of every peer. Their examples have 64, 128 or 1,024, for a GPU; in ten minutes of a CPU, larger
batches than 64 would leave few steps."""
DRAWN_AT_ONCE = 100
TRIED = 20
"""Images by which the time of a sampler is estimated."""
DRAWING_S = 300.0
"""Where the example's sampler takes longer, a faster one of the same package draws."""

Sampler = Callable[[torch.Tensor], torch.Tensor]
"""Images (n, 1, 28, 28) in 0..1 for n class numbers."""


class Order:
    """What the benchmark asks of a side: the JSON of its command line."""

    def __init__(self) -> None:
        asked = json.loads(sys.argv[1])
        self.seconds: float = asked["seconds"]
        self.samples: int = asked["samples"]
        self.option: str = asked.get("option", "")
        self.folder = Path(asked["folder"])
        """Of this side: its samples go there."""
        self.images = torch.from_numpy(np.load(asked["images"])).float().div_(255)
        """(60000, 1, 28, 28), 0..1."""
        self.labels = torch.from_numpy(np.load(asked["labels"]))
        torch.set_num_threads(asked["threads"])
        torch.manual_seed(0)

    def classes(self) -> torch.Tensor:
        """The classes to draw, each equally often, in turns."""
        return torch.arange(self.samples) % 10


class Clock:
    """Wall time since the training began."""

    def __init__(self, seconds: float) -> None:
        self.budget, self.began, self.steps, self.shown = seconds, time.perf_counter(), 0, 0.0

    def seconds(self) -> float:
        return time.perf_counter() - self.began

    def over(self) -> bool:
        """Counts a step, and tells whether the time is up."""
        self.steps += 1
        if self.seconds() - self.shown > 15:
            self.shown = self.seconds()
            print(f"  step {self.steps}, {self.shown:.0f} of {self.budget:.0f} s", file=sys.stderr, flush=True)
        return self.seconds() >= self.budget


def shuffled(order: Order, scaled: bool) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Batches of images and labels without end, in a new order each epoch, as a loader with ``shuffle`` gives them.

    Args:
        order: has the images.
        scaled: to -1..1, in place of 0..1.
    """
    images = order.images * 2 - 1 if scaled else order.images
    while True:
        for rows in torch.randperm(len(images)).split(BATCH_SIZE):
            yield images[rows], order.labels[rows]


def seconds_for(order: Order, sampler: Sampler) -> float:
    """How long a sampler would take for all samples, estimated by a few."""
    began = time.perf_counter()
    sampler(order.classes()[:TRIED])
    return (time.perf_counter() - began) / TRIED * order.samples


def draw(order: Order, name: str, described: str, sampler: Sampler) -> dict[str, Any]:
    """Draws the samples into NAME.npy and measures the images a second, after a few that are not counted."""
    seconds_for(order, sampler)
    began = time.perf_counter()
    drawn = torch.cat([sampler(some) for some in order.classes().split(DRAWN_AT_ONCE)])
    seconds = time.perf_counter() - began
    np.save(order.folder / f"{name}.npy", (drawn.clamp(0, 1) * 255).round().to(torch.uint8).numpy())
    return {"name": name, "sampler": described, "seconds": seconds, "images_per_second": order.samples / seconds}


def report(
    seconds: float,
    steps: int,
    network: torch.nn.Module,
    drawings: list[dict[str, Any]],
    images: int | None = None,
    **settings: Any,
) -> None:
    """Prints the result as the last line of the output.

    Args:
        seconds: of training.
        steps: of the optimizer.
        network: whose parameters are counted.
        drawings: what was drawn.
        images: that were trained on, each time that they were; default: a batch of ``BATCH_SIZE`` a step.
        settings: what else the table or a reader should know.
    """
    parameters = sum(parameter.numel() for parameter in network.parameters())
    images = steps * BATCH_SIZE if images is None else images
    found = {"training_seconds": seconds, "steps": steps, "images": images, "parameters": parameters}
    found |= {"torch": torch.__version__, "threads": torch.get_num_threads()}
    print(json.dumps(found | settings | {"drawings": drawings}))
