# %% [markdown]
# # From a folder of captioned pictures to a model
#
# A folder with pictures and their captions is all that is needed: here `my_pictures/`, each picture beside a text file
# of the same name (`boat.jpg`, `boat.txt`). If you have none, the next cell draws 120 pictures to try it with.
# Open this script as a notebook: `jupytext --to ipynb own_pictures.py`.

# %%
import os
from pathlib import Path

from PIL import Image, ImageDraw

import textvae

MINUTES = float(os.environ.get("MINUTES", "30"))
folder = Path("my_pictures")
if not folder.exists():
    folder.mkdir()
    for number in range(120):
        colour, shape = ("red", "green", "blue")[number % 3], ("block", "ball")[number % 2]
        picture = Image.new("RGB", (64, 64), "white")
        pen = ImageDraw.Draw(picture)
        left, top = number % 17, number % 23
        draw = pen.rectangle if shape == "block" else pen.ellipse
        draw((left, top, left + 36, top + 36), fill=colour)
        picture.save(folder / f"{number}.png")
        (folder / f"{number}.txt").write_text(f"a {colour} {shape} on white")

# %% [markdown]
# ## Train
#
# One call prepares the pictures, chooses the epochs that fit into the time, trains, measures and writes a model card.
# If it is interrupted, the same call resumes.

# %%
model = textvae.train(folder, minutes=MINUTES, out="runs/mine")

# %% [markdown]
# ## Draw
#
# A list of images is displayed as the value of a cell. Equal seeds use the same noise for every prompt.

# %%
pictures = model("a red block on white", num_images=8, seed=0)
pictures

# %% [markdown]
# ## How good is it?
#
# Measured on pictures that were held out; `docs/metrics.md` explains each number.

# %%
metrics = textvae.Metrics.read(Path("runs/mine/metrics.json"))
for name in (
    "reconstruction.psnr",
    "generation.frechet.efficientnet-lite0",
    "generation.retrieval_precision.samples",
    "generation.retrieval_precision.real",
):
    print(name, metrics.get(name))

# %% [markdown]
# ## Keep it
#
# Each file records how it was made: `textvae info red.png`. `textvae.push("runs/mine", "OWNER/NAME")` shares the model.

# %%
pictures.grid().save("red.png")
