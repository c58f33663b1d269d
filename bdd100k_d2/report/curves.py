"""Plots of a training run as SVG, for a light and a dark page."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, StrMethodFormatter

from .figure import Theme, draw_svg
from .run import History


class Line(NamedTuple):
    """A curve: its name and the (N,) values over (N,) iterations."""

    name: str
    at: np.ndarray
    values: np.ndarray


class Panel(NamedTuple):
    """A plot. Losses are shown raw and smoothed, ``scores`` as points with their last value written beside."""

    name: str
    title: str
    y_label: str
    lines: tuple[Line, ...]
    scores: bool = False


def panels(history: History, score_keys: Sequence[tuple[str, str]] = ()) -> list[Panel]:
    """The plots that a training log gives: total loss, its terms if there are several, scores of the evaluations.

    Args:
        history: the training log.
        score_keys: pairs of a key of the log and the name that the plot calls it.
    """
    terms = tuple(_line(history, key, key.removeprefix("loss_")) for key in history.names() if key.startswith("loss_"))
    scores = tuple(_line(history, key, name) for key, name in score_keys)
    candidates = (
        Panel("loss", "Total loss", "loss", (_line(history, "total_loss", "total"),)),
        Panel("terms", "Terms of the loss", "loss", terms if len(terms) > 1 else ()),
        Panel("scores", "Validation scores", "percent", scores, scores=True),
    )
    shown = (panel._replace(lines=tuple(line for line in panel.lines if len(line.at))) for panel in candidates)
    return [panel for panel in shown if panel.lines]


def smooth(values: np.ndarray) -> np.ndarray:
    """A centred running mean over an eighth of the (N,) values; the window shrinks towards both ends."""
    reach = len(values) // 16
    sums = np.concatenate([[0.0], np.cumsum(values, dtype=np.float64)])
    index = np.arange(len(values))
    # The same reach on both sides, or the mean would lag behind a falling loss at the ends.
    side = np.minimum(reach, np.minimum(index, len(values) - 1 - index))
    return (sums[index + side + 1] - sums[index - side]) / (2 * side + 1)


def plot(panel: Panel, theme: Theme, last_iteration: int) -> str:
    """Draws ``panel`` over iterations 0 to ``last_iteration`` and returns the SVG, always the same text."""

    def draw(axes: Axes) -> None:
        for number, line in enumerate(panel.lines):
            color = theme.lines[number % len(theme.lines)]
            if panel.scores:
                axes.plot(line.at, line.values, "o-", color=color, linewidth=1.2, markersize=5, label=line.name)
                offset = (-4, 6)
                end = (line.at[-1], line.values[-1])
                axes.annotate(f"{end[1]:.1f}", end, offset, textcoords="offset points", ha="right", color=color)
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
            axes.legend(frameon=False, labelcolor=theme.ink, ncols=2)

    return draw_svg(theme, 5.0, 3.1, draw)


def _line(history: History, key: str, name: str) -> Line:
    return Line(name, *history.series(key))
