import copy
import dataclasses
import math

import pytest
import torch
from helpers.keyed import draws
from torch import nn

from textvae.models import flow_matching
from textvae.models.caption_encoders import WordTransformer
from textvae.models.flow_matching import FlowMatching, drop_words, moments
from textvae.models.label_conv import LabelConv
from textvae.models.spatial_vae import SpatialVAE
from textvae.models.with_flow import FlowConfig, WithFlow
from textvae.priors import FlowPrior, SamplingOptions
from textvae.priors.flow import objectives
from textvae.priors.flow import prior as flow_module
from textvae.priors.flow.objectives import guidance_errors, shortcut_errors, shortcut_targets
from textvae.priors.flow.solvers import solve, spaced
from textvae.utils.errors import UserError

SMALL = FlowPrior.Config(width=16, depth=2, heads=2)


def flow(shape: tuple[int, ...] = (3,), config: FlowPrior.Config = SMALL, size: int = 4) -> FlowPrior:
    """A flow with random weights throughout, so that nothing is zero by its initial value."""
    torch.manual_seed(0)
    prior = FlowPrior(config, shape, nn.Identity(), size).eval()
    for parameter in prior.parameters():
        nn.init.normal_(parameter, std=0.2)
    return prior


def latents(shape: tuple[int, ...]) -> SpatialVAE:
    """What a flow asks of a VAE: the shape of its latents."""
    vae = SpatialVAE.Config(channels=(4, 4)).build()
    vae.prior.latent_shape = shape
    return vae


class Linear(nn.Module):
    """dx/dt = A x + b c: all of its flow is known."""

    def __init__(self, matrix: torch.Tensor, bias: torch.Tensor) -> None:
        super().__init__()
        self.matrix, self.bias = matrix, bias

    def forward(self, x, time, length, features):
        return x @ self.matrix.T + features @ self.bias


def linear_flow(matrix: torch.Tensor, bias: torch.Tensor) -> FlowPrior:
    prior = flow((len(matrix),), size=len(bias))
    prior.velocity = Linear(matrix, bias)
    prior.mean.copy_(torch.linspace(-1, 1, len(matrix)))
    prior.scale.copy_(torch.linspace(0.5, 2, len(matrix)))
    return prior


def gaussian_of(prior: FlowPrior, condition: torch.Tensor) -> torch.distributions.MultivariateNormal:
    """p(z|c) of a linear flow: z = scale (e^A x0 + A^-1 (e^A - 1) b c) + mean."""
    matrix, bias = prior.velocity.matrix, prior.velocity.bias
    end = torch.matrix_exp(matrix)
    shift = condition @ bias @ torch.linalg.solve(matrix, end - torch.eye(len(matrix))).T
    scaled = torch.diag(prior.scale) @ end
    return torch.distributions.MultivariateNormal(shift * prior.scale + prior.mean, scaled @ scaled.T)


MATRIX = torch.tensor([[0.5, 0.3, 0.0], [-0.2, -0.7, 0.1], [0.0, 0.4, 0.3]])
BIAS = torch.tensor([[1.0, 0.0, -1.0], [0.5, 2.0, 0.0]])


def test_the_log_density_of_a_linear_flow_is_the_gaussian_s():
    prior, condition = linear_flow(MATRIX, BIAS), torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]])
    latent = torch.randn(3, 3, generator=torch.Generator().manual_seed(1))
    expected = gaussian_of(prior, condition).log_prob(latent)
    torch.testing.assert_close(prior.log_prob(latent, condition), expected, rtol=1e-3, atol=1e-3)
    # Hutchinson's estimate is right on average, and at once where dimensions do not mix.
    many = prior.log_prob(latent.repeat(2000, 1), condition.repeat(2000, 1), draws(6000)).view(2000, 3)
    assert float(many.std(0).min()) > 0.01
    torch.testing.assert_close(many.mean(0), expected, rtol=0, atol=0.03)
    straight = linear_flow(torch.diag(torch.tensor([0.5, -0.7, 0.3])), BIAS)
    expected = gaussian_of(straight, condition).log_prob(latent)
    torch.testing.assert_close(straight.log_prob(latent, condition, draws(3)), expected, rtol=1e-3, atol=1e-3)


def test_samples_of_a_linear_flow_are_the_gaussian_s_own():
    prior, condition = linear_flow(MATRIX, BIAS), torch.tensor([[1.0, 0.0]]).expand(4000, 2)
    noise = torch.randn(4000, 3, generator=torch.Generator().manual_seed(2))
    latent = prior.sample(condition, noise, SamplingOptions(guidance=1.0, steps=20))
    wanted = gaussian_of(prior, condition[:1])
    torch.testing.assert_close(latent.mean(0), wanted.mean[0], rtol=0, atol=0.1)
    torch.testing.assert_close(latent.T.cov(), wanted.covariance_matrix[0], rtol=0.1, atol=0.1)
    torch.testing.assert_close(prior.inverse(latent, condition), noise, rtol=1e-3, atol=1e-3)


def test_the_kl_is_that_of_the_gaussians_on_average():
    prior, condition = linear_flow(MATRIX, BIAS), torch.tensor([[0.0, 1.0]])
    mean, log_variance = torch.tensor([[0.3, -0.2, 0.5]]), torch.tensor([[-1.0, 0.2, -0.5]])
    n = 20000
    found = prior.kl(mean.expand(n, 3), log_variance.expand(n, 3), condition.expand(n, 2), draws(n))
    posterior = torch.distributions.MultivariateNormal(mean, torch.diag_embed(log_variance.exp()))
    wanted = torch.distributions.kl_divergence(posterior, gaussian_of(prior, condition))
    assert found.shape == (20000, 1)
    torch.testing.assert_close(found.mean(), wanted[0], rtol=0.03, atol=0)


@pytest.mark.parametrize("spacing", [1.0, 1.8])
@pytest.mark.parametrize("solver", ["heun", "midpoint", "multistep"])
def test_solvers_are_of_second_order_and_exact_on_straight_lines(solver, spacing):
    x = torch.tensor([[1.0, -2.0]], dtype=torch.float64)
    for times in (spaced(1, spacing), spaced(3, spacing)):
        torch.testing.assert_close(solve(lambda x, t: torch.full_like(x, 3.0), x, times, solver), x + 3)
    # There and back: the exact solution falls by exp(-1.5) from time 0 to 1.
    for direction, change in ((1, -1.5), (-1, 1.5)):
        errors = [
            float((solve(lambda x, t: -x * (1 + t[:, None]), x, times, solver) - x * math.exp(change)).norm())
            for times in (spaced(steps, spacing)[::direction] for steps in (80, 160))
        ]
        assert 3.5 < errors[0] / errors[1] < 4.6


def test_times_may_be_closer_to_each_other_at_the_start(monkeypatch):
    assert spaced(4) == [0, 0.25, 0.5, 0.75, 1]
    assert spaced(4, 2.0) == [0, 1 / 16, 1 / 4, 9 / 16, 1]
    seen = []
    prior = flow(config=dataclasses.replace(SMALL, steps=4, spacing=2.0, solver="multistep"))
    network = prior.velocity.forward
    prior.velocity.forward = lambda x, t, *rest: seen.append(float(t[0])) or network(x, t, *rest)
    prior.sample(torch.eye(4), torch.randn(4, 3))
    monkeypatch.setattr(flow_module, "MAX_STEPS", 4)
    prior.inverse(torch.randn(4, 3), torch.eye(4))
    assert seen == pytest.approx([0, 1 / 16, 1 / 4, 9 / 16, 1, 9 / 16, 1 / 4, 1 / 16])


@pytest.mark.parametrize(("solver", "asked"), [("heun", 10), ("midpoint", 10), ("multistep", 5)])
def test_multistep_asks_the_network_half_as_often(solver, asked):
    times = []

    def velocity(x, t):
        times.append(t)
        return x

    solve(velocity, torch.ones(1, 2), spaced(5), solver)
    assert len(times) == asked


@pytest.mark.slow
@pytest.mark.parametrize(
    ("shape", "patch"), [((3,), 1), ((2, 4, 4), 1), ((2, 7, 5), 1), ((2, 8, 6), 2), ((2, 7, 5), 2)]
)
def test_guidance_of_one_is_no_guidance_and_a_negative_is_led_away_from(shape, patch):
    prior, condition = flow(shape, dataclasses.replace(SMALL, patch=patch)), torch.eye(4)
    noise = torch.randn(4, *shape)
    plain = prior.sample(condition, noise, SamplingOptions(guidance=1.0))
    assert plain.shape == noise.shape
    own = prior.sample(condition, noise)
    torch.testing.assert_close(own, prior.sample(condition, noise, SamplingOptions(guidance=SMALL.guidance)))
    silent = SamplingOptions(negative=torch.zeros(4, 4))
    torch.testing.assert_close(own, prior.sample(condition, noise, silent))
    assert not torch.allclose(own, plain, atol=1e-3)
    # Led from a condition to itself, nothing is added.
    torch.testing.assert_close(prior.sample(condition, noise, SamplingOptions(3.0, negative=condition)), plain)
    # At guidance 0 the negative is all that is drawn; with none, what is drawn when nothing is said.
    turned = SamplingOptions(guidance=0.0, negative=condition.flip(0))
    torch.testing.assert_close(
        prior.sample(condition, noise, turned), prior.sample(condition.flip(0), noise, SamplingOptions(guidance=1.0))
    )
    nothing = prior.sample(torch.zeros(4, 4), noise, SamplingOptions(guidance=1.0))
    torch.testing.assert_close(prior.sample(condition, noise, SamplingOptions(guidance=0.0)), nothing)


def test_every_step_counts_and_the_range_is_kept():
    prior, condition, noise = flow(), torch.eye(4), torch.randn(4, 3)
    few, many = (prior.sample(condition, noise, SamplingOptions(steps=n)) for n in (1, 50))
    assert not torch.allclose(few, many, atol=1e-3)
    for wrong in (
        SamplingOptions(steps=0),
        SamplingOptions(steps=51),
        SamplingOptions(guidance=-0.1),
        SamplingOptions(guidance=math.nan),
    ):
        with pytest.raises(UserError, match="out of range"):
            prior.sample(condition, noise, wrong)


@pytest.mark.slow
def test_a_new_flow_does_not_move_and_learns_each_condition_s_own_latents():
    torch.manual_seed(0)
    config = FlowConfig(FlowPrior.Config(width=32, depth=1), size=2)
    prior = config.build(latents((2,)))
    noise, both = torch.randn(200, 2), torch.eye(2).repeat(100, 1)
    torch.testing.assert_close(prior.sample(both, noise), noise)

    centres, spread = torch.tensor([[5.0, 1.0], [-3.0, 2.0]]), torch.tensor([0.5, 0.1])
    stretched = torch.cat([centres[both.argmax(1)], spread.log().mul(2).expand(200, 2)], dim=1)
    prior.fit_scale(*stretched.chunk(2, dim=1))
    torch.testing.assert_close(prior.mean, centres.mean(0))
    torch.testing.assert_close(prior.scale, (centres.var(0, correction=0) + spread.square()).sqrt())
    training = FlowMatching(prior, few_step=False)
    optimizer = torch.optim.Adam(prior.parameters(), 3e-3)
    for step in range(400):
        optimizer.zero_grad()
        training.loss(stretched, both, draws(200, step)).total.backward()
        optimizer.step()
    prior.eval()
    with torch.no_grad():
        drawn = prior.sample(both, noise, SamplingOptions(guidance=1.0, steps=20)).view(100, 2, 2)
        true = -0.5 * (2 + 2 * spread.log().sum() + 2 * math.log(2 * math.pi))
        density = prior.log_prob(stretched[:, :2] + spread * noise, both)
    torch.testing.assert_close(drawn.mean(0), centres, rtol=0, atol=0.3)
    torch.testing.assert_close(drawn.std(0), spread.expand(2, 2), rtol=0.5, atol=0.05)
    torch.testing.assert_close(density.mean(), true, rtol=0, atol=0.5)

    # Then strides: one evaluation lands where twenty steps of the solver do.
    prior.strides.fill_(True)
    training = FlowMatching(prior.train(), few_step=True)
    for step in range(300):
        optimizer.zero_grad()
        training.loss(stretched, both, draws(200, step)).total.backward()
        optimizer.step()
    with torch.no_grad():
        jumped = prior.sample(both, noise, SamplingOptions(steps=1)).view(100, 2, 2)
    torch.testing.assert_close(jumped.mean(0), centres, rtol=0, atol=1.0)


READS = dataclasses.replace(SMALL, guidance=2.0, guidance_input=5.0)


@pytest.mark.parametrize("shape", [(3,), (2, 4, 4)])
def test_a_scale_that_the_network_reads_takes_one_evaluation_and_others_take_two(shape):
    prior, condition = flow(shape, READS), torch.eye(4)
    at, time = torch.randn(4, *shape), torch.linspace(0, 0.9, 4)
    rows, network = [], prior.velocity.forward
    prior.velocity.forward = lambda x, *given: (rows.append(len(x)), network(x, *given))[1]

    def velocity(guidance, negative=None):
        with torch.no_grad():
            return prior.guided_velocity(condition, guidance, negative)(at, time)

    plain, apart = velocity(1.0), velocity(1.0, torch.zeros(4, 4))
    torch.testing.assert_close(plain, apart)
    assert not torch.allclose(velocity(3.0), velocity(5.0), atol=1e-3)
    assert rows == [4, 8, 4, 4]
    empty = velocity(0.0)  # the velocity of the empty condition
    torch.testing.assert_close(velocity(6.0), empty + 6 * (plain - empty), rtol=1e-4, atol=1e-4)
    assert rows[4:] == [8, 8]
    # Before it has learned any scale, all are the velocity without guidance.
    nn.init.zeros_(prior.velocity.guidance)
    torch.testing.assert_close(velocity(4.0), plain)


def test_the_guided_velocity_of_two_evaluations_is_what_a_scale_is_trained_on():
    prior, condition = flow(config=READS), torch.eye(4).repeat(500, 1)
    latent = torch.randn(2000, 3, generator=torch.Generator().manual_seed(1))
    nn.init.zeros_(prior.velocity.guidance)
    with torch.no_grad():
        # The network reads nothing yet, so the error is what the teacher's guidance adds, (s - 1) (v(c) - v()).
        found = guidance_errors(prior, latent, condition, draws(2000), copy.deepcopy(prior))
        seeds = draws(2000)
        noise, time, scale = seeds.normal(3), seeds.uniform(), 1 + 4 * seeds.uniform()
        at, still = torch.lerp(noise, latent, time[:, None]), torch.zeros(2000)
        difference = prior.velocity(at, time, still, condition) - prior.velocity(at, time, still, 0 * condition)
    wanted = ((scale - 1)[:, None] * difference).square().mean(1)
    torch.testing.assert_close(found, wanted, rtol=1e-3, atol=1e-5)
    assert float(scale.min()) < 1.1 < 4.9 < float(scale.max())


def test_autoguidance_leads_away_from_the_weak_flow():
    prior, weak, condition = flow(config=READS), flow(config=READS), torch.eye(4).repeat(500, 1)
    for number, parameter in enumerate(weak.parameters()):
        nn.init.normal_(parameter, std=0.2, generator=torch.Generator().manual_seed(number))
    latent = torch.randn(2000, 3, generator=torch.Generator().manual_seed(1))
    nn.init.zeros_(prior.velocity.guidance)
    with torch.no_grad():
        found = guidance_errors(prior, latent, condition, draws(2000), copy.deepcopy(prior), weak, 1.5)
        seeds = draws(2000)
        noise, time, scale = seeds.normal(3), seeds.uniform(), 1 + 4 * seeds.uniform()
        at, still = torch.lerp(noise, latent, time[:, None]), torch.zeros(2000)
        own, empty = (prior.velocity(at, time, still, given) for given in (condition, 0 * condition))
        weaker = weak.velocity(at, time, still, condition)
    # What both kinds of guidance add to the velocity, which reads no scale yet.
    wanted = ((scale - 1)[:, None] * (own - empty) + 0.5 * (own - weaker)).square().mean(1)
    torch.testing.assert_close(found, wanted, rtol=1e-3, atol=1e-5)


@pytest.mark.slow
def test_a_flow_learns_to_read_the_guidance_scale():
    prior, both = flow((2,), READS, size=2).train(), torch.eye(2).repeat(100, 1)
    nn.init.zeros_(prior.velocity.guidance)
    centres = torch.tensor([[1.0, 0.5], [-0.5, 1.0]])
    images = torch.cat([centres[both.argmax(1)], torch.full((200, 2), -1.0)], dim=1)
    for stage, terms in ((False, {"velocity"}), (True, {"velocity", "guidance"})):
        training, optimizer = FlowMatching(prior, reads_guidance=stage), torch.optim.Adam(prior.parameters(), 3e-3)
        for step in range(300):
            optimizer.zero_grad()
            loss = training.loss(images, both, draws(200, step))
            loss.total.backward()
            optimizer.step()
        assert set(loss.terms) == terms
    with torch.no_grad():
        at, time = torch.randn(200, 2, generator=torch.Generator().manual_seed(1)), torch.linspace(0, 0.9, 200)
        read = prior.guided_velocity(both, 4.0)(at, time)
        computed = prior.guided_velocity(both, 4.0, torch.zeros_like(both))(at, time)
        plain = prior.guided_velocity(both, 1.0)(at, time)
    assert float((read - computed).square().mean()) < 0.35 * float((plain - computed).square().mean())


def test_a_guidance_input_reaches_the_default_scale():
    with pytest.raises(UserError, match="the default scale is 4"):
        flow(config=dataclasses.replace(SMALL, guidance=4.0, guidance_input=3.0))


def test_a_guidance_input_needs_the_empty_condition_and_no_other_loss():
    with pytest.raises(UserError, match="with dropped conditions"):
        flow(config=dataclasses.replace(SMALL, guidance_input=3.0, dropout=0.0))
    with pytest.raises(UserError, match="does not go with a guidance input"):
        FlowConfig(dataclasses.replace(SMALL, guidance_input=3.0), "tree", size=9).build(latents((3,)))


def test_the_shortest_strides_are_guided_midpoint_steps():
    prior, condition = flow(), torch.eye(4)
    at, time = torch.randn(4, 3), torch.tensor([0.0, 0.125, 0.5, 0.875])
    stride = torch.full((4,), 1 / SMALL.steps)
    guided = prior.guided_velocity(condition, SMALL.guidance)
    with torch.no_grad():
        half = at + stride[:, None] / 2 * guided(at, time)
        torch.testing.assert_close(
            shortcut_targets(prior, at, time, stride, condition), guided(half, time + stride / 2)
        )
        # A longer one is the mean of its halves, taken as strides, without more guidance.
        longer, halves = torch.full((4,), 0.5), torch.full((4,), 0.25)
        first = prior.velocity(at, time / 2, halves, condition)
        second = prior.velocity(at + 0.25 * first, time / 2 + 0.25, halves, condition)
        found = shortcut_targets(prior, at, time / 2, longer, condition)
    torch.testing.assert_close(found, (first + second) / 2)


def test_half_of_all_strides_are_the_shortest_and_the_others_any_length(monkeypatch):
    prior, strides = flow(), []
    plain = shortcut_targets

    def targets(prior, at, time, length, condition):
        strides.append((time, length))
        return plain(prior, at, time, length, condition)

    monkeypatch.setattr(objectives, "shortcut_targets", targets)
    shortcut_errors(prior, torch.randn(6000, 3), torch.eye(4).repeat(1500, 1), draws(6000))
    ((time, stride),) = strides
    lengths = [2.0**-n for n in range(int(math.log2(SMALL.steps)) + 1)]
    assert sorted(set(stride.tolist()), reverse=True) == lengths
    shares = [float((stride == length).double().mean()) for length in lengths]
    assert shares[-1] == pytest.approx(0.5, abs=0.03)
    assert shares[:-1] == pytest.approx([0.5 / (len(lengths) - 1)] * (len(lengths) - 1), abs=0.03)
    # Each begins where one of its length can, and ends at 1 at the latest.
    assert bool(((time / stride).frac() == 0).all() and (time + stride <= 1).all())


def test_shortcuts_are_trained_on_half_of_the_images_and_velocities_on_the_others(monkeypatch):
    training, seen = FlowMatching(flow(), few_step=True), {}
    for name in ("matching_errors", "shortcut_errors"):
        plain = getattr(objectives, name)
        spy = lambda *given, name=name, plain=plain: seen.setdefault(name, (given[2], plain(*given)))[1]
        monkeypatch.setattr(flow_matching, name, spy)
    conditions = torch.cat([torch.arange(1.0, 401)[:, None], torch.zeros(400, 3)], dim=1)
    terms = training.loss(torch.randn(400, 6), conditions, draws(400))
    numbers = {name: conditions[:, 0].tolist() for name, (conditions, _) in seen.items()}
    assert sorted(numbers["shortcut_errors"] + numbers["matching_errors"]) == conditions[:, 0].tolist()
    assert 150 < len(numbers["shortcut_errors"]) < 250
    torch.testing.assert_close(terms.terms["stride"], seen["shortcut_errors"][1].sum() / 200)
    torch.testing.assert_close(terms.total, terms.terms["velocity"] + terms.terms["stride"])


@pytest.mark.parametrize("shape", [(3,), (2, 4, 4), (2, 7, 5)])
def test_a_batch_may_have_no_shortest_stride(shape):
    prior, at = flow(shape), torch.randn(4, *shape)
    found = shortcut_targets(prior, at, torch.zeros(4), torch.full((4,), 0.5), torch.eye(4))
    assert found.shape == at.shape
    assert found.isfinite().all()


@pytest.mark.parametrize("shape", [(5,), (2, 4, 4)])
def test_words_are_attended_to_and_padding_is_not(shape):
    torch.manual_seed(0)
    prior = FlowConfig(SMALL, "words", size=9).build(latents(shape)).eval()
    for parameter in prior.velocity.parameters():
        nn.init.normal_(parameter, std=0.3)
    tokens = torch.tensor([[1, 4, 5, 2], [1, 5, 4, 2], [0, 0, 0, 0]])
    noise = torch.randn(1, *shape).expand(3, *shape)
    drawn = prior.sample(tokens, noise)
    padded = prior.sample(nn.functional.pad(tokens, (0, 3)), noise)
    torch.testing.assert_close(drawn, padded)
    assert drawn.isfinite().all()
    assert not torch.allclose(drawn[0], drawn[2], atol=1e-3)
    if len(shape) == 3:
        assert not torch.allclose(drawn[0], drawn[1], atol=1e-3)  # the order of the words counts


@pytest.mark.slow
def test_frozen_word_vectors_are_read_as_they_are():
    prior = FlowConfig(SMALL, "vectors", size=6).build(latents((2, 4, 4))).eval()
    for parameter in prior.velocity.parameters():
        nn.init.normal_(parameter, std=0.3)
    vectors = torch.randn(2, 3, 6)
    vectors[:, 2] = 0
    noise = torch.randn(2, 2, 4, 4)
    torch.testing.assert_close(prior.sample(vectors, noise), prior.sample(vectors[:, :2], noise))


def test_words_of_padding_are_zeros_and_need_no_company():
    torch.manual_seed(0)
    reader = WordTransformer(9, 16).eval()
    tokens = torch.tensor([[1, 4, 2, 0, 0], [0, 0, 0, 0, 0]])
    read = reader(tokens)
    assert read.shape == (2, 3, 16)  # what is padding in every caption costs nothing
    assert read[tokens[:, :3] == 0].eq(0).all()
    torch.testing.assert_close(read[:1], reader(tokens[:1, :3]))
    in_training = reader.train()(tokens)
    assert in_training.shape == (2, 5, 16)
    torch.testing.assert_close(read, in_training[:, :3])


@pytest.mark.slow
def test_attention_is_the_same_where_gradients_flow():
    torch.manual_seed(0)
    prior = FlowConfig(SMALL, "words", size=9).build(latents((2, 4, 4))).eval()
    for parameter in prior.velocity.parameters():
        nn.init.normal_(parameter, std=0.3)
    tokens, noise = torch.tensor([[1, 4, 5, 2], [1, 5, 0, 0]]), torch.randn(2, 2, 4, 4)
    with torch.no_grad():
        drawn = prior.sample(tokens, noise)
    torch.testing.assert_close(drawn, prior.sample(tokens, noise))


@pytest.mark.slow
def test_words_left_out_close_up_in_order_and_any_number_of_them_is():
    torch.manual_seed(0)
    captions = torch.tensor([[1, 2, 3, 4, 5, 6, 7, 8, 0, 0]]).repeat(9000, 1)
    shortened = drop_words(captions, 0.5, draws(9000))
    number = (shortened != 0).sum(1)
    assert all(row[:n].diff().gt(0).all() and row[n:].eq(0).all() for row, n in zip(shortened, number, strict=True))
    # Half of the captions are whole, and one in nine of the others.
    expected = torch.full((9,), 0.5 / 9)
    expected[8] += 0.5
    torch.testing.assert_close(number.bincount(minlength=9) / 9000, expected, atol=0.02, rtol=0)
    assert drop_words(captions, 0.0, draws(9000)).equal(captions)


def test_words_are_left_out_of_what_a_flow_is_taught_but_not_of_prompts(monkeypatch):
    torch.manual_seed(0)
    shape, captions = (2, 4, 4), torch.arange(1, 9).repeat(64, 1)
    prior = FlowConfig(dataclasses.replace(SMALL, word_dropout=1.0), "words", size=9).build(latents(shape))
    seen = []
    monkeypatch.setattr(prior.features, "forward", lambda tokens: seen.append(tokens) or torch.zeros(*tokens.shape, 16))
    FlowMatching(prior, few_step=False).loss(torch.zeros(64, 4, 4, 4), captions, draws(64))
    assert (seen[0] == 0).float().mean() > 0.3
    prior.sample(captions, torch.zeros(64, *shape), SamplingOptions(guidance=1.0))
    assert seen[-1].equal(captions)


def test_numbers_have_no_words_to_leave_out():
    with pytest.raises(UserError, match="word dropout"):
        FlowConfig(dataclasses.replace(SMALL, word_dropout=0.5)).build(latents((2, 4, 4)))


def test_a_vae_with_a_flow_keeps_its_posterior_and_likelihood():
    torch.manual_seed(0)
    vae = LabelConv.Config(channels=(4, 8, 8), latent_dim=4, embedding_dim=8).build().eval()
    model = WithFlow(vae, FlowConfig(SMALL).build(vae)).eval()
    images, condition = torch.rand(3, 1, 28, 28), torch.eye(10)[:3]
    torch.testing.assert_close(model.reconstruct(images, condition), vae.reconstruct(images, condition))
    # Untrained, the flow does not move: it is N(0, I), like the prior it replaces.
    noise = torch.randn(3, 4)
    torch.testing.assert_close(model.sample(condition, noise), vae.sample(condition, noise))
    torch.testing.assert_close(
        model.prior.log_prob(noise, condition), vae.prior.log_prob(noise, condition), rtol=1e-4, atol=1e-4
    )
    mean, log_variance = moments(model, images, condition).chunk(2, dim=1)
    torch.testing.assert_close(mean, vae.posterior(images, condition).mean)
    torch.testing.assert_close(log_variance, vae.posterior(images, condition).log_variance)


def test_other_priors_can_t_be_led():
    vae = LabelConv.Config(channels=(4, 8, 8), latent_dim=4, embedding_dim=8).build()
    for asked in (
        SamplingOptions(guidance=2.0),
        SamplingOptions(steps=3),
        SamplingOptions(negative=torch.zeros(1, 10)),
    ):
        with pytest.raises(UserError, match="negative prompt"):
            vae.sample(torch.eye(10)[:1], torch.randn(1, 4), asked)
    assert vae.sample(torch.eye(10)[:1], torch.randn(1, 4), SamplingOptions()).shape == (1, 1, 28, 28)


class Rectified(nn.Module):
    """The velocity of a rectified flow to N(0, C): E[x1 - x0 | x at t], in closed form."""

    def __init__(self, covariance: torch.Tensor) -> None:
        super().__init__()
        self.covariance = covariance

    def forward(self, x, time, length, features):
        t, one = float(time[0]), torch.eye(len(self.covariance))
        gain = (t * self.covariance - (1 - t) * one) @ torch.linalg.inv(t**2 * self.covariance + (1 - t) ** 2 * one)
        return (x.flatten(1) @ gain.T).view_as(x)


@pytest.mark.slow
def test_what_is_filled_in_agrees_with_what_is_known(monkeypatch):
    prior = flow((1, 1, 2))
    prior.velocity = Rectified(torch.tensor([[1.0, 0.9], [0.9, 1.0]]))
    latent = torch.tensor([[[1.5, 0.0]]]).expand(4000, 1, 1, 2)
    known = torch.tensor([[[True, False]]]).expand(4000, 1, 1, 2)

    def filled() -> torch.Tensor:
        draws = torch.Generator().manual_seed(0)
        noise = lambda: torch.randn(latent.shape, generator=draws)
        return prior.inpaint(latent, known, torch.eye(4)[:1].expand(4000, 4), noise, SamplingOptions(1.0))[
            ..., 1
        ].flatten()

    # Given 1.5, the other one is N(1.35, 0.19): more rounds come nearer to it.
    errors = []
    for rounds in (1, 4, 16):
        monkeypatch.setattr(flow_module, "INPAINTING_ROUNDS", rounds)
        found = filled()
        errors.append(abs(float(found.mean()) - 1.35))
    assert errors[0] > 2 * errors[1] > 4 * errors[2]
    assert abs(float(found.std()) - 0.19**0.5) < 0.05


class FromGaussian(nn.Module):
    """The velocity of the flow to N(condition, 1), for latents of one dimension."""

    def forward(self, x, time, length, features):
        t = time[:, None]
        return features + (2 * t - 1) / ((1 - t) ** 2 + t**2) * (x - t * features)


@pytest.mark.slow
def test_the_relative_bound_compares_conditions_as_the_density_does() -> None:
    prior = flow((1,), size=1)
    prior.velocity = FromGaussian()
    prior.scale.fill_(2.0)
    count, latent = 200_000, torch.tensor([[0.6]])
    means = [torch.tensor([[mean]]) for mean in (0.0, 1.0, -0.5)]
    # In units of the standardised latent, which is 0.3.
    exact = [float(-0.5 * (0.3 - mean).square()) for mean in means]
    with torch.no_grad():
        bounds = [
            float(prior.relative_bound(latent.expand(count, 1), mean.expand(count, 1), draws(count)).double().mean())
            for mean in means
        ]
    for other in (1, 2):
        assert bounds[other] - bounds[0] == pytest.approx(exact[other] - exact[0], abs=0.03)
