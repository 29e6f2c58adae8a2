"""Images in a terminal, as half blocks in 24-bit colour."""

import os
import sys
from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image

from textvae.utils.images import grid


def shows_images(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether stdout is a terminal with colours: not a "dumb" one, and not where NO_COLOR is set."""
    return sys.stdout.isatty() and environment.get("TERM", "dumb") != "dumb" and not environment.get("NO_COLOR")


def half_blocks(picture: Image.Image) -> str:
    """Two pixels a character, "▀" in 24-bit colours: as many columns as the image is wide, half as many lines."""
    pixels = np.array(picture.convert("RGB")).tolist()
    lines = []
    for y in range(0, len(pixels), 2):
        line, last = [], ""
        for x, upper in enumerate(pixels[y]):
            # Below an odd last row there is the terminal's own background.
            below = "48;2;{};{};{}".format(*pixels[y + 1][x]) if y + 1 < len(pixels) else "49"
            colours = "\x1b[38;2;{};{};{};{}m".format(*upper, below)
            line.append("▀" if colours == last else f"{colours}▀")
            last = colours
        lines.append("".join(line) + "\x1b[0m")
    return "\n".join(lines)


def show(pictures: Sequence[Image.Image], columns: int = 80) -> str:
    """Images of equal size side by side, in as many rows as they need, scaled down where one is wider than that.

    Args:
        pictures: what to show.
        columns: width of the terminal in characters, which is also its width in pixels.
    """
    if not pictures:
        return ""
    fitted = list(pictures)
    gap = 2  # of the grid, before each image and at the end
    if pictures[0].width + 2 * gap > columns:
        width = max(1, columns - 2 * gap)
        size = (width, max(1, pictures[0].height * width // pictures[0].width))
        fitted = [picture.resize(size, Image.Resampling.LANCZOS) for picture in fitted]
    per_row = max(1, (columns - gap) // (fitted[0].width + gap))
    rows = [fitted[start : start + per_row] for start in range(0, len(fitted), per_row)]
    return half_blocks(grid(rows, scale=1))
