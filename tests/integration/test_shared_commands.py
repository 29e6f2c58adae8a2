"""Commands whose work several processes share: what they leave and print is that of one process."""

import json
import random
import signal
from pathlib import Path
from typing import Any

import pytest
from helpers import photos, tiny
from helpers.pictures import folder_of_pictures
from helpers.together import commands
from PIL import Image

from textvae.runs.files import METRICS, MODEL

SIZE = 3


def ran(folder: Path, *cases: tuple[object, ...], processes: int = SIZE, **environment: str) -> list[dict[str, Any]]:
    asked = [{"words": [str(word) for word in words], "processes": processes} for words in cases]
    return list(commands(folder, asked, **environment))


def check_whole(result: dict[str, Any]) -> None:
    """All processes have ended well, and the first alone has printed."""
    assert result["codes"] == [0] * len(result["codes"]), result["stderr"]
    assert result["stdout"][0]
    assert result["stdout"][1:] == result["stderr"][1:] == [""] * (len(result["codes"]) - 1)


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.slow
def test_pictures_drawn_by_three_processes_are_those_of_one(tmp_path, tiny_run, tiny_data, textvae):
    words = ("generate", tiny_run, "dress", "bag", "--num-images", "101")
    assert textvae(*words, "--out", f"{tmp_path / 'one'}/")[0] == 0
    folder, few = ran(
        tmp_path,
        (*words, "--out", f"{tmp_path / 'three'}/"),
        ("generate", tiny_run, "dress", "--num-images", "2", "--out", tmp_path / "few.png"),
    )
    check_whole(folder)
    assert len(files(tmp_path / "one")) == 202
    assert files(tmp_path / "three") == files(tmp_path / "one")
    check_whole(few)
    with Image.open(tmp_path / "few.png") as image:
        assert image.width > 2 * 28


@pytest.mark.slow
def test_three_processes_measure_what_one_measures(tmp_path, tiny_run, tiny_data, textvae):
    one, three, again = (tmp_path / f"{name}.json" for name in ("one", "three", "again"))
    assert textvae("evaluate", tiny_run, "--out", one)[0] == 0
    for result in ran(tmp_path, *(("evaluate", tiny_run, "--out", out) for out in (three, again))):
        check_whole(result)
    found = [json.loads(file.read_text()) for file in (one, three, again)]
    assert [metrics.pop("speed")["processes"] for metrics in found] == [1, SIZE, SIZE]
    assert found[0]["generation"]["frechet"]
    assert found[1] == found[0]
    assert found[2] == found[0]


@pytest.mark.slow
def test_a_process_that_is_lost_ends_an_evaluation_by_one_line(tmp_path, tiny_run, tiny_data):
    words = ["evaluate", str(tiny_run), "--importance-samples", "20000", "--out", str(tmp_path / "metrics.json")]
    (result,) = commands(tmp_path, [{"words": words, "processes": SIZE, "kill": 1, "after": 6.0}])
    assert result["codes"][1] == -signal.SIGKILL
    assert {result["codes"][0], result["codes"][2]} <= {2, -signal.SIGTERM}
    told = result["stderr"][0] + result["stderr"][2]
    assert "Traceback" not in told
    assert told.count("another process of this command has ended") <= 1
    assert not (tmp_path / "metrics.json").exists()


@pytest.mark.slow
def test_a_set_prepared_by_three_processes_is_that_of_one(tmp_path, tiny_data, textvae, monkeypatch):
    monkeypatch.setenv("TEXTVAE_CACHE", str(tmp_path / "cache"))
    tiny.write(tmp_path / "cache")
    source = photos.coco_folder(tmp_path / "mine", 600, 40)
    (source / "train2017" / "000000000007.jpg").write_bytes(b"no image")
    words = ("data", "prepare", source, "--size", "16", "--workers", "1")
    assert textvae(*words, "--out", tmp_path / "one")[0] == 0
    first, again = ran(tmp_path, *[(*words, "--out", tmp_path / "three")] * 2)
    check_whole(first)
    assert "skipped: 1" in first["stdout"][0]
    assert "already prepared" in again["stderr"][0]
    one, three = files(tmp_path / "one"), files(tmp_path / "three")
    manifests = [json.loads(found.pop("manifest.json")) for found in (one, three)]
    for manifest in manifests:
        del manifest["command"]  # it names the folder
    assert manifests[1] == manifests[0]
    assert three == one
    assert not list(tmp_path.glob(".*"))


@pytest.mark.robust
@pytest.mark.timeout(1200)
def test_a_preparation_of_three_processes_killed_at_random_moments_has_the_same_bytes(tmp_path, tiny_data, monkeypatch):
    monkeypatch.setenv("TEXTVAE_CACHE", str(tmp_path / "cache"))
    tiny.write(tmp_path / "cache")
    source = photos.coco_folder(tmp_path / "mine", 2000, 300)
    words = ["data", "prepare", str(source), "--size", "32", "--workers", "1", "--out"]
    chance, cut = random.Random(0), str(tmp_path / "cut")
    kills = [{"kill": chance.randrange(SIZE), "after": chance.uniform(0, 6)} for _ in range(12)]
    cases = [{"words": [*words, cut], "processes": SIZE, **kill} for kill in kills]
    whole = {"words": [*words, str(tmp_path / "whole")], "processes": SIZE}
    *killed, last, first = commands(tmp_path, [*cases, {"words": [*words, cut], "processes": SIZE}, whole])
    for result in killed:
        assert "Traceback" not in "".join(result["stderr"])
    for result in (last, first):
        assert result["codes"] == [0] * SIZE, result["stderr"]
    found = [files(tmp_path / name) for name in ("cut", "whole")]
    for made in found:
        del made["manifest.json"]  # it names the folder
    assert found[0] == found[1]
    assert not list(tmp_path.glob(".*"))


@pytest.mark.slow
def test_three_processes_train_a_folder_of_pictures(tmp_path, tiny_data, monkeypatch):
    monkeypatch.setenv("TEXTVAE_CACHE", str(tmp_path / "cache"))
    tiny.write(tmp_path / "cache")
    folder, run = folder_of_pictures(tmp_path / "boats", 60), tmp_path / "run"
    words = ("train", folder, "--minutes", "0.02", "--out", run, *tiny.HOW)
    first, again = ran(tmp_path, words, words, TINY_PHOTOS="1")
    for result in (first, again):
        check_whole(result)
    assert json.loads((run / METRICS).read_text())["protocol"]["num_samples"] == 6
    assert (run / MODEL).is_file()
    assert "trained already" in again["stderr"][0]


@pytest.mark.slow
def test_other_commands_refuse_to_run_in_several_processes(tmp_path, tiny_data):
    (result,) = ran(tmp_path, ("data", "list"))
    assert result["codes"] == [2] * SIZE
    assert "".join(result["stderr"]).count("runs in one process") == 1
