"""Photographs made ready for training: what is asked for, what that makes, and what is refused.

The work itself, which is cut into chunks, so that what a killed preparation has finished is not done again, memory does
not grow with the source, and every core has work, is ``Preparation``'s.
"""

import errno
import os
from pathlib import Path
from typing import Any

from textvae.data.frozen_encoders import ImageName, TextName, image_encoder, text_encoder
from textvae.data.prepared import MANIFEST, read_manifest
from textvae.preparation.builder import Preparation, refuse_difference
from textvae.preparation.records import PhotoSource, Record, digest
from textvae.preparation.sources import Subset, photo_source, splits_of
from textvae.pretrained.base import FrozenImages
from textvae.text.base import FrozenText
from textvae.text.clip import VIT_B_32
from textvae.utils.config import to_dict
from textvae.utils.errors import UserError
from textvae.utils.files import alone
from textvae.utils.paths import prepared_root
from textvae.utils.progress import say


def prepare(
    source: str,
    side: int = 64,
    text: TextName = "sentence",
    images: ImageName | None = None,
    subset: Subset | None = None,
    out: Path | None = None,
    clip: str = VIT_B_32,
    pair: Path | None = None,
    workers: int = 0,
) -> dict[str, Any]:
    """Prepares a source into a set that ``data.load`` knows by its name; the same call again resumes, or finds it done.

    Args:
        source: a photograph source by name, or a folder by path.
        side: pixels a side of the square pictures.
        text: which encoder's embeddings of the captions are kept; "words" keeps none.
        images: which encoder's embeddings of the images are kept, if any.
        subset: which part of the source; default: all of it.
        out: the folder to write; default: a name made of source, part, size and text encoder, where data is kept.
        clip: the model that "clip" means: of the hub, or a folder.
        pair: the run folder that "pair" means.
        workers: processes; 0 takes the cores this process may use.

    Returns:
        The name, the folder, and counts: of images, captions, and of what was skipped or handled, and why.

    Raises:
        UserError: the source can't be read, an encoder can't be had, the folder holds a set made otherwise, another
            process is making it, or no room is left.
    """
    if not 8 <= side <= 1024:
        raise UserError(f"pictures of {side} pixels can't be prepared", "choose --size from 8 to 1024")
    subset = subset or Subset()
    chosen = photo_source(source)
    name = f"{chosen.name}{subset.suffix}-{side}-{text}"
    folder = out or prepared_root() / name
    reader = text_encoder(text, clip, pair)
    viewer = image_encoder(images, clip, pair) if images else None
    splits = splits_of(chosen, subset)
    plan = _plan(chosen, side, subset, splits, text, reader, viewer)
    try:
        with alone(folder.with_name(f".{folder.name}.lock")) as mine:
            if not mine:
                raise UserError(
                    f"{folder} is being prepared by another process",
                    "Wait until that is done: the same command then finds the set, or goes on where that one stopped",
                )
            if (folder / MANIFEST).is_file():
                made = read_manifest(folder)
                refuse_difference(folder, made.get("made_of"), plan)
                say(f"{folder} is prepared already")
            else:
                command = _command(source, side, text, images, subset, out)
                made = Preparation(chosen, side, splits, plan, reader, viewer, folder, workers or _cores()).build(
                    command
                )
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS, errno.EPERM):
            raise
        raise UserError(
            f"{folder} can't be written: {(error.strerror or str(error)).lower()}",
            "Make room or choose another --out; the same command then goes on where this one stopped",
        ) from error
    return {
        "name": str(out) if out else name,
        "folder": str(folder),
        "splits": made["splits"],
        "skipped": made["skipped"],
        "handled": made["handled"],
    }


def _plan(
    source: PhotoSource,
    side: int,
    subset: Subset,
    splits: dict[str, list[Record]],
    text: TextName,
    reader: FrozenText | None,
    viewer: FrozenImages | None,
) -> dict[str, Any]:
    """All that decides what a set holds."""
    return {
        "source": source.name,
        "subset": to_dict(subset),
        "records": {split: digest(records) for split, records in splits.items()},
        "side": side,
        "fit": source.fit,
        "text": reader.identity if reader else text,
        "image": viewer.identity if viewer else None,
    }


def _command(source: str, side: int, text: TextName, images: ImageName | None, subset: Subset, out: Path | None) -> str:
    words = ["textvae data prepare", source, f"--size {side}", f"--text {text}"]
    words += [f"--image-encoder {images}"] if images else []
    words += [f"--fraction {subset.fraction:g}", f"--seed {subset.seed}"] if subset.fraction < 1 else []
    words += [f"--theme {','.join(subset.theme)}"] if subset.theme else []
    words += [f"--out {out}"] if out else []
    return " ".join(words)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
