"""A judge for data without a ready-made one: a dual encoder that is trained when a model is evaluated."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from textvae.data.captioned_images import CaptionedImages
from textvae.models.dual_encoder import DualEncoder
from textvae.pretrained.feature_nets import Unavailable
from textvae.text.caption_words import CaptionWords, words_of
from textvae.training.config import TrainerConfig
from textvae.training.loop import Training
from textvae.training.rows import CaptionedLatents
from textvae.utils.device import Execution
from textvae.utils.progress import ProgressLine

STEPS = 400
"""Minimum number of training steps: 40 epochs of 2,500 images."""
BATCH = 256
SEED = 1
"""Of weights and batches."""
WORDS = CaptionWords(least=2, most=4000)


@dataclass(frozen=True, eq=False)
class FittedJudge:
    """A dual encoder of bags of words and of features of images, trained on the training images of a model.

    It judges whether a picture matches its caption by what occurs together in those images. It ignores word order, and
    words that do not occur in the training captions.
    """

    network: DualEncoder
    words: CaptionWords
    images: int
    """Training images that it was fitted to."""

    @property
    def name(self) -> str:
        """For the protocol."""
        return f"dual encoder fitted to {self.images} training images, {len(self.words.words)} words"

    @torch.no_grad()
    def embed_images(self, features: Float[Tensor, "n d"]) -> Float[Tensor, "n width"]:
        """Images, given as their features; rows of length one."""
        return self.network.embed_image(features)

    @torch.no_grad()
    def embed_captions(self, captions: Sequence[str]) -> Float[Tensor, "n width"]:
        """Captions in the space of images; rows of length one."""
        return self.network.embed_text(bags_of_words(captions, self.words))


def fitted_judge(train: CaptionedImages, features: Float[Tensor, "n d"]) -> FittedJudge | Unavailable:
    """Trains a judge; takes seconds.

    Args:
        train: training images with their captions.
        features: of these images, by the network whose features will be judged.
    """
    # Of a set of which these are the first images, the captions that follow are not theirs.
    captions = train.captions[: int(train.caption_range[:, 1].max())]
    words = WORDS.learned_from(captions, itertools.islice(train.times_shown(), len(captions)))
    if len(words.words) < 2:
        return Unavailable("the training captions have no two words that occur twice")
    config = DualEncoder.Config(len(words.words), features.shape[1], width=192, hidden=384, dropout=0.4)
    steps_an_epoch = -(-len(train) // BATCH)
    trainer = TrainerConfig(
        epochs=max(40, -(-STEPS // steps_an_epoch)),
        batch_size=BATCH,
        learning_rate=1e-3,
        weight_decay=1e-5,
        schedule="cosine",
        seed=SEED,
    )
    torch.manual_seed(SEED)
    execution = Execution(torch.device("cpu"), "fp32", torch.get_num_threads(), ())
    latents = CaptionedLatents(features[:, :, None, None], train.caption_range)
    training = Training(config.build(), latents, bags_of_words(captions, words), trainer, execution)
    with ProgressLine("training a judge of captions", training.total_steps, "steps") as progress:
        for _ in training.steps():
            progress.advance(1)
    network = training.averaged
    assert isinstance(network, DualEncoder)
    return FittedJudge(network.eval().requires_grad_(False), words, len(train))


def bags_of_words(captions: Sequence[str], words: CaptionWords) -> Float[Tensor, "n words"]:
    """Which words each caption has, as rows of length one; zeros for a caption without a known word."""
    number = {word: i for i, word in enumerate(words.words)}
    bags = torch.zeros(len(captions), len(number))
    for bag, caption in zip(bags, captions, strict=True):
        bag[[number[word] for word in words_of(caption) if word in number]] = 1
    return F.normalize(bags, dim=1)
