"""Pairs of an image and the caption of another one, by which chance levels are measured."""

import torch
from jaxtyping import Int64
from torch import Tensor


def partners(count: int) -> Int64[Tensor, "n"]:
    """For each of so many images, the index of the one whose caption it gets when a chance level is measured."""
    return torch.arange(count).roll(count // 2)
