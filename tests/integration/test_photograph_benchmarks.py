"""The benchmarks of photograph models, on pictures of coloured blocks and toy models."""

import importlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
import torch

from tests.helpers import photos, tiny
from textvae.evaluation import fitted_judge
from textvae.preparation.prepare import prepare
from textvae.preparation.subset import Subset
from textvae.pretrained.feature_nets import FeatureNet
from textvae.utils.errors import UserError

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
SIDE = 64


@pytest.fixture
def run_benchmark(tiny_data, monkeypatch, tmp_path) -> Callable[..., Any]:
    """Runs a script with its arguments, and features that are the colours of the picture's quarters."""
    monkeypatch.setenv("TEXTVAE_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    monkeypatch.setattr(fitted_judge, "STEPS", 20)

    def colours(name: str, device: torch.device | None = None) -> FeatureNet:
        return FeatureNet(
            name, 12, "none", lambda images: images.float().unfold(2, 32, 32).unfold(3, 32, 32).mean((4, 5)).flatten(1)
        )

    def run(name: str, *words: object) -> None:
        module = importlib.import_module(name)
        monkeypatch.setattr(module, "feature_net", colours)
        monkeypatch.setattr(sys, "argv", [name, *map(str, words)])
        module.main()

    return run


@pytest.fixture
def trained(run_benchmark, textvae, monkeypatch, tmp_path) -> Callable[..., Path]:
    """Trains a model of coloured blocks, of the captions without some words."""
    tiny.pictures_in_this_process(monkeypatch.setitem)
    folder = photos.coco_folder(tmp_path / "blocks", 160, 60)

    def train(*without: str) -> Path:
        name = prepare(str(folder), SIDE, "words", subset=Subset(without=without), workers=1)["name"]
        out = tmp_path / f"run-of-{name}"
        code, _, err = textvae("train", "latent-flow-photos", "--data", name, "--out", out, *tiny.HOW)
        assert code == 0, err
        return out

    return train


def measured(out: Path, name: str) -> dict[str, Any]:
    return json.loads((out / f"benchmark-{name}.json").read_text(encoding="utf-8"))


@pytest.mark.slow
def test_words_that_a_training_did_not_have(trained, run_benchmark, tmp_path) -> None:
    known, unseen = trained(), trained("red")
    run_benchmark("related_words", "--models", known, "--unseen", unseen, "--out", tmp_path)
    found = measured(tmp_path, "unseen-words")
    (model,) = found["models"].values()
    assert model["weights"] != model["weights_unseen"]
    assert model["words"].keys() == {"red"}
    word = model["words"]["red"]
    assert word["read_as"] is None, "the other blocks are white, green and blue"
    assert word["related"] == word["ignored"]
    assert word["real"] > 0.9, "a judge of these colours that cannot see red would measure nothing"
    assert 0 <= word["known"] <= 1
    assert "no caption of the training had" in found["summary"][0]["what"]

    with pytest.raises(UserError, match="no word that is read as another"):
        run_benchmark("related_words", "--models", known, "--out", tmp_path)


@pytest.mark.slow
def test_what_a_flow_has_to_learn(trained, run_benchmark, capsys) -> None:
    run = trained()
    capsys.readouterr()
    run_benchmark("latents", run, "--images", 40)
    out = capsys.readouterr().out
    assert [line.split(": ")[0].split(", ")[1] for line in out.splitlines()] == [
        *("latents", "photographs", "white noise"),
        *("reconstructions", "reconstructions", "interpolations", "interpolations"),
    ]


def test_frequencies_are_those_of_the_cosine_transform(run_benchmark) -> None:
    high_frequencies = importlib.import_module("latents").high_frequencies
    flat, checkered = torch.ones(2, 3, 8, 8), torch.ones(2, 3, 8, 8)
    checkered[:, :, ::2, 1::2] = checkered[:, :, 1::2, ::2] = -1
    assert high_frequencies(flat, 1) == pytest.approx(0, abs=1e-12)
    assert high_frequencies(checkered, 8) > 0.8
    noise = torch.randn(500, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    assert high_frequencies(noise, 8) == pytest.approx(28 / 64, abs=0.02), "as many as there are places"


@pytest.mark.slow
def test_pictures_are_compared_with_enlarged_ones(trained, run_benchmark, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(importlib.import_module("larger_pictures"), "SMALL", 16)
    picture = tmp_path / "beside.png"
    against = trained("red")
    words = ("--model", trained(), "--against", against, "--picture", picture, "--out", tmp_path)
    run_benchmark("larger_pictures", *words)
    found = measured(tmp_path, f"larger-pictures-{against.name}")
    assert (found["images"], found["side"]) == (60, SIDE)
    assert picture.stat().st_size > 1000
    for kinds in found["frechet"].values():
        assert kinds["test images reduced and enlarged"] < kinds["larger"]


@pytest.mark.slow
def test_a_model_of_a_joined_set_is_measured_on_each_of_its_parts(
    run_benchmark, textvae, tmp_path, monkeypatch
) -> None:
    tiny.pictures_in_this_process(monkeypatch.setitem)
    folders = [str(photos.coco_folder(tmp_path / name, train, 60)) for name, train in (("here", 160), ("there", 80))]
    for folder in folders:
        prepare(folder, SIDE, "words", workers=1)
    name = prepare(folders, SIDE, "words", workers=1)["name"]
    out = tmp_path / "run"
    code, _, err = textvae("train", "latent-flow-photos", "--data", name, "--out", out, *tiny.HOW)
    assert code == 0, err
    by_source, picture = importlib.import_module("by_source"), tmp_path / "prompts.png"
    monkeypatch.setattr(by_source, "PHOTOGRAPHS", {"both": Mock(parts=("here", "there"))})
    run_benchmark("by_source", "--model", out, "--set", "both", "--picture", picture, "--out", tmp_path)
    found = measured(tmp_path, "by-source")
    assert "no dual encoder" in found["judge"]
    assert found["sets"].keys() == {"here", "there"}
    for part in found["sets"].values():
        assert part["images"] == 60
        assert part["frechet"].keys() == part["kernel"].keys() == {"efficientnet-lite0", "inception-768"}
        # The blocks of both splits are alike, pictures of a model that saw a few steps are not.
        nearest = part["nearest_training_image"]
        assert nearest["test_images"] < nearest["samples"]
    assert [line["what"].split(" of ")[1].split(":")[0] for line in found["summary"]] == ["here", "there"]
    assert picture.stat().st_size > 1000
