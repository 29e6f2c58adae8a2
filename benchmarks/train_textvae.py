"""Trains label-conv by textvae and prints the seconds of every epoch as a line of JSON; see training_speed.py."""

import json
import sys
import time

import numpy as np
import torch

from textvae.data.captioned_images import CaptionedImages
from textvae.models.label_conv import LabelConv
from textvae.training.config import TrainerConfig
from textvae.training.loop import Training
from textvae.utils.device import choose_execution


def main() -> None:
    asked = json.loads(sys.argv[1])
    images = torch.from_numpy(np.load(asked["images"]))
    # One empty caption for all images, because pythae has no conditions.
    data = CaptionedImages("speed", "train", images, ("",), torch.tensor([[0, 1]]).repeat(len(images), 1))
    execution = choose_execution("cpu", "fp32")
    torch.manual_seed(0)
    model = LabelConv(LabelConv.Config(likelihood="bernoulli"))
    config = TrainerConfig(asked["epochs"], asked["batch_size"], asked["learning_rate"])
    training = Training(model, data, torch.zeros(1, model.encoder_embedding.in_features), config, execution)

    seconds, losses, total, started = [], [], 0.0, time.perf_counter()
    for step in training.steps():
        # Read after every step, as pythae does.
        total += step.loss.total.item()
        if step.ends_epoch:
            seconds.append(time.perf_counter() - started)
            losses.append(total / training.steps_per_epoch)
            total, started = 0.0, time.perf_counter()
    versions = {"torch": torch.__version__, "threads": torch.get_num_threads()}
    print(json.dumps({"seconds": seconds, "losses": losses, **versions}))


if __name__ == "__main__":
    main()
