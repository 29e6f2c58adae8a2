"""denoising-diffusion-pytorch with classifier-free guidance.

The package has no example for small grey images. Its README refers to "The Annotated Diffusion Model" (Rogge and
Rasul, 2022), which trains its U-Net on Fashion-MNIST: 28 channels times (1, 2, 4), Adam, learning rate 1e-3. These are
taken, with batches of 64 and not 128, the package's defaults for what remains, and the moving average of its
``Trainer``. Images are drawn as its example does, with the guidance scale 6, and also, in its favour, with 1.5 (at 1,
version 2.3.4 fails) and the last weights, since few steps leave the average behind. Steps: 250 by DDIM as in the
README, or as many of those below as the time allows.
"""

import copy
from importlib.metadata import version

import side
import stub_torchvision  # noqa: F401  (before the package, which imports torchvision)
import torch
from denoising_diffusion_pytorch.classifier_free_guidance import GaussianDiffusion, Unet
from ema_pytorch import EMA

STEPS = (250, 100, 50, 25, 10)


def main() -> None:
    order = side.Order()
    network = Unet(dim=28, dim_mults=(1, 2, 4), num_classes=10, channels=1)
    diffusion = GaussianDiffusion(network, image_size=28, timesteps=1000, sampling_timesteps=STEPS[0])
    optimizer = torch.optim.Adam(diffusion.parameters(), lr=1e-3)
    average = EMA(diffusion, beta=0.995, update_every=10)
    clock = side.Clock(order.seconds)
    for images, labels in side.shuffled(order, scaled=False):  # it scales by itself
        loss = diffusion(images, classes=labels)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(diffusion.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        average.update()
        if clock.over():
            break
    seconds = clock.seconds()

    def sampler(trained: GaussianDiffusion, scale: float, steps: int) -> side.Sampler:
        drawing = copy.copy(trained)
        drawing.sampling_timesteps, drawing.is_ddim_sampling = steps, True

        def draw(classes: torch.Tensor) -> torch.Tensor:
            drawn: torch.Tensor = drawing.sample(classes=classes, cond_scale=scale)
            return drawn

        return draw

    diffusion.eval()
    average.ema_model.eval()
    per_step = side.seconds_for(order, sampler(diffusion, 6.0, STEPS[-1])) / STEPS[-1]
    steps = next((steps for steps in STEPS if steps * per_step <= side.DRAWING_S), STEPS[-1])
    drawings = [
        side.draw(
            order, name, f"DDIM, {steps} steps, guidance {scale:g}, {name} weights", sampler(weights, scale, steps)
        )
        for name, weights, scale in (("average", average.ema_model, 6.0), ("last", diffusion, 1.5))
    ]
    side.report(
        seconds,
        clock.steps,
        network,
        drawings,
        package=f"denoising-diffusion-pytorch {version('denoising-diffusion-pytorch')}",
        model="U-Net, 28 x (1, 2, 4) channels",
        labelled=True,
    )


if __name__ == "__main__":
    main()
