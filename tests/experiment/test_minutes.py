"""Training for a number of minutes: how many epochs they are, and that an interruption does not change them."""

import json
import shlex
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from helpers import tiny

from textvae.experiment import minutes as measuring
from textvae.runs.card import training_command
from textvae.runs.files import CONFIG, MODEL
from textvae.runs.run import open_run
from textvae.training.loop import Training
from textvae.utils.processes import Processes

FLOW = (
    *("--prior", "flow", "--trainer.batch-size", "64", "--flow.trainer.batch-size", "32"),
    *("--trainer.epochs", "2", "--flow.trainer.epochs", "3", "--flow.stride-epochs", "1"),
    *("--flow.model.prior.width", "16", "--flow.model.prior.depth", "1", "--flow.model.prior.heads", "2"),
)
"""Steps an epoch: 4, 8, 8."""


def words(out: Path, *more: str) -> list[str]:
    return ["train", "label-conv", "--out", str(out), *tiny.HOW, *tiny.SMALL_CONV, *more]


@pytest.fixture
def tenth(monkeypatch) -> None:
    """Every step takes a tenth of a second, and measuring takes no time."""
    monkeypatch.setattr(measuring, "_seconds_a_step", lambda training: (next(training.steps()), 0.1)[1])


def test_a_short_disturbance_does_not_change_the_measured_speed(monkeypatch):
    # The first step takes three seconds; in the fourth something else has the machine for two seconds.
    took = [3.0, 0.5, 0.5, 2.0, *[0.5] * 20]
    clock, counted = iter(np.cumsum(took).tolist()), []
    monkeypatch.setattr(measuring, "time", SimpleNamespace(perf_counter=lambda: next(clock)))

    def steps(stop):
        for number in range(1, len(took) + 1):
            counted.append(number)
            loss = SimpleNamespace(total=torch.zeros(()))
            yield SimpleNamespace(number=number, loss=loss, stop=stop())

    assert measuring._seconds_a_step(Mock(spec=Training, steps=steps)) == pytest.approx(0.5)
    assert sum(took[1 : len(counted)]) == pytest.approx(measuring.MEASURED_S + 1, abs=0.5)


@pytest.mark.slow
def test_the_stages_share_the_time_as_with_the_recipe_s_epochs(tmp_path, tiny_data, cpu, tenth):
    from textvae.recipes.resolve import resolve

    overrides = {
        "model": {"channels": [4, 8, 8], "latent_dim": 4, "embedding_dim": 8},
        "trainer": {"epochs": 2, "batch_size": 64},
        "flow": {"trainer": {"epochs": 3, "batch_size": 32}, "stride_epochs": 1},
    }
    recipe = resolve("label-conv", overrides=overrides, prior="flow")
    # An epoch takes 0.4, 0.8 and 0.8 seconds: 0.8 + 2.4 + 0.8 = 4 seconds in all, a fifteenth of a minute.
    longer = measuring.within_minutes(recipe, tiny_data, cpu, 2.0, tmp_path, Processes())
    assert longer.trainer.epochs == pytest.approx(60, abs=2)
    assert longer.flow.trainer.epochs == pytest.approx(90, abs=3)
    assert longer.flow.stride_epochs == pytest.approx(30, abs=2)
    least = measuring.within_minutes(recipe, tiny_data, cpu, 0.001, tmp_path, Processes())
    assert (least.trainer.epochs, least.flow.trainer.epochs, least.flow.stride_epochs) == (1, 1, 1)


def test_images_that_the_flow_holds_out_do_not_count(tmp_path, tiny_data, cpu, tenth):
    from textvae.recipes.resolve import resolve

    def epochs(held_out: int) -> int:
        flow = {"trainer": {"epochs": 3, "batch_size": 32, "validation_images": held_out}}
        model = {"channels": [4, 8, 8], "latent_dim": 4, "embedding_dim": 8}
        overrides = {"model": model, "trainer": {"epochs": 3, "batch_size": 64}, "flow": flow}
        recipe = resolve("label-conv", overrides=overrides, prior="flow")
        chosen = measuring.within_minutes(recipe, tiny_data, cpu, 2.0, tmp_path / str(held_out), Processes())
        return chosen.flow.trainer.epochs

    # 4 and 8 steps an epoch, 256 images; holding out 128 leaves 4 of the 8 steps.
    assert epochs(0) == pytest.approx(100, abs=3)
    assert epochs(128) == pytest.approx(150, abs=3)


@pytest.mark.slow
def test_the_epochs_are_recorded_and_kept(tmp_path, textvae, monkeypatch, tenth):
    run, whole = tmp_path / "run", tmp_path / "whole"
    few = ("--trainer.batch-size", "64", "--minutes", "0.02")
    assert textvae(*words(run, *few))[0] == 0
    config = json.loads((run / CONFIG).read_text())
    assert (config["minutes"], config["trainer"]["epochs"]) == (0.02, 3)
    # A machine that is faster by now changes nothing.
    monkeypatch.setattr(measuring, "_seconds_a_step", lambda training: pytest.fail("measured again"))
    (run / MODEL).unlink()
    (run / "state.pt").unlink()
    assert textvae(*words(run, *few))[0] == 0
    assert textvae(*words(whole, "--trainer.batch-size", "64", "--trainer.epochs", "3"))[0] == 0
    assert (run / MODEL).read_bytes() == (whole / MODEL).read_bytes()
    # The card's command names the epochs, so that it makes the same model anywhere.
    command = training_command(open_run(run))
    assert "--trainer.epochs 3" in command
    assert textvae(*shlex.split(command)[1:], "--threads", "1", "--out", run)[0] == 0


@pytest.mark.slow
def test_other_minutes_or_epochs_beside_them_are_refused(tmp_path, textvae, tenth):
    run = tmp_path / "run"
    batch = ("--trainer.batch-size", "128")
    assert textvae(*words(run, *batch, "--minutes", "0.01"))[0] == 0
    for other in (("--minutes", "2"), ("--minutes", "0.01", "--trainer.epochs", "2"), ("--minutes", "-1")):
        assert textvae(*words(run, *batch, *other))[0] == 2
    code, _, err = textvae(*words(tmp_path / "other", *batch, "--minutes", "0"))
    assert code == 2
    assert "out of range" in err


@pytest.mark.slow
def test_it_takes_about_as_long_as_it_should(tmp_path, textvae, monkeypatch):
    monkeypatch.setattr(measuring, "MEASURED_S", 0.5)
    run = tmp_path / "run"
    assert textvae(*words(run, *FLOW[:6], *FLOW[12:], "--minutes", "0.1", "--json"))[0] == 0
    seconds = json.loads((run / "history.jsonl").read_text().splitlines()[-1])["seconds"]
    assert 2 < seconds < 18
    assert open_run(run).recipe.trainer.epochs > 1
