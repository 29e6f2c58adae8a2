"""Token ids to features: how a model that learns to read does it."""

from typing import Literal

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

Reader = Literal["rnn", "gru", "lstm", "sum"]


class RecurrentReader(nn.Module):
    """Word embeddings through a recurrent network; its state after the last word, or attention over all of them.

    Source: paper d, section 3.2 (fixed embeddings of dimension 5, a unidirectional GRU); attention over the words is
    the future work of its section 5 (Mansimov et al. 2016).
    """

    def __init__(
        self,
        kind: Literal["rnn", "gru", "lstm"],
        num_tokens: int,
        embedding_dim: int,
        hidden: int,
        layers: int,
        bidirectional: bool,
        learned_embeddings: bool,
        attention_heads: int,
    ) -> None:
        """``attention_heads`` learned queries attend over the words; 0 takes the last state."""
        super().__init__()
        self.embedding = nn.Embedding(num_tokens, embedding_dim, padding_idx=0)
        self.embedding.weight.requires_grad_(learned_embeddings)
        cell = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}[kind]
        self.recurrent = cell(embedding_dim, hidden, layers, batch_first=True, bidirectional=bidirectional)
        width = hidden * (2 if bidirectional else 1)
        self.queries = nn.Parameter(torch.randn(attention_heads, width) * width**-0.5) if attention_heads else None
        self.num_features = width * max(attention_heads, 1)

    def forward(self, tokens: Int64[Tensor, "n length"]) -> Float[Tensor, "n features"]:
        """Features of each caption; padding is never read."""
        # A caption of nothing but padding still has a state: that of one padding token.
        lengths = (tokens != 0).sum(1).clamp_min(1)
        packed = nn.utils.rnn.pack_padded_sequence(
            self.embedding(tokens), lengths.cpu(), batch_first=True, enforce_sorted=False
        )
        states, last = self.recurrent(packed)
        if self.queries is not None:
            words, _ = nn.utils.rnn.pad_packed_sequence(states, batch_first=True)
            scores = torch.einsum("nlw,hw->nhl", words, self.queries)
            padding = torch.arange(words.shape[1], device=words.device) >= lengths[:, None]
            weights = scores.masked_fill(padding[:, None], -torch.inf).softmax(dim=2)
            return torch.einsum("nhl,nlw->nhw", weights, words).flatten(1)
        hidden = last[0] if isinstance(last, tuple) else last
        directions = 2 if self.recurrent.bidirectional else 1
        state: Tensor = hidden[-directions:].transpose(0, 1).flatten(1)
        return state


class SumReader(nn.Module):
    """Words two by two: each pair contributes a vector, and the caption is their sum.

    "<start> nine minus two plus one <end>" is (<start> nine), (minus two), (plus one), (<end>): a convolution over the
    words with a stride of two, summed over places. What a number adds depends on the operator before it alone, and a
    sum does not care how many there are. A recurrent network that has seen two numbers at a time has no reason to
    treat a third like the second; this reader can't do otherwise. (With overlapping pairs it can: what "two plus" adds
    is then learned of first numbers only, and wrong for middle ones.) A little noise on the sum while training makes
    the values keep a distance from each other that many errors, added up, do not bridge.
    """

    def __init__(self, num_tokens: int, embedding_dim: int, sum_dim: int, hidden: int, noise: float) -> None:
        super().__init__()
        self.embedding = nn.Embedding(num_tokens, embedding_dim, padding_idx=0)
        self.contribution = nn.Sequential(nn.Linear(2 * embedding_dim, hidden), nn.SiLU(), nn.Linear(hidden, sum_dim))
        self.read_out = nn.Sequential(nn.Linear(sum_dim, hidden), nn.SiLU(), nn.Linear(hidden, hidden), nn.SiLU())
        # torch's default shrinks the signal at every layer; four layers on, all captions would look the same.
        for layer in (*self.contribution, *self.read_out):
            if isinstance(layer, nn.Linear):
                nn.init.kaiming_normal_(layer.weight)
                nn.init.zeros_(layer.bias)
        self.noise = noise
        self.num_features = hidden

    def forward(self, tokens: Int64[Tensor, "n length"]) -> Float[Tensor, "n features"]:
        """Features of each caption; pairs of padding contribute nothing."""
        tokens = nn.functional.pad(tokens, (0, tokens.shape[1] % 2))
        pairs = self.embedding(tokens).unflatten(1, (-1, 2)).flatten(2)
        read = (tokens[:, ::2] != 0).unsqueeze(2)
        total = (self.contribution(pairs) * read).sum(1)
        if self.training:
            total = total + self.noise * torch.randn_like(total)
        features: Tensor = self.read_out(total)
        return features
