"""Priors p(z|c), one file each. A prior knows latents and conditions, not images."""

from textvae.priors.flow import FlowPrior
from textvae.priors.gaussian import LearnedGaussian
from textvae.priors.sampling import Sampling
from textvae.priors.standard import StandardNormal

__all__ = ["FlowPrior", "LearnedGaussian", "Sampling", "StandardNormal"]
