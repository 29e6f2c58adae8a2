"""torchcfm's notebook ``conditional_mnist.ipynb`` on Fashion-MNIST.

Network, flow matching, Adam with its default learning rate and the adaptive solver dopri5 (tolerance 1e-4) are the
notebook's; batches have 64 images and not 128. If dopri5 takes too long, the same package's midpoint method draws, with
as many steps as the time allows.
"""

from importlib.metadata import version
from typing import Any

import side
import torch
import torchdiffeq
from torchcfm.conditional_flow_matching import ConditionalFlowMatcher
from torchcfm.models.unet import UNetModel

STEPS = (20, 10)
"""Each of two evaluations."""


def main() -> None:
    order = side.Order()
    network = UNetModel(dim=(1, 28, 28), num_channels=32, num_res_blocks=1, num_classes=10, class_cond=True)
    optimizer = torch.optim.Adam(network.parameters())
    matcher = ConditionalFlowMatcher(sigma=0.0)
    clock = side.Clock(order.seconds)
    for images, labels in side.shuffled(order, scaled=True):
        optimizer.zero_grad()
        t, x, velocity = matcher.sample_location_and_conditional_flow(torch.randn_like(images), images)
        loss = ((network(t, x, labels) - velocity) ** 2).mean()
        loss.backward()
        optimizer.step()
        if clock.over():
            break
    seconds = clock.seconds()
    network.eval()

    def sampler(**solver: Any) -> side.Sampler:
        @torch.no_grad()
        def draw(classes: torch.Tensor) -> torch.Tensor:
            noise, times = torch.randn(len(classes), 1, 28, 28), torch.linspace(0, 1, 2)
            path = torchdiffeq.odeint(lambda t, x: network(t, x, classes), noise, times, **solver)
            drawn: torch.Tensor = (path[-1] + 1) / 2
            return drawn

        return draw

    described, chosen = "dopri5, tolerance 1e-4", sampler(method="dopri5", atol=1e-4, rtol=1e-4)
    for steps in STEPS:
        if side.seconds_for(order, chosen) <= side.DRAWING_S:
            break
        described, chosen = f"midpoint, {steps} steps", sampler(method="midpoint", options={"step_size": 1 / steps})
    side.report(
        seconds,
        clock.steps,
        network,
        [side.draw(order, "flow", described, chosen)],
        package=f"torchcfm {version('torchcfm')}",
        model="U-Net with labels, 32 channels",
        labelled=True,
    )


if __name__ == "__main__":
    main()
