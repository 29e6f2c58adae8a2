"""A rectified-flow prior p(z|c): noise carried to latents along nearly straight lines (Liu et al. 2023)."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from textvae.priors.flow.mlp import MLPVelocity
from textvae.priors.flow.solvers import MAX_STEPS, Solver, check_sampling, solve
from textvae.priors.flow.unet import UNetVelocity
from textvae.priors.flow.velocity import Velocity
from textvae.priors.options import SamplingOptions

COMPLETING_STEPS, COMPLETING_ROUNDS = 16, 8
"""Of a completion, and how often it goes each of them."""


class FlowPrior(nn.Module):
    """p(z|c) as the end of an ordinary differential equation that begins at N(0, I).

    Latents are standardised first, with a mean and a scale that are measured once and kept with the weights. The
    network learns the velocity x1 - x0 at x = (1 - t) x0 + t x1 for noise x0 and latents x1 (``matching_error``), so a
    sample is noise that follows it from t = 0 to 1. A condition of zeros says nothing, and was seen in training a tenth
    of the time: so the velocity that a condition adds can be had apart, and amplified (Ho & Salimans 2022).

    A network that was also taught strides (``shortcut_error``) takes long steps with one evaluation each, its guidance
    learned along with them.
    """

    supports_guidance = True
    has_density = False

    @dataclass(frozen=True)
    class Config:
        """Sizes of a FlowPrior, and how it is sampled unless asked otherwise."""

        width: int = 192
        """Features of a vector's layers, or channels of the smaller of a grid's two grids."""
        depth: int = 3
        """Layers, or residual blocks of the smaller grid."""
        sides: int = 2
        """Residual blocks before the smaller grid, and after it; of no use to vectors."""
        patch: int = 1
        """Side of the square of latents that is one place of the larger grid; of no use to vectors."""
        heads: int = 4
        """Of the attention to words; of no use to vectors."""
        dropout: float = 0.1
        """Share of training conditions that are replaced by zeros, without which there is no guidance."""
        word_dropout: float = 0.0
        """Share of training captions of which words are left out, so that prompts may be shorter than captions are; of
        use to conditions that are token ids."""
        guidance: float = 1.5
        """How much is made of the condition: 1 is p(z|c) itself, more is more faithful and less varied."""
        steps: int = 8
        """Of the solver; where strides were learned, so many strides."""
        solver: Solver = "heun"
        """heun or midpoint; or multistep (Adams and Bashforth's), which asks the network once a step in place of twice,
        as it remembers the step before. All are of second order."""

    def __init__(
        self,
        config: Config,
        latent_shape: tuple[int, ...],
        features: nn.Module,
        num_features: int,
        words: bool = False,
    ) -> None:
        """``features`` turns a condition into [n, num_features], or ``words`` into [n, words, num_features], with zeros
        for padding.
        """
        super().__init__()
        check_sampling(config.guidance, config.steps)
        self.config = config
        self.latent_shape = latent_shape
        self.features = features
        if len(latent_shape) == 3:
            heads = config.heads if words else 0
            self.velocity: Velocity = UNetVelocity(
                latent_shape, num_features, config.width, config.depth, config.sides, config.patch, heads
            )
            each: tuple[int, ...] = (latent_shape[0], 1, 1)
        else:
            self.velocity = MLPVelocity(latent_shape, num_features, config.width, config.depth)
            each = latent_shape
        self.register_buffer("mean", torch.zeros(each))
        self.register_buffer("scale", torch.ones(each))
        self.register_buffer("strides", torch.tensor(False))

    mean: Tensor
    scale: Tensor
    strides: Tensor
    """Whether strides were learned."""

    # What it learns from.

    @torch.no_grad()
    def standardise(self, mean: Float[Tensor, "n *latent"], log_variance: Float[Tensor, "n *latent"]) -> None:
        """Measures mean and scale of the latents of all training images, by channel or by dimension."""
        over = (0, 2, 3) if mean.dim() == 4 else (0,)
        centre = mean.mean(over, keepdim=True)
        variance = ((mean - centre).square() + log_variance.exp()).mean(over)
        self.mean.copy_(centre.view_as(self.mean))
        self.scale.copy_(variance.sqrt().clamp_min(1e-6).view_as(self.scale))

    def matching_error(self, latent: Float[Tensor, "n *latent"], condition: Tensor) -> Float[Tensor, ""]:
        """Mean squared error of the velocity, over dimensions and images, with random times and noise.

        Times are logit-normal: most of the difficulty is in the middle (Esser et al. 2024, section 3.1).
        """
        target = self._standard(latent)
        noise = torch.randn_like(target)
        time = torch.randn(len(target), device=target.device).sigmoid()
        kept = torch.rand(len(target), device=target.device) >= self.config.dropout
        features = self.features(_where(kept, condition))
        at = torch.lerp(noise, target, _as(time, target))
        velocity = self.velocity(at, time, torch.zeros_like(time), features)
        return F.mse_loss(velocity.float(), target - noise)

    def shortcut_error(self, latent: Float[Tensor, "n *latent"], condition: Tensor) -> Float[Tensor, ""]:
        """Mean squared error of a stride against two strides of half its length (Frans et al. 2025, section 3).

        The shortest strides learn from the guided velocity, the longer ones from strides of half their length, as the
        network takes them now. Half of all strides are the shortest: on them all others rest.
        """
        target = self._standard(latent)
        noise = torch.randn_like(target)
        n, device = len(target), target.device
        most = int(math.log2(self.config.steps))
        halved = torch.randint(0, max(most, 1), (n,), device=device)
        number = 2.0 ** torch.where(torch.rand(n, device=device) < 0.5, most, halved)
        time = (torch.rand(n, device=device) * number).floor() / number
        at = torch.lerp(noise, target, _as(time, target))
        goal = self._two_halves(at, time, 1 / number, condition)
        velocity = self.velocity(at, time, 1 / number, self.features(condition))
        return F.mse_loss(velocity.float(), goal)

    @torch.no_grad()
    def _two_halves(self, at: Tensor, time: Tensor, stride: Tensor, condition: Tensor) -> Tensor:
        """The mean velocity over a stride; of the shortest ones, by the midpoint rule."""
        features, nothing = self.features(condition), self.features(torch.zeros_like(condition))
        finest = stride <= 1 / self.config.steps
        half = torch.where(finest, torch.zeros_like(stride), stride / 2)

        def velocity(x: Tensor, t: Tensor) -> Tensor:
            told = self.velocity(x, t, half, features).float()
            if not finest.any():
                return cast(Tensor, told)
            silent = self.velocity(x[finest], t[finest], half[finest], nothing[finest]).float()
            told[finest] = torch.lerp(silent, told[finest], self.config.guidance)
            return cast(Tensor, told)

        first = velocity(at, time)
        second = velocity(at + _as(stride / 2, at) * first, time + stride / 2)
        return torch.where(_as(finest, at), second, (first + second) / 2)

    # Drawing.

    def sample(
        self,
        condition: Tensor,
        noise: Float[Tensor, "n *latent"],
        sampling: SamplingOptions | None = None,
    ) -> Float[Tensor, "n *latent"]:
        """Latents made of standard normal noise.

        Raises:
            UserError: the guidance or the number of steps is out of range.
        """
        sampling, guidance, steps = _asked(sampling, self.config.guidance, self.config.steps)
        plain = sampling.negative is None and sampling.towards is None
        as_learned = sampling.strides and plain and guidance == self.config.guidance
        if bool(self.strides) and as_learned and steps <= self.config.steps and steps & (steps - 1) == 0:
            return self._unstandard(self._stride(noise, condition, steps))
        if sampling.towards is None:
            velocity = self.guided(condition, guidance, sampling.negative)
        else:
            velocity = self._between(condition, guidance, sampling)
        return self._unstandard(solve(velocity, noise, 0.0, 1.0, steps, self.config.solver))

    def noise_of(
        self, latent: Float[Tensor, "n *latent"], condition: Tensor, sampling: SamplingOptions | None = None
    ) -> Float[Tensor, "n *latent"]:
        """The noise that the solver would carry to these latents: the flow backwards."""
        sampling, guidance, steps = _asked(sampling, 1.0, MAX_STEPS)
        velocity = self.guided(condition, guidance, sampling.negative)
        return solve(velocity, self._standard(latent), 1.0, 0.0, steps, self.config.solver)

    def inpaint(
        self,
        latent: Float[Tensor, "n c h w"],
        known: Bool[Tensor, "n 1 h w"],
        condition: Tensor,
        noise: Callable[[], Float[Tensor, "n c h w"]],
        sampling: SamplingOptions | None = None,
    ) -> Float[Tensor, "n c h w"]:
        """Latents that are ``latent`` where it is known, and elsewhere what fits it and the condition.

        At each time the known places are put where their straight line from the noise has come to, and the others go
        on from what they make of them. Each step is gone several times over, with new noise, so that what is filled in
        and what is known come to agree (Lugmayr et al. 2022, sections 4.1 and 4.2, carried from diffusion to flows).

        Args:
            latent: what is known, with anything elsewhere.
            known: where.
            condition: one a latent.
            noise: draws standard normal noise, new at each call.
            sampling: guidance and steps; default: the prior's guidance, ``COMPLETING_STEPS`` steps.
        """
        sampling, guidance, steps = _asked(sampling, self.config.guidance, COMPLETING_STEPS)
        velocity = self.guided(condition, guidance, sampling.negative)
        goal, x = self._standard(latent), noise()
        for step in range(steps):
            now, after = step / steps, (step + 1) / steps
            for again in reversed(range(COMPLETING_ROUNDS)):
                x = solve(velocity, x, now, after, 1, self.config.solver)
                x = torch.where(known, torch.lerp(noise(), goal, after), x)
                if again:
                    # Back to where the step began: shrunk to its share of the latents, and noise up to its variance.
                    share = now / after
                    x = share * x + math.sqrt((1 - now) ** 2 - (share * (1 - after)) ** 2) * noise()
        return self._unstandard(x)

    def guided(self, condition: Tensor, guidance: float, negative: Tensor | None) -> Callable[[Tensor, Tensor], Tensor]:
        """(standardised latents, times) to velocities, led towards a condition and away from a negative one.

        Without a negative condition it is led away from what is drawn when nothing is said.
        """
        n = len(condition)
        if guidance == 1 and negative is None:
            features = self.features(condition)
            return lambda x, t: self.velocity(x, t, torch.zeros_like(t), features).float()
        against = torch.zeros_like(condition) if negative is None else negative
        both = self.features(torch.cat([condition, against]))

        def velocity(x: Tensor, t: Tensor) -> Tensor:
            time = t.repeat(2)
            pair = self.velocity(torch.cat([x, x]), time, torch.zeros_like(time), both).float()
            return torch.lerp(pair[n:], pair[:n], guidance)

        return velocity

    def _between(
        self, condition: Tensor, guidance: float, sampling: SamplingOptions
    ) -> Callable[[Tensor, Tensor], Tensor]:
        """Led, with the same guidance, in the direction that lies between those of two conditions."""
        assert sampling.towards is not None
        first = self.guided(condition, guidance, sampling.negative)
        second = self.guided(sampling.towards, guidance, sampling.negative)
        return lambda x, t: torch.lerp(first(x, t), second(x, t), sampling.share)

    def _stride(self, noise: Tensor, condition: Tensor, steps: int) -> Tensor:
        features, x = self.features(condition), noise
        stride = noise.new_full((len(noise),), 1 / steps)
        for step in range(steps):
            x = x + self.velocity(x, stride * step, stride, features).float() / steps
        return x

    # Density.

    def log_prob(
        self, latent: Float[Tensor, "n *latent"], condition: Tensor, steps: int = 16, exact: bool = False
    ) -> Float[Tensor, "n"]:
        """Log density in nats of p(z|c), unguided (Chen et al. 2018, section 4: instantaneous change of variables).

        Args:
            latent: where.
            condition: one a latent.
            steps: of the solver, from the latents back to noise.
            exact: the divergence of the velocity as a whole trace, one backward pass a dimension; else Hutchinson's
                estimate with one random vector a latent (Grathwohl et al. 2019), right on average.
        """
        features = self.features(condition)
        x = self._standard(latent)
        n, dimensions = len(x), x[0].numel()
        probes = torch.eye(dimensions, device=x.device) if exact else torch.randint(0, 2, (1, n * dimensions)) * 2 - 1.0
        shape = (-1, 1, *x.shape[1:]) if exact else (1, *x.shape)
        probes = probes.to(x.device).reshape(shape)

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
        end = solve(flow, start, 1.0, 0.0, steps, self.config.solver)
        noise, change = end[:, :-1], end[:, -1]
        standard = -0.5 * (noise.square() + math.log(2 * math.pi)).sum(1)
        return standard + change - self.scale.log().expand_as(x[0]).sum()

    def kl(
        self, mean: Float[Tensor, "n *latent"], log_variance: Float[Tensor, "n *latent"], condition: Tensor
    ) -> Float[Tensor, "n 1"]:
        """KL from a diagonal Gaussian posterior in nats, all dimensions together, estimated with one draw."""
        scale = (0.5 * log_variance).exp()
        noise = torch.randn_like(mean)
        own = (-0.5 * (noise.square() + math.log(2 * math.pi)) - scale.log()).flatten(1).sum(1)
        return (own - self.log_prob(mean + scale * noise, condition))[:, None]

    def _standard(self, latent: Tensor) -> Tensor:
        return (latent - self.mean) / self.scale

    def _unstandard(self, latent: Tensor) -> Tensor:
        return latent * self.scale + self.mean


def _asked(sampling: SamplingOptions | None, guidance: float, steps: int) -> tuple[SamplingOptions, float, int]:
    """What is asked, and its guidance and steps, with others for those that are left open."""
    sampling = sampling or SamplingOptions()
    guidance = guidance if sampling.guidance is None else sampling.guidance
    steps = steps if sampling.steps is None else sampling.steps
    check_sampling(guidance, steps)
    return sampling, guidance, steps


def _as(numbers: Tensor, x: Tensor) -> Tensor:
    """One number a row, shaped to go with x."""
    return numbers.view(-1, *(1 for _ in x.shape[1:]))


def _where(kept: Tensor, condition: Tensor) -> Tensor:
    """The conditions that are kept, zeros for the others."""
    return condition * _as(kept, condition)
