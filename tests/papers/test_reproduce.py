"""One command trains, measures, draws and reports the rows of a paper."""

import dataclasses
import statistics

import pytest
from helpers.toys import TEST, TRAIN, toy, toys

from textvae.evaluation import evaluate, judges
from textvae.experiment.callbacks import Callback
from textvae.experiment.resume import locked
from textvae.experiment.train import train_recipe
from textvae.papers import reproduce, rows
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


@pytest.mark.slow
def test_kept_epochs_are_measured_while_the_training_goes_on(toys, tmp_path, monkeypatch, cpu):
    monkeypatch.setenv("TEXTVAE_CACHE", str(tmp_path))
    monkeypatch.setattr(evaluate, "PHOTOGRAPH_NETS", ())
    monkeypatch.setattr(judges, "JUDGES", {})
    row = rows.Row("clip-grid-kept", "toy", trainer={"epochs": 3}, importance_samples=2, keep_epochs=(1, 2))
    monkeypatch.setitem(rows.PAPERS, "a", (row,))
    runs, places = tmp_path / "runs", Places.under(tmp_path / "results")
    with pytest.raises(UserError, match="none of these rows"):
        reproduce_paper("a", runs, places, trained_only=True)

    class Leave(Callback):
        def on_step(self, stage, step):
            if step.epoch == 2:
                raise KeyboardInterrupt

    out = runs / row.name
    with pytest.raises(KeyboardInterrupt):
        train_recipe(row.settings(), out, cpu, keep_epochs=(1, 2), callbacks=[Leave()])
    # As in a training that goes on: the folder is locked, and must stay as it is.
    with locked(out):
        before = {path: path.read_bytes() for path in out.iterdir() if path.is_file()}
        found = reproduce_paper("a", runs, places, trained_only=True)
        assert before == {path: path.read_bytes() for path in out.iterdir() if path.is_file()}
    assert set(found["rows"]) == {"clip-grid-kept-epochs-1"}
    assert found["rows"]["clip-grid-kept-epochs-1"]["training"]["epochs"] == 1
    # The same command without the option ends the training, and measures the rest.
    assert set(reproduce_paper("a", runs, places)["rows"]) == {row.name, *(f"{row.name}-epochs-{n}" for n in (1, 2))}
    assert set(reproduce_paper("a", runs, places, trained_only=True)["rows"]) == {
        row.name, *(f"{row.name}-epochs-{n}" for n in (1, 2))
    }  # fmt: skip
    monkeypatch.setitem(rows.PAPERS, "a", (dataclasses.replace(row, trainer={"epochs": 2}, keep_epochs=()),))
    with pytest.raises(UserError, match="other settings"):
        reproduce_paper("a", runs, places, trained_only=True)


@pytest.mark.slow
def test_a_row_is_measured_again_by_the_networks_that_are_missing(toys, tmp_path, monkeypatch):
    monkeypatch.setenv("TEXTVAE_CACHE", str(tmp_path))
    monkeypatch.setattr(evaluate, "PHOTOGRAPH_NETS", ())
    monkeypatch.setattr(judges, "JUDGES", {})
    monkeypatch.setitem(
        rows.PAPERS, "a", (rows.Row("clip-grid-nets", "toy", trainer={"epochs": 1}, importance_samples=1),)
    )
    runs, places = tmp_path / "runs", Places.under(tmp_path / "results")
    reproduce_paper("a", runs, places)
    asked: list[tuple[str, ...]] = []
    measure = reproduce.evaluate_run

    def counted(*args, nets, **more):
        asked.append(tuple(nets))
        return measure(*args, nets=nets, **more)

    monkeypatch.setattr(reproduce, "evaluate_run", counted)
    # That a network is not to be had is recorded, and asked for once.
    monkeypatch.setenv("TEXTVAE_DATA", str(tmp_path))
    for nets in ((), ("inception-768",), ("inception-768",)):
        monkeypatch.setattr(evaluate, "PHOTOGRAPH_NETS", nets)
        reproduce_paper("a", runs, places)
    assert asked == [("inception-768",)]


def test_photographs_of_a_later_row_are_missed_before_an_earlier_one_is_trained(tmp_path, monkeypatch):
    monkeypatch.setenv("TEXTVAE_CACHE", str(tmp_path / "cache"))
    with pytest.raises(UserError, match="clip-latent-256-add: coco-mini-256-sentence has not been prepared") as error:
        reproduce_paper("b", tmp_path / "runs", Places.under(tmp_path), only=("label-conv", "clip-latent-256-add"))
    assert "textvae reproduce b --dry-run" in error.value.cure
    assert not (tmp_path / "runs").exists()


def test_unknown_rows_and_a_missing_library_are_refused_before_training(tmp_path, monkeypatch):
    places = Places.under(tmp_path)
    with pytest.raises(UserError, match="no row 'label'"):
        reproduce_paper("b", tmp_path, places, only=("label",))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match="matplotlib") as error:
        reproduce_paper("b", tmp_path, places)
    assert "textvae[figures]" in error.value.cure
    assert not list(tmp_path.iterdir())
