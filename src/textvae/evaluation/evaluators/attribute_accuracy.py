"""Whether generated sprouts have the attributes that their caption names, for pairs of training and held-out pairs."""

from collections.abc import Sequence

import torch
from jaxtyping import Int64, UInt8
from torch import Tensor

from textvae import data
from textvae.data.sprouts import SPROUTS
from textvae.evaluation.context import EvaluationContext
from textvae.evaluation.judges import AttributeJudge
from textvae.evaluation.measurement import Measurement
from textvae.pipeline import TextToImage
from textvae.text.sprout_grammar import ATTRIBUTES, parse_sprout

SAMPLES = 1000
"""Images generated for each kind of captions."""

Accuracy = dict[str, float]
"""By attribute, and "all": the fraction of images in which everything that the caption names is right."""


def attribute_accuracy(context: EvaluationContext) -> Measurement:
    """``attribute_accuracy`` of models of sprouts; nothing for other data."""
    if context.run.recipe.data != SPROUTS.name:
        return Measurement()
    judge = AttributeJudge(context.pipeline.device)
    found = accuracy_by_kind(context.pipeline, judge, SAMPLES, context.seed)
    return Measurement({"attribute_accuracy": found | {"samples_each": SAMPLES}}, {"attribute_judge": judge.name})


def accuracy_by_kind(generator: TextToImage, judge: AttributeJudge, num_samples: int, seed: int) -> dict[str, Accuracy]:
    """The accuracy for each kind of captions; only attributes that a caption names are judged.

    "seen": captions that name all attributes, with pairs of plant and colour that training had; "seen_short": captions
    of the same images that leave some out; "held_out": captions that name all attributes, with held-out pairs;
    "real_seen" and "real_held_out": the same for real images, what a perfect model would reach.

    Args:
        generator: the model; image i is generated with ``seed + i``.
        judge: names the attributes of images.
        num_samples: images generated for each kind.
        seed: of the first image.
    """
    found: dict[str, Accuracy] = {}
    for kind, split, number in (("seen", "test-seen", 0), ("seen_short", "test-seen", 1), ("held_out", "test", 0)):
        part = data.load(SPROUTS.name, split).first(num_samples)
        captions = [part.captions[first + number] for first in part.caption_range[:, 0].tolist()]
        images = generator.draw(generator.text.encode(captions), range(seed, seed + len(captions)))
        found[kind] = accuracy(images, captions, judge)
        if number == 0:
            found[f"real_{kind}"] = accuracy(part.images, captions, judge)
    return found


def accuracy(images: UInt8[Tensor, "n 3 64 64"], captions: Sequence[str], judge: AttributeJudge) -> Accuracy:
    """How often the judge sees in an image what its caption names."""
    named = attributes_of(captions)
    wrong = (judge.classify(images) != named) & (named >= 0)
    by_attribute = {
        name: 1 - int(wrong[:, column].sum()) / count
        for column, name in enumerate(ATTRIBUTES)
        if (count := int((named[:, column] >= 0).sum()))
    }
    return {"all": 1 - float(wrong.any(1).double().mean()), **by_attribute}


def attributes_of(captions: Sequence[str]) -> Int64[Tensor, "n attributes"]:
    """The index of the value of each attribute that a caption names; -1 where it names none.

    Raises:
        UserError: as ``parse_sprout``.
    """
    rows = [
        [-1 if value is None else ATTRIBUTES[name].index(value) for name, value in parse_sprout(text)._asdict().items()]
        for text in captions
    ]
    return torch.tensor(rows, dtype=torch.int64)
