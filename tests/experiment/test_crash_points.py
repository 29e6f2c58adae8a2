"""A training that is killed at any file-system event ends, by the same command, in the same bits."""

import random
import signal
from pathlib import Path

import pytest
from helpers import tiny
from helpers.crash import crashes

FLOW = (
    *("--prior", "flow", "--trainer.epochs", "1", "--trainer.batch-size", "64", "--trainer.ema-decay", "0.9"),
    *("--flow.trainer.epochs", "1", "--flow.trainer.batch-size", "64", "--flow.stride-epochs", "1"),
    *("--flow.model.prior.width", "16", "--flow.model.prior.depth", "1", "--flow.model.prior.heads", "2"),
)
"""Three stages of four steps."""
LEFT = {"README.md", "config.json", "history.jsonl", "model.safetensors", "samples.png", "state.pt"}


def words(out: Path) -> list[str]:
    return ["train", "label-conv", "--out", str(out), *tiny.HOW, *tiny.SMALL_CONV, *FLOW]


def check(whole: dict, cut: dict) -> None:
    # The first process was killed, the last one was not; one between may have had nothing left to do.
    assert cut["codes"][0] == -signal.SIGKILL
    assert cut["codes"][-1] == 0, cut["stderr"]
    assert set(cut["codes"]) == {-signal.SIGKILL, 0}
    assert set(cut["files"]) == LEFT
    for name in ("model.safetensors", "config.json"):
        assert cut["files"][name] == whole["files"][name]


def whole_run(out: Path, **environment: str) -> dict:
    (whole,) = crashes(words(out), out, [[]], **environment)
    assert whole["codes"] == [0], whole["stderr"]
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


@pytest.mark.robust
@pytest.mark.timeout(1200)
def test_killed_at_every_event_and_again_while_recovering(tmp_path, tiny_data):
    out = tmp_path / "run"
    whole = whole_run(out, TINY_CHECKPOINT_S="0")
    chance = random.Random(0)
    # The second process is killed while it recovers, or soon after.
    cases = [[point, *([chance.randrange(12)] * (point % 2))] for point in range(len(whole["events"]))]
    for cut in crashes(words(out), out, cases, TINY_CHECKPOINT_S="0"):
        check(whole, cut)
