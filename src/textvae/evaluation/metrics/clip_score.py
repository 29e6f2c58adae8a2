"""CLIP score: the mean cosine between images and their captions in CLIP's space."""

import torch
from jaxtyping import Float
from torch import Tensor

SCALE = 1.0
"""Hessel et al. multiply by 2.5; the values near 0.2 of paper a are plain cosines."""


def clip_score(images: Float[Tensor, "n d"], captions: Float[Tensor, "n d"]) -> float:
    """``SCALE`` times the cosine of each image embedding and its caption's, at least 0, averaged over pairs.

    Source: Hessel, Holtzman, Forbes, Le Bras and Choi, "CLIPScore" (2021), section 3.
    """
    cosines = torch.nn.functional.cosine_similarity(images.double(), captions.double(), dim=1)
    return SCALE * float(cosines.clamp_min(0).mean())
