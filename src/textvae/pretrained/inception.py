"""Inception v3 of 2015-12-05, the network of the Fréchet inception distance (Heusel et al. 2017).

Only with these weights are distances comparable to published ones. They were trained in TensorFlow; pytorch-fid has
released them for PyTorch, and the names of the parameters here are the same. The network differs from later versions of
Inception v3 in its average pooling, which excludes the padding from the average, and in the max pooling of its last
block.
"""

from collections.abc import Mapping
from pathlib import Path

import pooch
import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from textvae.utils.errors import UserError
from textvae.utils.paths import data_folders, data_root

RESIZE = (
    "bilinear without antialiasing to 299x299, half-pixel centres (as pytorch-fid; aspect not kept); "
    "grey repeated to RGB; 2 x / 255 - 1"
)

FOLDER = "inception"
WHOLE = "pt_inception-2015-12-05-6726825d.pth"
WHOLE_SHA256 = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"
ADDRESS = f"https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/{WHOLE}"
UPPER = "inception-2015-12-05-768.safetensors"
"""The weights up to Mixed_6e, with batch norm folded into convolutions and biases."""
UPPER_SHA256 = "39e20c43497f3525ca570193f36f4d00a21c7d4a661ae864cb9575da42a7b83b"


def find(name: str) -> Path | None:
    """The weights file ``name`` in ``$TEXTVAE_DATA/inception`` or in the download folder; None if it is in neither."""
    return next((path for folder in data_folders(FOLDER) if (path := folder / name).is_file()), None)


def download() -> Path:
    """Downloads the weights of the whole network (96 MB) from pytorch-fid's release, verifies them, returns the folder.

    Raises:
        UserError: the download fails, or the file has another checksum.
    """
    folder = data_root() / FOLDER
    try:
        pooch.retrieve(ADDRESS, f"sha256:{WHOLE_SHA256}", fname=WHOLE, path=folder)
    except (OSError, ValueError) as error:
        raise UserError(
            f"{WHOLE} could not be fetched: {' '.join(str(error).split())[:200]}", f"Put it into {folder} yourself"
        ) from None
    return folder


def load(path: Path, dimension: int) -> "Inception":
    """The network up to 768 or 2,048 features with the weights of ``path`` (.safetensors or .pth), frozen.

    Raises:
        RuntimeError: names or shapes in the file do not match the network.
    """
    if path.suffix == ".safetensors":
        state = load_file(path)
    else:
        state = torch.load(path, map_location="cpu", weights_only=True)
    network = Inception(dimension)
    network.load_state_dict(_completed(state))
    return network.frozen()


def prepare(images: UInt8[Tensor, "n c h w"]) -> Float[Tensor, "n 3 299 299"]:
    """The network's input for images; ``RESIZE`` describes it."""
    resized = F.interpolate(images.float() / 255, (299, 299), mode="bilinear", align_corners=False)
    return (2 * resized - 1).expand(-1, 3, -1, -1).contiguous(memory_format=torch.channels_last)


class Inception(nn.Module):
    """The network up to 768 features (Mixed_6e) or 2,048 (the last pool), averaged over positions."""

    def __init__(self, dimension: int = 2048) -> None:
        super().__init__()
        if dimension not in (768, 2048):
            raise ValueError(f"this network has 768 or 2048 features, not {dimension}")
        self.Conv2d_1a_3x3 = _Conv(3, 32, 3, stride=2)
        self.Conv2d_2a_3x3 = _Conv(32, 32, 3)
        self.Conv2d_2b_3x3 = _Conv(32, 64, 3, padding=1)
        self.Conv2d_3b_1x1 = _Conv(64, 80, 1)
        self.Conv2d_4a_3x3 = _Conv(80, 192, 3)
        self.Mixed_5b = _BlockA(192, 32)
        self.Mixed_5c = _BlockA(256, 64)
        self.Mixed_5d = _BlockA(288, 64)
        self.Mixed_6a = _BlockB(288)
        self.Mixed_6b = _BlockC(768, 128)
        self.Mixed_6c = _BlockC(768, 160)
        self.Mixed_6d = _BlockC(768, 160)
        self.Mixed_6e = _BlockC(768, 192)
        self.whole = dimension == 2048
        if self.whole:
            self.Mixed_7a = _BlockD(768)
            self.Mixed_7b = _BlockE(1280, max_pool=False)
            self.Mixed_7c = _BlockE(2048, max_pool=True)

    def forward(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n d"]:
        """Features of images in [-1, 1]."""
        x: Tensor = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(images)))
        x = F.max_pool2d(x, 3, 2)
        x = self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(x))
        x = F.max_pool2d(x, 3, 2)
        x = self.Mixed_5d(self.Mixed_5c(self.Mixed_5b(x)))
        x = self.Mixed_6a(x)
        x = self.Mixed_6e(self.Mixed_6d(self.Mixed_6c(self.Mixed_6b(x))))
        if self.whole:
            x = self.Mixed_7c(self.Mixed_7b(self.Mixed_7a(x)))
        return x.mean((2, 3))

    def frozen(self) -> "Inception":
        """Itself, for inference only, with batch norm folded into the convolutions."""
        self.eval().requires_grad_(False)
        for module in self.modules():
            if isinstance(module, _Conv):
                module.fold()
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        return self


class _Conv(nn.Module):
    """Convolution, batch norm, ReLU."""

    def __init__(
        self,
        before: int,
        after: int,
        kernel: int | tuple[int, int],
        stride: int = 1,
        padding: int | tuple[int, int] = 0,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(before, after, kernel, stride, padding, bias=False)
        self.bn: nn.Module = nn.BatchNorm2d(after, eps=1e-3)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv(x)), inplace=True)

    def fold(self) -> None:
        if isinstance(self.bn, nn.BatchNorm2d):
            self.conv, self.bn = fuse_conv_bn_eval(self.conv, self.bn), nn.Identity()


class _BlockA(nn.Module):
    def __init__(self, before: int, pooled: int) -> None:
        super().__init__()
        self.branch1x1 = _Conv(before, 64, 1)
        self.branch5x5_1 = _Conv(before, 48, 1)
        self.branch5x5_2 = _Conv(48, 64, 5, padding=2)
        self.branch3x3dbl_1 = _Conv(before, 64, 1)
        self.branch3x3dbl_2 = _Conv(64, 96, 3, padding=1)
        self.branch3x3dbl_3 = _Conv(96, 96, 3, padding=1)
        self.branch_pool = _Conv(before, pooled, 1)

    def forward(self, x: Tensor) -> Tensor:
        five = self.branch5x5_2(self.branch5x5_1(x))
        three = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        return torch.cat([self.branch1x1(x), five, three, self.branch_pool(_average(x))], 1)


class _BlockB(nn.Module):
    def __init__(self, before: int) -> None:
        super().__init__()
        self.branch3x3 = _Conv(before, 384, 3, stride=2)
        self.branch3x3dbl_1 = _Conv(before, 64, 1)
        self.branch3x3dbl_2 = _Conv(64, 96, 3, padding=1)
        self.branch3x3dbl_3 = _Conv(96, 96, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        double = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        return torch.cat([self.branch3x3(x), double, F.max_pool2d(x, 3, 2)], 1)


class _BlockC(nn.Module):
    def __init__(self, before: int, inner: int) -> None:
        super().__init__()
        wide, tall = (1, 7), (7, 1)
        along, down = (0, 3), (3, 0)
        self.branch1x1 = _Conv(before, 192, 1)
        self.branch7x7_1 = _Conv(before, inner, 1)
        self.branch7x7_2 = _Conv(inner, inner, wide, padding=along)
        self.branch7x7_3 = _Conv(inner, 192, tall, padding=down)
        self.branch7x7dbl_1 = _Conv(before, inner, 1)
        self.branch7x7dbl_2 = _Conv(inner, inner, tall, padding=down)
        self.branch7x7dbl_3 = _Conv(inner, inner, wide, padding=along)
        self.branch7x7dbl_4 = _Conv(inner, inner, tall, padding=down)
        self.branch7x7dbl_5 = _Conv(inner, 192, wide, padding=along)
        self.branch_pool = _Conv(before, 192, 1)

    def forward(self, x: Tensor) -> Tensor:
        single = self.branch7x7_3(self.branch7x7_2(self.branch7x7_1(x)))
        double = self.branch7x7dbl_3(self.branch7x7dbl_2(self.branch7x7dbl_1(x)))
        double = self.branch7x7dbl_5(self.branch7x7dbl_4(double))
        return torch.cat([self.branch1x1(x), single, double, self.branch_pool(_average(x))], 1)


class _BlockD(nn.Module):
    def __init__(self, before: int) -> None:
        super().__init__()
        self.branch3x3_1 = _Conv(before, 192, 1)
        self.branch3x3_2 = _Conv(192, 320, 3, stride=2)
        self.branch7x7x3_1 = _Conv(before, 192, 1)
        self.branch7x7x3_2 = _Conv(192, 192, (1, 7), padding=(0, 3))
        self.branch7x7x3_3 = _Conv(192, 192, (7, 1), padding=(3, 0))
        self.branch7x7x3_4 = _Conv(192, 192, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        three = self.branch3x3_2(self.branch3x3_1(x))
        seven = self.branch7x7x3_3(self.branch7x7x3_2(self.branch7x7x3_1(x)))
        return torch.cat([three, self.branch7x7x3_4(seven), F.max_pool2d(x, 3, 2)], 1)


class _BlockE(nn.Module):
    def __init__(self, before: int, max_pool: bool) -> None:
        super().__init__()
        self.max_pool = max_pool
        self.branch1x1 = _Conv(before, 320, 1)
        self.branch3x3_1 = _Conv(before, 384, 1)
        self.branch3x3_2a = _Conv(384, 384, (1, 3), padding=(0, 1))
        self.branch3x3_2b = _Conv(384, 384, (3, 1), padding=(1, 0))
        self.branch3x3dbl_1 = _Conv(before, 448, 1)
        self.branch3x3dbl_2 = _Conv(448, 384, 3, padding=1)
        self.branch3x3dbl_3a = _Conv(384, 384, (1, 3), padding=(0, 1))
        self.branch3x3dbl_3b = _Conv(384, 384, (3, 1), padding=(1, 0))
        self.branch_pool = _Conv(before, 192, 1)

    def forward(self, x: Tensor) -> Tensor:
        single = self.branch3x3_1(x)
        double = self.branch3x3dbl_2(self.branch3x3dbl_1(x))
        pooled = F.max_pool2d(x, 3, 1, 1) if self.max_pool else _average(x)
        return torch.cat(
            [
                self.branch1x1(x),
                self.branch3x3_2a(single),
                self.branch3x3_2b(single),
                self.branch3x3dbl_3a(double),
                self.branch3x3dbl_3b(double),
                self.branch_pool(pooled),
            ],
            1,
        )


def _average(x: Tensor) -> Tensor:
    return F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)


def _completed(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state dict without the classifier, and with the batch norm entries that a file of folded weights lacks."""
    completed = {name: value for name, value in state.items() if not name.startswith("fc.")}
    for name, bias in state.items():
        if not name.endswith(".bn.bias"):
            continue
        norm = name.removesuffix("bias")
        completed.setdefault(f"{norm}num_batches_tracked", torch.tensor(0))
        if f"{norm}weight" not in state:
            # With eps 0.001, such a batch norm only adds its bias.
            completed[f"{norm}weight"] = torch.ones_like(bias)
            completed[f"{norm}running_mean"] = torch.zeros_like(bias)
            completed[f"{norm}running_var"] = torch.full_like(bias, 0.999)
    return completed
