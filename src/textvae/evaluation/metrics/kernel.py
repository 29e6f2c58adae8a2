"""The kernel distance between two samples of features."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64
from torch import Tensor


@dataclass(frozen=True)
class KernelDistance:
    """An estimate of the squared maximum mean discrepancy (MMD), and how it was estimated."""

    mean: float
    std: float
    """Standard deviation over the subsets, not of their mean; 0 if there is one subset."""
    subsets: int
    subset_size: int
    """Images of each sample in a subset; 0 if all images were compared, without subsets."""


def kernel_distance(
    a: Float[Tensor, "n d"], b: Float[Tensor, "m d"], *, subsets: int = 100, subset_size: int = 1000, seed: int = 0
) -> KernelDistance:
    """The unbiased squared MMD under the kernel (x·y/d + 1)³: "KID" (Bińkowski et al. 2018, section 4).

    Unlike that of the Fréchet distance, its expectation does not depend on the number of samples, so values at
    different numbers can be compared. It can be below zero for similar samples. Published values are sometimes
    multiplied by 1,000; these are not.

    Args:
        a: features of one sample.
        b: features of the other sample.
        subsets: how many random subsets are compared.
        subset_size: rows drawn from each sample without replacement. If a sample has no more rows than that, all rows
            of both are compared once instead, and ``subset_size`` of the result is 0.
        seed: of the random subsets.

    Raises:
        ValueError: fewer than two samples, or a feature is NaN or infinite.
    """
    if min(len(a), len(b)) < 2 or subset_size < 2 or subsets < 1:
        raise ValueError("the kernel distance needs at least two rows of each sample, and at least one subset")
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
    # Pairs of an image with itself would bias the estimate.
    within_a = (_kernel_sum(a, a) - _self_kernels(a)) / (n * (n - 1))
    within_b = (_kernel_sum(b, b) - _self_kernels(b)) / (m * (m - 1))
    return float(within_a + within_b - 2 * _kernel_sum(a, b) / (n * m))


def _kernel_sum(a: Float64[Tensor, "n d"], b: Float64[Tensor, "m d"]) -> Tensor:
    total = a.new_zeros(())
    for start in range(0, len(a), 1024):
        product = a[start : start + 1024] @ b.T
        # Two multiplications: pow is many times slower.
        product.div_(a.shape[1]).add_(1)
        total += (product * product).mul_(product).sum()
    return total


def _self_kernels(a: Float64[Tensor, "n d"]) -> Tensor:
    return (a.square().sum(1) / a.shape[1] + 1).pow(3).sum()
