"""Every kind of file that a collection of photographs holds: a square of pixels, or a reason."""

import contextlib
import io
import os
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
from helpers.photos import encoded, picture
from PIL import Image, ImageOps

from textvae.preparation.decode import Place, decode
from textvae.utils.pictures import Unreadable
from textvae.utils.pixels import read_picture

RED, BLUE, WHITE = (255, 0, 0), (0, 0, 255), (255, 255, 255)


def halves(size: tuple[int, int], left: object = RED, right: object = BLUE, mode: str = "RGB") -> Image.Image:
    image = Image.new(mode, size, left)
    image.paste(right, (size[0] // 2, 0, *size))
    return image


def near(pixel: np.ndarray, colour: tuple[int, int, int]) -> bool:
    return bool(np.abs(pixel.astype(int) - colour).max() < 30)


def test_a_photograph_is_cut_to_its_middle_and_averaged() -> None:
    stripes = np.zeros((128, 256, 3), np.uint8)
    stripes[:, 1::2] = 255
    stripes[:, :64] = RED
    stripes[:, 192:] = RED
    decoded = decode(encoded(Image.fromarray(stripes), "PNG"), 32)
    assert decoded.pixels.shape == (32, 32, 3)
    assert decoded.notes == ()
    # The red margins are cut off, and stripes finer than a pixel become grey: aliased ones would be black or white.
    assert decoded.pixels[:, 2:-2].min() > 110
    assert decoded.pixels[:, 2:-2].max() < 145


def test_padding_keeps_the_whole_picture_on_white() -> None:
    pixels = decode(encoded(Image.new("RGB", (60, 80), BLUE), "PNG"), 64, "pad").pixels
    assert near(pixels[32, 2], WHITE)
    assert near(pixels[32, 61], WHITE)
    assert near(pixels[1, 32], BLUE)
    assert near(pixels[62, 32], BLUE)


def test_a_prepared_picture_is_what_reconstruct_reads(tmp_path) -> None:
    path = tmp_path / "a.png"
    picture(3, (90, 70)).save(path)
    mine = decode(path.read_bytes(), 24).pixels
    theirs = read_picture(path, (3, 24, 24)).permute(1, 2, 0).numpy()
    assert np.abs(mine.astype(int) - theirs).max() <= 1


def test_jpeg_decoded_at_a_fraction_looks_as_decoded_whole() -> None:
    # Smooth content: a decoder that took every eighth pixel would be told by its edges only.
    large = picture(1, (60, 40)).resize((960, 640), Image.Resampling.BICUBIC)
    content = encoded(large, quality=95)
    whole = ImageOps.fit(Image.open(io.BytesIO(content)), (32, 32), Image.Resampling.LANCZOS)
    assert np.abs(decode(content, 32).pixels.astype(int) - np.asarray(whole)).mean() < 2


@pytest.mark.parametrize(
    ("image", "kind", "note", "left"),
    [
        (halves((64, 64), 200, 50, "L"), "PNG", "converted from grey", (200, 200, 200)),
        (halves((64, 64), 1, 0, "1"), "PNG", "converted from grey", WHITE),
        (halves((64, 64), (0, 255, 255, 0), (0, 0, 0, 0), "CMYK"), "JPEG", "converted from CMYK", RED),
        (halves((64, 64), (0, 0, 0, 0), BLUE, "RGBA"), "PNG", "transparent", WHITE),
        (Image.fromarray(np.full((64, 64), 40_000, np.uint16)), "PNG", "sixteen bits", (156, 156, 156)),
        (Image.new("RGB", (20, 30), RED), "PNG", "enlarged from 20x30", RED),
    ],
    ids=["grey", "bilevel", "cmyk", "transparent", "16-bit", "small"],
)
def test_unusual_pictures_are_converted_and_noted(image, kind, note, left) -> None:
    decoded = decode(encoded(image, kind), 32)
    assert any(note in told for told in decoded.notes)
    assert near(decoded.pixels[16, 4], left)


def test_palettes_are_usual() -> None:
    decoded = decode(encoded(halves((64, 64)).convert("P"), "PNG"), 32)
    assert decoded.notes == ()
    assert near(decoded.pixels[16, 4], RED)


def test_exif_orientation_is_obeyed() -> None:
    upright = halves((64, 64))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown turned by a quarter, clockwise: its left is then above
    decoded = decode(encoded(upright, "JPEG", exif=exif, quality=95), 32)
    assert any("EXIF" in note for note in decoded.notes)
    assert near(decoded.pixels[4, 16], RED)
    assert near(decoded.pixels[28, 16], BLUE)


def test_of_an_animation_the_first_frame_counts() -> None:
    frames = [Image.new("RGB", (64, 64), colour) for colour in (RED, BLUE)]
    decoded = decode(encoded(frames[0], "GIF", save_all=True, append_images=frames[1:]), 32)
    assert decoded.notes == ("animated: first frame taken",)
    assert near(decoded.pixels[16, 16], RED)


def bomb(side: int) -> bytes:
    """A PNG that says it has side x side pixels, in a few bytes."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">2I5B", side, side, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


JPEG = encoded(picture(0, (200, 200)))


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "empty file"),
        (b"no image at all", "no image of a known format"),
        (JPEG[: len(JPEG) // 2], "broken"),
        (JPEG[:30], "broken|no image of a known format"),
        (encoded(Image.new("RGB", (1, 1))), "tiny: 1x1"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 64\n", "no image of a known format"),
        (bomb(12_000), "too large"),
        (bomb(60_000), "too large"),
    ],
    ids=["empty", "text", "truncated", "header only", "tiny", "postscript", "large bomb", "larger bomb"],
)
def test_what_gives_no_picture_says_why(content, why) -> None:
    with pytest.raises(Unreadable, match=why):
        decode(content, 32)


def test_damage_anywhere_never_ends_in_another_error() -> None:
    random = np.random.default_rng(0)
    for kind in ("JPEG", "PNG", "GIF", "TIFF", "WEBP", "BMP"):
        whole = encoded(picture(1), kind)
        for _ in range(15):
            damaged = bytearray(whole)
            for place in random.integers(0, len(whole), 8):
                damaged[place] = random.integers(256)
            with contextlib.suppress(Unreadable):
                assert decode(bytes(damaged), 16).pixels.shape == (16, 16, 3)


def test_places_give_their_stretch_or_say_that_they_are_not_there(tmp_path) -> None:
    (tmp_path / "x").write_bytes(b"abcdef")
    assert Place(str(tmp_path / "x"), 2, 3).read() == b"cde"
    assert Place(str(tmp_path / "x")).read() == b"abcdef"
    with pytest.raises(Unreadable, match="no such file"):
        Place(str(tmp_path / "y")).read()
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(Unreadable, match="no regular file"):
        Place(str(tmp_path / "pipe")).read()
    with (tmp_path / "large").open("wb") as file:
        file.truncate(1 << 42)
    for place in (Place(str(tmp_path / "large")), Place(str(tmp_path / "x"), 0, 1 << 42)):
        with pytest.raises(Unreadable, match="too large"):
            place.read()


@pytest.mark.slow
def test_a_long_and_narrow_picture_is_scaled_before_it_is_padded(tmp_path) -> None:
    Image.new("RGB", (20_000, 1), BLUE).save(tmp_path / "line.png")
    # In a process of its own, whose memory tells what decoding took.
    program = (
        "import re, sys; from pathlib import Path; from textvae.preparation.decode import decode;"
        "print(decode(Path(sys.argv[1]).read_bytes(), 64, 'pad').pixels.shape,"
        "re.search(r'VmHWM:\\s+(\\d+)', Path('/proc/self/status').read_text())[1])"
    )
    told = subprocess.check_output(
        [sys.executable, "-c", program, str(tmp_path / "line.png")],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        text=True,
    )
    assert told.startswith("(64, 64, 3)")
    assert int(told.split()[-1]) < 300_000
