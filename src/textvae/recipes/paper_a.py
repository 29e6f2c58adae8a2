"""Paper a: "MS-CoCo and MNIST Image Generation with Conditional VAE", its short-text model."""

from textvae.models.onehot_dense import OneHotDense
from textvae.recipes.recipe import Recipe
from textvae.text.labels import DIGITS, FASHION, NONE
from textvae.training import TrainerConfig


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
