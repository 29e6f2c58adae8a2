"""Token ids to a feature vector for each word, by a small transformer that is trained with what reads it."""

import math

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel


class WordTransformer(nn.Module):
    """Embeddings and places of the words, through layers of attention and two linear layers (Vaswani et al. 2017).

    Places are sines and cosines, so that a caption may be longer than any seen in training.
    """

    def __init__(self, num_tokens: int, width: int, layers: int = 2, heads: int = 4) -> None:
        super().__init__()
        self.embedding = nn.Embedding(num_tokens, width, padding_idx=0)
        nn.init.normal_(self.embedding.weight[1:], std=0.5)
        layer = nn.TransformerEncoderLayer(
            width, heads, 2 * width, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
        )
        self.layers = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)

    def forward(self, tokens: Int64[Tensor, "n l"]) -> Float[Tensor, "n words width"]:
        """Features of each token, zeros for the padding at the end of a caption; once trained, they are as many as the
        longest caption has.
        """
        if not self.training:
            tokens = tokens[:, : max(1, int((tokens != 0).sum(1).max()))]
        padding = tokens == 0
        # A caption of nothing but padding has nothing to attend to: it attends to its padding, and is zeroed below.
        silent = padding & ~padding.all(1, keepdim=True)
        x = self.embedding(tokens)
        mask = torch.zeros_like(silent, dtype=x.dtype).masked_fill(silent, -torch.inf)
        # torch's fused attention is slow backwards on a processor, in bf16 most of all.
        with sdpa_kernel(SDPBackend.MATH):
            read: Tensor = self.layers(x + _places(x), src_key_padding_mask=mask)
        return read * ~padding[:, :, None]


def _places(x: Tensor) -> Float[Tensor, "l width"]:
    length, width = x.shape[1:]
    rates = torch.exp(torch.arange(0, width, 2, device=x.device) * (-math.log(100.0) / width))
    angles = torch.arange(length, device=x.device)[:, None] * rates
    return 0.5 * torch.cat([angles.sin(), angles.cos()], dim=1)
