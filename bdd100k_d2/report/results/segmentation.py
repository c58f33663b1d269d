"""The sections of the page about masks."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from ...tasks import TASKS
from ..analysis.segmentation_records import SegmentationAnalysis, SegmentationClass, SegmentationFrame
from .compare import Pair
from .plots import PlotGroup, as_figure, draw_bars, write_plot
from .slices import slice_parts
from .tables import Cell, Column, Part, Row, Score, Section, Table, colors_of, estimate, interval, matrix, percent

_MEANINGS = {
    **{metric.key: metric.meaning for metric in TASKS["sem_seg"].metrics},
    "Recall": "right pixels over the pixels of the class",
    "IoU-strict": "IoU with background as a third class, which officially is not scored",
}
_NO_CLASS = "no class"


def facts(analysis: SegmentationAnalysis, baseline: SegmentationAnalysis | None) -> list[tuple[str, str]]:
    """What was compared with what, title and text."""
    return [
        ("Ground truth", str(analysis.truth)),
        ("Predictions", str(analysis.predicted)),
        *([("Baseline", str(baseline.predicted))] if baseline else []),
        ("Frames", f"{analysis.num_frames:,}"),
        ("Scored pixels", f"{int(analysis.confusion.matrix.sum()):,}"),
    ]


def headline(analysis: SegmentationAnalysis, baseline: SegmentationAnalysis | None) -> list[Score]:
    """The scores over all classes."""
    scores = []
    for name, value in analysis.headline.items():
        cell = percent(value.value, None if baseline is None else baseline.headline[name].value)
        meaning = _MEANINGS[name] if name in _MEANINGS else _MEANINGS[name.removeprefix("m")]
        scores.append(Score(name, meaning, cell.text, interval(value), cell.change))
    return scores


def notes(frames: Sequence[Pair[SegmentationFrame]]) -> list[str]:
    """What is to be known of the gallery's masks."""
    missing = sum(run.predicted is None for pair in frames for run in pair.runs)
    have = "has" if missing == 1 else "have"
    return [f"{missing:,} of these frames {have} no prediction; all their pixels count as wrong."] if missing else []


def sections(analysis: SegmentationAnalysis, baseline: SegmentationAnalysis | None, page: Path) -> list[Section]:
    """The sections below the headline; the plot is written to ``page/assets``.

    Raises:
        OutputError: the plot cannot be written.
    """
    colors = colors_of(TASKS[analysis.task].categories)
    confusion = analysis.confusion
    rows, columns = confusion.matrix.tolist(), [*confusion.names, _NO_CLASS]
    if not confusion.matrix[:, -1].any():
        rows, columns = [row[:-1] for row in rows], columns[:-1]
    counts = matrix("confusion-matrix", "pixels", confusion.names, columns, rows)
    note = "Pixels by true and predicted class. Pixels that the ground truth leaves out (255) are in no cell."
    return [
        Section("classes", "Classes", [_bars(analysis, baseline, page), _class_table(analysis, baseline)], True),
        Section("slices", "Slices", slice_parts(analysis.slices, baseline.slices if baseline else {}, colors)),
        Section("confusion", "Confusion", [Part("matrix", counts, notes=(note,))]),
    ]


def _bars(analysis: SegmentationAnalysis, baseline: SegmentationAnalysis | None, page: Path) -> Part:
    before = {row.name: row.iou.value for row in baseline.classes} if baseline else {}
    # A class that is nowhere has an official IoU of 0, which a bar would show as a failure.
    rows = [row for row in analysis.classes if row.true_pixels]
    draw = partial(
        draw_bars,
        names=[row.name for row in rows],
        values=[row.iou for row in rows],
        baseline=[before.get(row.name) for row in rows],
    )
    height = 0.9 + 0.27 * len(rows)
    image = write_plot(page, "iou", "IoU of each class", draw, height)
    title = "IoU of each class" + (", and of the baseline as a mark" if baseline else "")
    return Part("plots", PlotGroup("class-plots", ["all"], [as_figure(title, [image], height)]))


def _class_table(analysis: SegmentationAnalysis, baseline: SegmentationAnalysis | None) -> Part:
    others = {row.name: row for row in baseline.classes} if baseline else {}
    colors = colors_of(TASKS[analysis.task].categories)
    pixels = max(1, sum(row.true_pixels for row in analysis.classes))
    rows = [
        Row(row.name, _class_cells(row, others.get(row.name), pixels), colors[row.name]) for row in analysis.classes
    ]
    columns = (
        Column("Class"),
        Column("Frames", "frames with the class in their ground truth"),
        Column("Pixels", "share of the scored pixels of the ground truth, percent"),
        Column("IoU", _MEANINGS["IoU"]),
        Column("Precision", _MEANINGS["Acc"]),
        Column("Recall", _MEANINGS["Recall"]),
    )
    notes = ["Percent. Click a column's title to sort by it."]
    unscored = [row.name for row in analysis.classes if not row.is_scored]
    if unscored:
        notes.append(f"Not in the averages: {', '.join(unscored)}.")
    if baseline:
        notes.append("Beside each score stands its difference to the baseline.")
    before = baseline.headline if baseline else {}
    means = [estimate(analysis.headline[name], before.get(name)) for name in ("mIoU", "mAcc", "mRecall")]
    foot = Row("Overall", [Cell(analysis.num_frames, f"{analysis.num_frames:,}"), Cell(100, "100"), *means])
    return Part("table", Table(columns, rows, foot, "class-table"), notes=notes)


def _class_cells(row: SegmentationClass, old: SegmentationClass | None, pixels: int) -> list[Cell]:
    share = 100 * row.true_pixels / pixels
    absent = not row.true_pixels
    return [
        Cell(row.frames, f"{row.frames:,}"),
        Cell(share, f"{share:.2f}", title=f"{row.true_pixels:,} pixels"),
        Cell(None) if absent else estimate(row.iou, old and old.iou),
        percent(row.precision, old and old.precision),
        percent(row.recall, old and old.recall),
    ]
