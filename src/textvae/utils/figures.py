"""Line plots by matplotlib (the extra ``figures``)."""

import importlib.util
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from textvae.utils.errors import UserError
from textvae.utils.images import save_image


def require_matplotlib() -> None:
    """Checks that matplotlib is installed, without importing it.

    Raises:
        UserError: it is not.
    """
    if importlib.util.find_spec("matplotlib") is None:
        raise UserError("figures need matplotlib, which is not installed", "pip install 'textvae[figures]'")


def save_figure(figure: Any, path: Path, metadata: Mapping[str, str]) -> None:
    """Writes a ``matplotlib.figure.Figure`` as an image file with metadata, whole or not at all."""
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png")
    drawn.seek(0)
    with Image.open(drawn) as image:
        save_image(image.convert("RGB"), path, metadata)
