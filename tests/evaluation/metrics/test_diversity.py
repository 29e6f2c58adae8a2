import numpy as np
import pytest
import scipy.spatial.distance
import torch

from textvae.evaluation.metrics import chunks
from textvae.evaluation.metrics.confusion import judge_report
from textvae.evaluation.metrics.diversity import (
    mean_distance_within_classes,
    mean_pairwise_distance,
    nearest_neighbours,
)


@pytest.fixture(params=[7, 1024])
def _chunk(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "MAX_ROWS", request.param)


@pytest.mark.usefixtures("_chunk")
@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_mean_pairwise_distance_is_scipy_s(offset: float) -> None:
    features = torch.randn(60, 5).double() + offset
    expected = scipy.spatial.distance.pdist(features.numpy()).mean()
    assert mean_pairwise_distance(features) == pytest.approx(expected, rel=1e-9)


def test_classes_are_averaged_and_single_images_left_out() -> None:
    features = torch.tensor([[0.0], [1], [5], [5], [5], [100]])
    labels = torch.tensor([0, 0, 1, 1, 1, 2])
    assert mean_distance_within_classes(features, labels) == pytest.approx(0.5)
    with pytest.raises(ValueError, match="two rows"):
        mean_distance_within_classes(features[:2], torch.tensor([0, 1]))
    with pytest.raises(ValueError, match="two rows"):
        mean_pairwise_distance(features[:1])


@pytest.mark.usefixtures("_chunk")
def test_nearest_neighbours_are_scipy_s_and_copies_are_at_zero() -> None:
    references = torch.rand(50, 12) + 100
    queries = torch.cat([torch.rand(20, 12) + 100, references[[31, 4]]])
    distance, index = nearest_neighbours(queries, references)
    every = scipy.spatial.distance.cdist(queries.double().numpy(), references.double().numpy())
    np.testing.assert_allclose(distance, every.min(1), rtol=1e-12)
    np.testing.assert_array_equal(index, every.argmin(1))
    assert distance[20:].tolist() == [0, 0]


def test_nearness_needs_references() -> None:
    with pytest.raises(ValueError, match="at least one"):
        nearest_neighbours(torch.rand(2, 3), torch.rand(0, 3))
    assert nearest_neighbours(torch.rand(0, 3), torch.rand(2, 3))[0].shape == (0,)


def test_a_judge_s_report_counts_by_class_asked_for() -> None:
    expected = torch.tensor([0, 0, 0, 2])
    predicted = torch.tensor([0, 0, 1, 2])
    report = judge_report(predicted, expected, ("shirt", "dress", "boot"))
    assert report.accuracy == 0.75
    assert report.per_class == {"shirt": pytest.approx(2 / 3), "boot": 1.0}
    assert report.confusion == [[2, 1, 0], [0, 0, 0], [0, 0, 1]]
    assert report.count == 4


def test_a_judge_that_speaks_of_unknown_classes_is_refused() -> None:
    with pytest.raises(ValueError, match=r"0\.\.1"):
        judge_report(torch.tensor([2]), torch.tensor([0]), ("a", "b"))
    with pytest.raises(ValueError, match="no images"):
        judge_report(torch.zeros(0, dtype=torch.int64), torch.zeros(0, dtype=torch.int64), ("a",))
