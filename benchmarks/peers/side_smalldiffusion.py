"""smalldiffusion's Fashion-MNIST examples: ``fashion_mnist_dit_cond.py`` (option "dit") and ``fashion_mnist_unet.py``.

Networks, noise schedules, learning rates, moving averages and the sampler of 20 steps are the examples'. In their
favour, batches have 64 images and not 1,024, and training images are not mirrored, as no test image is.
"""

from collections.abc import Iterator
from importlib.metadata import version

import side
import stub_torchvision  # noqa: F401  (before smalldiffusion, which imports torchvision)
import torch
from accelerate import Accelerator
from smalldiffusion import (
    CondEmbedderLabel,
    DiT,
    Scaled,
    ScheduleDDPM,
    ScheduleLogLinear,
    Unet,
    samples,
    training_loop,
)
from torch.utils.data import DataLoader, TensorDataset
from torch_ema import ExponentialMovingAverage


class Pictures:
    """Batches of images without labels, as the example's mapped data set gives them."""

    def __init__(self, loader: DataLoader[tuple[torch.Tensor, ...]]) -> None:
        self.loader = loader

    def __iter__(self) -> Iterator[torch.Tensor]:
        for (images,) in self.loader:
            yield images


def main() -> None:
    order = side.Order()
    labelled = order.option == "dit"
    pixels = order.images * 2 - 1
    if labelled:
        schedule = ScheduleDDPM(beta_start=0.0001, beta_end=0.02, N=1000)
        network = DiT(
            in_dim=28, channels=1, patch_size=2, depth=6, head_dim=32, num_heads=6, mlp_ratio=4.0,
            cond_embed=CondEmbedderLabel(32 * 6, 10, 0.1),
        )  # fmt: skip
        rate, decay = 1e-3, 0.99
        loader = DataLoader(TensorDataset(pixels, order.labels), batch_size=side.BATCH_SIZE, shuffle=True)
    else:
        schedule = ScheduleLogLinear(sigma_min=0.01, sigma_max=20, N=800)
        network = Scaled(Unet)(28, 1, 1, ch=64, ch_mult=(1, 1, 2), attn_resolutions=(14,))
        rate, decay = 7e-4, 0.999
        loader = Pictures(DataLoader(TensorDataset(pixels), batch_size=side.BATCH_SIZE, shuffle=True))
    accelerator = Accelerator(cpu=True)
    average = ExponentialMovingAverage(network.parameters(), decay=decay)
    clock = side.Clock(order.seconds)
    # The loop yields before the optimizer's step, and the example updates its average there.
    for _ in training_loop(
        loader, network, schedule, epochs=10**6, lr=rate, conditional=labelled, accelerator=accelerator
    ):
        average.update()
        if clock.over():
            break
    seconds = clock.seconds()

    def sampler(classes: torch.Tensor) -> torch.Tensor:
        *_, drawn = samples(
            network,
            schedule.sample_sigmas(20),
            gam=1.6,
            batchsize=len(classes),
            cond=classes if labelled else None,
            accelerator=accelerator,
        )
        return (drawn + 1) / 2

    with average.average_parameters():
        drawings = [side.draw(order, "average", "20 steps, gam 1.6", sampler)]
    side.report(
        seconds,
        clock.steps,
        network,
        drawings,
        package=f"smalldiffusion {version('smalldiffusion')}",
        model="DiT with labels" if labelled else "U-Net",
        labelled=labelled,
    )


if __name__ == "__main__":
    main()
