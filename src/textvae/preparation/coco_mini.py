"""Builds coco-mini, the subset of MS-COCO 2017 on which our photograph models are measured, from MS-COCO itself.

``coco_mini.json`` names its images without holding any of them, or any caption:

known     for each image of which the COCO id is known, the id and the beginning of the hash of each caption
unknown   for the others, the hash of their only caption, and 64 bits of the image that tell apart the images of
          MS-COCO which have that caption

The 1,929 unknown images come from a collection without ids. Photographs that are built here are scaled from the
originals, ours partly from smaller copies: the scenes and the captions are the same, the pixels are nearly so.
"""

import hashlib
import json
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from textvae.data.coco import fetch_coco, fetch_photographs, whole_coco
from textvae.utils.errors import UserError
from textvae.utils.files import alone, write_json, written_whole
from textvae.utils.paths import data_folders, data_root
from textvae.utils.progress import ProgressLine, say

NAME = "coco-mini"
SHORT_SIDE, QUALITY = 256, 85
SPLITS = {"train": "train2017", "val": "val2017"}
"""The folder of each split. Both are filled from either split of MS-COCO."""
SAME_IMAGE = 12
"""Bits of ``image_bits`` that may differ between two scalings of a photograph: at most 8 of 64 did for our images at
0.8 and 2 times their size, while another image of the set differs by 16 in the median."""


def build_coco_mini() -> Path:
    """Builds coco-mini from MS-COCO and returns its folder. What is not here of MS-COCO is downloaded.

    That is the archive of annotations (0.25 GB), and the needed photographs alone (about 0.5 GB), if
    ``textvae data fetch coco`` has not brought all.

    Raises:
        UserError: something cannot be fetched, read or written. The same call continues.
    """
    target = data_root() / NAME
    if any((folder / "annotations" / f"captions_{SPLITS['train']}.json").is_file() for folder in data_folders(NAME)):
        return next(folder for folder in data_folders(NAME) if folder.is_dir())
    with alone(target.with_name(f".{NAME}.lock")) as mine:
        if not mine:
            raise UserError(f"another process is building {NAME}", "Wait until it ends")
        coco = whole_coco(2017)
        candidates = _candidates(_members(), read_annotations(coco or fetch_coco(2017, annotations_only=True)))
        originals = coco or target.with_name(f".{NAME}.originals")
        if coco is None:
            fetch_photographs(sorted({scene.file for found in candidates.values() for scene in found}), originals)
        for split, members in _members().items():
            _write_split(split, [(member, candidates[member]) for member in members], originals, target)
        if coco is None:
            shutil.rmtree(originals)
    return target


@dataclass(frozen=True)
class Member:
    """An image of coco-mini, as ``coco_mini.json`` names it."""

    number: int | None
    """Its COCO id; None if it is not known."""
    captions: tuple[str, ...]
    """``caption_hash`` of its captions, or the beginning of it."""
    bits: int = 0
    """``image_bits`` of an image without a known id."""


@dataclass(frozen=True)
class Scene:
    """An image of MS-COCO."""

    number: int
    file: str
    """Below the folder of MS-COCO, such as "train2017/000000000009.jpg"."""
    captions: tuple[str, ...]


def caption_hash(caption: str) -> str:
    """The first 48 bits of the SHA-256 of a caption without white space around it, in hexadecimal."""
    return hashlib.sha256(caption.strip().encode()).hexdigest()[:12]


def image_bits(picture: Image.Image) -> int:
    """64 bits of an image that scaling hardly changes: whether grey means of 8 x 9 areas increase to the right."""
    grey = np.asarray(picture.convert("L").resize((9, 8), Image.Resampling.BOX), np.int16)
    return int("".join("1" if rises else "0" for rises in (grey[:, 1:] > grey[:, :-1]).ravel()), 2)


def _members() -> dict[str, list[Member]]:
    listed = json.loads((resources.files("textvae.preparation") / "coco_mini.json").read_text(encoding="utf-8"))
    return {
        split: [
            *(Member(number, tuple(captions.split())) for number, captions in parts["known"]),
            *(Member(None, (caption,), int(bits, 16)) for caption, bits in map(str.split, parts["unknown"])),
        ]
        for split, parts in listed.items()
    }


def read_annotations(coco: Path) -> list[Scene]:
    """All images of MS-COCO 2017 with their captions.

    Raises:
        UserError: the annotations cannot be read.
    """
    scenes = []
    for folder in SPLITS.values():
        file = coco / "annotations" / f"captions_{folder}.json"
        try:
            content = json.loads(file.read_bytes())
            captions: dict[int, list[str]] = {image["id"]: [] for image in content["images"]}
            for annotation in content["annotations"]:
                captions[annotation["image_id"]].append(annotation["caption"])
            scenes += [
                Scene(image["id"], f"{folder}/{image['file_name']}", tuple(captions[image["id"]]))
                for image in content["images"]
            ]
        except (OSError, ValueError, LookupError, TypeError) as error:
            raise UserError(
                f"{file} cannot be read: {error}", "textvae data fetch coco --annotations-only brings it"
            ) from None
    return scenes


def _candidates(members: Mapping[str, Sequence[Member]], scenes: Iterable[Scene]) -> dict[Member, list[Scene]]:
    """The scenes that each member may be: one with its id, or all with its caption."""
    by_number: dict[int, Scene] = {}
    by_caption: dict[str, dict[int, Scene]] = {
        member.captions[0]: {} for own in members.values() for member in own if member.number is None
    }
    for scene in scenes:
        by_number[scene.number] = scene
        for caption in scene.captions:
            if (alike := by_caption.get(caption_hash(caption))) is not None:
                alike[scene.number] = scene
    found: dict[Member, list[Scene]] = {}
    for member in (member for own in members.values() for member in own):
        if member.number is None:
            found[member] = list(by_caption[member.captions[0]].values())
        else:
            found[member] = [by_number[member.number]] if member.number in by_number else []
    return found


def _write_split(split: str, members: Sequence[tuple[Member, list[Scene]]], coco: Path, target: Path) -> None:
    """The photographs of a split, then its annotations."""
    folder = SPLITS[split]
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    missing = 0
    with ProgressLine(f"{NAME}: {split}", len(members), "images") as progress:
        for member, scenes in members:
            progress.advance(1)
            scene = _chosen(member, scenes, coco)
            if scene is None:
                missing += 1
                continue
            file_name = Path(scene.file).name
            width, height = _write_scaled(coco / scene.file, target / folder / file_name)
            images.append({"id": scene.number, "file_name": file_name, "width": width, "height": height})
            wanted = [caption for caption in scene.captions if caption_hash(caption).startswith(member.captions)]
            # A caption that the consortium has corrected since has another hash.
            annotations += [
                {"id": len(annotations) + 1 + n, "image_id": scene.number, "caption": caption}
                for n, caption in enumerate(wanted or scene.captions[:5])
            ]
    if missing:
        say(f"{NAME}: {missing} of {len(members)} images of {split} are not in MS-COCO as it is here")
    about = {"description": "subset of MS-COCO 2017 captions, images scaled to a short side of 256 px"}
    write_json(
        target / "annotations" / f"captions_{folder}.json",
        {"info": about, "licenses": [], "images": images, "annotations": annotations},
    )


def _chosen(member: Member, scenes: Sequence[Scene], coco: Path) -> Scene | None:
    """The scene that a member is; None if it is none of them."""
    if member.number is not None:
        return scenes[0] if scenes else None
    distances = []
    for scene in scenes:
        with Image.open(coco / scene.file) as picture:
            distances.append(((image_bits(picture) ^ member.bits).bit_count(), scene.number))
    if not distances or min(distances)[0] > SAME_IMAGE:
        return None
    return next(scene for scene in scenes if scene.number == min(distances)[1])


def _write_scaled(source: Path, target: Path) -> tuple[int, int]:
    """Writes a photograph with a short side of ``SHORT_SIDE``; gives its width and height."""
    with Image.open(source) as opened:
        picture = opened.convert("RGB")
    factor = SHORT_SIDE / min(picture.size)
    size = (round(picture.width * factor), round(picture.height * factor))
    if not target.is_file():
        with written_whole(target) as temporary:
            picture.resize(size, Image.Resampling.LANCZOS).save(temporary, "JPEG", quality=QUALITY)
    return size
