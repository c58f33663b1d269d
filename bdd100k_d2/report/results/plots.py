"""Plots of the report as SVG files, each for a light and for a dark page."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import NullLocator, StrMethodFormatter

from ...atomic import write_atomic
from ..analysis.detection_records import PrecisionRecall, SizeHistogram
from ..analysis.records import Estimate
from ..figure import THEMES, Theme, draw_svg, recolored

_WIDTH, _HEIGHT = 5.4, 3.9
_COCO_LIMITS = (32, 96)


@dataclass(frozen=True)
class Image:
    """A plot: file names relative to the page, and what it shows in words."""

    light: str
    dark: str
    alt: str


@dataclass(frozen=True)
class Plots:
    """A figure's images, one for each choice; width and height in pixels."""

    title: str
    images: Sequence[Image]
    width: int
    height: int


@dataclass(frozen=True)
class PlotGroup:
    """Figures that show the same choice."""

    key: str
    choices: Sequence[str]
    figures: Sequence[Plots]


def write_plot(page: Path, name: str, alt: str, draw: Callable[[Axes, Theme], None], height: float = _HEIGHT) -> Image:
    """Writes a plot ``height`` inches high to ``page/assets`` for every theme."""
    light = draw_svg(THEMES["light"], _WIDTH, height, lambda axes: draw(axes, THEMES["light"]))
    image = Image(f"assets/{name}-light.svg", f"assets/{name}-dark.svg", alt)
    write_atomic(page / image.light, light)
    write_atomic(page / image.dark, recolored(light, THEMES["light"], THEMES["dark"]))
    return image


def as_figure(title: str, images: Sequence[Image], height: float = _HEIGHT) -> Plots:
    """A figure of plots that :func:`write_plot` wrote with this height."""
    return Plots(title, images, round(_WIDTH * 96), round(height * 96))


def draw_precision_recall(
    axes: Axes, theme: Theme, curves: Sequence[PrecisionRecall], baseline: Sequence[PrecisionRecall]
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
    if curves:
        many = len(curves) > 3
        place = {"loc": "center left", "bbox_to_anchor": (1.0, 0.5)} if many else {"loc": "lower left"}
        axes.legend(frameon=False, labelcolor=theme.ink, fontsize=9, handlelength=1.4, **place)


def draw_sizes(axes: Axes, theme: Theme, sizes: SizeHistogram) -> None:
    """Draws the found and the missed boxes of each size as one bar."""
    left, width = sizes.edges[:-1], np.diff(sizes.edges)
    for bottom, values, color, label in (
        (0, sizes.found, theme.lines[0], "found"),
        (sizes.found, sizes.missed, theme.lines[1], "not found"),
    ):
        axes.bar(left, values, width * 0.94, bottom, align="edge", color=color, label=label)
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
    axes.legend(frameon=False, labelcolor=theme.ink, fontsize=9, handlelength=1.0)


def draw_bars(
    axes: Axes, theme: Theme, names: Sequence[str], values: Sequence[Estimate], baseline: Sequence[float | None]
) -> None:
    """Draws a bar a class with its interval, from the top down, and a mark where the baseline is."""
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
