"""Embedding captions and images with frozen encoders: the tasks, each of one chunk of a set."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from textvae.data.frozen_encoders import DualEncoderImages
from textvae.preparation.decode import Fit, ImageBytes, decode
from textvae.pretrained.base import FrozenImages
from textvae.text.base import FrozenText
from textvae.utils.device import keep_freed_memory
from textvae.utils.files import written_whole
from textvae.utils.pictures import Unreadable


@dataclass(frozen=True)
class TextTask:
    """Captions to embed, and the file for their embeddings."""

    out: Path
    captions: tuple[str, ...]
    encoder: FrozenText
    half: bool
    """Whether embeddings are stored in half precision."""


def embed_captions(task: TextTask) -> None:
    """Writes one chunk of a set's text: "rows", the embeddings; "noted" and "notes", captions with remarks."""
    rows = task.encoder.embed(task.captions)
    remarks = [(number, remark) for number, remark in enumerate(task.encoder.remarks(task.captions)) if remark]
    _write_chunk(
        task.out,
        rows=(rows.half() if task.half else rows).numpy(),
        noted=np.array([number for number, _ in remarks], np.int64),
        notes=np.array([remark for _, remark in remarks], np.str_),
    )


@dataclass(frozen=True)
class ImageTask:
    """Images to embed, and the file for their embeddings."""

    out: Path
    encoder: FrozenImages
    rows: Path
    """An array of prepared pictures; or, if ``projects``, of their features."""
    stretch: tuple[int, int]
    """First and one-past-last row of the chunk."""
    originals: tuple[tuple[ImageBytes, Fit], ...]
    """The original files, if the encoder takes those instead of prepared pictures."""
    projects: bool
    """Whether ``rows`` are features that the encoder only needs to project."""


def embed_images(task: ImageTask) -> None:
    """Writes one chunk of a set's image embeddings, as "rows"."""
    start, stop = task.stretch
    pixels = np.array(np.load(task.rows, mmap_mode="r", allow_pickle=False)[start:stop])
    if task.originals:
        side = task.encoder.side or 0
        pixels = np.stack(
            [_original(*one, side, prepared) for one, prepared in zip(task.originals, pixels, strict=True)]
        )
    rows = torch.from_numpy(pixels)
    if isinstance(task.encoder, DualEncoderImages) and task.projects:
        found = task.encoder.project(rows)
    else:
        found = task.encoder.embed(rows.permute(0, 3, 1, 2))
    _write_chunk(task.out, rows=found.numpy())


def _original(place: ImageBytes, fit: Fit, side: int, prepared: np.ndarray) -> np.ndarray:
    """A picture as the encoder takes it; enlarged from the prepared one if the file is too small for that, or gone."""
    try:
        return decode(place.read(), side, fit).pixels
    except Unreadable:
        return np.asarray(Image.fromarray(prepared).resize((side, side), Image.Resampling.LANCZOS))


def use_one_thread() -> None:
    """Prepares a worker process that computes with torch: processes share the cores, so each takes one."""
    torch.set_num_threads(1)
    keep_freed_memory()


def _write_chunk(out: Path, **columns: Any) -> None:
    with written_whole(out) as temporary, temporary.open("wb") as file:
        np.savez(file, **columns)
