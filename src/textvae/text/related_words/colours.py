"""Colours by their names, for colour words that a model does not know.

Words for colours are hard for a table of related words: WordNet knows most of them as a kind of colour and no more, and
a sentence encoder finds "red" and "blue" alike. But how near two colours are can be computed.

Source: the colours of the names are the averages of the xkcd colour survey (Randall Munroe, 2010,
https://xkcd.com/color/rgb/, CC0), 140,000 persons who named colours on their screens. The space in which they are
compared: Björn Ottosson, "A perceptual color space for image processing" (OKLab), 2020.
"""

import functools
import itertools
import math
from collections.abc import Collection

__all__ = ["COLOURS", "THINGS_AS_WELL", "alike", "colour_words", "oklab"]

FARTHEST = 0.17
"""Largest distance in OKLab of colours that may stand for each other: red is 0.11 from coral and 0.21 from pink."""
MIXED_FARTHEST, CLOSE, CLEARLY_NEARER = 0.12, 0.1, 0.6
"""Largest distance of the mean of two colours. It has to be nearer than the nearest colour; where that is ``CLOSE``,
than this share of its distance."""
SAME_HUE, LEAST_CHROMA = math.radians(45), 0.05
"""Largest angle between hues that are shades of one colour, and how colourful a colour must be to have a hue."""
CIRCLE = ("red", "orange", "yellow", "green", "blue", "purple", "pink")
NEUTRAL = ("white", "black", "grey", "gray", "brown")
"""Basic colours: those with a hue, in the order of the colour circle, and others."""


def _parsed(text: str) -> dict[str, str]:
    return dict(pair.split("=") for pair in text.split())


_COLOURS = _parsed(
    """
    red=e50000 orange=f97306 yellow=ffff14 green=15b01a blue=0343df purple=7e1e9c pink=ff81c0 brown=653700
    black=000000 white=ffffff grey=929591 gray=929591 crimson=8c000f scarlet=be0119 maroon=650021 burgundy=610023
    vermillion=f4320c carmine=9d0216 auburn=9a3001 golden=f5bf03 ochre=bf9005 beige=e6daa6 tan=d1b26f ecru=feffca
    khaki=aaa662 taupe=b9a281 sepia=985e2b sienna=a9561e chartreuse=c1f80a turquoise=06c2ac teal=029386
    aquamarine=04d8b2 cyan=00ffff azure=069af3 cerulean=0485d1 navy=01153e ultramarine=2000b1 indigo=380282
    violet=9a0eea lavender=c79fef lilac=cea2fd mauve=ae7181 magenta=c20078 fuchsia=ed0dd9 periwinkle=8e82fe
    cerise=de0c62 rust=a83c09 peach=ffb07c gold=dbb40c mustard=ceb301 bronze=a87900 copper=b66325 silver=c5c9c7
    cream=ffffc2 puce=a57e52 reddish=c44240 orangish=fc824a yellowish=faee66 greenish=40a368 bluish=2976bb
    purplish=94568c pinkish=d46a7e brownish=9c6d57 greyish=a8a495 grayish=a8a495
    """
)
_THINGS = _parsed(
    """
    claret=680018 russet=a13905 salmon=ff796c coral=fc5a50 apricot=ffb16d amber=feb308 saffron=feb209 buff=fef69e
    ivory=ffffcb olive=6e750e lime=aaff32 emerald=01a049 jade=1fa774 aqua=13eac9 cobalt=1e488f sapphire=2138ab
    amethyst=9b5fc0 plum=580f41
    """
)
COLOURS = {**_COLOURS, **_THINGS}
"""The colour of each name, as six hexadecimal digits of sRGB."""
THINGS_AS_WELL = frozenset(_THINGS)
"""Names that may mean a thing instead, such as "olive"."""


def colour_words(name: str, known: Collection[str]) -> tuple[str, ...]:
    """The known colour that is nearest to a named one, or two basic colours whose mean is nearer; () if all are far.

    Two colours stand for a third where no name is near: a model that did not learn "orange" draws it for "red yellow"
    (docs/experiment_log.md, "words that no caption had").

    Args:
        name: one of ``COLOURS``.
        known: words, which may include ``name`` itself.
    """
    place = oklab(COLOURS[name])
    ones = [
        (math.dist(place, oklab(COLOURS[other])), (other,)) for other in COLOURS if other != name and other in known
    ]
    # Yellow and blue have the mean of grey, but nobody means that.
    mixed_from = (*CIRCLE, *NEUTRAL) if _chroma(place) >= LEAST_CHROMA else NEUTRAL
    basic = [other for other in mixed_from if other != name and other in known]
    pairs = [
        (math.dist(place, _mean(oklab(COLOURS[first]), oklab(COLOURS[second]))), (first, second))
        for first, second in itertools.combinations(basic, 2)
        if _may_mix(first, second)
    ]
    alone, one = min(ones, default=(math.inf, ()))
    mixed, two = min(pairs, default=(math.inf, ()))
    if mixed <= MIXED_FARTHEST and mixed < (CLEARLY_NEARER if alone <= CLOSE else 1.0) * alone:
        return two
    return one if alone <= FARTHEST else ()


def alike(first: str, second: str) -> bool:
    """Whether one colour may stand for the other where a table relates them: navy for blue, but not white for blue."""
    one, other = oklab(COLOURS[first]), oklab(COLOURS[second])
    if math.dist(one, other) <= FARTHEST:
        return True
    if min(_chroma(one), _chroma(other)) < LEAST_CHROMA:
        return False
    turn = abs(math.atan2(one[2], one[1]) - math.atan2(other[2], other[1]))
    return min(turn, 2 * math.pi - turn) <= SAME_HUE


def _may_mix(first: str, second: str) -> bool:
    """Whether people know the mixture of two basic colours as a colour between them: hues must not be far apart."""
    if first in NEUTRAL or second in NEUTRAL:
        return True
    steps = abs(CIRCLE.index(first) - CIRCLE.index(second))
    return min(steps, len(CIRCLE) - steps) <= 2


def _chroma(place: tuple[float, ...]) -> float:
    return math.hypot(*place[1:])


def _mean(first: tuple[float, ...], second: tuple[float, ...]) -> tuple[float, ...]:
    return tuple((a + b) / 2 for a, b in zip(first, second, strict=True))


@functools.cache
def oklab(colour: str) -> tuple[float, float, float]:
    """Lightness, green to red, and blue to yellow."""
    red, green, blue = (_linear(int(colour[place : place + 2], 16) / 255) for place in (0, 2, 4))
    long = (0.4122214708 * red + 0.5363325363 * green + 0.0514459929 * blue) ** (1 / 3)
    medium = (0.2119034982 * red + 0.6806995451 * green + 0.1073969566 * blue) ** (1 / 3)
    short = (0.0883024619 * red + 0.2817188376 * green + 0.6299787005 * blue) ** (1 / 3)
    return (
        0.2104542553 * long + 0.7936177850 * medium - 0.0040720468 * short,
        1.9779984951 * long - 2.4285922050 * medium + 0.4505937099 * short,
        0.0259040371 * long + 0.7827717662 * medium - 0.8086757660 * short,
    )


def _linear(value: float) -> float:
    return value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4
