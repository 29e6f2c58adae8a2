"""Describes a data set: origin, terms, checksums, statistics, and a contact sheet."""

from pathlib import Path
from typing import Any

import torch
from PIL import Image

from textvae.data import source
from textvae.data.captioned_images import CaptionedImages
from textvae.utils import images as pictures
from textvae.utils.pixels import to_pil

SHOWN, SHOWN_COLUMNS = 30, 6
"""Pictures of a contact sheet without classes, and in each of its rows."""
SHOWN_OF_CLASS = 10
"""Pictures of each class, where there are classes."""


def describe(name: str, sheet: Path | None = None) -> dict[str, Any]:
    """Facts about a data set as JSON values; fetches it first if it is not there.

    Args:
        name: as on the command line.
        sheet: where to write ``contact_sheet`` of the first split as PNG; None writes none.

    Raises:
        UserError: there is no such data set, or it cannot be fetched.
    """
    chosen = source(name)
    folder = chosen.fetch()
    facts: dict[str, Any] = {
        "name": chosen.name,
        "title": chosen.title,
        "home": chosen.home,
        "terms": chosen.terms,
        "fetched_from": list(chosen.mirrors),
        "folder": str(folder),
        "files": [{"name": file.name, "bytes": file.size, "sha256": file.sha256} for file in chosen.files],
        "splits": {},
    }
    for split in chosen.splits:
        images = chosen.load(split)
        facts["splits"][split] = numbers(images)
        # Embeddings in the place of pixels cannot be shown.
        if sheet is not None and split == chosen.splits[0] and images.images.dtype is torch.uint8:
            about = {"data": chosen.name, "split": split, "terms": chosen.terms}
            pictures.save_image(contact_sheet(images), sheet, about)
            facts["contact_sheet"] = str(sheet)
    return facts


def numbers(images: CaptionedImages) -> dict[str, Any]:
    """Counts, (channels, height, width), mean and standard deviation of pixels in [0, 1], fingerprint.

    For embeddings in the place of pixels, mean and standard deviation of their numbers.
    """
    facts: dict[str, Any] = {
        "images": len(images),
        "image_shape": list(images.image_shape),
        "captions": len(images.captions),
        **(_pixels(images) if images.images.dtype is torch.uint8 else _embeddings(images)),
        "fingerprint": images.fingerprint(),
    }
    if images.labels is not None:
        counts = torch.bincount(images.labels, minlength=len(images.class_names)).tolist()
        facts["per_class"] = dict(zip(images.class_names, counts, strict=True))
    return facts


def _embeddings(images: CaptionedImages) -> dict[str, float]:
    numbers = images.images.double()
    return {"embedding_mean": float(numbers.mean()), "embedding_std": float(numbers.std(correction=0))}


def _pixels(images: CaptionedImages) -> dict[str, float]:
    total, squares = 0, 0
    # In integers, hence exact, and in chunks, hence in little memory.
    for start in range(0, len(images), 4096):
        pixels = images.images[start : start + 4096].int()
        total += int(pixels.sum())
        squares += int(pixels.square().sum())
    count = images.images.numel()
    mean = total / count
    return {"pixel_mean": mean / 255, "pixel_std": (squares / count - mean**2) ** 0.5 / 255}


def contact_sheet(images: CaptionedImages) -> Image.Image:
    """The first pictures of each class in a row; without classes, pictures from all over, with their captions.

    The images are pixels, not features.
    """
    if images.labels is None:
        count = min(len(images), SHOWN)
        chosen = [number * len(images) // count for number in range(count)]
        captions = [images.captions[start] for start in images.caption_range[chosen, 0].tolist()]
        return pictures.captioned(to_pil(images.images[chosen]), captions, SHOWN_COLUMNS)
    rows, names = [], []
    for number, class_name in enumerate(images.class_names):
        row = (images.labels == number).nonzero().flatten()[:SHOWN_OF_CLASS].tolist()
        if row:
            rows.append(row)
            names.append(class_name)
    return pictures.grid([to_pil(images.images[row]) for row in rows], names)
