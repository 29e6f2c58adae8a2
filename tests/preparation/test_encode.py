"""Embedding images by an encoder that takes the original files."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from helpers.photos import encoded, picture
from jaxtyping import Float, UInt8
from torch import Tensor

from textvae.preparation.decode import Place, decode
from textvae.preparation.encode import ImageTask, embed_images


@dataclass(frozen=True)
class Mean:
    """The mean colour of a picture of 224 pixels."""

    name: str = "mean"
    identity: str = "mean 1"
    side: int | None = 224

    def embed(self, images: UInt8[Tensor, "n 3 side side"]) -> Float[Tensor, "n d"]:
        assert images.shape[2] == 224
        return images.float().mean((2, 3))


def test_a_file_that_is_too_small_or_gone_is_replaced_by_the_prepared_picture(tmp_path: Path) -> None:
    large, small = tmp_path / "large.png", tmp_path / "small.png"
    large.write_bytes(encoded(picture(1, (300, 300)), "PNG"))
    small.write_bytes(encoded(picture(2, (50, 50)), "PNG"))  # enough for 64 pixels, not for 224
    prepared = np.stack([decode(place.read_bytes(), 64).pixels for place in (large, small, small)])
    np.save(tmp_path / "rows.npy", prepared)
    places = [(Place(str(path)), "crop") for path in (large, small, tmp_path / "gone.png")]
    embed_images(ImageTask(tmp_path / "out.npz", Mean(), tmp_path / "rows.npy", (0, 3), tuple(places), projects=False))
    rows = np.load(tmp_path / "out.npz")["rows"]
    assert rows.shape == (3, 3)
    assert np.abs(rows - prepared.mean((1, 2))).max() < 4
    assert np.allclose(rows[1], rows[2])
