"""``publish``: a prepared set in parts, for trainings that read it from anywhere with little room."""

import hashlib
import json
from typing import Any

import torch

from textvae.data.captioned_images import CaptionedImages
from textvae.data.manifest import MANIFEST
from textvae.data.part_cache import Bucket
from textvae.data.parts import part_of
from textvae.data.prepared import PreparedSet, prepared_set
from textvae.data.remote import PART_FILE, PARTS, WORDS
from textvae.text.caption_words import word_counts
from textvae.utils.errors import UserError
from textvae.utils.permutation import Permutation
from textvae.utils.progress import ProgressLine

PART_BYTES = 256_000_000
"""Of a part, about; the last one has fewer."""
MOST_WORDS = 200_000
"""Words that are counted: the most frequent ones."""


def publish(name: str, url: str, overwrite: bool = False) -> dict[str, Any]:
    """Writes a prepared set in parts to any place that fsspec writes to; then the manifest, which names the parts.

    Args:
        name: the prepared set.
        url: the folder to write to, such as s3://BUCKET/SET, or file:///data/SET.
        overwrite: whether a set that is there is replaced.

    Returns:
        "url", and the number of images and parts of each split.

    Raises:
        UserError: there is no such set, it is damaged, there is a set already, or nothing can be written there.
    """
    prepared = prepared_set(name)
    if prepared is None or prepared.features:
        raise UserError(f"{name} is no prepared set", "textvae data prepare makes one; textvae data list shows them")
    bucket = Bucket(url)
    if bucket.has(MANIFEST) and not overwrite:
        raise UserError(f"{url} holds a set already", "choose another place, or add --overwrite")
    splits: dict[str, CaptionedImages] = {split: prepared.load(split) for split in prepared.splits}
    rows_of = {split: max(1, PART_BYTES // _bytes_of_a_row(images)) for split, images in splits.items()}
    parts: dict[str, list[list[Any]]] = {split: [] for split in splits}
    with ProgressLine(f"writing {name}", sum(map(len, splits.values())), "images") as progress:
        for split, images in splits.items():
            images.checked_fingerprint()
            # Only the rows of a few parts are mixed in training, so each part is a sample of the whole split.
            order = Permutation(0, len(images)) if split == "train" else None
            for start in range(0, len(images), rows_of[split]):
                stop = min(start + rows_of[split], len(images))
                content = part_of(images, torch.arange(start, stop) if order is None else order.part(start, stop))
                checksum = hashlib.sha256(content).hexdigest()
                file = f"{split}-{len(parts[split]):06d}-{checksum[:8]}.safetensors"
                bucket.write(file, content)
                parts[split].append([file, stop - start, len(content), checksum])
                progress.advance(stop - start)
    bucket.write(WORDS, json.dumps(_words(splits["train"]), ensure_ascii=False).encode())
    bucket.write(MANIFEST, json.dumps(_manifest(prepared, parts), ensure_ascii=False).encode())
    written = {file for rows in parts.values() for file, *_ in rows}
    for file in bucket.files():  # parts of the set before, or of a publication that was interrupted
        if PART_FILE.fullmatch(file) and file not in written:
            bucket.remove(file)
    counts = {split: {"images": len(images), "parts": len(parts[split])} for split, images in splits.items()}
    return {"url": url, "splits": counts}


def _bytes_of_a_row(images: CaptionedImages) -> int:
    """Of an image with its captions, on average over the first ones."""
    captions = max(1, int(images.caption_range[:4096].diff().double().mean()))
    text = 200 if images.conditions is None else 200 + images.conditions[0].numel() * images.conditions.element_size()
    image = 0 if images.image_conditions is None else 4 * images.image_conditions.shape[1]
    return images.images[0].numel() + captions * text + image


def _words(images: CaptionedImages) -> dict[str, tuple[int, int]]:
    counts = word_counts(images.captions, images.times_shown())
    frequent = sorted(counts, key=lambda word: (-counts[word][0], word))[:MOST_WORDS]
    return {word: counts[word] for word in frequent}


def _manifest(prepared: PreparedSet, parts: dict[str, list[list[Any]]]) -> dict[str, Any]:
    """That of the prepared set, without what says where its pictures lay."""
    kept = {key: value for key, value in prepared.manifest.items() if key != "made_of"}
    return {**kept, PARTS: parts}
