"""What the page says of two runs: their differences, which of these are noise, and the tables as files for a paper."""

import math
from collections.abc import Iterable, Sequence
from pathlib import Path

from ...atomic import write_atomic
from ..analysis.differences import BETTER, EQUAL, NOISE, UNKNOWN, WORSE, ComparedPart, Comparison, Difference
from ..analysis.paired_interval import LEAST_FRAMES
from ..comparison_files import as_csv, as_markdown, main_metric
from .tables import Cell, Column, FileLink, Section, SectionPart, Table, TableRow, interval, judged, number, percent

BESIDE_EACH_SCORE = (
    "Beside each score stands its difference to the baseline, in colour where it is more than chance; rest the pointer "
    "on it for its interval. Differences without an interval have no colour."
)

_CSV, _MARKDOWN = "assets/comparison.csv", "assets/comparison.md"
_VERDICTS = {verdict: place for place, verdict in enumerate((BETTER, WORSE, NOISE, EQUAL, UNKNOWN))}


def comparison_sections(comparison: Comparison | None, page: Path) -> list[Section]:
    """The section on two runs, none without a baseline; the files are written to ``page/assets``.

    Raises:
        OutputError: a file cannot be written.
    """
    if comparison is None:
        return []
    write_atomic(page / _CSV, as_csv(comparison))
    write_atomic(page / _MARKDOWN, as_markdown(comparison))
    overall, main = comparison.all, main_metric(comparison.task)
    rows = [
        (f"{part.attribute}: {part.value}", part.num_frames, part.overall[main])
        for part in comparison.parts
        if part.value
    ]
    parts = [
        SectionPart("table", _table("comparison-overall", overall.overall.items()), "Over all classes"),
        SectionPart("table", _class_table(overall, main.removeprefix("m")), f"{main.removeprefix('m')} of each class"),
    ]
    if rows:
        parts.append(SectionPart("table", _slice_table(rows), f"{main} of each slice"))
    links = [FileLink(_CSV, "all differences as CSV"), FileLink(_MARKDOWN, "these tables as Markdown")]
    parts.append(SectionPart("files", links, notes=_notes(comparison)))
    return [Section("comparison", "Against the baseline", parts, True)]


def _notes(comparison: Comparison) -> list[str]:
    if not comparison.rounds:
        return ["No intervals were computed, so nothing is said of what is noise."]
    main = main_metric(comparison.task).removeprefix("m")
    rare = [
        name for name, one in comparison.all.classes[main].items() if one.verdict == UNKNOWN and not math.isnan(one.run)
    ]
    in_means = (
        f" The means over classes have {', '.join(rare)} in them all the same, and vary with these; a mean of which "
        "such classes are more than half, or make more than half of what differs, is unknown too."
        if rare
        else ""
    )
    shown = [one for part in comparison.parts for one in part.flat().values() if one.verdict != UNKNOWN]
    marked = sum(one.verdict in (BETTER, WORSE) for one in shown)
    return [
        f"95 % intervals of the differences: {comparison.rounds:,} times, {comparison.num_frames:,} frames were drawn "
        f"with replacement from the {comparison.num_frames:,} frames, and both runs were scored on the same draw. "
        "A difference is noise where 0 is in its interval: other frames of the same kind could well show none, or the "
        "opposite. The interval knows nothing of other trainings of the same recipe; for that, train several seeds "
        f"(tools/report.py runs). What is in fewer than {LEAST_FRAMES} frames is unknown.{in_means}",
        f"Of {len(shown):,} differences in the files {marked:,} are better or worse. If the runs were equally good, "
        f"about {round(0.05 * len(shown)):,} would be so by chance: do not pick one of many and call it a result.",
    ]


def _cells(difference: Difference) -> list[Cell]:
    change = judged(difference)
    verdict = difference.verdict
    ends = interval(difference)
    return [
        percent(difference.run)._replace(share=None),
        percent(difference.baseline)._replace(share=None),
        Cell(None) if change is None else Cell(difference.value, "", interval=ends, change=change),
        Cell(_VERDICTS[verdict], verdict),
    ]


_COLUMNS = (
    Column("Run", "percent"),
    Column("Baseline", "percent"),
    Column("Difference", "percentage points, and the 95 % interval"),
    Column("Verdict", "noise where 0 is in the interval"),
)


def _table(key: str, differences: Iterable[tuple[str, Difference]], title: str = "Score") -> Table:
    rows = [TableRow(name, _cells(difference)) for name, difference in differences]
    return Table([Column(title), *_COLUMNS], rows, key=key)


def _class_table(part: ComparedPart, metric: str) -> Table:
    return _table("comparison-classes", part.classes[metric].items(), "Class")


def _slice_table(rows: Sequence[tuple[str, int, Difference]]) -> Table:
    cells = [TableRow(name, [number(count), *_cells(difference)]) for name, count, difference in rows]
    return Table([Column("Slice"), Column("Frames"), *_COLUMNS], cells, key="comparison-slices")
