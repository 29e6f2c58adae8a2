"""Paper d's models: readers, correlated posteriors, the learned prior."""

import pytest
import torch
from torch.distributions import Independent, MultivariateNormal, Normal, kl_divergence

from textvae.models.caption_prior import CaptionPrior
from textvae.models.caption_rnn import CaptionRNN, GaussianGroups
from textvae.models.words import DialReader, RecurrentReader
from textvae.priors import LearnedGaussian
from textvae.recipes import RECIPES, recipe
from textvae.text.digit_captions import DigitCaptions

CAPTION_RECIPES = [name for name in RECIPES if name.startswith("caption-")]


def tokens(*captions: str) -> torch.Tensor:
    return DigitCaptions("arithmetic").encode(captions)


def groups(n: int = 5, k: int = 3, d: int = 4) -> GaussianGroups:
    torch.manual_seed(0)
    lower = torch.randn(n, k, d, d).tril(-1) + torch.diag_embed(torch.rand(n, k, d) + 0.2)
    return GaussianGroups(torch.randn(n, k, d), lower)


def oracle(posterior: GaussianGroups) -> MultivariateNormal:
    return MultivariateNormal(posterior.means, scale_tril=posterior.cholesky)


def test_correlated_groups_agree_with_torch() -> None:
    posterior = groups()
    latent = torch.randn(5, 12)
    expected = oracle(posterior).log_prob(latent.view(5, 3, 4)).sum(1)
    torch.testing.assert_close(posterior.log_prob(latent), expected)
    standard = MultivariateNormal(torch.zeros(4), torch.eye(4))
    torch.testing.assert_close(posterior.kl_to_standard_normal(), kl_divergence(oracle(posterior), standard))
    torch.testing.assert_close(posterior.log_variance.exp(), oracle(posterior).variance.flatten(1))


def test_correlated_samples_have_the_covariance() -> None:
    one = groups(n=1)
    many = GaussianGroups(one.means.expand(40_000, -1, -1), one.cholesky.expand(40_000, -1, -1, -1))
    drawn = many.sample().view(-1, 3, 4)
    for group in range(3):
        covariance = torch.cov(drawn[:, group].T)
        torch.testing.assert_close(covariance, oracle(one).covariance_matrix[0, group], atol=0.15, rtol=0.05)


def test_learned_gaussian_agrees_with_torch() -> None:
    torch.manual_seed(0)
    prior = LearnedGaussian(torch.nn.Linear(6, 7), 7, (4,))
    condition, mean, log_variance = torch.randn(5, 6), torch.randn(5, 4), torch.randn(5, 4)
    centre, spread = prior._moments(condition)
    p = Independent(Normal(centre, (0.5 * spread).exp()), 1)
    q = Independent(Normal(mean, (0.5 * log_variance).exp()), 1)
    torch.testing.assert_close(prior.kl(mean, log_variance, condition).sum(1), kl_divergence(q, p))
    torch.testing.assert_close(prior.log_prob(mean, condition), p.log_prob(mean))
    noise = torch.randn(5, 4)
    torch.testing.assert_close(prior.sample(condition, noise), centre + noise * (0.5 * spread).exp())


@pytest.mark.parametrize("kind", ["rnn", "gru", "lstm"])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("heads", [0, 3])
def test_recurrent_readers_never_read_padding(kind: str, bidirectional: bool, heads: int) -> None:
    torch.manual_seed(0)
    reader = RecurrentReader(kind, 20, 5, 8, 1, bidirectional, False, heads)  # type: ignore[arg-type]
    short = torch.tensor([[1, 5, 6, 2]])
    padded = torch.nn.functional.pad(short, (0, 6))
    torch.testing.assert_close(reader(padded), reader(short))
    assert reader(padded).shape == (1, reader.num_features)
    assert not torch.allclose(reader(short), reader(torch.tensor([[1, 6, 5, 2]])))
    assert reader(torch.zeros(2, 4, dtype=torch.int64)).isfinite().all()


def test_a_dial_reader_adds_up() -> None:
    torch.manual_seed(0)
    reader = DialReader(20, 8, 16, noise=0.0).eval()
    torch.testing.assert_close(
        reader(tokens("one plus two plus three minus one")), reader(tokens("one minus one plus three plus two"))
    )
    assert not torch.allclose(reader(tokens("one plus two")), reader(tokens("two minus one")))


@pytest.mark.parametrize("name", CAPTION_RECIPES)
def test_caption_recipes_read_their_prompts_and_draw(name: str) -> None:
    chosen = recipe(name)
    torch.manual_seed(0)
    model = chosen.model.build().eval()
    condition = chosen.text.encode(chosen.prompts)
    noise = torch.randn(len(condition), *model.prior.latent_shape)
    images = model.sample(condition, noise)
    assert images.shape == (len(condition), *model.image_shape)
    assert images.isfinite().all()


@pytest.mark.parametrize(
    "config",
    [
        CaptionRNN.Config(),
        CaptionRNN.Config(correlated=True),
        CaptionRNN.Config(attention=True, bidirectional=True, cell="lstm", decoder="deconv", learned_embeddings=True),
        CaptionPrior.Config(reader="dial"),
        CaptionPrior.Config(reader="gru", likelihood="gaussian"),
    ],
)
def test_every_variant_trains_on_the_same_bound(config: CaptionRNN.Config | CaptionPrior.Config) -> None:
    torch.manual_seed(0)
    model = config.build()
    images, condition = torch.rand(4, 1, 28, 28), tokens("five", "one plus one", "nine minus two", "three")
    model.loss(images, condition).total.backward()
    fixed = (
        {"reader.embedding.weight"}
        if isinstance(config, CaptionRNN.Config) and not config.learned_embeddings
        else set()
    )
    without = {name for name, p in model.named_parameters() if p.grad is None}
    assert without == fixed
    model.eval()
    bound = model.log_weights(images, condition, 400).mean(0)
    loss = torch.stack([model.loss(images, condition).total.detach() for _ in range(400)]).mean()
    if getattr(config, "likelihood", "bernoulli") == "bernoulli":
        assert float(-bound.mean()) == pytest.approx(float(loss), rel=0.01)


def test_the_encoder_decoder_never_sees_the_image() -> None:
    torch.manual_seed(0)
    model = CaptionRNN.Config().build()
    condition = tokens("five", "six")
    blank, noisy = (model.posterior(x, condition).mean for x in (torch.zeros(2, 1, 28, 28), torch.rand(2, 1, 28, 28)))
    torch.testing.assert_close(blank, noisy)
    mended = CaptionPrior.Config().build()
    blank, noisy = (mended.posterior(x, condition).mean for x in (torch.zeros(2, 1, 28, 28), torch.rand(2, 1, 28, 28)))
    assert not torch.allclose(blank, noisy)
