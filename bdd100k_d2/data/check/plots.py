"""Statistics as images."""

import os
from collections.abc import Iterable, Iterator, Sequence
from itertools import cycle
from pathlib import Path

import msgspec
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from ...atomic import atomic_path, write_atomic
from ...tasks import TASKS, Task
from ..labels import HEIGHT, WIDTH
from ..slices import FRAME_ATTRIBUTES
from .statistics import COCO_EDGES, SIZE_EDGES, BoxStatistics, Statistics

_SPLIT_COLORS = {"train": "#2563a8", "val": "#c2571a"}
# Of data sets beyond the first of each split.
_MORE_COLORS = ("#3f8f5b", "#8250a8", "#b59a1f", "#4aa3a3", "#a84a68")
# More classes than that have no place in a legend above the bars.
_MOST_IN_LEGEND = 14
_INK = "#3c4450"


def write_statistics(statistics: Statistics, folder: str | os.PathLike[str]) -> list[Path]:
    """Writes ``statistics.json`` and images into ``folder``, and returns the files; OutputError where that fails."""
    folder = Path(folder)
    paths = [folder / "statistics.json"]
    write_atomic(paths[0], msgspec.json.format(msgspec.json.encode(statistics.to_json()), indent=1) + b"\n")
    for name, figure in _figures(statistics):
        paths.append(folder / f"{name}.png")
        with atomic_path(paths[-1]) as temporary:
            figure.savefig(temporary, dpi=110, format="png")
    return paths


def _figures(statistics: Statistics) -> Iterator[tuple[str, Figure]]:
    boxes = {split: one for split, one in statistics.boxes.items() if one.classes.any()}
    for suffix, splits in _by_classes({split: one.task for split, one in boxes.items()}):
        counts = {split: boxes[split].classes for split in splits}
        yield f"boxes_per_class{suffix}", _bars("Boxes per class", boxes[splits[0]].task.names, counts, "boxes")
    if boxes:
        yield "box_sizes", _sizes(boxes)
        yield "box_positions", _positions(boxes)
        yield "boxes_per_frame", _boxes_per_frame(boxes)
    if any(counts for one in statistics.boxes.values() for counts in one.attributes.values()):
        yield "attributes", _attributes(statistics.boxes)
    for task in dict.fromkeys(task for task, _ in statistics.content):
        what = "instances" if TASKS[task].form == "bitmasks" else "pixels"
        of_task = {split: statistics.task_of(task, split) for of, split in statistics.content if of == task}
        for suffix, splits in _by_classes(of_task):
            counts = {split: statistics.content[task, split] for split in splits}
            title = f"{task}: {what} per class"
            yield f"{task}_{what}_per_class{suffix}", _bars(title, of_task[splits[0]].names, counts, what)


def _by_classes(tasks: dict[str, Task]) -> Iterator[tuple[str, list[str]]]:
    """The splits that have the same classes, and what the names of their files end in where there are others."""
    names = dict.fromkeys(task.names for task in tasks.values())
    for each in names:
        splits = [split for split, task in tasks.items() if task.names == each]
        yield "" if len(names) == 1 else f"_{splits[0]}", splits


def _colors(splits: Iterable[str]) -> dict[str, str]:
    """The colour of each split, that of training or validation where it ends so and no other one has it."""
    colors: dict[str, str] = {}
    more = cycle(_MORE_COLORS)
    for split in splits:
        color = _SPLIT_COLORS.get(split.rpartition("_")[2])
        colors[split] = next(more) if color is None or color in colors.values() else color
    return colors


def _bars(title: str, labels: Sequence[str], counts: dict[str, np.ndarray], what: str) -> Figure:
    figure = Figure(figsize=(9, 1.4 + 0.3 * len(labels) * max(1, 0.6 * len(counts))), layout="constrained")
    _draw_bars(figure.add_subplot(), title, labels, counts, f"{what} (logarithmic)")
    return figure


def _draw_bars(axes: Axes, title: str, labels: Sequence[str], counts: dict[str, np.ndarray], x_label: str) -> None:
    """One row per label, one bar per split, with the number and the share of the split written beside."""
    height = 0.8 / len(counts)
    colors = _colors(counts)
    for i, (split, values) in enumerate(counts.items()):
        places = np.arange(len(labels)) + (i - (len(counts) - 1) / 2) * height
        axes.barh(places, values, height * 0.92, color=colors[split], label=split)
        total = max(values.sum(), 1)
        for place, value in zip(places, values.tolist(), strict=True):
            share = 100 * value / total
            text = f" {value:,} ({share:.{0 if share >= 10 else 1 if share >= 0.1 else 3}f} %)" if value else " 0"
            axes.text(max(value, 0.6), place, text, va="center", fontsize=7.5, color=_INK)
    top = max((values.max() for values in counts.values()), default=1)
    axes.set_xscale("log")
    axes.set_xlim(0.6, max(top, 1) ** 1.25 * 3)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.set_yticks(range(len(labels)), labels)
    axes.set_ylim(len(labels) - 0.4, -0.6)
    axes.legend(loc="lower right", frameon=False)
    _label(axes, title, x_label)


def _sizes(boxes: dict[str, BoxStatistics]) -> Figure:
    """One panel per split: boxes by the root of their area, stacked by class."""
    figure = Figure(figsize=(9, 3.4 * len(boxes)), layout="constrained")
    for axes, (split, one) in zip(np.atleast_1d(figure.subplots(len(boxes), 1)), boxes.items(), strict=True):
        below = np.zeros(one.sizes.shape[1])
        few = one.task.num_classes <= _MOST_IN_LEGEND
        rows = [*zip(one.task.names, one.task.colors, one.sizes, strict=True)] if few else [_all_classes(one)]
        for label, color, counts in rows:
            red, green, blue = (channel / 255 for channel in color)
            style = {"color": (red, green, blue), "label": label, "edgecolor": "white", "lw": 0.3}
            axes.bar(SIZE_EDGES[:-1], counts, np.diff(SIZE_EDGES), below, align="edge", **style)
            below += counts
        shares = 100 * one.small_medium_large / one.small_medium_large.sum()
        for edge in COCO_EDGES:
            axes.axvline(edge, color=_INK, ls="--", lw=0.8)
        axes.set_xscale("log", base=2)
        axes.set_xlim(2, SIZE_EDGES[-1])
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        axes.legend(frameon=False, fontsize=8, loc="upper right")
        sizes = "{:.0f} % small, {:.0f} % medium, {:.0f} % large (COCO's)".format(*shares)
        _label(axes, f"Box sizes, {split}: {sizes}", "square root of the area, pixels", "boxes")
    return figure


def _all_classes(one: BoxStatistics) -> tuple[str, tuple[int, int, int], np.ndarray]:
    """All classes as one, where they are too many to be told apart."""
    return f"all {one.task.num_classes} classes", (0x25, 0x63, 0xA8), one.sizes.sum(axis=0)


def _positions(boxes: dict[str, BoxStatistics]) -> Figure:
    figure = Figure(figsize=(7 * len(boxes), 3.7), layout="constrained")
    for axes, (split, one) in zip(np.atleast_1d(figure.subplots(1, len(boxes))), boxes.items(), strict=True):
        # Of images of any size it is the shares that say where something is.
        ends = (WIDTH, HEIGHT) if one.is_released else (1, 1)
        extent = (0, ends[0], ends[1], 0)
        image = axes.imshow(one.places / max(one.frames, 1), cmap="magma", extent=extent, vmin=0)
        axes.set_aspect(HEIGHT / WIDTH * ends[0] / ends[1])
        axes.set_title(f"Boxes that cover a place, {split}", loc="left", color=_INK)
        unit = "pixels" if one.is_released else "share of the image"
        axes.set(xlabel=f"x, {unit}", ylabel=f"y, {unit}")
        figure.colorbar(image, ax=axes, label="boxes per frame", shrink=0.75)
    return figure


def _boxes_per_frame(boxes: dict[str, BoxStatistics]) -> Figure:
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    axes = figure.add_subplot()
    colors = _colors(boxes)
    for split, one in boxes.items():
        mean = one.classes.sum() / max(one.frames, 1)
        share = 100 * one.boxes_a_frame / max(one.frames, 1)
        axes.step(range(101), share, where="mid", color=colors[split], label=f"{split}, mean {mean:.1f}")
    axes.set_xlim(0, 100)
    axes.set_ylim(0)
    axes.legend(frameon=False)
    _label(axes, "Boxes per frame", "boxes in a frame (100 and more at the end)", "frames, percent")
    return figure


def _attributes(boxes: dict[str, BoxStatistics]) -> Figure:
    figure = Figure(figsize=(9, 10), layout="constrained")
    heights = [len(values) for values in FRAME_ATTRIBUTES.values()]
    panels = figure.subplots(len(heights), 1, height_ratios=heights)
    for axes, (attribute, values) in zip(panels, FRAME_ATTRIBUTES.items(), strict=True):
        counts = {
            split: np.array([one.attributes[attribute].get(value, 0) for value in values])
            for split, one in boxes.items()
        }
        _draw_bars(axes, attribute, values, counts, "frames (logarithmic)")
    return figure


def _label(axes: Axes, title: str, x_label: str, y_label: str = "") -> None:
    axes.set_title(title, loc="left", color=_INK)
    axes.set(xlabel=x_label, ylabel=y_label)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8.5)
