"""The VAE of two halves."""

import torch

from textvae.models.halves_vae import HalvesVAE
from textvae.utils.random import Draws

SMALL = HalvesVAE.Config(image_size=8, hidden=16, latent_dim=2)


def test_each_half_has_its_part_of_the_latent_whatever_the_condition():
    torch.manual_seed(0)
    model = SMALL.build().eval()
    images = torch.rand(5, 1, 8, 8)
    condition = torch.zeros(5, 4, dtype=torch.long)
    mean = model.posterior(images, condition).mean
    assert mean.shape == (5, 4)
    assert torch.equal(mean, model.posterior(images, condition + 1).mean)
    # Exchanged halves have exchanged latents.
    exchanged = model.posterior(images.roll(4, 3), condition).mean
    torch.testing.assert_close(exchanged, mean.roll(2, 1))
    drawn = model.decode(mean, condition).mean
    torch.testing.assert_close(model.decode(mean.roll(2, 1), condition).mean, drawn.roll(4, 3))
    other = mean.clone()
    other[:, :2] += 1
    changed = (model.decode(other, condition).mean != drawn).any(2)[:, 0]
    assert changed[:, :4].all()
    assert not changed[:, 4:].any()


def test_it_learns_to_draw_what_it_saw_in_either_half():
    torch.manual_seed(0)
    model = SMALL.build()
    images = torch.zeros(8, 1, 8, 8)
    images[::2, :, :4, :4], images[1::2, :, 4:, :4] = 1, 1
    condition = torch.zeros(8, 4, dtype=torch.long)
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    for step in range(150):
        optimizer.zero_grad()
        model.loss(images, condition, Draws(0, step, torch.arange(8))).total.backward()
        optimizer.step()
    moved = images.roll(4, 3)
    assert (model.reconstruct(moved, condition) - moved).abs().mean() < 0.1
