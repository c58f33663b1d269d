"""How every plot of a page looks, as SVG on a light and on a dark ground."""

import io
import re
from collections.abc import Callable
from typing import NamedTuple

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure


class Theme(NamedTuple):
    """Colours of text, of the grid, and of the lines in their order. The ground is transparent."""

    ink: str
    grid: str
    lines: tuple[str, ...]


_LIGHT = ("#2563a8", "#c2571a", "#2e7d4f", "#8a4fa3", "#b3912a", "#5a6675", "#c23b6b", "#1f8f93", "#7a4a2b", "#4a4fc4")
_DARK = ("#6aa9e9", "#f0935a", "#67bd8b", "#c490da", "#dcbb5c", "#97a4b4", "#f08fb1", "#5fc9cc", "#c79a78", "#9aa0ff")
THEMES = {"light": Theme("#3c4450", "#e3e6ea", _LIGHT), "dark": Theme("#b9c2cd", "#333b45", _DARK)}


def recolored(svg: str, old: Theme, new: Theme) -> str:
    """The SVG of a plot in another theme than the one it was drawn with, much faster than it is drawn again."""
    colors = dict(zip((old.ink, old.grid, *old.lines), (new.ink, new.grid, *new.lines), strict=True))
    return re.sub("|".join(colors), lambda found: colors[found[0]], svg)


def draw_svg(theme: Theme, width: float, height: float, draw: Callable[[Axes], None]) -> str:
    """Makes a plot of ``width`` x ``height`` inches and returns the SVG, for the same plot always the same text.

    Args:
        theme: its colours.
        width: in inches of 72 points.
        height: likewise.
        draw: puts lines, labels and legend on the axes.
    """
    settings = {"svg.hashsalt": "bdd100k_d2", "font.family": "sans-serif", "font.size": 10.5, "text.color": theme.ink}
    with matplotlib.rc_context(settings):
        figure = Figure(figsize=(width, height), layout="constrained")
        axes = figure.subplots()
        axes.tick_params(colors=theme.ink, which="both", length=0)
        axes.xaxis.label.set_color(theme.ink)
        axes.yaxis.label.set_color(theme.ink)
        axes.grid(color=theme.grid, linewidth=0.8)
        axes.set_axisbelow(True)
        for spine in axes.spines.values():
            spine.set_visible(False)
        draw(axes)
        text = io.StringIO()
        # Without a date the file does not change from one time to the next.
        figure.savefig(text, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return text.getvalue()
