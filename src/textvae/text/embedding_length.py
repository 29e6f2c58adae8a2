"""The norm of pooled embeddings, which determines how strongly they condition a model."""

from typing import Literal

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

EmbeddingLength = Literal["unit", "raw", "sqrt"]
"""unit: 1. raw: as the encoder computes it before any scaling. sqrt: the square root of the number of dimensions, so
that the numbers have mean square 1, like those of a latent."""


def of_length(rows: Float[Tensor, "n d"], length: EmbeddingLength) -> Float[Tensor, "n d"]:
    """Vectors scaled to that length; rows of zeros stay zero."""
    if length == "raw":
        return rows
    unit = F.normalize(rows, dim=1)
    return unit * float(rows.shape[1]) ** 0.5 if length == "sqrt" else unit
