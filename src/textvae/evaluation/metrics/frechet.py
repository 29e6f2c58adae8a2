"""The Fréchet distance between two samples of features."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Moments:
    """Mean and covariance of a sample of features: all that the Fréchet distance depends on."""

    mean: Float64[Tensor, "d"]
    covariance: Float64[Tensor, "d d"]
    """Unbiased (divided by count - 1)."""
    count: int
    """Number of images; the distance depends on it, so it is reported with every distance."""

    def __post_init__(self) -> None:
        """Checks for moments whose distance would be meaningless or NaN.

        Raises:
            ValueError: the count is below two, or a number is not finite.
        """
        if self.count < 2:
            raise ValueError(f"a covariance needs two samples or more, not {self.count}")
        if not (self.mean.isfinite().all() and self.covariance.isfinite().all()):
            raise ValueError("moments must be finite")


class MomentsAccumulator:
    """Computes moments in one pass over batches of features, in float64, on the device of the first batch.

    The scatter matrix is kept about the running mean and batches are merged as in Chan, Golub & LeVeque (1983). So
    features far from zero lose no digits, as they would in the mean of squares minus the square of the mean.
    """

    def __init__(self) -> None:
        self.count = 0

    def update(self, features: Float[Tensor, "n d"]) -> None:
        """Adds a batch.

        Raises:
            ValueError: a feature is NaN or infinite.
        """
        batch = _checked(features)
        if not len(batch):
            return
        mean = batch.mean(0)
        centred = batch - mean
        scatter = centred.T @ centred
        if self.count == 0:
            self._mean, self._scatter = mean, scatter
        else:
            total = self.count + len(batch)
            shift = mean - self._mean
            self._mean = self._mean + shift * (len(batch) / total)
            self._scatter += scatter
            self._scatter.addr_(shift, shift, alpha=self.count * len(batch) / total)
        self.count += len(batch)

    def moments(self) -> Moments:
        """The moments of all batches so far.

        Raises:
            ValueError: fewer than two samples.
        """
        if self.count < 2:
            raise ValueError(f"a covariance needs two samples or more, not {self.count}")
        return Moments(self._mean, self._scatter / (self.count - 1), self.count)


def moments_of(features: Float[Tensor, "n d"]) -> Moments:
    """The moments of a sample that fits in memory."""
    accumulator = MomentsAccumulator()
    accumulator.update(features)
    return accumulator.moments()


def frechet_distance(a: Moments, b: Moments) -> float:
    """|m1 - m2|² + tr(S1 + S2 - 2 (S1 S2)^½), in squared feature units: "FID" (Heusel et al. 2017, section 2).

    The matrix square root is never formed. Its trace is the sum of the singular values of AᵀB for any factors S1 = AAᵀ
    and S2 = BBᵀ; with a Cholesky factor, the sum of the square roots of the eigenvalues of AᵀS2A. The result is
    accurate to the last digits of float64 for covariances of full rank, and also for fewer samples than features,
    because the rank is then known.

    The distance is biased: it falls as the samples grow, by an amount that differs between models (Chong & Forsyth
    2020). Compare only distances at equal counts, and state the counts.

    Raises:
        ValueError: the two have different numbers of features.
    """
    if a.mean.shape != b.mean.shape:
        raise ValueError(f"{len(a.mean)} features can't be compared with {len(b.mean)}")
    shift = (a.mean - b.mean).square().sum()
    spread = a.covariance.trace() + b.covariance.trace() - 2 * _trace_of_root(a, b)
    return max(float(shift + spread), 0.0)


def frechet_from_features(a: Float[Tensor, "n d"], b: Float[Tensor, "m d"]) -> float:
    """``frechet_distance`` of two samples; if both have at most as many rows as features, without covariances.

    The trace of the root is then the sum of the singular values of the n x m matrix of centred inner products, over
    √((n-1)(m-1)).

    Raises:
        ValueError: fewer than two samples, or a feature is NaN or infinite.
    """
    if max(len(a), len(b)) > a.shape[1]:
        return frechet_distance(moments_of(a), moments_of(b))
    a, b = _checked(a), _checked(b)
    if min(len(a), len(b)) < 2:
        raise ValueError(f"a covariance needs two samples or more, not {min(len(a), len(b))}")
    shift = (a.mean(0) - b.mean(0)).square().sum()
    a, b = ((x - x.mean(0)) / (len(x) - 1) ** 0.5 for x in (a, b))
    spread = a.square().sum() + b.square().sum() - 2 * torch.linalg.svdvals(a @ b.T).sum()
    return max(float(shift + spread), 0.0)


def _trace_of_root(a: Moments, b: Moments) -> Tensor:
    """tr((S1 S2)^½)."""
    d = len(a.mean)
    if min(a.count, b.count) > d:
        for one, other in ((a.covariance, b.covariance), (b.covariance, a.covariance)):
            # No ridge: a Cholesky factorisation that succeeds is backward stable; if it fails, the code below is used.
            factor, failed = torch.linalg.cholesky_ex(one)
            if not failed:
                eigenvalues: Tensor = torch.linalg.eigvalsh(factor.T @ other @ factor)
                return eigenvalues.clamp_min(0).sqrt().sum()
    # Singular values, not eigenvalues of a product: with few samples there are hundreds of directions without variance,
    # and the square roots of the rounding errors of their eigenvalues would add up.
    singular_values: Tensor = torch.linalg.svdvals(_factor(a).T @ _factor(b))
    return singular_values.sum()


def _factor(moments: Moments) -> Float64[Tensor, "d rank"]:
    """A with S = AAᵀ, from the eigenvectors of the directions in which a sample of this size can vary."""
    rank = min(moments.count - 1, len(moments.mean))
    eigenvalues: Tensor
    eigenvectors: Tensor
    eigenvalues, eigenvectors = torch.linalg.eigh(moments.covariance)
    return eigenvectors[:, -rank:] * eigenvalues[-rank:].clamp_min(0).sqrt()


def _checked(features: Float[Tensor, "n d"]) -> Float64[Tensor, "n d"]:
    features = features.detach().double()
    if not features.isfinite().all():
        raise ValueError("features must be finite")
    return features
