"""The verbs about runs: models, plot."""

import json
import shutil

import pytest
from PIL import Image

from textvae.cli import runs as verbs
from textvae.runs.loss_curves import loss_curves


@pytest.mark.slow
def test_models_lists_what_ships_and_what_was_trained_here(textvae, tiny_run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(tiny_run, tmp_path / "runs" / "toy")
    (tmp_path / "runs" / "broken").mkdir()
    (tmp_path / "runs" / "broken" / "config.json").write_text("{")
    code, out, err = textvae("models", "--json")
    assert code == 0, err
    found = json.loads(out)
    assert {"fashion", "flowers", "runs/toy", "runs/broken"} <= set(found)
    assert found["fashion"]["image"] == [1, 28, 28]
    assert found["fashion"]["numbers"]["generation.judge_accuracy"] > 0.8
    assert found["runs/toy"]["recipe"] == "label-conv"
    assert "config.json" in found["runs/broken"]["error"]
    text = textvae("models")[1]
    assert "runs/toy: garments" in text
    assert "\x1b" not in text


def test_models_shows_an_image_of_each_in_a_terminal(tiny_run, tiny_data, monkeypatch):
    monkeypatch.setattr("textvae.cli.terminal.shows_images", lambda: True)
    assert "▀" in verbs._thumbnail(tiny_run)[0]


@pytest.mark.slow
def test_plot_draws_a_panel_for_each_term(textvae, tiny_run, tmp_path):
    pytest.importorskip("matplotlib")
    png = tmp_path / "loss.png"
    code, out, err = textvae("plot", tiny_run, "--out", png, "--json")
    assert code == 0, err
    assert json.loads(out)["stages"] == {"model": ["total", "reconstruction", "kl"]}
    with Image.open(png) as picture:
        assert picture.width > 2 * picture.height
    assert textvae("plot", tmp_path, "--out", png)[0] == 2


def test_curves_are_over_epochs_with_validation_beside():
    rows = [
        {"step": 100, "epoch": 1, "loss": {"total": 3.0, "kl": 1.0}},
        {"step": 200, "epoch": 1, "loss": {"total": 2.0, "kl": 2.0}, "validation": {"loss": 2.5, "kl": 1.5}},
    ]
    curves = loss_curves(rows)
    assert curves["total"] == ([(0.5, 3.0), (1.0, 2.0)], [(1.0, 2.5)])
    assert curves["kl"] == ([(0.5, 1.0), (1.0, 2.0)], [(1.0, 1.5)])
