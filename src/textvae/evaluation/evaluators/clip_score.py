"""CLIP score of generated images, if CLIP's weights are available."""

from textvae.evaluation.context import EvaluationContext
from textvae.evaluation.judges import ClipJudge, clip_judge
from textvae.evaluation.measurement import Measurement
from textvae.evaluation.metrics import clip_score as metric


def clip_score(context: EvaluationContext) -> Measurement:
    """``clip_score`` of generated images, of real images, and of generated images with shuffled captions."""
    if not context.in_colour:
        return Measurement()
    judge = clip_judge(context.run.recipe, context.clip)
    if not isinstance(judge, ClipJudge):
        return Measurement(absent={"generation.clip_score": judge.reason})
    generated, texts = judge.embed_images(context.generated.images), judge.embed_captions(context.captions)
    real = judge.embed_images(context.images.images)
    return Measurement(
        {
            "clip_score": {
                "samples": metric.clip_score(generated, texts),
                "real": metric.clip_score(real, texts),
                "shuffled": metric.clip_score(generated, texts[context.mismatched]),
            }
        },
        {"clip_score": judge.protocol},
    )
