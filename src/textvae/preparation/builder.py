"""Builds a prepared set in chunks (pixels, captions, embeddings), so that an interrupted preparation can resume.

What is built is decided in ``prepare``.
"""

import json
import shutil
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textvae.data.captioned_images import CaptionedImages
from textvae.data.catalog import PhotographSet
from textvae.data.frozen_encoders import DualEncoderImages, length_of, weights_of
from textvae.data.manifest import MANIFEST, TEXT_KINDS, TextKind, read_manifest
from textvae.data.prepared import REPORT, PreparedSet, stored_captions
from textvae.data.stored_captions import stored
from textvae.preparation.decode import DecodeTask, Fit, ImageBytes, decode_chunk
from textvae.preparation.encode import ImageTask, TextTask, embed_captions, embed_images, use_one_thread
from textvae.preparation.layouts import Photographs
from textvae.preparation.plan import PLAN, plan_of, up_to_date
from textvae.preparation.recognise import kind_of
from textvae.preparation.record import Record, clean
from textvae.preparation.workers import run_tasks
from textvae.pretrained.base import FrozenImages
from textvae.text.base import FrozenText
from textvae.utils.errors import UserError
from textvae.utils.files import sync_folder, temporary_target, write_json, write_text, written_whole
from textvae.utils.processes import Processes
from textvae.utils.progress import ProgressLine, say
from textvae.utils.version import __version__

IMAGES_A_CHUNK, CAPTIONS_A_CHUNK = 256, 1024

Line = dict[str, str]
"""One line of the report: split, key, done ("skipped" or "handled"), why."""


def unfinished(folder: Path) -> Path:
    """Where a set is built before it is complete."""
    return folder.with_name(f".{folder.name}.unfinished")


def _replaced(folder: Path) -> Path:
    """Where a set is moved before another one takes its place."""
    return folder.with_name(f".{folder.name}.replaced")


def restore(folder: Path) -> None:
    """Brings back the set of a process that was killed just when it put another one in its place."""
    if not folder.exists() and (_replaced(folder) / MANIFEST).is_file():
        _replaced(folder).rename(folder)


@dataclass(frozen=True)
class Preparation:
    """One set, built in a folder beside its final one."""

    photographs: Photographs
    side: int
    splits: dict[str, list[Record]]
    plan: dict[str, Any]
    """Everything that decides what the set will hold: only a preparation with the same plan is resumed."""
    text_encoder: FrozenText | None
    image_encoder: FrozenImages | None
    folder: Path
    workers: int
    """Worker processes of this process."""
    group: Processes
    """The processes that share the work. Each writes the chunks that it makes; the first writes everything else."""

    @property
    def unfinished(self) -> Path:
        """The folder that is written to, and renamed when the set is complete."""
        return unfinished(self.folder)

    def build(self, command: str, overwrite: bool = False) -> dict[str, Any]:
        """Builds the set, or resumes an interrupted preparation; returns its manifest, which records ``command``.

        A set that is there is replaced when the new one is complete.

        Args:
            command: the command that makes the set.
            overwrite: whether an interrupted preparation with other settings is discarded.

        Raises:
            UserError: the folder exists and is no prepared set, an unfinished one was begun with other settings, or no
                image can be read.
        """
        published = self.group.from_first(lambda: self._begin(overwrite))
        if published is not None:
            return published
        if not all(self.group.gather((self.unfinished / PLAN).is_file())):
            raise UserError(
                f"not all processes see {self.unfinished}", "on several hosts, choose an --out that all of them share"
            )
        for split, records in self.splits.items():
            for part, make in (("captions.npy", self._pixels), ("text.npy", self._text), ("image.npy", self._image)):
                if not self.group.from_first((self.unfinished / f"{split}-{part}").is_file):
                    make(split, records)
        return self.group.from_first(lambda: self._finish(command))

    def _begin(self, overwrite: bool) -> dict[str, Any] | None:
        """Begins or resumes; returns the manifest if nothing was left to do."""
        if self.folder.exists() and not (self.folder / MANIFEST).is_file():
            raise UserError(f"{self.folder} exists and is no prepared set", "Choose another --out")
        begun = plan_of(self.unfinished)
        if begun is not None and up_to_date(self.unfinished, begun, self.plan, overwrite):
            if (self.unfinished / MANIFEST).is_file():  # killed while it was published
                return self._publish()
            say(f"{self.folder.name}: resuming the interrupted preparation")
        else:
            shutil.rmtree(self.unfinished, ignore_errors=True)
            write_json(self.unfinished / PLAN, self.plan)
        return None

    def _pixels(self, split: str, records: list[Record]) -> None:
        """{split}-images.npy, {split}-ranges.npy, {split}-keys.json, {split}-ends.npy and {split}-captions.npy."""
        usable, captions, report = [], [], []
        for record in records:
            kept, notes = clean(record.captions)
            if record.image is None or not kept:
                report.append(_line(split, record.key, "skipped", record.problem or "no caption"))
                continue
            usable.append((record.key, record.image, record.fit))
            captions.append(kept)
            report += [_line(split, record.key, "handled", note) for note in notes]
        parts = self._parts(split, "pixels", len(usable), IMAGES_A_CHUNK)
        tasks = [
            DecodeTask(str(part), tuple((place, fit) for _, place, fit in usable[start:stop]), self.side)
            for part, start, stop in parts
        ]
        self._run(decode_chunk, tasks, f"{split}: decoding", "images", IMAGES_A_CHUNK)
        if not self.group.first:
            return
        kept_numbers: list[int] = []
        for part, start, _stop in parts:
            with np.load(part, allow_pickle=False) as chunk:
                kept_numbers += (chunk["kept"] + start).tolist()
                for number, note in zip(chunk["noted"].tolist(), chunk["notes"].tolist(), strict=True):
                    done = "skipped" if note.startswith("!") else "handled"
                    report.append(_line(split, usable[start + number][0], done, note.removeprefix("!")))
        if not kept_numbers:
            raise UserError(
                f"no image of {self.photographs.about.name} can be read for {split}: "
                f"{report[-1]['why'] if report else 'there is none'}",
                "Check the files of the photograph set",
            )
        self._joined(f"{split}-images.npy", parts, "pixels", len(kept_numbers))
        # Images with equal captions share a range of them: each text is encoded once.
        ranges: dict[tuple[str, ...], tuple[int, int]] = {}
        texts: list[str] = []
        for number in kept_numbers:
            own = captions[number]
            if own not in ranges:
                ranges[own] = (len(texts), len(texts) + len(own))
                texts += own
        of_each = np.array([ranges[captions[number]] for number in kept_numbers], np.int64)
        self._save(f"{split}-ranges.npy", of_each)
        keys = [usable[number][0] for number in kept_numbers]
        write_text(self.unfinished / f"{split}-keys.json", json.dumps(keys, ensure_ascii=False))
        write_text(self.unfinished / f"{split}-pixels.jsonl", _lines(report))
        content = stored(texts)
        self._save(f"{split}-ends.npy", content.ends.numpy())
        self._save(f"{split}-captions.npy", content.texts.numpy())  # the last: what is there is not made again
        self._discard(split, "pixels")

    def _text(self, split: str, _: list[Record]) -> None:
        """{split}-text.npy."""
        if self.text_encoder is None:
            return
        captions = stored_captions(self.unfinished, split)
        parts = self._parts(split, "text", len(captions), CAPTIONS_A_CHUNK)
        # Token vectors are many: half precision takes half the space, and is far more precise than a model needs.
        half = TEXT_KINDS[self.text_encoder.name] == "tokens"
        tasks = [TextTask(part, tuple(captions[start:stop]), self.text_encoder, half) for part, start, stop in parts]
        self._run(embed_captions, tasks, f"{split}: embedding captions", "captions", CAPTIONS_A_CHUNK)
        if not self.group.first:
            return
        report = []
        for part, start, _stop in parts:
            with np.load(part, allow_pickle=False) as chunk:
                for number, remark in zip(chunk["noted"].tolist(), chunk["notes"].tolist(), strict=True):
                    report.append(_line(split, f"caption {start + number}", "handled", f"caption {remark}"))
        write_text(self.unfinished / f"{split}-text.jsonl", _lines(report))
        self._joined(f"{split}-text.npy", parts, "rows", len(captions))
        self._discard(split, "text")

    def _image(self, split: str, records: list[Record]) -> None:
        """{split}-image.npy."""
        if self.image_encoder is None:
            return
        pictures = self.unfinished / f"{split}-images.npy"
        originals: dict[str, tuple[ImageBytes, Fit]] = {}
        if self.image_encoder.side is not None:
            originals = {record.key: (record.image, record.fit) for record in records if record.image}
        keys = json.loads((self.unfinished / f"{split}-keys.json").read_bytes())
        features = self.group.from_first(lambda: self._features_elsewhere(split))
        parts = self._parts(split, "image", len(keys), IMAGES_A_CHUNK)
        tasks = [
            ImageTask(
                part,
                self.image_encoder,
                features or pictures,
                (start, stop),
                tuple(originals[key] for key in keys[start:stop]) if originals else (),
                features is not None,
            )
            for part, start, stop in parts
        ]
        self._run(embed_images, tasks, f"{split}: embedding images", "images", IMAGES_A_CHUNK)
        if self.group.first:
            self._joined(f"{split}-image.npy", parts, "rows", len(keys))
            self._discard(split, "image")

    def _features_elsewhere(self, split: str) -> Path | None:
        """Features of the same pictures in another prepared set, which a dual encoder only projects; else None."""
        if not isinstance(self.image_encoder, DualEncoderImages):
            return None
        wanted = {key: self.plan[key] for key in ("source", "subset", "records", "files", "side", "fit")}
        for manifest in self.folder.parent.glob(f"*/{MANIFEST}"):
            try:
                made_of = read_manifest(manifest.parent).get("made_of", {})
            except UserError:  # some other program's manifest.json
                continue
            if made_of.get("image") == self.image_encoder.base.identity and wanted.items() <= made_of.items():
                return manifest.parent / f"{split}-image.npy"
        return None

    def _finish(self, command: str) -> dict[str, Any]:
        report = []
        for split in self.splits:
            for part in ("pixels", "text"):
                if (path := self.unfinished / f"{split}-{part}.jsonl").is_file():
                    report += path.read_text(encoding="utf-8").splitlines()
        write_text(self.unfinished / REPORT, "".join(f"{line}\n" for line in report))
        counts = {"skipped": Counter[str](), "handled": Counter[str]()}
        for line in map(json.loads, report):
            counts[line["done"]][kind_of(line["why"])] += 1
        manifest: dict[str, Any] = {
            "textvae": __version__,
            "command": command,
            "made_of": self.plan,
            "source": self._source(),
            "side": self.side,
            "fit": self.photographs.fit,
            "text": self._text_declared(),
            "image": None,
            "splits": {split: self._facts(split) for split in self.splits},
            "skipped": dict(counts["skipped"].most_common()),
            "handled": dict(counts["handled"].most_common()),
        }
        if self.image_encoder:
            width = manifest["splits"]["train"]["image"][1]
            encoder = self.image_encoder
            manifest["image"] = {"name": encoder.name, "identity": encoder.identity, "width": width}
        unfinished = PreparedSet("", self.unfinished, manifest)
        for split in self.splits:
            loaded: CaptionedImages = unfinished.load(split)
            manifest["splits"][split]["fingerprint"] = loaded.fingerprint()
        # The manifest is written last: what is deleted from here on is never needed again.
        write_json(self.unfinished / MANIFEST, manifest)
        return self._publish()

    def _publish(self) -> dict[str, Any]:
        """Deletes what only the preparation needed, killed processes' temporary files included; names the folder."""
        manifest = read_manifest(self.unfinished)
        parts = {PLAN, *(f"{split}-{part}.jsonl" for split in self.splits for part in ("pixels", "text"))}
        for path in list(self.unfinished.iterdir()):
            if path.is_dir():
                shutil.rmtree(path)
            elif path.name in parts or temporary_target(path):
                path.unlink()
        replaced = _replaced(self.folder)
        shutil.rmtree(replaced, ignore_errors=True)
        if self.folder.exists():
            self.folder.rename(replaced)
        self.unfinished.rename(self.folder)
        sync_folder(self.folder.parent)
        shutil.rmtree(replaced, ignore_errors=True)
        return manifest

    def _source(self) -> dict[str, Any]:
        def facts(about: PhotographSet) -> dict[str, Any]:
            return {key: getattr(about, key) for key in ("name", "title", "home", "terms")}

        parts = [facts(part.about) for part in self.photographs.parts]
        return facts(self.photographs.about) | ({"parts": parts} if len(parts) > 1 else {})

    def _text_declared(self) -> Mapping[str, Any]:
        encoder = self.text_encoder
        if encoder is None:
            return {"name": "words", "identity": "", "kind": "words", "shape": []}
        kind: TextKind = TEXT_KINDS[encoder.name]
        return {
            "name": encoder.name,
            "identity": encoder.identity,
            "kind": kind,
            "shape": list(encoder.shape),
            "weights": weights_of(encoder),
            "length": length_of(encoder),
        }

    def _facts(self, split: str) -> dict[str, Any]:
        facts: dict[str, Any] = {}
        for array in ("images", "text", "image"):
            if (path := self.unfinished / f"{split}-{array}.npy").is_file():
                facts[array] = list(np.load(path, mmap_mode="r", allow_pickle=False).shape)
        return facts | {"captions": len(stored_captions(self.unfinished, split))}

    def _parts(self, split: str, what: str, count: int, size: int) -> list[tuple[Path, int, int]]:
        folder = self.unfinished / f"{split}-{what}-chunks"
        if self.group.first:
            folder.mkdir(exist_ok=True)
        return [
            (folder / f"{number:06d}.npz", start, min(start + size, count))
            for number, start in enumerate(range(0, count, size))
        ]

    def _save(self, name: str, array: NDArray[Any]) -> None:
        with written_whole(self.unfinished / name) as temporary, temporary.open("wb") as file:
            np.save(file, array)

    def _joined(self, name: str, parts: Sequence[tuple[Path, int, int]], column: str, count: int) -> None:
        """Joins all chunks in one array; only one chunk is in memory.

        It is written, not mapped: a process that writes to a mapping on a full disk is killed.
        """
        with np.load(parts[0][0], allow_pickle=False) as chunk:
            shape, dtype = chunk[column].shape[1:], chunk[column].dtype
        about = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": (count, *shape)}
        with written_whole(self.unfinished / name) as temporary, temporary.open("wb") as file:
            np.lib.format.write_array_header_1_0(file, about)
            for part, _, _ in parts:
                with np.load(part, allow_pickle=False) as chunk:
                    file.write(np.ascontiguousarray(chunk[column], dtype).data)

    def _discard(self, split: str, what: str) -> None:
        shutil.rmtree(self.unfinished / f"{split}-{what}-chunks")

    def _run(self, function: Callable[[Any], None], tasks: Sequence[Any], title: str, unit: str, size: int) -> None:
        """Runs the tasks whose chunk has not been written, which are dealt out to the processes."""
        left = self.group.from_first(lambda: [n for n, task in enumerate(tasks) if not Path(task.out).is_file()])
        own = [tasks[number] for number in left[self.group.rank :: self.group.size]]
        prepare = None if function is decode_chunk else use_one_thread
        with ProgressLine(title, len(tasks) * size, unit, (len(tasks) - len(left)) * size) as progress:
            for _ in run_tasks(function, own, self.workers, prepare):
                progress.advance(min(size * self.group.size, progress.total - progress.done))
        self.group.wait()


def _line(split: str, key: str, done: str, why: str) -> Line:
    return {"split": split, "key": key, "done": done, "why": why}


def _lines(report: Sequence[Line]) -> str:
    return "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in report)
