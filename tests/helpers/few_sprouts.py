"""A few pictures of sprouts in place of all of them."""

import importlib.util
from pathlib import Path

import pytest

from textvae.data import sprouts
from textvae.data.sprouts import SIZES

installed = all(importlib.util.find_spec(name) for name in ("dicebear", "dicebear_styles", "resvg_py"))
needs_packages = pytest.mark.skipif(not installed, reason="not installed: pip install 'textvae[sprouts]'")


def draw_few(monkeypatch: pytest.MonkeyPatch, cache: Path, count: int) -> None:
    """Makes every split have this many pictures, in files of three, in a cache of their own."""
    monkeypatch.setenv("TEXTVAE_CACHE", str(cache))
    monkeypatch.delenv("TEXTVAE_DATA", raising=False)
    monkeypatch.setattr(sprouts, "SIZES", dict.fromkeys(SIZES, count))
    monkeypatch.setattr(sprouts, "_PART", 3)
