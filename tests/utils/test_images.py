import pytest
import torch
from PIL import Image

from textvae.utils.errors import UserError
from textvae.utils.images import grid, read_metadata, save_image
from textvae.utils.pixels import read_picture, to_pil, to_uint8


def test_quantising_rounds_to_nearest_and_clamps():
    pixels = torch.tensor([-0.2, 0.0, 0.4 / 255, 0.6 / 255, 254.4 / 255, 1.0, 7.0]).view(1, 1, 1, 7)
    assert to_uint8(pixels).flatten().tolist() == [0, 0, 0, 1, 254, 255, 255]


def test_tensors_become_grey_or_colour_pictures():
    images = torch.arange(2 * 3 * 4 * 5, dtype=torch.uint8).view(2, 3, 4, 5)
    colour, grey = to_pil(images), to_pil(images[:, :1])
    assert (colour[1].mode, colour[1].size) == ("RGB", (5, 4))
    assert colour[1].getpixel((3, 2)) == tuple(images[1, :, 2, 3].tolist())
    assert grey[1].mode == "L"
    assert grey[1].getpixel((3, 2)) == images[1, 0, 2, 3]
    with pytest.raises(ValueError, match="1 or 3 channels"):
        to_pil(images[:, :2])


def test_a_grid_shows_every_picture_enlarged():
    rows = [to_pil(torch.full((2, 1, 4, 4), 50 * (r + 1), dtype=torch.uint8)) for r in range(3)]
    sheet = grid(rows, ["one", "two", "three"], scale=3)
    greys = {value: count for count, value in sheet.getcolors(10_000)}
    for r in range(3):
        assert greys[(50 * (r + 1),) * 3] >= 2 * 12 * 12
    assert grid(rows, None, scale=3).width < sheet.width


def test_a_long_label_is_wrapped():
    row = [[Image.new("L", (64, 64))]]
    caption = "a flower with long pink petals, a yellow center and dark green leaves behind it"
    assert grid(row, [caption]).width < 420
    assert grid(row, [caption]).size[1] == grid(row, ["short"]).size[1]


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".jpeg", ".webp", ".PNG"])
def test_an_image_file_carries_how_it_was_made(tmp_path, suffix):
    metadata = {"prompt": "a dress | ein Mäntelchen 👗\nund mehr", "seed": "3"}
    path = tmp_path / "new" / f"picture{suffix}"
    save_image(Image.new("RGB", (16, 16), (77, 77, 77)), path, metadata)
    assert read_metadata(path) == metadata
    with Image.open(path) as picture:
        assert picture.format == {".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}.get(suffix, "PNG")
        assert picture.getpixel((8, 8)) == pytest.approx((77, 77, 77), abs=2)


def test_other_formats_are_refused_and_other_images_carry_nothing(tmp_path):
    picture = Image.new("L", (8, 8))
    for name in ("a.pdf", "a", "-", "a.png.txt"):
        with pytest.raises(UserError, match="suffix"):
            save_image(picture, tmp_path / name, {})
    assert not list(tmp_path.iterdir())
    exif = Image.Exif()
    exif[0x010E] = "a holiday"
    picture.save(tmp_path / "holiday.jpg", exif=exif)
    picture.save(tmp_path / "plain.png")
    assert read_metadata(tmp_path / "holiday.jpg") == read_metadata(tmp_path / "plain.png") == {}
    with pytest.raises(UserError, match="can't be read"):
        read_metadata(tmp_path / "missing.png")


@pytest.mark.parametrize(
    ("name", "size", "prompt", "said"),
    [
        ("a.webp", (16_384, 1), "x", "WEBP holds 16,383 pixels a side at most, not 16,384"),
        ("a.jpg", (1, 65_501), "x", "JPEG holds 65,500 pixels a side"),
        ("a.jpg", (8, 8), "x" * 70_000, "too long for the metadata of a JPEG"),
    ],
)
def test_what_a_format_cannot_hold_is_refused(tmp_path, name, size, prompt, said):
    with pytest.raises(UserError, match=said):
        save_image(Image.new("L", size), tmp_path / name, {"prompt": prompt})
    assert not list(tmp_path.iterdir())
    save_image(Image.new("L", size), tmp_path / "a.png", {"prompt": prompt})
    assert read_metadata(tmp_path / "a.png") == {"prompt": prompt}


def test_a_label_of_a_grid_is_cut():
    picture = Image.new("L", (28, 28))
    assert grid([[picture]], ["a dress " * 10_000]).width < 12_000


def test_pictures_are_read_as_the_model_sees_them(tmp_path):
    path = tmp_path / "wide.png"
    wide = Image.new("RGB", (84, 56), (255, 0, 0))
    wide.paste((0, 0, 255), (14, 0, 70, 56))
    wide.save(path)
    # The red margins are cropped away, but for what the resampling filter sees of them.
    assert read_picture(path, (3, 28, 28)).float().mean((1, 2)).tolist() == pytest.approx([0, 0, 255], abs=2)
    assert read_picture(path, (1, 28, 28)).shape == (1, 28, 28)
    (tmp_path / "broken.png").write_bytes(path.read_bytes()[:60])
    for broken in (tmp_path / "broken.png", tmp_path / "missing.png", tmp_path):
        with pytest.raises(UserError, match="can't be read as a picture"):
            read_picture(broken, (1, 28, 28))


def test_a_transparent_picture_is_set_on_white_and_a_tiny_one_is_refused(tmp_path):
    Image.new("RGBA", (28, 28), (255, 0, 0, 0)).save(tmp_path / "clear.png")
    assert read_picture(tmp_path / "clear.png", (3, 28, 28)).min() == 255
    assert read_picture(tmp_path / "clear.png", (1, 28, 28)).min() == 255
    Image.new("L", (1, 1)).save(tmp_path / "dot.png")
    with pytest.raises(UserError, match="tiny"):
        read_picture(tmp_path / "dot.png", (1, 28, 28))
