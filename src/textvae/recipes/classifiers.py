"""Judges: classifiers trained on real images, which score generated ones. They are bundled with textvae."""

from textvae.models.attribute_classifier import AttributeClassifier
from textvae.models.classifier import Classifier
from textvae.recipes.recipe import Recipe
from textvae.text.labels import DIGITS, FASHION
from textvae.text.sprout_grammar import ATTRIBUTES, SproutVectors
from textvae.training.config import TrainerConfig


def judge_fashion() -> Recipe:
    """Classifies garments, to judge generated ones.

    Source: ours. Result: test accuracy 0.938; at least 0.93 is expected.
    Time: about eight minutes on two cores.
    Command: ``textvae train judge-fashion``.
    """
    return Recipe(
        name="judge-fashion",
        summary="classifier of real garments that judges generated ones",
        source="ours",
        data="fashion-mnist",
        text=FASHION,
        model=Classifier.Config(shift=2),
        trainer=TrainerConfig(
            epochs=16,
            batch_size=128,
            learning_rate=2e-3,
            weight_decay=1e-5,
            schedule="cosine",
            ema_decay=0.99,
            flip=True,
        ),
        prompts=FASHION.class_names,
    )


def judge_digits() -> Recipe:
    """Classifies digits, to judge generated ones.

    Source: ours. Result: test accuracy 0.997; at least 0.993 is expected.
    Time: about five minutes on two cores.
    Command: ``textvae train judge-digits``.
    """
    return Recipe(
        name="judge-digits",
        summary="classifier of real digits that judges generated ones",
        source="ours",
        data="mnist",
        text=DIGITS,
        model=Classifier.Config(shift=2),
        trainer=TrainerConfig(
            epochs=10,
            batch_size=128,
            learning_rate=2e-3,
            weight_decay=1e-5,
            schedule="cosine",
            ema_decay=0.99,
        ),
        prompts=DIGITS.class_names,
    )


def judge_sprouts() -> Recipe:
    """Recognises the attributes of sprouts, to judge generated ones.

    Source: ours. Result: accuracy 1.000 on 2,000 real test images, for each attribute and for all at once.
    Time: about two minutes on one core.
    Command: ``textvae train judge-sprouts``.
    """
    return Recipe(
        name="judge-sprouts",
        summary="classifier of the attributes of real sprouts that judges generated ones",
        source="ours",
        data="sprouts",
        text=SproutVectors(),
        model=AttributeClassifier.Config(values=tuple(map(len, ATTRIBUTES.values()))),
        trainer=TrainerConfig(epochs=5, batch_size=128, learning_rate=2e-3, schedule="cosine", ema_decay=0.99),
        prompts=("a smiling cactus in a round yellow pot on a blue background",),
    )
