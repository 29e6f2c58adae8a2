"""The papers' experiments at full size: their plan, and the same code on a few small pictures with a small CLIP."""

import dataclasses
import json
import shlex

import pytest
from helpers import photos

from textvae import cli
from textvae.evaluation import evaluate, judges
from textvae.papers import full
from textvae.papers.full import FULL, FullRow, plan_full, reproduce_full
from textvae.recipes import RECIPES
from textvae.utils.errors import UserError


@pytest.fixture(autouse=True)
def _empty(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("TEXTVAE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("TEXTVAE_DATA", raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("paper", ["a", "b", "c"])
def test_the_plan_is_commands_that_are_understood(paper, tmp_path, monkeypatch, capsys) -> None:
    with pytest.raises(SystemExit) as exit_:
        cli.main(["reproduce", paper, "--full", "--dry-run", "--json"])
    assert exit_.value.code == 0
    plan = json.loads(capsys.readouterr().out)
    assert plan["commands"][0] == "textvae data fetch coco"
    assert plan["gigabytes"] > 39  # what is downloaded, and its largest part a second time
    assert plan["hours"] > 10
    assert sum("textvae train" in command for command in plan["commands"]) == len(FULL[paper])
    assert not list(tmp_path.iterdir())

    class Understood(Exception):
        pass

    def understood(*_: object, **__: object) -> None:
        raise Understood

    for place in (
        "textvae.data.coco.fetch_coco", "textvae.preparation.prepare.prepare", "textvae.recipes.resolve._contents_of",
        "textvae.runs.run.open_run",
    ):  # fmt: skip
        monkeypatch.setattr(place, understood)
    for command in plan["commands"]:
        with pytest.raises(Understood):
            cli.main(shlex.split(command)[1:])


def test_the_rows_are_those_of_the_papers() -> None:
    assert {row.subset.suffix for row in FULL["a"]} == {"-0.1"}
    assert {row.subset.suffix for row in FULL["b"]} == {"-0.2"}
    assert {row.subset.suffix for row in FULL["c"]} == {"-livestock", "-pastoral"}
    first = FULL["a"][0]
    assert (first.side, first.data("coco"), first.epochs) == (224, "coco-0.1-224-clip", 300)
    assert [row.model for row in FULL["a"][1:4]] == [{"latent_dim": n} for n in (256, 512, 1024)]
    for row in (row for rows in FULL.values() for row in rows):
        recipe = RECIPES[row.recipe or row.name]()
        assert row.on_images == (recipe.source.startswith("paper c"))
        assert recipe.trainer.batch_size == (16 if row.on_images else 64)


def test_what_is_not_at_full_size_is_refused(capsys) -> None:
    with pytest.raises(UserError, match="no experiment"):
        plan_full("d", full.Path("runs"))
    with pytest.raises(UserError, match="no row"):
        plan_full("a", full.Path("runs"), ["label-conv"])
    with pytest.raises(SystemExit) as exit_:
        cli.main(["reproduce", "a", "--photographs", "mine"])
    assert exit_.value.code == 2


@pytest.mark.slow
def test_a_small_set_goes_through_the_same_code(clip, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(evaluate, "PHOTOGRAPH_NETS", ())
    monkeypatch.setattr(judges, "JUDGES", {})
    photos.coco_folder(tmp_path / "mine", 24, 12)
    first = FullRow("clip-grid-64", 2, 12, 1, fraction=0.5, model={"latent_dim": 2}, keep_epochs=(1,))
    dual = FullRow("clip-dual-64-image-code", 1, 12, 1, theme="red,blue", model={"latent_dim": 2}, on_images=True)
    monkeypatch.setattr(full, "FULL", {"a": (first,), "c": (dual,)})
    recipe = RECIPES[dual.name]()
    few = dataclasses.replace(recipe, trainer=dataclasses.replace(recipe.trainer, validation_images=4))
    monkeypatch.setitem(RECIPES, dual.name, lambda: few)
    found = reproduce_full("a", tmp_path / "runs", source="mine", clip=clip)
    assert set(found["rows"]) == {"clip-grid-64", "clip-grid-64-epochs-1"}
    metrics = found["rows"]["clip-grid-64"]
    assert metrics["protocol"]["data"] == "mine-0.5-64-clip"
    assert (metrics["training"]["epochs"], found["rows"]["clip-grid-64-epochs-1"]["training"]["epochs"]) == (2, 1)
    assert metrics["training"]["images"] == 12
    assert metrics["protocol"]["clip_score"]["conditioned_the_model"] is True
    assert f"{metrics['generation']['clip_score']['samples']:.3f}†" in found["table"]
    assert (tmp_path / "runs" / "full" / "results" / "RESULTS.md").is_file()
    found = reproduce_full("c", tmp_path / "runs", source="mine", clip=clip)
    metrics = found["rows"]["clip-dual-64-image-code"]
    assert metrics["protocol"]["data"] == "mine-red-blue-64-clip"
    assert metrics["training"]["best_validation_loss"] > 0
    # Nothing is done twice.
    monkeypatch.setattr("textvae.papers.reproduce.evaluate_run", None)
    assert reproduce_full("c", tmp_path / "runs", source="mine", clip=clip)["rows"] == found["rows"]
