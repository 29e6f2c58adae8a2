from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from textvae.data.captioned_images import CaptionedImages
from textvae.evaluation.evaluators.word_sensitivity import word_shifts
from textvae.evaluation.metrics.image_statistics import STATISTICS, image_statistics
from textvae.models.base import TextVAE
from textvae.models.distributions import Bernoulli, DiagonalGaussian
from textvae.pipeline import TextToImage
from textvae.priors import StandardNormal

SIDE = 12
PROMPTS = tuple(f"thing {number}." for number in range(30))


def painted(green_below: bool, blue_above: bool, noise: Tensor) -> Tensor:
    """A grey image of some noise, with or without grass and sky."""
    image = 0.5 + 0.1 * noise
    if green_below:
        image = image + torch.tensor([-0.2, 0.2, -0.2])[:, None, None] * (torch.arange(SIDE) >= 8)[:, None]
    if blue_above:
        image = image + torch.tensor([-0.2, -0.2, 0.2])[:, None, None] * (torch.arange(SIDE) < 4)[:, None]
    return image.clamp(0, 1)


def photographs() -> CaptionedImages:
    generator = torch.Generator().manual_seed(0)
    images, captions = [], []
    for number in range(120):
        grass, sky = number % 2 == 0, number % 3 == 0
        images.append(painted(grass, sky, torch.randn(3, SIDE, SIDE, generator=generator)))
        captions.append(f"thing {number}" + " on grass" * grass + " under the sky" * sky)
    rows = torch.arange(120)
    pixels = (torch.stack(images) * 255).round().byte()
    return CaptionedImages("toys", "train", pixels, captions, torch.stack([rows, rows + 1], dim=1))


@dataclass(frozen=True)
class TwoWords:
    def encode(self, captions: Sequence[str]) -> Tensor:
        return torch.tensor([[float(word in caption) for word in ("grass", "sky")] for caption in captions])


class Painter(TextVAE):
    """Draws grass and sky where it is told to, and as it is bent."""

    image_shape = (3, SIDE, SIDE)

    def __init__(self, obeys: float) -> None:
        super().__init__()
        self.prior = StandardNormal((3, SIDE, SIDE))
        self.obeys = obeys

    def posterior(self, images: Tensor, condition: Tensor) -> DiagonalGaussian:
        raise NotImplementedError

    def decode(self, latent: Tensor, condition: Tensor) -> Bernoulli:
        plain = torch.stack([painted(False, False, z) for z in latent])
        told = torch.stack([painted(bool(c[0]), bool(c[1]), z) for c, z in zip(condition, latent, strict=True)])
        return Bernoulli((plain + self.obeys * (told - plain)).clamp(0.001, 0.999).logit())


def measured(obeys: float):
    found = word_shifts(TextToImage(Painter(obeys), TwoWords()), photographs(), PROMPTS, ("grass", "sky", "lava"))
    assert found is not None
    assert [word.word for word in found.words] == ["grass", "sky"]
    return found


def test_a_model_that_obeys_moves_as_real_images_do():
    found = measured(1.0)
    grass, sky = found.words
    assert grass.statistic in ("green below", "colourfulness below")
    assert sky.statistic in ("blue above", "colourfulness above")
    assert found.right_sign == found.clearly_right == 1
    assert 0.8 < found.strength < 1.2
    assert found.to_dict()["words"]["grass"]["statistic"] == grass.statistic


def test_a_model_that_is_deaf_does_not_move_and_a_contrary_one_moves_away():
    deaf = measured(0.0)
    assert [word.drawn for word in deaf.words] == [0, 0]
    assert deaf.right_sign == deaf.clearly_right == deaf.strength == 0
    contrary = measured(-0.5)
    assert contrary.right_sign == 0
    assert contrary.strength < -0.1


def test_prompts_are_drawn_plainly_once(monkeypatch):
    drawn = []
    draw = TextToImage.draw

    def counted(self, conditions, seeds, sampling=None):
        drawn.extend(zip(conditions.tolist(), seeds, strict=True))
        return draw(self, conditions, seeds, sampling)

    monkeypatch.setattr(TextToImage, "draw", counted)
    prompts = ("a thing on grass", *PROMPTS)
    word_shifts(TextToImage(Painter(1.0), TwoWords()), photographs(), prompts, ("grass", "sky"), 10)
    # Eleven prompts as they are, since one names grass; ten with each word, from the noise of the same prompt.
    plain, grass, sky = [0.0, 0.0], [1.0, 0.0], [0.0, 1.0]
    assert sorted(seed for told, seed in drawn if told == plain) == list(range(1, 11))
    assert sorted(seed for told, seed in drawn if told == grass) == list(range(11))
    assert sorted(seed for told, seed in drawn if told == sky) == list(range(1, 10))
    assert len(drawn) == 10 + 11 + 10


def test_words_that_real_images_rarely_name_are_left_out():
    generator = TextToImage(Painter(1.0), TwoWords())
    assert word_shifts(generator, photographs(), PROMPTS, ("lava", "thing")) is None


def test_words_of_nearly_all_prompts_are_left_out():
    generator = TextToImage(Painter(1.0), TwoWords())
    found = word_shifts(generator, photographs(), ("a thing on grass", "grass", "a sky"), ("grass", "sky"))
    assert found is not None
    assert [word.word for word in found.words] == ["sky"]
    assert word_shifts(generator, photographs(), ("grass", "a thing on grass"), ("grass",)) is None


def test_statistics_are_what_they_are_called():
    image = torch.zeros(1, 3, 6, 4, dtype=torch.uint8)
    image[:, 1, 4:] = 255
    found = dict(zip(STATISTICS, image_statistics(image)[0].tolist(), strict=True))
    assert found["green below"] == found["colourfulness below"] == 1
    assert found["red below"] == found["blue below"] == -0.5
    assert found["brightness below"] == 1 / 3
    assert found["green above"] == found["brightness in the middle"] == 0
    assert abs(found["green overall"] - 1 / 3) < 1e-12
