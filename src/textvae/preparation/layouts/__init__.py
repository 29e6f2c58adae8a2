"""The layouts in which captioned photographs are stored, and ``find_photographs``, which opens a set or a folder."""

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from textvae.data.catalog import PHOTOGRAPHS, LayoutName, PhotographSet
from textvae.preparation.layouts.coco import CocoCaptions
from textvae.preparation.layouts.image_folder import ImageFolder
from textvae.preparation.layouts.webdataset import Shards
from textvae.preparation.record import Layout, Record
from textvae.utils.errors import UserError
from textvae.utils.paths import data_folders

LAYOUTS: Mapping[LayoutName, type[CocoCaptions] | type[ImageFolder] | type[Shards]] = {
    "coco": CocoCaptions,
    "image-folder": ImageFolder,
    "webdataset": Shards,
}
"""In the order in which a folder is tried."""


@dataclass(frozen=True)
class Photographs:
    """A photograph set that is on this machine: what is known about it, and its files."""

    about: PhotographSet
    layout: Layout

    def splits(self) -> dict[str, Iterable[Record]]:
        """See ``Layout.splits``."""
        return self.layout.splits()


def find_photographs(name: str) -> Photographs:
    """A set of the catalog by its name, or a folder by its path, whose layout is recognised by its files.

    Raises:
        UserError: there is neither, or the folder is in none of the layouts.
    """
    if name in PHOTOGRAPHS:
        places = data_folders(name)
        for folder in places:
            if folder.is_dir():
                return Photographs(PHOTOGRAPHS[name], LAYOUTS[PHOTOGRAPHS[name].layout](folder))
        raise UserError(
            f"{name} is not here: looked for {' and '.join(map(str, places))}",
            f"Put it there, or set TEXTVAE_DATA to the folder that holds {name}",
        )
    folder = Path(name).expanduser()
    if not folder.is_dir():
        near = difflib.get_close_matches(name, PHOTOGRAPHS, n=1)
        raise UserError(
            f'there are no photographs called "{name}", nor is that a folder',
            f"Did you mean {near[0]}?" if near else f"There are: {', '.join(PHOTOGRAPHS)}; or give a folder's path",
        )
    for layout_name, layout in LAYOUTS.items():
        if layout.recognises(folder):
            own = PhotographSet(slug(folder.resolve().name), layout.TITLE, "", "the user's own", layout_name)
            return Photographs(own, layout(folder))
    raise UserError(
        f"the captioned images in {folder} are in no known layout",
        "It needs metadata.jsonl (file_name, text), or .tar shards, or COCO's annotations/; see docs/data.md",
    )


def slug(name: str) -> str:
    """Lower-case letters, digits and hyphens: what a data set's name is made of."""
    return re.sub(r"[^a-z0-9]+", "-", name.casefold()).strip("-") or "photos"
