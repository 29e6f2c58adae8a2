"""Priors p(z|c), one file each. A prior knows latents and conditions, not images."""

from textvae.priors.flow.prior import FlowPrior
from textvae.priors.gaussian import LearnedGaussian, StandardNormal
from textvae.priors.options import SamplingOptions

__all__ = ["FlowPrior", "LearnedGaussian", "SamplingOptions", "StandardNormal"]
