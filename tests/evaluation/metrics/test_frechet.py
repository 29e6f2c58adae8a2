import math

import numpy as np
import pytest
import scipy.linalg
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from textvae.evaluation.metrics.frechet import (
    Moments,
    MomentsAccumulator,
    frechet_distance,
    frechet_from_features,
    moments_of,
)


def cloud(n: int, d: int, seed: int, shift: float = 0.0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.randn(d, d, generator=generator, dtype=torch.float64)
    return torch.randn(n, d, generator=generator, dtype=torch.float64) @ mixing + shift


def by_scipy(a: torch.Tensor, b: torch.Tensor) -> float:
    s1, s2 = (np.cov(x.numpy(), rowvar=False) for x in (a, b))
    root = scipy.linalg.sqrtm(s1 @ s2)
    shift = a.mean(0) - b.mean(0)
    return float(shift @ shift) + np.trace(s1) + np.trace(s2) - 2 * np.trace(root).real


def test_two_known_gaussians_have_the_distance_of_the_closed_form() -> None:
    # Diagonal covariances commute: the distance is |m1 - m2|² + Σ (σ1 - σ2)².
    a = Moments(torch.tensor([0.0, 1.0]).double(), torch.diag(torch.tensor([4.0, 9.0])).double(), 100)
    b = Moments(torch.tensor([3.0, 5.0]).double(), torch.diag(torch.tensor([1.0, 25.0])).double(), 100)
    assert frechet_distance(a, b) == pytest.approx(25 + 1 + 4, rel=1e-13)


def test_full_rank_agrees_with_the_matrix_square_root() -> None:
    a, b = cloud(400, 48, 0), cloud(300, 48, 1, shift=0.5)
    assert frechet_distance(moments_of(a), moments_of(b)) == pytest.approx(by_scipy(a, b), rel=1e-10)


@pytest.mark.parametrize(("n", "m"), [(20, 30), (20, 200), (200, 20), (40, 41), (2, 2)])
def test_fewer_samples_than_features_is_exact(n: int, m: int) -> None:
    a, b = cloud(n, 40, 0), cloud(m, 40, 1, shift=0.1)
    # The nuclear norm of the centred inner products, by numpy: no covariance, no square root of rounding.
    inner = (a - a.mean(0)) @ (b - b.mean(0)).T / math.sqrt((n - 1) * (m - 1))
    expected = (
        float((a.mean(0) - b.mean(0)).square().sum())
        + np.trace(np.cov(a.numpy(), rowvar=False))
        + np.trace(np.cov(b.numpy(), rowvar=False))
        - 2 * np.linalg.norm(inner.numpy(), ord="nuc")
    )
    assert frechet_distance(moments_of(a), moments_of(b)) == pytest.approx(expected, rel=1e-11)
    assert frechet_from_features(a, b) == pytest.approx(expected, rel=1e-11)
    # scipy meets a singular product: near, not equal.
    assert expected == pytest.approx(by_scipy(a, b), rel=1e-4)


def test_dead_features_change_nothing() -> None:
    a, b = cloud(300, 16, 0), cloud(300, 16, 1)
    dead = torch.zeros(300, 8, dtype=torch.float64)
    alive = frechet_distance(moments_of(a), moments_of(b))
    padded = frechet_distance(moments_of(torch.cat([a, dead], 1)), moments_of(torch.cat([b, dead], 1)))
    assert padded == pytest.approx(alive, rel=1e-11)


@settings(max_examples=25, deadline=None)
@given(
    n=st.integers(2, 40), m=st.integers(2, 40), d=st.integers(1, 24), seed=st.integers(0, 999), scale=st.floats(0.1, 9)
)
@pytest.mark.slow
def test_a_distance_is_symmetric_and_moves_as_distances_do(n: int, m: int, d: int, seed: int, scale: float) -> None:
    a, b = cloud(n, d, seed), cloud(m, d, seed + 1, shift=1.0)
    distance = frechet_distance(moments_of(a), moments_of(b))
    size = float(a.var(0).sum() + b.var(0).sum() + distance)
    close = pytest.approx(distance, rel=1e-7, abs=1e-7 * size)
    assert distance >= 0
    assert frechet_distance(moments_of(b), moments_of(a)) == close
    assert frechet_from_features(a, b) == close
    assert frechet_distance(moments_of(a), moments_of(a)) == pytest.approx(0, abs=1e-7 * size)
    assert frechet_distance(moments_of(a + 5), moments_of(b + 5)) == close
    assert frechet_distance(moments_of(a * scale), moments_of(b * scale)) / scale**2 == close
    rotation = torch.linalg.qr(cloud(d, d, seed + 2)).Q
    assert frechet_distance(moments_of(a @ rotation), moments_of(b @ rotation)) == close


@settings(max_examples=25, deadline=None)
@given(cuts=st.lists(st.integers(0, 50), max_size=5), offset=st.sampled_from([0.0, 1e6]))
def test_batches_give_the_moments_of_the_whole(cuts: list[int], offset: float) -> None:
    features = cloud(50, 6, 3) + offset
    accumulator = MomentsAccumulator()
    for start, stop in zip([0, *sorted(cuts)], [*sorted(cuts), 50], strict=True):
        accumulator.update(features[start:stop])
    moments = accumulator.moments()
    assert moments.count == 50
    np.testing.assert_allclose(moments.mean, features.mean(0), rtol=1e-13, atol=1e-13)
    np.testing.assert_allclose(
        moments.covariance, np.cov((features - offset).numpy(), rowvar=False), rtol=1e-8, atol=1e-8
    )


def test_float32_features_are_summed_in_float64() -> None:
    features = torch.tensor([[1e4], [1e4 + 1], [1e4 + 2]])
    assert float(moments_of(features).covariance) == 1.0


def test_what_is_no_sample_is_refused() -> None:
    with pytest.raises(ValueError, match="finite"):
        moments_of(torch.tensor([[1.0], [torch.nan]]))
    with pytest.raises(ValueError, match="finite"):
        frechet_from_features(torch.tensor([[1.0, 2, 3], [torch.inf, 0, 0]]), torch.zeros(2, 3))
    with pytest.raises(ValueError, match="two samples"):
        moments_of(torch.zeros(1, 3))
    with pytest.raises(ValueError, match="two samples"):
        MomentsAccumulator().moments()
    with pytest.raises(ValueError, match="compared"):
        frechet_distance(moments_of(torch.rand(5, 2)), moments_of(torch.rand(5, 3)))
