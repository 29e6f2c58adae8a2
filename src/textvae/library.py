"""The functions of ``import textvae``: one for each verb of the command line."""

from collections.abc import Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Literal

from PIL.Image import Image

from textvae import data as data_sets
from textvae.data.captioned_images import CaptionedImages
from textvae.data.in_memory import InMemory
from textvae.data.prepared import prepared_names
from textvae.evaluation.describing import Describer
from textvae.evaluation.evaluate import evaluate_run
from textvae.experiment.callbacks import Callback
from textvae.experiment.loggers import logging_to
from textvae.experiment.minutes import check_epochs
from textvae.experiment.train import SAMPLE_EVERY, train_recipe
from textvae.own_pictures import MINUTES, Pictures, is_pictures, train_pictures
from textvae.papers.reproduce import reproduce_paper
from textvae.papers.results import Places
from textvae.pipeline import TextToImage
from textvae.recipes import RECIPES
from textvae.recipes.resolve import RecipeLike, resolve
from textvae.runs.card import write_card
from textvae.runs.files import METRICS
from textvae.runs.find import shipped_models
from textvae.runs.metrics import Metrics
from textvae.runs.push import push as push_run
from textvae.runs.run import Run, is_shipped, open_run
from textvae.utils.device import Precision, choose_device, choose_execution, choose_precision
from textvae.utils.errors import UserError
from textvae.utils.processes import is_first
from textvae.utils.progress import say


class TrainedRun(Run):
    """The result of ``train``: an open ``Run`` that draws pictures when it is called.

    Examples:
        >>> model = textvae.train("my_pictures/", minutes=30)
        >>> model("a red boat", num_images=4)
    """

    @cached_property
    def pipeline(self) -> TextToImage:
        """The model, ready to draw on the CPU."""
        return TextToImage.load(self)

    def __call__(self, prompt: str | Sequence[str], num_images: int | None = None, **options: Any) -> list[Image]:
        """Draws pictures; the arguments are those of ``TextToImage``.

        Raises:
            UserError: the model draws nothing, or an argument is wrong.
        """
        return self.pipeline(prompt, num_images, **options)


def train(
    recipe: RecipeLike | Pictures,
    out: str | Path | None = None,
    data: str | None = None,
    preset: str | None = None,
    prior: Literal["own", "flow"] | None = None,
    model: Mapping[str, Any] | None = None,
    trainer: Mapping[str, Any] | None = None,
    flow: Mapping[str, Any] | None = None,
    limit: int | None = None,
    sample_every: int | None = None,
    callbacks: Sequence[Callback] = (),
    keep_epochs: Sequence[int] = (),
    minutes: float | None = None,
    size: int | None = None,
    start: str | Path | Run | None = None,
    device: str = "auto",
    precision: Precision = "auto",
    threads: int = 0,
    clip: str | None = None,
    log: Literal["tensorboard", "trackio", "wandb"] | None = None,
) -> TrainedRun:
    """Trains a recipe, or a model for folders of captioned pictures. Repeating the call resumes an interrupted training
    or returns the finished one.

    A call with more epochs continues a finished training. The result is the same as with that number from the start,
    which requires a constant learning rate and a training that early stopping did not end.

    Examples:
        >>> run = textvae.train("label-conv", out="runs/garments", trainer={"epochs": 5})
        >>> run("a dress", num_images=4)
        >>> model = textvae.train("my_pictures/", minutes=30)  # prepares, trains and measures
        >>> model = textvae.train(["holiday/", "garden/"], minutes=30)  # both together

    Args:
        recipe: a folder of captioned pictures, or a list of folders (docs/own_pictures.md); or the name of a recipe
            (``textvae.list_recipes()``), a ``Recipe``, a function that returns one, or ``FILE.py:FUNCTION``.
        out: the run folder. Default: runs/NAME, after the recipe or the folder; runs/NAME+NAME for several folders;
            runs/NAME-2 if that folder holds a model of other pictures.
        data: name of the data set; default: the recipe's.
        preset: one of the recipe's presets, such as "tiny".
        prior: "flow" adds a flow prior to a recipe without one, "own" leaves out a recipe's flow prior.
        model: settings of the model by name, which override the recipe's.
        trainer: settings of the training (``TrainerConfig``) by name, which override the recipe's.
        flow: settings of the flow prior, which override the recipe's, nested as in ``FlowStage``:
            {"trainer": {"epochs": 3}}.
        limit: train on this many images only, from the start of the training set.
        sample_every: epochs between two updates of samples.png; default: 5.
        callbacks: called after each step, epoch and checkpoint; see ``Callback``.
        keep_epochs: epochs after which the weights are kept in RUN/epochs/N, which opens like any run. For recipes with
            a flow prior, these are epochs of the flow.
        minutes: training time, instead of numbers of epochs, which then cannot be set. Each stage gets the epochs that
            fit, by a measurement of the speed beforehand; they are recorded, so that an interruption does not change
            the result. Default for folders of pictures: 30.
        start: a model to start from, such as "flowers" or a run folder, for pictures of the same size. Its first stage
            is kept, its flow prior is trained further, and words of the new captions are added to its vocabulary.
        size: for folders of pictures, the side length in pixels: 64, 128 or 256; default: 64.
        device: "auto" (a CUDA device if there is one), "cpu", "cuda" or "cuda:N".
        precision: arithmetic of the training: "fp32", "bf16", or "auto", the faster of the two.
        threads: CPU threads; 0 takes all cores that this process may use.
        clip: where the weights of CLIP are, for a data set that was prepared with it; default: where they were then.
        log: logger for losses, learning rates and samples: "tensorboard" (event files in the run folder), "trackio" or
            "wandb" (Weights & Biases), if it is installed.

    Returns:
        The run, complete.

    Raises:
        UserError: a name or a setting is unknown, the folder holds another training, or the training diverged.
        KeyboardInterrupt: the training was interrupted. Its state is saved; the same call resumes it.
    """
    parts = {"model": model, "trainer": trainer, "flow": flow}
    overrides = {part: settings for part, settings in parts.items() if settings is not None}
    execution = choose_execution(device, precision, threads)
    for reason in execution.reasons:
        say(reason)
    showing = [] if log is None else [partial(logging_to, log)]
    if is_pictures(recipe):
        assert isinstance(recipe, str | Path | Sequence)
        if any((preset, data, prior, limit, keep_epochs, clip)) or sample_every is not None:
            raise UserError(
                "folders of pictures take no preset, data, prior, limit, clip, sample_every or epochs to keep",
                'leave them out, or train the recipe "latent-flow-photos" on the prepared set',
            )
        where = None if out is None else Path(out)
        time = MINUTES if minutes is None else float(minutes)
        folder, complete = train_pictures(
            recipe, where, execution, time, size or 64, overrides, callbacks, start, showing
        )
        if not complete:
            raise KeyboardInterrupt
        return _trained(open_run(folder))
    if isinstance(recipe, Path):
        raise UserError(f"there is no folder {recipe}", "give a folder of captioned pictures, or a recipe")
    if size is not None:
        raise UserError("size can only be set for folders of pictures", "leave it out: a recipe has its own")
    assert isinstance(recipe, str) or not isinstance(recipe, Sequence)
    chosen = resolve(recipe, preset, data, overrides, prior, clip=clip)
    if minutes is not None:
        check_epochs(chosen, resolve(recipe, preset, data, prior=prior, clip=clip))
    folder = Path("runs") / chosen.name if out is None else Path(out)
    callbacks = [*callbacks, *(show(folder) for show in showing)]
    begun = None if start is None else start if isinstance(start, Run) else open_run(start)
    every = SAMPLE_EVERY if sample_every is None else sample_every
    if not train_recipe(chosen, folder, execution, every, limit, callbacks, keep_epochs, minutes, start=begun):
        raise KeyboardInterrupt
    return _trained(open_run(folder, chosen))


def _trained(run: Run) -> TrainedRun:
    return TrainedRun(run.path, run.recipe, run.config)


def evaluate(
    model: str | Path | Run,
    num_samples: int | None = None,
    importance_samples: int = 64,
    seed: int = 0,
    out: str | Path | None = None,
    clip: str = "",
    device: str = "auto",
    precision: Precision = "fp32",
) -> Metrics:
    """Measures a model on the test images of its data set, and writes metrics.json and the model card.

    Examples:
        >>> textvae.evaluate("fashion", num_samples=1000).to_dict()["generation"]["judge_accuracy"]

    Args:
        model: a run folder, the name of a model that ships with textvae, or an open ``Run``.
        num_samples: number of test images to reconstruct, and of pictures to draw; default: all, at most 10,000.
        importance_samples: posterior samples per image for the importance-weighted bound on the likelihood.
        seed: seed of the first drawn picture and of the posterior draws.
        out: file to write the metrics to; default: metrics.json in the run folder, nothing for a shipped model.
        clip: the CLIP model that scores photographs: its name on the hub, or a folder; default: see ``clip_judge``.
            If its weights are those that conditioned the model, it also encodes the captions.
        device: as in ``train``.
        precision: arithmetic of drawing.

    Raises:
        UserError: there is no such model, or more samples are asked for than there are test images.
    """
    run = model if isinstance(model, Run) else open_run(model)
    on = choose_device(device)
    metrics = evaluate_run(
        run, on, num_samples, importance_samples, seed, clip=clip, precision=choose_precision(precision, on)
    )
    if not is_first():
        return metrics
    if out is not None:
        metrics.write(Path(out))
    elif not is_shipped(run):
        metrics.write(run.path / METRICS)
        write_card(run)
    return metrics


def describe(model: str | Path | Run, images: Sequence[Image]) -> list[str]:
    """Writes a caption for each image, photographed or generated.

    Examples:
        >>> textvae.describe("runs/captioner-flowers102", textvae.TextToImage.load("flowers")("a red flower"))

    Args:
        model: a trained captioner: a run folder, hf://OWNER/NAME, or an open ``Run``.
        images: PIL images of any size.

    Raises:
        UserError: there is no such model, it is no captioner, there are no images, one is tiny, or the extra
            ``features`` is not installed.
    """
    if not images:
        raise UserError("there are no images", "give at least one")
    return Describer(model if isinstance(model, Run) else open_run(model)).describe(images)


def reproduce(
    paper: Literal["a", "b", "c", "d", "flow"],
    runs: str | Path = "runs",
    num_samples: int = 10_000,
    only: Sequence[str] = (),
) -> dict[str, Any]:
    """Trains and measures the rows of a paper's tables, and writes a report to RUNS/results.

    Args:
        paper: which paper; "flow" for the recipes that go beyond them.
        runs: folder of the run folders; what is trained or measured there already is not repeated.
        num_samples: number of test images, and of pictures, for each measurement.
        only: rows by name; default: all.

    Returns:
        "rows" (the measured numbers by row), "report" (the file) and "table" (the paper's part of it).
    """
    return reproduce_paper(paper, Path(runs), Places.under(Path(runs) / "results"), num_samples, only)


def push(model: str | Path | Run, repository: str, private: bool = False) -> str:
    """Uploads a run to the Hugging Face hub. Others can then pass hf://OWNER/NAME wherever a model is expected.

    Examples:
        >>> textvae.push("runs/red-boats", "me/red-boats")

    Args:
        model: the run.
        repository: OWNER/NAME; created if it does not exist.
        private: whether a new repository is visible to its owner only.

    Returns:
        The model's address.

    Raises:
        UserError: the name is malformed, the run has no weights, nobody is logged in, or the hub refuses.
    """
    return push_run(model if isinstance(model, Run) else open_run(model), repository, private)


def load_data(name: str, split: str = "train") -> CaptionedImages:
    """Loads a split of a data set, which is downloaded first if necessary.

    Examples:
        >>> images = textvae.load_data("fashion-mnist", "test")

    Args:
        name: a data set (``textvae.list_data()``), or the folder of a prepared set.
        split: "train", "test" or, where there is one, "val".

    Raises:
        UserError: there is no such data set or split, it cannot be fetched, or its files are damaged.
    """
    return data_sets.load(name, split)


def add_data(name: str, train: CaptionedImages, test: CaptionedImages, val: CaptionedImages | None = None) -> None:
    """Registers your own images under a name, for this process, so that recipes, ``train`` and ``evaluate`` find them.

    For the command line, call it in the file of your recipe (``FILE.py:FUNCTION``).

    Examples:
        >>> textvae.add_data("shapes", textvae.captioned_images(pictures, captions), test)

    Args:
        name: the name, as in ``Recipe.data``.
        train: training images; see ``captioned_images``.
        test: images for ``evaluate``.
        val: images for validation, where a recipe holds some out; default: the end of the training images.
    """
    splits = {"train": train, "test": test} | ({} if val is None else {"val": val})
    data_sets.SOURCES[name] = InMemory(name, splits)


def list_recipes() -> list[str]:
    """The names of the recipes that come with textvae."""
    return list(RECIPES)


def list_models() -> list[str]:
    """The names of the models that ship with textvae."""
    return sorted(shipped_models())


def list_data() -> list[str]:
    """The names of the data sets: those that are fetched, those that were added, and those prepared on this machine."""
    return [*data_sets.SOURCES, *prepared_names()]
