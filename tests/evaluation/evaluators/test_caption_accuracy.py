"""Exact match and caption accuracy, against generators of which the answer is known."""

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from textvae import data
from textvae.data.digit_numbers import DigitNumbers
from textvae.data.mnist import MNIST
from textvae.evaluation.evaluators.caption_accuracy import accuracy_by_part, number_accuracy, scene_accuracy
from textvae.evaluation.judges import ClassifierJudge
from textvae.pipeline import TextToImage
from textvae.text.digit_captions import DigitCaptions
from textvae.text.expression_grammar import ExpressionCaptions
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


@pytest.mark.slow
@needs_mnist
def test_numbers_from_memory_are_right_and_others_are_not(monkeypatch) -> None:
    sizes = {"train": 600, "test-unseen": 400, "test-longer": 400}
    monkeypatch.setattr("textvae.data.digit_numbers.SIZES", sizes)
    monkeypatch.setitem(data.SOURCES, "digit-numbers", DigitNumbers(most=2, splits=tuple(sizes)))
    right, wrong = (
        number_accuracy(Remembers(ExpressionCaptions(), "digit-numbers", tuple(sizes), wrong=wrong), 200, 0, CPU)
        for wrong in (False, True)
    )
    assert set(right) == {"seen", "test-unseen", "test-longer", "real_held_out"}
    assert min(right.values()) > 0.95
    assert max(value for name, value in wrong.items() if name != "real_held_out") < 0.1
    # An empty canvas is no zero.
    blank = number_accuracy(Blank(ExpressionCaptions(), 60), 200, 0, CPU)
    assert blank["seen"] < 0.05


class Blank(TextToImage):
    """Draws the same image always."""

    def __init__(self, text, side: int = 28) -> None:
        self.text = text
        self.side = side

    def draw(self, conditions: Tensor, seeds: Sequence[int]) -> Tensor:
        return torch.zeros(len(conditions), 1, self.side, self.side, dtype=torch.uint8)
