"""Mutated files of every kind: each is read or refused with a cause and a cure; none hangs or takes the memory."""

import gzip
import hashlib
import io
import json
import random
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import photos, tiny
from helpers.mutations import HOSTILE, attack, mutated, mutated_json
from PIL import Image

from textvae import cli, data
from textvae.data.idx import read_idx
from textvae.data.remote import remote_set
from textvae.preparation import prepare
from textvae.preparation.decode import decode
from textvae.preparation.layouts.coco import read_captions
from textvae.preparation.layouts.image_folder import read_table
from textvae.preparation.layouts.side_cars import SideCars
from textvae.preparation.layouts.webdataset import read_shard
from textvae.preparation.publish import publish
from textvae.runs.files import CONFIG, HISTORY, METRICS, MODEL
from textvae.runs.metrics import Metrics
from textvae.runs.run import open_run, read_history, shipped_models
from textvae.utils.files import write_json
from textvae.utils.images import read_metadata as read_facts
from textvae.utils.images import save_image
from textvae.utils.pictures import Unreadable
from textvae.utils.pixels import read_picture

pytestmark = pytest.mark.robust
SECONDS = 8.0
"""For each kind of file."""


def check(name: str, content: bytes, mutate, read, capsys) -> None:
    counts = attack(name, content, mutate, read, SECONDS)
    with capsys.disabled():
        print(f"\n{name}: {counts['read']} read, {counts['refused']} refused")


def in_file(file: Path, read):
    def written(content: bytes) -> object:
        file.write_bytes(content)
        return read(file)

    return written


def test_idx(tmp_path, tiny_cache, capsys):
    whole = (tiny_cache / "data" / "fashion-mnist" / "t10k-labels-idx1-ubyte").read_bytes()
    check("idx", whole, mutated, in_file(tmp_path / "labels", read_idx), capsys)


def test_annotations(tmp_path, capsys):
    photos.coco_folder(tmp_path, 4, 1)
    file = tmp_path / "annotations" / "captions_train2017.json"
    check(
        "coco", file.read_bytes(), mutated_json,
        in_file(file, lambda path: _encodable(read_captions(path, tmp_path / "train2017"))), capsys,
    )  # fmt: skip


def test_metadata(tmp_path, capsys):
    photos.image_folder(tmp_path, {"train": 4})
    file = tmp_path / "train" / "metadata.jsonl"
    whole = file.read_bytes()
    check("metadata", whole, mutated_json, in_file(file, lambda path: _encodable(read_table(path))), capsys)
    rows = "file_name,text\n" + "".join(f'{number:03d}.jpg,"a boat, {number}"\n' for number in range(4))
    file = file.with_suffix(".csv")
    check("csv", rows.encode(), mutated, in_file(file, lambda path: _encodable(read_table(path))), capsys)


def test_side_cars(tmp_path, capsys):
    photos.picture(0).save(tmp_path / "a.jpg")

    def read(_: Path) -> None:
        for records in SideCars(tmp_path).splits().values():
            _encodable(records)

    check("side car", "a boat\nein Böötchen\n".encode(), mutated, in_file(tmp_path / "a.txt", read), capsys)


@pytest.mark.parametrize("packed", [False, True])
def test_shards(tmp_path, packed, capsys):
    content = photos.encoded(photos.picture(0, (20, 20)))
    whole = photos.shard(tmp_path / "a.tar", {f"{n}": (content, f"caption {n}") for n in range(3)}).read_bytes()
    file = tmp_path / ("b.tar.gz" if packed else "b.tar")

    def mutate(content: bytes, chance: random.Random) -> bytes:
        if not packed:
            return mutated(content, chance)
        # Half of them before they are packed, half of them after.
        if chance.random() < 0.5:
            return gzip.compress(mutated(content, chance), 1)
        return mutated(gzip.compress(content, 1), chance)

    check(file.name, whole, mutate, in_file(file, lambda path: _encodable(read_shard(path))), capsys)


def _encodable(records) -> None:
    """Records as a preparation uses them: read, and written to a report."""
    for record in records:
        json.dumps([record.key, record.problem], ensure_ascii=False).encode()
        if record.image is not None:
            try:
                decode(record.image.read(), 16)
            except Unreadable as error:
                str(error).encode()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "AVIF"])
def test_pictures(tmp_path, kind, capsys):
    out = io.BytesIO()
    try:
        photos.picture(1, (64, 48)).save(out, kind)
    except (KeyError, OSError):
        pytest.skip(f"this Pillow writes no {kind}")

    def read(path: Path) -> None:
        for fit in ("crop", "pad"):
            try:
                assert decode(path.read_bytes(), 32, fit).pixels.shape == (32, 32, 3)
            except Unreadable as error:
                str(error).encode()
        read_facts(path)
        read_picture(path, (1, 28, 28))

    check(kind, out.getvalue(), mutated, in_file(tmp_path / "picture", read), capsys)


def test_facts_in_pictures(tmp_path, capsys):
    save_image(Image.new("RGB", (28, 28)), tmp_path / "a.jpg", {"prompt": "a dress", "seed": "3"})
    content = (tmp_path / "a.jpg").read_bytes()

    def read(path: Path) -> None:
        cli.run(["info", str(path)])

    check("info", content, mutated, in_file(tmp_path / "b.jpg", read), capsys)


@pytest.mark.parametrize(
    "name",
    ["manifest.json", "train-captions.npy", "train-ends.npy", "train-ranges.npy", "train-images.npy", "train-text.npy"],
)
def test_prepared_sets(tmp_path, monkeypatch, name, capsys):
    monkeypatch.setenv("TEXTVAE_CACHE", str(tmp_path / "cache"))
    prepare.prepare(str(photos.coco_folder(tmp_path / "mine", 6, 2)), 16, "words", workers=1, out=tmp_path / "set")
    if name == "train-text.npy":
        np.save(tmp_path / "set" / name, np.zeros((12, 4), np.float32))
        manifest = json.loads((tmp_path / "set" / "manifest.json").read_bytes())
        manifest["text"] |= {"name": "sentence", "kind": "pooled", "shape": [4]}
        manifest["splits"]["train"] |= {"text": [12, 4], "fingerprint": ""}
        write_json(tmp_path / "set" / "manifest.json", manifest)
    file = tmp_path / "set" / name

    def read(path: Path) -> None:
        found = data.source(str(path.parent))
        _ = found.title, found.home, found.terms, found.command, found.contents
        for split in found.splits:
            found.load(split).checked_fingerprint()

    mutate = mutated_json if name.endswith("json") else mutated
    check(name, file.read_bytes(), mutate, in_file(file, read), capsys)


@pytest.mark.parametrize("name", ["manifest.json", "words.json", "part"])
def test_sets_in_parts(tmp_path, monkeypatch, name, capsys):
    monkeypatch.setenv("TEXTVAE_CACHE", str(tmp_path / "cache"))
    prepare.prepare(str(photos.coco_folder(tmp_path / "mine", 6, 2)), 16, "words", workers=1, out=tmp_path / "set")
    bucket = tmp_path / "bucket"
    publish(str(tmp_path / "set"), f"file://{bucket}")
    file = next(bucket.glob("train-*")) if name == "part" else bucket / name

    def read(path: Path) -> None:
        if name == "part":  # whoever can change a part can change its checksum in the manifest
            manifest = json.loads((bucket / "manifest.json").read_bytes())
            content = path.read_bytes()
            manifest["parts"]["train"][0][2:] = [len(content), hashlib.sha256(content).hexdigest()]
            write_json(bucket / "manifest.json", manifest)
        remote_set.cache_clear()
        images = data.training_images(f"file://{bucket}")
        images.words()
        images.some_captions(5)
        _ = images[torch.arange(len(images))]
        data.load(f"file://{bucket}", "train").checked_fingerprint()

    mutate = mutated if name == "part" else mutated_json
    check(f"in parts: {name}", file.read_bytes(), mutate, in_file(file, read), capsys)


@pytest.mark.parametrize("model", ["fashion", "judge-fashion", "flowers"])
@pytest.mark.parametrize("name", [CONFIG, MODEL])
def test_run_folders(tmp_path, model, name, capsys):
    if model not in shipped_models():
        pytest.skip(f"{model} is not bundled")
    run = Path(shutil.copytree(shipped_models()[model], tmp_path / "run"))
    mutate = mutated_json if name == CONFIG else mutated
    check(f"{model} {name}", (run / name).read_bytes(), mutate,
          in_file(run / name, lambda path: open_run(path.parent).load_model()), capsys)  # fmt: skip


@pytest.mark.parametrize("name", ["state.pt", HISTORY, CONFIG])
def test_trainings(tmp_path, textvae, name, capsys):
    """A finished training of one epoch, which is asked for one more."""
    words = ["train", "label-conv", *tiny.HOW, *tiny.SMALL_CONV, "--trainer.batch-size", "128", "--out"]
    whole, run = tmp_path / "whole", tmp_path / "run"
    assert textvae(*words, whole, "--trainer.epochs", 1)[0] == 0
    content = (whole / name).read_bytes()

    def read(changed: bytes) -> None:
        shutil.rmtree(run, ignore_errors=True)
        shutil.copytree(whole, run)
        (run / name).write_bytes(changed)
        cli.run([*words, str(run), "--trainer.epochs", "2"])

    check(name, content, mutated if name == "state.pt" else mutated_json, read, capsys)


def test_histories_and_metrics(tmp_path, textvae, tiny_run, capsys):
    history = (tiny_run / HISTORY).read_bytes()
    check("history", history, mutated_json, in_file(tmp_path / HISTORY, lambda path: read_history(path.parent)), capsys)
    file = tmp_path / METRICS
    code, _, _ = textvae("evaluate", tiny_run, "--num-samples", 11, "--importance-samples", 2, "--out", file)
    assert code == 0
    check("metrics", file.read_bytes(), mutated_json, in_file(file, Metrics.read), capsys)


PIECES = ("a", "dress", "red", "flower", "none", "two", "plus", "(", "3", "-", "狗", "\u202e", "\0", *map(str, HOSTILE))


def prompt(_: bytes, chance: random.Random) -> bytes:
    """Words and characters in a random order."""
    pieces = [chance.choice(PIECES)[:3000] for _ in range(chance.randint(0, 30))]
    return chance.choice((" ", "", "\n", "\t")).join(pieces).encode(errors="replace")


@pytest.mark.parametrize("model", ["fashion", "digits", "flowers"])
def test_prompts(model, capsys):
    text = open_run(model).recipe.text
    check(f"prompts of {model}", b"", prompt, lambda content: text.encode([content.decode()]), capsys)
