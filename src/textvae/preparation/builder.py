"""A prepared set in the making: pixels, captions and frozen embeddings, a chunk at a time, each step kept.

What is asked for, and what is refused, is ``prepare``'s.
"""

import json
import re
import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from textvae.data.captioned_images import CaptionedImages
from textvae.data.frozen_encoders import DualEncoderImages
from textvae.data.prepared import MANIFEST, REPORT, PreparedSet, read_manifest
from textvae.preparation.decode import DecodeTask, Place, decode_chunk
from textvae.preparation.records import PhotoSource, Record, clean
from textvae.preparation.workers import ImageTask, TextTask, carried_out, embed_captions, embed_images
from textvae.pretrained.base import FrozenImages
from textvae.text.base import FrozenText
from textvae.utils.errors import UserError
from textvae.utils.files import write_json, write_text, written_whole
from textvae.utils.progress import ProgressLine, say

IMAGES_A_CHUNK, CAPTIONS_A_CHUNK = 256, 1024

PLAN = "plan.json"
"""In an unfinished set: what it is going to be."""

Line = dict[str, str]
"""Of the report: split, key, done ("skipped" or "handled"), why."""


@dataclass(frozen=True)
class Preparation:
    """One set in the making, in a folder beside the one it will be."""

    source: PhotoSource
    side: int
    splits: dict[str, list[Record]]
    plan: dict[str, Any]
    reader: FrozenText | None
    viewer: FrozenImages | None
    folder: Path
    workers: int

    @property
    def unfinished(self) -> Path:
        """The folder that is worked in, renamed at the end."""
        return self.folder.with_name(f".{self.folder.name}.unfinished")

    def build(self, command: str) -> dict[str, Any]:
        """Makes the set, or goes on where the last attempt stopped; returns its manifest, in which ``command`` stands.

        Raises:
            UserError: the folder is something else or was begun otherwise, or no image can be read.
        """
        if self.folder.exists():
            raise UserError(f"{self.folder} exists and is no prepared set", "Choose another --out")
        plan = self.unfinished / PLAN
        if plan.is_file():
            refuse_difference(self.unfinished, json.loads(plan.read_bytes()), self.plan)
            say(f"{self.folder.name}: going on where the last preparation stopped")
        else:
            shutil.rmtree(self.unfinished, ignore_errors=True)
            write_json(plan, self.plan)
        for split, records in self.splits.items():
            self._pixels(split, records)
            self._text(split)
            self._image(split)
        return self._finish(command)

    def _pixels(self, split: str, records: list[Record]) -> None:
        """{split}-images.npy and {split}-captions.json."""
        target = self.unfinished / f"{split}-captions.json"
        if target.is_file():
            return
        usable, captions, report = [], [], []
        for record in records:
            kept, notes = clean(record.captions)
            if record.image is None or not kept:
                report.append(_line(split, record.key, "skipped", record.problem or "no caption"))
                continue
            usable.append((record.key, record.image))
            captions.append(kept)
            report += [_line(split, record.key, "handled", note) for note in notes]
        parts = self._parts(split, "pixels", len(usable), IMAGES_A_CHUNK)
        tasks = [
            DecodeTask(str(part), tuple(place for _, place in usable[start:stop]), self.side, self.source.fit)
            for part, start, stop in parts
        ]
        self._carry_out(decode_chunk, tasks, f"{split}: decoding", "images", IMAGES_A_CHUNK)

        kept_numbers: list[int] = []
        for part, start, _ in parts:
            with np.load(part, allow_pickle=False) as chunk:
                kept_numbers += (chunk["kept"] + start).tolist()
                for number, note in zip(chunk["noted"].tolist(), chunk["notes"].tolist(), strict=True):
                    done = "skipped" if note.startswith("!") else "handled"
                    report.append(_line(split, usable[start + number][0], done, note.removeprefix("!")))
        if not kept_numbers:
            raise UserError(
                f"no image of {self.source.name}'s {split} can be read, such as {usable[0][0] if usable else 'any'}: "
                f"{report[-1]['why'] if report else 'there is none'}",
                "Look at the source's files",
            )
        self._joined(f"{split}-images.npy", parts, "pixels", len(kept_numbers))
        # Images with the very same captions share their stretch: each text is encoded once.
        stretches: dict[tuple[str, ...], tuple[int, int]] = {}
        texts: list[str] = []
        for number in kept_numbers:
            own = captions[number]
            if own not in stretches:
                stretches[own] = (len(texts), len(texts) + len(own))
                texts += own
        write_text(self.unfinished / f"{split}-pixels.jsonl", _lines(report))
        write_text(
            target,
            json.dumps(
                {
                    "captions": texts,
                    "ranges": [stretches[captions[number]] for number in kept_numbers],
                    "keys": [usable[number][0] for number in kept_numbers],
                },
                ensure_ascii=False,
            ),
        )
        self._discard(split, "pixels")

    def _text(self, split: str) -> None:
        """{split}-text.npy."""
        if self.reader is None or (self.unfinished / f"{split}-text.npy").is_file():
            return
        captions = json.loads((self.unfinished / f"{split}-captions.json").read_bytes())["captions"]
        parts = self._parts(split, "text", len(captions), CAPTIONS_A_CHUNK)
        tasks = [TextTask(part, tuple(captions[start:stop]), self.reader) for part, start, stop in parts]
        self._carry_out(embed_captions, tasks, f"{split}: reading captions", "captions", CAPTIONS_A_CHUNK)
        report = []
        for part, start, _ in parts:
            with np.load(part, allow_pickle=False) as chunk:
                for number, remark in zip(chunk["noted"].tolist(), chunk["notes"].tolist(), strict=True):
                    report.append(_line(split, f"caption {start + number}", "handled", f"caption {remark}"))
        write_text(self.unfinished / f"{split}-text.jsonl", _lines(report))
        self._joined(f"{split}-text.npy", parts, "rows", len(captions))
        self._discard(split, "text")

    def _image(self, split: str) -> None:
        """{split}-image.npy."""
        if self.viewer is None or (self.unfinished / f"{split}-image.npy").is_file():
            return
        pictures = self.unfinished / f"{split}-images.npy"
        places: dict[str, Place] = {}
        if self.viewer.side is not None:
            places = {record.key: record.image for record in self.splits[split] if record.image is not None}
        keys = json.loads((self.unfinished / f"{split}-captions.json").read_bytes())["keys"]
        features = self._features_elsewhere(split)
        parts = self._parts(split, "image", len(keys), IMAGES_A_CHUNK)
        tasks = [
            ImageTask(
                part,
                self.viewer,
                features or pictures,
                (start, stop),
                tuple(places[key] for key in keys[start:stop]) if places else (),
                self.source.fit,
                features is not None,
            )
            for part, start, stop in parts
        ]
        self._carry_out(embed_images, tasks, f"{split}: looking at images", "images", IMAGES_A_CHUNK)
        self._joined(f"{split}-image.npy", parts, "rows", len(keys))
        self._discard(split, "image")

    def _features_elsewhere(self, split: str) -> Path | None:
        """A pair projects features; where another set has those of the very same pictures, they are not made again."""
        if not isinstance(self.viewer, DualEncoderImages):
            return None
        wanted = {key: self.plan[key] for key in ("source", "subset", "records", "side", "fit")}
        for manifest in self.folder.parent.glob(f"*/{MANIFEST}"):
            try:
                made_of = read_manifest(manifest.parent).get("made_of", {})
            except UserError:  # somebody else's manifest.json
                continue
            if made_of.get("image") == self.viewer.base.identity and wanted.items() <= made_of.items():
                return manifest.parent / f"{split}-image.npy"
        return None

    def _finish(self, command: str) -> dict[str, Any]:
        report = []
        for split in self.splits:
            for part in ("pixels", "text"):
                if (path := self.unfinished / f"{split}-{part}.jsonl").is_file():
                    report += path.read_text(encoding="utf-8").splitlines()
                    path.unlink()
        write_text(self.unfinished / REPORT, "".join(f"{line}\n" for line in report))
        counts = {"skipped": Counter[str](), "handled": Counter[str]()}
        for line in map(json.loads, report):
            counts[line["done"]][_kind(line["why"])] += 1
        manifest: dict[str, Any] = {
            "textvae": _version(),
            "command": command,
            "made_of": self.plan,
            "source": {key: getattr(self.source, key) for key in ("name", "title", "home", "terms")},
            "side": self.side,
            "fit": self.source.fit,
            "text": {
                "name": self.reader.name if self.reader else "words",
                "identity": self.reader.identity if self.reader else "",
            },
            "image": {"name": self.viewer.name, "identity": self.viewer.identity} if self.viewer else None,
            "splits": {split: self._facts(split) for split in self.splits},
            "skipped": dict(counts["skipped"].most_common()),
            "handled": dict(counts["handled"].most_common()),
        }
        unprinted = PreparedSet("", self.unfinished, manifest)
        for split in self.splits:
            loaded: CaptionedImages = unprinted.load(split)
            manifest["splits"][split]["fingerprint"] = loaded.fingerprint()
        (self.unfinished / PLAN).unlink()
        write_json(self.unfinished / MANIFEST, manifest)
        self.unfinished.rename(self.folder)
        return manifest

    def _facts(self, split: str) -> dict[str, Any]:
        facts: dict[str, Any] = {}
        for array in ("images", "text", "image"):
            if (path := self.unfinished / f"{split}-{array}.npy").is_file():
                facts[array] = list(np.load(path, mmap_mode="r", allow_pickle=False).shape)
        texts = json.loads((self.unfinished / f"{split}-captions.json").read_bytes())
        return facts | {"captions": len(texts["captions"])}

    def _parts(self, split: str, what: str, count: int, size: int) -> list[tuple[Path, int, int]]:
        folder = self.unfinished / f"{split}-{what}-chunks"
        folder.mkdir(exist_ok=True)
        return [
            (folder / f"{number:06d}.npz", start, min(start + size, count))
            for number, start in enumerate(range(0, count, size))
        ]

    def _joined(self, name: str, parts: Sequence[tuple[Path, int, int]], column: str, count: int) -> None:
        """One array of all chunks, copied through a mapping: no more than a chunk is in memory."""
        with np.load(parts[0][0], allow_pickle=False) as chunk:
            shape, dtype = chunk[column].shape[1:], chunk[column].dtype
        with written_whole(self.unfinished / name) as temporary:
            whole = np.lib.format.open_memmap(temporary, "w+", dtype, (count, *shape))
            at = 0
            for part, _, _ in parts:
                with np.load(part, allow_pickle=False) as chunk:
                    rows = chunk[column]
                whole[at : at + len(rows)] = rows
                at += len(rows)
            whole.flush()
            del whole

    def _discard(self, split: str, what: str) -> None:
        shutil.rmtree(self.unfinished / f"{split}-{what}-chunks")

    def _carry_out(
        self, function: Callable[[Any], None], tasks: Sequence[Any], title: str, unit: str, size: int
    ) -> None:
        """Carries out the tasks whose chunk is not there yet."""
        left = [task for task in tasks if not Path(task.out).is_file()]
        with ProgressLine(title, len(tasks) * size, unit, (len(tasks) - len(left)) * size) as progress:
            for _ in carried_out(function, left, self.workers):
                progress.advance(size)


def refuse_difference(folder: Path, before: Any, now: dict[str, Any]) -> None:
    """Refuses to go on with what was planned otherwise."""
    if not isinstance(before, dict):
        raise UserError(f"{folder} does not say what it is made of", "Delete it and prepare the set again")
    for key, value in now.items():
        if before.get(key) != value:
            raise UserError(
                f"{folder} was prepared otherwise: {key} was {before.get(key)!r}, now {value!r}; the two don't mix",
                "Choose another --out, or delete that folder first",
            )


def _line(split: str, key: str, done: str, why: str) -> Line:
    return {"split": split, "key": key, "done": done, "why": why}


def _lines(report: Sequence[Line]) -> str:
    return "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in report)


def _kind(why: str) -> str:
    """What a reason has in common with others: it without its numbers and particulars."""
    return re.sub(r"\d+ ", "", re.split(r":| from \d", why)[0])


def _version() -> str:
    from textvae import __version__

    return __version__
