"""Fetching MS-COCO: archives that resume, checksums, what is unpacked; against a made server."""

import hashlib
import json
import shutil
from collections import namedtuple

import pytest
from helpers import coco_server, photos

from textvae import cli
from textvae.data import archives as fetching
from textvae.data import coco
from textvae.data.coco import ARCHIVES, fetch_coco, fetch_photographs
from textvae.preparation.layouts import find_photographs
from textvae.pretrained import inception
from textvae.utils.errors import UserError

SCENES = {number: photos.captions(number) for number in range(6)}


@pytest.fixture
def server(tmp_path, monkeypatch):
    """Six photographs as MS-COCO 2017, four of them for training; a cache of the test's own."""
    monkeypatch.setenv("TEXTVAE_CACHE", str(tmp_path))
    monkeypatch.delenv("TEXTVAE_DATA", raising=False)
    monkeypatch.setattr(fetching, "PAUSE_S", 0.01)
    pictures = {number: photos.encoded(photos.picture(number)) for number in SCENES}
    split = {"train2017": list(range(4)), "val2017": [4, 5]}
    contents = {
        "annotations/annotations_trainval2017.zip": coco_server.packed(
            {"annotations/instances_val2017.json": b"[]" * 1000, "../outside.json": b"no"}
            | {
                f"annotations/captions_{name}.json": coco_server.annotations({n: SCENES[n] for n in numbers})
                for name, numbers in split.items()
            }
        )
    }
    for name, numbers in split.items():
        members = {f"{name}/{n:012d}.jpg": pictures[n] for n in numbers}
        contents |= members
        contents[f"zips/{name}.zip"] = coco_server.packed(members)
    made = [coco_server.archive(one.path, contents[one.path], one.wanted, one.proof) for one in ARCHIVES[2017]]
    with coco_server.serving(contents) as running:
        monkeypatch.setattr(coco, "ARCHIVES", {2017: made})
        monkeypatch.setattr(coco, "ADDRESSES", (running.address,))
        yield running


def test_what_is_fetched_is_a_source_of_photographs(server, tmp_path, capsys) -> None:
    with pytest.raises(SystemExit) as exit_:
        cli.main(["data", "fetch", "coco", "--json"])
    assert exit_.value.code == 0
    folder = tmp_path / "data" / "coco"
    assert json.loads(capsys.readouterr().out)["folder"] == str(folder)
    found = {
        split: [r.captions for r in records]
        for split, records in find_photographs("coco").parts[0].layout.splits().items()
    }
    assert found == {
        "train": [tuple(SCENES[n]) for n in range(4)],
        "test": [tuple(SCENES[n]) for n in (4, 5)],
    }
    # Captions and photographs, no archive, nothing else.
    files = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    assert files == sorted(
        [f"annotations/captions_{split}2017.json" for split in ("train", "val")]
        + [f"train2017/{n:012d}.jpg" for n in range(4)]
        + [f"val2017/{n:012d}.jpg" for n in (4, 5)]
    )
    asked = len(server.asked)
    fetch_coco()
    assert len(server.asked) == asked


def test_annotations_alone(server, tmp_path) -> None:
    folder = fetch_coco(annotations_only=True)
    assert [path for path, _ in server.asked] == ["annotations/annotations_trainval2017.zip"]
    assert sorted(path.name for path in folder.iterdir()) == ["annotations"]


def test_a_broken_download_resumes(server, capsys) -> None:
    train = "zips/train2017.zip"
    server.breaks[train] = 700
    fetch_coco()
    assert [wanted for path, wanted in server.asked if path == train] == ["", "bytes=700-"]
    assert "resuming" in capsys.readouterr().err


def test_another_process_goes_on_where_one_was_interrupted(server, tmp_path) -> None:
    folder = tmp_path / "data" / "coco"
    folder.mkdir(parents=True)
    train = "zips/train2017.zip"
    (folder / ".train2017.zip.part").write_bytes(server.files[train][:900])
    fetch_coco()
    assert (train, "bytes=900-") in server.asked
    assert (folder / "train2017" / "000000000003.jpg").read_bytes() == server.files["train2017/000000000003.jpg"]


def test_a_server_without_ranges_starts_again(server) -> None:
    server.ranges = False
    server.breaks["zips/train2017.zip"] = 700
    assert (fetch_coco() / "train2017" / "000000000000.jpg").is_file()


def test_another_content_is_refused_and_another_address_tried(server, tmp_path, monkeypatch) -> None:
    val = "zips/val2017.zip"
    right = server.files[val]
    server.files[val] = bytes(len(right))
    with pytest.raises(UserError, match="wrong checksum"):
        fetch_coco()
    assert not (tmp_path / "data" / "coco" / "val2017").exists()
    with coco_server.serving({path: right if path == val else server.files[path] for path in server.files}) as other:
        monkeypatch.setattr(coco, "ADDRESSES", (server.address, other.address))
        assert (fetch_coco() / "val2017" / "000000000005.jpg").is_file()


def test_no_server_and_no_file_are_told_soon(server, monkeypatch) -> None:
    del server.files["zips/val2017.zip"]
    with pytest.raises(UserError, match="HTTP status 404"):
        fetch_coco()
    monkeypatch.setattr(coco, "ADDRESSES", ("http://127.0.0.1:9",))
    with pytest.raises(UserError, match="refused"):
        fetch_coco()


def test_room_is_looked_for_first(server, monkeypatch) -> None:
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10))
    with pytest.raises(UserError, match="free"):
        fetch_coco()
    assert server.asked == []


def test_single_photographs(server, tmp_path) -> None:
    names = ["train2017/000000000001.jpg", "val2017/000000000004.jpg"]
    fetch_photographs(names, tmp_path / "some")
    assert all((tmp_path / "some" / name).read_bytes() == server.files[name] for name in names)
    asked = len(server.asked)
    fetch_photographs(names, tmp_path / "some")
    assert len(server.asked) == asked
    with pytest.raises(UserError, match="404"):
        fetch_photographs([*names, "val2017/000000000009.jpg"], tmp_path / "some")


def test_the_network_of_the_fid_comes_by_name(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setenv("TEXTVAE_CACHE", str(tmp_path))
    monkeypatch.delenv("TEXTVAE_DATA", raising=False)
    weights = b"weights" * 100
    with coco_server.serving({"it.pth": weights}) as server:
        monkeypatch.setattr(inception, "ADDRESS", f"{server.address}/it.pth")
        for wanted, code in ((weights, 0), (b"others", 2)):
            monkeypatch.setattr(inception, "WHOLE_SHA256", hashlib.sha256(wanted).hexdigest())
            with pytest.raises(SystemExit) as exit_:
                cli.main(["data", "fetch", "inception"])
            assert exit_.value.code == code
            assert (inception.find(inception.WHOLE) is not None) == (code == 0)
            (tmp_path / "data" / "inception" / inception.WHOLE).unlink(missing_ok=True)
    assert "could not be fetched" in capsys.readouterr().err


def test_years_are_cocos_alone(capsys) -> None:
    with pytest.raises(SystemExit) as exit_:
        cli.main(["data", "fetch", "mnist", "--year", "2014"])
    assert exit_.value.code == 2


def test_the_public_archives() -> None:
    for year in (2014, 2017):
        names = [archive.name for archive in ARCHIVES[year]]
        assert names == [f"annotations_trainval{year}.zip", f"val{year}.zip", f"train{year}.zip"]
        assert all(len(archive.sha256) == 64 for archive in ARCHIVES[year])
