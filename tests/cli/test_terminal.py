import io
import re
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from textvae.cli.terminal import half_blocks, show, shows_images

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


@given(pictures)
@pytest.mark.slow
def test_half_blocks_read_back(picture):
    assert (read_half_blocks(half_blocks(picture), picture.height) == np.array(picture)).all()


def test_grey_pictures():
    picture = Image.fromarray(np.arange(0, 240, 10, np.uint8).reshape(4, 6))
    assert (read_half_blocks(half_blocks(picture), 4) == np.array(picture.convert("RGB"))).all()


@pytest.mark.parametrize(("side", "count", "columns"), [(28, 4, 80), (28, 4, 20), (60, 3, 80), (256, 2, 80)])
def test_images_fit_the_terminal(side, count, columns):
    text = show([Image.new("L", (side, side))] * count, columns)
    assert 0 < max(line.count("▀") for line in text.split("\n")) <= columns


def test_nothing_to_show():
    assert show([]) == ""


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("environment", "shows"),
    [
        ({"TERM": "xterm-256color"}, True),
        ({"TERM": "xterm-256color", "NO_COLOR": "1"}, False),
        ({"TERM": "xterm-256color", "NO_COLOR": ""}, True),
        ({"TERM": "dumb"}, False),
        ({}, False),
    ],
)
def test_only_terminals_with_colours_show_images(environment, shows, monkeypatch):
    monkeypatch.setattr(sys, "stdout", Terminal())
    assert shows_images(environment) == shows
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    assert not shows_images(environment)
