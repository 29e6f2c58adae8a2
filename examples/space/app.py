"""A Hugging Face Space: choose a model, write a prompt, see images."""

import gradio as gr

from textvae import TextToImage
from textvae.utils.errors import UserError

MODELS = {name: TextToImage.load(name) for name in ("flowers", "products", "scenes", "sprouts", "fashion")}


def draw(name: str, prompt: str, seed: float, guidance: float) -> list:
    try:
        images = MODELS[name](prompt, num_images=8, seed=int(seed), guidance_scale=guidance or None)
    except UserError as error:
        raise gr.Error(str(error)) from None
    return [image.resize((image.width * 3, image.height * 3), 0) for image in images]


gr.Interface(
    draw,
    [
        gr.Dropdown(list(MODELS), value="flowers", label="Model"),
        gr.Textbox("a flower with pink petals and a yellow center", label="Prompt", max_length=1000),
        gr.Number(0, label="Seed", precision=0, minimum=0),
        gr.Slider(0, 6, 0, label="Guidance scale (0: the model's default)"),
    ],
    gr.Gallery(label="Images", columns=4),
    title="textvae",
    examples=[
        ["flowers", "a white flower", 1, 0],
        ["products", "men blue shirt", 0, 0],
        ["sprouts", "a smiling cactus in a round yellow pot", 0, 0],
        ["fashion", "a dress", 0, 0],
    ],
).launch()
