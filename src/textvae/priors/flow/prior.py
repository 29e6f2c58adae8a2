"""A rectified-flow prior p(z|c): an ordinary differential equation from noise to latents (Liu et al. 2023)."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from textvae.priors.flow.mlp import MLPVelocity
from textvae.priors.flow.solvers import MAX_GUIDANCE, MAX_STEPS, Solver, check_sampling, solve, spaced
from textvae.priors.flow.unet import UNetVelocity
from textvae.priors.flow.velocity import Velocity
from textvae.priors.options import SamplingOptions
from textvae.utils.config import Count, Pixels, Range, Share, Size
from textvae.utils.errors import UserError
from textvae.utils.random import Draws

INPAINTING_STEPS, INPAINTING_ROUNDS = 16, 8
"""Default number of inpainting steps, and how often each is repeated."""

VelocityFunction = Callable[[Tensor, Tensor], Tensor]
"""From standardised latents and times to velocities."""


class FlowPrior(nn.Module):
    """p(z|c) as the solution at t = 1 of an ordinary differential equation that starts from N(0, I) at t = 0.

    Latents are standardised by a mean and a scale that are measured once and stored with the weights. A network learns
    their velocity (``objectives.matching_errors``). A condition of zeros is the empty condition. It replaces a
    fraction ``dropout`` of the training conditions, for classifier-free guidance (Ho & Salimans 2022).

    The network may also take the guidance scale as an input, up to ``guidance_input`` (``objectives.guidance_errors``).
    Such scales cost one evaluation of the network per step; others, and negative conditions, cost two.

    After the few-step training (``objectives.shortcut_errors``), long steps take one evaluation of the network each,
    with the guidance of the configuration included.
    """

    supports_guidance = True
    has_density = False

    @dataclass(frozen=True)
    class Config:
        """Sizes of a FlowPrior, and its default sampling options."""

        width: Size = 192
        """Latent vectors: features of the layers. Latent grids: channels of the smaller grid."""
        depth: Count = 3
        """Latent vectors: number of layers. Latent grids: residual blocks on the smaller grid."""
        sides: Count = 2
        """Residual blocks on the larger grid, both before and after the smaller grid (latent grids only)."""
        patch: Pixels = 1
        """Patch size: latents per side that form one position of the larger grid (latent grids only)."""
        heads: Size = 4
        """Heads of the attention to words (latent grids only)."""
        dropout: Share = 0.1
        """Fraction of training conditions replaced by the empty condition, which guidance needs; 0: none."""
        word_dropout: Annotated[float, Range(0, 1)] = 0.0
        """Fraction of training captions from which random words are removed, so that short prompts work (token ids
        only)."""
        guidance: Annotated[float, Range(0, MAX_GUIDANCE)] = 1.5
        """Classifier-free guidance scale: 1 samples p(z|c) itself, more follows the condition with less variety."""
        guidance_input: Annotated[float, Range(0, MAX_GUIDANCE)] = 0.0
        """Largest guidance scale that the network takes as an input; 0: none."""
        steps: Annotated[int, Range(1, MAX_STEPS)] = 8
        """Number of sampling steps."""
        solver: Solver = "heun"
        """multistep (two-step Adams-Bashforth) evaluates the network once a step, heun and midpoint twice."""
        spacing: Annotated[float, Range(1, 5)] = 1.0
        """Step k of n ends at time (k / n) to the power of spacing."""

    def __init__(
        self,
        config: Config,
        latent_shape: tuple[int, ...],
        features: nn.Module,
        num_features: int,
        words: bool = False,
        untouched: int = 0,
    ) -> None:
        """Builds the prior.

        Args:
            config: its settings.
            latent_shape: of a latent: a vector, or channels, height, width.
            features: turns a condition into [n, num_features], or with ``words`` into [n, words, num_features] with
                zeros for padding.
            num_features: see ``features``.
            words: see ``features``.
            untouched: number of leading latent dimensions that are N(0, I) given any condition; their noise is kept.
        """
        super().__init__()
        check_sampling(config.guidance, config.steps)
        if config.guidance_input and config.guidance_input < max(config.guidance, 1.1):
            raise UserError(
                f"guidance_input {config.guidance_input:g} is too low: the default scale is {config.guidance:g}",
                f"set guidance_input to 0, or to {max(config.guidance, 1.1):g} or more",
            )
        if config.guidance_input and not config.dropout:
            raise UserError(
                "a guidance input needs training with dropped conditions, and dropout is 0",
                "set guidance_input to 0, or dropout to more than 0",
            )
        self.config = config
        self.latent_shape = latent_shape
        self.untouched = untouched
        self.features = features
        if len(latent_shape) == 3:
            heads = config.heads if words else 0
            self.velocity: Velocity = UNetVelocity(
                latent_shape,
                num_features,
                config.width,
                config.depth,
                config.sides,
                config.patch,
                heads,
                config.guidance_input,
            )
            moments_shape: tuple[int, ...] = (latent_shape[0], 1, 1)
        else:
            self.velocity = MLPVelocity(
                latent_shape, num_features, config.width, config.depth, untouched, config.guidance_input
            )
            moments_shape = latent_shape
        self.register_buffer("mean", torch.zeros(moments_shape))
        self.register_buffer("scale", torch.ones(moments_shape))
        self.register_buffer("strides", torch.tensor(False))

    mean: Tensor
    scale: Tensor
    strides: Tensor
    """Whether the network was trained for few-step sampling."""

    @torch.no_grad()
    def fit_scale(self, mean: Float[Tensor, "n *latent"], log_variance: Float[Tensor, "n *latent"]) -> None:
        """Measures the mean and scale of the latents of all training images, by channel or by dimension."""
        over = (0, 2, 3) if mean.dim() == 4 else (0,)
        # In parts, since the latents may be in a file that is larger than the memory.
        pairs = zip(torch.split(mean, 1 << 14), torch.split(log_variance, 1 << 14), strict=True)
        parts = [(len(m) / len(mean), m, v) for m, v in pairs]
        centre = torch.stack([share * m.mean(over, keepdim=True) for share, m, _ in parts]).sum(0)
        variance = torch.stack([share * ((m - centre).square() + v.exp()).mean(over) for share, m, v in parts]).sum(0)
        self.mean.copy_(centre.view_as(self.mean))
        self.scale.copy_(variance.sqrt().clamp_min(1e-6).view_as(self.scale))
        self.mean[: self.untouched] = 0
        self.scale[: self.untouched] = 1

    def standardise(self, latent: Float[Tensor, "n *latent"]) -> Float[Tensor, "n *latent"]:
        """Latents with a mean of 0 and a scale of 1 over the training images."""
        return (latent - self.mean) / self.scale

    def unstandardise(self, latent: Float[Tensor, "n *latent"]) -> Float[Tensor, "n *latent"]:
        """The inverse of ``standardise``."""
        return latent * self.scale + self.mean

    def sample(
        self,
        condition: Tensor,
        noise: Float[Tensor, "n *latent"],
        sampling: SamplingOptions | None = None,
    ) -> Float[Tensor, "n *latent"]:
        """Latents computed from standard normal noise.

        Few-step sampling is used if the network was trained for it and the options match that training: the guidance
        scale of the configuration, a power of two as the number of steps, at most that of the configuration, and no
        negative or second condition.

        Raises:
            UserError: the guidance scale or the number of steps is out of range.
        """
        sampling, guidance, steps = _with_defaults(sampling, self.config.guidance, self.config.steps)
        one_condition = sampling.negative is None and sampling.second_condition is None
        as_trained = one_condition and guidance == self.config.guidance and steps <= self.config.steps
        if bool(self.strides) and sampling.few_step and as_trained and steps & (steps - 1) == 0:
            return self.unstandardise(self._few_step_sample(noise, condition, steps))
        velocity = self.guided_velocity(condition, guidance, sampling.negative)
        if sampling.second_condition is not None:
            first = velocity
            second = self.guided_velocity(sampling.second_condition, guidance, sampling.negative)
            velocity = lambda x, t: torch.lerp(first(x, t), second(x, t), sampling.weight)
        return self.unstandardise(solve(velocity, noise, spaced(steps, self.config.spacing), self.config.solver))

    def _few_step_sample(self, noise: Tensor, condition: Tensor, steps: int) -> Tensor:
        features, x = self.features(condition), noise
        length = noise.new_full((len(noise),), 1 / steps)
        for step in range(steps):
            x = x + self.velocity(x, length * step, length, features).float() / steps
        return x

    def inverse(self, latent: Float[Tensor, "n *latent"], condition: Tensor) -> Float[Tensor, "n *latent"]:
        """The noise from which ``sample`` computes these latents: the equation solved backwards.

        Without guidance, and with ``MAX_STEPS`` steps.
        """
        velocity = self.guided_velocity(condition, 1.0)
        times = spaced(MAX_STEPS, self.config.spacing)[::-1]
        return solve(velocity, self.standardise(latent), times, self.config.solver)

    def inpaint(
        self,
        latent: Float[Tensor, "n c h w"],
        known: Bool[Tensor, "n 1 h w"],
        condition: Tensor,
        noise: Callable[[], Float[Tensor, "n c h w"]],
        sampling: SamplingOptions | None = None,
    ) -> Float[Tensor, "n c h w"]:
        """Latents that equal ``latent`` at known positions and are sampled to fit them elsewhere.

        After each step the known positions are set to the point on their straight line from noise. Each step is
        repeated with new noise, so that known and sampled positions come to agree (RePaint, Lugmayr et al. 2022,
        sections 4.1 and 4.2, adapted from diffusion to flows).

        Args:
            latent: the known latents; the values elsewhere are ignored.
            known: which positions are known.
            condition: one row for each latent.
            noise: returns new standard normal noise at each call.
            sampling: guidance scale and steps; by default those of the prior and ``INPAINTING_STEPS``.
        """
        sampling, guidance, steps = _with_defaults(sampling, self.config.guidance, INPAINTING_STEPS)
        velocity = self.guided_velocity(condition, guidance, sampling.negative)
        goal, x = self.standardise(latent), noise()
        for step in range(steps):
            now, after = step / steps, (step + 1) / steps
            for remaining in reversed(range(INPAINTING_ROUNDS)):
                x = solve(velocity, x, (now, after), self.config.solver)
                x = torch.where(known, torch.lerp(noise(), goal, after), x)
                if remaining:
                    # Back to the start of the step: scaled down, with noise added up to the variance at that time.
                    scale = now / after
                    x = scale * x + math.sqrt((1 - now) ** 2 - (scale * (1 - after)) ** 2) * noise()
        return self.unstandardise(x)

    def guided_velocity(self, condition: Tensor, guidance: float, negative: Tensor | None = None) -> VelocityFunction:
        """The velocity with classifier-free guidance towards a condition and away from a negative one.

        The default negative condition is the empty condition. A scale that the network takes as an input needs one
        evaluation (Meng et al. 2023, section 3.1), other scales and negative conditions need two.
        """
        n = len(condition)
        if negative is None and 1 <= guidance <= max(1.0, self.config.guidance_input):
            given = [self.features(condition)]
            if guidance != 1:
                given.append(given[0].new_full((n,), guidance))
            return lambda x, t: self.velocity(x, t, torch.zeros_like(t), *given).float()
        away_from = torch.zeros_like(condition) if negative is None else negative
        both = self.features(torch.cat([condition, away_from]))

        def velocity(x: Tensor, t: Tensor) -> Tensor:
            time = t.repeat(2)
            pair = self.velocity(torch.cat([x, x]), time, torch.zeros_like(time), both).float()
            return torch.lerp(pair[n:], pair[:n], guidance)

        return velocity

    def log_prob(
        self, latent: Float[Tensor, "n *latent"], condition: Tensor, draws: Draws | None = None, steps: int = 16
    ) -> Float[Tensor, "n"]:
        """Log density in nats of p(z|c) without guidance (Chen et al. 2018, section 4).

        Args:
            latent: the latents.
            condition: one row for each latent.
            draws: of the random vector of Hutchinson's estimate of the divergence, which is unbiased (Grathwohl et al.
                2019); None computes the trace, with one backward pass for each dimension.
            steps: number of solver steps.
        """
        features = self.features(condition)
        x = self.standardise(latent)
        n, dimensions = len(x), x[0].numel()
        if draws is None:
            probes = torch.eye(dimensions, device=x.device).reshape(-1, 1, *x.shape[1:])
        else:
            probes = draws.integers(2, *x.shape[1:])[None] * 2 - 1.0

        def flow(state: Tensor, t: Tensor) -> Tensor:
            with torch.enable_grad():
                at = state[:, :-1].reshape_as(x).detach().requires_grad_()
                velocity = self.velocity(at, t, torch.zeros_like(t), features).float()
                trace = x.new_zeros(n)
                for probe in probes:
                    (slope,) = torch.autograd.grad(velocity, at, probe.expand_as(velocity), retain_graph=True)
                    trace = trace + (slope * probe).flatten(1).sum(1)
            return torch.cat([velocity.detach().flatten(1), trace[:, None]], dim=1)

        start = torch.cat([x.flatten(1), x.new_zeros(n, 1)], dim=1)
        end = solve(flow, start, spaced(steps)[::-1], self.config.solver)
        noise, change = end[:, :-1], end[:, -1]
        standard = -0.5 * (noise.square() + math.log(2 * math.pi)).sum(1)
        return standard + change - self.scale.log().expand_as(x[0]).sum()

    def relative_bound(
        self, latent: Float[Tensor, "n *latent"], condition: Tensor, draws: Draws, part: int = 0, parts: int = 1
    ) -> Float[Tensor, "n"]:
        """An unbiased estimate of a lower bound on log p(z|c) in nats, up to a number that depends on z alone.

        It costs one evaluation of the network, ``log_prob`` hundreds, and compares conditions of the same latent: it is
        the variational bound of the diffusion whose noise the flow removes (Kingma et al. 2021, equation 15), at one
        random time and noise. Ranking conditions by such errors: Li et al. 2023, "Your Diffusion Model is Secretly a
        Zero-Shot Classifier". To reduce the variance of a mean of several estimates, each can draw its
        times from a different one of ``parts`` equal parts of the unit interval.
        """
        target = self.standardise(latent)
        noise, time = draws.normal(*target.shape[1:]), (draws.uniform() + part) / parts
        t = time.view(-1, *[1] * (target.dim() - 1))
        features = self.features(condition)
        velocity = self.velocity(torch.lerp(noise, target, t), time, torch.zeros_like(time), features).float()
        errors = (velocity - (target - noise)).square().flatten(1).sum(1)
        weighted: Tensor = -errors * time / (1 - time).clamp_min(1e-3)
        return weighted

    def kl(
        self,
        mean: Float[Tensor, "n *latent"],
        log_variance: Float[Tensor, "n *latent"],
        condition: Tensor,
        draws: Draws,
    ) -> Float[Tensor, "n 1"]:
        """KL from a diagonal Gaussian posterior in nats, summed over dimensions, estimated with one sample."""
        scale = (0.5 * log_variance).exp()
        noise = draws.normal(*mean.shape[1:])
        own = (-0.5 * (noise.square() + math.log(2 * math.pi)) - scale.log()).flatten(1).sum(1)
        return (own - self.log_prob(mean + scale * noise, condition, draws))[:, None]


def _with_defaults(sampling: SamplingOptions | None, guidance: float, steps: int) -> tuple[SamplingOptions, float, int]:
    """The options, and their guidance scale and steps, or these where an option is None."""
    sampling = sampling or SamplingOptions()
    guidance = guidance if sampling.guidance is None else sampling.guidance
    steps = steps if sampling.steps is None else sampling.steps
    check_sampling(guidance, steps)
    return sampling, guidance, steps
