"""Features that are kept in the cache folder are checked before they are trusted."""

import pytest
import safetensors.torch
import torch

from textvae.evaluation.features import cached_features
from textvae.pretrained.feature_nets import FeatureNet


@pytest.mark.parametrize("damage", ["bit", "rows", "type", "truncated", "no checksum"])
def test_damaged_features_are_computed_again(damage, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("TEXTVAE_CACHE", str(tmp_path))
    computed = []

    def means(images: torch.Tensor) -> torch.Tensor:
        computed.append(len(images))
        return images.float().mean((2, 3))

    net = FeatureNet("means", 1, "not resized", means)
    images = torch.arange(5 * 16, dtype=torch.uint8).view(5, 1, 4, 4)
    right = cached_features(net, images, "images")
    (file,) = (tmp_path / "features").iterdir()
    assert cached_features(net, images, "images").equal(right)
    assert sum(computed) == 5
    stored = safetensors.torch.load_file(file)
    if damage == "bit":
        stored["features"].view(torch.int32)[2, 0] ^= 1
    elif damage == "rows":
        stored["features"] = stored["features"][1:]
    elif damage == "type":
        stored["features"] = stored["features"].double()
    elif damage == "no checksum":
        del stored["checksum"]
    content = safetensors.torch.save({name: array.contiguous() for name, array in stored.items()})
    file.write_bytes(content[:-1] if damage == "truncated" else content)
    assert cached_features(net, images, "images").equal(right)
    assert sum(computed) == 10
