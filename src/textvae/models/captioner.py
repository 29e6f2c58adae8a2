"""A small network that writes captions of pictures, word by word, from their frozen features."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor, nn

from textvae.models.base import Trainable
from textvae.models.layers import Dropout
from textvae.models.losses import LossTerms
from textvae.utils.config import Share, Size
from textvae.utils.random import Draws


class Captioner(Trainable):
    """A GRU that receives the picture's features with each word and predicts the next word.

    Source: Vinyals et al., "Show and Tell: A Neural Image Caption Generator" (2015), with frozen features and a GRU.
    Token 0, the padding of a caption, stands for its beginning and its end.
    """

    @dataclass(frozen=True)
    class Config:
        """Sizes of a ``Captioner``."""

        num_tokens: Size = 2001
        """Rows of the word embedding; in training, the words of the vocabulary and one more."""
        image_features: Size = 1280
        """Dimensions of EfficientNet-Lite0's pooled features."""
        image_size: Size = 64
        """Side of the pictures whose features it is trained on; others are scaled to it."""
        width: Size = 192
        """Width of word embeddings and of the GRU."""
        dropout: Share = 0.4
        """Dropout rate of features and word embeddings in training."""

        def build(self) -> "Captioner":
            """The captioner with fresh weights."""
            return Captioner(self)

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.norm = nn.LayerNorm(config.image_features)
        self.picture = nn.Linear(config.image_features, config.width)
        self.embedding = nn.Embedding(config.num_tokens, config.width)
        self.recurrent = nn.GRU(2 * config.width, config.width, batch_first=True)
        self.next_word = nn.Linear(config.width, config.num_tokens)
        self.drop = Dropout(config.dropout)

    def loss(
        self, images: Float[Tensor, "n features 1 1"], condition: Int64[Tensor, "n length"], draws: Draws
    ) -> LossTerms:
        """Cross-entropy of each caption, its end included, in nats; ``wrong_words``: wrong predictions per caption.

        Args:
            images: features in the place of pixels (the data set NAME-features).
            condition: token ids of their captions.
            draws: random numbers of the dropout.
        """
        before = F.pad(condition[:, :-1], (1, 0))
        pictures = self._seen(images.flatten(1), draws)
        told = self.drop(self.embedding(before), draws)
        states, _ = self.recurrent(torch.cat([told, pictures[:, None].expand_as(told)], dim=2))
        counted = (condition != 0) | (before != 0)  # every word, and the padding after the last one
        counted[:, 0] = True
        # Half of the positions are padding, and predicting a word is most of the work.
        logits, words = self.next_word(self.drop(states, draws)[counted]).float(), condition[counted]
        caption = F.cross_entropy(logits, words, reduction="sum") / len(images)
        wrong = (logits.argmax(1) != words).sum() / len(images)
        return LossTerms(caption, {"caption": caption.detach(), "wrong_words": wrong})

    @torch.no_grad()
    def write(self, features: Float[Tensor, "n features"], length: int) -> Int64[Tensor, "n length"]:
        """The token ids of a caption for each picture, by greedy decoding; 0 after the end.

        Args:
            features: features of the pictures.
            length: maximum number of words.
        """
        pictures = self._seen(features, None)
        token = torch.zeros(len(features), dtype=torch.int64, device=features.device)
        going = torch.ones_like(token, dtype=torch.bool)
        state, written = None, []
        for _ in range(length):
            states, state = self.recurrent(torch.cat([self.embedding(token), pictures], dim=1)[:, None], state)
            token = self.next_word(states[:, 0]).argmax(1) * going
            going = going & (token != 0)
            written.append(token)
        return torch.stack(written, dim=1)

    def _seen(self, features: Float[Tensor, "n features"], draws: Draws | None) -> Float[Tensor, "n width"]:
        return torch.tanh(self.picture(self.drop(self.norm(features), draws)))
