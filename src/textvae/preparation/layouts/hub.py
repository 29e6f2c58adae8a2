"""``hf://datasets/OWNER/NAME``: a data set of the Hugging Face hub, through its datasets library."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from textvae.preparation.layouts.names import SPLITS
from textvae.preparation.layouts.tables import TableFiles
from textvae.preparation.record import Record
from textvae.utils.errors import UserError
from textvae.utils.printable import printable

ADDRESS = "hf://datasets/"


@dataclass(frozen=True)
class HubDataset:
    """A data set that the datasets library downloads, and keeps as Arrow files."""

    name: str
    """OWNER/NAME, or OWNER/NAME@REVISION."""

    def splits(self) -> dict[str, Iterable[Record]]:
        """See ``Layout.splits``. Splits that are not called train, validation or test are left out.

        Raises:
            UserError: the datasets library is not installed, or it cannot load the data set.
        """
        found: dict[str, Iterable[Record]] = {}
        for split, rows in self._loaded().items():
            if known := SPLITS.get(str(split).casefold()):
                found[known] = TableFiles(tuple(Path(file["filename"]) for file in rows.cache_files))
        return found

    def _loaded(self) -> dict[str, Any]:
        try:
            import datasets
        except ImportError:
            raise UserError(
                "data sets of the Hugging Face hub need the datasets library", "pip install 'textvae[datasets]'"
            ) from None
        name, _, revision = self.name.partition("@")
        try:
            return dict(datasets.load_dataset(name, revision=revision or None))
        except Exception as error:
            # Of the library, of the hub's client and of the network.
            why = printable(" ".join(str(error).split())[:200])
            raise UserError(
                f"{ADDRESS}{self.name} cannot be loaded: {why or type(error).__name__}",
                "Check the name and the network; or download it, and give the folder",
            ) from None
