"""Token ids to features: how a model that learns to read does it."""

import math
from typing import Literal

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from textvae.utils.random import Draws

Reader = Literal["rnn", "gru", "lstm", "dial"]


class RecurrentEncoder(nn.Module):
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


class AngleSumEncoder(nn.Module):
    """Words two by two: each pair turns a dial by some angle, and only where the hand ends up is read.

    "<start> nine minus two plus one <end>" is (<start> nine), (minus two), (plus one), (<end>): a convolution over the
    words with a stride of two, summed over places. What a number adds depends on the operator before it alone, and a
    sum does not care how many there are. A recurrent network that has seen two numbers at a time has no reason to
    treat a third like the second; this reader can't do otherwise.

    Why one angle and not a vector, measured with a classifier in the decoder's place, trained on the captions of two
    numbers (all read right in every case) and tested on three to six whose intermediate results are digits | are not:
    a sum of 8 dimensions 0.19 | 0.13, as many corners to keep each caption apart; of 2, 0.3 | 0.3; of 1, 0.98 | 0.86,
    nine at the open end of the line, where "zero plus nine" may add anything large enough; an angle 1.00 | 1.00 in four
    of four seeds. On a dial every digit has neighbours on both sides, and the noise on the angle in lessons pushes
    them to equal distances.
    """

    def __init__(self, num_tokens: int, embedding_dim: int, hidden: int, noise: float) -> None:
        """``noise`` is the standard deviation in radians; ten digits are 0.63 apart."""
        super().__init__()
        self.embedding = nn.Embedding(num_tokens, embedding_dim, padding_idx=0)
        self.turn = nn.Sequential(nn.Linear(2 * embedding_dim, hidden), nn.SiLU(), nn.Linear(hidden, 1))
        self.read_out = nn.Sequential(nn.Linear(2, hidden), nn.SiLU(), nn.Linear(hidden, hidden), nn.SiLU())
        # torch's default shrinks the signal at every layer; four layers on, all captions would look the same.
        for layer in (*self.turn, *self.read_out):
            if isinstance(layer, nn.Linear):
                nn.init.kaiming_normal_(layer.weight)
                nn.init.zeros_(layer.bias)
        self.noise = noise
        self.num_features = hidden

    def forward(
        self, tokens: Int64[Tensor, "n length"], noise: Float[Tensor, "n 1"] | None = None
    ) -> Float[Tensor, "n features"]:
        """Features of each caption; pairs of padding turn nothing. ``noise``, standard normal, is for training."""
        tokens = nn.functional.pad(tokens, (0, tokens.shape[1] % 2))
        pairs = self.embedding(tokens).unflatten(1, (-1, 2)).flatten(2)
        read = (tokens[:, ::2] != 0).unsqueeze(2)
        angle = (self.turn(pairs) * read).sum(1)
        if noise is not None:
            angle = angle + self.noise * noise
        # Where nothing was said, the dial has no hand.
        hand = torch.cat([angle.cos(), angle.sin()], dim=1) * read.any(1)
        features: Tensor = self.read_out(hand)
        return features


class SlotEncoder(nn.Module):
    """What is said of each of several things: for each slot, the few words that a query of its own looks up.

    Where to look is decided by a recurrent network that has read the whole caption; what is found there is the bare
    word. So a slot knows its own digit and place and nothing of the other digit, and a pair that was never seen is two
    slots that were. (Slots that looked up the network's states instead read 0.91 of the pairs that were trained on and
    0.62 of those that were not: a state remembers the other digit.)
    """

    def __init__(self, num_tokens: int, embedding_dim: int, slots: int, looks: int, hidden: int) -> None:
        """``looks`` is the number of words that each slot looks up."""
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
        """Features of each slot; captions are padded to one length."""
        words = self.embedding(tokens)
        states, _ = self.recurrent(words)
        scores = torch.einsum("nlw,skw->nskl", states, self.queries)
        # A caption of nothing but padding looks up zeros wherever it looks.
        said = (tokens != 0) | (tokens == 0).all(1, keepdim=True)
        weights = scores.masked_fill(~said[:, None, None], -torch.inf).softmax(dim=3)
        found = torch.einsum("nskl,nle->nske", weights, words).flatten(2)
        features: Tensor = self.read_out(torch.cat([found, self.number.expand(len(found), -1, -1)], dim=2))
        return features


class AuxiliaryEncoder(nn.Module):
    """A reader with lessons of its own: it learns from drawing, straight from the caption, what its images look like.

    The variational model uses its features without teaching it. Measured with the model as the teacher: beside a latent
    that has seen the image, a caption hardly pays, and after ten epochs of arithmetic 0.44 of the training captions
    were read right; by lessons alone all of them after four (the loss of a lesson sees nothing but the caption).
    """

    def __init__(self, reader: RecurrentEncoder | AngleSumEncoder, num_pixels: int) -> None:
        super().__init__()
        self.reader = reader
        self.num_features = reader.num_features
        self.drawing = nn.Linear(reader.num_features, num_pixels)

    @torch.no_grad()
    def forward(self, tokens: Int64[Tensor, "n length"]) -> Float[Tensor, "n features"]:
        """Features of each caption, through which no gradient flows."""
        features: Tensor = self.reader(tokens)
        return features

    def auxiliary_loss(
        self, tokens: Int64[Tensor, "n length"], images: Float[Tensor, "n c h w"], draws: Draws
    ) -> Float[Tensor, ""]:
        """Cross-entropy of the images given nothing but their captions, in nats per image."""
        features = (
            self.reader(tokens, draws.normal(1)) if isinstance(self.reader, AngleSumEncoder) else self.reader(tokens)
        )
        logits = self.drawing(features)
        return nn.functional.binary_cross_entropy_with_logits(logits, images.flatten(1), reduction="sum") / len(images)


class ContrastiveEncoder(nn.Module):
    """A reader of slots that learns by telling which of a batch's images a caption belongs to (Radford et al. 2021).

    Each slot is matched with a glimpse of its own thing. Matched with whole images, one slot looked up both digits, the
    other neither: together they said it all, and half of every scene was drawn without regard to the caption.

    Drawing teaches too little where a thing may stand anywhere: smeared over all its places, a three is hardly another
    picture than a five. Measured on scenes of two digits, in 1,500 steps of 64: 0.6 of the trained pairs were read
    right and 0.3 of those never seen, even with the places of the words given; matching had read as many images of
    unseen pairs by then, and its loss fell on.
    """

    def __init__(self, reader: SlotEncoder, glimpse_size: int, channels: int = 16, width: int = 64) -> None:
        """Lessons have eyes of their own: in a shared encoder the gradient of the ELBO, some hundred times as large,
        leaves Adam nothing of theirs. ``glimpse_size`` is in pixels, a multiple of 4.
        """
        super().__init__()
        self.reader = reader
        self.num_features = reader.num_features
        self.eyes = nn.Sequential(
            nn.Conv2d(1, channels, 4, stride=2, padding=1),
            nn.SiLU(),
            nn.Conv2d(channels, 2 * channels, 4, stride=2, padding=1),
            nn.SiLU(),
            nn.Flatten(),
            nn.Linear(2 * channels * (glimpse_size // 4) ** 2, 128),
            nn.SiLU(),
        )
        self.of_glimpse = nn.Sequential(nn.Linear(128 + 2, 128), nn.SiLU(), nn.Linear(128, width))
        self.of_words = nn.Linear(reader.num_features, width)
        self.log_scale = nn.Parameter(torch.tensor(10.0).log())

    @torch.no_grad()
    def forward(self, tokens: Int64[Tensor, "n length"]) -> Float[Tensor, "n slots features"]:
        """Features of each slot, through which no gradient flows."""
        features: Tensor = self.reader(tokens)
        return features

    def auxiliary_loss(
        self,
        tokens: Int64[Tensor, "n length"],
        glimpses: Float[Tensor, "n slots h w"],
        places: Float[Tensor, "n slots 2"],
    ) -> Float[Tensor, ""]:
        """Cross-entropy of the right caption among the batch's, and of the right image, in nats.

        An image and a caption are as alike as, summed over slots, a slot's glimpse (and its place) and words are.
        """
        seen = self.eyes(glimpses.flatten(0, 1).unsqueeze(1)).unflatten(0, glimpses.shape[:2])
        shown = nn.functional.normalize(self.of_glimpse(torch.cat([seen, places], dim=2)), dim=2)
        said = nn.functional.normalize(self.of_words(self.reader(tokens)), dim=2)
        similarity = self.log_scale.exp() * torch.einsum("nsw,msw->nm", said, shown)
        # An image with the very same words is no counterexample.
        same = (tokens[:, None] == tokens[None]).all(2)
        same.fill_diagonal_(False)
        similarity = similarity.masked_fill(same, -torch.inf)
        right = torch.arange(len(tokens), device=tokens.device)
        return (nn.functional.cross_entropy(similarity, right) + nn.functional.cross_entropy(similarity.T, right)) / 2


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
        # An exported graph reads what it is given: its caller trims.
        if not self.training and not torch.compiler.is_exporting():
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
