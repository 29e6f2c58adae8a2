"""Folders for data: $TEXTVAE_DATA (the user's, only read) and $TEXTVAE_CACHE (written by textvae)."""

import os
from pathlib import Path

import pooch


def data_root() -> Path:
    """Folder for downloaded data: ``$TEXTVAE_CACHE/data``, by default in the platform's cache folder."""
    chosen = os.environ.get("TEXTVAE_CACHE")
    return (Path(chosen).expanduser() if chosen else Path(pooch.os_cache("textvae"))) / "data"


def data_folders(name: str) -> list[Path]:
    """Folders to search for the data set ``name``, in this order.

    ``$TEXTVAE_DATA/NAME`` belongs to the user and is only read; textvae writes to ``data_root()/NAME``.
    """
    own = os.environ.get("TEXTVAE_DATA")
    return [*([Path(own).expanduser() / name] if own else []), data_root() / name]


def prepared_root() -> Path:
    """Folder for prepared data sets, next to ``data_root()``."""
    return data_root().parent / "prepared"
