"""The contrastive loss between captions and latents, and how it is part of a flow's training."""

import math

import pytest
import torch

from textvae.experiment.stages import Stage
from textvae.models.caption_matching import CaptionMatching
from textvae.models.flow_matching import FlowMatching
from textvae.models.losses import scaled_similarities
from textvae.models.spatial_vae import SpatialVAE
from textvae.models.with_flow import FlowConfig
from textvae.priors import FlowPrior
from textvae.recipes.resolve import resolve
from textvae.training.config import TrainerConfig
from textvae.training.loop import Training
from textvae.training.rows import CaptionedLatents
from textvae.utils.errors import UserError
from textvae.utils.random import Draws

SMALL = FlowPrior.Config(width=32, depth=1, sides=1, heads=2)
TOKENS = torch.tensor([[1, 2, 0], [3, 0, 0], [4, 5, 6], [7, 8, 0], [1, 8, 2], [5, 0, 0]])


def vae() -> SpatialVAE:
    """4 latents at 7 x 7 positions."""
    return SpatialVAE.Config(channels=(4, 4), latent_channels=4).build()


def prior_and_loss(contrastive: float = 0.5) -> tuple[FlowPrior, FlowMatching]:
    torch.manual_seed(0)
    prior = FlowConfig(SMALL, "words", size=9, contrastive=contrastive).build(vae())
    return prior, FlowMatching(prior, contrastive=contrastive)


def draws(step: int = 0) -> Draws:
    return Draws(0, step, torch.arange(len(TOKENS)))


def test_the_loss_is_that_of_the_flow_and_the_weighted_contrastive_one():
    _, matching = prior_and_loss(contrastive=0.5)
    moments = torch.randn(len(TOKENS), 8, 7, 7)
    loss = matching.loss(moments, TOKENS, draws())
    assert set(loss.terms) == {"velocity", "contrastive"}
    torch.testing.assert_close(loss.total.detach(), loss.terms["velocity"] + 0.5 * loss.terms["contrastive"])
    # The flow itself draws the same numbers, and has the same initial weights, with and without it.
    _, plain = prior_and_loss(contrastive=0.0)
    assert plain.loss(moments, TOKENS, draws()).terms["velocity"].equal(loss.terms["velocity"])


def test_captions_learn_to_tell_latents_apart_without_the_loss_of_the_flow():
    prior, _ = prior_and_loss()
    matching, latents = CaptionMatching(4, 32), torch.randn(len(TOKENS), 4, 7, 7)
    optimizer = torch.optim.Adam([*prior.parameters(), *matching.parameters()], 3e-3)
    before = prior.features.embedding.weight.detach().clone()
    found = []
    for _ in range(80):
        optimizer.zero_grad()
        loss = matching(prior, latents, TOKENS)
        loss.backward()
        optimizer.step()
        found.append(float(loss.detach()))
    assert found[0] == pytest.approx(math.log(len(TOKENS)), abs=1.5)
    assert found[-1] < 0.05
    moved = (prior.features.embedding.weight.detach() - before).abs().amax(1) > 0
    assert moved.tolist() == [False] + [True] * 8  # each word is read better, the padding is not
    # The flow's own embedding of a caption is what matches: it is there to be used when images are generated.
    with torch.no_grad():
        said, _, _ = prior.velocity.read(prior.features(TOKENS))
        shown = matching.of_latent(prior.standardise(latents))
        nearest = torch.nn.functional.cosine_similarity(said[:, None], shown[None], dim=2).argmax(1)
    assert nearest.tolist() == list(range(len(TOKENS)))


def test_an_image_with_the_same_caption_is_no_negative_example():
    prior, _ = prior_and_loss()
    matching, latents = CaptionMatching(4, 32), torch.randn(2, 4, 7, 7)
    with torch.no_grad():
        assert float(matching(prior, latents, TOKENS[[0, 0]])) == 0
        assert float(matching(prior, latents, TOKENS[:2])) > 0


def test_similarities_are_not_rounded_to_bf16() -> None:
    one, other = torch.nn.functional.normalize(torch.randn(2, 64, 128), dim=2)
    with torch.autocast("cpu", torch.bfloat16):
        found = scaled_similarities(one, other, torch.tensor(3.0))
    assert found.equal(torch.tensor(3.0).exp() * (one @ other.T))


def test_similarities_are_scaled_by_at_most_a_hundred() -> None:
    one = torch.nn.functional.normalize(torch.randn(4, 8), dim=1)
    assert float(scaled_similarities(one, one, torch.tensor(9.0)).max()) == pytest.approx(100)


@pytest.mark.parametrize(("reader", "condition"), [("none", torch.eye(6)), ("vectors", torch.randn(6, 3, 6))])
def test_frozen_vectors_are_matched_too(reader, condition):
    prior = FlowConfig(SMALL, reader, size=6, contrastive=0.1).build(vae())
    loss = FlowMatching(prior, contrastive=0.1).loss(torch.randn(6, 8, 7, 7), condition, draws())
    loss.total.backward()
    assert float(loss.terms["contrastive"]) > 0
    assert prior.velocity.condition.weight.grad.abs().sum() > 0


def test_what_it_does_not_fit_is_refused():
    vectors = SpatialVAE.Config(channels=(4, 4)).build()
    vectors.prior.latent_shape = (3,)
    for config, of in (
        (FlowConfig(SMALL, "none", 4, contrastive=0.1), vectors),
        (FlowConfig(SMALL, "tree", 16, 0.1), vae()),
    ):
        with pytest.raises(UserError, match="contrastive loss needs latent grids"):
            config.build(of)


def test_a_training_goes_on_in_the_same_bits_and_keeps_the_prior_alone(cpu):
    torch.manual_seed(0)
    latents = CaptionedLatents(
        torch.randn(len(TOKENS), 8, 7, 7), torch.tensor([[n, n + 1] for n in range(len(TOKENS))])
    )
    config = TrainerConfig(epochs=4, batch_size=4, ema_decay=0.9, optimizer="muon", schedule="cosine")

    def training() -> Training:
        return Training(prior_and_loss()[1], latents, TOKENS, config, cpu)

    whole, cut = training(), training()
    for _ in whole.steps():
        pass
    for step in cut.steps():
        if step.number == 3:
            break
    resumed = training()
    resumed.load_state_dict(cut.state_dict())
    for _ in resumed.steps():
        pass
    found, wanted = resumed.averaged.state_dict(), whole.averaged.state_dict()
    assert any(name.startswith("caption_matching.") for name in wanted)
    assert all(weight.equal(found[name]) for name, weight in wanted.items())
    stage = Stage("flow", resolve("latent-flow-photos"), whole, vae())
    assert {name.split(".")[0] for name in stage.weights(wanted)} == {"vae", "prior"}
