"""MS-COCO at its public address: the archives of both years, with sizes and checksums, and single photographs."""

import http.client
import urllib.error
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

from textvae.data.archives import Archive, download, fetch_archives
from textvae.utils.errors import UserError
from textvae.utils.files import alone
from textvae.utils.paths import data_folders, data_root
from textvae.utils.progress import ProgressLine

Year = Literal[2014, 2017]
"""Both have the same photographs; 2017 has 118,287 for training and 5,000 for validation, 2014 82,783 and 40,504."""

ADDRESSES = ("http://images.cocodataset.org", "https://s3.amazonaws.com/images.cocodataset.org")
"""One bucket by two names. The first has no certificate of its own; checksums make up for that."""
CONNECTIONS = 8
"""Single photographs that are downloaded at once."""


def _archives(year: Year, annotations: tuple[int, str], train: tuple[int, str], val: tuple[int, str]) -> list[Archive]:
    captions = rf"annotations/captions_(train|val){year}\.json"
    first = Archive(
        f"annotations/annotations_trainval{year}.zip", *annotations, captions, f"annotations/captions_val{year}.json"
    )
    photographs = [
        Archive(f"zips/{split}{year}.zip", *facts, rf"{split}{year}/\w+\.jpg", f"{split}{year}")
        for split, facts in (("val", val), ("train", train))
    ]
    return [first, *photographs]


# COCO publishes no checksums. These are the ones that public code has pinned, such as torchvision's prototypes.
ARCHIVES: Mapping[Year, Sequence[Archive]] = {
    2014: _archives(
        2014,
        (252_872_794, "031296bbc80c45a1d1f76bf9a90ead27e94e99ec629208449507a4917a3bf009"),
        (13_510_573_713, "ede4087e640bddba550e090eae701092534b554b42b05ac33f0300b984b31775"),
        (6_645_013_297, "fe9be816052049c34717e077d9e34aa60814a55679f804cd043e3cbee3b9fde0"),
    ),
    2017: _archives(
        2017,
        (252_907_541, "113a836d90195ee1f884e704da6304dfaaecff1f023f49b6ca93c4aaae470268"),
        (19_336_861_798, "69a8bb58ea5f8f99d24875f21416de2e9ded3178e903f1f7603e283b9e06d929"),
        (815_585_330, "4f7e2ccb2866ec5041993c9cf2a952bbed69647b115d0f74da7ce8f4bef82f05"),
    ),
}
"""Annotations first, then the smaller archive of photographs."""


def fetch_coco(year: Year = 2017, annotations_only: bool = False) -> Path:
    """Downloads MS-COCO's captions and photographs in their published layout, and returns the folder.

    The same call resumes, and fetches nothing that is there.

    Args:
        year: of the split.
        annotations_only: leave out the photographs: 0.25 GB instead of 20 GB.

    Raises:
        UserError: see ``fetch_archives``.
    """
    folder = data_root() / "coco"
    archives = ARCHIVES[year]
    with alone(folder.with_name(".coco.lock")) as mine:
        if not mine:
            raise UserError("another process is fetching MS-COCO", "Wait until it ends")
        fetch_archives(archives[:1] if annotations_only else archives, ADDRESSES, folder)
    return folder


def whole_coco(*years: Year) -> Path | None:
    """The folder that holds MS-COCO of one of the years with captions and photographs; None if there is none."""
    for year in years:
        parts = [
            part
            for split in ("train", "val")
            for part in (f"{split}{year}", f"annotations/captions_{split}{year}.json")
        ]
        for folder in data_folders("coco"):
            if all((folder / part).exists() for part in parts):
                return folder
    return None


def fetch_photographs(names: Sequence[str], folder: Path) -> None:
    """Downloads single photographs of 2017, several at once; those that are there are left.

    Args:
        names: such as "train2017/000000000009.jpg".
        folder: where they are written, each below the folder of its split.

    Raises:
        UserError: one cannot be fetched. The same call continues.
    """
    missing = [name for name in names if not (folder / name).is_file()]
    for split in {name.partition("/")[0] for name in missing}:
        (folder / split).mkdir(parents=True, exist_ok=True)
    with (
        ProgressLine("photographs of MS-COCO", len(names), "images", len(names) - len(missing)) as progress,
        ThreadPoolExecutor(CONNECTIONS) as pool,
    ):
        try:
            for _ in pool.map(lambda name: _photograph(name, folder), missing):
                progress.advance(1)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _photograph(name: str, folder: Path) -> None:
    part, reasons = folder / f"{name}.part", []
    part.unlink(missing_ok=True)
    for address in ADDRESSES:
        try:
            download(f"{address}/{name}", part)
        except urllib.error.HTTPError as error:
            reasons.append(f"{address}: HTTP status {error.code}")
        except (OSError, http.client.HTTPException) as error:
            reasons.append(f"{address}: {error}")
        else:
            part.replace(folder / name)
            return
        part.unlink(missing_ok=True)
    raise UserError(f"{name} could not be fetched ({'; '.join(reasons)})", "The same command continues")
