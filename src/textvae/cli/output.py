"""Output files of the verbs: checked before the work begins, so that nothing is overwritten by accident."""

import os
import re
from collections.abc import Collection, Sequence
from pathlib import Path

from textvae.utils.errors import UserError
from textvae.utils.files import check_replaceable
from textvae.utils.progress import say

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")


def output_file(
    out: Path | None, default: str, inputs: Sequence[Path] = (), suffixes: Collection[str] = IMAGE_SUFFIXES
) -> Path:
    """The file to write.

    Args:
        out: the requested file; an existing one is replaced, with a notice on stderr. None takes ``default``, with a
            number appended if that exists.
        default: file name in the current folder.
        inputs: files that the command reads, which it must not replace.
        suffixes: of the formats that can be written.

    Raises:
        UserError: the file cannot be written there.
    """
    if out is None:
        return numbered(Path(default))
    if out.is_dir():
        raise UserError(f"{out} is a folder", f"name a file in it, such as {out / default}")
    if out.suffix.lower() not in suffixes:
        raise UserError(f"{out} has no suffix of a supported format", f"use one of: {', '.join(suffixes)}")
    check_replaceable(out)
    if any(out.exists() and file.exists() and out.samefile(file) for file in inputs):
        raise UserError(f"{out} is read by this command and would be replaced", "choose another --out")
    check_folder(out.parent)
    if out.exists():
        say(f"{out} exists and will be replaced")
    return out


def check_folder(folder: Path) -> None:
    """Checks that files can be written into a folder, which may still have to be made.

    Raises:
        UserError: it cannot be made, or is not writable.
    """
    nearest = next(path for path in (folder, *folder.absolute().parents) if path.exists() or path.is_symlink())
    if not nearest.is_dir():
        raise UserError(f"{nearest} is a file, not a folder", "choose another --out")
    if not os.access(nearest, os.W_OK):
        raise UserError(f"{nearest} cannot be written to", "choose another --out")


def numbered(path: Path) -> Path:
    """The path, or the first of NAME-2, NAME-3 and so on that does not exist."""
    number, free = 1, path
    while free.exists() or free.is_symlink():
        number += 1
        free = path.with_stem(f"{path.stem}-{number}")
    return free


def file_stem(text: str) -> str:
    """A prompt as part of a file name: lower-case letters, digits and hyphens, at most 60 of them."""
    return re.sub(r"[^a-z0-9]+", "-", text.casefold()).strip("-")[:60].strip("-") or "image"
