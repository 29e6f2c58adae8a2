"""The judge of a data set: its verdicts, and its features for the Fréchet distance."""

import torch
from jaxtyping import Int64, UInt8
from torch import Tensor

from textvae.data.catalog import JUDGES
from textvae.models.classifier import Classifier
from textvae.pipeline import unit_interval
from textvae.pretrained.feature_nets import FeatureNet, Unavailable
from textvae.runs.run import MODEL, open_run, shipped_models
from textvae.utils.errors import UserError
from textvae.utils.files import sha256_of


class TrainedJudge:
    """A judge that ships with textvae, named with its version: the checksum of its weights."""

    def __init__(self, name: str, device: torch.device) -> None:
        # Never a folder of that name that happens to lie about.
        run = open_run(shipped_models()[name])
        network = run.load_model()
        if not isinstance(network, Classifier):
            raise UserError(f"{name} is no judge", "choose one of: " + ", ".join(sorted(set(JUDGES.values()))))
        self.network = network.to(device)
        self.name = f"{name} {sha256_of(run.path / MODEL)[:8]}"
        self.device = device

    @torch.no_grad()
    def verdicts(self, images: UInt8[Tensor, "n 1 28 28"]) -> Int64[Tensor, "n"]:
        """The class that each image shows, in the judge's eyes."""
        logits = [self.network(unit_interval(batch, self.device)) for batch in torch.split(images, 500)]
        return torch.cat(logits).argmax(1).cpu()

    def features(self) -> FeatureNet:
        """The last hidden layer as the feature network "judge"."""
        return FeatureNet(
            "judge",
            self.network.config.features,
            "none: 28 px as stored",
            lambda images: self.network.features(unit_interval(images, self.device)),
            self.device,
            500,
        )


def judge_of(data: str, device: torch.device) -> TrainedJudge | Unavailable:
    """The judge of a data source, or why there is none."""
    if data not in JUDGES:
        return Unavailable(f"no judge has been trained for {data}")
    return TrainedJudge(JUDGES[data], device)
