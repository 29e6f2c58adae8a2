import pytest
import torch
from torch import nn

from textvae import editing
from textvae.models.spatial_vae import SpatialVAE
from textvae.models.with_flow import FlowConfig, WithFlow
from textvae.pipeline import TextToImage
from textvae.priors import FlowPrior
from textvae.text.labels import FASHION
from textvae.text.vocabulary import Vocabulary
from textvae.utils.errors import UserError
from textvae.utils.images import save_image
from textvae.utils.pixels import to_pil

SMALL = FlowPrior.Config(width=16, depth=1, heads=2)
WORDS = Vocabulary(("red", "white", "flower"), 5)


def generator(text, config: FlowConfig) -> TextToImage:
    """A SpatialVAE with random weights throughout: it draws noise, but by all of its parts."""
    torch.manual_seed(0)
    vae = SpatialVAE.Config(channels=(4, 8), latent_channels=2).build()
    prior = config.build(vae)
    for parameter in prior.velocity.parameters():
        nn.init.normal_(parameter, std=0.15)
    return TextToImage(WithFlow(vae, prior), text)


@pytest.fixture(scope="module")
def labels() -> TextToImage:
    return generator(FASHION, FlowConfig(SMALL))


@pytest.fixture(scope="module")
def words() -> TextToImage:
    return generator(WORDS, FlowConfig(SMALL, "words", WORDS.num_tokens))


def bits(pictures) -> list[bytes]:
    return [picture.tobytes() for picture in pictures]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "first", "second"), [("labels", "a dress", "a bag"), ("words", "red", "white flower")]
)
def test_interpolation_begins_and_ends_with_its_prompts(request, kind, first, second):
    model = request.getfixturevalue(kind)
    frames = bits(editing.interpolate(model, first, second, frames=5, seed=3))
    assert [frames[0], frames[-1]] == bits(model([first, second], seed=3))
    assert len(set(frames)) == 5


@pytest.mark.slow
def test_interpolation_of_numbers_needs_no_flow_and_of_words_does(labels, words):
    plain = TextToImage(labels.model.vae, WORDS)
    with pytest.raises(UserError, match="has no flow prior"):
        editing.interpolate(plain, "red", "white")
    assert len(editing.interpolate(TextToImage(labels.model.vae, FASHION), "a dress", "a bag", frames=2)) == 2
    with pytest.raises(UserError, match="both ends"):
        editing.interpolate(labels, "a dress", "a bag", frames=1)
    # Guidance holds between words as it does at them.
    led = bits(editing.interpolate(words, "red", "white", frames=3, seed=3, guidance_scale=4.0))
    assert led[0] == bits(words("red", 1, seed=3, guidance_scale=4.0))[0]
    assert led[-1] == bits(words("white", 1, seed=3, guidance_scale=4.0))[0]
    assert led != bits(editing.interpolate(words, "red", "white", frames=3, seed=3, guidance_scale=1.0))


@pytest.mark.slow
@pytest.mark.parametrize("frames", [8, 16])
def test_an_interpolation_moves_evenly(frames):
    # At evenly spaced weights, the largest change between neighbours is 3 to 5 times the mean.
    pictures = editing.interpolate(TextToImage.load("fashion"), "a dress", "a coat", frames=frames)
    levels = torch.stack([torch.frombuffer(bytearray(p.tobytes()), dtype=torch.uint8).float() for p in pictures])
    change = (levels[1:] - levels[:-1]).square().mean(1).sqrt()
    assert change.max() / change.mean() < 1.5
    assert change.min() / change.mean() > 0.5


def test_even_weights_go_to_where_the_picture_changes():
    def draw(weights):
        level = torch.sigmoid(2000 * (torch.tensor(weights) - 0.3)) * 250
        return level.round().to(torch.uint8).view(-1, 1, 1, 1)

    weights = editing.even_weights(draw, 6)
    assert (weights[0], weights[-1]) == (0.0, 1.0)
    levels = draw(weights).flatten().tolist()
    assert levels == pytest.approx([0, 50, 100, 150, 200, 250], abs=20)
    # Two prompts of the same picture.
    assert editing.even_weights(lambda weights: torch.zeros(len(weights), 1, 1, 1, dtype=torch.uint8), 3) == [0, 0.5, 1]


def picture() -> torch.Tensor:
    return torch.randint(0, 256, (1, 28, 28), dtype=torch.uint8, generator=torch.Generator().manual_seed(5))


@pytest.mark.slow
def test_an_edit_to_the_same_words_changes_nothing_and_to_others_something(labels):
    same = editing.edit(labels, picture(), "a dress", "a dress", guidance_scale=1.0)
    assert same.change < 0.01 < same.fresh_change
    assert same.kept > 0.9
    other = editing.edit(labels, picture(), "a dress", "a bag", guidance_scale=5.0)
    assert other.change > 2 * same.change
    assert same.before.tobytes() == other.before.tobytes()


@pytest.mark.slow
def test_completion_keeps_what_is_given_and_never_looks_into_the_hole(labels):
    hole = torch.zeros(28, 28, dtype=torch.bool)
    hole[10:, 5:20] = True
    given = picture()
    filled = editing.inpaint(labels, given, hole, "a dress", num_images=3)
    pixels = torch.stack([torch.tensor(list(p.tobytes()), dtype=torch.uint8).view(28, 28) for p in filled])
    assert (pixels[:, ~hole] == given[0][~hole]).all()
    assert len(set(bits(filled))) == 3
    hidden = torch.where(hole, 255 - given, given)
    assert bits(editing.inpaint(labels, hidden, hole, "a dress", num_images=3)) == bits(filled)


@pytest.mark.slow
def test_pil_images_give_what_tensors_give(labels):
    given, hole = picture(), torch.zeros(28, 28, dtype=torch.bool)
    hole[10:, 5:20] = True
    [pil], [mask] = to_pil(given[None]), to_pil(hole[None, None].to(torch.uint8) * 255)
    assert bits(editing.inpaint(labels, pil, mask, "a dress", 2)) == bits(
        editing.inpaint(labels, given, hole, "a dress", 2)
    )
    drawn, same = (editing.edit(labels, image, "a dress", "a bag") for image in (pil, given))
    assert drawn.after.tobytes() == same.after.tobytes()


@pytest.mark.slow
def test_completion_goes_by_what_is_known(labels):
    # With the true line for the known places, they arrive where they belong.
    prior, latent = labels.model.prior, torch.randn(2, 2, 7, 7)
    known = torch.zeros(2, 1, 7, 7, dtype=torch.bool)
    known[:, :, :4] = True
    noise = torch.randn(2, 2, 7, 7)
    with torch.no_grad():
        found = prior.inpaint(latent, known, torch.eye(10)[:2], lambda: noise)
        other = prior.inpaint(-latent, known, torch.eye(10)[:2], lambda: noise)
    torch.testing.assert_close(found[:, :, :4], latent[:, :, :4])
    assert not torch.allclose(found[:, :, 4:], other[:, :, 4:], atol=1e-3)


@pytest.mark.parametrize(
    ("hole", "said"),
    [
        (torch.zeros(28, 28, dtype=torch.bool), "mask is empty"),
        (torch.ones(28, 28, dtype=torch.bool), "whole image"),
        (torch.ones(14, 28, dtype=torch.bool), "the mask is"),
    ],
)
def test_masks_that_make_no_sense_are_refused(labels, hole, said):
    with pytest.raises(UserError, match=said):
        editing.inpaint(labels, picture(), hole, "a dress")


@pytest.mark.slow
def test_the_verbs_write_what_the_library_draws(tmp_path, textvae, labels, monkeypatch):
    from textvae.cli import edit

    class Run:
        name, path = "toy", tmp_path / "toy"

    monkeypatch.setattr(edit, "open_model", lambda *_: (Run, labels))
    save_image(to_pil(picture()[None])[0], tmp_path / "given.png", {})
    mask = torch.zeros(1, 1, 28, 28, dtype=torch.uint8)
    mask[:, :, 14:] = 255
    save_image(to_pil(mask)[0], tmp_path / "mask.png", {})
    strip = ("interpolate", "toy", "a dress", "a bag", "--frames", 3, "--out")
    for name in ("strip.png", "strip.gif"):
        assert textvae(*strip, tmp_path / name)[0] == 0
        assert (tmp_path / name).stat().st_size > 100
    code, _, err = textvae(*strip, tmp_path / "strip.mp4")
    assert code == 2
    assert ".gif" in err
    given, drawn = tmp_path / "given.png", tmp_path / "drawn.png"
    code, out, err = textvae("edit", "toy", given, "--from", "a dress", "--to", "a bag", "--out", drawn)
    assert code == 0, err
    assert "kept" in out
    code, out, err = textvae("inpaint", "toy", given, "--mask", tmp_path / "mask.png", "--out", drawn)
    assert code == 0, err
    assert "50%" in out
    save_image(to_pil(mask[..., :14])[0], tmp_path / "narrow.png", {})
    code, _, err = textvae("inpaint", "toy", given, "--mask", tmp_path / "narrow.png", "--out", drawn)
    assert code == 2
    assert "14 x 28" in err
