"""``prepare``: makes a data set of captioned photographs. The work itself is done by ``builder.Preparation``."""

import contextlib
import errno
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

from textvae.data.catalog import PhotographSet
from textvae.data.frozen_encoders import image_encoder, text_encoder
from textvae.data.manifest import MANIFEST, MOST_SIDE, ImageName, TextName, read_manifest
from textvae.preparation.builder import Preparation, restore, unfinished
from textvae.preparation.layouts import Photographs, find_photographs
from textvae.preparation.plan import plan_of, same_set, up_to_date
from textvae.preparation.recognise import listed, summary
from textvae.preparation.record import Record, digest, digest_of_files
from textvae.preparation.subset import Subset, splits_of
from textvae.pretrained.base import FrozenImages
from textvae.text.base import FrozenText
from textvae.text.embedding_length import EmbeddingLength
from textvae.utils.config import to_dict
from textvae.utils.cores import usable_cores
from textvae.utils.errors import UserError
from textvae.utils.files import alone
from textvae.utils.paths import prepared_root
from textvae.utils.processes import on_this_host, processes
from textvae.utils.progress import say


def prepare(
    source: str | Sequence[str],
    side: int = 64,
    text: TextName = "words",
    images: ImageName | None = None,
    subset: Subset | None = None,
    out: Path | None = None,
    clip: str = "",
    pair: Path | None = None,
    workers: int = 0,
    length: EmbeddingLength | None = None,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Prepares photographs as a data set that ``data.load`` opens by its name. The same call again resumes.

    Under torchrun, processes share the work; those of several hosts need a folder that all of them see.

    A set that is there is kept if nothing has changed, and replaced if pictures or captions were added, replaced or
    removed, which is said on stderr.

    Args:
        source: a photograph set of the catalog by name, or a folder by path; several of them are joined in one set, in
            which each keeps its splits.
        side: pixels a side of the square pictures.
        text: the encoder whose embeddings of the captions are stored; "words" stores none.
        images: the encoder whose embeddings of the images are stored; None stores none.
        subset: which part of the set; default: all of it.
        out: the folder to write; default: SOURCE-SIZE-TEXT (with the subset, and the length if one is chosen), where
            textvae keeps prepared sets. Several sources are called A+B there, or by the name that the catalog has for
            them. A second folder of the same name is called SOURCE-2.
        clip: the CLIP model of "clip" and "clip-tokens": of the Hugging Face hub, or a folder; see ``clip_place``.
        pair: the run folder of the dual encoder of "pair".
        workers: processes, for each that torchrun started; 0 takes as many as there are cores to use.
        length: of pooled embeddings; None: see ``default_length``.
        overwrite: whether a set that was made with other settings, or is damaged, is replaced.

    Returns:
        "name", "folder", "splits" with their counts, and how many images were "skipped" and "handled", by reason.

    Raises:
        UserError: the source cannot be read, an encoder is not available, the folder holds a set that was made with
            other settings, another process is preparing it, or the folder cannot be written.
    """
    if not 8 <= side <= MOST_SIDE:
        raise UserError(f"{side} pixels a side is out of range", f"choose --size from 8 to {MOST_SIDE}")
    subset = subset or Subset()
    group = processes()
    sources = [source] if isinstance(source, str) else list(source)
    chosen = group.in_turn(lambda: find_photographs(*sources))
    caption_encoder = group.in_turn(lambda: text_encoder(text, clip, pair, length))
    picture_encoder = group.in_turn(lambda: image_encoder(images, clip, pair, length) if images else None)
    splits = group.from_first(lambda: splits_of(chosen, subset))
    plan = _plan(chosen, side, subset, splits, text, caption_encoder, picture_encoder) if group.first else {}
    ending = f"{subset.suffix}-{side}-{text}{f'-{length}' if length else ''}"
    if out is None:
        chosen = replace(chosen, about=group.from_first(lambda: _named(chosen, plan, ending)))
        plan["source"] = chosen.about.name
    name = f"{chosen.about.name}{ending}"
    folder = out or prepared_root() / name
    try:
        with alone(folder.with_name(f".{folder.name}.lock")) if group.first else contextlib.nullcontext(True) as mine:
            if not mine:
                raise UserError(
                    f"{folder} is being prepared by another process",
                    "Wait until it ends; the same command then finds the set, or resumes",
                )
            made = group.from_first(lambda: _made(folder, plan, overwrite))
            if made is None:
                for line in summary(chosen, splits).lines() if group.first else ():
                    say(line)
                command = _command(sources, side, text, images, subset, out)
                command += f" --embedding-length {length}" if length else ""
                command += f" --clip {shlex.quote(clip)}" if clip else ""
                made = Preparation(
                    chosen, side, splits, plan, caption_encoder, picture_encoder, folder, workers or _cores(), group
                ).build(command, overwrite)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS, errno.EPERM):
            raise
        raise UserError(
            f"{folder} cannot be written: {(error.strerror or str(error)).lower()}",
            "Make room or choose another --out; the same command then resumes",
        ) from error
    return {
        "name": str(out) if out else name,
        "folder": str(folder),
        "splits": made["splits"],
        "skipped": made["skipped"],
        "handled": made["handled"],
    }


def _made(folder: Path, plan: Mapping[str, Any], overwrite: bool) -> dict[str, Any] | None:
    """The manifest of a set that is there and holds what the plan says; None if there is none."""
    restore(folder)
    if overwrite or not (folder / MANIFEST).is_file():
        return None
    made = read_manifest(folder)
    if up_to_date(folder, made.get("made_of"), plan):
        counts = {split: facts["images"][0] for split, facts in made["splits"].items()}
        say(f"{folder} is already prepared: {sum(counts.values()):,} images ({listed(counts)})")
        return made
    say(f"{folder.name}: pictures or captions have changed since it was prepared; preparing it again")
    return None


def _named(photographs: Photographs, plan: Mapping[str, Any], ending: str) -> PhotographSet:
    """The photographs under the first of the names NAME, NAME-2, ... that no set of other pictures has."""
    for number in count(1):
        name = photographs.about.name if number == 1 else f"{photographs.about.name}-{number}"
        folder = prepared_root() / f"{name}{ending}"
        before: Any = None
        if (folder / MANIFEST).is_file():
            with contextlib.suppress(UserError):
                before = read_manifest(folder).get("made_of")
        else:
            before = plan_of(unfinished(folder))
        if not isinstance(before, dict) or same_set(before, plan):
            break
        say(f"{folder.name} is made of other pictures: {', '.join(before['places'])}")
    return replace(photographs.about, name=name)


def _plan(
    photographs: Photographs,
    side: int,
    subset: Subset,
    splits: dict[str, list[Record]],
    text: TextName,
    caption_encoder: FrozenText | None,
    picture_encoder: FrozenImages | None,
) -> dict[str, Any]:
    """Everything that decides what a set holds."""
    part = to_dict(subset)
    if not subset.without:
        del part["without"]  # as sets that were prepared before there was this option have it
    return {
        "source": photographs.about.name,
        "subset": part,
        "places": [part.place for part in photographs.parts],
        "records": {split: digest(records) for split, records in splits.items()},
        "files": {split: digest_of_files(records) for split, records in splits.items()},
        "side": side,
        "fit": photographs.fit,
        "text": caption_encoder.identity if caption_encoder else text,
        "image": picture_encoder.identity if picture_encoder else None,
    }


def _command(
    sources: Sequence[str], side: int, text: TextName, images: ImageName | None, subset: Subset, out: Path | None
) -> str:
    words = ["textvae data prepare", *map(shlex.quote, sources), f"--size {side}", f"--text {text}"]
    words += [f"--image-encoder {images}"] if images else []
    words += [f"--fraction {subset.fraction:g}", f"--seed {subset.seed}"] if subset.fraction < 1 else []
    words += [f"--theme {shlex.quote(','.join(subset.theme))}"] if subset.theme else []
    words += [f"--without {shlex.quote(','.join(subset.without))}"] if subset.without else []
    words += [f"--out {shlex.quote(str(out))}"] if out else []
    return " ".join(words)


def _cores() -> int:
    """The cores of this process; processes of one command share those of their host."""
    return max(1, usable_cores() // on_this_host())
