"""What a flow prior is trained on: flow matching, guided velocities, and shortcuts for few-step sampling."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from textvae.priors.flow.prior import FlowPrior
from textvae.utils.random import Draws


def matching_errors(
    prior: FlowPrior, latent: Float[Tensor, "n *latent"], condition: Tensor, draws: Draws
) -> Float[Tensor, "n"]:
    """Squared errors of the velocity x1 - x0 at (1 - t) x0 + t x1 for noise x0 and standardised latents x1.

    They are means over dimensions. Times are logit-normal, since most of the difficulty is in the middle (Esser et al.
    2024, section 3.1). A fraction of the conditions is replaced by the empty condition, for guidance.
    """
    target = prior.standardise(latent)
    noise, time = draws.normal(*target.shape[1:]), draws.normal().sigmoid()
    kept = draws.uniform() >= prior.config.dropout
    features = prior.features(condition * _per_row(kept, condition))
    at = torch.lerp(noise, target, _per_row(time, target))
    velocity = prior.velocity(at, time, torch.zeros_like(time), features)
    return _squared_errors(prior, velocity.float(), target - noise)


def guidance_errors(
    prior: FlowPrior,
    latent: Float[Tensor, "n *latent"],
    condition: Tensor,
    draws: Draws,
    teacher: FlowPrior,
    weak: FlowPrior | None = None,
    autoguidance: float = 1.0,
) -> Float[Tensor, "n"]:
    """Squared errors of the velocity of a network that takes the guidance scale, from 1 to the largest, as an input.

    They are means over dimensions. The target is the teacher's guided velocity, from two evaluations (Meng et al. 2023,
    section 3.1). A network that was its own teacher diverged (docs/experiment_log.md). With a ``weak`` network, the
    target also leads away from its velocity, by the scale ``autoguidance`` (Karras et al. 2024, section 3).
    """
    target = prior.standardise(latent)
    noise, time = draws.normal(*target.shape[1:]), draws.uniform()
    at, still = torch.lerp(noise, target, _per_row(time, target)), torch.zeros_like(time)
    guidance = 1 + (prior.config.guidance_input - 1) * draws.uniform()
    with torch.no_grad():
        plain = teacher.guided_velocity(torch.zeros_like(condition), 1.0)(at, time)
        conditional = teacher.guided_velocity(condition, 1.0)(at, time)
        goal = torch.lerp(plain, conditional, _per_row(guidance, at))
        if weak is not None:
            goal = goal + (autoguidance - 1) * (conditional - weak.guided_velocity(condition, 1.0)(at, time))
    velocity = prior.velocity(at, time, still, prior.features(condition), guidance)
    return _squared_errors(prior, velocity.float(), goal)


def shortcut_errors(
    prior: FlowPrior, latent: Float[Tensor, "n *latent"], condition: Tensor, draws: Draws
) -> Float[Tensor, "n"]:
    """Squared errors of a step against two steps of half its length (Frans et al. 2025, section 3).

    They are means over dimensions. The shortest steps are trained on the guided velocity, longer ones on the network's
    own steps of half the length. Half of the steps are of the shortest length, on which all others build.
    """
    target = prior.standardise(latent)
    noise = draws.normal(*target.shape[1:])
    halvings = int(math.log2(prior.config.steps))
    longer = draws.integers(max(halvings, 1))
    number = 2.0 ** torch.where(draws.uniform() < 0.5, halvings, longer)
    time = (draws.uniform() * number).floor() / number
    at = torch.lerp(noise, target, _per_row(time, target))
    goal = shortcut_targets(prior, at, time, 1 / number, condition)
    velocity = prior.velocity(at, time, 1 / number, prior.features(condition))
    return _squared_errors(prior, velocity.float(), goal)


@torch.no_grad()
def shortcut_targets(
    prior: FlowPrior,
    at: Float[Tensor, "n *latent"],
    time: Float[Tensor, "n"],
    length: Float[Tensor, "n"],
    condition: Tensor,
) -> Float[Tensor, "n *latent"]:
    """The mean velocity over steps of these lengths: for the shortest by the midpoint rule, else of the two halves."""
    features, empty = prior.features(condition), prior.features(torch.zeros_like(condition))
    shortest = length <= 1 / prior.config.steps
    half = torch.where(shortest, torch.zeros_like(length), length / 2)

    def velocity(x: Tensor, t: Tensor) -> Tensor:
        conditional: Tensor = prior.velocity(x, t, half, features).float()
        if not shortest.any():
            return conditional
        plain = prior.velocity(x[shortest], t[shortest], half[shortest], empty[shortest]).float()
        conditional[shortest] = torch.lerp(plain, conditional[shortest], prior.config.guidance)
        return conditional

    first = velocity(at, time)
    second = velocity(at + _per_row(length / 2, at) * first, time + length / 2)
    return torch.where(_per_row(shortest, at), second, (first + second) / 2)


def _squared_errors(prior: FlowPrior, found: Tensor, wanted: Tensor) -> Float[Tensor, "n"]:
    return (found - wanted)[:, prior.untouched :].square().flatten(1).mean(1)


def _per_row(numbers: Tensor, x: Tensor) -> Tensor:
    """One number a row, in a shape that broadcasts with x."""
    return numbers.view(-1, *(1 for _ in x.shape[1:]))
