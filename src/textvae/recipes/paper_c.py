"""Paper c: "Generative CLIP-Conditioned Variational Autoencoder", and the gap between its two embeddings."""

import dataclasses
from typing import Literal

from textvae.data.catalog import PHOTOGRAPHS
from textvae.data.frozen_encoders import DualEncoderText
from textvae.models.clip_dual import ClipDual
from textvae.models.clip_unclip import ClipUnclip
from textvae.models.dual_encoder import DualEncoder
from textvae.models.with_flow import FlowConfig
from textvae.priors import FlowPrior
from textvae.recipes.recipe import FlowStage, Recipe
from textvae.training.config import TrainerConfig

_FIGURE_2 = {
    (64, "image", 0.2): 2376.0,
    (64, "text", 0.2): 2526.0,
    (128, "image", 0.2): 9227.0,
    (128, "text", 0.2): 9701.0,
    (128, "image", 0.0): 9386.0,
}
"""Best validation loss, by size, training embedding and dropout (0.2 stands for "with dropout", of unstated rate)."""


def clip_dual(size: Literal[64, 128], embedding: Literal["image", "text"], dropout: float = 0.0) -> Recipe:
    """Photographs from a sentence embedding; trained on embeddings of images, or of sentences.

    Observations: docs/experiment_log.md.
    Source: paper c, figure 2. It states the architecture and the objective (``ClipDual``), batches of 16, 25 epochs,
    the best validation loss; MS-COCO's images of cows and sheep (3,400), for the last model of a dozen pastoral words
    (20,000). Its validation losses are comparable in magnitude only: in the authors' notebooks (final_notebooks/
    of github.com/Ayma-n/dl-fp) validation batches are drawn from the training set, apparently by mistake.
    Choices: Adam 1e-3 (Keras's default), dropout 0.2 (``clip_dual_code`` has those of their program), coco-mini with
    all themes, validation on its last 200 images, and our dual encoder for the shared space: ``textvae train
    pair-coco-mini``, then ``textvae data prepare coco-mini --text pair --image-encoder pair --pair
    runs/pair-coco-mini``. With CLIP: ``textvae data prepare coco --text clip --image-encoder clip --theme livestock``,
    then ``--data coco-livestock-64-clip``; ``textvae reproduce c --full`` does all of it.
    Time: 64 pixels, 10 images/s a thread, 50 minutes on two; 128 pixels, 5 images/s, two hours.
    Command: ``textvae train clip-dual-64-image-dropout``; ``textvae reproduce c`` trains fewer epochs.
    """
    loss = _FIGURE_2.get((size, embedding, dropout))
    return Recipe(
        name=f"clip-dual-{size}-{embedding}{'-dropout' if dropout else ''}",
        summary=f"photographs of {size} pixels, trained on embeddings of {embedding}s{', dropout' if dropout else ''}",
        source="paper c, section II",
        data=f"coco-mini-{size}-pair",
        text=DualEncoderText("runs/pair-coco-mini"),
        model=ClipDual.Config(image_size=size, condition_dim=DualEncoder.Config().width, dropout=dropout),
        # Patience for all epochs: no training is cut short, and the best epoch is kept.
        trainer=TrainerConfig(epochs=25, batch_size=16, learning_rate=1e-3, validation_images=200, patience=25),
        prompts=PHOTOGRAPHS["coco-mini"].prompts,
        condition_on=embedding,
        published={} if loss is None else {"training.best_validation_loss": loss},
    )


def clip_dual_code(size: Literal[64, 128], embedding: Literal["image", "text"]) -> Recipe:
    """``clip_dual`` as implemented in the authors' program, where that differs from the paper.

    Source: final_notebooks/ of github.com/Ayma-n/dl-fp: Adam 5e-4, dropout 0.3 of z, batches of 16, 25 epochs; layers
    and normalisation as ``ClipDual.Config.reading`` says. Its validation batches are training images.
    Choices: those of ``clip_dual``. Two errors of the program are not repeated: it passes pixels to CLIP without
    CLIP's normalisation, so that it trains on embeddings of images unlike those CLIP was trained on; and it drops the
    last, incomplete batch of an epoch.
    Data: ``--theme livestock`` and ``--theme pastoral`` are the paper's two sets; ``textvae reproduce c --full``.
    Result: RESULTS.md.
    Command: ``textvae train clip-dual-64-image-code --precision bf16``.
    """
    plain = clip_dual(size, embedding, 0.3)
    return dataclasses.replace(
        plain,
        name=f"clip-dual-{size}-{embedding}-code",
        summary=f"photographs of {size} pixels, trained on embeddings of {embedding}s as the authors' program does",
        source="paper c, its authors' program",
        model=dataclasses.replace(plain.model, reading="program"),
        trainer=dataclasses.replace(plain.trainer, learning_rate=5e-4),
        published={"training.best_validation_loss": _FIGURE_2[size, embedding, 0.2]},
    )


def clip_dual_bridged(bridge: Literal["shifted", "noised"]) -> Recipe:
    """``clip-dual-64-image-dropout`` with the gap between embeddings of images and of sentences bridged.

    Source: ours, after paper c. "shifted": embeddings of images are translated by the difference of the training means
    of sentences and images. "noised": in training, they get Gaussian noise of half their length, then their length back
    (as in CapDec, Nukrai et al. 2022, and CLOSE, Gu et al. 2023, trained on sentences and applied to images).
    Result: RESULTS.md.
    Command: ``textvae train clip-dual-64-image-shifted``.
    """
    plain = clip_dual(64, "image", 0.2)
    how = {"shifted": "translated to the mean of the sentences", "noised": "with noise"}[bridge]
    changed = dataclasses.replace(
        plain,
        name=f"clip-dual-64-image-{bridge}",
        summary=f"photographs of 64 pixels, trained on embeddings of images {how}, dropout",
        source="ours, after paper c",
        published={},
    )
    if bridge == "shifted":
        return dataclasses.replace(changed, condition_on="shifted-image")
    return dataclasses.replace(changed, model=dataclasses.replace(plain.model, condition_noise=0.5))


def clip_dual_unclip() -> Recipe:
    """``clip-dual-64-image-dropout`` with a flow prior that turns the embedding of a prompt into one of an image.

    Source: ours, after unCLIP (Ramesh et al. 2022): paper c's decoder is trained on image embeddings but then
    receives sentence embeddings, which lie elsewhere. Here a flow over vectors, p(image embedding | sentence
    embedding), trained on the captions of the training images, translates between them. The first stage is
    ``clip-dual-64-image-dropout`` bit for bit, so that the two rows differ only by the prior.
    Choices: a perceptron of width 256, guidance 1.5; neither was tuned.
    Time: 64 pixels, 10 images/s a thread; the second stage takes about a minute on coco-mini (0.1 s a step).
    Result: RESULTS.md.
    Command: ``textvae train clip-dual-64-image-unclip``.
    """
    plain = clip_dual(64, "image", 0.2)
    width = DualEncoder.Config().width
    return dataclasses.replace(
        plain,
        name="clip-dual-64-image-unclip",
        summary="photographs of 64 pixels, trained on image embeddings; a flow generates them from sentence embeddings",
        source="ours, after paper c",
        model=ClipUnclip.Config(image_size=64, condition_dim=width, dropout=0.2),
        flow=FlowStage(
            FlowConfig(FlowPrior.Config(width=256), "none", width),
            TrainerConfig(epochs=100, batch_size=256, learning_rate=1e-3, schedule="cosine", ema_decay=0.995),
        ),
        published={},
    )
