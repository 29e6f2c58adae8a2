"""Accuracy of attributes, against generators of which the answer is known."""

from collections.abc import Sequence
from functools import cache

import pytest
import torch
from helpers.few_sprouts import draw_few, needs_packages
from torch import Tensor

from textvae import data
from textvae.data.sprouts import SPROUTS
from textvae.evaluation.evaluate import evaluate_run
from textvae.evaluation.evaluators import attribute_accuracy, word_sensitivity
from textvae.evaluation.evaluators.attribute_accuracy import accuracy, accuracy_by_kind, attributes_of
from textvae.evaluation.judges import AttributeJudge
from textvae.experiment.train import train_recipe
from textvae.pipeline import TextToImage
from textvae.recipes.resolve import resolve
from textvae.runs.find import shipped_models
from textvae.runs.run import open_run
from textvae.text.sprout_grammar import ATTRIBUTES, SproutVectors
from textvae.utils.device import choose_execution

CPU = torch.device("cpu")
needs_sprouts = pytest.mark.skipif(SPROUTS.find() is None, reason="sprouts are not here: textvae data fetch sprouts")
IMAGES = 150


class Remembers(TextToImage):
    """Draws the real images in the order of the captions; or, where told so, in another order."""

    def __init__(self, shuffled: bool) -> None:
        self.text = SproutVectors()
        self.shuffled = shuffled
        self.splits = iter(("test-seen", "test-seen", "test"))

    def draw(self, conditions: Tensor, seeds: Sequence[int]) -> Tensor:
        images = _first(next(self.splits))
        return images.roll(1, 0) if self.shuffled else images


@cache
def _first(split: str) -> Tensor:
    return data.load("sprouts", split).images[:IMAGES]


@needs_sprouts
@pytest.mark.slow
def test_a_perfect_and_a_shuffled_generator() -> None:
    judge = AttributeJudge(CPU)
    right = accuracy_by_kind(Remembers(shuffled=False), judge, IMAGES, 0)
    assert set(right) == {"seen", "real_seen", "seen_short", "held_out", "real_held_out"}
    assert all(kind["all"] > 0.97 for kind in right.values())
    assert set(right["seen"]) == {"all", *ATTRIBUTES}
    wrong = accuracy_by_kind(Remembers(shuffled=True), judge, IMAGES, 0)
    assert wrong["seen"]["all"] < 0.05
    assert wrong["held_out"]["plant"] < 0.3
    assert wrong["seen"]["all"] <= wrong["seen_short"]["all"] < right["seen_short"]["all"]
    assert wrong["real_held_out"] == right["real_held_out"]


def test_only_what_a_caption_names_is_scored() -> None:
    class Sees(AttributeJudge):
        def __init__(self) -> None:
            pass

        def classify(self, images: Tensor) -> Tensor:
            return attributes_of(["a sad yellow tulip in a round blue pot on a red wall"] * len(images))

    images = torch.zeros(3, 3, 64, 64, dtype=torch.uint8)
    captions = ["a tulip", "a sad plant in a blue pot", "a happy tulip in a blue pot"]
    found = accuracy(images, captions, Sees())
    assert found == {"all": pytest.approx(2 / 3), "plant": 1.0, "expression": 0.5, "pot": 1.0}


def test_the_judge_is_small() -> None:
    weights = shipped_models()["judge-sprouts"] / "model.safetensors"
    assert weights.stat().st_size < 300_000


@needs_packages
@pytest.mark.slow
def test_a_model_of_a_paper_on_sprouts(monkeypatch, tmp_path) -> None:
    draw_few(monkeypatch, tmp_path, 8)
    monkeypatch.setattr(attribute_accuracy, "SAMPLES", 4)
    monkeypatch.setattr(word_sensitivity, "LEAST_IMAGES", 1)  # so that some words are frequent enough to be added
    recipe = resolve(
        "clip-latent-64-add",
        data="sprouts",
        overrides={"model": {"width": 4, "latent_dim": 4}, "trainer": {"epochs": 1, "batch_size": 4}},
    )
    execution = choose_execution("cpu", "fp32")
    assert train_recipe(recipe, tmp_path / "run", execution)
    run = open_run(tmp_path / "run")
    assert run.recipe.text == SproutVectors()
    found = evaluate_run(run, execution.device, 8, 1, nets=())
    assert 0 <= found.get("generation.attribute_accuracy.held_out.all") <= 1
    assert found.get("generation.word_sensitivity") is None, "a caption with a word added is none of the grammar"
    assert found.get("generation.attribute_accuracy.real_held_out.all") > 0.7
    assert found.protocol["attribute_judge"].startswith("judge-sprouts ")
