"""Paper b: "Conditional VAE for Text to Image Generation Using Short-Text and Long-Text Synthesis"."""

from typing import Literal

from textvae.data.catalog import PHOTOGRAPHS
from textvae.models.clip_latent import ClipLatent
from textvae.models.label_conv import LabelConv
from textvae.models.label_dense import LabelDense
from textvae.recipes.recipe import Recipe
from textvae.text.labels import FASHION
from textvae.text.minilm import WIDTH
from textvae.text.sentence import SentenceText
from textvae.training.config import TrainerConfig


def label_dense() -> Recipe:
    """Garments from a keyword, fully connected.

    Source: paper b, sections 3.1, 3.2, 4.2; table 1. It states: three linear layers, ReLU after the first two, the
    embedded class concatenated before the third, which gives μ and σ; z and the embedded class concatenated into three
    linear layers, ReLU, ReLU, sigmoid; Adam 1e-3, weight decay 1e-3, 25 epochs; latent dimension 128 (section 5).
    Choices, where it states nothing: widths 512 and 256 (mirrored), embedding dimension 32, batch size 128, and the
    likelihood: equation 1 asks for -log p(x|z,c) and names no p. A Gaussian with one learned noise scale is the squared
    error of table 1, weighted by maximum likelihood. Binary cross-entropy (``--model.likelihood bernoulli``) is too
    weak against the KL for the published SSIM of the convolutional model; its samples are better by some measures and
    worse by others.
    Result: RESULTS.md has both likelihoods.
    Time: about five minutes on two cores.
    Command: ``textvae train label-dense``. The paper's search over weight decay:
    ``textvae sweep label-dense trainer.weight-decay 0 1e-5 1e-4 1e-3 1e-2``.
    """
    return Recipe(
        name="label-dense",
        summary="garments from a keyword, three linear layers each way",
        source="paper b, section 3.2",
        data="fashion-mnist",
        text=FASHION,
        model=LabelDense.Config(),
        trainer=TrainerConfig(epochs=25, batch_size=128, learning_rate=1e-3, weight_decay=1e-3),
        prompts=FASHION.class_names,
        published={
            "reconstruction.mse_sum": 12.1598,
            "reconstruction.ssim": 0.6398,
            "reconstruction.frechet": 16.9910,
        },
    )


def label_conv() -> Recipe:
    """Garments from a keyword, convolutional.

    Source: paper b, sections 3.1, 3.3, 4.2, 4.3; table 1, figures 2 and 3. It states: three convolutions with ReLU,
    flattened, the embedded class added, two linear layers for μ and σ; z and the embedded class concatenated into three
    transposed convolutions, ReLU, ReLU, sigmoid; Adam 1e-3, 25 epochs.
    Choices, where it states nothing: channels 16, 32, 64 (enough for the published error; stride 2 gives 28, 14, 7, 4
    pixels), a linear layer between z and the first transposed convolution (needed to give it a grid), embedding
    dimension 32 at the decoder, no weight decay (mentioned for the dense model only), batch size 128, the likelihood
    of ``label_dense``.
    Result: RESULTS.md.
    Time: about five minutes on two cores.
    Command: ``textvae train label-conv``.
    """
    return Recipe(
        name="label-conv",
        summary="garments from a keyword, three convolutions each way",
        source="paper b, section 3.3",
        data="fashion-mnist",
        text=FASHION,
        model=LabelConv.Config(),
        trainer=TrainerConfig(epochs=25, batch_size=128, learning_rate=1e-3),
        prompts=FASHION.class_names,
        published={
            "reconstruction.mse_sum": 11.1087,
            "reconstruction.ssim": 0.7627,
            "reconstruction.frechet": 50.3034,
        },
    )


_TABLE_2 = {
    (64, "add"): (195.2407, 0.4135, 274.2384),
    (64, "concat"): (184.8410, 0.4148, 272.1877),
    (128, "add"): (628.7485, 0.4725, 231.6987),
    (128, "concat"): (615.0895, 0.4615, 299.9901),
    (256, "add"): (20313.7465, 0.1746, 237.1675),
    (256, "concat"): (3656.8606, 0.4421, 243.7546),
}
"""MSE, SSIM and FID."""


def clip_latent(size: Literal[64, 128, 256], conditioning: Literal["add", "concat"]) -> Recipe:
    """Photographs from a sentence embedding that is combined with the latent. Observations: docs/experiment_log.md.

    Source: paper b, sections 3.4, 3.5, 4.4, 4.5; table 2. It states the layers (``ClipLatent``), CLIP ViT-B/32 as the
    text encoder (long captions sentence by sentence, averaged) and a fifth of MS-COCO as data; of training, nothing.
    Choices: Adam 1e-3 as for its short text (3e-4 at 256 pixels, where 1e-3 diverged within three steps), batches of
    64, latent dimension 128 at 64 pixels and 256 above (the published error a pixel is lower at 128 pixels, 0.0125,
    than at 64, 0.0159), the likelihood of ``label_dense``; coco-mini's 2,145 images for 100, 60 and 30 epochs. With
    CLIP at hand: ``textvae data prepare coco --size 64 --text clip --fraction 0.2``, then ``--data coco-0.2-64-clip``.
    Result: at 64 pixels the squared error is 19 % (add) and 30 % (concat) above the published; samples ignore captions.
    Time: 10, 25 and 45 minutes on two cores (64, 128, 256 pixels: 240, 46, 13 images/s a thread).
    Command: ``textvae train clip-latent-64-concat``.
    """
    mse, ssim, fid = _TABLE_2[size, conditioning]
    how = "added to" if conditioning == "add" else "beside"
    return Recipe(
        name=f"clip-latent-{size}-{conditioning}",
        summary=f"photographs of {size} pixels, the sentence {how} the latent",
        source="paper b, section 3.5",
        data=f"coco-mini-{size}-sentence",
        text=SentenceText(),
        model=ClipLatent.Config(
            image_size=size,
            condition_dim=WIDTH,
            conditioning=conditioning,
            latent_dim=128 if size == 64 else 256,
        ),
        trainer=TrainerConfig(
            epochs={64: 100, 128: 60, 256: 30}[size], batch_size=64, learning_rate=1e-3 if size < 256 else 3e-4
        ),
        prompts=PHOTOGRAPHS["coco-mini"].prompts,
        published={
            "reconstruction.mse_sum": mse,
            "reconstruction.ssim": ssim,
            "reconstruction.frechet.inception": fid,
        },
    )
