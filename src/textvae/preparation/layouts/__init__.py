"""The layouts in which captioned photographs are stored, and ``find_photographs``, which opens a set or a folder."""

import difflib
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from textvae.data.catalog import PHOTOGRAPHS, LayoutName, PhotographSet, joined
from textvae.preparation.layouts.class_folders import ClassFolders
from textvae.preparation.layouts.coco import CocoCaptions
from textvae.preparation.layouts.hub import ADDRESS, HubDataset
from textvae.preparation.layouts.image_folder import ImageFolder
from textvae.preparation.layouts.names import IMAGES, extension, folders
from textvae.preparation.layouts.side_cars import SideCars
from textvae.preparation.layouts.tables import Tables
from textvae.preparation.layouts.webdataset import Shards
from textvae.preparation.record import Layout
from textvae.utils.errors import UserError
from textvae.utils.paths import data_folders

LAYOUTS: Mapping[
    LayoutName,
    type[CocoCaptions] | type[ImageFolder] | type[Tables] | type[Shards] | type[SideCars] | type[ClassFolders],
] = {
    "coco": CocoCaptions,
    "image-folder": ImageFolder,
    "webdataset": Shards,
    "side-cars": SideCars,
    "tables": Tables,
    "class-folders": ClassFolders,
}
"""In the order in which a folder is tried. Beside images and shards there may be tables of what is known about them."""


@dataclass(frozen=True)
class Part:
    """Photographs from one place on this machine: what is known about them, and their files."""

    about: PhotographSet
    layout: Layout
    place: str
    """The name of a set of the catalog, or the path of another folder."""


@dataclass(frozen=True)
class Photographs:
    """What is prepared as one set: photographs from one place or from several."""

    about: PhotographSet
    parts: tuple[Part, ...]

    @property
    def fit(self) -> str:
        """How pictures become square: ``Fit``, or one of each part where these differ, joined by "+"."""
        ways = [part.about.fit for part in self.parts]
        return ways[0] if len(set(ways)) == 1 else "+".join(ways)


def find_photographs(*names: str) -> Photographs:
    """The photographs of one source or of several, which are joined.

    Args:
        names: sets of the catalog by their names, folders by their paths, data sets of the Hugging Face hub as
            hf://datasets/OWNER/NAME. A folder's layout is recognised by its files.

    Raises:
        UserError: there is no such set or folder, a folder is in none of the layouts, or a source is given twice.
    """
    if not names:
        raise UserError("no photographs are given", f"Give a folder's path, or one of: {', '.join(PHOTOGRAPHS)}")
    parts = [part for name in names for part in _parts(name)]
    for number, part in enumerate(parts):
        if any(part.layout == other.layout for other in parts[:number]):
            raise UserError(f"the photographs of {part.about.name} are given twice", "Name each source once")
    if len(parts) == 1:
        return Photographs(parts[0].about, tuple(parts))
    parts = _named_apart(parts)
    found = {part.about.name: part for part in parts}
    for entry in PHOTOGRAPHS.values():
        if entry.parts and set(entry.parts) == set(found):
            return Photographs(entry, tuple(found[part] for part in entry.parts))
    return Photographs(joined([part.about for part in parts]), tuple(parts))


def _named_apart(parts: Sequence[Part]) -> list[Part]:
    """The parts, of which no two have one name: folders in different places may be called the same."""
    seen: Counter[str] = Counter()
    apart = []
    for part in parts:
        seen[part.about.name] += 1
        number = seen[part.about.name]
        about = part.about if number == 1 else replace(part.about, name=f"{part.about.name}-{number}")
        apart.append(replace(part, about=about))
    return apart


def _parts(name: str) -> list[Part]:
    entry = PHOTOGRAPHS.get(name)
    return [_single(part) for part in (entry.parts if entry and entry.parts else (name,))]


def _single(name: str) -> Part:
    entry = PHOTOGRAPHS.get(name)
    if entry and entry.layout:
        places = data_folders(name)
        for folder in places:
            if folder.is_dir():
                return Part(entry, LAYOUTS[entry.layout](folder), name)
        raise UserError(
            f"{name} is not here: looked for {' and '.join(map(str, places))}",
            f"Put it there, or set TEXTVAE_DATA to the folder that holds {name}; ./{name} is a folder of your own"
            + (f"; textvae data fetch {name} downloads it" if entry.fetched else ""),
        )
    if name.startswith(ADDRESS):
        return _of_the_hub(name)
    folder = Path(name).expanduser().resolve()
    if not folder.is_dir():
        near = difflib.get_close_matches(name, PHOTOGRAPHS, n=1)
        raise UserError(
            f'there are no photographs called "{name}", nor is that a folder',
            f"Did you mean {near[0]}?" if near else f"There are: {', '.join(PHOTOGRAPHS)}; or give a folder's path",
        )
    for known in PHOTOGRAPHS.values():
        if known.layout and any(place.resolve() == folder for place in data_folders(known.name)):
            return _single(known.name)
    for layout_name, layout in LAYOUTS.items():
        if layout.recognises(folder):
            # The name of a set of the catalog stands for that set alone.
            own_name = f"my-{slug(folder.name)}" if slug(folder.name) in PHOTOGRAPHS else slug(folder.name)
            own = PhotographSet(own_name, layout.TITLE, "", "the user's own", layout_name)
            return Part(own, layout(folder), str(folder))
    found = sum(extension(file) in IMAGES for _, files in folders(folder) for file in files)
    raise UserError(
        f"{folder} holds {f'{found:,} images, but no captions that are found' if found else 'no images'}",
        "Arrange it in one of these ways (docs/data.md tells more):"
        + "".join(f"\n  {layout.TITLE}: {layout.EXAMPLE}" for layout in LAYOUTS.values()),
    )


def _of_the_hub(address: str) -> Part:
    name = address.removeprefix(ADDRESS)
    if not re.fullmatch(r"[\w.-]+(/[\w.-]+)?(@[\w./-]+)?", name):
        raise UserError(f"{address} is no address of a data set", f"Write it as {ADDRESS}OWNER/NAME")
    about = PhotographSet(
        slug(name.partition("@")[0]),
        f"{name} of the Hugging Face hub",
        f"https://huggingface.co/datasets/{name.partition('@')[0]}",
        "as its page says",
        None,
    )
    return Part(about, HubDataset(name), address)


def slug(name: str) -> str:
    """Lower-case letters, digits and hyphens: what a data set's name is made of."""
    return re.sub(r"[^a-z0-9]+", "-", name.casefold()).strip("-") or "photos"
