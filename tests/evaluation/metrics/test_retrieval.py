import pytest
import torch
import torch.nn.functional as F

from textvae.evaluation.metrics.clip_score import clip_score
from textvae.evaluation.metrics.retrieval import retrieval_precision


def test_retrieval_has_its_closed_forms() -> None:
    names = [f"caption {number}" for number in range(150)]
    own = torch.eye(150)
    assert retrieval_precision(own, own, names) == 1.0
    assert retrieval_precision(own, own.roll(1, 0), names) == 0.0
    # Of 100 equal chances one wins.
    random = F.normalize(torch.randn(2000, 8, generator=torch.Generator().manual_seed(0)), dim=1)
    other = F.normalize(torch.randn(2000, 8, generator=torch.Generator().manual_seed(1)), dim=1)
    precision = retrieval_precision(random, other, [str(number) for number in range(2000)])
    assert precision == pytest.approx(0.01, abs=0.008)
    assert precision == retrieval_precision(random, other, [str(number) for number in range(2000)])


def test_a_caption_is_no_rival_of_itself() -> None:
    images = F.normalize(torch.tensor([[1.0, 0.1], [1.0, -0.1], [0.0, 1.0]]), dim=1)
    texts = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    assert retrieval_precision(images, texts, ["a shirt", "a shirt", "a shoe"]) == 1.0
    with pytest.raises(ValueError, match="two different"):
        retrieval_precision(images, texts, ["a shirt"] * 3)


def test_clip_score_is_the_mean_cosine_without_negative_ones() -> None:
    assert clip_score(torch.tensor([[1.0, 0], [1, 0]]), torch.tensor([[2.0, 0], [-1, 0]])) == 0.5
