"""What a preparation's worker processes do: captions and images embedded, each task a chunk of the set."""

import multiprocessing
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch

from textvae.data.frozen_encoders import DualEncoderImages
from textvae.preparation.decode import Fit, Place, decode, decode_chunk, start_worker
from textvae.pretrained.base import FrozenImages
from textvae.text.base import FrozenText
from textvae.utils.device import keep_freed_memory
from textvae.utils.files import written_whole

Task = TypeVar("Task")


@dataclass(frozen=True)
class TextTask:
    """Captions to embed, and where their embeddings go."""

    out: Path
    captions: tuple[str, ...]
    reader: FrozenText


def embed_captions(task: TextTask) -> None:
    """Writes a chunk of a set's text: embeddings, and what is to be remarked of some captions."""
    rows = task.reader.embed(task.captions)
    remarks = [(number, remark) for number, remark in enumerate(task.reader.remarks(task.captions)) if remark]
    # Token vectors are many: half their space, at a precision far above what a model sees of them.
    stored = rows.half() if rows.dim() == 3 else rows
    _write_chunk(
        task.out,
        rows=stored.numpy(),
        noted=np.array([number for number, _ in remarks], np.int64),
        notes=np.array([remark for _, remark in remarks], np.str_),
    )


@dataclass(frozen=True)
class ImageTask:
    """Images to embed, and where their embeddings go."""

    out: Path
    viewer: FrozenImages
    rows: Path
    """Prepared pictures; or, if ``projects``, features of them."""
    stretch: tuple[int, int]
    places: tuple[Place, ...]
    """The photographs themselves, where the viewer wants those."""
    fit: Fit
    projects: bool


def embed_images(task: ImageTask) -> None:
    """Writes a chunk of a set's image embeddings."""
    start, stop = task.stretch
    if task.places:
        side = task.viewer.side or 0
        pixels = np.stack([decode(place.read(), side, task.fit).pixels for place in task.places])
    else:
        pixels = np.array(np.load(task.rows, mmap_mode="r", allow_pickle=False)[start:stop])
    rows = torch.from_numpy(pixels)
    if isinstance(task.viewer, DualEncoderImages) and task.projects:
        found = task.viewer.project(rows)
    else:
        found = task.viewer.embed(rows.permute(0, 3, 1, 2))
    _write_chunk(task.out, rows=found.numpy())


def _write_chunk(out: Path, **columns: Any) -> None:
    with written_whole(out) as temporary, temporary.open("wb") as file:
        np.savez(file, **columns)


def carried_out(function: Callable[[Task], None], tasks: Sequence[Task], workers: int) -> Iterator[None]:
    """Yields after each task, carried out in worker processes; in this one where one worker is enough."""
    workers = min(workers, len(tasks))
    if workers <= 1:
        for task in tasks:
            function(task)
            yield
        return
    # Spawned: forking a process that has computed with torch may hang, and only some systems can fork.
    prepare = None if function is decode_chunk else _begin_worker
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), start_worker, (prepare,))
    pending: deque[Future[None]] = deque()
    try:
        for task in tasks:
            pending.append(pool.submit(function, task))
            # Never more in the queue than keeps everybody busy: the tasks are the size of the source.
            if len(pending) > 2 * workers:
                pending.popleft().result()
                yield
        while pending:
            pending.popleft().result()
            yield
    finally:
        pool.shutdown(cancel_futures=True)


def _begin_worker() -> None:
    torch.set_num_threads(1)
    keep_freed_memory()
