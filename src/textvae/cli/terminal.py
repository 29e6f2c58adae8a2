"""Pictures in a terminal: as coloured half blocks anywhere, as pixels where the terminal takes them."""

import base64
import io
import os
import select
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from PIL import Image

from textvae.utils.images import grid

Graphics = Literal["none", "half-blocks", "sixel", "kitty"]
"""What a terminal can show."""


def half_blocks(picture: Image.Image) -> str:
    """Two pixels a character, "▀" in 24-bit colours: as many columns as the picture is wide, half as many lines."""
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


def kitty(picture: Image.Image) -> str:
    """The picture as PNG in the escape sequences of kitty's graphics protocol, which ask for no answer."""
    file = io.BytesIO()
    picture.save(file, format="PNG")
    payload = base64.standard_b64encode(file.getvalue()).decode()
    # The protocol takes at most 4096 bytes at a time, m=1 in all but the last.
    chunks = [payload[start : start + 4096] for start in range(0, len(payload), 4096)]
    keys = ["a=T,f=100,q=2,"] + [""] * (len(chunks) - 1)
    more = [1] * (len(chunks) - 1) + [0]
    return "".join(f"\x1b_G{k}m={m};{c}\x1b\\" for k, m, c in zip(keys, more, chunks, strict=True))


def sixel(picture: Image.Image) -> str:
    """The picture in at most 256 colours, in DEC's sixel format: bands of six rows, one colour after another."""
    indexed = picture.convert("RGB").quantize(256)
    palette = np.array(indexed.getpalette()).reshape(-1, 3)
    numbers = np.array(indexed)
    height, width = numbers.shape
    # P2=1: pixels that no colour sets keep the background. Raster attributes: square pixels, then the size.
    parts = [f'\x1bP0;1;0q"1;1;{width};{height}']
    for colour in np.unique(numbers):
        # Sixel's colours are whole percentages.
        red, green, blue = (round(int(level) * 100 / 255) for level in palette[colour])
        parts.append(f"#{colour};2;{red};{green};{blue}")
    for top in range(0, height, 6):
        band = numbers[top : top + 6]
        weights = 1 << np.arange(len(band))[:, None]
        lines = [f"#{c}{_run_lengths(((band == c) * weights).sum(0))}" for c in np.unique(band)]
        # "$" goes back to the band's left edge, "-" to the next band.
        parts.append("$".join(lines) + "-")
    return "".join(parts) + "\x1b\\"


def show(pictures: Sequence[Image.Image], graphics: Graphics, columns: int = 80) -> str:
    """Pictures side by side, in as many rows as they need.

    Args:
        pictures: of equal size.
        graphics: how; "none" gives an empty text.
        columns: width of the terminal in characters; wider pictures are scaled down to it as half blocks.
    """
    if graphics == "none" or not pictures:
        return ""
    # As pixels, small pictures grow to be seen; a character is about 8 pixels wide. As half blocks it is one pixel.
    width = pictures[0].width
    scale = 1 if graphics == "half-blocks" else max(1, 112 // width)
    room = columns if graphics == "half-blocks" else columns * 8
    fitted = list(pictures)
    if width * scale + 4 * scale > room:
        shrunk = max(1, room - 4 * scale) // scale
        size = (shrunk, max(1, pictures[0].height * shrunk // width))
        fitted = [picture.resize(size, Image.Resampling.LANCZOS) for picture in fitted]
    # The grid's gaps are two pixels, enlarged like the pictures, one before each picture and one at the end.
    per_row = max(1, (room - 2 * scale) // ((fitted[0].width + 2) * scale))
    rows = [fitted[start : start + per_row] for start in range(0, len(fitted), per_row)]
    return {"half-blocks": half_blocks, "sixel": sixel, "kitty": kitty}[graphics](grid(rows, scale=scale))


def best_graphics(environment: Mapping[str, str] = os.environ) -> Graphics:
    """The best that a terminal says it can show: kitty by its variables, sixel by its answer to "what are you?".

    "none" where stdout is no terminal, or a dumb one. The question is put only where stdin is a terminal too, and is
    given up after a fifth of a second.
    """
    if not sys.stdout.isatty() or environment.get("TERM", "dumb") == "dumb":
        return "none"
    # A multiplexer hands its terminal's variables on, but not kitty's pictures.
    if not any(environment.get(name) for name in ("TMUX", "STY", "ZELLIJ")) and (
        environment.get("KITTY_WINDOW_ID")
        or environment.get("TERM") in ("xterm-kitty", "xterm-ghostty")
        or environment.get("TERM_PROGRAM") in ("ghostty", "WezTerm")
    ):
        return "kitty"
    if sys.stdin.isatty() and says_sixel(_device_attributes()):
        return "sixel"
    return "half-blocks"


def says_sixel(answer: bytes) -> bool:
    """Whether primary device attributes ("ESC [ ? 62 ; 4 ; 6 c") list sixel graphics, number 4."""
    _, opening, rest = answer.partition(b"\x1b[?")
    attributes, closing, _ = rest.partition(b"c")
    # The first number is the terminal's class, not a feature.
    return bool(opening and closing) and b"4" in attributes.split(b";")[1:]


def _device_attributes(patience: float = 0.2) -> bytes:
    """The terminal's answer to DA1; empty where it gives none in time, or where terminals can't be asked."""
    try:
        import termios
        import tty
    except ImportError:
        return b""
    answer, deadline = b"", time.monotonic() + patience
    try:
        handle = sys.stdin.fileno()
        before = termios.tcgetattr(handle)
    except (OSError, ValueError, termios.error):
        return b""
    # Unbuffered and without echo, so that the answer is neither held back for a line's end nor shown.
    tty.setcbreak(handle, termios.TCSANOW)
    try:
        print("\x1b[c", end="", flush=True)
        while not answer.endswith(b"c") and (left := deadline - time.monotonic()) > 0:
            if select.select([handle], [], [], left)[0]:
                byte = os.read(handle, 1)
                if not byte:
                    break
                answer += byte
    finally:
        termios.tcsetattr(handle, termios.TCSANOW, before)
    return answer


def _run_lengths(sixels: np.ndarray) -> str:
    edges = np.flatnonzero(np.diff(sixels)) + 1
    starts = [0, *edges.tolist()]
    stops = [*edges.tolist(), len(sixels)]
    runs = [(stop - start, chr(63 + int(sixels[start]))) for start, stop in zip(starts, stops, strict=True)]
    return "".join(f"!{length}{sign}" if length > 3 else sign * length for length, sign in runs)
