"""Where textvae looks for data and where it writes: $TEXTVAE_DATA (read only) and $TEXTVAE_CACHE."""

import os
from pathlib import Path

import pooch


def data_root() -> Path:
    """Where fetched data is written: ``$TEXTVAE_CACHE/data``, or else in the platform's cache folder."""
    chosen = os.environ.get("TEXTVAE_CACHE")
    return (Path(chosen).expanduser() if chosen else Path(pooch.os_cache("textvae"))) / "data"


def data_folders(name: str) -> list[Path]:
    """Where the data set ``name`` may lie, the first place first.

    ``$TEXTVAE_DATA/NAME`` is the user's own and only ever read; ``data_root()/NAME`` is ours.
    """
    own = os.environ.get("TEXTVAE_DATA")
    return [*([Path(own).expanduser() / name] if own else []), data_root() / name]


def prepared_root() -> Path:
    """Where prepared sets are written: beside the fetched data."""
    return data_root().parent / "prepared"
