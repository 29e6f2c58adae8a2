"""The VAE with one latent vector."""

import torch

from textvae.models.vector_vae import VectorVAE
from textvae.utils.random import Draws


def test_an_image_becomes_a_vector_and_back_whatever_the_condition():
    torch.manual_seed(0)
    model = VectorVAE.Config(image_size=20, channels=(2, 4), width=8, latent_dim=3).build().eval()
    images = torch.rand(5, 1, 20, 20)
    conditions = [torch.zeros(5, 4, dtype=torch.long), torch.ones(5, 4, dtype=torch.long)]
    posteriors = [model.posterior(images, condition) for condition in conditions]
    assert posteriors[0].mean.shape == (5, 3)
    assert torch.equal(posteriors[0].mean, posteriors[1].mean)
    drawn = [model.sample(condition, torch.ones(5, 3)) for condition in conditions]
    assert drawn[0].shape == images.shape
    assert torch.equal(drawn[0], drawn[1])


def test_it_learns_to_draw_two_pictures():
    torch.manual_seed(0)
    model = VectorVAE.Config(image_size=20, channels=(2, 4), width=16, latent_dim=2).build()
    images = torch.zeros(8, 1, 20, 20)
    images[::2, :, :10], images[1::2, :, 10:] = 1, 1
    condition = torch.zeros(8, 4, dtype=torch.long)
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    for step in range(100):
        optimizer.zero_grad()
        model.loss(images, condition, Draws(0, step, torch.arange(8))).total.backward()
        optimizer.step()
    assert (model.reconstruct(images, condition) - images).abs().mean() < 0.1
