"""Random numbers for losses in tests."""

import torch

from textvae.utils.random import Draws


def draws(count: int, step: int = 0) -> Draws:
    """Those of the first images of a data set."""
    return Draws(0, step, torch.arange(count))
