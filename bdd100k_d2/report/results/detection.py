"""What the page says of detections."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from ...data.vintages import Vintage
from ...drawing.draw import Color
from ...tasks import TASKS
from ..analysis.detection_records import ERROR_TYPES, DetectionAnalysis, DetectionClass, PrecisionRecall
from ..analysis.differences import Comparison
from ..plots import ThemedPlot, draw_precision_recall, draw_sizes, write_plot
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
    changed,
    estimate,
    headline,
    matrix,
    number,
    percent,
    slice_parts,
    unofficial_notes,
)

_MEANINGS = {metric.key: metric.meaning for metric in TASKS["det"].metrics}
_TABLE_SCORES = ("AP", "AP50", "AP75", "APs", "APm", "APl", "AR100")
_ERROR_MEANINGS = {
    "classification": "a detection at the place of an object of another class",
    "localisation": "a detection of the right class that is not exactly enough at its place",
    "both": "a detection of a wrong class that is not exactly enough at its place",
    "duplicate": "a further detection of an object that is found already",
    "background": "a detection where there is no object",
    "missed": "an object that no detection finds, and that no error of class or place accounts for",
}
# Labels whose scores differ from those of det_20 by more than the names of the classes.
_NOT_COMPARABLE = {Vintage.LISTS_2018.value, Vintage.PER_IMAGE_2018.value, Vintage.TRACKING.value}
_ALL = "all classes"
_IOUS = (0.5, 0.75)
_PLOT_SIZE = (5.4, 3.9)


def detection_content(
    analysis: DetectionAnalysis, baseline: DetectionAnalysis | None, comparison: Comparison | None, page: Path
) -> Content:
    """Facts, scores and sections of the page; plots are written to ``page/assets``.

    Raises:
        OutputError: a plot cannot be written.
    """
    colors = _colors(analysis)
    names = [*colors, "background"]
    counts = matrix("confusion-matrix", "boxes", names, names, analysis.confusion.tolist())
    note = (
        "Pairs of an object and a detection with IoU of at least 0.50, detections with a score of at least "
        f"{analysis.score_threshold:.2f}, whatever their classes. The column background holds objects that nothing "
        "lies on, the row background detections on nothing."
    )
    differences = comparison.all.overall if comparison else {}
    slices = slice_parts(analysis.slices, baseline.slices if baseline else {}, comparison, colors)
    return {
        "facts": _facts(analysis, baseline),
        "headline": headline(analysis.headline, differences, _MEANINGS),
        "score_notes": _notes(analysis),
        "sections": [
            *comparison_sections(comparison, page),
            Section("classes", "Classes", [_class_table(analysis, comparison)]),
            Section("curves", "Precision, recall and size", [_plots(analysis, baseline, page)]),
            Section("slices", "Slices", slices),
            Section("errors", "Errors", _error_tables(analysis, baseline)),
            Section("confusion", "Confusion", [SectionPart("matrix", counts, notes=(note,))]),
        ],
    }


def _colors(analysis: DetectionAnalysis) -> dict[str, Color]:
    return {category.name: category.color for category in analysis.task.categories}


def _facts(analysis: DetectionAnalysis, baseline: DetectionAnalysis | None) -> list[tuple[str, str]]:
    threshold = f"{analysis.score_threshold:.2f}"
    lines = [
        ("Ground truth", str(analysis.truth)),
        ("Labels", analysis.vintage),
        ("Predictions", str(analysis.predicted)),
        *([("Baseline", str(baseline.predicted))] if baseline else []),
        ("Frames", f"{analysis.num_frames:,}"),
        ("Objects", f"{analysis.num_boxes:,}, and {analysis.num_ignored:,} that are not counted"),
        ("Detections", f"{analysis.num_detections:,}, {_confident(analysis):,} with a score of at least {threshold}"),
    ]
    if analysis.num_without_prediction:
        lines.append(("Frames without detections", f"{analysis.num_without_prediction:,}"))
    return lines


def _confident(analysis: DetectionAnalysis) -> int:
    """The number of detections from the score threshold on."""
    return sum(row.confident for row in analysis.classes)


def _notes(analysis: DetectionAnalysis) -> list[str]:
    lines = [*unofficial_notes(analysis.task), analysis.bootstrap]
    if analysis.task.is_official and analysis.vintage in _NOT_COMPARABLE:
        lines.append(
            f"The labels are of the vintage {analysis.vintage}; published scores are of det_20, and scores of "
            "different labels are not comparable."
        )
    if not analysis.num_detections:
        lines.append("There are no detections: every object is missed.")
    return lines


def _class_table(analysis: DetectionAnalysis, comparison: Comparison | None) -> SectionPart:
    colors = _colors(analysis)
    rows = [TableRow(row.name, _class_cells(row, comparison), colors[row.name]) for row in analysis.classes]
    columns = (
        Column("Class"),
        Column("Objects", "objects in the ground truth that count"),
        Column("Detections", f"detections with a score of at least {analysis.score_threshold:.2f}"),
        *(Column(name, _MEANINGS[name]) for name in _TABLE_SCORES),
    )
    before = comparison.all.overall if comparison else {}
    scores = [estimate(analysis.headline[name], before.get(name)) for name in _TABLE_SCORES]
    foot = TableRow("Overall", [number(analysis.num_boxes), number(_confident(analysis)), *scores])
    notes = [
        "Scores in percent. A class that the ground truth lacks has none (-) and is left out of the mean. Counted are "
        f"detections with a score of at least {analysis.score_threshold:.2f}. Click a column's title to sort by it."
    ]
    if comparison:
        notes.append(BESIDE_EACH_SCORE)
    return SectionPart("table", Table(columns, rows, foot, "class-table"), notes=notes)


def _class_cells(row: DetectionClass, comparison: Comparison | None) -> list[Cell]:
    of = {name: comparison.all.classes[name].get(row.name) for name in _TABLE_SCORES} if comparison else {}
    return [
        number(row.boxes),
        number(row.confident),
        estimate(row.ap, of.get("AP")),
        estimate(row.ap50, of.get("AP50")),
        *(percent(row.toolkit_scores[name], of.get(name)) for name in _TABLE_SCORES[2:]),
    ]


def _plots(analysis: DetectionAnalysis, baseline: DetectionAnalysis | None, page: Path) -> SectionPart:
    names = list(dict.fromkeys(curve.name for curve in analysis.curves))
    figures = []
    for iou in _IOUS:
        curves = [curve for curve in analysis.curves if curve.iou == iou]
        others = [curve for curve in baseline.curves if curve.iou == iou] if baseline else []
        plots = [_curve_plot(page, curves, [], iou, "all")]
        for place, name in enumerate(names):
            mine, before = ([curve for curve in every if curve.name == name] for every in (curves, others))
            plots.append(_curve_plot(page, mine, before, iou, str(place)))
        figures.append(Figure(f"Precision over recall at IoU {iou:.2f}, percent", plots, _PLOT_SIZE))
    sizes = {one.name: one for one in analysis.sizes}
    choices = [_ALL, *names]
    plots = [
        write_plot(page, f"sizes-{place}", f"sizes of {name}", _PLOT_SIZE, partial(draw_sizes, sizes=sizes[name]))
        for place, name in enumerate(choices)
    ]
    threshold = f"IoU 0.50 and score {analysis.score_threshold:.2f}"
    figures.append(Figure(f"Objects by size, found or not at {threshold}", plots, _PLOT_SIZE))
    note = "In the legend: AP at that IoU. The dotted lines at 32 and 96 pixels part small, medium and large objects."
    return SectionPart("plots", PlotGroup("class-plots", choices, figures), notes=(note,))


def _curve_plot(
    page: Path, curves: Sequence[PrecisionRecall], others: Sequence[PrecisionRecall], iou: float, key: str
) -> ThemedPlot:
    of = curves[0].name if len(curves) == 1 else _ALL
    draw = partial(draw_precision_recall, curves=curves, baseline=others)
    alt = f"precision over recall of {of} at IoU {iou:.2f}"
    return write_plot(page, f"curve-{round(100 * iou)}-{key}", alt, _PLOT_SIZE, draw)


def _error_tables(analysis: DetectionAnalysis, baseline: DetectionAnalysis | None) -> list[SectionPart]:
    others = {row.name: row for row in baseline.errors} if baseline else {}
    columns = [Column(name, _ERROR_MEANINGS[name]) for name in ERROR_TYPES]
    counts, costs, colors = [], [], _colors(analysis)
    for row in analysis.errors:
        old = others.get(row.name)
        most = max(row.counts.values(), default=0)
        right = number(row.right)._replace(change=changed(row.right, old and old.right, digits=0))
        counted = [number(row.counts[key], most, old and old.counts[key]) for key in ERROR_TYPES]
        gains = [
            percent(cost)._replace(change=changed(cost, old and old.costs[key], more_is_better=False))
            for key, cost in row.costs.items()
        ]
        counts.append(TableRow(row.name, [right, *counted], colors.get(row.name)))
        costs.append(TableRow(row.name, gains, colors.get(row.name)))
    definitions = "; ".join(f"{name}: {meaning}" for name, meaning in _ERROR_MEANINGS.items())
    how_many = f"{definitions[0].upper()}{definitions[1:]}. Detections with a score of at least "
    what_they_cost = (
        "Percentage points of AP50 that would be gained if all errors of the type, at any score, were mended. "
        "The costs do not add up."
    )
    right_column = Column("right", "detections that find an object")
    count_table = Table([Column("Class"), right_column, *columns], counts[1:], counts[0], "error-table")
    cost_table = Table([Column("Class"), *columns], costs[1:], costs[0], "cost-table")
    return [
        SectionPart("table", count_table, "How many", (f"{how_many}{analysis.score_threshold:.2f}.",)),
        SectionPart("table", cost_table, "What they cost", (what_they_cost,)),
    ]
