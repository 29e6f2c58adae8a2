"""A folder of pictures of one's own in miniature: coloured blocks with captions."""

import json
from pathlib import Path

from helpers.photos import captions, encoded, picture


def folder_of_pictures(folder: Path, count: int, first: int = 0) -> Path:
    """An image folder without splits, of the pictures from ``first`` on; a caption names the colour of its block."""
    folder.mkdir(parents=True)
    lines = []
    for number in range(first, first + count):
        (folder / f"{number:03d}.jpg").write_bytes(encoded(picture(number)))
        lines.append(json.dumps({"file_name": f"{number:03d}.jpg", "text": captions(number)}))
    (folder / "metadata.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return folder
