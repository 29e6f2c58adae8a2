"""Commands that are killed at a file-system event, or find the disk full, end by the same command in the same bits."""

import random
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest
from helpers import photos, tiny
from helpers.crash import crashes

FLOW = (
    *("--prior", "flow", "--trainer.epochs", "1", "--trainer.batch-size", "128", "--trainer.ema-decay", "0.9"),
    *("--flow.trainer.epochs", "1", "--flow.trainer.batch-size", "128", "--flow.stride-epochs", "1"),
    *("--flow.model.prior.width", "16", "--flow.model.prior.depth", "1", "--flow.model.prior.heads", "2"),
)
"""Three stages of two steps."""
LEFT = {"README.md", "config.json", "history.jsonl", "model.safetensors", "samples.png", "state.pt"}


def words(out: Path) -> list[str]:
    return ["train", "label-conv", "--out", str(out), *tiny.HOW, *tiny.SMALL_CONV, *FLOW]


def check(whole: dict, cut: dict) -> None:
    # The first process was killed, the last one was not; one between may have had nothing left to do.
    assert cut["codes"][0] == -signal.SIGKILL
    assert cut["codes"][-1] == 0, cut["stderr"][-1]
    assert set(cut["codes"]) == {-signal.SIGKILL, 0}
    assert set(cut["files"]) == LEFT
    for name in ("model.safetensors", "config.json"):
        assert cut["files"][name] == whole["files"][name]


def whole_run(out: Path, **environment: str) -> dict:
    (whole,) = crashes(words(out), out, [[]], **environment)
    assert whole["codes"] == [0], whole["stderr"][-1]
    assert set(whole["files"]) == LEFT
    return whole


@pytest.mark.slow
def test_killed_at_the_first_writes_or_around_the_flow_s_first_checkpoint(tmp_path, tiny_data):
    out = tmp_path / "run"
    whole = whole_run(out)
    events = whole["events"]
    # A checkpoint begins with the state, under its preliminary name, and ends when that gets its own.
    ends = [i for i, event in enumerate(events) if event == "os.rename state.pt"]
    assert len(ends) == 3
    begins = [i for i, event in enumerate(events) if event == "os.rename .state.pt.next"]
    weights = [i for i, event in enumerate(events) if event == "os.rename model.safetensors"]
    points = [4, begins[1] + 1, weights[1], weights[1] + 1, ends[1]]
    for cut in crashes(words(out), out, [[point] for point in points]):
        check(whole, cut)


def within(
    seconds: float, cases: list[list[int]], cuts: Callable[[list[list[int]]], Iterator[dict]], capsys
) -> Iterator[dict]:
    """What ``cuts`` yields for the cases, in an order by seed, until the time is over; says how many they were."""
    random.Random(0).shuffle(cases)
    began, done = time.monotonic(), 0
    for cut in cuts(cases):
        yield cut
        done += 1
        if time.monotonic() - began > seconds:
            break
    with capsys.disabled():
        print(f"\n{done} of {len(cases)} cases in {time.monotonic() - began:.0f} s")


@pytest.mark.robust
@pytest.mark.timeout(1200)
def test_killed_at_every_event_and_again_while_recovering(tmp_path, tiny_data, capsys):
    out = tmp_path / "run"
    whole = whole_run(out, TINY_CHECKPOINT_S="0")
    chance = random.Random(0)
    # The second process is killed while it recovers, or soon after.
    cases = [[point, *([chance.randrange(12)] * (point % 2))] for point in range(len(whole["events"]))]
    for cut in within(300, cases, lambda some: crashes(words(out), out, some, TINY_CHECKPOINT_S="0"), capsys):
        check(whole, cut)


def refused(cut: dict, whole: dict, names: Iterable[str]) -> None:
    """The first process says what is wrong, with exit code 2; the second ends as if nothing had happened."""
    assert cut["codes"][0] in (0, 2), cut["stderr"][0]
    assert "Traceback" not in cut["stderr"][0]
    if cut["codes"][0] == 2:
        assert "textvae: " in cut["stderr"][0]
    assert cut["codes"][-1] == 0, cut["stderr"][-1]
    assert set(cut["files"]) == set(whole["files"])
    for name in names:
        assert cut["files"][name] == whole["files"][name]


HOW = [
    *(pytest.param(how, marks=pytest.mark.robust) for how in ("full", "limited")),
    pytest.param("denied", marks=pytest.mark.slow),
]


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("how", HOW)
def test_a_training_on_a_full_or_read_only_disk(tmp_path, tiny_data, how, capsys):
    out = tmp_path / "run"
    whole = whole_run(out)
    points = {
        "full": range(0, len(whole["events"]), 3),
        "limited": (1000, 2000, 4000, 10_000, 20_000, 50_000, 100_000),
        "denied": (0,),
    }[how]
    for cut in within(60, [[point] for point in points], lambda some: crashes(words(out), out, some, how), capsys):
        refused(cut, whole, ("model.safetensors", "config.json"))


def preparing(tmp_path: Path) -> list[str]:
    """A preparation of seven pictures, one of them broken, in chunks of two."""
    photos.image_folder(tmp_path / "mine", {"train": 5, "test": 2})
    (tmp_path / "mine" / "train" / "000.jpg").write_bytes(b"no image")
    out = tmp_path / "out" / "set"
    how = ["--size", "16", "--text", "words", "--workers", "1", "--out", str(out)]
    return ["data", "prepare", str(tmp_path / "mine"), *how]


@pytest.mark.robust
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("how", ["killed", "full", "limited"])
def test_a_preparation_that_is_cut_off_at_every_event(tmp_path, tiny_data, how, capsys):
    asked, out = preparing(tmp_path), tmp_path / "out"
    (whole,) = crashes(asked, out, [[]], TINY_CHUNK="2")
    assert whole["codes"] == [0], whole["stderr"][-1]
    assert {Path(name).parts[0] for name in whole["files"]} == {"set"}
    points = (1000, 1500, 3000) if how == "limited" else range(len(whole["events"]))
    cases = [[point] for point in points]
    for cut in within(60, cases, lambda some: crashes(asked, out, some, how, TINY_CHUNK="2"), capsys):
        if how == "killed":
            assert cut["codes"] == [-signal.SIGKILL, 0], cut["stderr"][-1]
        else:
            refused(cut, whole, whole["files"])
        assert cut["files"] == whole["files"]
