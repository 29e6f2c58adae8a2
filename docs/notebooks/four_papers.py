# %% [markdown]
# # Four papers in ten pictures
#
# Text-to-image generation with variational autoencoders, from one-hot labels to sentences: the models of four papers,
# and what came after them. This project refers to the papers by letters:

# %%
import os

import textvae
from textvae import TextToImage
from textvae.utils.citations import PAPERS

for letter, paper in PAPERS.items():
    print(f"{letter}: {paper.citation}")

EPOCHS = int(os.environ.get("EPOCHS", "0"))
"""Passes over the training images for each model; 0 takes those of the papers."""
LIMIT = int(os.environ.get("LIMIT", "0")) or None
"""Training images; 0 takes all."""


def trained(recipe: str) -> TextToImage:
    trainer = {"epochs": EPOCHS} if EPOCHS else None
    return TextToImage.load(textvae.train(recipe, trainer=trainer, limit=LIMIT))


# %% [markdown]
# ## Paper a: a label is a condition
#
# Encoder and decoder receive a one-hot label. **Picture 1**: one row for each of three garments, from the same noise.
# **Picture 2**: without a label, which the model was not trained for, it draws garments of any class.

# %%
onehot = trained("onehot-dense-fashion")
onehot(["a dress", "an ankle boot", "a bag"], num_images=8)

# %%
onehot("none", num_images=8)

# %% [markdown]
# ## Paper b: dense or convolutional, and a phrase in place of a label
#
# **Pictures 3 and 4**: a model with three linear layers, and one with three convolutions. Both read the keyword of a
# phrase.

# %%
dense = trained("label-dense")
dense(["Make a shirt!", "sandals"], num_images=8)

# %%
conv = trained("label-conv")
conv(["Make a shirt!", "sandals"], num_images=8)

# %% [markdown]
# **Picture 5**: garments that the model has drawn, and their reconstructions, which show what the encoder keeps.

# %%
from textvae.utils.notebook import Pictures

drawn = conv("a coat", num_images=8)
Pictures([*drawn, *conv.reconstruct(drawn, "a coat")])

# %% [markdown]
# ## Paper d: the latent is inferred from the caption
#
# The encoder reads words and never sees the image. **Picture 6**: digits from their names. **Picture 7**: from sums.

# %%
trained("caption-rnn-label")(["three", "eight"], num_images=8)

# %%
trained("caption-rnn-arithmetic")(["one plus two", "nine minus four"], num_images=8)

# %% [markdown]
# ## Paper c, and photographs
#
# The model of paper c is trained on CLIP's embedding of the image and draws from that of a caption, which needs
# photographs and CLIP: `textvae reproduce c`. The models of all four papers draw blurred images and have a Gaussian
# prior, which also covers holes: regions of the latent space that the encoder does not use.
#
# ## After the papers
#
# A flow prior learns to avoid these holes. **Picture 8**: the bundled model of garments. **Picture 9**: results of
# calculations. **Picture 10**: photographs of flowers from sentences.

# %%
TextToImage.load("fashion")(["a dress", "an ankle boot", "a bag"], num_images=8)

# %%
TextToImage.load("digits")(["nine minus two plus one", "one plus one plus one"], num_images=8)

# %%
TextToImage.load("flowers")(["a red flower", "a flower with white petals and a yellow center"], num_images=4)
