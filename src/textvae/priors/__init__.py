"""Priors p(z|c), one file each. A prior knows latents and conditions, not images."""

from textvae.priors.gaussian import LearnedGaussian
from textvae.priors.standard import StandardNormal

__all__ = ["LearnedGaussian", "StandardNormal"]
