"""One thread that draws: requests that wait at the same time are drawn in one batch."""

import contextlib
import io
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import torch
from PIL import Image
from torch import Tensor

from textvae.pipeline import BATCH_SIZE, TextToImage
from textvae.priors import SamplingOptions
from textvae.serve.understood import understood
from textvae.utils.pixels import to_pil

T = TypeVar("T")

WAIT_S = 0.01
"""Time that the first request of a batch waits for others."""


@dataclass(frozen=True)
class Drawing:
    """One request for images of one prompt."""

    model: str
    prompt: str
    seeds: tuple[int, ...]
    """One for each image."""
    guidance_scale: float | None = None
    steps: int | None = None
    negative_prompt: str | None = None

    @property
    def kind(self) -> tuple[object, ...]:
        """Drawings of one kind can share a batch."""
        return self.model, self.guidance_scale, self.steps, self.negative_prompt


@dataclass(frozen=True)
class Drawn:
    """The images of one prompt, and the words of it that were understood."""

    images: list[Image.Image]
    understood: str


class QueueFullError(Exception):
    """Too many images wait to be drawn; ``retry_after`` is an estimate of seconds until there is room."""

    def __init__(self, retry_after: int) -> None:
        super().__init__(f"too many images wait; try again after {retry_after} s")
        self.retry_after = retry_after


@dataclass(eq=False)
class _Job(Generic[T]):
    images: int
    drawing: Drawing | None = None
    """Drawn together with others of its kind; None where ``task`` is run alone."""
    task: Callable[[], T] | None = None
    future: "Future[T]" = field(default_factory=Future)
    arrived: float = field(default_factory=time.monotonic)


class Batcher:
    """A bounded queue and the thread that works it off, first come, first served.

    Drawings that agree in model, guidance scale, steps and negative prompt with the one that has waited longest are
    drawn together with it, up to a batch. An image depends on its own prompt and seed alone; as in ``TextToImage``, its
    company changes it by rounding at most.
    """

    def __init__(
        self, models: Mapping[str, TextToImage], waiting_images: int, batch: int = BATCH_SIZE, wait_s: float = WAIT_S
    ) -> None:
        """Starts the thread.

        Args:
            models: by name.
            waiting_images: number of images that may wait.
            batch: number of images drawn together.
            wait_s: seconds that the first request of a batch waits for others.
        """
        self._models, self._bound, self._batch, self._wait_s = models, waiting_images, batch, wait_s
        self._jobs: deque[_Job[Any]] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._seconds_an_image = 0.01
        self.waiting = 0
        """Number of images that wait."""
        self.drawn = dict.fromkeys(models, 0)
        """Number of images drawn so far, by model."""
        self.batches = 0
        """Number of batches drawn so far."""
        self._thread = threading.Thread(target=self._work, name="textvae-draw", daemon=True)
        self._thread.start()

    def draw(self, drawing: Drawing) -> "Future[Drawn]":
        """Queues a drawing. Its future raises ``UserError`` where the prompt cannot be read.

        Cancelling the future takes the drawing out of the queue, unless it is being drawn already.

        Raises:
            QueueFullError: there is no room.
        """
        return self._add(_Job(len(drawing.seeds), drawing=drawing))

    def run(self, task: Callable[[], T], images: int) -> "Future[T]":
        """Queues a function that uses a model, to be called alone.

        Args:
            task: the function.
            images: how many drawn images it takes the time of; counted as the whole queue at most.

        Raises:
            QueueFullError: there is no room.
        """
        return self._add(_Job(min(images, self._bound), task=task))

    def _add(self, job: _Job[T]) -> "Future[T]":
        with self._changed:
            if self._closed or self.waiting + job.images > self._bound:
                raise QueueFullError(min(60, max(1, math.ceil(self.waiting * self._seconds_an_image))))
            self._jobs.append(job)
            self.waiting += job.images
            self._changed.notify()
        job.future.add_done_callback(lambda future: self._forget(job) if future.cancelled() else None)
        return job.future

    def _forget(self, job: _Job[Any]) -> None:
        with self._changed, contextlib.suppress(ValueError):
            self._jobs.remove(job)
            self.waiting -= job.images

    def close(self) -> None:
        """Cancels what waits, finishes what is being drawn, and ends the thread."""
        with self._changed:
            self._closed = True
            left = list(self._jobs)
            self._changed.notify()
        for job in left:
            job.future.cancel()
        self._thread.join()

    def _work(self) -> None:
        while jobs := self._taken():
            # Jobs that were cancelled in this instant are left out.
            jobs = [job for job in jobs if job.future.set_running_or_notify_cancel()]
            start = time.monotonic()
            if not jobs:
                continue
            try:
                self._draw(jobs) if jobs[0].drawing else self._run(jobs[0])
            except Exception as error:
                for job in jobs:
                    if not job.future.done():
                        job.future.set_exception(error)
            taken = (time.monotonic() - start) / sum(job.images for job in jobs)
            self._seconds_an_image += 0.2 * (taken - self._seconds_an_image)

    def _taken(self) -> list[_Job[Any]]:
        """Waits for the next batch and takes it out of the queue; an empty list once the batcher is closed."""
        with self._changed:
            while not self._closed:
                if not self._jobs:
                    self._changed.wait()
                    continue
                batch, full = self._next()
                left = batch[0].arrived + self._wait_s - time.monotonic()
                if not full and left > 0:
                    self._changed.wait(left)
                    continue
                taken = set(batch)
                self._jobs = deque(job for job in self._jobs if job not in taken)
                self.waiting -= sum(job.images for job in batch)
                return batch
            return []

    def _next(self) -> tuple[list[_Job[Any]], bool]:
        """The job that has waited longest with those that can be drawn beside it, and whether the batch is full."""
        first = self._jobs[0]
        if first.drawing is None:
            return [first], True
        batch: list[_Job[Any]] = []
        images = 0
        for job in self._jobs:
            if job.drawing is None or job.drawing.kind != first.drawing.kind:
                continue
            if batch and images + job.images > self._batch:
                return batch, True
            batch.append(job)
            images += job.images
            if images >= self._batch:
                return batch, True
        return batch, False

    def _run(self, job: _Job[Any]) -> None:
        assert job.task is not None
        job.future.set_result(job.task())

    def _draw(self, jobs: list[_Job[Any]]) -> None:
        """Draws a batch. A prompt that cannot be read fails its own request alone."""
        kind = jobs[0].drawing
        assert kind is not None
        model = self._models[kind.model]
        negative = None if kind.negative_prompt is None else _encoded(model, kind.negative_prompt)
        readable: list[tuple[_Job[Any], Drawing, Tensor]] = []
        for job in jobs:
            assert job.drawing is not None
            try:
                readable.append((job, job.drawing, _encoded(model, job.drawing.prompt)))
            except Exception as error:
                job.future.set_exception(error)
        if not readable:
            return
        conditions = torch.cat([row.repeat_interleave(job.images, dim=0) for job, _, row in readable])
        seeds = [seed for _, drawing, _ in readable for seed in drawing.seeds]
        images = to_pil(model.draw(conditions, seeds, SamplingOptions(kind.guidance_scale, kind.steps, negative)))
        self.drawn[kind.model] += len(images)
        self.batches += 1
        for job, drawing, row in readable:
            own, images = images[: job.images], images[job.images :]
            job.future.set_result(Drawn(own, understood(model.text, drawing.prompt, row[0])))


def _encoded(model: TextToImage, prompt: str) -> Tensor:
    # Encoders print which words they ignore; the answer says so, and prompts do not belong in a server's log.
    with contextlib.redirect_stderr(io.StringIO()):
        return model.text.encode([prompt])
