"""How guidance and steps trade quality, faithfulness, variety and time in a flow prior, and what edits keep."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import torch
from jaxtyping import Bool, Int64, UInt8
from torch import Tensor

from textvae import data
from textvae.data.captioned_images import CaptionedImages
from textvae.editing import distance, inverted, redrawn
from textvae.evaluation.evaluators.retrieval import RetrievalJudge, retrieval_judge, retrieval_precision
from textvae.evaluation.judges import TrainedJudge, judge_of
from textvae.evaluation.metrics.colour import ColourReader, named_colour
from textvae.evaluation.metrics.diversity import mean_distance_within_classes
from textvae.evaluation.metrics.frechet import frechet_from_features
from textvae.pipeline import TextToImage
from textvae.pretrained.feature_nets import FeatureNet, feature_net
from textvae.priors import FlowPrior, SamplingOptions
from textvae.recipes.conditions import conditions_of
from textvae.runs.run import Run
from textvae.utils.device import Arithmetic

GUIDANCE = (1.0, 1.25, 1.5, 2.0, 3.0, 5.0)
STEPS = (1, 2, 4, 8, 16)
JUDGED, PHOTOGRAPHS = 2000, 400
"""Samples a point: fewer than in the tables, as the curves compare with each other only."""
EDITED, EDITED_PHOTOGRAPHS = 100, 50
"""Test images whose words are changed, at the most."""

Seen = Callable[[UInt8[Tensor, "n c h w"]], dict[str, float]]
"""What is measured of samples for the captions of the test images."""


def sampling_curves(run: Run, device: torch.device, num_samples: int | None = None, seed: int = 0) -> dict[str, Any]:
    """Quality and faithfulness over guidance, and over evaluations of the network; what edits change and keep.

    Where there is a judge: its Fréchet distance, its accuracy, diversity within classes. Of photographs: the Fréchet
    distance (efficientnet-lite0) and retrieval precision, drawn in bf16. Evaluations count the conditional ones;
    guidance doubles those of the solver, while strides have theirs built in.

    Args:
        run: whose model.
        device: where.
        num_samples: a point; default: ``JUDGED`` or ``PHOTOGRAPHS``.
        seed: of the first picture.

    Returns:
        {"curves": {"guidance": rows, "solver": rows, "strides": rows where they were learned, "edits": rows where a
        judge tells classes, or colours are judged}}; empty without a flow prior, or a net and a judge to see with.
    """
    judge = judge_of(run.recipe.data, device)
    images = data.load(run.recipe.data, "test")
    classes = judge if isinstance(judge, TrainedJudge) and images.labels is not None else None
    images = images.first(min(num_samples or (JUDGED if classes else PHOTOGRAPHS), len(images)))
    precision: Arithmetic = "fp32" if classes else "bf16"
    generator = TextToImage.load(run, device, precision)
    if not generator.model.prior.supports_guidance:
        return {}
    prior = cast(FlowPrior, generator.model.prior)
    if classes:
        seen = _by_judge(classes, images)
    else:
        net, pair = feature_net(RetrievalJudge.features, device), retrieval_judge(run)
        if not isinstance(net, FeatureNet) or not isinstance(pair, RetrievalJudge):
            return {}
        seen = _by_pair(net, pair, images, seed)
    conditions = conditions_of(images, run.recipe.text)[images.caption_range[:, 0]]

    def row(sampling: SamplingOptions) -> dict[str, float]:
        return seen(generator.draw(conditions, range(seed, seed + len(images)), sampling))

    evaluations = 1 if prior.config.solver == "multistep" else 2
    found: dict[str, Any] = {
        "samples": len(images),
        "precision": precision,
        "guidance": [{"guidance": g} | row(SamplingOptions(guidance=g, steps=8, strides=False)) for g in GUIDANCE],
        "solver": [{"evaluations": evaluations * n} | row(SamplingOptions(steps=n, strides=False)) for n in STEPS],
    }
    if bool(prior.strides):
        short = [n for n in STEPS if n <= prior.config.steps]
        found["strides"] = [{"evaluations": n} | row(SamplingOptions(steps=n)) for n in short]
    other = _other_classes(classes, images, conditions) if classes else _other_colours(run, images)
    if other is not None:
        found["edits"] = _edits(generator, images, conditions, other, seed)
    return {"curves": found}


def _by_judge(judge: TrainedJudge, images: CaptionedImages) -> Seen:
    net, labels = judge.features(), images.labels
    assert labels is not None
    real = net(images.images)
    variety = mean_distance_within_classes(real, labels)

    def seen(drawn: UInt8[Tensor, "n c h w"]) -> dict[str, float]:
        features = net(drawn)
        return {
            "frechet_judge": frechet_from_features(features, real),
            "judge_accuracy": float((judge.verdicts(drawn) == labels).double().mean()),
            "diversity": mean_distance_within_classes(features, labels) / variety,
        }

    return seen


def _by_pair(net: FeatureNet, pair: RetrievalJudge, images: CaptionedImages, seed: int) -> Seen:
    real = net(images.images)
    captions = [images.captions[number] for number in images.caption_range[:, 0].tolist()]
    texts = pair.embed_captions(captions)

    def seen(drawn: UInt8[Tensor, "n c h w"]) -> dict[str, float]:
        features = net(drawn)
        return {
            f"frechet_{net.name}": frechet_from_features(features, real),
            "retrieval_precision": retrieval_precision(pair.embed_images(features), texts, captions, seed),
        }

    return seen


@dataclass(frozen=True)
class _Rewording:
    """Test images that are given other words."""

    which: Int64[Tensor, "few"]
    asked: Tensor
    """The condition of the new words of each."""
    shown: Callable[[UInt8[Tensor, "few c h w"]], Bool[Tensor, "few"]]
    """Whether pictures show what the new words say."""


def _other_classes(judge: TrainedJudge, images: CaptionedImages, conditions: Tensor) -> _Rewording:
    """The words of other images, of other classes."""
    labels = images.labels
    assert labels is not None
    other = torch.arange(len(images)).roll(len(images) // 2)
    few = (labels != labels[other]).nonzero()[:EDITED, 0]
    return _Rewording(few, conditions[other[few]], lambda drawn: judge.verdicts(drawn) == labels[other[few]])


def _other_colours(run: Run, images: CaptionedImages) -> _Rewording | None:
    """Captions that name one colour, with another in its place; None where no colours are judged."""
    photographs = data.photographs(run.recipe.data)
    colours = photographs.colours if photographs else ()
    captions = [images.captions[number] for number in images.caption_range[:, 0].tolist()]
    named = named_colour(captions, colours)
    few = (named >= 0).nonzero()[:EDITED_PHOTOGRAPHS, 0]
    if not len(few):
        return None
    reader = ColourReader.fit(data.load(run.recipe.data, "train"), colours)
    # Each of the others in turn.
    wanted = (named[few] + 1 + torch.arange(len(few)) % (len(colours) - 1)) % len(colours)
    reworded = [
        re.sub(rf"\b{colours[named[number]]}\b", colours[new], captions[number], flags=re.IGNORECASE)
        for number, new in zip(few.tolist(), wanted.tolist(), strict=True)
    ]
    return _Rewording(few, run.recipe.text.encode(reworded), lambda drawn: reader.read(drawn) == wanted)


def _edits(
    generator: TextToImage, images: CaptionedImages, conditions: Tensor, other: _Rewording, seed: int
) -> list[dict[str, int | float]]:
    """Test images with other words (``play.edit``), over guidance.

    Returns:
        A row a guidance: *changed*: how often the new class, or colour, is then seen; *kept*: 1 where nothing changed,
        0 where as much did as between the image and one that is drawn for the new words from other noise.
    """
    few = other.which
    before, noise = inverted(generator, images.images[few], conditions[few])
    rows: list[dict[str, int | float]] = []
    for guidance in GUIDANCE:
        after = redrawn(generator, noise, other.asked, guidance)
        fresh = generator.draw(other.asked, range(seed, seed + len(few)), SamplingOptions(guidance, strides=False))
        rows.append(
            {
                "guidance": guidance,
                "edited": len(few),
                "changed": float(other.shown(after).double().mean()),
                "kept": 1 - distance(before, after) / distance(before, fresh),
            }
        )
    return rows
