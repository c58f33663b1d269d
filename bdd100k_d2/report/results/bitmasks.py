"""What the page says of instances and segments."""

from collections.abc import Mapping
from pathlib import Path

from ...drawing.draw import Color
from ..analysis.bitmasks import BitmaskAnalysis
from ..analysis.differences import Comparison
from .comparison import BESIDE_EACH_SCORE, comparison_sections
from .tables import (
    Column,
    Content,
    Section,
    SectionPart,
    Table,
    TableRow,
    estimate,
    headline,
    slice_parts,
    unofficial_notes,
)


def bitmask_content(
    analysis: BitmaskAnalysis, baseline: BitmaskAnalysis | None, comparison: Comparison | None, page: Path
) -> Content:
    """Facts, scores and sections of the page; files are written to ``page/assets``.

    Raises:
        OutputError: a file cannot be written.
    """
    colors = {category.name: category.color for category in analysis.task.categories}
    known = _meanings(analysis)
    meanings = {name: known[name.partition("/")[0]] for name in analysis.headline}
    differences = comparison.all.overall if comparison else {}
    slices = slice_parts(analysis.slices, baseline.slices if baseline else {}, comparison, colors)
    return {
        "facts": [
            ("Ground truth", str(analysis.truth)),
            ("Predictions", str(analysis.predicted)),
            *([("Baseline", str(baseline.predicted))] if baseline else []),
            ("Frames", f"{analysis.num_frames:,}"),
        ],
        "headline": headline(analysis.headline, differences, meanings),
        "score_notes": [*unofficial_notes(analysis.task), analysis.bootstrap],
        "sections": [
            *comparison_sections(comparison, page),
            Section("classes", "Classes", [_class_table(analysis, comparison, colors)]),
            Section("slices", "Slices", slices),
        ],
    }


def _meanings(analysis: BitmaskAnalysis) -> dict[str, str]:
    return {metric.key: metric.meaning for metric in analysis.task.metrics}


def _class_table(analysis: BitmaskAnalysis, comparison: Comparison | None, colors: Mapping[str, Color]) -> SectionPart:
    meanings, of = _meanings(analysis), comparison.all.classes if comparison else {}
    rows = [
        TableRow(
            name,
            [estimate(one[name], of.get(metric, {}).get(name)) for metric, one in analysis.classes.items()],
            colors[name],
        )
        for name in analysis.task.names
    ]
    overall = comparison.all.overall if comparison else {}
    foot = TableRow("Overall", [estimate(analysis.headline[name], overall.get(name)) for name in analysis.classes])
    columns = [Column("Class"), *(Column(metric, meanings[metric]) for metric in analysis.classes)]
    notes = [
        "Scores in percent. A class that is nowhere has none (-) and is left out of the mean. "
        "Click a column's title to sort by it."
    ]
    if comparison:
        notes.append(BESIDE_EACH_SCORE)
    return SectionPart("table", Table(columns, rows, foot, "class-table"), notes=notes)
