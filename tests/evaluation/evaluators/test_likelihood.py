"""Images recognised by a model's own bound: which images and captions are compared, by how many estimates."""

from typing import Any
from unittest.mock import Mock

import pytest
import torch
from torch import Tensor

from textvae.evaluation.context import EvaluationContext
from textvae.evaluation.evaluators import likelihood

COUNT = 230
RIGHT = torch.arange(COUNT) % 10 != 3
"""The images that the stand-in for the bound recognises."""


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int, int]]:
    """Images, captions and samples of each call of a bound that is highest at the right caption, if RIGHT."""
    calls: list[tuple[int, int, int]] = []

    def bounds(generator: Any, images: Tensor, conditions: Tensor, samples: int, seed: int) -> Tensor:
        calls.append((len(images), len(conditions), samples))
        own = images[:, None] == conditions if len(conditions) == len(images) else images[:, None] % 10 == conditions
        return torch.where(RIGHT[images], 1.0, -1.0)[:, None] * own

    monkeypatch.setattr(likelihood, "caption_bounds", bounds)
    return calls


def context(has_density: bool, labels: Tensor | None, captions: list[str]) -> EvaluationContext:
    made = Mock(spec=EvaluationContext, seed=0, pipeline=Mock(), images=Mock())
    made.pipeline.model.prior.has_density = has_density
    made.pipeline.text.encode = lambda names: torch.arange(len(names))
    made.conditions = torch.arange(COUNT)
    made.images.images = torch.arange(COUNT)
    made.images.labels, made.images.captions, made.images.class_names = labels, captions, [str(n) for n in range(10)]
    return made


@pytest.mark.parametrize(("has_density", "images", "samples"), [(True, COUNT, 1), (False, 200, 8)])
def test_classes_are_recognised_by_one_latent_or_by_estimates_of_a_flow(asked, has_density, images, samples):
    found = likelihood.recognition(context(has_density, torch.arange(COUNT) % 10, [str(n) for n in range(10)]))
    assert asked == [(images, 10, samples)]
    assert found.numbers == {"classification_accuracy": pytest.approx(0.9)}
    assert found.protocol == {"recognition_samples": samples}


@pytest.mark.parametrize(("has_density", "samples"), [(True, 1), (False, 8)])
def test_photographs_are_recognised_among_the_captions_of_their_neighbours(asked, has_density, samples):
    found = likelihood.recognition(context(has_density, None, [f"caption {n}" for n in range(COUNT)]))
    assert asked == [(10, 10, samples)] * 10
    assert found.numbers == {"retrieval_precision": pytest.approx(0.9), "retrieval_choices": 10}


def test_captions_that_share_their_labels_are_not_told_apart(asked):
    found = likelihood.recognition(context(True, torch.arange(COUNT) % 10, ["one plus one", "two"]))
    assert not asked
    assert not found.numbers
    assert not found.absent
