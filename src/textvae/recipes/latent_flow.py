"""Ours, beyond the papers: a VAE with spatial latents and a learned noise scale, and a flow as its prior."""

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal, TypedDict

from textvae.data.catalog import PHOTOGRAPHS
from textvae.models.spatial_vae import SpatialVAE
from textvae.models.with_flow import FlowConfig
from textvae.priors import FlowPrior
from textvae.recipes.paper_d import PROMPTS
from textvae.recipes.recipe import FlowStage, Recipe
from textvae.text.caption_words import CaptionWords
from textvae.text.digit_captions import DigitCaptions
from textvae.text.labels import FASHION
from textvae.training.config import TrainerConfig


def latent_flow_fashion() -> Recipe:
    """Garments from a keyword. What was tried: docs/experiment_log.md.

    Source: ours. The likelihood's noise scale is learned; the latents keep their positions in the image; p(z|c) is a
    rectified flow, conditioned in every layer; its network learns guidance and autoguidance (Karras et al. 2024).
    Choices: KL weight 0.3; 4 latents a position, since the flow learns 4 better than 8; a small U-Net; 6 steps.
    Result: Fréchet distance 9.8 (judge), reconstructions 7.2; judge accuracy 0.942. Preset "tiny": 50 and 0.895.
    Time: 45 minutes on one core; preset "tiny": three minutes on one core, and the better choice for ``--minutes 10``.
    Command: ``textvae train latent-flow-fashion``, and ``--preset tiny``.
    """
    model = SpatialVAE.Config(latent_channels=4, beta=0.3)
    trainer = TrainerConfig(epochs=8, batch_size=64, learning_rate=3e-3, schedule="cosine", ema_decay=0.995)
    prior = FlowPrior.Config(width=128, guidance=1.05, guidance_input=4.0, steps=6, solver="multistep")
    flow = FlowStage(
        FlowConfig(prior, "none", size=10),
        TrainerConfig(epochs=24, batch_size=128, learning_rate=2e-3, schedule="cosine", ema_decay=0.998),
        guidance_epochs=4,
        autoguidance=1.75,
    )
    small = FlowConfig(FlowPrior.Config(width=96, depth=2, sides=1), "none", size=10)
    return Recipe(
        name="latent-flow-fashion",
        summary="garments from a keyword, by a VAE with spatial latents and a flow prior",
        source="ours",
        data="fashion-mnist",
        text=FASHION,
        model=model,
        trainer=trainer,
        flow=flow,
        presets={
            "tiny": {
                "trainer": dataclasses.replace(trainer, epochs=2),
                "flow": FlowStage(small, dataclasses.replace(flow.trainer, epochs=4)),
            }
        },
        prompts=FASHION.class_names,
    )


def latent_flow_digits() -> Recipe:
    """Digits from sums in words, also from sums longer than any in training. What was tried: docs/experiment_log.md.

    Source: ours. ``latent_flow_fashion`` with the reader of paper d's captions (``AngleSumEncoder``), which is trained
    in the first stage, and a narrower flow, with few-step sampling by the shortcut loss (Frans et al. 2025).
    Choices: a third of the learning rate and a quarter of the last layer's contrast. Four fifths of these pixels are
    black; with the settings for garments all pixels turned black within 50 steps and stayed so.
    Result: judge accuracy 0.984 or more on every kind of caption; Fréchet distance 2.8 (judge).
    Time: 18 minutes on one core.
    Command: ``textvae train latent-flow-digits``.
    """
    text = DigitCaptions("arithmetic")
    fashion = latent_flow_fashion()
    assert fashion.flow is not None
    return dataclasses.replace(
        fashion,
        name="latent-flow-digits",
        summary="digits from arithmetic captions, by a VAE with spatial latents and a flow prior",
        data="digits-arithmetic",
        text=text,
        model=SpatialVAE.Config(latent_channels=4, beta=0.3, contrast=1.0, num_tokens=text.num_tokens),
        trainer=dataclasses.replace(fashion.trainer, epochs=5, learning_rate=1e-3),
        flow=FlowStage(
            FlowConfig(FlowPrior.Config(width=96), "taught"),
            dataclasses.replace(fashion.flow.trainer, epochs=10),
            stride_epochs=3,
        ),
        presets={},
        prompts=PROMPTS["arithmetic"],
    )


_SUMMARY = "from captions, by a VAE with spatial latents and a flow prior with its own caption encoder"
_MODEL = SpatialVAE.Config(
    (3, 64, 64),
    channels=(32, 64),
    latent_channels=8,
    finest=16,
    finest_blocks=1,
    beta=0.5,
    contrast=0.5,
    perceptual=3000.0,
)
_SMALL_GRID = dataclasses.replace(_MODEL, channels=(32, 64, 64), latent_channels=16, finest=8)
"""8 x 8 positions of 16 latents, a quarter as many positions: a flow sees three times as many images in equal time."""
_PRIOR = FlowPrior.Config(width=128, solver="multistep")


@dataclass(frozen=True)
class _Settings:
    """The settings that differ between photograph sets."""

    source: str
    """Name of the data set in the catalog."""
    subject: str
    epochs: tuple[int, int]
    """Epochs of the two stages."""
    word_dropout: float = 0.0
    steps: int = 8
    spacing: float = 1.0
    """Sampling steps and their spacing, chosen on training images."""
    sides: tuple[int, ...] = (128,)
    """Image sizes in pixels, besides 64, that have a preset."""
    larger_epochs: tuple[int, int] = (12, 16)
    """Epochs of the two stages at these sizes."""
    model: SpatialVAE.Config = _MODEL
    batch_size: int = 128
    weight_decay: float = 0.0
    """Weight decay of the flow."""
    contrastive: float = 0.0
    """Weight of the contrastive loss between captions and latents in the training of the flow."""
    guidance_input: float = 0.0
    """Largest guidance scale that the network takes as an input; 0: none."""
    guidance_epochs: int = 0
    """Epochs after those of the flow, in which the network learns its guidance input."""
    guidance: float = 4.0
    """Guidance scale, chosen on training images."""
    autoguidance: float = 1.0
    """Scale of autoguidance; 1: none."""


_SMALL_BATCHES: dict[str, Any] = {"batch_size": 64, "weight_decay": 0.1}
"""After the same number of images, better than batches of 128 where images are few. So many steps need weight decay:
without it Muon's matrices keep growing. coco keeps the settings that it was measured with."""


class _Stages(TypedDict):
    trainer: TrainerConfig
    flow: FlowStage


def _stages(settings: _Settings, flip: bool) -> _Stages:
    """The training settings of both stages on photographs, as fields of a recipe."""
    trainer = TrainerConfig(optimizer="muon", learning_rate=2e-3, schedule="cosine", flip=flip)
    prior = dataclasses.replace(
        _PRIOR,
        word_dropout=settings.word_dropout,
        steps=settings.steps,
        spacing=settings.spacing,
        guidance=settings.guidance,
        guidance_input=settings.guidance_input,
    )
    first, second = settings.epochs
    flow = dataclasses.replace(
        trainer,
        epochs=second,
        batch_size=settings.batch_size,
        ema_decay=0.998,
        weight_decay=settings.weight_decay,
    )
    return {
        "trainer": dataclasses.replace(trainer, epochs=first, batch_size=64, ema_decay=0.995),
        "flow": FlowStage(
            FlowConfig(prior, "words", size=1, contrastive=settings.contrastive),
            flow,
            guidance_epochs=settings.guidance_epochs,
            autoguidance=settings.autoguidance,
        ),
    }


Photographs = Literal["flowers", "products", "coco", "scenes"]
SIDES: dict[int, tuple[tuple[int, ...], int]] = {128: ((32, 64, 64), 32), 256: ((16, 32, 64, 64), 16)}
"""Channels and batch size of the first stage at other sizes than 64 pixels: all have a grid of 16 x 16 latents."""
_SHARP = 7500.0
"""Weight of the perceptual loss at 64 pixels; coco and photos keep the smaller weight they were measured with."""
_SHARP_MODEL = dataclasses.replace(_MODEL, perceptual=_SHARP)

_CONTRASTIVE = 0.1
"""Weight of the contrastive loss, which makes flows follow captions sooner; long trainings gain nothing from it."""

_SETTINGS: dict[Photographs, _Settings] = {
    "flowers": _Settings(
        "flowers102",
        "flowers",
        (14, 36),
        word_dropout=0.5,
        steps=4,
        spacing=1.4,
        larger_epochs=(12, 36),
        model=_SHARP_MODEL,
        guidance_input=6.0,
        guidance_epochs=6,
        guidance=3.0,
        autoguidance=1.75,
        **_SMALL_BATCHES,
    ),
    "products": _Settings(
        "products",
        "products on white",
        (4, 30),
        word_dropout=0.5,
        steps=4,
        sides=(),
        model=_SHARP_MODEL,
        guidance_input=4.0,
        guidance_epochs=5,
        guidance=3.0,
        autoguidance=1.6,
        **_SMALL_BATCHES,
    ),
    "coco": _Settings("coco-mini", "everyday scenes", (60, 72), larger_epochs=(40, 48)),
    "scenes": _Settings(
        "scenes",
        "everyday scenes and people",
        (14, 30),
        word_dropout=0.5,
        steps=4,
        spacing=1.4,
        model=_SHARP_MODEL,
        contrastive=_CONTRASTIVE,
        **_SMALL_BATCHES,
    ),
}


def _larger(source: str, settings: _Settings, flip: bool) -> dict[str, dict[str, Any]]:
    """Presets named after a side in pixels: the recipe for larger pictures, with 16 x 16 positions of 8 latents."""
    larger = dataclasses.replace(settings, epochs=settings.larger_epochs, **_SMALL_BATCHES)
    stages = _stages(larger, flip)
    presets = {}
    for side in settings.sides:
        channels, batch_size = SIDES[side]
        presets[str(side)] = {
            "data": f"{source}-{side}-words",
            "model": dataclasses.replace(
                _MODEL,
                image_shape=(3, side, side),
                channels=channels,
                # The likelihood is a sum over pixels, the perceptual distance a mean.
                perceptual=_SHARP * (side // 64) ** 2,
            ),
            "trainer": dataclasses.replace(stages["trainer"], batch_size=batch_size),
            "flow": stages["flow"],
        }
    return presets


def latent_flow_photographs(photographs: Photographs) -> Recipe:
    """Photographs of 64 pixels from captions. What was tried: docs/experiment_log.md.

    Source: ours. The vocabulary is learned from the captions (``CaptionWords``), and every layer of the flow attends to
    each word. On a set with stored text (``--data flowers102-64-sentence-tokens``) it attends to those vectors instead.
    Choices: 16 x 16 positions of 8 latents; the optimizer Muon and a perceptual loss, for sharp images; guidance scale
    3 or 4; mirrored images, unless they show text; word dropout in half of the captions for short prompts (except
    coco); 4 sampling steps (coco 8); autoguidance for flowers and products; a contrastive loss for scenes.
    Result: Fréchet distance (efficientnet-lite0) of samples, reconstructions: flowers 53, 16; products 30, 10; coco
    141, 46 on 400 test images, where real training images have 95 and scenes has 133. scenes generates the backgrounds
    and colours of a caption; animals and people are rough shapes. The presets "128" have sharper edges than enlarged
    images of 64 pixels; by Fréchet distance flowers are as good as these, scenes worse (benchmarks/larger_pictures.py).
    Time: coco 33 minutes on one core, flowers 83, scenes 116, products 166 (beside other work); at 128 px 122 and 79.
    Command: ``textvae data prepare flowers102 --text words``, then
    ``textvae train latent-flow-flowers``; likewise products, coco (coco-mini) and scenes. The presets "128" of
    flowers, coco and scenes need a set prepared with ``--size 128``.
    """
    settings = _SETTINGS[photographs]
    entry = PHOTOGRAPHS[settings.source]
    stages = _stages(settings, flip=entry.mirror)
    return Recipe(
        name=f"latent-flow-{photographs}",
        summary=f"{settings.subject} {_SUMMARY}",
        source="ours",
        data=f"{entry.name}-64-words",
        text=CaptionWords(length=entry.caption_length, most=1500),
        model=settings.model,
        **stages,
        presets=_larger(entry.name, settings, entry.mirror),
        prompts=entry.prompts,
    )


def latent_flow_photos() -> Recipe:
    """Photographs of any kind from captions: the recipe of ``textvae train FOLDER``.

    Source: ours, ``latent_flow_photographs`` without settings tuned to a single data set, meant for half an hour on an
    ordinary CPU.
    Choices: 8 x 8 positions of 16 latents, a quarter as many positions as for the photograph sets, so that the flow
    sees three times as many images in the same time. The epochs suit 7,000 images; ``--minutes`` chooses them for other
    numbers. The flow is trained on batches of 64, which is better than 128 after few images, with a contrastive loss,
    which makes it follow captions sooner. Word dropout in half of the captions makes short prompts work. The presets
    "128" and "256" have 16 x 16 positions of 8 latents.
    Result: docs/own_pictures.md.
    Time: as asked for.
    Command: ``textvae train my_pictures --minutes 30``, or
    ``textvae train latent-flow-photos --data coco-mini-64-words --minutes 30``.
    """
    # Equal sampling steps: the best spacing depends on the photographs (docs/experiment_log.md); equal ones suit all.
    settings = _Settings(
        "coco-mini",
        "photographs of any kind",
        (14, 24),
        word_dropout=0.5,
        sides=(128, 256),
        model=_SMALL_GRID,
        contrastive=_CONTRASTIVE,
        **_SMALL_BATCHES,
    )
    stages = _stages(settings, flip=True)
    return Recipe(
        name="latent-flow-photos",
        summary=f"photographs of any kind {_SUMMARY}",
        source="ours",
        data="coco-mini-64-words",
        text=CaptionWords(most=2000),
        model=settings.model,
        **stages,
        presets=_larger("coco-mini", settings, flip=True),
        prompts=PHOTOGRAPHS["coco-mini"].prompts,
    )


def latent_flow_sprouts() -> Recipe:
    """Drawings of potted plants from captions; a benchmark that counts what is right.

    Source: ours. ``latent_flow_photographs`` on drawings, for whose flat colours 8 x 8 positions suffice, a quarter as
    many as for photographs.
    Choices: 16 latents a position; no perceptual loss, since the learned noise scale makes edges sharp; no mirrored
    images, since a wink has a side; the last layer's contrast as for photographs (with that for garments, all pixels
    were saturated after 200 steps).
    Result: all attributes that a caption names are right in 0.98 of the samples, also for combinations of plant and
    colour that the training set lacks; Fréchet distance (efficientnet-lite0) of samples 50, reconstructions 42.
    Time: 27 minutes on one core.
    Command: ``textvae train latent-flow-sprouts``.
    """
    prior = FlowPrior.Config(width=128, guidance=2.0, solver="multistep")
    trainer = TrainerConfig(optimizer="muon", learning_rate=2e-3, schedule="cosine")
    return Recipe(
        name="latent-flow-sprouts",
        summary=f"drawings of potted plants {_SUMMARY}",
        source="ours",
        data="sprouts",
        text=CaptionWords(length=20),
        model=SpatialVAE.Config(
            (3, 64, 64), channels=(32, 64, 64), latent_channels=16, finest=8, finest_blocks=1, beta=0.5, contrast=0.5
        ),
        trainer=dataclasses.replace(trainer, epochs=3, batch_size=64, ema_decay=0.995),
        flow=FlowStage(
            FlowConfig(prior, "words", size=1),
            dataclasses.replace(trainer, epochs=9, batch_size=128, ema_decay=0.998),
        ),
        prompts=(
            "a smiling cactus in a round yellow pot on a blue background",
            "an angry red tulip in a square white pot on a green background",
            "a sleeping palm in a wide purple pot on an orange background",
            "a surprised bush in a rimmed turquoise pot on a magenta background",
            "a sad flower in a coral pot",
            "a laughing plant on a black background",
        ),
    )
