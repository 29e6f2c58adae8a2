import dataclasses

import pytest
import torch
from helpers.keyed import draws

from textvae.experiment.stages import check_flow, stages_of
from textvae.models import perceptual
from textvae.models import spatial_vae as latent_flow
from textvae.models.caption_encoders import AngleSumEncoder
from textvae.models.perceptual import perceptual_distance
from textvae.models.spatial_vae import SpatialVAE
from textvae.models.with_flow import FlowConfig, WithFlow, reader_of
from textvae.pretrained.efficientnet import EfficientNetLite0
from textvae.priors import FlowPrior
from textvae.recipes import RECIPES
from textvae.recipes.resolve import resolve
from textvae.text.digit_captions import DigitCaptions
from textvae.utils.errors import UserError

SMALL = FlowPrior.Config(width=16, depth=1, heads=2)


@torch.no_grad()
@pytest.mark.parametrize(
    ("image", "channels", "latent"),
    [((1, 28, 28), (8, 16), (4, 7, 7)), ((3, 64, 64), (8, 8, 16), (4, 8, 8)), ((3, 64, 64), (8, 16), (4, 16, 16))],
)
def test_latents_keep_their_place(image, channels, latent):
    torch.manual_seed(0)
    model = SpatialVAE.Config(image_shape=image, channels=channels).build().eval()
    assert model.prior.latent_shape == latent
    images, nothing = torch.rand(2, *image), torch.zeros(2, 10)
    posterior = model.posterior(images, nothing)
    assert posterior.mean.shape == (2, *latent)
    assert model.decode(posterior.mean, nothing).mean.shape == images.shape
    # What changes in one corner of the image changes nothing in the opposite corner of the latents.
    images[:, :, :4, :4] = 1 - images[:, :, :4, :4]
    moved = (model.posterior(images, nothing).mean - posterior.mean).abs()
    assert float(moved[:, :, 0, 0].min()) > 0
    assert float(moved[:, :, -1, -1].max()) == 0


def test_sides_that_can_t_be_halved_are_refused():
    with pytest.raises(ValueError, match="can't be halved 3 times"):
        SpatialVAE.Config(channels=(4, 4, 4)).build()


def test_beta_weighs_the_kl_and_words_change_nothing():
    torch.manual_seed(0)
    model = SpatialVAE.Config(channels=(4, 8), beta=0.3).build()
    images = torch.rand(3, 1, 28, 28)
    loss = model.loss(images, torch.eye(10)[:3], draws(3))
    torch.testing.assert_close(loss.total, loss.terms["reconstruction"] + 0.3 * loss.terms["kl"])
    torch.testing.assert_close(model.loss(images, torch.zeros(3, 10), draws(3)).total, loss.total)


def test_a_reader_is_taught_beside_the_images_and_fixed_in_the_flow():
    torch.manual_seed(0)
    text = DigitCaptions("arithmetic")
    model = SpatialVAE.Config(channels=(4, 8), num_tokens=text.num_tokens).build()
    tokens = text.encode(["five", "two plus three", "none"])
    loss = model.loss(torch.rand(3, 1, 28, 28), tokens, draws(3))
    assert set(loss.terms) == {"reconstruction", "kl", "reading"}
    loss.total.backward()
    assert model.reader.reader.turn[0].weight.grad.abs().sum() > 0
    prior = FlowConfig(SMALL, "taught").build(model)
    assert isinstance(prior.features, AngleSumEncoder)
    assert not any(parameter.requires_grad for parameter in prior.features.parameters())
    model.eval()
    torch.testing.assert_close(prior.features(tokens), reader_of(model)(tokens))
    drawn = WithFlow(model, prior).eval().sample(tokens, torch.randn(3, *model.prior.latent_shape))
    assert drawn.shape == (3, 1, 28, 28)


def test_photographs_that_look_alike_are_near(monkeypatch):
    torch.manual_seed(0)
    network = EfficientNetLite0().frozen()
    monkeypatch.setattr(perceptual, "_network", lambda device: network)
    images = torch.rand(2, 3, 32, 32)
    assert perceptual_distance(images, images).max() < 1e-9
    others = images.clone().requires_grad_()
    with torch.no_grad():
        others[1] = torch.rand(3, 32, 32)
    near, far = perceptual_distance(images, others)
    assert near < 1e-9 < 1e-4 < far
    far.backward()
    assert others.grad[1].abs().sum() > 0


def test_the_perceptual_loss_is_of_half_of_the_images_in_training_and_no_part_of_the_model(monkeypatch):
    asked = []
    monkeypatch.setattr(
        latent_flow, "perceptual_distance", lambda a, b: asked.append(len(a)) or (a - b).square().flatten(1).sum(1)
    )
    torch.manual_seed(0)
    plain = SpatialVAE.Config((3, 16, 16), (4, 8), beta=0.5)
    model = dataclasses.replace(plain, perceptual=10.0).build()
    images = torch.rand(100, 3, 16, 16)
    loss = model.loss(images, torch.zeros(100, 1), draws(100))
    assert 35 < asked[0] < 65
    expected = loss.terms["reconstruction"] + 0.5 * loss.terms["kl"] + 10 * loss.terms["perceptual"]
    torch.testing.assert_close(loss.total, expected)
    assert set(model.eval().loss(images, torch.zeros(100, 1), draws(100)).terms) == {"reconstruction", "kl"}
    assert len(asked) == 1
    assert model.state_dict().keys() == plain.build().state_dict().keys()


def test_the_perceptual_loss_sees_reconstructions_with_any_share_of_the_posterior_s_noise(monkeypatch):
    torch.manual_seed(0)
    model = SpatialVAE.Config(image_shape=(3, 16, 16), channels=(4, 4), perceptual=1.0).build()
    images, nothing = torch.rand(64, 3, 16, 16), torch.zeros(64, 1)
    shown, plain = [], model.decode

    def kept(latent, condition):
        shown.append(latent.detach())
        return plain(latent, condition)

    monkeypatch.setattr(model, "decode", kept)
    monkeypatch.setattr(latent_flow, "perceptual_distance", lambda a, b: (a - b).square().flatten(1).sum(1))
    model.loss(images, nothing, draws(64))
    mean = model.posterior(images, nothing).mean.detach()
    keyed = draws(64)
    keyed.normal()
    half = keyed.uniform() < 0.5
    noise, some = (shown[0] - mean)[half], shown[1] - mean[half]
    share = (some * noise).flatten(1).sum(1) / noise.square().flatten(1).sum(1)
    torch.testing.assert_close(some, share[:, None, None, None] * noise, rtol=1e-4, atol=1e-5)
    assert 0 <= float(share.min()) < 0.2
    assert 0.8 < float(share.max()) <= 1


def test_the_last_grid_may_be_wider_and_have_blocks_of_its_own():
    torch.manual_seed(0)
    sizes = [
        sum(parameter.numel() for parameter in SpatialVAE.Config(channels=(4, 8), **more).build().parameters())
        for more in ({}, {"finest": 16}, {"finest": 16, "finest_blocks": 1})
    ]
    # A block has two convolutions of 16 by 16 channels.
    assert sizes[0] < sizes[1]
    assert sizes[2] - sizes[1] == 2 * (16 * 16 * 9 + 16)


def test_without_its_network_s_weights_the_perceptual_loss_says_what_to_install(monkeypatch):
    monkeypatch.setattr(perceptual.efficientnet, "weights_path", lambda: None)
    with pytest.raises(UserError, match="EfficientNet-Lite0") as error:
        perceptual._network(torch.device("meta"))
    assert "textvae[features]" in error.value.cure


# Of the photographs' recipes one: they differ in what a flow does not see.
VAES = [name for name in RECIPES if not name.startswith(("judge", "pair", "clip", "captioner"))] + [
    "clip-latent-64-add"
]


@pytest.mark.parametrize("name", VAES)
def test_every_recipe_can_have_a_flow_that_fits_it(name):
    named = resolve(name)
    stage = resolve(named, prior="flow").flow
    photographs = [f"latent-flow-{name}" for name in ("photos", "flowers", "products", "coco", "scenes", "sprouts")]
    reads = {"latent-flow-digits": "taught", "caption-tree-numbers": "tree", **dict.fromkeys(photographs, "words")}
    expected = "taught" if name.startswith("caption-prior") else "words" if name.startswith("caption") else "none"
    assert stage.model.reader == reads.get(name, expected)
    model = named.model.build()
    prior = stage.model.build(model).eval()
    condition = named.text.encode(["none"]).expand(2, *named.text.encode(["none"]).shape[1:])
    noise = torch.randn(2, *model.prior.latent_shape)
    with torch.no_grad():
        assert prior.sample(condition, noise).shape == noise.shape
    check_flow(named, stage.model)
    assert stages_of(dataclasses.replace(named, flow=stage))[:2] == ["model", "flow"]


@pytest.mark.parametrize(
    ("setting", "value", "cause"),
    [
        ("reader", "words", "(10,) numbers"),
        ("size", 7, "of size 7"),
        ("reader", "taught", "caption encoder"),
        ("prior.word-dropout", 0.5, "word dropout"),
        ("prior.guidance", 50, "out of range"),
    ],
)
def test_a_flow_that_does_not_fit_is_refused_before_anything_is_trained(tmp_path, textvae, setting, value, cause):
    run = tmp_path / "run"
    code, _, err = textvae("train", "latent-flow-fashion", f"--flow.model.{setting}", value, "--out", run)
    assert code == 2
    assert cause in err
    assert not run.exists()


def test_a_preset_changes_the_defaults_and_no_more(tmp_path, textvae):
    code, out, _ = textvae("train", "latent-flow-fashion", "--preset", "tiny", "--help")
    assert code == 0
    assert "64" in out
    code, _, err = textvae("train", "latent-flow-fashion", "--preset", "huge", "--out", tmp_path)
    assert code == 2
    assert "its presets: tiny" in err
    tiny = resolve("latent-flow-fashion").presets["tiny"]
    assert set(tiny) == {"trainer", "flow"}
