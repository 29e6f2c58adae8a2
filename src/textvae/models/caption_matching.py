"""CaptionMatching: a contrastive loss between latents and captions as a flow prior reads them; in training alone."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from textvae.models.layers import WholeBatch
from textvae.models.losses import contrastive_loss, scaled_similarities, without_equal_captions
from textvae.priors import FlowPrior


class CaptionMatching(nn.Module):
    """Matches each caption of a batch with its own latent, by the loss of CLIP (Radford et al. 2021, figure 3).

    The loss of a flow teaches the reading of captions late: in most of its steps the noisy latent tells more about the
    image than the caption does. Here the caption alone has to tell which of the batch's latents is its own. A caption
    is represented by the embedding that the flow adds in every layer, so that what is learned is there to be used; a
    latent by a small network, which only exists in training. docs/experiment_log.md has the figures.
    """

    def __init__(self, latent_channels: int, width: int) -> None:
        """``width``: features of the embedding of a caption, which the latents are compared with."""
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
        """Cross-entropy of a latent's caption among those of the batch, and of a caption's latent, in nats.

        Args:
            prior: the flow prior, whose reading of the captions is trained.
            latent: latents, not standardised.
            condition: the condition of each.
        """
        whole, (embedding, _, _) = self.whole_batch, prior.velocity.read(prior.features(condition))
        said = whole(F.normalize(embedding.float(), dim=1))
        shown = whole(F.normalize(self.of_latent(prior.standardise(latent)).float(), dim=1))
        similarity = scaled_similarities(said, shown, self.log_scale)
        return contrastive_loss(without_equal_captions(similarity, whole(condition)))
