"""Priors p(z|c), one file each. A prior knows latents and conditions, not images."""

from textvae.priors.flow.prior import FlowPrior
from textvae.priors.gaussian import LearnedGaussian
from textvae.priors.options import Sampling
from textvae.priors.standard import StandardNormal

__all__ = ["FlowPrior", "LearnedGaussian", "Sampling", "StandardNormal"]
