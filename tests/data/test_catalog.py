"""A named photograph set is one entry of the catalog: prepared, trained on and measured by its name."""

import json

import pytest
from helpers import photos

from textvae import cli, data
from textvae.data.catalog import JUDGES, PHOTOGRAPHS, PhotographSet
from textvae.preparation.layouts import LAYOUTS
from textvae.runs.find import shipped_models
from textvae.runs.run import open_run

BLOCKS = PhotographSet(
    "blocks",
    "coloured blocks",
    "https://example.org",
    "public domain",
    "coco",
    caption_length=5,
    mirror=False,
    colours=("red", "blue"),
    prompts=("a red block", "this is blue"),
)
SMALL = (
    "--model.channels", "8", "32", "--model.latent-channels", "2", "--model.perceptual", "0", "--trainer.epochs", "1",
    "--trainer.batch-size", "24", "--prior", "own", "--precision", "fp32", "--threads", "1",
)  # fmt: skip


def run(capsys, *words: object) -> str:
    with pytest.raises(SystemExit) as exit_:
        cli.main([str(word) for word in words])
    out, err = capsys.readouterr()
    assert exit_.value.code == 0, err
    return out


@pytest.mark.slow
def test_one_entry_is_all_that_a_set_needs(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setitem(PHOTOGRAPHS, "blocks", BLOCKS)
    monkeypatch.setenv("TEXTVAE_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("TEXTVAE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("textvae.evaluation.evaluate.PHOTOGRAPH_NETS", ())
    monkeypatch.setattr("textvae.evaluation.evaluators.colour.LEAST_NAMED", 2)
    photos.coco_folder(tmp_path / "data" / "blocks", 24, 8)
    assert "blocks" in run(capsys, "data", "list")
    run(capsys, "data", "prepare", "blocks", "--size", 64, "--text", "words", "--workers", 1)
    facts = json.loads(run(capsys, "data", "describe", "blocks-64-words", "--out", tmp_path / "sheet.png", "--json"))
    assert (facts["home"], facts["terms"]) == (BLOCKS.home, BLOCKS.terms)
    assert data.photographs("blocks-64-words") is BLOCKS

    out = tmp_path / "run"
    run(capsys, "train", "latent-flow-flowers", "--data", "blocks-64-words", "--out", out, *SMALL)
    recipe = open_run(out).recipe
    assert (recipe.prompts, recipe.text.length, recipe.trainer.flip) == (BLOCKS.prompts, 5, False)
    found = json.loads(run(capsys, "evaluate", out, "--importance-samples", 1, "--device", "cpu", "--json"))
    assert found["protocol"]["data"] == "blocks-64-words"
    assert set(found["generation"]["colour"]["by_colour"]) <= {"red", "blue"}
    assert "textvae train pair-judge-blocks" in found["absent"]["generation.retrieval_precision"]


def test_entries_are_complete() -> None:
    for name, entry in PHOTOGRAPHS.items():
        assert entry.name == name
        assert entry.layout in LAYOUTS or set(entry.parts) < set(PHOTOGRAPHS)
        assert entry.home.startswith("http")
        assert entry.terms
        assert entry.prompts
    for name, judge in JUDGES.items():
        assert name in data.SOURCES
        assert judge in shipped_models()
