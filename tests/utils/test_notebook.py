"""Images and progress in a notebook."""

import io
import sys
import types

from PIL import Image

from textvae.utils.notebook import COLUMNS, SHOWN, Pictures
from textvae.utils.progress import ProgressLine


def test_images_show_themselves_as_a_grid():
    pictures = Pictures([Image.new("L", (28, 28), 9)] * (COLUMNS + 1))
    assert len(pictures) == COLUMNS + 1
    assert pictures[0].size == (28, 28)
    with Image.open(io.BytesIO(pictures._repr_png_())) as shown:
        assert shown.width > shown.height > 2 * 28
    assert pictures._repr_html_().startswith('<img alt="9 images" src="data:image/png;base64,')
    assert "and 3 more" in Pictures(pictures[:1] * (SHOWN + 3))._repr_html_()
    assert Pictures()._repr_png_() is None
    assert Pictures()._repr_html_() is None


def test_progress_renews_its_line_in_a_notebook(monkeypatch):
    class ZMQInteractiveShell:
        pass

    kernel = types.ModuleType("IPython")
    kernel.get_ipython = ZMQInteractiveShell  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "IPython", kernel)
    monkeypatch.setattr("textvae.utils.progress.DELAY_S", 0.0)
    shown = io.StringIO()
    monkeypatch.setattr(sys, "stderr", shown)
    with ProgressLine("drawing", 2, "images") as line:
        line.advance(1)
    assert "\x1b" not in shown.getvalue()
    assert shown.getvalue().startswith("\rdrawing  [####----]   50 %")
    assert shown.getvalue().endswith("\r")
