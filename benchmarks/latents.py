"""What a flow has to learn of a model's latents, measured without training one: their spectrum, and interpolations.

Spectrum: the share of the energy of standardised latents (posterior means of test images, two-dimensional discrete
cosine transform of each channel) at frequencies k + l of at least half the side of the grid, and of at least the side.
White noise and the photographs themselves, averaged to the grid, stand beside it. A flow draws coarse structure first;
latents like white noise have none ("Improving the Diffusability of Autoencoders", arXiv 2502.14831).

Interpolations (iFID, arXiv 2603.05630): the Fréchet distance of images decoded half way between each latent and its
nearest neighbour, beside that of reconstructions. It is said to predict the distance of a flow's samples.

The photographs of each model must be prepared.
"""

import argparse
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn import functional as F

from textvae import TextToImage, data
from textvae.evaluation.metrics.frechet import frechet_from_features
from textvae.pretrained.feature_nets import FeatureNet, feature_net
from textvae.priors import FlowPrior
from textvae.runs.run import open_run
from textvae.text.base import NONE
from textvae.utils.batches import in_batches
from textvae.utils.pixels import to_uint8, unit_interval
from textvae.utils.processes import Processes

BATCH_SIZE = 250


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", default=["flowers", "products"], help="bundled models or run folders")
    parser.add_argument("--images", type=int, default=1000, help="test images, at most")
    asked = parser.parse_args()
    nets = [feature_net(name, torch.device("cpu")) for name in ("efficientnet-lite0", "inception-768")]
    for model in asked.models:
        run, generator = open_run(model), TextToImage.load(model)
        pixels = torch.as_tensor(data.load(run.recipe.data, "test").images[: asked.images])
        _measure(model, generator, pixels, nets)


def _measure(name: str, generator: TextToImage, pixels: UInt8[Tensor, "n 3 h w"], nets: Sequence[Any]) -> None:
    network, condition = generator.model, generator.text.encode([NONE])
    assert isinstance(network.prior, FlowPrior), f"{name} has no flow prior"

    def encoded(rows: slice) -> Float[Tensor, "b c s s"]:
        batch = unit_interval(pixels[rows], generator.device)
        return network.posterior(batch, condition.expand(len(batch), *condition.shape[1:])).mean

    with torch.no_grad():
        means = torch.cat(in_batches(Processes(), len(pixels), BATCH_SIZE, encoded, "encoding"))
    side = means.shape[-1]
    averaged = F.interpolate(pixels / 255, size=(side, side), mode="area")
    for what, grids in (
        ("latents", network.prior.standardise(means)),
        ("photographs", averaged - averaged.mean((0, 2, 3), keepdim=True)),
        ("white noise", torch.randn(means.shape, generator=torch.Generator().manual_seed(0))),
    ):
        half, whole = high_frequencies(grids, side // 2), high_frequencies(grids, side)
        print(f"{name}, {what}: energy at k + l >= {side // 2}: {half:.3f}, >= {side}: {whole:.3f}", flush=True)
    neighbour = torch.cdist(means.flatten(1), means.flatten(1)).fill_diagonal_(torch.inf).argmin(1)
    for what, points in (("reconstructions", means), ("interpolations", torch.lerp(means, means[neighbour], 0.5))):

        def decoded(rows: slice, points: Tensor = points) -> UInt8[Tensor, "b 3 h w"]:
            batch = points[rows]
            return to_uint8(network.decode(batch, condition.expand(len(batch), *condition.shape[1:])).mean)

        with torch.no_grad():
            images = torch.cat(in_batches(Processes(), len(points), BATCH_SIZE, decoded, "decoding"))
        for net in nets:
            assert isinstance(net, FeatureNet), net.reason
            print(f"{name}, {what}: {net.name} {frechet_from_features(net(images), net(pixels)):.4g}", flush=True)


def high_frequencies(grids: Float[Tensor, "n c s s"], least: int) -> float:
    """The share of energy at frequencies k + l of at least ``least``, over all channels together."""
    side = grids.shape[-1]
    places = torch.arange(side, dtype=torch.float64)
    cosines = torch.cos(torch.pi / side * (places + 0.5) * places[:, None]) * (2 / side) ** 0.5
    cosines[0] /= 2**0.5
    energy = (cosines @ grids.double() @ cosines.T).square().sum((0, 1))
    return float(energy[places[:, None] + places >= least].sum() / energy.sum())


if __name__ == "__main__":
    main()
