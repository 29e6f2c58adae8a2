"""The kernel distance between two clouds of features."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64
from torch import Tensor


@dataclass(frozen=True)
class KernelDistance:
    """The squared maximum mean discrepancy, and how it was estimated."""

    mean: float
    std: float
    """Standard deviation over the subsets, not of their mean; 0 where there is one."""
    subsets: int
    subset_size: int
    """Images a side of each subset; 0 where all were compared with all."""


def kernel_distance(
    a: Float[Tensor, "n d"], b: Float[Tensor, "m d"], *, subsets: int = 100, subset_size: int = 1000, seed: int = 0
) -> KernelDistance:
    """The unbiased squared MMD under the kernel (x·y/d + 1)³: "KID" (Bińkowski et al. 2018, section 4).

    Unlike the Fréchet distance its expectation does not depend on the number of samples, so it may be compared across
    them, and may come out below zero where the two are alike. Published values are sometimes multiplied by 1,000;
    these are not.

    Args:
        a: features of one sample.
        b: features of the other.
        subsets: how many subsets are drawn.
        subset_size: drawn from each side without replacement. Where a side has no more than that, all of both sides
            are compared once instead, and the result says so.
        seed: decides the subsets.

    Raises:
        ValueError: fewer than two samples, or a feature is NaN or infinite.
    """
    if min(len(a), len(b)) < 2 or subset_size < 2 or subsets < 1:
        raise ValueError("the kernel distance needs two samples or more of each, in one subset or more")
    a, b = a.detach().double(), b.detach().double()
    if not (a.isfinite().all() and b.isfinite().all()):
        raise ValueError("features must be finite")
    if subset_size >= min(len(a), len(b)):
        return KernelDistance(_squared_mmd(a, b), 0.0, 1, 0)
    generator = torch.Generator().manual_seed(seed)
    values = torch.tensor(
        [_squared_mmd(*(_draw(x, subset_size, generator) for x in (a, b))) for _ in range(subsets)],
        dtype=torch.float64,
    )
    return KernelDistance(float(values.mean()), float(values.std(correction=0)), subsets, subset_size)


def _draw(features: Tensor, count: int, generator: torch.Generator) -> Tensor:
    return features[torch.randperm(len(features), generator=generator)[:count].to(features.device)]


def _squared_mmd(a: Float64[Tensor, "n d"], b: Float64[Tensor, "m d"]) -> float:
    n, m = len(a), len(b)
    # Pairs of an image with itself are what makes the estimate biased.
    within_a = (_kernel_sum(a, a) - _self_kernels(a)) / (n * (n - 1))
    within_b = (_kernel_sum(b, b) - _self_kernels(b)) / (m * (m - 1))
    return float(within_a + within_b - 2 * _kernel_sum(a, b) / (n * m))


def _kernel_sum(a: Float64[Tensor, "n d"], b: Float64[Tensor, "m d"]) -> Tensor:
    total = a.new_zeros(())
    for start in range(0, len(a), 1024):
        product = a[start : start + 1024] @ b.T
        # Cubed by hand: pow is many times slower than two multiplications.
        product.div_(a.shape[1]).add_(1)
        total += (product * product).mul_(product).sum()
    return total


def _self_kernels(a: Float64[Tensor, "n d"]) -> Tensor:
    return (a.square().sum(1) / a.shape[1] + 1).pow(3).sum()
