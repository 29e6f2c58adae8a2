"""Do samples show what their captions say? On captions that were trained on, and on those that never were."""

import torch
from jaxtyping import Bool, UInt8
from torch import Tensor

from textvae import data
from textvae.data.digit_scenes import DIGIT_SCENES, halves
from textvae.evaluation.judges import TrainedJudge
from textvae.evaluation.metrics.confusion import judge_report
from textvae.pipeline import TextToImage
from textvae.text.scene_grammar import Scene, parse_scene


def test_parts(source: str) -> tuple[str, ...]:
    """The kinds of test captions of a data source that has several, such as "test-within" and "test-beyond"."""
    return tuple(split for split in data.source(source).splits if split.startswith("test-"))


def caption_accuracy(
    generator: TextToImage, source: str, judge: TrainedJudge, num_samples: int, seed: int
) -> dict[str, float]:
    """Judge accuracy on training captions ("seen") and on each kind of test captions, all captions alike.

    Args:
        generator: the model.
        source: a data source whose images have classes, and whose images of a class share their captions.
        judge: names the class that a sample shows.
        num_samples: for each kind.
        seed: chooses the captions; sample i is drawn with ``seed + i``.
    """
    found = {}
    for split in ("train", *test_parts(source)):
        part = data.load(source, split)
        assert part.labels is not None
        meaning = torch.zeros(len(part.captions), dtype=torch.int64)
        # All images of a class share their captions, so each class's stretch is read once.
        for label in part.labels.unique().tolist():  # type: ignore[no-untyped-call]
            first, last = part.caption_range[int((part.labels == label).nonzero()[0])].tolist()
            meaning[first:last] = label
        drawn = torch.randint(len(part.captions), (num_samples,), generator=torch.Generator().manual_seed(seed))
        conditions = generator.text.encode(part.captions)[drawn]
        images = generator.draw(conditions, range(seed, seed + num_samples))
        report = judge_report(judge.verdicts(images), meaning[drawn], part.class_names)
        found["seen" if split == "train" else split] = report.accuracy
    return found


def scene_accuracy(generator: TextToImage, num_samples: int, seed: int, device: torch.device) -> dict[str, float]:
    """Exact match: the share of two-digit scenes in which the judge reads both digits, each in its place.

    For pairs of digits that were trained on ("seen") and pairs that never were ("held_out"), and the same of real
    images of held-out pairs ("real_held_out"), which is what a perfect model would reach.
    """
    judge = TrainedJudge("judge-digits", device)
    found = {}
    for name, split in (("seen", "test-seen"), ("held_out", "test")):
        part = data.load(DIGIT_SCENES.name, split).first(num_samples)
        captions = [part.captions[int(start)] for start, _ in part.caption_range]
        scenes = [parse_scene(caption) for caption in captions]
        images = generator.draw(generator.text.encode(captions), range(seed, seed + len(captions)))
        found[name] = float(_both_right(images, scenes, judge).double().mean())
        if split == "test":
            found["real_held_out"] = float(_both_right(part.images, scenes, judge).double().mean())
    return found


def _both_right(images: UInt8[Tensor, "n 1 60 60"], scenes: list[Scene], judge: TrainedJudge) -> Bool[Tensor, "n"]:
    first, second = halves(images, [scene.relation for scene in scenes])
    right = judge.verdicts(first) == torch.tensor([scene.first for scene in scenes])
    return right & (judge.verdicts(second) == torch.tensor([scene.second for scene in scenes]))
