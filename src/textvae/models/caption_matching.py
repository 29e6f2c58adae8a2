"""CaptionMatching: a contrastive loss between latents and caption embeddings of a flow prior, for training only."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from textvae.models.layers import WholeBatch
from textvae.models.losses import contrastive_loss, scaled_similarities, without_equal_captions
from textvae.priors import FlowPrior


class CaptionMatching(nn.Module):
    """Matches each caption of a batch with its own latent, by the loss of CLIP (Radford et al. 2021, figure 3).

    By its own loss a flow learns late to follow captions: at most times the noisy latent says more about the image than
    the caption does. Here the caption alone must identify its latent in the batch. A caption is represented by the
    embedding that the flow adds in every layer, so the flow can use what is learned; a latent by a small network that
    exists in training only. docs/experiment_log.md has the figures.
    """

    def __init__(self, latent_channels: int, width: int) -> None:
        """``width``: features of the caption embeddings that latents are compared with."""
        super().__init__()
        convolutions: list[nn.Module] = []
        for channels in (latent_channels, width, width):
            convolutions += [nn.Conv2d(channels, width, 3, stride=2, padding=1), nn.SiLU()]
        self.of_latent = nn.Sequential(
            *convolutions, nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(4 * width, width)
        )
        self.log_scale = nn.Parameter(torch.tensor(10.0).log())
        self.whole_batch = WholeBatch()

    def forward(self, prior: FlowPrior, latent: Float[Tensor, "n c h w"], condition: Tensor) -> Float[Tensor, ""]:
        """Cross-entropy of each latent's caption among those of the batch, and of each caption's latent, in nats.

        Args:
            prior: the flow prior whose caption embeddings are trained.
            latent: latents, not standardised.
            condition: the condition of each latent.
        """
        whole, (embedding, _, _) = self.whole_batch, prior.velocity.read(prior.features(condition))
        said = whole(F.normalize(embedding.float(), dim=1))
        shown = whole(F.normalize(self.of_latent(prior.standardise(latent)).float(), dim=1))
        similarity = scaled_similarities(said, shown, self.log_scale)
        return contrastive_loss(without_equal_captions(similarity, whole(condition)))
