"""Ours: the step past the papers. A VAE with spatial latents and a learned noise scale, a flow for its prior."""

import dataclasses

from textvae.models.flow_stage import FlowConfig
from textvae.models.latent_flow import LatentFlow
from textvae.priors import FlowPrior
from textvae.recipes.paper_d import PROMPTS
from textvae.recipes.recipe import FlowStage, Recipe
from textvae.text.digit_captions import DigitCaptions
from textvae.text.labels import FASHION
from textvae.training import TrainerConfig


def latent_flow_fashion() -> Recipe:
    """Garments from a key word, sharp and faithful.

    Where the papers' samples fail, and what stands here instead: the scale of the likelihood is learned; z keeps its
    place in the image, so that reconstructions are sharp; p(z|c) is a rectified flow that is fitted to the latents the
    decoder was trained on, with the word in every layer of it.

    Stage one weighs the KL by 0.3: with 1 and 4 latents a place, reconstructions alone were at a Fréchet distance of 36
    (judge), label-conv's own being 28.5. The 7 x 7 places are put together by four: sixteen tokens cost a transformer a
    third of what forty-nine do.

    Strides are learned by the shortcut loss (Frans et al. 2025): one network, and one more loss in the last passes.
    Reflow would need a teacher's samples and consistency distillation a second network; mean flows need a forward-mode
    derivative through the attention.

    Command: ``textvae train latent-flow-fashion`` (``--preset tiny`` for a first look). Not measured yet as a whole.
    Stage one: on 2,000 test images, reconstructions have a Fréchet distance of 4.0 (judge) and a judge accuracy of
    0.93. Of the flow only 3 passes were tried, its loss still falling: 318 and 0.49 unguided, 166 and 0.76 at
    guidance 2.
    """
    model = LatentFlow.Config(latent_channels=8, beta=0.3)
    trainer = TrainerConfig(epochs=5, batch_size=64, learning_rate=3e-3, schedule="cosine", ema_decay=0.995)
    flow = FlowStage(
        FlowConfig(FlowPrior.Config(width=128, depth=6, patch=2), "none", size=10),
        TrainerConfig(epochs=14, batch_size=128, learning_rate=1e-3, schedule="cosine", ema_decay=0.998),
        stride_epochs=2,
    )
    small = FlowConfig(FlowPrior.Config(width=64, depth=4, patch=2), "none", size=10)
    return Recipe(
        name="latent-flow-fashion",
        summary="garments from a key word, spatial latents and a flow prior",
        source="ours",
        data="fashion-mnist",
        text=FASHION,
        model=model,
        trainer=trainer,
        flow=flow,
        presets={
            "tiny": {
                "model": dataclasses.replace(model, latent_channels=4),
                "trainer": dataclasses.replace(trainer, epochs=2),
                "flow": FlowStage(small, dataclasses.replace(flow.trainer, epochs=2)),
            }
        },
        prompts=FASHION.class_names,
    )


def latent_flow_digits() -> Recipe:
    """Digits from sums in words, those longer than any in training included.

    ``latent_flow_fashion`` with the reader of paper d's captions (``DialReader``), taught in the first stage.

    Command: ``textvae train latent-flow-digits``; measured: see RESULTS.md.
    """
    text = DigitCaptions("arithmetic")
    fashion = latent_flow_fashion()
    assert fashion.flow is not None
    return dataclasses.replace(
        fashion,
        name="latent-flow-digits",
        summary="digits from arithmetic captions, spatial latents and a flow prior",
        data="digits-arithmetic",
        text=text,
        model=LatentFlow.Config(latent_channels=8, beta=0.3, num_tokens=text.num_tokens),
        flow=dataclasses.replace(fashion.flow, model=dataclasses.replace(fashion.flow.model, reader="taught")),
        presets={},
        prompts=PROMPTS["arithmetic"],
    )
