"""pythae's VAE with a mixture of ten Gaussians fitted to its latents.

Networks, 16 latents and the sampler are those of its notebook ``vae_training.ipynb`` for MNIST; learning rate 1e-3 and
AdamW those of its README, which learn faster than the notebook's 1e-4. Fitting the mixture is not counted as training.
"""

import tempfile
import time
from importlib.metadata import version
from typing import Any

import side
import torch
from pythae.models import VAE, VAEConfig
from pythae.models.nn.benchmarks.mnist import Decoder_ResNet_AE_MNIST, Encoder_ResNet_VAE_MNIST
from pythae.pipelines import TrainingPipeline
from pythae.samplers import GaussianMixtureSampler, GaussianMixtureSamplerConfig
from pythae.trainers import BaseTrainerConfig
from pythae.trainers.training_callbacks import TrainingCallback


class TimeIsUp(Exception):
    """Leaves the trainer."""


class Stop(TrainingCallback):
    def __init__(self, seconds: float) -> None:
        self.budget = seconds

    def on_train_begin(self, training_config: Any, **kwargs: Any) -> None:
        self.clock = side.Clock(self.budget)

    def on_train_step_end(self, training_config: Any, **kwargs: Any) -> None:
        if self.clock.over():
            raise TimeIsUp


def main() -> None:
    order = side.Order()
    config = VAEConfig(input_dim=(1, 28, 28), latent_dim=16)
    model = VAE(model_config=config, encoder=Encoder_ResNet_VAE_MNIST(config), decoder=Decoder_ResNet_AE_MNIST(config))
    stop = Stop(order.seconds)
    with tempfile.TemporaryDirectory() as folder:
        how = BaseTrainerConfig(
            output_dir=folder,
            num_epochs=10**6,
            per_device_train_batch_size=side.BATCH_SIZE,
            learning_rate=1e-3,
            optimizer_cls="AdamW",
            optimizer_params={"weight_decay": 0.05, "betas": (0.91, 0.99)},
            no_cuda=True,
        )
        try:
            TrainingPipeline(model=model, training_config=how)(train_data=order.images, callbacks=[stop])
        except TimeIsUp:
            seconds = stop.clock.seconds()
    model.eval()
    sampler = GaussianMixtureSampler(sampler_config=GaussianMixtureSamplerConfig(n_components=10), model=model)
    began = time.perf_counter()
    sampler.fit(order.images)
    fitted = time.perf_counter() - began

    def mixture(classes: torch.Tensor) -> torch.Tensor:
        drawn: torch.Tensor = sampler.sample(num_samples=len(classes), batch_size=len(classes))
        return drawn

    drawings = [side.draw(order, "mixture", "mixture of 10 Gaussians", mixture)]
    side.report(
        seconds,
        stop.clock.steps,
        model,
        drawings,
        package=f"pythae {version('pythae')}",
        model="VAE, ResNet of its MNIST notebook, 16 latents",
        fitting_seconds=fitted,
    )


if __name__ == "__main__":
    main()
