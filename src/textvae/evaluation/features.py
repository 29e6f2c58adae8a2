"""Features of images by a feature network; those of real images are computed once and kept in the cache folder."""

import contextlib
import hashlib
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from textvae.evaluation.metrics.chunks import chunks
from textvae.pretrained.feature_nets import FeatureNet
from textvae.utils.batches import in_batches
from textvae.utils.files import written_whole
from textvae.utils.paths import data_root
from textvae.utils.processes import Processes


def compute_features(
    net: FeatureNet, images: UInt8[Tensor, "n c h w"], what: str, group: Processes | None = None
) -> Float[Tensor, "n d"]:
    """Features of images, computed by a group of processes, with a progress line that says ``what`` they are."""
    title = f"{net.name} features of {what}"
    return torch.cat(in_batches(group or Processes(), len(images), 500, lambda rows: net(images[rows]), title))


def checked(features: Float[Tensor, "n d"]) -> UInt8[Tensor, "32"]:
    """SHA-256 of features, which is stored with them."""
    digest = hashlib.sha256(features.cpu().contiguous().numpy().tobytes()).digest()
    return torch.frombuffer(bytearray(digest), dtype=torch.uint8)


def cached_features(
    net: FeatureNet,
    images: UInt8[Tensor, "n c h w"],
    what: str,
    version: str = "",
    group: Processes | None = None,
) -> Float[Tensor, "n d"]:
    """Features of real images, from the cache folder if this machine has computed them before.

    Args:
        net: the feature network.
        images: the images; the cache knows them by a checksum of their pixels.
        what: what the images are, for the progress line.
        version: of the network's weights; default: the network's name, for weights that never change.
        group: the processes that share the work, of which the first alone uses its cache.
    """
    group = group or Processes()
    digest = hashlib.sha256()
    for batch in chunks(images):
        digest.update(batch.contiguous().numpy().tobytes())
    key = f"{digest.hexdigest()[:16]}-{version or net.name}-{net.resize}"
    name = "".join(c if c.isalnum() else "-" for c in key)
    file = data_root().parent / "features" / f"{name}.safetensors"
    known = group.from_first(lambda: _stored(file, len(images)))
    if known is not None:
        return known
    features = compute_features(net, images, what, group)
    if group.first:
        with written_whole(file) as temporary:
            temporary.write_bytes(safetensors.torch.save({"features": features, "checksum": checked(features)}))
    return features


def _stored(file: Path, count: int) -> Float[Tensor, "n d"] | None:
    """Features of ``count`` images in a file; None where it is missing, damaged or holds something else."""
    with contextlib.suppress(OSError, KeyError, safetensors.SafetensorError):
        stored = safetensors.torch.load_file(file)
        found = stored["features"]
        if found.dtype is torch.float32 and len(found) == count and stored["checksum"].equal(checked(found)):
            return found
    return None
