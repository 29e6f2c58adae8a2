"""Verbs that look after data and machine: data, doctor."""

from pathlib import Path
from typing import Annotated, Literal

import tyro

from textvae.cli.shared import Result, parsed
from textvae.utils.errors import UserError


def data(arguments: list[str]) -> tuple[Result, str]:
    """Fetch, prepare or describe a data set: data fetch|prepare|describe NAME."""
    from textvae.data import SOURCES, source
    from textvae.data.catalog import PHOTOGRAPHS

    names, photos = ", ".join(SOURCES), ", ".join(PHOTOGRAPHS)
    usage = "textvae data fetch|describe NAME, or textvae data prepare SOURCE"
    action = arguments[0] if arguments else ""
    if action in ("-h", "--help"):
        text = f"usage: {usage}\n\nnames: {names}, or that of a prepared set\nsources: {photos}, or a folder"
        return {"names": list(SOURCES), "sources": list(PHOTOGRAPHS)}, text
    if action not in ("fetch", "describe", "prepare"):
        raise UserError("textvae data needs to know what to do", f"{usage} ({names}; {photos})")

    def fetch(name: Annotated[str, tyro.conf.Positional]) -> Result:
        """Fetch a data set, every file checked by its SHA-256.

        Args:
            name: Which.
        """
        return {"name": name, "folder": str(source(name).fetch())}

    def describe(name: Annotated[str, tyro.conf.Positional], out: Path | None = None) -> Result:
        """Say what a data set holds and where it came from, and draw a contact sheet.

        Args:
            name: Which.
            out: The contact sheet to write; default: NAME.png.
        """
        from textvae.data.describe import describe

        return describe(name, out or Path(f"{Path(name).name}.png"))

    if action == "prepare":
        return _prepare(arguments[1:])
    result: Result = parsed(f"data {action}", fetch if action == "fetch" else describe, arguments[1:])
    return result, "\n".join(f"{key}: {value}" for key, value in result.items())


def _prepare(arguments: list[str]) -> tuple[Result, str]:
    def prepare(
        source: Annotated[str, tyro.conf.Positional],
        size: int = 64,
        text: Literal["words", "sentence", "sentence-tokens", "clip", "clip-tokens", "pair"] = "sentence",
        image_encoder: Literal["efficientnet", "pair", "clip"] | None = None,
        fraction: float = 1.0,
        theme: str = "",
        seed: int = 0,
        out: Path | None = None,
        clip: str = "openai/clip-vit-base-patch32",
        pair: Path | None = None,
        workers: int = 0,
    ) -> Result:
        """Make photographs ready for training: square pictures, captions, frozen embeddings. Resumes after a kill.

        Args:
            source: coco-mini, coco, flowers102, products, or a folder of captioned images.
            size: Pixels a side.
            text: What is kept of the captions besides their words; "words": nothing, for models that learn to read.
            image_encoder: What is kept of the images besides their pixels; default: nothing.
            fraction: Share of the images, drawn at random.
            theme: Only images with one of these words in a caption, such as cow,sheep,mountain.
            seed: Of the fraction's draw.
            out: Folder to write; default: SOURCE-SIZE-TEXT, where textvae keeps its data.
            clip: The CLIP model: of the hub, or a folder.
            pair: The run folder of a trained pair.
            workers: Processes; 0 takes the cores this process may use.
        """
        from textvae.preparation.prepare import prepare
        from textvae.preparation.subset import Subset

        words = tuple(word.strip() for word in theme.split(",") if word.strip())
        return prepare(source, size, text, image_encoder, Subset(fraction, words, seed), out, clip, pair, workers)

    result: Result = parsed("data prepare", prepare, arguments)
    lines = [
        f"{split}: {facts['images'][0]:,} images, {facts['captions']:,} captions"
        for split, facts in result["splits"].items()
    ]
    for done in ("skipped", "handled"):
        total = sum(result[done].values())
        why = ", ".join(f"{count} {reason}" for reason, count in result[done].items())
        lines.append(f"{done}: {total:,}" + (f" ({why})" if why else ""))
    return result, "\n".join([f"{result['name']}: in {result['folder']}", *lines])


def doctor(arguments: list[str]) -> tuple[Result, str]:
    """Show device, precision and why, packages, and the data found."""

    def options() -> Result:
        """Show device, precision and why, packages, and the data and models found."""
        from textvae.cli.doctor import examine

        return examine()

    result = parsed("doctor", options, arguments)
    return result, "\n".join(f"{key:<34}{value}" for key, value in result.items())
