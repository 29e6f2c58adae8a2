"""Whether a captioner recovers from a generated image the caption that it was generated for; also of captioners."""

from collections.abc import Mapping, Sequence
from typing import Any

from textvae import data
from textvae.data.captioned_images import CaptionedImages
from textvae.evaluation.context import EvaluationContext
from textvae.evaluation.describing import FEATURES, describer_of, written_captions
from textvae.evaluation.evaluators.colour import PLAIN, colours_of
from textvae.evaluation.measurement import Measurement
from textvae.evaluation.metrics.words import colours_recovered, word_f1
from textvae.evaluation.partners import partners
from textvae.models.captioner import Captioner
from textvae.pretrained.feature_nets import Unavailable
from textvae.recipes.recipe import Recipe

METRIC = "generation.description"


def description(context: EvaluationContext) -> Measurement:
    """``description``: how well captions are recovered, in words and colours, from generated images (``samples``), from
    ``real`` ones, and from generated images of other captions (``shuffled``), which is the chance level.
    """
    if not context.in_colour or data.photographs(context.run.recipe.data) is None:
        return Measurement()
    describer = describer_of(context.run)
    if isinstance(describer, Unavailable):
        return Measurement(absent={METRIC: describer.reason})
    if FEATURES not in context.generated_features:
        return Measurement(absent={METRIC: f"it needs the feature network {FEATURES}, which is not available"})
    drawn = describer.describe_features(context.generated_features[FEATURES])
    written = {
        "samples": drawn,
        "real": describer.describe_features(context.real_features[FEATURES]),
        "shuffled": [drawn[number] for number in context.mismatched.tolist()],
    }
    found = _compared(written, context.captions, colours_of(context.run.recipe.data))
    return Measurement({"description": found}, {"description": {"captioner": describer.name}})


def captioning(model: Captioner, recipe: Recipe, images: CaptionedImages, seed: int) -> Measurement:
    """Words and colours of the captions of ``real`` test images, and of ``shuffled`` ones, that a captioner writes."""
    captions = [images.captions[number] for number in images.one_caption_each(seed).tolist()]
    written = written_captions(model, recipe, images.images.flatten(1))
    both = {"real": written, "shuffled": [written[number] for number in partners(len(images)).tolist()]}
    return Measurement(_compared(both, captions, colours_of(recipe.data)))


def _compared(written: Mapping[str, Sequence[str]], captions: Sequence[str], colours: Sequence[str]) -> dict[str, Any]:
    found: dict[str, Any] = {"word_f1": {name: word_f1(texts, captions) for name, texts in written.items()}}
    recovered = {name: colours_recovered(texts, captions, colours or PLAIN) for name, texts in written.items()}
    if all(recovered.values()):
        found["colour"] = {name: pair[0] for name, pair in recovered.items() if pair}
        found["colour"]["count"] = next(pair[1] for pair in recovered.values() if pair)
    return found
