"""The same training by pythae, as its users train; prints a line of JSON. Runs in its own environment."""

import json
import sys
import tempfile
import time
from importlib.metadata import version
from typing import Any

import numpy as np
import torch
from pythae.models import VAE, VAEConfig
from pythae.models.base.base_utils import ModelOutput
from pythae.models.nn import BaseDecoder, BaseEncoder
from pythae.pipelines import TrainingPipeline
from pythae.trainers import BaseTrainerConfig
from pythae.trainers.training_callbacks import TrainingCallback

# The same network as on the other side; pythae gets it as an encoder and a decoder.
from textvae.models.label_conv import LabelConv


class Encoder(BaseEncoder):
    def __init__(self, model: LabelConv) -> None:
        super().__init__()
        self.convolutions, self.embedding, self.head = model.encoder, model.encoder_embedding, model.posterior_head

    def forward(self, x: torch.Tensor) -> ModelOutput:
        no_condition = x.new_zeros(len(x), self.embedding.in_features)
        posterior = self.head(self.convolutions(x).flatten(1) + self.embedding(no_condition))
        return ModelOutput(embedding=posterior.mean, log_covariance=posterior.log_variance)


class Decoder(BaseDecoder):
    def __init__(self, model: LabelConv) -> None:
        super().__init__()
        self.embedding, self.to_grid, self.convolutions = model.decoder_embedding, model.to_grid, model.decoder
        self.grid = model.grid

    def forward(self, z: torch.Tensor) -> ModelOutput:
        no_condition = z.new_zeros(len(z), self.embedding.in_features)
        grid = self.to_grid(torch.cat([z, self.embedding(no_condition)], dim=1)).unflatten(1, self.grid)
        return ModelOutput(reconstruction=self.convolutions(grid).sigmoid())


class Clock(TrainingCallback):
    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.losses: list[float] = []

    def on_epoch_begin(self, training_config: Any, **kwargs: Any) -> None:
        self.started = time.perf_counter()

    def on_epoch_end(self, training_config: Any, **kwargs: Any) -> None:
        self.seconds.append(time.perf_counter() - self.started)

    def on_log(self, training_config: Any, logs: dict[str, float], **kwargs: Any) -> None:
        self.losses.append(float(logs["train_epoch_loss"]))


def main() -> None:
    asked = json.loads(sys.argv[1])
    images = torch.from_numpy(np.load(asked["images"])).float().div_(255)
    torch.manual_seed(0)
    model = LabelConv(LabelConv.Config(likelihood="bernoulli"))
    config = VAEConfig(
        input_dim=tuple(images.shape[1:]),
        latent_dim=model.to_grid.in_features - model.decoder_embedding.out_features,
        reconstruction_loss="bce",
    )
    vae = VAE(model_config=config, encoder=Encoder(model), decoder=Decoder(model))
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        how = BaseTrainerConfig(
            output_dir=folder,
            num_epochs=asked["epochs"],
            per_device_train_batch_size=asked["batch_size"],
            learning_rate=asked["learning_rate"],
            no_cuda=True,
        )
        TrainingPipeline(model=vae, training_config=how)(train_data=images, callbacks=[clock])
    versions = {"torch": torch.__version__, "threads": torch.get_num_threads(), "pythae": version("pythae")}
    print(json.dumps({"seconds": clock.seconds, "losses": clock.losses, **versions}))


if __name__ == "__main__":
    main()
