"""The plots of the pages: SVG files, each for a light and for a dark ground.

Matplotlib is imported when something is drawn: it takes half a second.
"""

import io
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..atomic import write_atomic
from .analysis.detection_records import PrecisionRecall, SizeHistogram
from .analysis.records import Estimate
from .run import History

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COCO_LIMITS = (32, 96)


class Theme(NamedTuple):
    """Colours of text, of the grid, and of the lines in their order. The ground is transparent."""

    ink: str
    grid: str
    lines: tuple[str, ...]


_LIGHT = ("#2563a8", "#c2571a", "#2e7d4f", "#8a4fa3", "#b3912a", "#5a6675", "#c23b6b", "#1f8f93", "#7a4a2b", "#4a4fc4")
_DARK = ("#6aa9e9", "#f0935a", "#67bd8b", "#c490da", "#dcbb5c", "#97a4b4", "#f08fb1", "#5fc9cc", "#c79a78", "#9aa0ff")
THEMES = {"light": Theme("#3c4450", "#e3e6ea", _LIGHT), "dark": Theme("#b9c2cd", "#333b45", _DARK)}


class ThemedPlot(NamedTuple):
    """A plot that was written: file names relative to the page, and what it shows in words."""

    light: str
    dark: str
    alt: str


def write_plot(
    page: Path, name: str, alt: str, size: tuple[float, float], draw: Callable[["Axes", Theme], None]
) -> ThemedPlot:
    """Writes a plot of ``size`` inches (width, height) to ``page/assets`` for both themes.

    Raises:
        OutputError: a file cannot be written.
    """
    light, dark = THEMES["light"], THEMES["dark"]
    svg = draw_svg(light, *size, lambda axes: draw(axes, light))
    written = ThemedPlot(f"assets/{name}-light.svg", f"assets/{name}-dark.svg", alt)
    write_atomic(page / written.light, svg)
    write_atomic(page / written.dark, recolored(svg, light, dark))
    return written


def recolored(svg: str, old: Theme, new: Theme) -> str:
    """The SVG of a plot in another theme than the one it was drawn with, much faster than it is drawn again."""
    colors = dict(zip((old.ink, old.grid, *old.lines), (new.ink, new.grid, *new.lines), strict=True))
    return re.sub("|".join(colors), lambda found: colors[found[0]], svg)


def draw_svg(theme: Theme, width: float, height: float, draw: Callable[["Axes"], object]) -> str:
    """Makes a plot of ``width`` x ``height`` inches (of 72 points), and returns always the same SVG for the same plot.

    ``draw`` puts lines, labels and legend on the axes.
    """
    import matplotlib
    from matplotlib.figure import Figure

    # matplotlib's type of a dict of settings lists every key that there is.
    settings: dict[Any, Any] = {"svg.hashsalt": "bdd100k_d2", "font.family": "sans-serif", "font.size": 10.5}
    # Names out of files are no formulas.
    settings["text.parse_math"] = False
    with matplotlib.rc_context(settings | {"text.color": theme.ink}):
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


class Line(NamedTuple):
    """A curve: its name and the (N,) values over (N,) iterations."""

    name: str
    at: np.ndarray
    values: np.ndarray


class Panel(NamedTuple):
    """A plot of a training. Losses are shown raw and smoothed, ``scores`` as points with the last value beside them."""

    name: str
    title: str
    y_label: str
    lines: tuple[Line, ...]
    scores: bool = False


def panels(history: History, score_keys: Sequence[tuple[str, str]] = ()) -> list[Panel]:
    """The plots that a training log gives: total loss, its terms if there are several, scores of the evaluations.

    ``score_keys`` are pairs of a key of the log and the name that the plot calls it.
    """

    def lines(keys: Sequence[tuple[str, str]]) -> tuple[Line, ...]:
        every = (Line(name, *history.series(key)) for key, name in keys)
        return tuple(line for line in every if len(line.at))

    terms = lines([(key, key.removeprefix("loss_")) for key in history.names() if key.startswith("loss_")])
    scores = lines(score_keys)
    candidates = (
        Panel("loss", "Total loss", "loss", lines([("total_loss", "total")])),
        Panel("terms", "Terms of the loss", "loss", terms if len(terms) > 1 else ()),
        # A single evaluation is no curve, and its scores stand beside the plots.
        Panel("scores", "Validation scores", "percent", scores if any(len(s.at) > 1 for s in scores) else (), True),
    )
    return [panel for panel in candidates if panel.lines]


def smooth(values: np.ndarray) -> np.ndarray:
    """A centred running mean over an eighth of the (N,) values; the window shrinks towards both ends."""
    reach = len(values) // 16
    sums = np.concatenate([[0.0], np.cumsum(values, dtype=np.float64)])
    index = np.arange(len(values))
    # The same reach on both sides, or the mean would lag behind a falling loss at the ends.
    side = np.minimum(reach, np.minimum(index, len(values) - 1 - index))
    return (sums[index + side + 1] - sums[index - side]) / (2 * side + 1)


def draw_panel(axes: "Axes", theme: Theme, panel: Panel, last_iteration: int) -> None:
    """Draws a plot of a training over iterations 0 to ``last_iteration``."""
    from matplotlib.ticker import MaxNLocator, StrMethodFormatter

    for number, line in enumerate(panel.lines):
        color = theme.lines[number % len(theme.lines)]
        if panel.scores:
            axes.plot(line.at, line.values, "o-", color=color, linewidth=1.2, markersize=5, label=line.name)
            end = (line.at[-1], line.values[-1])
            axes.annotate(f"{end[1]:.1f}", end, (-4, 6), textcoords="offset points", ha="right", color=color)
        else:
            axes.plot(line.at, line.values, color=color, linewidth=0.7, alpha=0.5)
            axes.plot(line.at, smooth(line.values), color=color, linewidth=1.8, label=line.name)
    top = max(line.values.max() for line in panel.lines)
    axes.set_ylim(0, top * (1.2 if panel.scores else 1.05) or 1)
    axes.set_xlim(0, max(last_iteration, 1) * 1.02)
    axes.set_xlabel("iteration")
    axes.set_ylabel(panel.y_label)
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(5))
    if len(panel.lines) > 1:
        _legend_above(axes, theme)


def _legend_above(axes: "Axes", theme: Theme) -> None:
    """Puts the legend above the axes, where no curve is, in rows of three."""
    style: dict[str, Any] = {"frameon": False, "labelcolor": theme.ink, "fontsize": 9.5, "handlelength": 1.4}
    axes.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=3, **style)


def draw_precision_recall(
    axes: "Axes", theme: Theme, curves: Sequence[PrecisionRecall], baseline: Sequence[PrecisionRecall]
) -> None:
    """Draws curves in the theme's colours, and those of the baseline dashed."""
    for number, curve in enumerate(curves):
        color = theme.lines[number % len(theme.lines)]
        axes.plot(curve.recall, curve.precision, color=color, linewidth=1.5, label=f"{curve.name} {curve.ap:.1f}")
        for other in baseline:
            if other.name == curve.name:
                label = f"baseline {other.ap:.1f}" if len(curves) == 1 else None
                axes.plot(other.recall, other.precision, color=color, linewidth=1.2, linestyle=(0, (4, 2)), label=label)
    axes.set_xlim(0, 101)
    axes.set_ylim(0, 101)
    axes.set_xlabel("recall")
    axes.set_ylabel("precision")
    if len(curves) > 3:
        style: dict[str, Any] = {"frameon": False, "labelcolor": theme.ink, "fontsize": 9, "handlelength": 1.4}
        axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), **style)
    elif curves:
        _legend_above(axes, theme)


def draw_sizes(axes: "Axes", theme: Theme, sizes: SizeHistogram) -> None:
    """Draws the found and the missed boxes of each size as one bar."""
    from matplotlib.ticker import NullLocator, StrMethodFormatter

    left, width = sizes.edges[:-1], 0.94 * np.diff(sizes.edges)
    axes.bar(left, sizes.found, width, 0, align="edge", color=theme.lines[0], label="found")
    axes.bar(left, sizes.missed, width, sizes.found, align="edge", color=theme.lines[1], label="not found")
    axes.set_xscale("log")
    for limit in _COCO_LIMITS:
        axes.axvline(limit, color=theme.ink, linewidth=0.8, linestyle=(0, (2, 3)))
    ticks = [4, 8, 16, 32, 64, 96, 192, 384, 768]
    axes.set_xlim(sizes.edges[0], sizes.edges[-1])
    axes.set_xticks([tick for tick in ticks if sizes.edges[0] <= tick <= sizes.edges[-1]])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.grid(visible=False, axis="x")
    axes.set_xlabel("square root of the area, pixels")
    axes.set_ylabel("boxes")
    _legend_above(axes, theme)


def draw_bars(
    axes: "Axes", theme: Theme, names: Sequence[str], values: Sequence[Estimate], baseline: Sequence[float | None]
) -> None:
    """Draws one bar per class with its interval, from the top down, and a mark where the baseline is."""
    places = np.arange(len(names))[::-1]
    axes.barh(places, [value.value for value in values], 0.68, color=theme.lines[0])
    for place, value, old in zip(places, values, baseline, strict=True):
        end = value.high if np.isfinite(value.high) else value.value
        if np.isfinite(value.low):
            axes.plot([value.low, value.high], [place, place], color=theme.ink, linewidth=1.3)
        if old is not None and np.isfinite(old):
            axes.plot([old, old], [place - 0.42, place + 0.42], color=theme.lines[1], linewidth=2)
            end = max(end, old)
        text = f"{value.value:.1f}"
        axes.annotate(text, (end, place), (5, 0), textcoords="offset points", va="center", fontsize=9)
    axes.set_yticks(places, names)
    axes.set_xlim(0, 112)
    axes.set_ylim(-0.6, len(names) - 0.4)
    axes.set_xticks(range(0, 101, 20))
    axes.grid(visible=False, axis="y")
    axes.set_xlabel("IoU, percent")
