"""What the page says of masks."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from ...drawing.draw import Color
from ...tasks import Task
from ..analysis.differences import Comparison
from ..analysis.segmentation import SegmentationAnalysis, SegmentationClass
from ..plots import draw_bars, write_plot
from .comparison import BESIDE_EACH_SCORE, comparison_sections
from .tables import (
    Cell,
    Column,
    Content,
    Figure,
    PlotGroup,
    Section,
    SectionPart,
    Table,
    TableRow,
    estimate,
    headline,
    matrix,
    number,
    percent,
    slice_parts,
    unofficial_notes,
)

_OTHER_MEANINGS = {
    "Recall": "right pixels over the pixels of the class",
    "IoU-strict": "IoU with background as a third class, which officially is not scored",
}


def _meanings(task: Task) -> dict[str, str]:
    return {metric.key: metric.meaning for metric in task.metrics} | _OTHER_MEANINGS


def segmentation_content(
    analysis: SegmentationAnalysis,
    baseline: SegmentationAnalysis | None,
    comparison: Comparison | None,
    page: Path,
) -> Content:
    """Facts, scores and sections of the page; the plot is written to ``page/assets``.

    Raises:
        OutputError: the plot cannot be written.
    """
    colors = {category.name: category.color for category in analysis.task.categories}
    pixels, names = analysis.confusion, analysis.task.names
    columns = (*names, "no class") if pixels[:, -1].any() else names
    counts = matrix("confusion-matrix", "pixels", names, columns, pixels[:, : len(columns)].tolist())
    note = "Pixels by true and predicted class. Pixels that the ground truth leaves out (255) are in no cell."
    classes = [_bars(analysis, baseline, page), _class_table(analysis, comparison, colors)]
    known = _meanings(analysis.task)
    meanings = {name: known.get(name) or known[name.removeprefix("m")] for name in analysis.headline}
    differences = comparison.all.overall if comparison else {}
    slices = slice_parts(analysis.slices, baseline.slices if baseline else {}, comparison, colors)
    return {
        "facts": [
            ("Ground truth", str(analysis.truth)),
            ("Predictions", str(analysis.predicted)),
            *([("Baseline", str(baseline.predicted))] if baseline else []),
            ("Frames", f"{analysis.num_frames:,}"),
            ("Scored pixels", f"{pixels.sum():,}"),
        ],
        "headline": headline(analysis.headline, differences, meanings),
        "score_notes": [*unofficial_notes(analysis.task), analysis.bootstrap],
        "sections": [
            *comparison_sections(comparison, page),
            Section("classes", "Classes", classes, True),
            Section("slices", "Slices", slices),
            Section("confusion", "Confusion", [SectionPart("matrix", counts, notes=(note,))]),
        ],
    }


def _bars(analysis: SegmentationAnalysis, baseline: SegmentationAnalysis | None, page: Path) -> SectionPart:
    before = {row.name: row.iou.value for row in baseline.classes} if baseline else {}
    # A class that is nowhere has an official IoU of 0, which a bar would show as a failure.
    rows = [row for row in analysis.classes if row.true_pixels]
    draw = partial(
        draw_bars,
        names=[row.name for row in rows],
        values=[row.iou for row in rows],
        baseline=[before.get(row.name) for row in rows],
    )
    size = (5.4, 0.9 + 0.27 * len(rows))
    plot = write_plot(page, "iou", "IoU of each class", size, draw)
    title = "IoU of each class" + (", and of the baseline as a mark" if baseline else "")
    return SectionPart("plots", PlotGroup("class-plots", ["all"], [Figure(title, [plot], size)]))


def _class_table(
    analysis: SegmentationAnalysis, comparison: Comparison | None, colors: Mapping[str, Color]
) -> SectionPart:
    pixels = max(1, sum(row.true_pixels for row in analysis.classes))
    rows = [TableRow(row.name, _class_cells(row, comparison, pixels), colors[row.name]) for row in analysis.classes]
    meanings = _meanings(analysis.task)
    columns = (
        Column("Class"),
        Column("Frames", "frames with the class in their ground truth"),
        Column("Pixels", "share of the scored pixels of the ground truth, percent"),
        Column("IoU", meanings["IoU"]),
        Column("Precision", meanings["Acc"]),
        Column("Recall", meanings["Recall"]),
    )
    notes = ["Percent. Click a column's title to sort by it."]
    unscored = [row.name for row in analysis.classes if not row.is_scored]
    if unscored:
        notes.append(f"Not in the averages: {', '.join(unscored)}.")
    if comparison:
        notes.append(BESIDE_EACH_SCORE)
    before = comparison.all.overall if comparison else {}
    means = [estimate(analysis.headline[name], before.get(name)) for name in ("mIoU", "mAcc", "mRecall")]
    foot = TableRow("Overall", [number(analysis.num_frames), Cell(100, "100"), *means])
    return SectionPart("table", Table(columns, rows, foot, "class-table"), notes=notes)


def _class_cells(row: SegmentationClass, comparison: Comparison | None, pixels: int) -> list[Cell]:
    metrics = ("IoU", "Acc", "Recall")
    of = {name: comparison.all.classes[name].get(row.name) for name in metrics} if comparison else {}
    share = 100 * row.true_pixels / pixels
    return [
        number(row.frames),
        Cell(share, f"{share:.2f}", title=f"{row.true_pixels:,} pixels"),
        estimate(row.iou, of.get("IoU")) if row.true_pixels else Cell(None),
        percent(row.precision, of.get("Acc")),
        percent(row.recall, of.get("Recall")),
    ]
