"""Captions that a trained captioner writes for pictures.

Source: "reverse the pipeline" in paper c, Areas of Improvement: from pictures, real or generated, back to text.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor

from textvae import data
from textvae.data.catalog import PHOTOGRAPHS
from textvae.models.captioner import Captioner
from textvae.pretrained.feature_nets import FeatureNet, Unavailable, feature_net
from textvae.recipes.recipe import Recipe
from textvae.runs.run import Run, open_run, run_beside
from textvae.text.caption_words import CaptionWords
from textvae.utils.errors import UserError
from textvae.utils.pixels import fit_image
from textvae.utils.progress import ProgressLine

FEATURES = "efficientnet-lite0"
"""The feature network whose features are the input of a captioner."""
BATCH_SIZE = 500


class Describer:
    """A trained captioner with its vocabulary.

    Examples:
        >>> Describer(textvae.open_run("runs/captioner-flowers102")).describe([Image.open("flower.png")])
    """

    def __init__(self, run: Run) -> None:
        """Loads the captioner of a run.

        Raises:
            UserError: the run is not of a captioner.
        """
        network = run.load_model()
        if not isinstance(network, Captioner):
            raise UserError(f"{run.name} is not a captioner", "textvae train captioner-flowers102 trains one")
        self.network, self._recipe = network, run.recipe
        self.name = f"{run.recipe.name} {run.weights_id[:8]}"
        """With its version, for protocols."""

    def describe(self, pictures: Sequence[Image.Image]) -> list[str]:
        """A caption of each picture, which is cropped to a square and scaled to the size of the training pictures.

        Raises:
            UserError: a picture is tiny, or EfficientNet is not installed.
        """
        side = self.network.config.image_size
        pixels: UInt8[Tensor, "n 3 h w"] = torch.stack([fit_image(picture, (3, side, side)) for picture in pictures])
        net = feature_net(FEATURES)
        if not isinstance(net, FeatureNet):
            raise UserError(f"pictures are described by features of {FEATURES}", net.reason)
        with ProgressLine("looking at pictures"):
            features = net(pixels)
        return self.describe_features(features)

    def describe_features(self, features: Float[Tensor, "n d"]) -> list[str]:
        """A caption of each picture, given as its features by ``FEATURES``."""
        return written_captions(self.network, self._recipe, features)


def written_captions(network: Captioner, recipe: Recipe, features: Float[Tensor, "n d"]) -> list[str]:
    """The captions that a captioner writes for pictures, given the features of the pictures."""
    assert isinstance(recipe.text, CaptionWords)
    words = ("", *recipe.text.words)
    rows = [network.write(batch, recipe.text.length) for batch in torch.split(features, BATCH_SIZE)]
    return [" ".join(words[token] for token in row if token) for row in torch.cat(rows).tolist()]


def describer_of(run: Run) -> Describer | Unavailable:
    """The captioner for the images of a model, or why there is none.

    It is the run folder ``captioner-SOURCE``, found by ``run_beside``.

    Raises:
        UserError: the folder of that name holds another kind of model.
    """
    photographs = data.photographs(run.recipe.data)
    if photographs is None or photographs.name not in PHOTOGRAPHS:
        return Unavailable(f"there is no captioner for {run.recipe.data}, only for {', '.join(PHOTOGRAPHS)}")
    found = run_beside(run, photographs.captioner)
    if found is None:
        return Unavailable(f"the captioner is not trained: textvae train {photographs.captioner}")
    return Describer(open_run(found))
