"""What is larger than its share of the memory is in a file, or read ahead, and is the same."""

import math
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from textvae.data.captioned_images import CaptionedImages, labelled_images
from textvae.experiment.stages import _latents
from textvae.models.label_conv import LabelConv
from textvae.text.labels import FASHION
from textvae.training.config import TrainerConfig
from textvae.training.loop import Training
from textvae.utils import memory
from textvae.utils.errors import UserError
from textvae.utils.processes import Processes

MAPS = Path("/proc/self/maps")


@pytest.fixture
def small_machine(monkeypatch, tmp_path):
    """A machine on which everything is large."""
    monkeypatch.setenv("TEXTVAE_CACHE", str(tmp_path))
    monkeypatch.setattr(memory, "SHARE", 0.0)


def some_images(count: int, channels: int = 1) -> CaptionedImages:
    generator = torch.Generator().manual_seed(count)
    pixels = torch.randint(256, (count, 28, 28, channels), dtype=torch.uint8, generator=generator).permute(0, 3, 1, 2)
    return labelled_images("some", "train", pixels, torch.arange(count) % 10, FASHION.class_names)


def test_large_zeros_are_in_a_file_without_a_name(small_machine, tmp_path):
    array = memory.zeros((5, 3), torch.float32)
    assert array.equal(torch.zeros(5, 3))
    array[2] = 7
    assert array.sum() == 21
    mapped = next(line for line in MAPS.read_text().splitlines() if str(tmp_path) in line)
    assert mapped.endswith("(deleted)")
    assert list(tmp_path.iterdir()) == []


def test_no_room_for_a_large_array_is_an_error_of_the_user(small_machine, monkeypatch):
    def full(*_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(UserError, match="TEXTVAE_CACHE"):
        memory.zeros((5, 3), torch.float32)


@pytest.mark.parametrize("channels", [1, 3])
def test_joined_images_are_the_same_in_a_file(channels, monkeypatch, tmp_path):
    first, second = some_images(30, channels), some_images(12, channels)
    joined = first.followed_by(second)
    assert joined.images.equal(torch.cat([first.images, second.images]))
    monkeypatch.setenv("TEXTVAE_CACHE", str(tmp_path))
    monkeypatch.setattr(memory, "SHARE", 0.0)
    large = first.followed_by(second)
    assert str(tmp_path) in MAPS.read_text()
    assert large.images.equal(joined.images)
    assert large.fingerprint() == joined.fingerprint()


@pytest.mark.slow
def test_a_training_that_reads_ahead_has_the_same_bits(cpu, monkeypatch):
    def weights() -> list[torch.Tensor]:
        torch.manual_seed(0)
        images = some_images(50)
        model = LabelConv.Config(channels=(2, 4, 4), latent_dim=4, embedding_dim=4).build()
        config = TrainerConfig(epochs=2, batch_size=8, flip=True, validation_images=10)
        training = Training(model, images, FASHION.encode(images.captions), config, cpu)
        losses = [float(step.loss.total.detach()) for step in training.steps()]
        read_ahead.append(training.rows.ahead is not None)
        return [torch.tensor([*losses, *training.validate().values()]), *training.model.state_dict().values()]

    read_ahead: list[bool] = []
    plain = weights()
    monkeypatch.setattr(memory, "SHARE", 0.0)
    ahead = weights()
    assert read_ahead == [False, True]
    assert all(a.equal(b) for a, b in zip(ahead, plain, strict=True))


def test_the_latents_of_a_flow_s_training_are_the_same_in_a_file(cpu, monkeypatch, tmp_path):
    torch.manual_seed(0)
    vae = LabelConv.Config(channels=(2, 4, 4), latent_dim=4, embedding_dim=4).build().eval().requires_grad_(False)
    images = some_images(12)
    conditions = FASHION.encode(images.captions), images.caption_range
    plain = _latents(vae, images, conditions, cpu, True, Processes(), batch_size=5).images
    monkeypatch.setenv("TEXTVAE_CACHE", str(tmp_path))
    monkeypatch.setattr(memory, "SHARE", 0.0)
    large = _latents(vae, images, conditions, cpu, True, Processes(), batch_size=5).images
    assert str(tmp_path) in MAPS.read_text()
    assert large.shape == (24, 8)
    assert large.equal(plain)


def test_a_file_far_larger_than_the_memory_can_be_mapped_and_written_to_in_memory(tmp_path):
    shape = (20_000_000, 64, 64, 3)
    file = tmp_path / "sparse"
    with file.open("wb") as opened:
        opened.truncate(math.prod(shape))
    rows = memory.copy_on_write(np.memmap(file, np.uint8, "r", shape=shape))
    rows[-1, -1, -1] = 7
    assert rows[-1, -1, -1].tolist() == [7, 7, 7]
    assert int(rows[0].sum()) == 0
    assert file.stat().st_blocks == 0
