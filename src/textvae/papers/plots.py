"""Line plots of the papers' figures, drawn by matplotlib (the extra ``figures``)."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from textvae.utils.figures import require_matplotlib, save_figure

Points = Sequence[tuple[float, float]]
"""Points (x, y) of a curve."""


def plot(
    title: str, thin: Mapping[str, Points], bold: Mapping[str, Points], path: Path, x_label: str = "epoch"
) -> None:
    """Draws thin and bold curves into a PNG file, both kinds of a name in one colour.

    Raises:
        UserError: matplotlib is not installed.
    """
    require_matplotlib()
    from matplotlib import colormaps
    from matplotlib.figure import Figure

    names = list(dict.fromkeys([*thin, *bold]))
    figure = Figure(figsize=(9.2, 4.2), dpi=100, layout="constrained")
    axes = figure.subplots()
    axes.set_title(title, fontsize=11)
    axes.set_xlabel(x_label)
    axes.grid(color="0.9")
    axes.spines[["top", "right"]].set_visible(False)
    for number, name in enumerate(names):
        colour = colormaps["tab20" if len(names) > 10 else "tab10"](number)
        for curves, width in ((thin, 0.9), (bold, 2.4)):
            if points := curves.get(name):
                x, y = zip(*points, strict=True)
                # The first curve of a name stands for both in the legend.
                label = name if curves is thin or name not in thin else None
                axes.plot(x, y, color=colour, linewidth=width, label=label)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside right upper", frameon=False, fontsize=9)
    save_figure(figure, path, {"model": ", ".join(names), "title": title})
