"""Exact match and caption accuracy, against generators of which the answer is known."""

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from textvae import data
from textvae.data.mnist import MNIST
from textvae.evaluation.evaluators.caption_accuracy import accuracy_by_part, scene_accuracy
from textvae.evaluation.judges import ClassifierJudge
from textvae.pipeline import TextToImage
from textvae.text.digit_captions import DigitCaptions
from textvae.text.scene_grammar import SceneCaptions

CPU = torch.device("cpu")
needs_mnist = pytest.mark.skipif(MNIST.find() is None, reason="MNIST is not here: textvae data fetch mnist")


class Remembers(TextToImage):
    """Draws, for each condition, a real image that goes with it; or, where told so, one that does not."""

    def __init__(self, text, source: str, splits: Sequence[str], wrong: bool) -> None:
        self.text = text
        self.pictures: dict[bytes, Tensor] = {}
        for split in splits:
            part = data.load(source, split)
            conditions = text.encode(part.captions)
            ranges = part.caption_range.roll(17, 0) if wrong else part.caption_range
            for (first, last), image in zip(ranges.tolist(), part.images, strict=True):
                for row in conditions[first:last] if source.startswith("digit-") else conditions[first:last:7]:
                    self.pictures.setdefault(row.numpy().tobytes(), image)

    def draw(self, conditions: Tensor, seeds: Sequence[int]) -> Tensor:
        first = next(iter(self.pictures.values()))
        return torch.stack([self.pictures.get(row.numpy().tobytes(), torch.zeros_like(first)) for row in conditions])


@pytest.mark.slow
@needs_mnist
def test_scenes_from_memory_are_right_and_others_are_not() -> None:
    right = scene_accuracy(Remembers(SceneCaptions(), "digit-scenes", ("test", "test-seen"), wrong=False), 200, 0, CPU)
    assert set(right) == {"seen", "held_out", "real_held_out"}
    assert min(right.values()) > 0.95
    wrong = scene_accuracy(Remembers(SceneCaptions(), "digit-scenes", ("test", "test-seen"), wrong=True), 200, 0, CPU)
    assert wrong["held_out"] < 0.2
    assert wrong["real_held_out"] == right["real_held_out"]


@pytest.mark.slow
@needs_mnist
def test_every_kind_of_caption_is_asked() -> None:
    text = DigitCaptions("arithmetic")
    judge = ClassifierJudge("judge-digits", CPU)
    found = accuracy_by_part(Blank(text), "digits-arithmetic", judge, 100, 0)
    assert set(found) == {"seen", "test-within", "test-beyond"}
    # One picture for all captions is right for one digit in ten.
    assert all(value < 0.35 for value in found.values())


class Blank(TextToImage):
    """Draws the same image always."""

    def __init__(self, text) -> None:
        self.text = text

    def draw(self, conditions: Tensor, seeds: Sequence[int]) -> Tensor:
        return torch.zeros(len(conditions), 1, 28, 28, dtype=torch.uint8)
