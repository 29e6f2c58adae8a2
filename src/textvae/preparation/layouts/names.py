"""What the names of files, folders and columns say: which are images, which captions, which split they belong to."""

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TypeVar

IMAGES = frozenset({"jpg", "jpeg", "png", "webp", "gif", "bmp", "tif", "tiff", "avif", "ppm"})
"""Extensions of image files."""

SPLITS: Mapping[str, str] = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
}
"""The split that a folder of each name holds."""

FILE_COLUMNS = ("file_name", "filename", "file", "image", "image_name", "image_path", "image_file", "path", "img")
"""Names of the column that says which file an image is in, in the order of trying."""
IMAGE_COLUMNS = ("image", "img", "jpg", "png", "picture", "photo", "pixel_values")
"""Names of the column that holds images, in the order of trying."""
CAPTION_COLUMNS = (
    "text", "caption", "captions", "texts", "prompt", "description", "sentence", "sentences", "title", "comment", "txt",
)  # fmt: skip
"""Names of the column that holds captions, in the order of trying."""

Value = TypeVar("Value")


def extension(name: str) -> str:
    """In lower case, without its dot."""
    return os.path.splitext(name)[1].removeprefix(".").casefold()


def split_of_file(stem: str) -> str:
    """The split that a file's name tells, as photos-val-0000.tar does; "train" if it tells none."""
    # A whole word of the name, so that "latest.tar" is no test shard.
    words = re.split(r"[^a-z]+", stem.casefold())
    return next((SPLITS[word] for word in words if word in SPLITS), "train")


def folders(root: Path) -> Iterator[tuple[tuple[str, ...], list[str]]]:
    """Each folder within ``root``, itself first, as the parts of its relative path, with its files in order.

    Hidden files and folders are left out, and so are folders that cannot be read; links to folders are not followed.
    """
    left: list[tuple[str, ...]] = [()]
    while left:  # not os.walk: before Python 3.12 it calls itself for each level, of which there may be thousands
        parts = left.pop()
        try:
            with os.scandir(root.joinpath(*parts)) as entries:
                shown = sorted((entry for entry in entries if entry.name[0] != "."), key=lambda entry: entry.name)
        except OSError:
            continue
        inner = [entry.name for entry in shown if entry.is_dir(follow_symlinks=False)]
        left += [(*parts, name) for name in reversed(inner)]
        yield parts, [entry.name for entry in shown if not entry.is_dir()]


def by_split(items: Iterable[tuple[tuple[str, ...], Value]]) -> dict[str, list[Value]]:
    """Values by the split of their folder, if every folder is within one that is named like a split; else all train."""
    listed = list(items)
    if not all(parts and parts[0].casefold() in SPLITS for parts, _ in listed):
        return {"train": [value for _, value in listed]}
    found: dict[str, list[Value]] = {}
    for parts, value in listed:
        found.setdefault(SPLITS[parts[0].casefold()], []).append(value)
    return found


def column_of(names: Iterable[str], wanted: Iterable[str]) -> str | None:
    """The first of the wanted names that is there, in any case; None if none is."""
    there = {name.strip().casefold(): name for name in names}
    return next((there[name] for name in wanted if name in there), None)
