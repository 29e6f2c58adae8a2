import dataclasses
import hashlib
import subprocess
import sys
from typing import get_type_hints

import numpy as np
import pytest
import torch
from PIL import Image

from textvae import TextToImage
from textvae.models.label_conv import LabelConv
from textvae.pipeline import BATCH_SIZE
from textvae.recipes import RECIPES
from textvae.recipes.resolve import resolve
from textvae.runs.run import open_run, write_config
from textvae.text.labels import FASHION
from textvae.training.config import TrainerConfig
from textvae.utils.config import to_dict, updated
from textvae.utils.errors import UserError
from textvae.utils.pixels import to_pil
from textvae.utils.random import normals


@pytest.fixture(scope="module")
def generator() -> TextToImage:
    """A label-conv of full size with fresh weights, its condition amplified: kernels depend on sizes, not on skill."""
    torch.manual_seed(0)
    model = LabelConv.Config().build()
    with torch.no_grad():
        model.decoder_embedding.weight *= 20
        model.to_grid.weight *= 5
    return TextToImage(model, FASHION)


def bits(pictures: list[Image.Image]) -> list[bytes]:
    return [picture.tobytes() for picture in pictures]


def test_pictures_are_grey_and_of_the_model_s_size(generator):
    pictures = generator(["a dress", "an ankle boot"], num_images=3)
    assert len(pictures) == 6
    assert {(p.mode, p.size) for p in pictures} == {("L", (28, 28))}
    assert len(set(bits(pictures))) == 6


def alike(pictures, others) -> bool:
    """The same but for rounding: a grey level, in one pixel of ten thousand at the most."""
    levels = np.stack([np.stack([np.asarray(p, np.int16) for p in some]) for some in (pictures, others)])
    apart = np.abs(levels[0] - levels[1])
    return apart.max() <= 1 and apart.mean() <= 1e-4


def test_drawing_in_bf16_moves_pixels_by_a_few_grey_levels(generator):
    rounded = TextToImage(generator.model, FASHION, precision="bf16")
    exact, near = (np.stack([np.asarray(p, np.int16) for p in g("a dress", 8)]) for g in (generator, rounded))
    apart = np.abs(exact - near)
    assert 0 < apart.mean() < 1
    assert apart.max() <= 12


def test_the_same_seed_draws_the_same_pictures_twice(generator):
    first = bits(generator("a dress", num_images=5, seed=7))
    assert bits(generator("a dress", num_images=5, seed=7)) == first
    torch.manual_seed(123)
    assert bits(generator("a dress", num_images=5, seed=7)) == first
    assert set(bits(generator("a dress", num_images=5, seed=12))).isdisjoint(first)


@pytest.mark.parametrize("count", [1, BATCH_SIZE - 1, BATCH_SIZE, BATCH_SIZE + 1, 21])
def test_picture_i_is_that_of_seed_plus_i_whatever_the_number(generator, count):
    many = generator("a coat", num_images=count, seed=3)
    for i in {0, count // 2, count - 1}:
        assert alike(generator("a coat", seed=3 + i), [many[i]])


def test_the_company_of_a_prompt_makes_no_difference(generator):
    prompts = ["a dress", "a bag", "a pair of trousers"]
    together = generator(prompts, num_images=5, seed=1)
    backwards = generator(prompts[::-1], num_images=5, seed=1)
    for i, prompt in enumerate(prompts):
        alone = generator(prompt, num_images=5, seed=1)
        assert alike(together[5 * i : 5 * i + 5], alone)
        assert alike(backwards[5 * (2 - i) : 5 * (2 - i) + 5], alone)


@pytest.mark.slow
def test_another_process_draws_the_same_pictures(tiny_run):
    program = (
        "import sys, hashlib; from textvae import TextToImage; t = TextToImage.load(sys.argv[1]);"
        "print(hashlib.sha256(b''.join(p.tobytes() for p in t(['a dress', 'a bag'], 6, seed=5))).hexdigest())"
    )
    there = subprocess.run([sys.executable, "-c", program, tiny_run], check=True, capture_output=True, text=True)
    here = TextToImage.load(tiny_run)(["a dress", "a bag"], num_images=6, seed=5)
    assert there.stdout.strip() == hashlib.sha256(b"".join(bits(here))).hexdigest()


def test_equal_seeds_share_their_noise_across_prompts_and_differ_otherwise():
    noise = normals([5, 5, 6], (3, 2))
    assert noise[0].equal(noise[1])
    assert not noise[0].equal(noise[2])
    assert noise[0].equal(normals(5, (3, 2)))


def test_a_trained_model_draws_what_the_prompt_says(tiny_run, tiny_data):
    drawn = TextToImage.load(tiny_run)(FASHION.class_names, num_images=4)
    means = torch.stack([tiny_data.images[tiny_data.labels == k].float().mean(0).flatten() for k in range(10)])
    pixels = torch.stack([torch.tensor(list(p.tobytes()), dtype=torch.float32) for p in drawn])
    nearest = torch.cdist(pixels, means).argmin(1)
    assert float((nearest == torch.arange(10).repeat_interleave(4)).float().mean()) > 0.6


@pytest.mark.parametrize(
    ("prompt", "options", "said"),
    [
        ("a dress", {"num_images": 0}, "0 images"),
        ("a dress", {"num_images": -3}, "-3 images"),
        ([], {}, "no prompts"),
        ("a dress", {"seed": -1}, "seed -1"),
        ("a dress", {"seed": 2**62}, "out of range"),
        ("a dress", {"seed": []}, "0 images"),
        ("a dress", {"seed": [1, 2], "num_images": 3}, "2 seeds for 3 images"),
        ("a dress", {"seed": 1, "generator": torch.Generator()}, "exclude"),
        ("a dress", {"steps": 3}, "prior"),
        ("a spaceship", {}, "names no class"),
        ("a dress and a coat", {}, "names 2 classes"),
        ("", {}, "no words"),
    ],
)
def test_requests_that_cannot_be_drawn_are_user_errors(generator, prompt, options, said):
    with pytest.raises(UserError, match=said):
        generator(prompt, **options)


WRONG_TYPES = """
import torch
from textvae import TextToImage, UserError, inpaint
from PIL import Image
model = TextToImage.load("fashion")
picture = Image.new("L", (28, 28))
floats = torch.zeros(1, 28, 28)
for request in (
    lambda: model(None),
    lambda: model([None]),
    lambda: model(["a dress", 3]),
    lambda: model({"prompt": "a dress"}),
    lambda: model("a dress", num_images=1.5),
    lambda: model("a dress", num_images="4"),
    lambda: model("a dress", seed=1.5),
    lambda: model("a dress", seed=None),
    lambda: model("a dress", seed="7"),
    lambda: model("a dress", seed=[0, 0.5]),
    lambda: model("a dress", guidance_scale="high"),
    lambda: model("a dress", steps=2.5),
    lambda: model("a dress", negative_prompt=3),
    lambda: model(["a dress", "a coat"], negative_prompt=["a bag", "a bag"]),
    lambda: model("a dress", generator=7),
    lambda: model.reconstruct(None),
    lambda: model.reconstruct("dress.png"),
    lambda: model.reconstruct(floats),
    lambda: model.reconstruct([]),
    lambda: model.reconstruct(picture, prompt=None),
    lambda: inpaint(model, picture, None, "a dress"),
    lambda: inpaint(model, floats, picture, "a dress"),
    lambda: inpaint(model, picture, floats[0], "a dress"),
    lambda: model.to(None),
    lambda: model.to("abacus"),
    lambda: TextToImage.load(None),
    lambda: TextToImage.load("fashion", device=None),
    lambda: TextToImage.load("fashion", device="cuda:99"),
    lambda: TextToImage.load("fashion", precision="fp64"),
    lambda: TextToImage.load("fashion", precision=None),
):
    try:
        request()
    except UserError as error:
        assert len(str(error).splitlines()) == 2, error
        print("refused")
"""


@pytest.mark.slow
def test_arguments_of_the_wrong_type_are_user_errors():
    # In a process of its own, because the type checks of the test run would come first.
    done = subprocess.run([sys.executable, "-c", WRONG_TYPES], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["refused"] * WRONG_TYPES.count("lambda")


def test_a_list_of_seeds_gives_each_picture_its_own(generator):
    counted = generator("a dress", num_images=4, seed=5)
    chosen = generator(["a dress", "a bag"], seed=[8, 5])
    assert len(chosen) == 4
    assert alike(chosen[:2], [counted[3], counted[0]])


def test_a_generator_draws_new_noise_at_each_call(generator):
    fresh = torch.Generator().manual_seed(3)
    first, second = (bits(generator("a dress", num_images=2, generator=fresh)) for _ in range(2))
    assert set(first).isdisjoint(second)
    assert bits(generator("a dress", num_images=2, generator=torch.Generator().manual_seed(3))) == first


def test_a_model_moves_to_another_device():
    moved = TextToImage(LabelConv.Config(channels=(4, 4, 4)).build(), FASHION).to("meta")
    assert {parameter.device.type for parameter in moved.model.parameters()} == {"meta"} == {moved.device.type}


def test_a_model_describes_itself():
    shown = repr(TextToImage.load("fashion", device="auto"))
    for fact in ("SpatialVAE", "28x28 grey", "LabelText", "FlowPrior", "device=", "fp32"):
        assert fact in shown


def test_a_judge_draws_nothing(tmp_path):
    judge = resolve("judge-fashion")
    judge = dataclasses.replace(judge, model=dataclasses.replace(judge.model, channels=(2, 2, 2), features=4))
    from textvae.runs.run import write_weights

    write_config(tmp_path, judge, "0", {})
    write_weights(tmp_path, judge.model.build().state_dict())
    with pytest.raises(UserError, match="draws no pictures"):
        TextToImage.load(tmp_path)


def test_there_is_no_such_model(tmp_path):
    with pytest.raises(UserError, match="there is no run folder and no shipped model"):
        TextToImage.load(tmp_path / "nope")
    with pytest.raises(UserError, match="is not a run folder"):
        TextToImage.load(tmp_path)


def test_reconstructions_have_the_originals_shape_and_resemble_them(tiny_run, tiny_data):
    generator = TextToImage.load(tiny_run)
    images = tiny_data.images[:30]
    names = [tiny_data.class_names[k] for k in tiny_data.labels[:30]]
    again = generator.reconstruct_tensors(images, FASHION.encode(names), batch_size=7)
    assert again.shape == images.shape
    assert again.dtype == torch.uint8
    error = (again.float() - images.float()).square().mean()
    assert error < (images.float().mean(0) - images.float()).square().mean()
    # The same from PIL images, tensors, one or many.
    assert alike(generator.reconstruct(to_pil(images), names), to_pil(again))
    assert alike(generator.reconstruct(images[3], names[3]), to_pil(again[3:4]))


def test_pil_images_of_any_size_and_mode_are_reconstructed(generator):
    several = [Image.new("RGB", (60, 40), "red"), Image.new("L", (7, 9)), Image.new("RGBA", (28, 28))]
    assert [(p.mode, p.size) for p in generator.reconstruct(several)] == [("L", (28, 28))] * 3
    with pytest.raises(UserError, match="2 prompts for 3 images"):
        generator.reconstruct(several, ["a dress", "a bag"])


def test_reconstruct_refuses_tensors_of_other_sizes(generator):
    with pytest.raises(UserError, match=r"\(1, 32, 32\)"):
        generator.reconstruct(torch.zeros(2, 1, 32, 32, dtype=torch.uint8))


@pytest.mark.parametrize("name", RECIPES)
def test_settings_survive_config_json(tmp_path, name):
    plain = resolve(name)
    size = next(name for name, kind in get_type_hints(type(plain.model)).items() if kind is int)
    changed = dataclasses.replace(
        plain,
        model=dataclasses.replace(plain.model, **{size: getattr(plain.model, size) * 2}),
        trainer=dataclasses.replace(plain.trainer, epochs=3, learning_rate=0.5, schedule="cosine"),
    )
    write_config(tmp_path, changed, "0123", {"device": "cpu"})
    run = open_run(tmp_path)
    assert run.recipe == changed
    assert {"name": plain.data, "fingerprint": "0123"}.items() <= run.config["data"].items()


def test_updated_checks_names_types_and_choices():
    settings = TrainerConfig()
    assert updated(settings, to_dict(settings)) == settings
    assert updated(settings, {"learning_rate": 1}).learning_rate == 1.0
    assert updated(LabelConv.Config(), {"channels": [1, 2, 3]}).channels == (1, 2, 3)
    with pytest.raises(UserError) as error:
        updated(settings, {"epoch": 3}, "here")
    assert error.value.cause == "here: there is no setting 'epoch'"
    assert error.value.cure == "did you mean 'epochs'?"
    for wrong in ({"epochs": 3.5}, {"epochs": "3"}, {"epochs": True}, {"epochs": [3]}, {"schedule": "linear"}):
        with pytest.raises(UserError, match=next(iter(wrong))):
            updated(settings, wrong)
    for wrong in ([1, 2], [1, 2, 3, 4], [1, 2, "3"], 3):
        with pytest.raises(UserError, match="channels"):
            updated(LabelConv.Config(), {"channels": wrong})
