import pytest
import torch
from torch import nn

from textvae.data.captioned_images import CaptionedImages
from textvae.models import spatial_vae
from textvae.models.base import Trainable
from textvae.models.caption_prior import CaptionPrior
from textvae.models.caption_rnn import CaptionRNN
from textvae.models.caption_rnn_code import CaptionRNNCode
from textvae.models.caption_slots import CaptionSlots
from textvae.models.classifier import Classifier
from textvae.models.clip_dual import ClipDual
from textvae.models.clip_grid import ClipGrid
from textvae.models.clip_latent import ClipLatent
from textvae.models.dual_encoder import DualEncoder
from textvae.models.label_conv import LabelConv
from textvae.models.label_dense import LabelDense
from textvae.models.onehot_dense import OneHotDense
from textvae.models.spatial_vae import SpatialVAE
from textvae.models.with_flow import FlowConfig, FlowMatching
from textvae.priors import FlowPrior
from textvae.training.config import TrainerConfig
from textvae.training.loop import CaptionedLatents, Training
from textvae.utils.random import Draws

N = 9
LABELS, TOKENS, VECTORS = torch.eye(10)[:N], torch.arange(3, 3 + 6 * N).view(N, 6) % 17 + 1, torch.eye(16)[:N]
GREY, COLOUR = (1, 28, 28), (3, 64, 64)


def matching(few_step: bool) -> FlowMatching:
    vae = SpatialVAE.Config(channels=(4, 4)).build()
    config = FlowConfig(FlowPrior.Config(width=16, depth=1, heads=2, word_dropout=0.5), "words", size=20)
    return FlowMatching(config.build(vae), few_step)


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
    "spatial_vae": (SpatialVAE.Config(num_tokens=20, perceptual=1.0).build, GREY, TOKENS),
    "classifier": (Classifier.Config(channels=(4, 4, 4), dropout=0.5).build, GREY, LABELS),
    "dual_encoder": (DualEncoder.Config(16, 24, 8).build, (24, 1, 1), VECTORS),
    "flow_matching": (lambda: matching(few_step=False), (8, 7, 7), TOKENS),
    "shortcut": (lambda: matching(few_step=True), (8, 7, 7), TOKENS),
}
CONTRASTIVE = {"caption_slots": {"loss", "reading"}, "dual_encoder": {"loss", "contrastive", "error_rate"}}
"""Terms that relate the images of a batch to one another."""


@pytest.fixture(autouse=True)
def distance_of_pixels(monkeypatch):
    """In place of the perceptual distance, whose network is not installed everywhere."""
    monkeypatch.setattr(spatial_vae, "perceptual_distance", lambda a, b: (a - b).square().flatten(1).mean(1))


# The full-size networks of paper c take seconds a step.
NAMES = [pytest.param(name, marks=pytest.mark.slow) if name == "clip_dual" else name for name in FAMILIES]


def given(name: str) -> tuple[Trainable, torch.Tensor, torch.Tensor]:
    """A family in training, its batch normalisation by the running statistics, and a batch."""
    build, shape, conditions = FAMILIES[name]
    torch.manual_seed(0)
    model = build().train()
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.eval()
    return model, torch.rand(N, *shape), conditions


@pytest.mark.parametrize("name", NAMES)
def test_the_loss_of_a_batch_is_that_of_its_parts(name):
    model, images, conditions = given(name)
    index = torch.arange(100, 100 + N)

    def terms(part: slice | torch.Tensor, step: int = 5) -> dict[str, torch.Tensor]:
        loss = model.loss(images[part], conditions[part], Draws(7, step, index[part]))
        return {"loss": loss.total.detach(), **loss.terms}

    with torch.no_grad():
        whole, first, second, backwards = (
            terms(slice(N)),
            terms(slice(4)),
            terms(slice(4, N)),
            terms(index.argsort().flip(0)),
        )
        later = terms(slice(N), step=6)
    for key in whole.keys() - CONTRASTIVE.get(name, set()):
        torch.testing.assert_close((4 * first[key] + (N - 4) * second[key]) / N, whole[key], msg=key)
        torch.testing.assert_close(backwards[key], whole[key], msg=key)
    assert not whole["loss"].equal(later["loss"])


@pytest.mark.parametrize("name", NAMES)
def test_a_training_step_takes_nothing_from_torch_s_generator(name, cpu):
    build, shape, conditions = FAMILIES[name]
    torch.manual_seed(0)
    images, ranges = torch.rand(N, *shape), torch.stack([torch.arange(N), torch.arange(N) + 1], dim=1)
    data = CaptionedLatents(images, ranges)
    if shape[0] in (1, 3):
        data = CaptionedImages("some", "train", (255 * images).byte(), tuple(str(i) for i in range(N)), ranges)
    config = TrainerConfig(epochs=2, batch_size=5, flip=True, validation_images=2, ema_decay=0.5)
    training = Training(build(), data, conditions, config, cpu)
    before = torch.get_rng_state()
    for _ in training.steps():
        training.validate()
    assert torch.get_rng_state().equal(before)
