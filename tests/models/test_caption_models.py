"""Paper d's models: readers, correlated posteriors, the learned prior."""

import pytest
import torch
from helpers.keyed import draws
from torch.distributions import Independent, MultivariateNormal, Normal, kl_divergence

from textvae.models.caption_encoders import (
    AngleSumEncoder,
    RecurrentEncoder,
    SlotEncoder,
)
from textvae.models.caption_prior import CaptionPrior
from textvae.models.caption_rnn import CaptionRNN, GaussianGroups
from textvae.models.caption_slots import CaptionSlots
from textvae.models.taught_readers import AuxiliaryEncoder, ContrastiveEncoder
from textvae.priors import LearnedGaussian
from textvae.recipes import RECIPES
from textvae.recipes.resolve import resolve
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
    drawn = many.sample(torch.randn(40_000, 12)).view(-1, 3, 4)
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
    reader = RecurrentEncoder(kind, 20, 5, 8, 1, bidirectional, False, heads)  # type: ignore[arg-type]
    short = torch.tensor([[1, 5, 6, 2]])
    padded = torch.nn.functional.pad(short, (0, 6))
    torch.testing.assert_close(reader(padded), reader(short))
    assert reader(padded).shape == (1, reader.num_features)
    assert not torch.allclose(reader(short), reader(torch.tensor([[1, 6, 5, 2]])))
    assert reader(torch.zeros(2, 4, dtype=torch.int64)).isfinite().all()


def test_a_dial_reader_adds_up() -> None:
    torch.manual_seed(0)
    reader = AngleSumEncoder(20, 8, 16, noise=0.0).eval()
    torch.testing.assert_close(
        reader(tokens("one plus two plus three minus one")), reader(tokens("one minus one plus three plus two"))
    )
    assert not torch.allclose(reader(tokens("one plus two")), reader(tokens("two minus one")))


def test_a_dial_that_nothing_turns_has_no_hand() -> None:
    torch.manual_seed(0)
    reader = AngleSumEncoder(20, 8, 16, noise=0.5)
    torch.testing.assert_close(reader(torch.zeros(1, 6, dtype=torch.int64)), reader.read_out(torch.zeros(1, 2)))
    read = tokens("one plus two")
    torch.testing.assert_close(reader(read), reader(read))
    assert not torch.allclose(reader(read, torch.ones(1, 1)), reader(read, -torch.ones(1, 1)))


def test_a_reader_learns_from_its_lessons_alone() -> None:
    torch.manual_seed(0)
    taught = AuxiliaryEncoder(AngleSumEncoder(20, 8, 16, noise=0.1), 49)
    assert not taught(tokens("one plus two")).requires_grad
    taught.auxiliary_loss(tokens("one plus two"), torch.rand(1, 1, 7, 7), draws(1)).backward()
    assert all(p.grad is not None for p in taught.parameters())


def test_a_slot_finds_bare_words() -> None:
    """What a slot finds is a mixture of word embeddings and of nothing that the network thought about them."""
    torch.manual_seed(0)
    reader = SlotEncoder(20, 8, slots=2, looks=1, hidden=16)
    read = torch.tensor([[1, 5, 6, 2], [0, 0, 0, 0]])
    assert reader(read).shape == (2, 2, 16)
    assert reader(read).isfinite().all()
    with torch.no_grad():
        reader.embedding.weight.zero_()
    # With blank words the states still differ by place, but there is nothing to be found anywhere.
    torch.testing.assert_close(reader(read)[0], reader(read)[1])


def test_a_slot_is_matched_with_its_own_glimpse() -> None:
    """What one slot says of what another shows counts for nothing, or a slot might speak for all."""
    torch.manual_seed(0)
    reader = ContrastiveEncoder(SlotEncoder(20, 8, slots=2, looks=1, hidden=16), glimpse_size=8)
    read, glimpses, places = torch.randint(3, 20, (4, 6)), torch.rand(4, 2, 8, 8), torch.rand(4, 2, 2)
    # The words of slot 1 are zero_init: then its glimpses, and only those, are all the same to the lesson.
    plain = reader.of_words.forward
    reader.of_words.forward = lambda features: plain(features) * torch.tensor([1.0, 0.0])[:, None]
    lesson = reader.auxiliary_loss(read, glimpses, places)
    others = glimpses.clone()
    others[:, 1] = torch.rand(4, 8, 8)
    torch.testing.assert_close(reader.auxiliary_loss(read, others, places), lesson)
    others[:, 0] = torch.rand(4, 8, 8)
    assert not torch.allclose(reader.auxiliary_loss(read, others, places), lesson)
    lesson.backward()
    assert all(p.grad is not None for p in reader.reader.parameters())
    assert not reader(read).requires_grad


def test_slots_are_drawn_each_by_itself() -> None:
    torch.manual_seed(0)
    model = CaptionSlots.Config(image_size=12, patch_size=6, channels=(4, 4), width=16, shape_dim=4).build().eval()
    condition = torch.tensor([[1, 5, 6, 7, 2]])
    latent = torch.randn(1, 2, 6)
    both = model.decode(latent, condition).mean
    moved = latent.clone()
    moved[:, 1] += 1
    assert not torch.allclose(model.decode(moved, condition).mean, both)
    images = torch.rand(3, 1, 12, 12)
    model.train()
    loss = model.loss(images, condition.expand(3, -1), draws(3))
    loss.total.backward()
    assert set(loss.terms) == {"reconstruction", "kl", "reading"}
    assert all(p.grad is not None for p in model.parameters())
    posterior = model.posterior(images, condition.expand(3, -1))
    assert model.divergence(posterior, condition.expand(3, -1), draws(3)).shape == (3, 2, 6)


@pytest.mark.parametrize("name", CAPTION_RECIPES)
def test_caption_recipes_read_their_prompts_and_draw(name: str) -> None:
    chosen = resolve(name)
    torch.manual_seed(0)
    model = chosen.model.build().eval()
    condition = chosen.text.encode(chosen.prompts)
    noise = torch.randn(len(condition), *model.prior.latent_shape)
    images = model.sample(condition, noise)
    assert images.shape == (len(condition), *model.image_shape)
    assert images.isfinite().all()


@pytest.mark.slow
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
    model.loss(images, condition, draws(4)).total.backward()
    fixed = (
        {"reader.embedding.weight"}
        if isinstance(config, CaptionRNN.Config) and not config.learned_embeddings
        else set()
    )
    without = {name for name, p in model.named_parameters() if p.grad is None}
    assert without == fixed
    model.eval()
    bound = model.log_weights(images, condition, 400, draws(4)).mean(0)
    loss = torch.stack([model.loss(images, condition, draws(4, step)).total.detach() for step in range(1, 401)]).mean()
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


@pytest.mark.parametrize("kind", ["rnn", "gru", "lstm"])
@pytest.mark.parametrize(("layers", "bidirectional", "heads"), [(1, False, 0), (2, True, 0), (1, True, 2)])
def test_a_reader_that_is_unrolled_for_export_reads_the_same(monkeypatch, kind, layers, bidirectional, heads):
    torch.manual_seed(0)
    reader = RecurrentEncoder(kind, 20, 5, 7, layers, bidirectional, True, heads)
    tokens = torch.tensor([[3, 4, 5, 0, 0], [6, 0, 0, 0, 0], [0, 0, 0, 0, 0], [7, 8, 9, 10, 11]])
    packed = reader(tokens)
    monkeypatch.setattr(torch.compiler, "is_exporting", lambda: True)
    torch.testing.assert_close(reader(tokens), packed)
