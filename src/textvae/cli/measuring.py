"""Verbs that measure: evaluate, caption, reproduce."""

import dataclasses
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from textvae.cli.shared import Model, Result, parsed, rendered
from textvae.utils.errors import UserError


def evaluate(arguments: list[str]) -> tuple[Result, str]:
    """Measure a model on real test data: prints a table, writes metrics.json."""

    def options(
        model: Model,
        num_samples: int | None = None,
        importance_samples: int = 64,
        seed: int = 0,
        out: Path | None = None,
        clip: str = "",
        device: str = "cpu",
        precision: Literal["fp32", "bf16"] = "fp32",
    ) -> Any:
        """Measure a model on real test data: prints a table, writes metrics.json.

        Args:
            model: A run folder or a model that ships with textvae.
            num_samples: Test images to reconstruct, and pictures to draw; default: all, at most 10,000.
            importance_samples: Draws of z an image for the importance-weighted bound.
            seed: Of the first drawn picture, and of the posterior draws.
            out: Where to write the metrics; default: metrics.json in the run folder; a shipped model is only shown.
            clip: The CLIP that scores photographs: of the hub, or a folder; default: $TEXTVAE_DATA/clip.
            device: auto, cpu, cuda or cuda:N.
            precision: Of the drawing.
        """
        from textvae.evaluation.evaluate import evaluate_run
        from textvae.runs.card import write_card
        from textvae.runs.run import METRICS, is_shipped, open_run
        from textvae.utils.device import choose_execution

        run = open_run(model)
        execution = choose_execution(device, precision)
        found = evaluate_run(
            run, execution.device, num_samples, importance_samples, seed, clip=clip, precision=execution.precision
        )
        if out or not is_shipped(run):
            found.write(out or run.path / METRICS)
            if out is None:
                write_card(run)
        return found

    found = parsed("evaluate", options, arguments)
    from textvae.runs.metrics import table

    return found.to_dict(), rendered(table(found))


def caption(arguments: list[str]) -> tuple[Result, str]:
    """Rank captions for an image by how likely the model finds it."""

    def options(
        model: Model,
        image: Annotated[Path, tyro.conf.Positional],
        choices: Path,
        samples: int = 64,
        seed: int = 0,
        device: str = "cpu",
    ) -> Result:
        """Rank captions for an image by the model's own bound on log p(image|caption).

        Args:
            model: A run folder or a model that ships with textvae.
            image: A picture file; it is scaled to the model's size, grey where the model is.
            choices: A text file, a caption a line.
            samples: Draws of the latent for each caption; more make the order steadier.
            seed: Of the draws, the same for all captions.
            device: auto, cpu, cuda or cuda:N.
        """
        if samples < 1:
            raise UserError(f"{samples} draws bound nothing", "use 1 or more")
        from textvae.evaluation.captioning import rank_captions
        from textvae.pipeline import TextToImage
        from textvae.utils.device import choose_execution
        from textvae.utils.images import read_picture

        generator = TextToImage.load(model, choose_execution(device).device)
        captions = _lines(choices)
        pixels = read_picture(image, generator.model.image_shape)
        ranked = rank_captions(generator, pixels, captions, samples, seed)
        return {"image": str(image), "captions": [dataclasses.asdict(caption) for caption in ranked]}

    result = parsed("caption", options, arguments)
    rows = [f"{row['probability']:>7.1%}  {row['nats']:>12.1f} nats  {row['caption']}" for row in result["captions"]]
    return result, "\n".join(rows)


def _lines(file: Path) -> list[str]:
    try:
        lines = [line.strip() for line in file.read_text(encoding="utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{file} can't be read: {error}", "give a text file with a caption a line") from None
    if not any(lines):
        raise UserError(f"{file} holds no captions", "write a caption a line")
    return [line for line in lines if line]


def reproduce(arguments: list[str]) -> tuple[Result, str]:
    """Train and measure a paper's tables: published | measured, into RESULTS.md."""

    def options(
        paper: Annotated[Literal["a", "b", "c", "d", "flow"], tyro.conf.Positional],
        only: tuple[str, ...] = (),
        runs: Path = Path("runs"),
        num_samples: int = 10_000,
        repository: Path | None = None,
        tables_only: bool = False,
    ) -> Result:
        """Train and measure the rows of a paper's tables, then write RESULTS.md from what was measured.

        Args:
            paper: a: MNIST and Fashion-MNIST from one-hot labels; b: Fashion-MNIST, dense against convolutional; both
                also photographs from sentences; c: photographs, trained on embeddings of images; d: digits from
                captions.
            only: Rows by name; default: all.
            runs: Folder of the run folders; what is trained or measured there already is not done again.
            num_samples: Test images, and samples, of each measurement.
            repository: Root of a clone, to renew what it ships; else the results go to RUNS/results.
            tables_only: Only write RESULTS.md from the stored metrics: nothing is trained, measured or drawn.
        """
        from textvae.papers.reproduce import reproduce_paper
        from textvae.papers.results import Places, section, write_results

        places = Places.of_repository(repository) if repository else Places.under(runs / "results")
        if tables_only:
            return {"report": str(places.report), "table": section(paper, write_results(places))}
        return reproduce_paper(paper, runs, places, num_samples, only)

    result: Result = parsed("reproduce", options, arguments)
    return result, result["table"]
