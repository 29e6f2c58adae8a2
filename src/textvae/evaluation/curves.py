"""How guidance and the number of steps of a flow prior trade quality, faithfulness and diversity; what edits change."""

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
from textvae.evaluation.evaluators.colour import ColourJudge, judged_colours, named_colours
from textvae.evaluation.judges import ClassifierJudge, RetrievalJudge, classifier_judge, retrieval_judge
from textvae.evaluation.metrics.diversity import mean_distance_within_classes
from textvae.evaluation.metrics.frechet import frechet_from_features
from textvae.evaluation.metrics.retrieval import retrieval_precision
from textvae.evaluation.partners import partners
from textvae.pipeline import TextToImage
from textvae.pretrained.feature_nets import FeatureNet, feature_net
from textvae.priors import FlowPrior, SamplingOptions
from textvae.recipes.conditions import conditions_of
from textvae.runs.run import Run

GUIDANCE = (1.0, 1.25, 1.5, 2.0, 3.0, 5.0)
STEPS = (1, 2, 4, 8, 16)
CLASSIFIED, PHOTOGRAPHS = 2000, 400
"""Images per point, for data with a classifier and for photographs: fewer than in the tables, as points of a curve are
only compared with each other."""
EDITED, EDITED_PHOTOGRAPHS = 100, 50
"""Test images to edit, at most."""

Measure = Callable[[UInt8[Tensor, "n c h w"]], dict[str, float]]
"""Numbers about images that were generated for the captions of the test images."""


def sampling_curves(run: Run, device: torch.device) -> dict[str, Any]:
    """Quality and faithfulness over guidance scales and over evaluations of the flow's network, and effects of edits.

    For data with a classifier: Fréchet distance in its features, its accuracy, and diversity within classes. For
    photographs: Fréchet distance in features of efficientnet-lite0 and retrieval precision. Only evaluations with the
    condition are counted; guidance doubles those of the solver where the network does not read the scale, while
    few-step sampling has learned guidance.

    Args:
        run: the run of the model.
        device: where to compute.

    Returns:
        {"curves": {"guidance": rows, "solver": rows, "strides": rows of few-step sampling if it was learned, "edits":
        rows if a judge sees classes or colours}}; empty without a flow prior, or without a judge.
    """
    judge = classifier_judge(run.recipe.data, device)
    images = data.load(run.recipe.data, "test")
    classes = judge if isinstance(judge, ClassifierJudge) and images.labels is not None else None
    images = images.first(CLASSIFIED if classes else PHOTOGRAPHS)
    generator = TextToImage.load(run, device)
    if not generator.model.prior.supports_guidance:
        return {}
    prior = cast(FlowPrior, generator.model.prior)
    if classes:
        measure = _by_classifier(classes, images)
    else:
        net, dual_encoder = feature_net(RetrievalJudge.features, device), retrieval_judge(run)
        if not isinstance(net, FeatureNet) or not isinstance(dual_encoder, RetrievalJudge):
            return {}
        measure = _by_dual_encoder(net, dual_encoder, images)
    conditions = conditions_of(images, run.recipe.text)[images.caption_range[:, 0]]

    def row(sampling: SamplingOptions) -> dict[str, float]:
        return measure(generator.draw(conditions, range(len(images)), sampling))

    evaluations = 1 if prior.config.solver == "multistep" else 2
    found: dict[str, Any] = {
        "samples": len(images),
        "precision": "fp32",
        "guidance": [{"guidance": g} | row(SamplingOptions(guidance=g, steps=8, few_step=False)) for g in GUIDANCE],
        "solver": [{"evaluations": evaluations * n} | row(SamplingOptions(steps=n, few_step=False)) for n in STEPS],
    }
    if bool(prior.strides):
        few = [n for n in STEPS if n <= prior.config.steps]
        found["strides"] = [{"evaluations": n} | row(SamplingOptions(steps=n)) for n in few]
    changes = _other_classes(classes, images, conditions) if classes else _other_colours(run, images)
    if changes is not None:
        found["edits"] = _edits(generator, images, conditions, changes)
    return {"curves": found}


def _by_classifier(judge: ClassifierJudge, images: CaptionedImages) -> Measure:
    net, labels = judge.features(), images.labels
    assert labels is not None
    real = net(images.images)
    real_diversity = mean_distance_within_classes(real, labels)

    def measure(drawn: UInt8[Tensor, "n c h w"]) -> dict[str, float]:
        features = net(drawn)
        return {
            "frechet_judge": frechet_from_features(features, real),
            "judge_accuracy": float((judge.classify(drawn) == labels).double().mean()),
            "diversity": mean_distance_within_classes(features, labels) / real_diversity,
        }

    return measure


def _by_dual_encoder(net: FeatureNet, judge: RetrievalJudge, images: CaptionedImages) -> Measure:
    real = net(images.images)
    captions = _first_captions(images)
    texts = judge.embed_captions(captions)

    def measure(drawn: UInt8[Tensor, "n c h w"]) -> dict[str, float]:
        features = net(drawn)
        return {
            f"frechet_{net.name}": frechet_from_features(features, real),
            "retrieval_precision": retrieval_precision(judge.embed_images(features), texts, captions),
        }

    return measure


@dataclass(frozen=True)
class _Changes:
    """Test images to edit, and the captions to edit them with."""

    chosen: Int64[Tensor, "few"]
    conditions: Tensor
    """The new caption of each image, encoded."""
    shown: Callable[[UInt8[Tensor, "few c h w"]], Bool[Tensor, "few"]]
    """Whether images show what the new captions say."""


def _other_classes(judge: ClassifierJudge, images: CaptionedImages, conditions: Tensor) -> _Changes:
    """Captions of images of other classes."""
    labels = images.labels
    assert labels is not None
    other = partners(len(images))
    few = (labels != labels[other]).nonzero()[:EDITED, 0]
    return _Changes(few, conditions[other[few]], lambda drawn: judge.classify(drawn) == labels[other[few]])


def _other_colours(run: Run, images: CaptionedImages) -> _Changes | None:
    """Captions that name one colour, with another colour in its place; None for data without judged colours."""
    train = data.load(run.recipe.data, "train")
    if len(colours := judged_colours(run.recipe.data, train)) < 2:
        return None
    captions = _first_captions(images)
    named = named_colours(captions, colours)
    few = (named >= 0).nonzero()[:EDITED_PHOTOGRAPHS, 0]
    if not len(few):
        return None
    judge = ColourJudge.fit(train, colours)
    # Each of the other colours in turn.
    wanted = (named[few] + 1 + torch.arange(len(few)) % (len(colours) - 1)) % len(colours)
    reworded = [
        re.sub(rf"\b{colours[named[number]]}\b", colours[new], captions[number], flags=re.IGNORECASE)
        for number, new in zip(few.tolist(), wanted.tolist(), strict=True)
    ]
    return _Changes(few, run.recipe.text.encode(reworded), lambda drawn: judge.classify(drawn) == wanted)


def _first_captions(images: CaptionedImages) -> list[str]:
    return [images.captions[number] for number in images.caption_range[:, 0].tolist()]


def _edits(
    generator: TextToImage, images: CaptionedImages, conditions: Tensor, changes: _Changes
) -> list[dict[str, int | float]]:
    """Test images edited by new captions (``editing.edit``), over guidance scales.

    Returns:
        A row for each scale: *changed*: how often the new class or colour is seen; *kept*: 1 if nothing changed, 0 if
        as much changed as between the image and one generated for the new caption from other noise.
    """
    few = changes.chosen
    before, noise = inverted(generator, images.images[few], conditions[few])
    rows: list[dict[str, int | float]] = []
    for guidance in GUIDANCE:
        after = redrawn(generator, noise, changes.conditions, guidance)
        options = SamplingOptions(guidance, few_step=False)
        fresh = generator.draw(changes.conditions, range(len(few)), options)
        rows.append(
            {
                "guidance": guidance,
                "edited": len(few),
                "changed": float(changes.shown(after).double().mean()),
                "kept": 1 - distance(before, after) / distance(before, fresh),
            }
        )
    return rows
