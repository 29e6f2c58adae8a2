# %% [markdown]
# # Four papers in ten pictures
#
# Text to image with variational autoencoders, from one-hot labels to sentences, by the models of four papers and by
# what comes after them. The papers, by the letters that this project calls them:

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
# A one-hot label enters the encoder and the decoder. **Picture 1**: a row for each of three garments, from equal noise.
# **Picture 2**: without a label, the model draws a garment of any class, which no latent was trained for.

# %%
onehot = trained("onehot-dense-fashion")
onehot(["a dress", "an ankle boot", "a bag"], num_images=8)

# %%
onehot("none", num_images=8)

# %% [markdown]
# ## Paper b: dense or convolutional, and a phrase in place of a label
#
# **Pictures 3 and 4**: three linear layers, three convolutions. Both read the keyword of a phrase.

# %%
dense = trained("label-dense")
dense(["Make a shirt!", "sandals"], num_images=8)

# %%
conv = trained("label-conv")
conv(["Make a shirt!", "sandals"], num_images=8)

# %% [markdown]
# **Picture 5**: what the encoder keeps of garments that the model has drawn itself, decoded again.

# %%
from textvae.utils.notebook import Pictures

drawn = conv("a coat", num_images=8)
Pictures([*drawn, *conv.reconstruct(drawn, "a coat")])

# %% [markdown]
# ## Paper d: the latent is inferred from the caption
#
# Its encoder reads words and never sees the image. **Picture 6**: digits from their names. **Picture 7**: from sums.

# %%
trained("caption-rnn-label")(["three", "eight"], num_images=8)

# %%
trained("caption-rnn-arithmetic")(["one plus two", "nine minus four"], num_images=8)

# %% [markdown]
# ## Paper c, and photographs
#
# Paper c trains on CLIP's embedding of the image and draws from that of a caption, which needs photographs and CLIP:
# `textvae reproduce c`. What all four have in common is blur, and a Gaussian prior, which leaves holes between what the
# encoder uses.
#
# ## After the papers
#
# A flow prior fills the holes. **Picture 8**: the bundled model of garments. **Picture 9**: results of calculations.
# **Picture 10**: photographs of flowers from sentences.

# %%
TextToImage.load("fashion")(["a dress", "an ankle boot", "a bag"], num_images=8)

# %%
TextToImage.load("digits")(["nine minus two plus one", "one plus one plus one"], num_images=8)

# %%
TextToImage.load("flowers")(["a red flower", "a flower with white petals and a yellow center"], num_images=4)
