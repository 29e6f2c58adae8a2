"""Grammar and parser of captions of potted plants with faces, and the attributes that a caption names as one vector."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32

from textvae.text.base import NONE, RowEncoder
from textvae.text.vocabulary import require_known
from textvae.utils.errors import UserError

ATTRIBUTES: Mapping[str, tuple[str, ...]] = {
    "plant": (
        *("sprout", "leaf", "cactus", "ball cactus", "succulent", "bush"),
        *("vine", "flower", "tulip", "palm", "grass", "buds"),
    ),
    "bloom": ("yellow", "orange", "red", "pink", "purple"),
    "expression": ("smiling", "laughing", "sad", "angry", "surprised", "sleeping", "winking", "bored"),
    "shape": ("round", "square", "bowl-shaped", "wide", "rimmed"),
    "pot": ("blue", "purple", "pink", "coral", "orange", "yellow", "lime", "turquoise", "white"),
    "background": ("blue", "purple", "magenta", "red", "orange", "green", "black"),
}
"""The values of each attribute. "bloom", "pot" and "background" are colours, "shape" is that of the pot."""

BLOOMING = ("flower", "tulip")
"""The plants whose blooms are large enough to have the attribute "bloom"."""


class Sprout(NamedTuple):
    """What a caption says of a picture, by attribute; None where it says nothing."""

    plant: str | None = None
    bloom: str | None = None
    expression: str | None = None
    shape: str | None = None
    pot: str | None = None
    background: str | None = None


def sprout_caption(sprout: Sprout, pick: Callable[[int], int] = lambda count: 0) -> str:
    """Returns a caption that names the given attributes and no others.

    Args:
        sprout: at least one attribute is given; a bloom only of ``BLOOMING`` plants.
        pick: chooses among ``count`` wordings. By default the canonical one, such as "a smiling cactus in a round
            yellow pot on a blue background".
    """
    noun = "plant" if sprout.plant is None else _wording(_PLANTS, sprout.plant, pick)
    face = "" if sprout.expression is None else _wording(_EXPRESSIONS, sprout.expression, pick)
    on_face = bool(face) and pick(3) == 2
    plant = " ".join(filter(None, ["" if on_face else face, sprout.bloom, noun]))
    modifiers = [_wording(_COLOURS | _SHAPES, value, pick) for value in (sprout.shape, sprout.pot) if value is not None]
    if pick(3) == 2:
        modifiers.reverse()
    pot = " ".join([*modifiers, _POTS[pick(len(_POTS))]]) if modifiers else ""
    wall = ""
    if sprout.background is not None:
        wall = f"{_wording(_COLOURS, sprout.background, pick)} {_BACKGROUNDS[pick(len(_BACKGROUNDS))]}"
    form = pick(4)
    if form == 3:
        return ", ".join(filter(None, [plant, f"{face} face" if on_face else "", pot, wall]))
    plant = _with_article(plant) + (f" with {_with_article(face)} face" if on_face else "")
    pot = pot and _with_article(pot)
    if pot:
        plant = f"{pot} with {plant}" if form == 1 else f"{plant} in {pot}"
    if not wall:
        return plant
    wall = f"{('on', 'in front of', 'against')[pick(3)]} {_with_article(wall)}"
    return f"{wall}, {plant}" if form == 2 else f"{plant} {wall}"


def parse_sprout(caption: str) -> Sprout:
    """Parses a caption of any word order: a colour belongs to the next noun (plant, pot or background).

    Raises:
        UserError: a word is unknown, an attribute is named twice, a colour belongs to nothing or is not one that its
            noun can have, or nothing is named.
    """
    words = _words(caption)
    require_known(words, _vocabulary())
    found: dict[str, str] = {}
    colour: str | None = None

    position = 0
    while position < len(words):
        length = next(n for n in (3, 2, 1) if n == 1 or " ".join(words[position : position + n]) in _meanings())
        meaning = _meanings().get(" ".join(words[position : position + length]))
        position += length
        if meaning is None:
            continue
        kind, value = meaning
        if kind == "colour":
            if colour is not None:
                raise _mistake(caption, f"has {colour} and {value} in a row", "write a noun after each colour")
            colour = value
        elif kind in ("expression", "shape"):
            _name(found, kind, value, caption)
        else:
            if kind == "plant" and value:
                _name(found, "plant", value, caption)
            if colour is not None:
                _name(found, {"plant": "bloom"}.get(kind, kind), colour, caption)
                colour = None
    if colour is not None:
        raise _mistake(caption, f"does not say what is {colour}", "write pot, background or a flower after it")
    if "bloom" in found and found.get("plant") not in BLOOMING:
        raise _mistake(
            caption, f"gives a colour to {found.get('plant', 'a plant')}", f"give one to: {', '.join(BLOOMING)}"
        )
    if not found:
        raise _mistake(caption, "names nothing", 'write, say, "a smiling cactus in a round yellow pot"')
    return Sprout(**found)


@dataclass(frozen=True)
class SproutVectors(RowEncoder):
    """Text encoder of captions as one vector: a one-hot part for each attribute, zeros where it is not named."""

    @property
    def width(self) -> int:
        """Numbers in a vector."""
        return sum(map(len, ATTRIBUTES.values()))

    def rows(self, captions: Sequence[str]) -> Float32[np.ndarray, "n width"]:
        """Encodes captions, one row per caption; ``NONE`` becomes zeros.

        Raises:
            UserError: as ``parse_sprout``.
        """
        rows = np.zeros((len(captions), self.width), np.float32)
        for row, caption in zip(rows, captions, strict=True):
            if _words(caption) == [NONE]:
                continue
            for attribute, value in parse_sprout(caption)._asdict().items():
                if value is not None:
                    row[_offset(attribute) + ATTRIBUTES[attribute].index(value)] = 1.0
        return rows


_PLANTS = {
    "ball cactus": ("ball cactus", "globe cactus"),
    "succulent": ("succulent", "aloe"),
    "bush": ("bush", "shrub"),
    "palm": ("palm", "palm tree"),
    "grass": ("tuft of grass", "grass tuft"),
    "buds": ("pair of buds", "bud plant"),
}
_EXPRESSIONS = {
    "smiling": ("smiling", "happy"),
    "laughing": ("laughing", "giggling"),
    "sad": ("sad", "unhappy"),
    "angry": ("angry", "grumpy"),
    "surprised": ("surprised", "astonished"),
    "sleeping": ("sleeping", "dozing"),
    "bored": ("bored", "unimpressed"),
}
_SHAPES = {"square": ("square", "boxy"), "bowl-shaped": ("bowl-shaped", "curved"), "wide": ("wide", "broad")}
_COLOURS = {"purple": ("purple", "violet"), "coral": ("coral", "salmon"), "turquoise": ("turquoise", "aqua")}
"""The wordings of a value, where it has several; the first is canonical."""
_POTS = ("pot", "planter")
_BACKGROUNDS = ("background", "backdrop", "wall")
_FILLERS = (*("a", "an", "the", "and", "with", "in", "on", "of", "front", "against", "its", "is", "that"), "face")


@cache
def _meanings() -> Mapping[str, tuple[str, str]]:
    """Kind and value of each word, or phrase of words, that says something."""
    found = {"plant": ("plant", "")}
    found |= dict.fromkeys(_POTS, ("pot", "")) | dict.fromkeys(_BACKGROUNDS, ("background", ""))
    colours = [*ATTRIBUTES["bloom"], *ATTRIBUTES["pot"], *ATTRIBUTES["background"]]
    kinds: dict[str, tuple[Sequence[str], Mapping[str, tuple[str, ...]]]] = {
        "plant": (ATTRIBUTES["plant"], _PLANTS),
        "colour": (colours, _COLOURS),
        "expression": (ATTRIBUTES["expression"], _EXPRESSIONS),
        "shape": (ATTRIBUTES["shape"], _SHAPES),
    }
    for kind, (values, wordings) in kinds.items():
        for value in values:
            for wording in (value, *wordings.get(value, ())):
                found[" ".join(_words(wording))] = (kind, value)
    return found


@cache
def _vocabulary() -> tuple[str, ...]:
    return tuple(dict.fromkeys([*" ".join(_meanings()).split(), *_FILLERS]))


@cache
def _offset(attribute: str) -> int:
    """Where the part of an attribute begins in a vector."""
    names = list(ATTRIBUTES)
    return sum(len(ATTRIBUTES[name]) for name in names[: names.index(attribute)])


def _wording(table: Mapping[str, tuple[str, ...]], value: str, pick: Callable[[int], int]) -> str:
    wordings = table.get(value, (value,))
    return wordings[pick(len(wordings))]


def _name(found: dict[str, str], attribute: str, value: str, caption: str) -> None:
    """Adds an attribute to those that are found."""
    if value not in ATTRIBUTES[attribute]:
        cure = f"choose one of: {', '.join(ATTRIBUTES[attribute])}"
        raise _mistake(caption, f"there is no {value} {attribute}", cure)
    if attribute in found:
        raise _mistake(caption, f"names the {attribute} twice", f"name one, such as {value} or {found[attribute]}")
    found[attribute] = value


def _words(caption: str) -> list[str]:
    return re.findall(r"\w+", caption.casefold())


def _with_article(phrase: str) -> str:
    return f"{'an' if phrase[0] in 'aeiou' else 'a'} {phrase}"


def _mistake(caption: str, why: str, cure: str) -> UserError:
    shown = " ".join(_words(caption))[:80]
    return UserError(f'"{shown}": {why}', cure)
