"""``sprouts``: potted plants with faces, drawn from the parts of DiceBear's style of that name, captioned exactly.

Source: the drawings are by DiceBear (https://www.dicebear.com), in the public domain (CC0 1.0). Which parts make which
attribute, captions, splits and held-out pairs are ours. All random choices are keyed (``textvae.utils.random``).
"""

import hashlib
import io
import json
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image
from torch import Tensor

from textvae.data.captioned_images import CaptionedImages
from textvae.data.download import to_stderr
from textvae.data.manifest import SetContents, TextContents
from textvae.data.mirrors import RemoteFile, Say
from textvae.text.sprout_grammar import ATTRIBUTES, BLOOMING, Sprout, sprout_caption
from textvae.utils.errors import UserError
from textvae.utils.files import written_whole
from textvae.utils.paths import data_folders, data_root
from textvae.utils.progress import ProgressLine
from textvae.utils.random import Draws

SIDE = 64
"""Pixels a side."""

SIZES = {"train": 20_000, "val": 1_000, "test": 2_000, "test-seen": 2_000}
"""Images by split. Each image of "test" has at least one held-out pair, the images of the others have none."""

HELD_OUT: frozenset[tuple[str, str, str]] = frozenset(
    (plant, attribute, ATTRIBUTES[attribute][(step * number + 2) % len(ATTRIBUTES[attribute])])
    for attribute, step in (("pot", 5), ("background", 3))
    for number, plant in enumerate(ATTRIBUTES["plant"])
)
"""Pairs that training never has: with each plant one of nine colours of the pot and one of seven of the background."""

CAPTIONS = 3
"""Captions of an image: the first names all its attributes, the others a random part of them."""

PIXELS = {
    "train": "52dac0e909589a7a04e702662cb4087cd0c72064e6ee646e66e7556032700635",
    "val": "283f6911c758867e4f8bbc38f2d8a3d30341f42b3fb407ba51d4d10004a672dd",
    "test": "0e43ee8b5c0fc995c921c55dc01f67429110f6971978d97ad54a4a912848ad0f",
    "test-seen": "87bdcd8f29521d202e057f5c5ed6bee99c87ae5554cba0b21333310784f62356",
}
"""SHA-256 of the pixels of each split, as drawn by the versions that the extra ``sprouts`` of the package names."""

PARTS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "plant": {
        "leaf": ("seedling",),
        "ball cactus": ("ball",),
        "vine": ("tall",),
    },
    "bloom": {
        "yellow": ("#fcd34d",),
        "orange": ("#fdba74",),
        "red": ("#fb7185",),
        "pink": ("#f9a8d4",),
        "purple": ("#c4b5fd",),
    },
    "shape": {"square": ("cylinder",), "bowl-shaped": ("bowl",), "wide": ("tub",), "rimmed": ("rim",)},
    "pot": {
        "blue": ("#7dd3fc",),
        "purple": ("#c4b5fd",),
        "pink": ("#f0abfc",),
        "coral": ("#fda4af", "#fca5a5"),
        "orange": ("#fdba74",),
        "yellow": ("#fcd34d",),
        "lime": ("#bef264",),
        "turquoise": ("#6ee7b9", "#5eead4"),
        "white": ("#e2e8f0",),
    },
    "background": {
        "blue": ("#0369a1", "#1d4ed8"),
        "purple": ("#6d28d9",),
        "magenta": ("#a21caf",),
        "red": ("#be185d", "#be123c"),
        "orange": ("#c2410c", "#b45309"),
        "green": ("#047857", "#0f766e"),
        "black": ("#1e293b",),
    },
}
"""The style's parts and colours for each value; a value that is missing has its own name there. Parts that look alike
at 64 pixels have one value, and parts between two values are not used."""

FACES: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "smiling": (("round", "dots", "bigPupils", "wide"), ("smile",)),
    "laughing": (("happy",), ("grin", "open")),
    "sad": (("round", "dots", "bigPupils"), ("frown",)),
    "angry": (("angry",), ("frown", "line")),
    "surprised": (("wide", "bigPupils", "round"), ("ooh", "open")),
    "sleeping": (("closedLine",), ("tinySmile", "line")),
    "winking": (("wink",), ("smile", "tongue")),
    "bored": (("sleepy",), ("line",)),
}
"""Eyes and mouths of each expression."""


@dataclass(frozen=True)
class SproutPicture:
    """A picture: its attributes, its parts in the style, and its captions."""

    sprout: Sprout
    options: Mapping[str, Any]
    """Of DiceBear's ``Avatar``: every part and every colour, so nothing depends on its random numbers."""
    captions: tuple[str, ...]


@dataclass(frozen=True)
class Sprouts:
    """64-pixel pictures in colour, drawn at the first use and then kept (three minutes of one core, 26 MB)."""

    name: str = "sprouts"
    title: str = "Drawings of potted plants with faces, captioned exactly; 24 pairs of plant and colour are held out"
    home: str = "https://www.dicebear.com/styles/sprouts/"
    terms: str = "CC0 1.0 (public domain); drawings by DiceBear"
    splits: tuple[str, ...] = tuple(SIZES)
    files: tuple[RemoteFile, ...] = ()
    mirrors: tuple[str, ...] = ("drawn on this machine by the packages dicebear-core, dicebear-styles and resvg-py",)

    @property
    def contents(self) -> SetContents:
        """Declares captions in words and 64 pixels, so that recipes for photographs can be trained on the set."""
        return SetContents(self.name, self.name, SIDE, TextContents("words", "", "words", ()))

    def find(self) -> Path | None:
        """The folder that holds the drawn pictures; None before there are all."""
        for folder in data_folders(self.name):
            if all((folder / name).is_file() for split in SIZES for name, _ in _parts(split)):
                return folder
        return None

    def fetch(self, say: Say = to_stderr) -> Path:
        """Draws the pictures that are not there yet and returns their folder. What is interrupted goes on from there.

        Raises:
            UserError: the packages that draw are not installed, or the folder cannot be written to.
        """
        if found := self.find():
            return found
        folder = data_root() / self.name
        draw = renderer()
        with ProgressLine(f"{self.name}: drawing", sum(SIZES.values()), "images") as progress:
            for split in SIZES:
                pictures = pictures_of(split)
                for name, numbers in _parts(split):
                    if not (folder / name).is_file():
                        images = np.stack([draw(pictures[number].options) for number in numbers])
                        with written_whole(folder / name) as temporary, temporary.open("wb") as file:
                            np.savez_compressed(file, images=images)
                    progress.advance(len(numbers))
                if hashlib.sha256(self.load(split).images.numpy().tobytes()).hexdigest() != PIXELS[split]:
                    say(
                        f"{self.name}: the pixels of {split!r} are not those that published numbers were measured on "
                        "(another version of the packages that draw, or another processor)"
                    )
        say(f"{self.name}: {sum(SIZES.values()):,} images in {folder}")
        return folder

    def load(self, split: str) -> CaptionedImages:
        """One of ``splits``, drawn if it is not there (for train, two seconds and 246 MB).

        There are no class labels; ``parse_sprout`` reads the captions.

        Raises:
            UserError: the pictures cannot be drawn, or a file is damaged.
        """
        folder = next(
            (
                folder
                for folder in data_folders(self.name)
                if all((folder / name).is_file() for name, _ in _parts(split))
            ),
            None,
        )
        images = [_read((folder or self.fetch()) / name, len(numbers)) for name, numbers in _parts(split)]
        start = CAPTIONS * torch.arange(SIZES[split])
        return CaptionedImages(
            self.name,
            split,
            torch.cat(images).permute(0, 3, 1, 2),
            tuple(caption for picture in pictures_of(split) for caption in picture.captions),
            torch.stack([start, start + CAPTIONS], dim=1),
        )


SPROUTS = Sprouts()


def pictures_of(split: str) -> list[SproutPicture]:
    """The pictures of a split, always the same ones. Those with held-out pairs are in "test" alone."""
    candidates = _candidates(list(SIZES).index(split))
    found: list[SproutPicture] = []
    while len(found) < SIZES[split]:
        choose = next(candidates)
        sprout = Sprout(**{name: values[choose(len(values))] for name, values in ATTRIBUTES.items()})
        if sprout.plant not in BLOOMING:
            sprout = sprout._replace(bloom=None)
        if is_held_out(sprout) == (split == "test"):
            found.append(_picture(sprout, choose))
    return found


def is_held_out(sprout: Sprout) -> bool:
    """Whether a picture, or a caption, has a pair that training never has."""
    return any((sprout.plant, name, getattr(sprout, name)) in HELD_OUT for name in ("pot", "background"))


def renderer() -> Callable[[Mapping[str, Any]], UInt8[np.ndarray, "64 64 3"]]:
    """The function that draws a picture from its options, in about 6 ms.

    Raises:
        UserError: the packages that draw are not installed.
    """
    try:
        import resvg_py
        from dicebear import Avatar, Style

        style = Style(json.loads((resources.files("dicebear_styles") / "sprouts.json").read_text(encoding="utf-8")))
    except ImportError as error:
        raise UserError(f"sprouts are drawn by the package {error.name}", "pip install 'textvae[sprouts]'") from None

    def draw(options: Mapping[str, Any]) -> UInt8[np.ndarray, "64 64 3"]:
        drawing = Avatar(style, dict(options)).to_string()
        png = resvg_py.svg_to_bytes(svg_string=drawing, width=SIDE, height=SIDE, skip_system_fonts=True)
        return np.asarray(Image.open(io.BytesIO(bytes(png))).convert("RGB"))

    return draw


def _picture(sprout: Sprout, choose: Callable[[int], int]) -> SproutPicture:
    assert sprout.expression is not None
    eyes, mouths = FACES[sprout.expression]
    options = {
        "seed": "",
        "plantVariant": _part(sprout, "plant", choose),
        "plantColor": _one(_LEAVES, choose),
        # Small blooms have a colour as well, which no caption names.
        "bloomColor": _one([colour for colours in PARTS["bloom"].values() for colour in colours], choose)
        if sprout.bloom is None
        else _part(sprout, "bloom", choose),
        "potVariant": _part(sprout, "shape", choose),
        "potColor": _part(sprout, "pot", choose),
        "backgroundColor": _part(sprout, "background", choose),
        "eyesVariant": _one(eyes, choose),
        "mouthVariant": _one(mouths, choose),
        "patternProbability": 100 * choose(2),
        "patternVariant": _one(_PATTERNS, choose),
        "cheeksProbability": 100 * (choose(3) == 0),
        "cheeksVariant": _one(_CHEEKS, choose),
        "animationVariant": ["none"],
    }
    return SproutPicture(
        sprout, options, tuple(sprout_caption(_some(sprout, choose) if n else sprout, choose) for n in range(CAPTIONS))
    )


def _part(sprout: Sprout, attribute: str, choose: Callable[[int], int]) -> list[str]:
    value = getattr(sprout, attribute)
    return _one(PARTS[attribute].get(value, (value,)), choose)


def _one(values: Sequence[str], choose: Callable[[int], int]) -> list[str]:
    """One of several parts or colours, as the style takes it."""
    return [values[choose(len(values))]]


def _some(sprout: Sprout, choose: Callable[[int], int]) -> Sprout:
    """The picture with some of its attributes left out, at least one named."""
    given = [name for name, value in sprout._asdict().items() if value is not None]
    while True:
        part = {name: getattr(sprout, name) for name in given if choose(2)}
        if part and ("plant" in part or "bloom" not in part):
            return Sprout(**part)


_LEAVES = ("#4ade80", "#34d399", "#2dd4bf", "#a3e635", "#86efac", "#6ee7b9", "#22c55e", "#10b981")
_PATTERNS = ("band", "dots", "stripes", "chevron", "speckles", "ring")
_CHEEKS = ("blush", "blushBig", "freckles")

_PART = 1_000
"""Images in a file."""

_NUMBERS = 128
"""Random numbers of a candidate: the most that a picture and its captions take, with a wide margin."""


def _candidates(split: int) -> Iterator[Callable[[int], int]]:
    """Endless sources of choices, one for each candidate picture."""
    block = 0
    while True:
        for row in Draws(split, block, torch.arange(_PART)).uniform(_NUMBERS).tolist():
            yield _chooser(row)
        block += 1


def _chooser(uniforms: Sequence[float]) -> Callable[[int], int]:
    """A function that returns a whole number below its argument, from the next of these numbers."""
    numbers = iter(uniforms)
    return lambda count: int(next(numbers) * count)


def _parts(split: str) -> list[tuple[str, range]]:
    """The files of a split, each with the numbers of its images."""
    starts = range(0, SIZES[split], _PART)
    return [(f"{split}-{start // _PART:02}.npz", range(start, min(start + _PART, SIZES[split]))) for start in starts]


def _read(file: Path, count: int) -> UInt8[Tensor, "n 64 64 3"]:
    try:
        with np.load(file, allow_pickle=False) as stored:
            images = stored["images"]
        if images.dtype != np.uint8 or images.shape != (count, SIDE, SIDE, 3):
            raise ValueError(f"it holds {images.dtype} of shape {images.shape}")
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(f"{file} is damaged: {error}", "delete it and run: textvae data fetch sprouts") from None
    return torch.from_numpy(images)
