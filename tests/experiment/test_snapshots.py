"""Weights kept after some epochs, and more epochs of a finished run: as if they had been asked for from the start."""

import json
import signal
import time
from pathlib import Path

import pytest
import torch
from helpers import tiny

from textvae.evaluation.evaluate import evaluate_run
from textvae.experiment import train as experiment
from textvae.pipeline import TextToImage
from textvae.runs.card import training_command, write_card
from textvae.runs.checkpoint import read_state
from textvae.runs.files import CARD, HISTORY, METRICS, MODEL
from textvae.runs.run import open_run, read_history
from textvae.runs.snapshots import snapshot_folder

CONSTANT = ("--trainer.batch-size", "64", "--trainer.ema-decay", "0.9")
"""4 steps an epoch."""
FLOW = (
    *("--prior", "flow", "--trainer.epochs", "1", "--flow.trainer.batch-size", "64"),
    *("--flow.model.prior.width", "16", "--flow.model.prior.depth", "1", "--flow.model.prior.heads", "2"),
)


def words(out: Path, epochs: int, *more: str) -> list[str]:
    settings = (*tiny.HOW, *tiny.SMALL_CONV, *CONSTANT, "--trainer.epochs", str(epochs))
    return ["train", "label-conv", "--out", str(out), *settings, *more]


def weights(run: Path) -> bytes:
    return (run / MODEL).read_bytes()


def measured(run: Path) -> None:
    evaluate_run(open_run(run), torch.device("cpu"), 24, importance_samples=2, nets=()).write(run / METRICS)
    write_card(open_run(run))


def losses(run: Path) -> list[dict]:
    return [row["loss"] for row in read_history(run)]


@pytest.mark.slow
def test_a_snapshot_is_the_run_that_ended_there_and_opens_like_it(tmp_path, textvae):
    run = tmp_path / "run"
    assert textvae(*words(run, 4, "--keep-epochs", "1,3"))[0] == 0
    for epoch in (1, 3):
        short, kept = tmp_path / f"short{epoch}", snapshot_folder(run, epoch)
        assert textvae(*words(short, epoch))[0] == 0
        assert weights(kept) == weights(short)
        assert losses(kept) == losses(short)
    assert [path.name for path in sorted((run / "epochs").iterdir())] == ["1", "3"]
    kept = snapshot_folder(run, 3)
    assert (
        TextToImage.load(kept)("a dress")[0].tobytes() == TextToImage.load(tmp_path / "short3")("a dress")[0].tobytes()
    )
    assert textvae("generate", kept, "a dress", "--out", tmp_path / "dress.png")[0] == 0
    measured(kept)
    assert json.loads((kept / METRICS).read_text())["protocol"]["weights"]
    assert open_run(kept).name == "run-epoch-3"
    assert "--keep-epochs 3" in (kept / CARD).read_text()
    assert "--trainer.epochs 4" in training_command(open_run(kept))


@pytest.mark.slow
def test_a_snapshot_is_not_trained_and_an_epoch_out_of_reach_is_refused(tmp_path, textvae):
    run = tmp_path / "run"
    assert textvae(*words(run, 2, "--keep-epochs", "1"))[0] == 0
    before = weights(snapshot_folder(run, 1))
    code, _, err = textvae(*words(snapshot_folder(run, 1), 2))
    assert (code, weights(snapshot_folder(run, 1))) == (2, before)
    assert "snapshot" in err
    for unreached in ("3", "0", "x"):
        code, _, err = textvae(*words(tmp_path / "other", 2, "--keep-epochs", unreached))
        assert code == 2, err
    assert not (tmp_path / "other").exists()
    # Past epochs cannot be had any more, which is said.
    code, _, err = textvae(*words(run, 2, "--keep-epochs", "1,2"))
    assert code == 0
    assert "epoch 2 was trained without being kept" in err


@pytest.mark.slow
def test_killed_around_a_snapshot_the_same_snapshots_are_there(tmp_path, textvae):
    cut, whole = tmp_path / "cut", tmp_path / "whole"
    keep = ("--keep-epochs", "1,2,3")
    process = tiny.start(*words(cut, 4, *keep), TINY_CHECKPOINT_S="0.3", TINY_STEP_S="0.05")
    while not snapshot_folder(cut, 2).is_dir():
        assert process.poll() is None, process.communicate()
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    tiny.finished(process)
    assert textvae(*words(cut, 4, *keep))[0] == 0
    assert textvae(*words(whole, 4, *keep))[0] == 0
    for epoch in (1, 2, 3):
        assert weights(snapshot_folder(cut, epoch)) == weights(snapshot_folder(whole, epoch))
        steps = [row["step"] for row in read_history(snapshot_folder(cut, epoch))]
        assert steps == [row["step"] for row in read_history(snapshot_folder(whole, epoch))]
    assert weights(cut) == weights(whole)


@pytest.mark.slow
def test_a_snapshot_comes_before_the_checkpoint_of_its_epoch(tmp_path, textvae, monkeypatch):
    monkeypatch.setattr(experiment, "CHECKPOINT_EVERY_S", 0.0)
    run, order = tmp_path / "run", []
    for name in ("write_snapshot", "write_checkpoint"):
        plain = getattr(experiment, name)
        monkeypatch.setattr(experiment, name, lambda *a, plain=plain, name=name: (order.append(name), plain(*a)))
    assert textvae(*words(run, 2, "--keep-epochs", "1"))[0] == 0
    assert order[:5] == ["write_checkpoint"] * 3 + ["write_snapshot", "write_checkpoint"]


@pytest.mark.slow
def test_more_epochs_continue_as_if_asked_for_from_the_start(tmp_path, textvae):
    grown, whole = tmp_path / "grown", tmp_path / "whole"
    assert textvae(*words(grown, 2))[0] == 0
    measured(grown)
    assert "| metric | value |" in (grown / CARD).read_text()
    code, _, err = textvae(*words(grown, 5))
    assert code == 0, err
    assert "resuming at step 8 of 20" in err
    assert textvae(*words(whole, 5))[0] == 0
    assert weights(grown) == weights(whole)
    assert losses(grown) == losses(whole)
    one, other = read_state(grown)["training"], read_state(whole)["training"]
    assert all(one["model"][name].equal(other["model"][name]) for name in other["model"])
    assert open_run(grown).recipe.trainer.epochs == 5
    # What was measured of the earlier weights is not said of these.
    assert "| metric | value |" not in (grown / CARD).read_text()
    # A number between them, or the earlier one, is another training.
    for fewer in (2, 3):
        assert textvae(*words(grown, fewer))[0] == 2
    assert "trained already" in textvae(*words(grown, 5))[2]


@pytest.mark.slow
def test_more_epochs_that_are_cut_off_continue_by_the_same_command(tmp_path, textvae):
    grown, whole = tmp_path / "grown", tmp_path / "whole"
    assert textvae(*words(grown, 1))[0] == 0
    for at in (0, 6):
        process = tiny.start(*words(grown, 4), TINY_CHECKPOINT_S="0", TINY_STEP_S="0.05")
        while read_state(grown)["training"]["step"] < at or open_run(grown).recipe.trainer.epochs < 4:
            assert process.poll() is None, process.communicate()
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        tiny.finished(process)
    assert textvae(*words(grown, 4))[0] == 0
    assert textvae(*words(whole, 4))[0] == 0
    assert weights(grown) == weights(whole)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("first", "then", "said"),
    [
        (("--trainer.schedule", "cosine"), (), "cosine schedule depends on their total"),
        (("--trainer.validation-images", "64", "--trainer.patience", "3"), (), "best epoch"),
        ((), ("--trainer.seed", "1"), "trainer.seed was 0, now 1"),
    ],
)
def test_more_epochs_that_would_not_end_the_same_are_refused(tmp_path, textvae, first, then, said):
    run = tmp_path / "run"
    assert textvae(*words(run, 1, *first))[0] == 0
    before = {path.name: path.read_bytes() for path in run.iterdir()}
    code, _, err = textvae(*words(run, 2, *first, *then))
    assert code == 2
    assert said in err
    assert {path.name: path.read_bytes() for path in run.iterdir()} == before


@pytest.mark.slow
def test_epochs_of_a_flow(tmp_path, textvae):
    grown, whole = tmp_path / "grown", tmp_path / "whole"
    constant = ("--flow.trainer.schedule", "constant")
    one, two = ("--flow.trainer.epochs", "1"), ("--flow.trainer.epochs", "2")
    assert textvae(*words(grown, 1, *FLOW, *constant, *one))[0] == 0
    # The flow was trained on the model as it is.
    code, _, err = textvae(*words(grown, 2, *FLOW[:2], *FLOW[4:], *constant, *one))
    assert code == 2
    assert "next stage" in err
    assert textvae(*words(grown, 1, *FLOW, *constant, *two))[0] == 0
    assert textvae(*words(whole, 1, *FLOW, *constant, *two, "--keep-epochs", "1"))[0] == 0
    assert weights(grown) == weights(whole)
    kept = snapshot_folder(whole, 1)
    assert [row["stage"] for row in read_history(kept)] == ["model", "flow"]
    assert (kept / HISTORY).is_file()
    assert TextToImage.load(kept).model.prior.supports_guidance
