import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from textvae.evaluation.metrics.kernel import kernel_distance


def naive(a: torch.Tensor, b: torch.Tensor) -> float:
    def k(x: torch.Tensor, y: torch.Tensor) -> float:
        return (float(x @ y) / len(x) + 1) ** 3

    n, m = len(a), len(b)
    within_a = sum(k(a[i], a[j]) for i in range(n) for j in range(n) if i != j) / (n * (n - 1))
    within_b = sum(k(b[i], b[j]) for i in range(m) for j in range(m) if i != j) / (m * (m - 1))
    return within_a + within_b - 2 * sum(k(x, y) for x in a for y in b) / (n * m)


@settings(max_examples=15, deadline=None)
@given(n=st.integers(2, 12), m=st.integers(2, 12), d=st.integers(1, 6), seed=st.integers(0, 99))
def test_all_pairs_agree_with_the_double_loop(n: int, m: int, d: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    a, b = (torch.randn(count, d, generator=generator, dtype=torch.float64) for count in (n, m))
    found = kernel_distance(a, b)
    assert found.mean == pytest.approx(naive(a, b), rel=1e-9, abs=1e-9)
    assert (found.std, found.subsets, found.subset_size) == (0.0, 1, 0)


def test_blocks_of_rows_join_seamlessly() -> None:
    a, b = torch.randn(1500, 3).double(), torch.randn(1100, 3).double() + 0.2
    gram = lambda x, y: (x @ y.T / 3 + 1).pow(3)
    expected = (
        (gram(a, a).sum() - gram(a, a).trace()) / (1500 * 1499)
        + (gram(b, b).sum() - gram(b, b).trace()) / (1100 * 1099)
        - 2 * gram(a, b).mean()
    )
    assert kernel_distance(a, b, subset_size=2000).mean == pytest.approx(float(expected), rel=1e-9)


def test_subsets_estimate_what_all_pairs_do_and_their_seed_repeats_them() -> None:
    generator = torch.Generator().manual_seed(0)
    a, b = torch.randn(600, 8, generator=generator), torch.randn(500, 8, generator=generator) + 0.3
    whole = kernel_distance(a, b)
    drawn = kernel_distance(a, b, subsets=60, subset_size=100, seed=1)
    assert (drawn.subsets, drawn.subset_size) == (60, 100)
    assert abs(drawn.mean - whole.mean) < 4 * drawn.std / 60**0.5
    assert kernel_distance(a, b, subsets=60, subset_size=100, seed=1) == drawn
    assert kernel_distance(a, b, subsets=60, subset_size=100, seed=2) != drawn


def test_samples_of_one_distribution_average_to_zero() -> None:
    generator = torch.Generator().manual_seed(0)
    values = torch.tensor([kernel_distance(*torch.randn(2, 50, 4, generator=generator)).mean for _ in range(200)])
    assert abs(values.mean()) < 4 * values.std() / 200**0.5
    assert values.min() < 0


def test_what_is_no_sample_is_refused() -> None:
    with pytest.raises(ValueError, match="finite"):
        kernel_distance(torch.tensor([[1.0], [torch.nan]]), torch.zeros(2, 1))
    with pytest.raises(ValueError, match="at least two"):
        kernel_distance(torch.zeros(1, 2), torch.zeros(5, 2))
