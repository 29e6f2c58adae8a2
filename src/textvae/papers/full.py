"""The experiments of papers a, b and c on photographs at their own size: MS-COCO, CLIP, the papers' subsets and epochs.

``textvae reproduce PAPER --full`` prepares, trains and measures them; they need days on a CPU, or a GPU.
"""

import shlex
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from textvae.data.catalog import PHOTOGRAPHS
from textvae.data.coco import ARCHIVES, fetch_coco, whole_coco
from textvae.papers.plan import train_command
from textvae.papers.reproduce import reproduce_rows
from textvae.papers.results import Places
from textvae.papers.rows import Row
from textvae.preparation.layouts import slug
from textvae.preparation.prepare import prepare
from textvae.preparation.subset import Subset
from textvae.recipes.resolve import resolve
from textvae.utils.cores import usable_cores
from textvae.utils.errors import UserError
from textvae.utils.progress import duration, say

CAPTIONS_AN_IMAGE = 5
CLIP_DIMENSION = 512
CLIP_CAPTIONS_A_SECOND, CLIP_IMAGES_A_SECOND = 9, 6
"""Of ViT-B/32 in one thread of the processor on which ``FullRow.speed`` was measured."""


@dataclass(frozen=True)
class FullRow:
    """A row of a paper's table as the paper trained it."""

    name: str
    """Of the run folder, of the metrics file and of the recipe, unless ``recipe`` says otherwise."""
    epochs: int
    images: int
    """Training images of the paper's subset of MS-COCO."""
    speed: int
    """Training images a second in one thread of a processor with AVX512-bf16."""
    theme: str = ""
    fraction: float = 1.0
    recipe: str = ""
    model: Mapping[str, Any] = field(default_factory=dict)
    """Settings that differ from the recipe's."""
    keep_epochs: tuple[int, ...] = ()
    """Epochs whose models are measured, too."""
    on_images: bool = False
    """Whether it needs embeddings of images."""

    @property
    def side(self) -> int:
        """Of its images in pixels."""
        return int(resolve(self.recipe or self.name).model.image_size)

    @property
    def subset(self) -> Subset:
        """Which part of the photographs."""
        return Subset.about(self.theme, self.fraction)

    def data(self, source: str) -> str:
        """The name of its prepared set."""
        name = source if source in PHOTOGRAPHS else slug(Path(source).expanduser().resolve().name)
        return f"{name}{self.subset.suffix}-{self.side}-clip"

    def row(self, data: str) -> Row:
        """As ``reproduce_rows`` takes it."""
        return Row(
            self.name,
            self.recipe or self.name,
            self.model,
            {"epochs": self.epochs},
            "auto",
            data,
            importance_samples=1,
            keep_epochs=self.keep_epochs,
        )


def _paper_a() -> tuple[FullRow, ...]:
    """A tenth of MS-COCO at 224 pixels. Table 3: 50 to 300 epochs. Table 4: its CLIP score at 128 dimensions is that of
    100 epochs in table 3, so 100 epochs are taken for the other dimensions.
    """
    shared: dict[str, Any] = {"images": 11_829, "speed": 17, "fraction": 0.1}
    return (
        FullRow("clip-grid-224", 300, keep_epochs=(50, 100, 150, 200, 250), **shared),
        *(
            FullRow(f"clip-grid-224-latent-{n}", 100, recipe="clip-grid-224", model={"latent_dim": n}, **shared)
            for n in (256, 512, 1024)
        ),
        FullRow("clip-mid-224", 100, **shared),
    )


def _paper_b() -> tuple[FullRow, ...]:
    """A fifth of MS-COCO. The paper is silent on epochs; 25 are those of its short-text models."""
    return tuple(
        FullRow(f"clip-latent-{size}-{how}", 25, 23_657, speed, fraction=0.2)
        for size, speed in ((64, 240), (128, 46), (256, 13))
        for how in ("add", "concat")
    )


def _paper_c() -> tuple[FullRow, ...]:
    """Figure 2 on the images of cows and sheep, then the last model on all pastoral words; as the authors' program."""
    return (
        *(
            FullRow(f"clip-dual-{size}-{on}-code", 25, 3_400, speed, theme="livestock", on_images=True)
            for size, speed in ((64, 10), (128, 5))
            for on in ("image", "text")
        ),
        FullRow(
            "clip-dual-128-image-code-no-dropout", 25, 3_400, 5, "livestock", recipe="clip-dual-128-image-code",
            model={"dropout": 0.0}, on_images=True,
        ),
        FullRow(
            "clip-dual-128-image-code-pastoral", 25, 20_000, 5, "pastoral", recipe="clip-dual-128-image-code",
            on_images=True,
        ),
    )  # fmt: skip


FULL: Mapping[str, tuple[FullRow, ...]] = {"a": _paper_a(), "b": _paper_b(), "c": _paper_c()}
"""The rows by paper."""


def reproduce_full(
    paper: str,
    runs: Path,
    num_samples: int = 10_000,
    only: Sequence[str] = (),
    source: str = "coco",
    clip: str = "",
) -> dict[str, Any]:
    """Fetches and prepares what the rows of a paper need, trains and measures them, and writes a report.

    The same call resumes. Run folders are in RUNS/full, the report is in RUNS/full/results.

    Args:
        paper: "a", "b" or "c".
        runs: folder of the run folders.
        num_samples: test images, and generated images, of each measurement; fewer if the test set has fewer.
        only: rows by name; empty: all rows.
        source: the photographs: MS-COCO, which is fetched if it is not here, another set, or a folder.
        clip: the CLIP model; see ``clip_place``.

    Returns:
        As ``reproduce_paper``.

    Raises:
        UserError: there is no such row, something cannot be fetched or prepared, or a package is missing.
    """
    rows = _rows(paper, only)
    if source == "coco" and whole_coco(2017, 2014) is None:
        fetch_coco()
    made: dict[str, str] = {}
    for row in rows:
        if (name := row.data(source)) not in made:
            say(f"== {name}")
            made[name] = prepare(source, row.side, "clip", "clip" if row.on_images else None, row.subset, clip=clip)[
                "name"
            ]
    folder = runs / "full"
    ready = [row.row(made[row.data(source)]) for row in rows]
    return reproduce_rows(paper, ready, folder, Places.under(folder / "results"), num_samples, clip)


@dataclass(frozen=True)
class Plan:
    """What ``reproduce_full`` would do."""

    commands: tuple[str, ...]
    """The same as single commands."""
    hours: float
    """Of preparation and training, estimated for the threads of this machine."""
    gigabytes: float
    """Of disk that is needed at most at one time."""
    free_gigabytes: float
    details: tuple[str, ...]
    """The estimate of each part, as lines."""


def plan_full(paper: str, runs: Path, only: Sequence[str] = (), source: str = "coco", clip: str = "") -> Plan:
    """The commands of ``reproduce_full``, and an estimate of time and disk; nothing is fetched or written.

    Times are for this machine's threads at the speed of ``FullRow.speed``, with MS-COCO; a GPU is faster.

    Raises:
        UserError: there is no such row.
    """
    rows = _rows(paper, only)
    threads = usable_cores()
    commands, details = [], []
    seconds = size = 0.0
    if source == "coco" and whole_coco(2017, 2014) is None:
        archives = ARCHIVES[2017]
        commands.append("textvae data fetch coco")
        size += sum(archive.size for archive in archives) + max(archive.size for archive in archives)
        details.append(f"MS-COCO: {sum(archive.size for archive in archives) / 1e9:.1f} GB to download")
    own = f" --clip {shlex.quote(clip)}" if clip else ""
    prepared: set[str] = set()
    for row in rows:
        if row.data(source) in prepared:
            continue
        prepared.add(row.data(source))
        part = f" --fraction {row.fraction:g}" if row.fraction < 1 else ""
        part += f" --theme {row.theme}" if row.theme else ""
        part += " --image-encoder clip" if row.on_images else ""
        commands.append(f"textvae data prepare {shlex.quote(source)} --size {row.side} --text clip{part}{own}")
        captions = row.images * CAPTIONS_AN_IMAGE
        took = (
            captions / CLIP_CAPTIONS_A_SECOND + (row.images / CLIP_IMAGES_A_SECOND if row.on_images else 0)
        ) / threads
        held = row.images * 3 * row.side**2 + 4 * CLIP_DIMENSION * (captions + row.images * row.on_images)
        seconds, size = seconds + took, size + held
        details.append(f"{row.data(source)}: {duration(took)}, {held / 1e9:.2f} GB")
    for row in rows:
        out = runs / "full" / row.name
        commands.append(train_command(row.row(row.data(source)), runs / "full"))
        kept = [out / "epochs" / str(epoch) for epoch in row.keep_epochs]
        commands += [f"textvae evaluate {shlex.quote(str(folder))}{own}" for folder in (*kept, out)]
        took = row.epochs * row.images / row.speed / threads
        seconds += took
        details.append(f"{row.name}: {row.epochs} epochs of {row.images:,} images, {duration(took)}")
    runs_at = next(folder for folder in (runs, *runs.absolute().parents) if folder.exists())
    free = shutil.disk_usage(runs_at).free / 1e9
    return Plan(tuple(commands), seconds / 3600, size / 1e9, free, tuple(details))


def _rows(paper: str, only: Sequence[str]) -> list[FullRow]:
    if paper not in FULL:
        raise UserError(f"the text of {paper} has no experiment on MS-COCO", "--full is for papers a, b and c")
    rows = {row.name: row for row in FULL[paper]}
    if unknown := [name for name in only if name not in rows]:
        raise UserError(f"paper {paper} has no row {unknown[0]!r} at full size", f"its rows: {', '.join(rows)}")
    return [rows[name] for name in only] or list(rows.values())
