import math

import pytest
import torch
from helpers.keyed import draws
from torch import nn
from torch.distributions import Bernoulli as TorchBernoulli
from torch.distributions import Independent, Normal, kl_divergence

from textvae.models.base import TextVAE
from textvae.models.classifier import Classifier
from textvae.models.distributions import Bernoulli, DiagonalGaussian, Gaussian
from textvae.models.label_conv import LabelConv
from textvae.models.label_dense import LabelDense
from textvae.models.layers import GaussianHead
from textvae.models.losses import negative_elbo
from textvae.models.onehot_dense import OneHotDense
from textvae.priors import StandardNormal

FAMILIES = [
    pytest.param(config(likelihood=likelihood), id=f"{config.__qualname__.split('.')[0]}-{likelihood}")
    for config in (OneHotDense.Config, LabelDense.Config, LabelConv.Config)
    for likelihood in ("bernoulli", "gaussian")
]


def built(config) -> TextVAE:
    torch.manual_seed(0)
    return config.build()


def batch(n: int = 6) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    images = torch.randint(0, 256, (n, 1, 28, 28), generator=generator) / 255
    return images, torch.eye(10)[torch.arange(n) % 10]


def layers(module: nn.Module) -> list[str]:
    """Every layer as "Linear 784-512" or "ReLU", in order of declaration."""
    found = []
    for layer in module.modules():
        if isinstance(layer, nn.Linear):
            found.append(f"Linear {layer.in_features}-{layer.out_features}")
        elif isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            found.append(f"{type(layer).__name__} {layer.in_channels}-{layer.out_channels}")
        elif isinstance(layer, nn.ReLU):
            found.append("ReLU")
    return found


def test_onehot_dense_is_paper_a_section_3_2():
    model = OneHotDense.Config().build()
    assert layers(model.encoder) == ["Linear 794-400", "ReLU"]
    assert layers(model.posterior_head) == ["Linear 400-40"]
    assert layers(model.decoder) == ["Linear 30-400", "ReLU", "Linear 400-784"]
    assert model.likelihood.name == "bernoulli"


def test_label_dense_is_paper_b_section_3_2():
    model = LabelDense.Config().build()
    assert layers(model.encoder) == ["Linear 784-512", "ReLU", "Linear 512-256", "ReLU"]
    assert layers(model.posterior_head) == ["Linear 288-256"]
    assert layers(model.decoder) == ["Linear 160-256", "ReLU", "Linear 256-512", "ReLU", "Linear 512-784"]


def test_label_conv_is_paper_b_section_3_3():
    model = LabelConv.Config().build()
    assert layers(model.encoder) == ["Conv2d 1-16", "ReLU", "Conv2d 16-32", "ReLU", "Conv2d 32-64", "ReLU"]
    assert layers(model.encoder_embedding) == ["Linear 10-1024"]
    assert layers(model.posterior_head) == ["Linear 1024-256"]
    assert layers(model.to_grid) == ["Linear 160-1024"]
    transposed = ["ConvTranspose2d 64-32", "ReLU", "ConvTranspose2d 32-16", "ReLU", "ConvTranspose2d 16-1"]
    assert layers(model.decoder) == transposed


def test_label_conv_adds_the_embedded_class_to_the_flattened_features():
    model = built(LabelConv.Config())
    images, condition = batch()
    features = model.encoder(images).flatten(1) + model.encoder_embedding.weight.T[condition.argmax(1)]
    expected = nn.functional.linear(features, model.posterior_head.weight, model.posterior_head.bias)
    posterior = model.posterior(images, condition)
    torch.testing.assert_close(torch.cat([posterior.mean, posterior.log_variance], 1), expected)


@pytest.mark.parametrize("config", FAMILIES)
def test_shapes_and_ranges(config):
    model = built(config)
    images, condition = batch()
    posterior = model.posterior(images, condition)
    assert posterior.mean.shape == posterior.log_variance.shape == (6, config.latent_dim)
    assert model.prior.latent_shape == (config.latent_dim,)
    likelihood = model.decode(posterior.mean, condition)
    assert isinstance(likelihood, Bernoulli if config.likelihood == "bernoulli" else Gaussian)
    assert likelihood.log_prob(images).shape == likelihood.log_mass(images).shape == (6,)
    noise = torch.randn(6, config.latent_dim)
    for shown in (likelihood.mean, model.reconstruct(images, condition), model.sample(condition, noise)):
        assert shown.shape == (6, *model.image_shape)
        assert shown.min() >= 0
        assert shown.max() <= 1
        assert not shown.equal(shown[:1].expand_as(shown))


@pytest.mark.parametrize("config", FAMILIES)
def test_every_parameter_learns(config):
    model = built(config)
    model.loss(*batch(), draws(6)).total.backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.count_nonzero() > 0, name


@pytest.mark.parametrize("config", FAMILIES)
def test_the_condition_matters_and_zero_says_nothing(config):
    model = built(config)
    images, condition = batch()
    noise = torch.zeros(6, config.latent_dim)
    drawn = model.sample(condition, noise)
    assert not drawn[0].equal(drawn[1])
    none = torch.zeros_like(condition)
    unsaid = model.sample(none, noise)
    assert unsaid.isfinite().all()
    assert all(not unsaid[0].equal(picture) for picture in drawn)
    torch.testing.assert_close(unsaid, unsaid[:1].expand_as(unsaid))
    assert not model.posterior(images, none).mean.equal(model.posterior(images, condition).mean)
    assert model.loss(images, none, draws(6)).total.isfinite()


@pytest.mark.slow
@pytest.mark.parametrize("config", FAMILIES)
def test_log_weights_average_to_the_elbo(config):
    model = built(config)
    images, condition = batch(2)
    log_weights = model.log_weights(images, condition, 200, draws(2)).mean(1)
    assert log_weights.shape == (200,)
    with torch.no_grad():
        posterior = model.posterior(images, condition)
        kl = model.prior.kl(posterior.mean, posterior.log_variance, condition)
        torch.manual_seed(2)
        latents = posterior.mean + torch.randn(200, *posterior.mean.shape) * (0.5 * posterior.log_variance).exp()
        # With log_mass in place of log_prob, which differ by the width of a grey level's bin.
        losses = torch.stack(
            [negative_elbo(model.decode(latent, condition).log_mass(images), kl).total for latent in latents]
        )
    spread = float((log_weights.var() / 200 + losses.var() / 200).sqrt())
    assert float(log_weights.mean() + losses.mean()) == pytest.approx(0, abs=5 * spread + 1e-3)


def test_the_loss_is_the_negative_elbo_in_nats():
    model = built(OneHotDense.Config())
    images, condition = batch()
    loss = model.loss(images, condition, draws(6))
    q = model.posterior(images, condition)
    posterior = Normal(q.mean, (0.5 * q.log_variance).exp())
    logits = model.decode(q.mean + draws(6).normal(20) * posterior.scale, condition).logits
    reconstruction = -(images * logits.sigmoid().log() + (1 - images) * (-logits).sigmoid().log()).flatten(1).sum(1)
    divergence = kl_divergence(posterior, Normal(0.0, 1.0)).sum(1)
    torch.testing.assert_close(loss.terms["reconstruction"], reconstruction.mean())
    torch.testing.assert_close(loss.terms["kl"], divergence.mean())
    torch.testing.assert_close(loss.total, (reconstruction + divergence).mean())


def latents() -> DiagonalGaussian:
    generator = torch.Generator().manual_seed(4)
    return DiagonalGaussian(torch.randn(5, 7, generator=generator), 2 * torch.randn(5, 7, generator=generator))


def test_the_posterior_is_a_diagonal_normal():
    q = latents()
    reference = Normal(q.mean, (0.5 * q.log_variance).exp())
    z = torch.randn(5, 7)
    torch.testing.assert_close(q.log_prob(z), Independent(reference, 1).log_prob(z))
    many = DiagonalGaussian(q.mean.repeat(4000, 1), q.log_variance.repeat(4000, 1))
    many = many.sample(torch.randn(20_000, 7)).unflatten(0, (4000, 5))
    torch.testing.assert_close((many.mean(0) - q.mean) / reference.scale, torch.zeros(5, 7), atol=0.1, rtol=0)
    torch.testing.assert_close(many.std(0), reference.scale, atol=0, rtol=0.06)


def test_kl_to_the_standard_normal_is_the_closed_form():
    q, prior = latents(), StandardNormal((7,))
    expected = kl_divergence(Normal(q.mean, (0.5 * q.log_variance).exp()), Normal(0.0, 1.0))
    torch.testing.assert_close(prior.kl(q.mean, q.log_variance, torch.zeros(5, 0)), expected)
    zero = torch.zeros(1, 7)
    assert prior.kl(zero, zero, zero).tolist() == zero.tolist()
    torch.testing.assert_close(prior.log_prob(q.mean, zero), Normal(0.0, 1.0).log_prob(q.mean).sum(1))
    assert prior.sample(zero, q.mean).equal(q.mean)


def test_bernoulli_log_prob_is_torch_s_and_expects_binary_images():
    logits = 3 * torch.randn(4, 1, 5, 5)
    binary = torch.randint(0, 2, (4, 1, 5, 5)).float()
    expected = TorchBernoulli(logits=logits).log_prob(binary).flatten(1).sum(1)
    torch.testing.assert_close(Bernoulli(logits).log_prob(binary), expected)
    grey = torch.full((1, 1, 1, 1), 0.25)
    both = [Bernoulli(logits[:1, :, :1, :1]).log_prob(torch.full_like(grey, v)) for v in (0.0, 1.0)]
    torch.testing.assert_close(Bernoulli(logits[:1, :, :1, :1]).log_prob(grey), 0.75 * both[0] + 0.25 * both[1])


def test_gaussian_log_prob_is_torch_s():
    images, location = torch.rand(4, 1, 5, 5), torch.rand(4, 1, 5, 5)
    log_sigma = torch.tensor(-1.7)
    expected = Normal(location, log_sigma.exp()).log_prob(images).flatten(1).sum(1)
    torch.testing.assert_close(Gaussian(location, log_sigma).log_prob(images), expected)


@pytest.mark.parametrize("location", [0.0, 0.001, 0.3, 0.5, 0.999, 1.0])
@pytest.mark.parametrize("sigma", [1e-4, 0.003, 0.1, 1.0, 30.0])
def test_the_mass_of_all_grey_levels_is_one(location, sigma):
    levels = (torch.arange(256) / 255).view(256, 1, 1, 1)
    likelihood = Gaussian(torch.full_like(levels, location), torch.tensor(sigma).log())
    # A grey level in fp32 is off by up to 3e-8, which moves the bins' edges.
    tolerance = 1e-5 + 3e-8 / sigma
    assert float(likelihood.log_mass(levels).double().exp().sum()) == pytest.approx(1, abs=tolerance)


def test_the_mass_of_a_fine_scale_is_the_density_times_the_bin():
    images = torch.full((1, 1, 1, 1), 100 / 255)
    likelihood = Gaussian(torch.full_like(images, 0.45), torch.tensor(0.1).log())
    assert float(likelihood.log_mass(images)) == pytest.approx(float(likelihood.log_prob(images)) - math.log(255), 1e-4)


def test_the_mass_far_out_in_the_tails_is_finite_and_symmetric():
    dark, bright = torch.zeros(1, 1, 1, 1), torch.ones(1, 1, 1, 1)
    log_sigma = torch.tensor(1e-3).log()
    for image in (dark, bright, torch.full_like(dark, 128 / 255)):
        for location in (dark, bright):
            mass = float(Gaussian(location, log_sigma).log_mass(image))
            assert math.isfinite(mass)
            assert mass <= 0
    left = Gaussian(bright, log_sigma).log_mass(torch.full_like(dark, 10 / 255))
    right = Gaussian(dark, log_sigma).log_mass(torch.full_like(dark, 245 / 255))
    torch.testing.assert_close(left, right)
    # 245/255 less half a bin, in sigmas: the first two terms of the tail's asymptotic series.
    x = (244.5 / 255) / 1e-3
    assert float(right) == pytest.approx(-0.5 * x**2 - math.log(x * math.sqrt(2 * math.pi)), rel=1e-5)


def test_the_judge_varies_its_images_in_training_only():
    judge = built(Classifier.Config(channels=(2, 2, 2), features=4))
    images, condition = batch()
    judge.eval()
    first, second = (judge.loss(images, condition, draws(6, step)) for step in (0, 1))
    assert first.total.equal(second.total)
    with torch.no_grad():
        logits = judge(images)
    torch.testing.assert_close(first.total, nn.functional.cross_entropy(logits, condition))
    errors = (logits.argmax(1) != condition.argmax(1)).float().mean()
    assert first.terms["error_rate"].equal(errors)
    judge.train()
    first, second = (judge.loss(images, condition, draws(6, step)).total for step in (0, 1))
    assert not first.equal(second)


def test_the_judge_s_variation_is_a_shift():
    judge = built(Classifier.Config(shift=2))
    images = torch.zeros(200, 1, 28, 28)
    images[:, 0, 10:14, 5] = 1
    varied = judge._shifted(images, draws(200))
    assert varied.flatten(1).sum(1).tolist() == [4.0] * 200
    rows = varied.amax((1, 3)).argmax(1)
    columns = varied.amax((1, 2)).argmax(1)
    assert sorted(set(rows.tolist())) == [8, 9, 10, 11, 12]
    assert sorted(set(columns.tolist())) == [3, 4, 5, 6, 7]


def test_beta_weighs_the_kl_and_the_terms_are_told_unweighted():
    log_likelihood, kl = torch.tensor([-3.0, -5.0]), torch.tensor([[1.0, 1.0], [2.0, 4.0]])
    bound, weighed = negative_elbo(log_likelihood, kl), negative_elbo(log_likelihood, kl, beta=0.5)
    assert float(bound.total) == 8.0
    assert float(weighed.total) == 6.0
    assert {name: float(term) for name, term in weighed.terms.items()} == {"reconstruction": 4.0, "kl": 4.0}


def test_a_posterior_too_narrow_for_fp32_still_has_a_density():
    head = GaussianHead(4, 3)
    with torch.no_grad():
        head.weight.zero_()
        head.bias.copy_(torch.tensor([30.0, 30, 30, -200, -20, 1]))
    posterior = head(torch.zeros(1, 4))
    assert posterior.log_prob(posterior.sample(torch.randn(1, 3))).isfinite().all()
    assert posterior.log_variance[0, 2] == 1
