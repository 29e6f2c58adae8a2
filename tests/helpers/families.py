"""A small model of every family, with the shape of its images and conditions."""

import torch

from textvae.models.caption_draw import CaptionDraw
from textvae.models.caption_prior import CaptionPrior
from textvae.models.caption_rnn import CaptionRNN
from textvae.models.caption_rnn_code import CaptionRNNCode
from textvae.models.caption_slots import CaptionSlots
from textvae.models.captioner import Captioner
from textvae.models.classifier import Classifier
from textvae.models.clip_dual import ClipDual
from textvae.models.clip_grid import ClipGrid
from textvae.models.clip_latent import ClipLatent
from textvae.models.dual_encoder import DualEncoder
from textvae.models.flow_matching import FlowMatching
from textvae.models.halves_vae import HalvesVAE
from textvae.models.label_conv import LabelConv
from textvae.models.label_dense import LabelDense
from textvae.models.onehot_dense import OneHotDense
from textvae.models.spatial_vae import SpatialVAE
from textvae.models.with_flow import FlowConfig
from textvae.priors import FlowPrior

N = 9
LABELS, TOKENS, VECTORS = torch.eye(10)[:N], torch.arange(3, 3 + 6 * N).view(N, 6) % 17 + 1, torch.eye(16)[:N]
GREY, COLOUR = (1, 28, 28), (3, 64, 64)


def matching(few_step: bool, contrastive: float = 0.0, autoguidance: float = 1.0, **settings: float) -> FlowMatching:
    vae = SpatialVAE.Config(channels=(4, 4)).build()
    config = FlowConfig(FlowPrior.Config(width=16, depth=1, heads=2, word_dropout=0.5, **settings), "words", size=20)
    return FlowMatching(config.build(vae), few_step, "guidance_input" in settings, contrastive, autoguidance)


FAMILIES = {
    "onehot_dense": (OneHotDense.Config().build, GREY, LABELS),
    "label_dense": (LabelDense.Config().build, GREY, LABELS),
    "label_conv": (LabelConv.Config().build, GREY, LABELS),
    "clip_grid": (ClipGrid.Config(32, 16).build, (3, 32, 32), VECTORS),
    "clip_latent": (ClipLatent.Config(64, 16, width=4).build, COLOUR, VECTORS),
    "clip_dual": (ClipDual.Config(64, 16, 8, dropout=0.5, condition_noise=0.5).build, COLOUR, VECTORS),
    "caption_rnn": (CaptionRNN.Config().build, GREY, TOKENS),
    "caption_rnn_correlated": (CaptionRNN.Config(correlated=True).build, GREY, TOKENS),
    "caption_rnn_code": (CaptionRNNCode.Config(20).build, GREY, TOKENS),
    "caption_prior": (CaptionPrior.Config(reader="dial").build, GREY, TOKENS),
    "caption_slots": (CaptionSlots.Config().build, (1, 60, 60), TOKENS),
    "caption_draw": (CaptionDraw.Config(steps=2).build, (1, 60, 60), TOKENS),
    "halves_vae": (HalvesVAE.Config().build, (1, 60, 60), TOKENS),
    "spatial_vae": (SpatialVAE.Config(num_tokens=20, perceptual=1.0).build, GREY, TOKENS),
    "classifier": (Classifier.Config(channels=(4, 4, 4), dropout=0.5).build, GREY, LABELS),
    "captioner": (Captioner.Config(20, 24, width=8).build, (24, 1, 1), TOKENS),
    "dual_encoder": (DualEncoder.Config(16, 24, 8).build, (24, 1, 1), VECTORS),
    "flow_matching": (lambda: matching(few_step=False), (8, 7, 7), TOKENS),
    "contrastive_flow": (lambda: matching(few_step=False, contrastive=0.1), (8, 7, 7), TOKENS),
    "guidance_input": (lambda: matching(few_step=False, guidance_input=4.0), (8, 7, 7), TOKENS),
    "autoguidance": (lambda: matching(few_step=False, guidance_input=4.0, autoguidance=1.5), (8, 7, 7), TOKENS),
    "shortcut": (lambda: matching(few_step=True), (8, 7, 7), TOKENS),
}
