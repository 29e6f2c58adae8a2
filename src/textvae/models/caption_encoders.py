"""Caption encoders: networks from token ids to features, trained together with a model."""

import math
from typing import Literal

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

Reader = Literal["rnn", "gru", "lstm", "dial"]


class RecurrentEncoder(nn.Module):
    """A recurrent network over word embeddings: its last state, or attention over its states.

    Source: paper d, section 3.2 (fixed embeddings of dimension 5, a unidirectional GRU); attention to the words is
    named as future work in section 5 (Mansimov et al. 2016).
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
        """``attention_heads`` is the number of learned queries that attend to the words; 0 uses the last state."""
        super().__init__()
        self.embedding = nn.Embedding(num_tokens, embedding_dim, padding_idx=0)
        self.embedding.weight.requires_grad_(learned_embeddings)
        cell = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}[kind]
        self.recurrent = cell(embedding_dim, hidden, layers, batch_first=True, bidirectional=bidirectional)
        width = hidden * (2 if bidirectional else 1)
        self.queries = nn.Parameter(torch.randn(attention_heads, width) * width**-0.5) if attention_heads else None
        self.num_features = width * max(attention_heads, 1)

    def forward(self, tokens: Int64[Tensor, "n length"]) -> Float[Tensor, "n features"]:
        """Features of each caption, independent of its padding."""
        # An empty caption has the state after one padding token.
        lengths = (tokens != 0).sum(1).clamp_min(1)
        # Packed sequences are faster, but cannot be exported.
        read = unrolled if torch.compiler.is_exporting() else _packed
        words, state = read(self.recurrent, self.embedding(tokens), lengths)
        if self.queries is not None:
            scores = torch.einsum("nlw,hw->nhl", words, self.queries)
            padding = torch.arange(words.shape[1], device=words.device) >= lengths[:, None]
            weights = scores.masked_fill(padding[:, None], -torch.inf).softmax(dim=2)
            return torch.einsum("nhl,nlw->nhw", weights, words).flatten(1)
        return state


def _packed(network: nn.RNNBase, words: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """The states at each word, and the last state of each direction, of sequences of different lengths."""
    packed = nn.utils.rnn.pack_padded_sequence(words, lengths.cpu(), batch_first=True, enforce_sorted=False)
    states, last = network(packed)
    hidden = last[0] if isinstance(last, tuple) else last
    padded, _ = nn.utils.rnn.pad_packed_sequence(states, batch_first=True)
    return padded, hidden[-(2 if network.bidirectional else 1) :].transpose(0, 1).flatten(1)


def unrolled(
    network: nn.RNNBase, words: Float[Tensor, "n length features"], lengths: Int64[Tensor, "n"]
) -> tuple[Float[Tensor, "n length states"], Float[Tensor, "n states"]]:
    """A recurrent network word by word, without packed sequences: the states at each word, which are meaningless beyond
    a sequence's length, and the last state of each direction.

    Args:
        network: ``nn.RNN``, ``nn.GRU`` or ``nn.LSTM``.
        words: sequences, padded to a length that does not vary.
        lengths: of the sequences.
    """
    count = words.shape[1]
    said = [(lengths > number)[:, None] for number in range(count)]
    inputs = list(words.unbind(1))
    finals: list[Tensor] = []
    for layer in range(network.num_layers):
        directions: list[list[Tensor]] = []
        finals = []
        for suffix in ("", "_reverse") if network.bidirectional else ("",):
            names = ("weight_ih", "bias_ih", "weight_hh", "bias_hh")
            weights = [getattr(network, f"{name}_l{layer}{suffix}") for name in names]
            hidden = cell = words.new_zeros(words.shape[0], network.hidden_size)
            states = inputs.copy()
            for number in reversed(range(count)) if suffix else range(count):
                # Backwards, the state stays zero until the last word of a sequence.
                after, changed = _recurrent_step(network, inputs[number], hidden, cell, weights)
                hidden, cell = torch.where(said[number], after, hidden), torch.where(said[number], changed, cell)
                states[number] = hidden
            directions.append(states)
            finals.append(hidden)
        inputs = [torch.cat(parts, dim=1) for parts in zip(*directions, strict=True)]
    return torch.stack(inputs, dim=1), torch.cat(finals, dim=1)


def _recurrent_step(
    network: nn.RNNBase, word: Tensor, hidden: Tensor, cell: Tensor, weights: list[Tensor]
) -> tuple[Tensor, Tensor]:
    """The next hidden state and, of an LSTM, the next cell state, by the equations of torch's documentation."""
    from_word = nn.functional.linear(word, weights[0], weights[1])
    from_state = nn.functional.linear(hidden, weights[2], weights[3])
    if network.mode == "GRU":
        reset, update = (
            (a + b).sigmoid() for a, b in zip(from_word.chunk(3, 1)[:2], from_state.chunk(3, 1)[:2], strict=True)
        )
        new = (from_word.chunk(3, 1)[2] + reset * from_state.chunk(3, 1)[2]).tanh()
        return (1 - update) * new + update * hidden, cell
    if network.mode == "LSTM":
        enter, forget, new, leave = (from_word + from_state).chunk(4, 1)
        changed = forget.sigmoid() * cell + enter.sigmoid() * new.tanh()
        return leave.sigmoid() * changed.tanh(), changed
    return (from_word + from_state).tanh(), cell


class AngleSumEncoder(nn.Module):
    """Encodes a caption as a sum of angles, one per pair of words; features are computed from its cosine and sine.

    "<start> nine minus two plus one <end>" has the pairs (<start> nine), (minus two), (plus one), (<end>): a
    convolution over the words with a stride of two, summed over positions. The contribution of a number therefore
    depends only on its operator, and captions may have more numbers than in training. On a circle each digit has
    neighbours on both sides, and noise on the angle in training pushes them to equal distances. Vectors in place of the
    angle generalised worse; docs/experiment_log.md has the figures.
    """

    def __init__(self, num_tokens: int, embedding_dim: int, hidden: int, noise: float) -> None:
        """``noise`` is the standard deviation of the noise in radians; ten digits are 0.63 apart."""
        super().__init__()
        self.embedding = nn.Embedding(num_tokens, embedding_dim, padding_idx=0)
        self.turn = nn.Sequential(nn.Linear(2 * embedding_dim, hidden), nn.SiLU(), nn.Linear(hidden, 1))
        self.read_out = nn.Sequential(nn.Linear(2, hidden), nn.SiLU(), nn.Linear(hidden, hidden), nn.SiLU())
        # torch's default initialisation shrinks the signal at every layer, so that all captions would look the same.
        for layer in (*self.turn, *self.read_out):
            if isinstance(layer, nn.Linear):
                nn.init.kaiming_normal_(layer.weight)
                nn.init.zeros_(layer.bias)
        self.noise = noise
        self.num_features = hidden

    def forward(
        self, tokens: Int64[Tensor, "n length"], noise: Float[Tensor, "n 1"] | None = None
    ) -> Float[Tensor, "n features"]:
        """Features of each caption; pairs of padding add nothing. ``noise`` is standard normal noise for training."""
        tokens = nn.functional.pad(tokens, (0, tokens.shape[1] % 2))
        pairs = self.embedding(tokens).unflatten(1, (-1, 2)).flatten(2)
        read = (tokens[:, ::2] != 0).unsqueeze(2)
        angle = (self.turn(pairs) * read).sum(1)
        if noise is not None:
            angle = angle + self.noise * noise
        # An empty caption is the centre of the circle.
        point = torch.cat([angle.cos(), angle.sin()], dim=1) * read.any(1)
        features: Tensor = self.read_out(point)
        return features


class SlotEncoder(nn.Module):
    """Features of each of several objects: for each slot, the embeddings of a few words that it attends to.

    The attention is computed from the states of a recurrent network, but it averages the word embeddings, not the
    states. So a slot contains its own digit and position and nothing of the other digit, and pairs that never occur in
    training are encoded like others (docs/experiment_log.md has a comparison with attention to the states).
    """

    def __init__(self, num_tokens: int, embedding_dim: int, slots: int, looks: int, hidden: int) -> None:
        """``looks`` is the number of words that each slot attends to."""
        super().__init__()
        self.embedding = nn.Embedding(num_tokens, embedding_dim, padding_idx=0)
        self.recurrent = nn.GRU(embedding_dim, embedding_dim, batch_first=True, bidirectional=True)
        self.queries = nn.Parameter(torch.randn(slots, looks, 2 * embedding_dim) * embedding_dim**-0.5)
        self.number = nn.Parameter(torch.randn(slots, embedding_dim))
        self.read_out = nn.Sequential(
            nn.Linear((looks + 1) * embedding_dim, hidden), nn.SiLU(), nn.Linear(hidden, hidden), nn.SiLU()
        )
        self.num_features = hidden

    def forward(self, tokens: Int64[Tensor, "n length"]) -> Float[Tensor, "n slots features"]:
        """Features of each slot."""
        words = self.embedding(tokens)
        states, _ = self.recurrent(words)
        scores = torch.einsum("nlw,skw->nskl", states, self.queries)
        # An empty caption attends to its padding, whose embedding is zero.
        said = (tokens != 0) | (tokens == 0).all(1, keepdim=True)
        weights = scores.masked_fill(~said[:, None, None], -torch.inf).softmax(dim=3)
        found = torch.einsum("nskl,nle->nske", weights, words).flatten(2)
        features: Tensor = self.read_out(torch.cat([found, self.number.expand(len(found), -1, -1)], dim=2))
        return features


class WordTransformer(nn.Module):
    """A transformer encoder over word embeddings (Vaswani et al. 2017).

    Positions are encoded by sines and cosines, so that captions may be longer than those of training.
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
        """Features of each token, zeros for padding; in evaluation, cut to the length of the longest caption."""
        # An exported graph reads what it is given: its caller trims.
        if not self.training and not torch.compiler.is_exporting():
            tokens = tokens[:, : max(1, int((tokens != 0).sum(1).max()))]
        padding = tokens == 0
        # An empty caption has only padding to attend to; its output is set to zero below.
        silent = padding & ~padding.all(1, keepdim=True)
        x = self.embedding(tokens)
        mask = torch.zeros_like(silent, dtype=x.dtype).masked_fill(silent, -torch.inf)
        # The backward pass of torch's fused attention is slow on a CPU, in bf16 in particular.
        with sdpa_kernel(SDPBackend.MATH):
            read: Tensor = self.layers(x + _places(x), src_key_padding_mask=mask)
        return read * ~padding[:, :, None]


def _places(x: Tensor) -> Float[Tensor, "l width"]:
    length, width = x.shape[1:]
    rates = torch.exp(torch.arange(0, width, 2, device=x.device) * (-math.log(100.0) / width))
    angles = torch.arange(length, device=x.device)[:, None] * rates
    return 0.5 * torch.cat([angles.sin(), angles.cos()], dim=1)
