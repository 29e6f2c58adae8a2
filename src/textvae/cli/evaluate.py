"""Verbs that measure: evaluate; caption, which ranks captions by likelihood; describe, which writes them."""

import contextlib
import dataclasses
from pathlib import Path
from typing import Annotated, Any

import tyro

from textvae.cli.output import output_file
from textvae.cli.shared import (
    Clip,
    Device,
    Output,
    Precision,
    Recipe,
    TrainedModel,
    check_seed,
    in_range,
    open_model,
    read_lines,
)
from textvae.utils.errors import UserError

ALSO_SHOWN = (
    "generation.frechet.efficientnet-lite0",
    "generation.colour.accuracy",
    "classification.accuracy",
    "captions.word_f1.real",
)
"""Numbers that lead where a model has them."""
HEADLINE = 5
"""Numbers that are shown before the whole table."""


def evaluate(
    model: TrainedModel,
    /,
    num_samples: Annotated[int | None, tyro.conf.arg(help_behavior_hint="(default: all, at most 10000)")] = None,
    importance_samples: int = 64,
    seed: Annotated[int, tyro.conf.arg(help="Random seed of the samples and of the posterior.")] = 0,
    out: Annotated[Path | None, tyro.conf.arg(help_behavior_hint="(default: RUN/metrics.json)")] = None,
    clip: Annotated[str, tyro.conf.arg(help_behavior_hint="(default: $TEXTVAE_DATA/clip)")] = "",
    device: Device = "auto",
    precision: Precision = "fp32",
    recipe: Recipe = None,
) -> Output:
    """Evaluate a model on test data: a table, and metrics.json.

    The metrics of a bundled model are only printed, unless --out is given.

    Args:
        num_samples: Number of test images to reconstruct, and of images to generate. Fréchet distances are comparable
            only at equal numbers.
        importance_samples: Posterior samples per image for the importance-weighted bound.
        out: JSON file to write.
        clip: CLIP model for the CLIP score of photographs: its name on the Hugging Face hub, or a folder.

    Examples:
        textvae evaluate runs/label-conv
        textvae evaluate fashion --num-samples 1000 --json
    """
    in_range("--importance-samples", importance_samples, 1, 100_000)
    if num_samples is not None:
        in_range("--num-samples", num_samples, 2, 10_000_000)
    check_seed(seed)
    target = None if out is None else output_file(out, "metrics.json", suffixes=(".json",))
    from textvae.library import evaluate
    from textvae.runs.files import METRICS
    from textvae.runs.metrics import SHOWN, numbers, table
    from textvae.runs.run import is_shipped, open_run
    from textvae.utils.device import choose_execution
    from textvae.utils.processes import processes

    run = processes().in_turn(lambda: open_run(model, recipe))
    if target is None and num_samples is not None and not is_shipped(run):
        _keep_larger(run.path / METRICS, num_samples)
    execution = choose_execution(device, precision)
    found = evaluate(
        run, num_samples, importance_samples, seed, target, clip, str(execution.device), execution.precision
    )
    metrics = found.to_dict()
    shown = list(numbers(metrics, (*SHOWN, *ALSO_SHOWN)).items())[:HEADLINE]
    return Output(
        metrics, "\n".join([*(f"{name:<46}{value:.4g}" for name, value in shown), "", _rendered(table(found))])
    )


def _keep_larger(file: Path, num_samples: int) -> None:
    """Checks that metrics of more images are not replaced by those of fewer.

    Raises:
        UserError: the file holds such metrics.
    """
    from textvae.runs.metrics import Metrics

    if not file.exists():
        return
    stored = None
    with contextlib.suppress(UserError):  # metrics that cannot be read are replaced
        stored = Metrics.read(file).protocol.get("num_samples")
    if isinstance(stored, int) and stored > num_samples:
        raise UserError(
            f"{file} was measured with {stored} samples and would be replaced by metrics of {num_samples}",
            "write them to another file: --out FILE.json",
        )


def _rendered(table: Any) -> str:
    """A table of rich as text."""
    from rich.console import Console

    console = Console(width=120, no_color=True)
    with console.capture() as capture:
        console.print(table)
    return capture.get().rstrip()


def caption(
    model: TrainedModel,
    image: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="IMAGE")],
    /,
    choices: Path,
    samples: int = 64,
    seed: Annotated[int, tyro.conf.arg(help="Random seed of the samples, which all captions share.")] = 0,
    device: Device = "auto",
    precision: Precision = "fp32",
    recipe: Recipe = None,
    clip: Clip = None,
) -> Output:
    """Rank captions for an image by the model's likelihood.

    The likelihood is an importance-weighted lower bound on log p(image | caption); for a model with a flow prior,
    up to a constant that is the same for all captions.

    Args:
        image: Image file, scaled to the model's size, and to grey where the model is grey.
        choices: Text file, one caption a line.
        samples: Latent samples per caption; more make the ranking more reliable.

    Examples:
        textvae caption runs/label-conv boot.png --choices captions.txt
    """
    in_range("--samples", samples, 1, 100_000)
    check_seed(seed)
    captions = read_lines(choices, "caption")
    from textvae.evaluation.captioning import rank_captions
    from textvae.utils.pixels import read_picture

    _, generator = open_model(model, device, precision, recipe, clip)
    pixels = read_picture(image, generator.model.image_shape)
    rows: list[dict[str, Any]] = [
        dataclasses.asdict(ranked) for ranked in rank_captions(generator, pixels, captions, samples, seed)
    ]
    lines = [f"{row['probability']:>7.1%}  {row['nats']:>12.1f} nats  {row['caption']}" for row in rows]
    return Output({"image": str(image), "captions": rows}, "\n".join(lines))


def describe(
    model: Annotated[
        str,
        tyro.conf.Positional,
        tyro.conf.arg(metavar="CAPTIONER", help="Run folder of a captioner, or hf://OWNER/NAME on the hub."),
    ],
    images: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="IMAGE [IMAGE ...]",
                                                                             help_behavior_hint="")],
    /,
) -> Output:  # fmt: skip
    """Write captions for pictures with a trained captioner.

    To train one: textvae train captioner-flowers102 (half an hour); textvae recipes lists the others.

    Args:
        images: Image files, cropped to squares and scaled to the size of the captioner's training pictures.

    Examples:
        textvae describe runs/captioner-flowers102 flower.jpg red.png
    """
    from textvae.library import describe
    from textvae.utils.images import load_picture

    captions = describe(model, [load_picture(image) for image in images])
    rows = [{"image": str(image), "caption": caption} for image, caption in zip(images, captions, strict=True)]
    return Output({"captions": rows}, "\n".join(f"{row['image']}: {row['caption']}" for row in rows))
