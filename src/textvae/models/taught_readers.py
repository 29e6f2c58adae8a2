"""Caption encoders with a loss of their own, for models whose loss would not teach them to read."""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor, nn

from textvae.models.caption_encoders import AngleSumEncoder, RecurrentEncoder, SlotEncoder
from textvae.models.layers import WholeBatch
from textvae.models.losses import contrastive_loss, scaled_similarities, without_equal_captions
from textvae.models.tree_encoder import TreeEncoder
from textvae.utils.random import Draws


class TaughtReader(nn.Module):
    """A caption encoder that only the loss ``auxiliary_loss`` of its subclass trains."""

    def __init__(self, reader: RecurrentEncoder | AngleSumEncoder | SlotEncoder | TreeEncoder) -> None:
        super().__init__()
        self.reader = reader
        self.num_features = reader.num_features

    @torch.no_grad()
    def forward(self, tokens: Int64[Tensor, "n length"]) -> Float[Tensor, "n *features"]:
        """Features of each caption, or of each of its slots, without a gradient."""
        features: Tensor = self.reader(tokens)
        return features


class AuxiliaryEncoder(TaughtReader):
    """A caption encoder that is trained by an auxiliary loss: predicting the image from the caption alone.

    The ELBO does not train it: next to a latent that encodes the image, the caption improves the ELBO too little to be
    learned (docs/experiment_log.md has the figures).
    """

    def __init__(self, reader: RecurrentEncoder | AngleSumEncoder, num_pixels: int) -> None:
        super().__init__(reader)
        self.drawing = nn.Linear(reader.num_features, num_pixels)

    def auxiliary_loss(
        self, tokens: Int64[Tensor, "n length"], images: Float[Tensor, "n c h w"], draws: Draws
    ) -> Float[Tensor, ""]:
        """Cross-entropy of the images given nothing but their captions, in nats per image."""
        features = (
            self.reader(tokens, draws.normal(1)) if isinstance(self.reader, AngleSumEncoder) else self.reader(tokens)
        )
        logits = self.drawing(features)
        return F.binary_cross_entropy_with_logits(logits, images.flatten(1), reduction="sum") / len(images)


class ContrastiveEncoder(TaughtReader):
    """A slot encoder that is trained by a contrastive loss between captions and images (Radford et al. 2021).

    Each slot is matched with the glimpse of its own object; matched with whole images, one slot attended to both
    digits. Predicting pixels, as ``AuxiliaryEncoder`` does, trains too little where objects may be anywhere.
    docs/experiment_log.md has the figures.
    """

    def __init__(self, reader: SlotEncoder, glimpse_size: int, channels: int = 16, width: int = 64) -> None:
        """Has an image encoder of its own, since the gradient of the ELBO is a hundred times as large and would
        dominate a shared one. ``glimpse_size`` is in pixels, a multiple of 4.
        """
        super().__init__(reader)
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
        self.whole_batch = WholeBatch()

    def auxiliary_loss(
        self,
        tokens: Int64[Tensor, "n length"],
        glimpses: Float[Tensor, "n slots h w"],
        places: Float[Tensor, "n slots 2"],
    ) -> Float[Tensor, ""]:
        """Cross-entropy of an image's caption among those of the batch, and of a caption's image, in nats.

        The similarity of image and caption is the sum over slots of the similarity of glimpse and words.
        """
        seen = self.eyes(glimpses.flatten(0, 1).unsqueeze(1)).unflatten(0, glimpses.shape[:2])
        shown = self.whole_batch(F.normalize(self.of_glimpse(torch.cat([seen, places], dim=2)), dim=2))
        said = self.whole_batch(F.normalize(self.of_words(self.reader(tokens)), dim=2))
        similarity = scaled_similarities(said, shown, self.log_scale)
        return contrastive_loss(without_equal_captions(similarity, self.whole_batch(tokens)))


class MatchedEncoder(TaughtReader):
    """A caption encoder that is trained by matching captions with latents, by CLIP's loss (Radford et al. 2021).

    The loss of the flow does not train it: in most of its steps the noisy latent tells more about the image than the
    caption does. docs/experiment_log.md has the figures.
    """

    def __init__(
        self, reader: TreeEncoder, latent_dim: int, parts: int = 1, width: int = 64, hidden: int = 256
    ) -> None:
        """``parts``: number of equal parts of a latent, all read by the same network."""
        super().__init__(reader)
        self.of_words = nn.Sequential(nn.Linear(reader.num_features, hidden), nn.SiLU(), nn.Linear(hidden, width))
        self.of_latent = nn.Sequential(
            nn.Unflatten(1, (parts, latent_dim // parts)),
            nn.Linear(latent_dim // parts, hidden),
            nn.SiLU(),
            nn.Linear(hidden, hidden),
            nn.SiLU(),
            nn.Linear(hidden, width // parts),
            nn.Flatten(),
        )
        self.log_scale = nn.Parameter(torch.tensor(10.0).log())
        self.whole_batch = WholeBatch()

    def auxiliary_loss(
        self, tokens: Int64[Tensor, "n length"], latents: Float[Tensor, "n latent"]
    ) -> Float[Tensor, ""]:
        """Cross-entropy of a latent's caption among those of the batch, and of a caption's latent, in nats."""
        said = self.whole_batch(F.normalize(self.of_words(self.reader(tokens)), dim=1))
        shown = self.whole_batch(F.normalize(self.of_latent(latents), dim=1))
        return contrastive_loss(scaled_similarities(said, shown, self.log_scale))
