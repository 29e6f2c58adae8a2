"""textvae: ``textvae train latent-flow-fashion --preset tiny --minutes M``, drawn with the model's own settings.

The training time is that of the whole command: with reading the data, measuring the speed of the machine, encoding and
checkpoints, none of which the clock of the other sides counts. The preset is the recipe for short trainings: in ten
minutes of two cores without bf16 the whole recipe takes one pass over the images in its first stage, and is worse
(docs/experiment_log.md; chosen by distances to training images).
"""

import time

import numpy as np
import side
import torch

import textvae
from textvae import TextToImage
from textvae.experiment.stages import stages_of, trainer_of
from textvae.text.labels import FASHION

RECIPE, PRESET = "latent-flow-fashion", "tiny"


def main() -> None:
    order = side.Order()
    began = time.perf_counter()
    run = textvae.train(
        RECIPE,
        order.folder / "run",
        preset=PRESET,
        minutes=order.seconds / 60,
        limit=len(order.images),
        device="cpu",
        precision="fp32",
        threads=torch.get_num_threads(),
    )
    seconds = time.perf_counter() - began
    model, noise = TextToImage.load(run, device="cpu"), torch.Generator().manual_seed(0)

    def sampler(classes: torch.Tensor) -> torch.Tensor:
        drawn = model([FASHION.class_names[number] for number in classes], generator=noise)
        return torch.from_numpy(np.stack([np.asarray(picture) for picture in drawn]))[:, None].float() / 255

    assert run.recipe.flow is not None
    prior = run.recipe.flow.model.prior
    drawings = [side.draw(order, "flow", f"{prior.steps} steps, guidance {prior.guidance:g}", sampler)]
    epochs = {name: trainer_of(run.recipe, name).epochs for name in stages_of(run.recipe)}
    side.report(
        seconds,
        sum(count * -(-len(order.images) // trainer_of(run.recipe, name).batch_size) for name, count in epochs.items()),
        run.load_model(),
        drawings,
        sum(epochs.values()) * len(order.images),
        package=f"textvae {textvae.__version__}",
        model=f"`{RECIPE} --preset {PRESET}`",
        epochs=epochs,
        labelled=True,
    )


if __name__ == "__main__":
    main()
