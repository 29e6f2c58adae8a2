"""CLIP score of generated images, if CLIP's weights are available."""

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from textvae.evaluation.context import EvaluationContext
from textvae.evaluation.judges import CLIP_PREFIX, ClipJudge, clip_judge
from textvae.evaluation.measurement import Measurement
from textvae.evaluation.metrics import clip_score as metric
from textvae.utils.batches import in_batches

BATCH_SIZE = 256


def clip_score(context: EvaluationContext) -> Measurement:
    """``clip_score`` of generated images, of real images, and of generated images with shuffled captions.

    ``clip_score`` is of captions as they are, as paper a has it; ``clip_score_prefixed`` of captions behind the prefix
    of Hessel et al. The protocol says whether the same weights conditioned the model.
    """
    if not context.in_colour:
        return Measurement()
    judge = clip_judge(context.run.recipe, context.clip)
    if not isinstance(judge, ClipJudge):
        return Measurement(absent={"generation.clip_score": judge.reason})
    generated, real = (_embedded(context, judge, some) for some in (context.generated.images, context.images.images))
    found = {}
    for name, prefix in (("clip_score", ""), ("clip_score_prefixed", CLIP_PREFIX)):
        texts = judge.embed_captions(context.captions, prefix)
        found[name] = {
            "samples": metric.clip_score(generated, texts),
            "real": metric.clip_score(real, texts),
            "shuffled": metric.clip_score(generated, texts[context.mismatched]),
        }
    return Measurement(found, {"clip_score": judge.protocol})


def _embedded(context: EvaluationContext, judge: ClipJudge, images: UInt8[Tensor, "n 3 h w"]) -> Float[Tensor, "n d"]:
    group = context.pipeline.processes
    batches = in_batches(group, len(images), BATCH_SIZE, lambda rows: judge.embed_images(images[rows]), "CLIP score")
    return torch.cat(batches)
