"""Manifests of prepared sets without their arrays: all that resolving a recipe looks at."""

import json
from pathlib import Path

from textvae.data.manifest import MANIFEST, TEXT_KINDS
from textvae.utils.paths import prepared_root

SHAPES = {
    "words": [], "sentence": [384], "sentence-tokens": [32, 384], "clip": [512], "clip-tokens": [77, 512], "pair": [128]
}  # fmt: skip
WIDTHS = {"efficientnet": 1280, "pair": 128, "clip": 512}


def declare(name: str, source: str, side: int, text: str, image: str | None = None, **of_text: object) -> Path:
    """Writes the manifest of a set of that name into the cache; gives its folder."""
    shape = SHAPES[text]
    arrays = {"images": [9, side, side, 3], "captions": 18} | ({"text": [18, *shape]} if shape else {})
    manifest = {
        "command": "textvae data prepare",
        "source": {"name": source, "title": "", "home": "", "terms": ""},
        "side": side,
        "text": {"name": text, "identity": f"{text} 1", "kind": TEXT_KINDS[text], "shape": shape} | of_text,
        "image": None if image is None else {"name": image, "identity": f"{image} 1", "width": WIDTHS[image]},
        "splits": {"train": arrays, "test": arrays},
    }
    folder = prepared_root() / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")
    return folder
