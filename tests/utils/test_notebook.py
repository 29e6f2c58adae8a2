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


def test_progress_replaces_one_output_of_each_cell_of_a_notebook(monkeypatch):
    outputs: list[list[str]] = []

    class Handle:
        def __init__(self, number: int) -> None:
            self.number = number

        def update(self, content: dict, raw: bool) -> None:
            outputs[self.number].append(content["text/plain"])

    def display(content: dict, raw: bool, display_id: bool) -> Handle:
        outputs.append([content["text/plain"]])
        return Handle(len(outputs) - 1)

    class ZMQInteractiveShell:
        execution_count = 1

    shell = ZMQInteractiveShell()
    kernel = types.ModuleType("IPython")
    kernel.get_ipython = lambda: shell  # type: ignore[attr-defined]
    kernel.display = types.SimpleNamespace(display=display)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "IPython", kernel)
    monkeypatch.setattr("textvae.utils.progress.DELAY_S", 0.0)
    shown = io.StringIO()
    monkeypatch.setattr(sys, "stderr", shown)
    for cell in (1, 1, 2):
        shell.execution_count = cell
        with ProgressLine("drawing", 2, "images") as line:
            line.advance(1)
            line.advance(1)
    assert shown.getvalue() == ""
    assert [len(lines) for lines in outputs] == [4, 2]
    assert outputs[0][0].startswith("drawing  [##########----------]   50 %")
    assert [lines[-1] for lines in outputs] == ["", ""]
