"""Every row of the papers can be built, and what is compared is comparable."""

import dataclasses
from pathlib import Path

import pytest
from helpers.declared import declare

from textvae.papers.results import Places
from textvae.papers.rows import PAPERS, PASSES, Row, paper_training
from textvae.papers.stored import stored_metrics
from textvae.recipes.resolve import resolve


@pytest.mark.parametrize("paper", ["a", "b", "c"])
def test_every_row_of_the_papers_can_be_built(paper, tmp_path, monkeypatch):
    monkeypatch.setenv("TEXTVAE_CACHE", str(tmp_path))
    for length in ("unit", "sqrt"):
        ending = "" if length == "unit" else f"-{length}"
        declare(f"coco-mini-64-sentence{ending}", "coco-mini", 64, "sentence", length=length)
        declare(f"scenes-nature-64-pair{ending}", "scenes", 64, "pair", "pair", length=length)
    declare("scenes-64-sentence", "scenes", 64, "sentence")
    declare("scenes-nature-128-pair", "scenes", 128, "pair", "pair")
    chosen = PAPERS[paper]
    assert len({row.name for row in chosen}) == len(chosen)
    for row in chosen:
        settings = row.settings()
        changed = {*row.trainer, *row.model} - {"likelihood"}
        assert {"epochs", "latent_dim", "seed", "extra_convolutions", "attention"} >= changed
        # Whatever does less than its paper says so.
        assert bool(row.paper) == row.recipe.startswith("clip-")
        if "-seed" in row.name:
            assert settings.trainer.seed == int(row.name[-1]) != 0
            alone = next(other for other in chosen if other.name == row.name[: -len("-seed1")]).settings()
            assert settings == dataclasses.replace(
                alone, trainer=dataclasses.replace(alone.trainer, seed=settings.trainer.seed)
            )
        for number in (n for n in row.name.split("-") if n.isdecimal() and int(n) >= 256):
            assert int(number) in (settings.model.latent_dim, settings.model.image_size, settings.trainer.epochs)
    if paper == "a":
        latents = [row.settings().model.latent_dim for row in chosen if "latent" in row.name]
        assert sorted({*latents}) == [128, 256, 512, 1024]
        assert [row.settings().trainer.epochs for row in chosen if "epochs" in row.name] == [5, 30]
    for row in (row for row in chosen if "-code-nature" in row.name):
        settings = row.settings()
        assert (settings.condition_on in row.name, settings.model.reading, row.trainer["epochs"]) == (
            True,
            "program",
            8,
        )
        assert settings.text.length == ("sqrt" if "sqrt" in row.name else "unit")
    # What is compared has seen as many images.
    alike = [row for row in chosen if row.name.startswith(("clip-grid-64", "clip-latent-64")) and not row.keep_epochs]
    same = {row.settings().trainer.epochs for row in alike if "-scenes-" not in row.name}
    assert same <= {"a": {PASSES, 5, 30}, "b": {100}}.get(paper, set())
    assert {row.settings().trainer.epochs for row in alike if "-scenes-" in row.name} <= {50}


def test_flows_are_compared_on_the_same_photographs_with_prompts_of_their_own(tmp_path, monkeypatch):
    monkeypatch.setenv("TEXTVAE_CACHE", str(tmp_path))
    for source in ("flowers102", "products"):
        declare(f"{source}-64-sentence", source, 64, "sentence")
    settings = {row.name: row.settings() for row in PAPERS["flow"]}
    assert len(settings) == len(PAPERS["flow"])
    for source, flow in (("flowers102", "flowers"), ("products", "products")):
        ours = settings[f"latent-flow-{flow}"]
        theirs = [own for name, own in settings.items() if name.startswith(f"{source}-")]
        assert len(theirs) == 8
        for paper in theirs:
            assert paper.data == f"{source}-64-sentence"
            assert ours.data == f"{source}-64-words"
            assert paper.prompts == ours.prompts
    assert settings["latent-flow-flowers"].prompts != settings["latent-flow-products"].prompts


def test_rivals_of_our_models_have_our_minutes_or_their_papers_epochs():
    stored = stored_metrics(Places.of_repository(Path(__file__).parents[2]).metrics)
    ours = {"flowers102": "flowers", "products": "products", "clip": "coco", "label": "fashion", "caption": "digits"}
    papers = {"clip-grid-64": 300, "clip-dual-64-text-dropout": 25}
    long = [row for row in PAPERS["flow"] if row.name.endswith("-long")]
    assert {"label-conv-long", "label-dense-long", "caption-prior-arithmetic-long"} < {row.name for row in long}
    for row in long:
        source, epochs = row.name.partition("-")[0], row.trainer["epochs"]
        assert epochs >= papers.get(row.recipe, 0)
        if source in ours:
            short = stored[row.name.removesuffix("-long")]["training"]
            expected = epochs * short["seconds"] / short["epochs"]
            assert expected > stored[f"latent-flow-{ours[source]}"]["training"]["seconds"], row.name


def test_a_row_may_take_a_preset_of_its_recipe():
    plain, tiny = (Row("row", "latent-flow-fashion", preset=name).settings() for name in ("", "tiny"))
    assert tiny.trainer == resolve("latent-flow-fashion").presets["tiny"]["trainer"]
    assert tiny.flow.trainer.epochs < plain.flow.trainer.epochs


def test_the_training_of_the_paper_is_known_by_the_name_of_the_row():
    assert "300" in paper_training("clip-grid-64-epochs-30")
    assert paper_training("latent-flow-fashion") == paper_training("no row") == ""
