import math

import pytest
import torch
from torch.distributions import Normal

from textvae.evaluation.metrics.likelihood import (
    active_units,
    bits_per_dimension,
    importance_weighted_bound,
    kl_per_dimension,
)


def test_the_bound_rises_to_the_exact_likelihood_of_a_linear_gaussian_model() -> None:
    # z ~ N(0, 1), x ~ N(z, 0.5²), so x ~ N(0, 1.25); q is off the true posterior N(0.8 x, 0.2).
    torch.manual_seed(0)
    x = torch.linspace(-2, 2, 9).double()
    proposal = Normal(0.6 * x, 0.6)
    z = proposal.sample((20000,))
    log_weights = Normal(z, 0.5).log_prob(x) + Normal(0.0, 1.0).log_prob(z) - proposal.log_prob(z)
    exact = Normal(0.0, math.sqrt(1.25)).log_prob(x)
    torch.testing.assert_close(importance_weighted_bound(log_weights), exact, atol=0.03, rtol=0)
    means = [importance_weighted_bound(log_weights.view(k, -1)).mean() for k in (1, 5, 50)]
    assert means[0] < means[1] < means[2] < exact.mean() + 0.01


def test_one_draw_is_the_elbo_and_small_weights_don_t_underflow() -> None:
    log_weights = torch.tensor([[-1e4, -2e4]])
    assert importance_weighted_bound(log_weights).tolist() == [-1e4, -2e4]
    assert importance_weighted_bound(log_weights.expand(64, -1)).tolist() == pytest.approx([-1e4, -2e4])


def test_uniform_pixels_cost_eight_bits() -> None:
    assert bits_per_dimension(-784 * math.log(256), 784) == pytest.approx(8)
    torch.testing.assert_close(bits_per_dimension(torch.tensor([-math.log(2)]), 1), torch.tensor([1.0]))


def test_only_dimensions_that_tell_images_apart_are_active() -> None:
    means = torch.stack([torch.tensor([-1.0, 1]), torch.tensor([5.0, 5]), torch.tensor([-0.05, 0.05])], 1)
    assert active_units(means) == 1
    assert active_units(means * 10**0.5) == 2


def test_kl_by_dimension_sums_to_the_kl() -> None:
    kl = torch.rand(5, 2, 3, 3)
    by_dimension = kl_per_dimension(kl)
    assert by_dimension.shape == (18,)
    torch.testing.assert_close(by_dimension.sum(), kl.flatten(1).sum(1).mean())
