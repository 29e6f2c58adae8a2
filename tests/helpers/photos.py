"""Small photograph sources for tests, made with Pillow: a bright block on a ground, captioned by what it is."""

import io
import json
import tarfile
from pathlib import Path

import numpy as np
from PIL import Image

COLOURS = {"red": (200, 30, 30), "green": (30, 160, 40), "blue": (40, 60, 210), "white": (240, 240, 240)}


def picture(number: int, size: tuple[int, int] = (60, 40)) -> Image.Image:
    colour = list(COLOURS.values())[number % len(COLOURS)]
    noise = np.random.default_rng(number).integers(0, 40, (size[1], size[0], 3), dtype=np.uint8)
    noise[5:-5, size[0] // 3 : -size[0] // 3] = colour
    return Image.fromarray(noise)


def captions(number: int) -> list[str]:
    colour = list(COLOURS)[number % len(COLOURS)]
    return [f"a {colour} block, picture {number}", f"this is {colour}"]


def encoded(image: Image.Image, kind: str = "JPEG", **settings: object) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **settings)
    return out.getvalue()


def image_folder(folder: Path, counts: dict[str, int]) -> Path:
    """With splits as folders; the images of a split follow on those of the one before."""
    number = 0
    for split, count in counts.items():
        (folder / split).mkdir(parents=True)
        lines = []
        for _ in range(count):
            (folder / split / f"{number:03d}.jpg").write_bytes(encoded(picture(number)))
            lines.append(json.dumps({"file_name": f"{number:03d}.jpg", "text": captions(number)}))
            number += 1
        (folder / split / "metadata.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return folder


def coco_folder(folder: Path, train: int, val: int) -> Path:
    """In COCO's layout, two captions an image, listed in another order than the images."""
    (folder / "annotations").mkdir(parents=True)
    for split, first, count in (("train2017", 0, train), ("val2017", train, val)):
        (folder / split).mkdir()
        images, texts = [], []
        for number in range(first, first + count):
            name = f"{number:012d}.jpg"
            (folder / split / name).write_bytes(encoded(picture(number)))
            images.append({"id": number, "file_name": name, "width": 60, "height": 40})
            texts += [{"id": len(texts), "image_id": number, "caption": text} for text in captions(number)]
        content = {"info": {}, "licenses": [], "images": images, "annotations": texts[::-1]}
        (folder / "annotations" / f"captions_{split}.json").write_text(json.dumps(content), encoding="utf-8")
    return folder


def shard(path: Path, samples: dict[str, tuple[bytes | None, str | None]]) -> Path:
    """A tar of KEY.jpg and KEY.txt; None leaves a file out."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for key, (image, text) in samples.items():
            for extension, content in (("jpg", image), ("txt", None if text is None else text.encode())):
                if content is not None:
                    member = tarfile.TarInfo(f"{key}.{extension}")
                    member.size = len(content)
                    tar.addfile(member, io.BytesIO(content))
    return path
