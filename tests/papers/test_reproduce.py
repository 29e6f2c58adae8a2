"""One command trains, measures, draws and reports the rows of a paper."""

import dataclasses
import statistics

import pytest
from helpers.toys import TEST, TRAIN, toy, toys

from textvae.evaluation import evaluate, judges
from textvae.papers import rows
from textvae.papers.reproduce import reproduce_paper
from textvae.papers.results import Places
from textvae.papers.tables.table import number
from textvae.recipes import RECIPES
from textvae.utils.errors import UserError

__all__ = ["toys"]


@pytest.mark.slow
def test_rows_are_trained_measured_drawn_and_reported(toys, tmp_path, monkeypatch):
    monkeypatch.setenv("TEXTVAE_CACHE", str(tmp_path))
    monkeypatch.setattr(evaluate, "PHOTOGRAPH_NETS", ())
    monkeypatch.setattr(judges, "JUDGES", {})
    monkeypatch.setattr("textvae.evaluation.evaluators.word_sensitivity.LEAST_IMAGES", 5)
    name = "clip-dual-64-toy"
    mine = dataclasses.replace(
        toy("image", validation_images=8, patience=2), name=name, published={"training.best_validation_loss": 2376.0}
    )
    monkeypatch.setitem(RECIPES, name, lambda: mine)
    row = rows.Row(name, name, {"latent_dim": 2}, {"epochs": 1}, importance_samples=2, paper="a thousand epochs")
    monkeypatch.setitem(rows.PAPERS, "c", rows._seeds(row, 1))
    found = reproduce_paper("c", tmp_path / "runs", Places.under(tmp_path / "results"), 10_000)
    metrics = found["rows"][name]
    # All that the test set has, and what was told in the row.
    assert metrics["protocol"]["num_samples"] == TEST
    assert metrics["likelihood"]["latent_dimensions"] == 2
    assert metrics["training"]["epochs"] == 1
    assert metrics["protocol"]["importance_samples"] == 2
    assert f"1 epoch of {TRAIN - 8} images (paper: a thousand epochs)" in found["table"]
    # The other seed is another training, has its numbers and no pictures, and the spread is told.
    errors = [found["rows"][own]["reconstruction"]["mse_sum"] for own in (name, f"{name}-seed1")]
    assert errors[0] != errors[1]
    spread = f"{statistics.mean(errors):.1f} ± {number(statistics.stdev(errors))}"
    assert f"| `{name}` | 2 | {spread} |" in found["table"]
    assert f"{name}-seed1.png" not in found["table"]
    best = metrics["training"]["best_validation_loss"]
    assert f"| `{name}` | 2376.0 \\| {best:.1f} |" in found["table"]
    for picture in (f"{name}.png", "paper-c-loss-curves-64.png"):
        assert (tmp_path / "results" / "figures" / picture).is_file()
        assert picture in found["table"]
    # Other people's photographs stay out of what a repository holds.
    assert (tmp_path / "runs" / name / "reconstructions.png").is_file()
    assert not list((tmp_path / "results").rglob("*reconstructions.png"))


def test_unknown_rows_and_a_missing_library_are_refused_before_training(tmp_path, monkeypatch):
    places = Places.under(tmp_path)
    with pytest.raises(UserError, match="no row 'label'"):
        reproduce_paper("b", tmp_path, places, only=("label",))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match="matplotlib") as error:
        reproduce_paper("b", tmp_path, places)
    assert "textvae[figures]" in error.value.cure
    assert not list(tmp_path.iterdir())
