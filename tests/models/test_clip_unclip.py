import dataclasses

import pytest
import torch
from helpers.declared import declare
from helpers.toys import TEST, D, Hashed, Toys

from textvae import data
from textvae.evaluation import evaluate
from textvae.evaluation import judges as judge
from textvae.evaluation.captioning import caption_bounds
from textvae.evaluation.evaluate import evaluate_run
from textvae.experiment.callbacks import Callback
from textvae.experiment.train import train_recipe
from textvae.models import clip_dual
from textvae.models.clip_dual import ClipDual
from textvae.models.clip_unclip import ClipUnclip
from textvae.models.flow_matching import FlowMatching, moments
from textvae.models.with_flow import FlowConfig, WithFlow
from textvae.pipeline import TextToImage
from textvae.priors import FlowPrior
from textvae.recipes import RECIPES
from textvae.recipes.recipe import FlowStage
from textvae.recipes.resolve import resolve
from textvae.runs.files import MODEL
from textvae.runs.run import open_run
from textvae.training.config import TrainerConfig
from textvae.utils.errors import UserError
from textvae.utils.random import Draws

Z, N = 5, 3
SIZES = {"image_size": 64, "condition_dim": D, "latent_dim": Z, "dropout": 0.5}


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Networks of paper c with few filters: its own take seconds a step."""
    monkeypatch.setattr(clip_dual, "_DENSE", (16, 16, 16))
    monkeypatch.setattr(clip_dual, "_GRID", (4, 8, 8))
    for name in ("_ENCODER", "_DECODER"):
        monkeypatch.setattr(clip_dual, name, tuple((4, kernel) for _, kernel in getattr(clip_dual, name)))


def draws(step: int, count: int = N) -> Draws:
    return Draws(0, step, torch.arange(count))


class Stop(Callback):
    """Interrupts a training after some steps of its flow."""

    def on_step(self, stage, step):
        if stage.name == "flow" and step.number == 7:
            raise KeyboardInterrupt


def tiny_recipe():
    return dataclasses.replace(
        RECIPES["clip-dual-64-image-unclip"](),
        name="tiny-unclip",
        data="unclip-64-pair",
        text=Hashed(),
        model=ClipUnclip.Config(64, D, Z, dropout=0.5),
        trainer=TrainerConfig(epochs=1, batch_size=16, validation_images=8),
        flow=FlowStage(FlowConfig(FlowPrior.Config(width=32, depth=1), "none", D), TrainerConfig(5, 8, ema_decay=0.5)),
        prompts=("a red square",),
    )


@pytest.fixture
def tiny(monkeypatch):
    monkeypatch.setitem(data.SOURCES, "unclip-64-pair", Toys("unclip-64-pair", side=64))
    monkeypatch.setitem(RECIPES, "tiny-unclip", tiny_recipe)
    return tiny_recipe()


def test_the_first_stage_is_paper_c_s_model_bit_for_bit():
    images, conditions = torch.rand(N, 3, 64, 64), torch.randn(N, D)
    losses, drawn = [], []
    for config in (ClipDual.Config(**SIZES), ClipUnclip.Config(**SIZES)):
        torch.manual_seed(0)
        model = config.build().train()
        losses.append(model.loss(images, conditions, draws(0)).total)
        noise = torch.linspace(-1, 1, N * Z).view(N, Z)
        padded = torch.nn.functional.pad(noise, (0, model.prior.latent_shape[0] - Z), value=9.0)
        drawn.append(model.eval().sample(conditions, padded))
    assert losses[0].equal(losses[1])
    # Without a flow, the text is given to the decoder directly, as in the paper.
    torch.testing.assert_close(drawn[0], drawn[1])
    torch.testing.assert_close(model.reconstruct(images, conditions), model.dual.reconstruct(images, conditions))


@pytest.mark.slow
def test_a_flow_generates_the_embedding_and_leaves_z_alone():
    torch.manual_seed(0)
    vae = ClipUnclip.Config(**SIZES).build().eval()
    prior = FlowConfig(FlowPrior.Config(width=32, depth=1), "none", D).build(vae)
    images, text = torch.rand(16, 3, 64, 64), torch.eye(D).repeat(3, 1)[:16]
    of_image = -2 * text + 3
    latents = moments(vae, images, of_image)
    prior.fit_scale(*latents.chunk(2, dim=1))
    torch.testing.assert_close(prior.mean[Z:], of_image.mean(0))
    assert (prior.mean[:Z].abs().max(), prior.scale[:Z].min(), prior.scale[:Z].max()) == (0, 1, 1)
    training, optimizer = FlowMatching(prior, few_step=False), torch.optim.Adam(prior.parameters(), 5e-3)
    for step in range(250):
        optimizer.zero_grad()
        loss = training.loss(latents, text, draws(step, 16)).total
        loss.backward()
        optimizer.step()
    # z would add its variance to the error if it counted.
    assert loss < 0.5
    noise = torch.randn(16, Z + D)
    with torch.no_grad():
        z, embedding = prior.eval().sample(text, noise).split([Z, D], dim=1)
        decoded = WithFlow(vae, prior).sample(text, noise)
    torch.testing.assert_close(z, noise[:, :Z])
    assert (embedding - of_image).abs().mean() < 0.3
    torch.testing.assert_close(decoded, vae.dual.decode(z, embedding).mean)


@pytest.mark.slow
def test_it_trains_resumes_draws_and_is_measured(tiny, cpu, tmp_path, monkeypatch):
    monkeypatch.setenv("TEXTVAE_CACHE", str(tmp_path))
    monkeypatch.setattr(evaluate, "PHOTOGRAPH_NETS", ())
    monkeypatch.setattr(judge, "JUDGES", {})
    with pytest.raises(KeyboardInterrupt):
        train_recipe(tiny, tmp_path / "cut", cpu, callbacks=[Stop()])
    for name in ("cut", "whole"):
        assert train_recipe(tiny, tmp_path / name, cpu)
    assert (tmp_path / "cut" / MODEL).read_bytes() == (tmp_path / "whole" / MODEL).read_bytes()
    run = open_run(tmp_path / "cut")
    generator = TextToImage.load(run)
    one, other = generator(["a red square", "a blue thing 3"], seed=3)
    assert one.tobytes() != other.tobytes()
    found = evaluate_run(run, cpu.device, TEST, importance_samples=2, seed=0).to_dict()
    assert not found["likelihood"]
    assert "infinite" in found["absent"]["likelihood.elbo_nats"]
    assert found["protocol"]["guidance"] == 1.5
    assert found["reconstruction"]["mse_sum"] > 0
    with pytest.raises(UserError, match="no likelihood bound"):
        caption_bounds(generator, torch.zeros(1, 3, 64, 64, dtype=torch.uint8), torch.eye(D)[:2], 1)


def test_the_flow_takes_embeddings_of_the_set_it_is_trained_on(tmp_path, monkeypatch):
    monkeypatch.setenv("TEXTVAE_CACHE", str(tmp_path))
    declare("scenes-64-pair", "scenes", 64, "pair", "pair", shape=[96])
    moved = resolve("clip-dual-64-image-unclip", data="scenes-64-pair")
    assert moved.flow is not None
    assert (moved.model.condition_dim, moved.flow.model.size) == (96, 96)
