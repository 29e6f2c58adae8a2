"""The named photograph sets: every fact about each of them, once. A new set is one entry in ``PHOTOGRAPHS``."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest
from typing import Literal, Protocol

from textvae.data.captioned_digits import CAPTIONED_DIGITS

LayoutName = Literal["coco", "image-folder", "tables", "webdataset", "side-cars", "class-folders"]


class Described(Protocol):
    """Facts that are shown to people about any data: a photograph set, or a data set that is ready for training."""

    @property
    def name(self) -> str:
        """As on the command line."""

    @property
    def title(self) -> str:
        """One line."""

    @property
    def home(self) -> str:
        """The web page of its authors."""

    @property
    def terms(self) -> str:
        """Licence and authors."""


@dataclass(frozen=True)
class PhotographSet:
    """Captioned photographs in a folder, before they are prepared for training."""

    name: str
    """As on the command line; the folder is $TEXTVAE_DATA/NAME, or NAME in textvae's own data folder."""
    title: str
    home: str
    terms: str
    layout: LayoutName | None
    """How the files are arranged; ``textvae.preparation.layouts`` has the readers. None for a joined set."""
    fit: Literal["crop", "pad"] = "crop"
    """How a picture becomes square: its central square is cut out, or it is padded with white."""
    caption_length: int = 24
    """Words of a caption that a recipe which learns its vocabulary reads."""
    mirror: bool = True
    """Whether a mirrored picture is still one of the set; pictures that show text are not."""
    colours: tuple[str, ...] = ()
    """Colour words whose presence in samples is measured; empty if captions rarely name colours."""
    fetched: bool = False
    """Whether ``textvae data fetch`` downloads it from its authors' address."""
    prompts: tuple[str, ...] = ()
    """Example prompts, sampled during training and for figures; without any, captions of the training set serve."""
    parts: tuple[str, ...] = ()
    """The sets that a joined set consists of; empty for a set with files of its own."""

    @property
    def pair(self) -> str:
        """The recipe of its dual encoder, which embeds captions and images in one space."""
        return f"pair-{self.name}"

    @property
    def retrieval_judge(self) -> str:
        """The recipe of a second dual encoder, which never conditions a model and scores samples by retrieval."""
        return f"pair-judge-{self.name}"

    @property
    def captioner(self) -> str:
        """The recipe of a model that writes captions of its pictures."""
        return f"captioner-{self.name}"


_COCO_TERMS = "captions CC BY 4.0, the COCO consortium; photographs Flickr, each under its own licence"

_SCENES = (
    # What paper c asked for: grass, sky and snow; and what MS-COCO shows most.
    "a cow standing in the green grass under a blue sky",
    "a man skiing down a hill of white snow",
    "a red bus on a city street",
    "a plate of food on a wooden table",
    "a beach with the sea and a surfer",
)


def joined(sets: Sequence[PhotographSet], name: str = "") -> PhotographSet:
    """What holds for several sets together: the facts of all, the most cautious choices, a few prompts of each.

    Args:
        sets: two or more, in the order in which they are joined.
        name: of the whole; default: see ``joined_name``.
    """
    prompts = chain.from_iterable(zip_longest(*(part.prompts for part in sets)))
    homes, terms = ({getattr(part, fact): None for part in sets} for fact in ("home", "terms"))
    return PhotographSet(
        name or joined_name([part.name for part in sets]),
        " + ".join(part.title for part in sets),
        ", ".join(home for home in homes if home),
        " + ".join(terms),
        None,
        caption_length=max(part.caption_length for part in sets),
        mirror=all(part.mirror for part in sets),
        colours=sets[0].colours if len({part.colours for part in sets}) == 1 else (),
        prompts=tuple(dict.fromkeys(prompt for prompt in prompts if prompt))[:JOINED_PROMPTS],
        parts=tuple(part.name for part in sets),
    )


def joined_name(names: Sequence[str]) -> str:
    """The name of a joined set that has no entry of its own: A+B, or A+12-more where that would be too long."""
    name = JOIN.join(names)
    return name if len(name) <= LONGEST_NAME else f"{names[0]}{JOIN}{len(names) - 1}-more"


JOIN = "+"
"""Between the names of the parts, in the name of a joined set that has no entry of its own."""
LONGEST_NAME = 100
"""Of a joined set: file names have 255 bytes at most, and the set's size and text encoder are appended."""
JOINED_PROMPTS = 7

_SINGLE: dict[str, PhotographSet] = {
    entry.name: entry
    for entry in (
        PhotographSet(
            "coco",
            "MS-COCO: photographs of everyday scenes, five captions each",
            "https://cocodataset.org",
            _COCO_TERMS,
            "coco",
            # 95 of 100 captions have no more words.
            caption_length=16,
            fetched=True,
            prompts=_SCENES,
        ),
        PhotographSet(
            "coco-mini",
            "2,145 + 400 images of MS-COCO 2017 with captions, short side 256",
            "https://cocodataset.org",
            f"{_COCO_TERMS}; for research",
            "coco",
            caption_length=16,
            fetched=True,
            prompts=_SCENES,
        ),
        PhotographSet(
            "flickr8k",
            "Flickr8k: 7,086 + 1,000 photographs of people and animals, five captions each, short side 128",
            "https://hockenmaier.cs.illinois.edu/Framing_Image_Description",
            "Hodosh, Young and Hockenmaier (2013), JAIR 47: non-commercial research and education with this citation; "
            "photographs Flickr, their authors'",
            "coco",
            # 95 of 100 captions have no more words.
            caption_length=18,
            prompts=(
                "a brown dog runs through the grass",
                "a child in a red shirt plays in the snow",
                "a man rides a wave on a surfboard",
                "two people stand on a mountain under a blue sky",
                "a boy jumps into a swimming pool",
            ),
        ),
        PhotographSet(
            "flowers102",
            "Oxford Flowers 102 with a descriptive sentence each",
            "https://www.robots.ox.ac.uk/~vgg/data/flowers/102/",
            "Nilsback and Zisserman (2008); sentences Reed et al. (2016); for research",
            "image-folder",
            # 95 of 100 captions have no more words.
            caption_length=22,
            colours=("red", "yellow", "purple", "white", "blue", "orange", "pink"),
            prompts=(
                "a flower with pink petals and a yellow center",
                "this flower has red petals",
                "a white flower with large round petals",
                "this flower is purple and has long thin petals",
                "bright yellow petals and green leaves",
                "an orange flower",
                "a blue flower",
            ),
        ),
        PhotographSet(
            "products",
            "catalogue photographs of fashion products with their titles, 60x80 pixels",
            "https://github.com/aishwaryab27/FashionWebsite",
            "the makers' own; for research",
            "webdataset",
            # The central square of a 60x80 picture lacks heads, hems and soles. The background is white.
            fit="pad",
            # All but a few titles have no more words.
            caption_length=10,
            # Many of the products bear text.
            mirror=False,
            colours=("black", "white", "blue", "red", "brown", "green"),
            prompts=(
                "men black shirt",
                "women red handbag",
                "white casual shoes",
                "blue jeans",
                "women pink top",
                "brown leather belt",
                "black dial watch",
            ),
        ),
    )
}

PHOTOGRAPHS: dict[str, PhotographSet] = {
    **_SINGLE,
    "scenes": joined((_SINGLE["coco-mini"], _SINGLE["flickr8k"]), "scenes"),
}
"""The sets that have a name, whose dual encoders are recipes."""


def photograph_set(name: str) -> PhotographSet | None:
    """The facts about a set: its entry, or those of its parts where the name joins entries by ``JOIN``; else None."""
    if name in PHOTOGRAPHS:
        return PHOTOGRAPHS[name]
    parts = [PHOTOGRAPHS.get(part) for part in name.split(JOIN)]
    known = [part for part in parts if part is not None]
    return joined(known) if 1 < len(known) == len(parts) else None


JUDGES: Mapping[str, str] = {
    "fashion-mnist": "judge-fashion",
    "mnist": "judge-digits",
    **{digits.name: "judge-digits" for digits in CAPTIONED_DIGITS},
}
"""The classifier that judges samples of each data set with classes: a model that ships with textvae, by name."""
