import numpy as np
import pytest
import torch

from textvae.utils.permutation import Permutation

SORTED, COMPUTED = 10**6, 0
"""Up to how many numbers an order is sorted; above, it is computed number by number."""


@pytest.mark.parametrize("largest_sorted", [SORTED, COMPUTED])
@pytest.mark.parametrize("count", [1, 2, 3, 5, 1000, 4097, 40_000])
def test_a_permutation_has_each_number_once_and_can_be_read_from_any_position(largest_sorted, count):
    order = Permutation(5, count, 0, largest_sorted)
    assert len(order) == count
    whole = order.part(0, count)
    assert whole.sort().values.equal(torch.arange(count))
    edges = ((0, 1), (count // 2, count), (32_000, 33_000), (count - 1, count + 9), (count, count + 9))
    for start, stop in edges:
        part = Permutation(5, count, 0, largest_sorted).part(start, stop)
        assert part.equal(whole[start:stop])


@pytest.mark.slow
@pytest.mark.parametrize("largest_sorted", [SORTED, COMPUTED])
def test_orders_depend_on_seed_and_number_and_have_no_pattern(largest_sorted):
    def whole(seed: int, number: int, count: int = 10_000) -> torch.Tensor:
        return Permutation(seed, count, number, largest_sorted).part(0, count)

    order = whole(5, 0)
    assert order.equal(whole(5, 0))
    for other in (whole(6, 0), whole(5, 1), torch.arange(10_000), order.roll(1)):
        assert abs(np.corrcoef(order, other)[0, 1]) < 0.05
        assert int((order == other).sum()) < 12
    first = torch.stack([whole(0, number, 4)[0] for number in range(2000)])
    assert (first.bincount() - 500).abs().max() < 100


def test_a_hundred_million_numbers_take_no_memory():
    count = 10**8 + 7
    part = Permutation(0, count).part(count - 100, count + 100)
    assert len(set(part.tolist())) == 100
    assert 0 <= int(part.min()) < int(part.max()) < count
