"""samples.png while a model with a flow is trained, and what is said of a flow that is not trained yet."""

from pathlib import Path

import pytest
from helpers import tiny

from textvae.experiment import train as experiment
from textvae.pipeline import TextToImage
from textvae.runs.files import SAMPLES
from textvae.runs.run import open_run, write_weights
from textvae.utils.images import read_metadata

FLOW = (
    *("--prior", "flow", "--trainer.epochs", "1", "--trainer.batch-size", "64"),
    *("--flow.trainer.epochs", "1", "--flow.trainer.batch-size", "64"),
    *("--flow.model.prior.width", "16", "--flow.model.prior.depth", "1", "--flow.model.prior.heads", "2"),
)


@pytest.mark.slow
def test_the_first_stage_shows_reconstructions_and_the_flow_shows_prompts(tmp_path, textvae, monkeypatch):
    drawn, plain = [], experiment.draw_samples

    def draw(stage, out: Path) -> None:
        plain(stage, out)
        drawn.append((stage.name, read_metadata(out / SAMPLES)))

    monkeypatch.setattr(experiment, "draw_samples", draw)
    run = tmp_path / "run"
    assert textvae("train", "label-conv", "--out", run, *tiny.HOW, *tiny.SMALL_CONV, *FLOW)[0] == 0
    assert [name for name, _ in drawn] == ["model", "flow"]
    assert drawn[0][1]["prompt"] == "training images | reconstructed"
    assert "seed" not in drawn[0][1]
    assert drawn[1][1]["prompt"].startswith("t-shirt | trouser")
    assert drawn[1][1]["seed"] == "0"


@pytest.mark.slow
def test_a_flow_that_is_not_trained_yet_is_announced(tmp_path, textvae, capsys):
    run = tmp_path / "run"
    assert textvae("train", "label-conv", "--out", run, *tiny.HOW, *tiny.SMALL_CONV, *FLOW)[0] == 0
    capsys.readouterr()
    trained = TextToImage.load(run)
    assert "not trained yet" not in capsys.readouterr().err
    write_weights(run, trained.model.vae.state_dict())
    TextToImage.load(open_run(run))
    assert "not trained yet" in capsys.readouterr().err


@pytest.mark.slow
def test_a_stage_shows_as_many_samples_as_it_may_and_no_more(tmp_path, textvae, monkeypatch):
    drawn = []
    monkeypatch.setattr(experiment, "MOST_SAMPLES", 2)
    monkeypatch.setattr(experiment, "draw_samples", lambda stage, _: drawn.append(stage.name))
    how = ("--trainer.epochs", "5", "--trainer.batch-size", "64", "--sample-every", "1")
    assert textvae("train", "label-conv", "--out", tmp_path / "run", *tiny.HOW, *tiny.SMALL_CONV, *how)[0] == 0
    assert len(drawn) == 2, "after epoch 3, and at the end"
