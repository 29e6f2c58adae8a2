"""Paper d as its authors' published program implements it."""

import dataclasses

from textvae.models.caption_rnn_code import CaptionRNNCode
from textvae.recipes.paper_d import Family, caption_rnn
from textvae.recipes.recipe import Recipe
from textvae.text.digit_captions import DigitCaptions
from textvae.training.config import TrainerConfig


def caption_rnn_code(family: Family) -> Recipe:
    """Paper d's model with the sizes, loss and image division of its authors' program.

    Source: github.com/ppartha03/PGM-Project (its licence is unstated; nothing of it is copied). Unlike the text, or
    beyond it: words are fixed binary numbers of 5 bits, the GRU has 30 units, the latent 100 dimensions, the decoder a
    hidden layer of 500 ReLUs; pixels are standardised; the loss is 2 MSE + mean KL (``CaptionRNNCode`` says which ELBO
    that is); all 60,000 training images are used, and the 10,000 test images decide when to stop, after 10 epochs
    without improvement. ``caption_rnn`` follows the text.
    Choices: the captions of ``digits-<family>``. For arithmetic these are the program's own 127. Its sentences differ
    from ours. For logic it trains one model per count of numbers; ours is one model for two to four.
    Result: RESULTS.md. Figure 3 cannot be compared: its labels are misplaced (docs/experiment_log.md).
    Command: ``textvae train caption-rnn-arithmetic-code``.
    """
    text = DigitCaptions(family)
    return dataclasses.replace(
        caption_rnn(family),
        name=f"caption-rnn-{family}-code",
        summary=f"digits from {family} captions, after the authors' program",
        source="paper d, the authors' program",
        data=f"digits-{family}-60k",
        text=text,
        model=CaptionRNNCode.Config(num_tokens=text.num_tokens),
        trainer=TrainerConfig(epochs=1000, validation_images=10_000, patience=10, monitor="reconstruction"),
    )
