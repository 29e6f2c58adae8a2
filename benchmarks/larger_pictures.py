"""A model of larger pictures against the bundled one of 64 pixels, whose pictures are enlarged.

Both draw a picture for the first caption of every test image. Those of 64 pixels are enlarged by Lanczos interpolation,
and both kinds are compared with the test images in the larger size by the Fréchet distance. Two bounds are measured the
same way: test images reduced to 64 pixels and enlarged, and reconstructions by the larger model. What is drawn for the
recipe's example prompts, with the same seeds, goes into a picture: enlarged above, larger below.

Prepare the set and train the model first: ``textvae data prepare flowers102 --size 128 --text words``, then
``textvae reproduce flow --only latent-flow-flowers-128``; likewise scenes, with ``--against scenes``.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import ROOT, Neighbours, machine, write
from jaxtyping import UInt8
from PIL import Image
from torch import Tensor

from textvae import TextToImage, data
from textvae.evaluation.features import compute_features
from textvae.evaluation.metrics.frechet import frechet_from_features
from textvae.pretrained.feature_nets import FeatureNet, feature_net
from textvae.runs.run import open_run
from textvae.utils.images import grid, pictures_of, save_image

SMALL = 64
PROMPTS, COLUMNS = 3, 6
"""Prompts and seeds of the picture."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--against", default="flowers", help="bundled model or run folder of 64 pixels")
    parser.add_argument("--model", help="run folder of the larger model; default: runs/latent-flow-AGAINST-128")
    parser.add_argument("--picture", type=Path, help="default: docs/figures/AGAINST-128.png")
    parser.add_argument("--out", type=Path, help="folder of the JSON; default: the package's measured/")
    asked = parser.parse_args()
    neighbours = Neighbours()
    before = open_run(asked.against)
    run = open_run(asked.model or f"runs/latent-flow-{before.name}-128")
    larger, small = TextToImage.load(run), TextToImage.load(before)
    side = larger.model.image_shape[-1]
    test = data.load(run.recipe.data, "test")
    captions = [test.captions[int(first)] for first in test.caption_range[:, 0]]
    real = torch.as_tensor(test.images[:])
    kinds = {
        "larger": _draw(larger, captions),
        "enlarged": _resized(_draw(small, captions), side),
        "reconstructed": larger.reconstruct_tensors(real, larger.text.encode(captions)),
        "test images reduced and enlarged": _resized(_resized(real, SMALL), side),
    }
    nets = [feature_net(name, torch.device("cpu")) for name in ("efficientnet-lite0", "inception-768")]
    result: dict[str, Any] = {"images": len(real), "side": side, "frechet": {}, "machine": machine()}
    result["weights"] = {"larger": run.weights_id, "enlarged": before.weights_id}
    for net in nets:
        assert isinstance(net, FeatureNet), net.reason
        expected = compute_features(net, real, "test images")
        result["frechet"][net.name] = {
            kind: float(frechet_from_features(compute_features(net, pictures, kind), expected))
            for kind, pictures in kinds.items()
        }
    result["summary"] = [
        {
            "what": f"{name}, {len(real):,} test images of {side} pixels: a model of {side} pixels; one of {SMALL} "
            f"(`{before.name}`), enlarged. Bounds: reconstructions; test images reduced and enlarged",
            "ours": f"{found['larger']:.3g} (bound {found['reconstructed']:.3g})",
            "theirs": f"{found['enlarged']:.3g} (bound {found['test images reduced and enlarged']:.3g})",
            "ratio": f"{found['enlarged'] / found['larger']:.2f}",
        }
        for name, found in result["frechet"].items()
    ]
    for line in result["summary"]:
        print(line["what"], line["ours"], line["theirs"], flush=True)
    write(f"larger-pictures-{before.name}", result, neighbours, asked.out, timed=False)
    picture = asked.picture or ROOT / "docs" / "figures" / f"{before.name}-128.png"
    _beside(small, larger, (run.recipe.prompts or captions)[:PROMPTS], picture)


def _beside(small: TextToImage, larger: TextToImage, prompts: Sequence[str], path: Path) -> None:
    """A picture with two rows for each prompt: the enlarged pictures, and those of the larger model."""
    rows, names = [], []
    for prompt in prompts:
        same = [prompt] * COLUMNS
        for drawn in (_resized(_draw(small, same), larger.model.image_shape[-1]), _draw(larger, same)):
            rows.append(pictures_of(drawn.permute(0, 2, 3, 1).numpy()))
        names += [prompt, ""]
    save_image(grid(rows, names, scale=1), path, {})


def _draw(generator: TextToImage, captions: list[str]) -> UInt8[Tensor, "n c h w"]:
    return generator.draw(generator.text.encode(captions), range(len(captions)))


def _resized(images: UInt8[Tensor, "n c h w"], side: int) -> UInt8[Tensor, "n c side side"]:
    pictures = pictures_of(images.permute(0, 2, 3, 1).numpy())
    resized = [np.asarray(picture.resize((side, side), Image.Resampling.LANCZOS)) for picture in pictures]
    return torch.as_tensor(np.stack(resized)).permute(0, 3, 1, 2).contiguous()


if __name__ == "__main__":
    main()
