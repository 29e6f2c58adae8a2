"""The plan of a prepared set, which is everything that decides what it holds: read, and compared with another one."""

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from textvae.data.manifest import MANIFEST, MOST_MANIFEST_BYTES
from textvae.utils.errors import UserError
from textvae.utils.files import read_json

PLAN = "plan.json"
"""In an unfinished set: everything that decides what it will hold."""
FILES = ("records", "files")
"""The part of a plan that changes when pictures are added, replaced or removed, or captions edited."""
ORIGIN = ("source", "places")
"""The part of a plan that says where the pictures lie: the same pictures elsewhere make the same set."""


def plan_of(folder: Path) -> dict[str, Any] | None:
    """The plan that an unfinished preparation was begun by; None where there is none that can be read."""
    for name in (PLAN, MANIFEST):  # once the manifest is written, the plan is in it alone
        with contextlib.suppress(OSError, ValueError, AttributeError):
            read = read_json(folder / name, MOST_MANIFEST_BYTES)
            plan = read if name == PLAN else read.get("made_of")
            if isinstance(plan, dict):
                return plan
    return None


def same_set(before: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """Whether two plans are for the same pictures, captions and settings, or at least for the same place."""
    equal = all(before.get(key) == value for key, value in now.items() if key not in ORIGIN)
    return equal or before.get("places", now["places"]) == now["places"]


def up_to_date(folder: Path, before: Any, now: Mapping[str, Any], overwrite: bool = False) -> bool:
    """Whether a set holds what a plan says; False where its pictures or captions have changed since.

    Args:
        folder: the set's, for messages.
        before: the plan that it was made by.
        now: the plan.
        overwrite: whether a set that was made with other settings is just not up to date.

    Raises:
        UserError: it was made with other settings, or from other places, and ``overwrite`` is False.
    """
    if not isinstance(before, dict):
        if overwrite:
            return False
        raise UserError(f"{folder} does not declare how it was made", "Add --overwrite to prepare the set again")
    # Sets of earlier versions do not say where their pictures lie, nor in which state the files were.
    differing = [
        key for key, value in now.items() if before.get(key, value if key in ("places", "files") else None) != value
    ]
    if all(key in ORIGIN for key in differing):
        return True
    for key in differing:
        if key not in FILES and not overwrite:
            raise UserError(
                f"{folder} was prepared with other settings: {key} was {before.get(key)!r}, now {now[key]!r}",
                "Choose another --out, or add --overwrite to replace it",
            )
    return False
