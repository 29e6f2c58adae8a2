import dataclasses
import gzip
import hashlib
import json
import struct
import time
from pathlib import Path

import pytest
import torch

from textvae import data
from textvae.data.captioned_images import CaptionedImages, labelled_images
from textvae.data.describe import contact_sheet, describe, numbers
from textvae.data.download import Download
from textvae.data.mirrors import RemoteFile
from textvae.data.mnist import FASHION_MNIST, MNIST, IdxSource
from textvae.text.labels import DIGITS, FASHION
from textvae.utils.errors import UserError
from textvae.utils.images import read_metadata

COUNTS = {"train": 6, "t10k": 4}


def fake_content(part: str) -> dict[str, bytes]:
    count = COUNTS[part]
    pixels = bytes(i % 251 for i in range(count * 784))
    return {
        f"{part}-images-idx3-ubyte": struct.pack(">4B3I", 0, 0, 8, 3, count, 28, 28) + pixels,
        f"{part}-labels-idx1-ubyte": struct.pack(">4BI", 0, 0, 8, 1, count) + bytes(range(count)),
    }


@pytest.fixture
def fake(tmp_path, monkeypatch) -> IdxSource:
    """A source of ten pictures that lies in the cache, and that nobody could fetch."""
    monkeypatch.setenv("TEXTVAE_CACHE", str(tmp_path))
    monkeypatch.delenv("TEXTVAE_DATA", raising=False)
    contents = fake_content("train") | fake_content("t10k")
    files = tuple(RemoteFile(n, len(c), hashlib.sha256(c).hexdigest()) for n, c in contents.items())
    folder = tmp_path / "data" / "fake"
    folder.mkdir(parents=True)
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    source = dataclasses.replace(FASHION_MNIST, download=Download("fake", files, ()))
    monkeypatch.setitem(data.SOURCES, "fake", source)
    return source


def where(source: IdxSource) -> Path:
    folder = source.find()
    assert folder is not None
    return folder


def test_load_gives_images_labels_and_class_names(fake):
    train, test = data.load("fake", "train"), data.load("fake", "test")
    assert train.images.shape == (6, 1, 28, 28)
    assert train.images.flatten()[:252].tolist() == [*range(251), 0]
    assert train.labels is not None
    assert train.labels.tolist() == [0, 1, 2, 3, 4, 5]
    assert (train.name, train.split, len(test)) == ("fake", "train", 4)
    start, stop = train.caption_range[5].tolist()
    assert train.captions[start:stop] == ("sandal",)


def test_load_reads_gz_files_that_the_user_put_there(fake):
    for path in where(fake).iterdir():
        path.with_name(path.name + ".gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    assert len(data.load("fake", "train")) == 6


def test_load_refuses_a_changed_byte(fake):
    path = where(fake) / "train-images-idx3-ubyte"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(UserError, match="SHA-256"):
        data.load("fake", "train")
    assert len(data.load("fake", "test")) == 4


def test_unknown_names_and_splits_are_refused_with_what_there_is():
    with pytest.raises(UserError, match="Did you mean fashion-mnist") as error:
        data.load("Fashion_MNIST", "train")
    assert "mnist" in error.value.cure
    with pytest.raises(UserError, match="There are: fashion-mnist, mnist"):
        data.source("zzz")
    with pytest.raises(UserError, match="train, test"):
        data.load("mnist", "val")


def test_describe_counts_and_measures(fake, tmp_path):
    sheet = tmp_path / "sheet.png"
    facts = json.loads(json.dumps(describe("fake", sheet), allow_nan=False))
    train = facts["splits"]["train"]
    pixels = data.load("fake", "train").images.double() / 255
    assert train["images"] == 6
    assert train["pixel_mean"] == pytest.approx(float(pixels.mean()), abs=1e-12)
    assert train["pixel_std"] == pytest.approx(float(pixels.std(correction=0)), abs=1e-12)
    assert train["per_class"] == {name: int(i < 6) for i, name in enumerate(FASHION_MNIST.class_names)}
    assert train["fingerprint"] == data.load("fake", "train").fingerprint()
    assert "MIT" in facts["terms"]
    assert [file["sha256"] for file in facts["files"]] == [file.sha256 for file in fake.files]
    assert facts["contact_sheet"] == str(sheet)
    assert read_metadata(sheet)["data"] == "fake"


def test_contact_sheet_has_a_row_for_each_class_and_ten_columns():
    images = torch.zeros(40, 1, 28, 28, dtype=torch.uint8)
    few = labelled_images("x", "train", images, torch.arange(40) % 2, ("odd", "even"))
    one = labelled_images("x", "train", images, torch.zeros(40, dtype=torch.int64), ("odd", "even"))
    assert contact_sheet(few).height > contact_sheet(one).height
    # Ten pictures of 28 pixels, twice enlarged, and a margin for the name.
    assert 10 * 56 < contact_sheet(one).width < 12 * 56 + 60


def test_data_without_classes_can_be_described_too():
    images = torch.full((13, 3, 8, 8), 255, dtype=torch.uint8)
    plain = CaptionedImages("x", "train", images, ["all"], torch.tensor([[0, 1]]).repeat(13, 1))
    facts = numbers(plain)
    assert (facts["pixel_mean"], facts["pixel_std"], facts["image_shape"]) == (1.0, 0.0, [3, 8, 8])
    assert "per_class" not in facts
    # Six in a row, enlarged to 160 pixels, with captions below.
    assert contact_sheet(plain).width == 6 * (160 + 10) + 10
    assert contact_sheet(plain).height > 3 * (160 + 20)


def test_a_contact_sheet_shows_pictures_from_all_over_with_their_captions():
    shades = torch.arange(60, dtype=torch.uint8).mul(4)
    images = shades[:, None, None, None].expand(60, 3, 16, 16).contiguous()
    captions = [f"picture {number}" for number in range(60)]
    ranges = torch.stack([torch.arange(60), torch.arange(1, 61)], dim=1)
    sheet = contact_sheet(CaptionedImages("x", "train", images, captions, ranges))
    seen = {colour[0] for _, colour in sheet.getcolors(1 << 20)}
    assert {number * 8 for number in range(30)} <= seen
    bare = contact_sheet(CaptionedImages("x", "train", images, [" "] * 60, ranges))
    assert bare.size == sheet.size
    assert bare.tobytes() != sheet.tobytes()


def test_labels_mean_the_same_to_data_and_text():
    assert FASHION_MNIST.class_names == FASHION.class_names
    assert MNIST.class_names == DIGITS.class_names


@pytest.mark.slow
@pytest.mark.parametrize(
    ("source", "mean", "std"),
    [(FASHION_MNIST, 0.2860, 0.3530), (MNIST, 0.1307, 0.3081)],
    ids=lambda x: getattr(x, "name", ""),
)
def test_the_real_data(source, mean, std):
    if source.find() is None:
        pytest.skip(f"{source.name} is not here: textvae data fetch {source.name}")
    began = time.process_time()
    train = source.load("train")
    assert time.process_time() - began < 1.5
    assert train.images.shape == (60_000, 1, 28, 28)
    assert len(source.load("test")) == 10_000
    facts = numbers(train)
    # Published many times over, to four digits.
    assert facts["pixel_mean"] == pytest.approx(mean, abs=6e-5)
    assert facts["pixel_std"] == pytest.approx(std, abs=6e-5)
    assert sum(facts["per_class"].values()) == 60_000
    if source is FASHION_MNIST:
        assert set(facts["per_class"].values()) == {6_000}
