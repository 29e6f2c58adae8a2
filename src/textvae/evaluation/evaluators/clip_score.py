"""CLIP score: the cosine between a picture and its caption in CLIP's space, where CLIP's weights are."""

from collections.abc import Sequence

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from textvae.pretrained.feature_nets import Unavailable
from textvae.recipes.recipe import Recipe
from textvae.text.clip import ClipImages, ClipText
from textvae.utils.paths import data_folders

FOLDER, WEIGHTS = "clip", "model.safetensors"
PREFIX = "A photo depicts "
"""Before each caption (Hessel et al. 2021, section 3)."""
SCALE = 1.0
"""Hessel et al. have 2.5; paper a's values near 0.2 are those of the plain cosine."""


class ClipJudge:
    """A CLIP that did not condition the model whose pictures it scores."""

    def __init__(self, model: str) -> None:
        """Loads a model of the hub, or a folder.

        Raises:
            UserError: transformers is not installed, or the model can't be had.
        """
        self.text, self.images = ClipText(model), ClipImages(model)
        self.protocol = {"model": model, "weights": self.text.identity, "prefix": PREFIX, "scale": SCALE}

    def embed_captions(self, captions: Sequence[str]) -> Float[Tensor, "n d"]:
        """The captions behind the prefix; what is longer than CLIP reads is cut."""
        return self.text.embed([f"{PREFIX}{caption}" for caption in captions])

    def embed_images(self, images: UInt8[Tensor, "n 3 h w"]) -> Float[Tensor, "n d"]:
        """Rows of length one."""
        return self.images.embed(images)


def clip_judge(recipe: Recipe, model: str = "") -> ClipJudge | Unavailable:
    """What scores a recipe's pictures, or why nothing does.

    Args:
        recipe: of the model to score.
        model: of the hub, or a folder; empty: $TEXTVAE_DATA/clip, if it holds weights. The network is never asked
            unless a model of the hub is named.

    Raises:
        UserError: transformers is not installed, or the model that was named can't be had.
    """
    folder = next((folder for folder in data_folders(FOLDER) if (folder / WEIGHTS).is_file()), None)
    if not model and folder is None:
        return Unavailable(f"{WEIGHTS} is not in $TEXTVAE_DATA/{FOLDER}; evaluate --clip names a folder, or a model")
    judge = ClipJudge(model or str(folder))
    if isinstance(recipe.text, ClipText) and recipe.text.identity == judge.text.identity:
        return Unavailable(f"{judge.text.identity} conditioned the model, and is no judge of it; --clip names another")
    return judge


def clip_score(images: Float[Tensor, "n d"], captions: Float[Tensor, "n d"]) -> float:
    """``SCALE`` times the cosine of each image and its caption, at least zero; the mean over pairs.

    Source: Hessel, Holtzman, Forbes, Le Bras and Choi, "CLIPScore" (2021), section 3.
    """
    cosines = torch.nn.functional.cosine_similarity(images.double(), captions.double(), dim=1)
    return SCALE * float(cosines.clamp_min(0).mean())
