import pytest
import torch
from helpers.families import FAMILIES, N
from torch import nn

from textvae.data.captioned_images import CaptionedImages
from textvae.models import spatial_vae
from textvae.models.base import Trainable
from textvae.training.config import TrainerConfig
from textvae.training.loop import Training
from textvae.training.rows import CaptionedLatents
from textvae.utils.random import Draws

CONTRASTIVE = {
    "caption_slots": {"loss", "reading"},
    "dual_encoder": {"loss", "contrastive", "error_rate"},
    "contrastive_flow": {"loss", "contrastive"},
}
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
        alone = [terms(slice(row, row + 1)) for row in range(N)]
    assert not whole["loss"].equal(later["loss"])
    for key in whole.keys() - CONTRASTIVE.get(name, set()):
        torch.testing.assert_close(torch.stack([one[key] for one in alone]).mean(0), whole[key], msg=key)


@pytest.mark.parametrize("name", [name for name in FAMILIES if name not in ("clip_latent", "clip_dual")])
def test_a_batch_of_one_image_has_a_loss_and_gradients(name):
    model, images, conditions = given(name)
    for index in range(N):
        one = slice(index, index + 1)
        loss = model.loss(images[one], conditions[one], Draws(7, 0, torch.tensor([index])))
        loss.total.backward()
        assert loss.total.isfinite()


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
