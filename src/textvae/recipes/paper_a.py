"""Paper a: "MS-CoCo and MNIST Image Generation with Conditional VAE"."""

from typing import Literal

from textvae.models.clip_grid import ClipGrid
from textvae.models.onehot_dense import OneHotDense
from textvae.recipes.photographs import photograph_recipe
from textvae.recipes.recipe import Recipe
from textvae.text.base import NONE
from textvae.text.labels import DIGITS, FASHION
from textvae.training.config import TrainerConfig


def onehot_dense_mnist() -> Recipe:
    """Digits from a one-hot label (sections 3.2, 4.3, 5.2; figures 2 and 5).

    The paper says: image 784 and label 10 concatenated, one fully connected ReLU layer, latent dimension 20, the same
    back, sigmoid; BCE + KL; Adam 1e-3; 50 epochs. It does not say: the hidden width (400, the width of the common
    example that the description follows), the batch size (128), how "Invalid" is encoded (the zero row: the one code
    that no training image has and that is no class).

    Published: figure 5 only, a row a class and one for "Invalid". Its caption says MNIST, its text Fashion-MNIST;
    both are recipes here.

    Command: ``textvae train onehot-dense-mnist`` (about four minutes on two cores); measured: see RESULTS.md.
    """
    return Recipe(
        name="onehot-dense-mnist",
        summary="digits from a one-hot label, one hidden layer, BCE",
        source="paper a, section 3.2",
        data="mnist",
        text=DIGITS,
        model=OneHotDense.Config(),
        trainer=TrainerConfig(epochs=50, batch_size=128, learning_rate=1e-3),
        prompts=(*DIGITS.class_names, NONE),
    )


def onehot_dense_fashion() -> Recipe:
    """Garments from a one-hot label: ``onehot_dense_mnist`` on Fashion-MNIST (section 5.2 names this data set).

    Command: ``textvae train onehot-dense-fashion`` (about four minutes on two cores); measured: see RESULTS.md.
    """
    return Recipe(
        name="onehot-dense-fashion",
        summary="garments from a one-hot label, one hidden layer, BCE",
        source="paper a, section 3.2",
        data="fashion-mnist",
        text=FASHION,
        model=OneHotDense.Config(),
        trainer=TrainerConfig(epochs=50, batch_size=128, learning_rate=1e-3),
        prompts=(*FASHION.class_names, NONE),
    )


def clip_grid(size: Literal[64, 128, 224], enters: Literal["input", "middle"] = "input") -> Recipe:
    """Photographs from a sentence's embedding, tiled over the pixels (sections 3.1, 4.1, 4.2, 5.1; tables 1 to 4).

    The paper says: tables 1 and 2; BCE + KL; Adam 1e-4, batches of 64, latent dimension 128, 224 pixels, a tenth of
    MS-COCO's training images. It contradicts itself on the epochs (20 in section 4.2, up to 300 in 5.1) and on table 4
    (the text calls 1024 the latent dimension of the lowest FID, the table 128). It does not say where "the first few
    convolutional layers" end (``ClipGrid``).

    Ours: coco-mini has 2,145 training images, theirs were 11,829. 110 epochs are as many steps of 64 as their 20
    (3,700). The rows of ``textvae reproduce a`` are cut to 10 passes, table 3's to a tenth of its epochs, 224 pixels to
    three: see ``PASSES`` there; the cut stands beside each number. 64 and 128 pixels are the same model with
    smaller grids, for what two cores can measure. The condition is MiniLM's sentence embedding, since CLIP's weights
    are not here; where they are: ``textvae data prepare coco --size 224 --text clip --fraction 0.1`` and
    ``--data coco-0.1-224-clip``. What the paper tried without gain: ``--model.extra-convolutions 1``,
    ``--model.attention``.

    Found: samples are clouds of grey and brown that the caption at most tints. The latent tells 29 nats after 10 passes
    and 49 after 30, where 30 also take the Fréchet distance down; the words move samples by less than a hundredth of
    what they move photographs (a twentieth after 30 passes), and the bound tells an image's own caption from nine
    others hardly better than chance. A caption says next to nothing about pixels, so a likelihood of pixels hardly
    asks for it.

    Published: table 4's latent dimension 128. Its FID is of unnamed protocol, and of CLIP scores there are none here.
    Command: ``textvae train clip-grid-64 --precision bf16`` (64 pixels: 180 images/s a thread, 15 minutes on two; 224
    pixels: 17 images/s a thread, two hours); measured: see RESULTS.md.
    """
    kind = "grid" if enters == "input" else "mid"
    where = "tiled over the pixels" if enters == "input" else "added after two convolutions"
    return photograph_recipe(
        f"clip-{kind}-{size}",
        f"photographs of {size} pixels, the sentence {where}",
        "paper a, section 3.1" if enters == "input" else "paper a, section 4.2",
        f"coco-mini-{size}-sentence",
        ClipGrid.Config(image_size=size, enters=enters),
        TrainerConfig(epochs=110, batch_size=64, learning_rate=1e-4),
        published={"generation.clip_score.samples": 0.2023, "generation.frechet.inception": 286.06}
        if (size, enters) == (224, "input")
        else {},
    )
