"""Prepared sets of noisy squares, a text encoder without meaning, and a recipe on them: photographs in miniature."""

from collections.abc import Sequence
from dataclasses import dataclass

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from textvae import data
from textvae.data.captioned_images import CaptionedImages
from textvae.data.manifest import ImageContents, SetContents, TextContents
from textvae.models.clip_grid import ClipGrid
from textvae.recipes import RECIPES
from textvae.recipes.recipe import Recipe
from textvae.training.config import TrainerConfig

D = 6
TRAIN, TEST = 40, 24


@dataclass(frozen=True)
class Hashed:
    """A text encoder of no meaning: a fixed unit vector for each caption."""

    identity: str = "hashed"
    name: str = "hashed"

    def encode(self, captions: Sequence[str]) -> Tensor:
        rows = [torch.randn(D, generator=torch.Generator().manual_seed(sum(map(ord, c)))) for c in captions]
        return F.normalize(torch.stack(rows), dim=1)


@dataclass(frozen=True)
class Toys:
    """Noisy squares, red or blue, as a prepared set with two captions an image and an embedding of each image."""

    name: str
    side: int = 32
    title: str = "toys"
    home: str = "here"
    terms: str = "none"
    splits: tuple[str, ...] = ("train", "test")
    files: tuple = ()
    mirrors: tuple = ()
    images_embedded: bool = True
    photographs: str = "toys"
    """The photograph set that these were prepared from."""

    @property
    def contents(self) -> SetContents:
        image = ImageContents("hashed", "hashed", D) if self.images_embedded else None
        return SetContents(
            self.name, self.photographs, self.side, TextContents("hashed", "hashed", "pooled", (D,)), image
        )

    def find(self):
        return None

    def fetch(self, say=None):
        raise NotImplementedError

    def load(self, split: str) -> CaptionedImages:
        count = TRAIN if split == "train" else TEST
        generator = torch.Generator().manual_seed(count)
        images = torch.randint(0, 80, (count, 3, self.side, self.side), generator=generator, dtype=torch.uint8)
        captions = []
        for number in range(count):
            red = number % 2 == 0
            images[number, 0 if red else 2, 8:24, 8:24] = 230
            captions += [
                f"{'red' if red else 'blue'} square {split} {number}",
                f"a {'red' if red else 'blue'} thing {number}",
            ]
        rows = torch.arange(count)
        return CaptionedImages(
            self.name,
            split,
            images,
            tuple(captions),
            torch.stack([2 * rows, 2 * rows + 2], dim=1),
            conditions=Hashed().encode(captions),
            image_conditions=torch.randn(count, D, generator=generator) + 3 if self.images_embedded else None,
            encoder="hashed",
        )


@pytest.fixture
def toys(monkeypatch) -> None:
    for name in ("toys-32-sentence", "others-32-sentence"):
        monkeypatch.setitem(data.SOURCES, name, Toys(name))
    monkeypatch.setitem(RECIPES, "toy", toy)


def toy(condition_on="text", **trainer) -> Recipe:
    return Recipe(
        "toy",
        "squares",
        "a test",
        "toys-32-sentence",
        Hashed(),
        ClipGrid.Config(32, D, 4),
        TrainerConfig(**({"epochs": 2, "batch_size": 8} | trainer)),
        ("a red square",),
        condition_on=condition_on,
    )
