"""Drawing in steps: the grid of filters, the chain of Gaussians, and that a caption decides what is drawn."""

import pytest
import torch
from helpers.keyed import draws

from textvae.models.caption_draw import CaptionDraw
from textvae.models.distributions import Posterior
from textvae.utils.random import Draws

SMALL = CaptionDraw.Config(
    num_tokens=5, image_size=12, steps=3, read_size=4, write_size=4, embedding_dim=4, words_hidden=4, hidden=16,
    latent_dim=2,
)  # fmt: skip
WORDS = torch.tensor([[1, 2, 0], [3, 0, 0], [0, 0, 0], [1, 2, 4]])


def small() -> CaptionDraw:
    torch.manual_seed(0)
    return SMALL.build()


def window(model: CaptionDraw, across: float = 0.0, down: float = 0.0, zoom: float = 0.0, size: int = 4):
    return model._filters(torch.tensor([[across, down, 0.0, zoom, 0.0]]), size)


def test_the_grid_covers_the_image_at_first_and_moves_and_shrinks() -> None:
    model = small()
    places = torch.arange(12.0)
    rows, columns, factor = window(model)
    assert rows.shape == (1, 4, 12)
    torch.testing.assert_close(rows.sum(2), torch.ones(1, 4))
    assert factor.item() == 1
    centres = (rows * places).sum(2)[0]
    assert centres[0] < 2
    torch.testing.assert_close(centres.flip(0), 11 - centres)
    # Half as large, in the right upper corner.
    rows, columns, _ = window(model, across=0.5, down=-0.5, zoom=-0.7)
    down, across = ((filters * places).sum(2)[0] for filters in (rows, columns))
    assert down.mean() < 4
    assert across.mean() > 7
    assert across[-1] - across[0] < 0.75 * (centres[-1] - centres[0])


def test_the_posterior_is_a_chain_of_gaussians() -> None:
    model = small().eval()
    images = torch.rand(4, 1, 12, 12)
    posterior = model.posterior(images, WORDS)
    assert isinstance(posterior, Posterior)
    noise = torch.randn(4, 3, 2)
    with torch.no_grad():
        latent = posterior.sample(noise)
        chosen, found, canvas = model.inferred(images, WORDS, lambda step, one: one.sample(noise[:, step]))
        assert torch.equal(latent, chosen)
        torch.testing.assert_close(posterior.log_prob(latent), found.log_prob(latent))
        # What is inferred is drawn without the image.
        torch.testing.assert_close(model.decode(latent, WORDS).mean, canvas.sigmoid())
        # A later Gaussian depends on an earlier latent, an earlier one on no later latent.
        other = noise.clone()
        other[:, 1] += 1
        moved = posterior.sample(other)
    assert torch.equal(moved[:, 0], latent[:, 0])
    assert not torch.allclose(moved[:, 2], latent[:, 2])


def test_the_loss_is_the_negative_elbo() -> None:
    model = small()
    images = torch.rand(4, 1, 12, 12)
    loss = model.loss(images, WORDS, draws(4)).total.item()
    weights = model.log_weights(images, WORDS, 50, draws(4))
    assert loss == pytest.approx(-weights.mean().item(), abs=2.0)


def test_padding_and_the_empty_caption_change_nothing_else() -> None:
    model = small().eval()
    latent = torch.randn(4, 3, 2)
    with torch.no_grad():
        together = model.decode(latent, WORDS).mean
        alone = model.decode(latent[1:2], WORDS[1:2, :]).mean
    torch.testing.assert_close(together[1:2], alone)
    assert torch.isfinite(together).all()


@pytest.mark.slow
def test_captions_decide_where_something_is_drawn() -> None:
    model = small()
    images = torch.zeros(8, 1, 12, 12)
    images[:4, :, :5, :5], images[4:, :, 7:, 7:] = 1, 1
    words = torch.tensor([[1, 2, 0]] * 4 + [[3, 4, 2]] * 4)
    optimizer = torch.optim.Adam(model.parameters(), 5e-3)
    for step in range(250):
        optimizer.zero_grad()
        model.loss(images, words, Draws(0, step, torch.arange(8))).total.backward()
        optimizer.step()
    drawn = model.eval().sample(words, torch.randn(8, 3, 2))
    assert (drawn - images).abs().mean() < 0.15
