import base64
import io
import os
import pty
import re
import sys
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from textvae.cli.terminal import best_graphics, half_blocks, kitty, says_sixel, show, sixel

pictures = (
    st.tuples(st.integers(1, 14), st.integers(1, 14))
    .flatmap(lambda size: arrays.arrays(np.uint8, (*size, 3)))
    .map(Image.fromarray)
)


def read_half_blocks(text: str, height: int) -> np.ndarray:
    rows = []
    for line in text.split("\n"):
        upper, lower = [], []
        for codes, sign in re.findall(r"(?:\x1b\[([\d;]*)m)?(▀?)", line):
            if codes and codes != "0":
                numbers = [int(number) for number in codes.split(";")]
                assert numbers[:2] == [38, 2]
                assert numbers[5:7] == [48, 2] or numbers[5:] == [49]
                colours = numbers[2:5], numbers[7:]
            if sign:
                upper.append(colours[0])
                lower.append(colours[1])
        rows += [upper, lower]
    return np.array(rows[:height], np.uint8)


def read_sixel(text: str) -> np.ndarray:
    start = re.match(r'\x1bP0;1;0q"1;1;(\d+);(\d+)', text)
    width, height = int(start[1]), int(start[2])
    assert text.endswith("\x1b\\")
    pixels, palette = np.full((height, width), -1), {}
    x = y = colour = 0
    for c, percent, run, sign, move in re.findall(
        r"#(\d+)((?:;\d+){4})?|(?:!(\d+))?([?-~])|([$-])", text[start.end() : -2]
    ):
        if c:
            colour = int(c)
            if percent:
                palette[colour] = [int(level) for level in percent.split(";")[2:]]
        elif move:
            x, y = 0, y + 6 * (move == "-")
        else:
            for _ in range(int(run or 1)):
                for bit in range(6):
                    if (ord(sign) - 63) >> bit & 1:
                        assert pixels[y + bit, x] == -1
                        pixels[y + bit, x] = colour
                x += 1
            assert x <= width
    assert (pixels >= 0).all()
    return np.array([[palette[c] for c in row] for row in pixels.tolist()]) * 2.55


@given(pictures)
def test_half_blocks_read_back(picture):
    assert (read_half_blocks(half_blocks(picture), picture.height) == np.array(picture)).all()


@given(pictures)
def test_sixel_reads_back(picture):
    # 196 pixels have at most 196 colours, of which Pillow's palette may still merge near ones.
    assert np.abs(read_sixel(sixel(picture)) - np.array(picture.quantize(256).convert("RGB"))).max() <= 1.3


def test_grey_pictures():
    picture = Image.fromarray(np.arange(0, 240, 10, np.uint8).reshape(4, 6))
    rgb = np.array(picture.convert("RGB"))
    assert (read_half_blocks(half_blocks(picture), 4) == rgb).all()
    assert np.abs(read_sixel(sixel(picture)) - rgb).max() <= 1.3


@pytest.mark.parametrize("side", [4, 200])
def test_kitty_reads_back(side):
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8))
    chunks = re.findall(r"\x1b_G(.*?)m=([01]);(.*?)\x1b\\", kitty(picture))
    assert chunks[0][0] == "a=T,f=100,q=2,"
    assert [more for _, more, _ in chunks] == ["1"] * (len(chunks) - 1) + ["0"]
    assert all(len(data) <= 4096 for _, _, data in chunks)
    png = base64.b64decode("".join(data for _, _, data in chunks))
    assert (np.array(Image.open(io.BytesIO(png))) == np.array(picture)).all()


@pytest.mark.parametrize(("side", "count", "columns"), [(28, 4, 80), (28, 4, 20), (60, 3, 80), (256, 2, 80)])
def test_half_blocks_fit_the_terminal(side, count, columns):
    text = show([Image.new("L", (side, side))] * count, "half-blocks", columns)
    assert max(line.count("▀") for line in text.split("\n")) <= columns


def test_show_nothing():
    assert show([Image.new("L", (4, 4))], "none") == ""
    assert show([], "kitty") == ""


@pytest.mark.parametrize(
    ("answer", "yes"),
    [
        (b"\x1b[?62;4;6;9;15;22c", True),
        (b"\x1b[?64;1;2;6;22c", False),
        (b"\x1b[?4c", False),
        (b"\x1b[?62;14;24c", False),
        (b"\x1b[?62;4", False),
        (b"", False),
    ],
)
def test_device_attributes(answer, yes):
    assert says_sixel(answer) == yes


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("environment", "best"),
    [
        ({"TERM": "xterm-256color"}, "half-blocks"),
        ({"TERM": "xterm-kitty"}, "kitty"),
        ({"TERM": "xterm-256color", "KITTY_WINDOW_ID": "1"}, "kitty"),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "WezTerm"}, "kitty"),
        ({"TERM": "screen", "KITTY_WINDOW_ID": "1", "TMUX": "/tmp/tmux"}, "half-blocks"),
        ({"TERM": "dumb"}, "none"),
        ({}, "none"),
    ],
)
def test_best_graphics(environment, best, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    monkeypatch.setattr(sys, "stdout", Terminal())
    assert best_graphics(environment) == best
    monkeypatch.setattr(sys, "stdin", Terminal())
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    assert best_graphics(environment) == "none"


@pytest.mark.parametrize(("answer", "best"), [(b"\x1b[?62;4;22c", "sixel"), (b"\x1b[?1;2c", "half-blocks")])
def test_a_terminal_is_asked(answer, best, monkeypatch):
    outside, inside = pty.openpty()

    def reply():
        assert os.read(outside, 3) == b"\x1b[c"
        os.write(outside, answer)

    with open(inside, "r+b", buffering=0, closefd=False) as raw:
        tty = io.TextIOWrapper(raw, write_through=True)
        terminal = threading.Thread(target=reply, daemon=True)
        terminal.start()
        monkeypatch.setattr(sys, "stdin", tty)
        monkeypatch.setattr(sys, "stdout", tty)
        assert best_graphics({"TERM": "xterm"}) == best
        monkeypatch.undo()
        terminal.join()
        tty.detach()
    os.close(inside)
    os.close(outside)
