"""COCO captions in their published layout: ``annotations/captions_{train,val}20xx.json`` and folders of images."""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from textvae.preparation.record import Record, inside
from textvae.utils.errors import UserError
from textvae.utils.printable import printable

ANNOTATIONS = re.compile(r"captions_(train|val)(\d{4})\.json")

SPLITS = {"train": "train", "val": "test"}
"""COCO's own test images have no public captions. Papers report on what it calls "val", which is our "test"."""


@dataclass(frozen=True)
class CocoCaptions:
    """COCO's download, unpacked: annotations/, train2017/, val2017/ (or 2014)."""

    TITLE: ClassVar[str] = "images with captions in COCO's layout"
    EXAMPLE: ClassVar[str] = "annotations/captions_train2017.json and train2017/000000000009.jpg, as COCO unpacks"

    folder: Path

    @staticmethod
    def recognises(folder: Path) -> bool:
        """Whether the folder has this layout."""
        return any(ANNOTATIONS.fullmatch(path.name) for path in folder.glob("annotations/captions_*.json"))

    def splits(self) -> dict[str, Iterable[Record]]:
        """See ``Layout.splits``. If both years are there, the later one is read."""
        found: dict[str, Path] = {}
        for path in sorted(self.folder.glob("annotations/captions_*.json")):
            if named := ANNOTATIONS.fullmatch(path.name):
                found[SPLITS[named[1]]] = path
        if "train" not in found:
            raise UserError(
                f"{self.folder} has no annotations/captions_train2017.json or captions_train2014.json",
                "Unpack COCO's annotations_trainval2017.zip and train2017.zip there",
            )
        return {split: _Split(path) for split, path in found.items()}


@dataclass(frozen=True)
class _Split:
    path: Path

    def __iter__(self) -> Iterator[Record]:
        # In both years the folder of images is named like the annotations.
        stem = self.path.stem.removeprefix("captions_")
        return read_captions(self.path, self.path.parent.parent / stem)


def read_captions(annotations: Path, folder: Path) -> Iterator[Record]:
    """The images of a captions file in its order, each with its captions in their order.

    Args:
        annotations: a captions_*.json.
        folder: that of the images.

    Raises:
        UserError: the file cannot be read, or is no captions file.
    """
    try:
        content = json.loads(annotations.read_bytes())
        images: list[dict[str, Any]] = content["images"]
        captions: dict[int, list[str]] = {image["id"]: [] for image in images}
        orphans = 0
        for annotation in content["annotations"]:
            if (own := captions.get(annotation["image_id"])) is None:
                orphans += 1
            else:
                own.append(str(annotation["caption"]))
        named = [(image["id"], str(image["file_name"])) for image in images]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UserError(
            f"{annotations} cannot be read as COCO captions: {type(error).__name__} {printable(str(error))}",
            "It needs images (id, file_name) and annotations (image_id, caption), as COCO publishes them",
        ) from None
    # The parsed file takes several times the memory of what is needed of it.
    del content, images
    for number, file_name in named:
        # An image may be listed twice; all captions of an id belong to its first appearance.
        own = captions.pop(number, None)
        if own is None:
            yield Record(printable(str(number)), None, (), "this image id is listed twice")
        elif (place := inside(folder, file_name)) is None:
            yield Record(
                printable(str(number)),
                None,
                tuple(own),
                f"its file name leads out of the folder: {printable(file_name[:80])}",
            )
        else:
            yield Record(printable(str(number)), place, tuple(own))
    if orphans:
        yield Record("annotations", None, (), f"{orphans} captions belong to no image of this file")
