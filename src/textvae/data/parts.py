"""A part of a set in parts: one file with some rows of everything that a prepared set holds.

It is a safetensors file, which is mapped and executes nothing:

images    uint8 (n, side, side, 3)
ranges    int64 (n, 2): first and one-past-last caption of each image, of the captions of this part
captions  uint8: all captions in UTF-8, one after another
ends      int64 (captions,): where each caption ends
text      if stored: one embedding a caption, float32 (captions, d) or float16 (captions, tokens, d)
image     if stored: float32 (n, d), an embedding of each image
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from textvae.data.captioned_images import CaptionedImages
from textvae.data.stored_captions import StoredCaptions, stored


@dataclass(frozen=True)
class PartFacts:
    """What the manifest says of a part."""

    file: str
    images: int
    size: int
    """Bytes."""
    sha256: str


@dataclass(frozen=True, eq=False)
class Part:
    """The rows of a part, mapped."""

    images: UInt8[Tensor, "n 3 side side"]
    caption_range: Int64[Tensor, "n 2"]
    text: Float[Tensor, "captions *condition"] | None
    image: Float[Tensor, "n d"] | None
    captions: StoredCaptions


ConditionsInParts = Callable[[Part, Int64[Tensor, "b"], Int64[Tensor, "b"]], Tensor]
"""The conditions of some rows of a part, of which a caption each is chosen: numbers of rows, numbers of captions."""


def open_part(path: Path, facts: PartFacts, side: int, text: tuple[int, ...], image: int) -> Part:
    """A part in a file whose checksum has been compared.

    Args:
        path: the file.
        facts: of the manifest.
        side: pixels a side, as the manifest declares.
        text: the shape of the condition that is stored of each caption; empty for none.
        image: the width of the embedding that is stored of each image; 0 for none.

    Raises:
        ValueError: it does not hold what the manifest declares.
    """
    try:
        found: dict[str, Tensor] = safetensors.torch.load_file(path)
    except (OSError, safetensors.SafetensorError) as error:
        raise ValueError(str(error)[:200]) from None
    captions = len(found["ends"]) if "ends" in found else 0
    wanted: dict[str, tuple[Sequence[int] | None, Sequence[torch.dtype]]] = {
        "images": ((facts.images, side, side, 3), [torch.uint8]),
        "ranges": ((facts.images, 2), [torch.int64]),
        "captions": (None, [torch.uint8]),
        "ends": ((captions,), [torch.int64]),
    }
    if text:
        wanted["text"] = (captions, *text), [torch.float32, torch.float16]
    if image:
        wanted["image"] = (facts.images, image), [torch.float32]
    for name, (shape, kinds) in wanted.items():
        if name not in found or found[name].dtype not in kinds or shape not in (None, tuple(found[name].shape)):
            raise ValueError(f"its {name} are not what the manifest declares")
    start, stop = found["ranges"].unbind(1)
    if not captions or int(start.min()) < 0 or int(stop.max()) > captions or bool((start >= stop).any()):
        raise ValueError("its images have captions that are not there")
    return Part(
        found["images"].permute(0, 3, 1, 2),
        found["ranges"],
        found.get("text"),
        found.get("image"),
        StoredCaptions(found["captions"].flatten(), found["ends"]),
    )


def part_of(images: CaptionedImages, rows: Int64[Tensor, "n"]) -> bytes:
    """The file of some rows of a prepared set, with the captions that they have."""
    ranges = images.caption_range[rows]
    # Images that share their captions share them in the part, too.
    own: dict[tuple[int, int], tuple[int, int]] = {}
    numbers: list[int] = []
    for first, last in map(tuple, ranges.tolist()):
        if (first, last) not in own:
            own[first, last] = (len(numbers), len(numbers) + last - first)
            numbers += range(first, last)
    captions = stored(images.captions[number] for number in numbers)
    found: dict[str, Any] = {
        "images": images.images[rows].permute(0, 2, 3, 1).contiguous(),
        "ranges": torch.tensor([own[first, last] for first, last in map(tuple, ranges.tolist())], dtype=torch.int64),
        "captions": captions.texts,
        "ends": captions.ends,
    }
    if images.conditions is not None:
        found["text"] = images.conditions[torch.tensor(numbers)].contiguous()
    if images.image_conditions is not None:
        found["image"] = images.image_conditions[rows].contiguous()
    return safetensors.torch.save(found)
