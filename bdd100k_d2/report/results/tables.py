"""What the sections of the page hold: tables, whose cells have a text to read and a value to sort by, and matrices."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypedDict

from ...drawing.draw import Color
from ...evaluation.files.slices import Slice
from ...evaluation.own_classes import unofficial_note
from ...evaluation.toolkit_format import flat_scores, summary
from ...tasks import Task
from ..analysis.differences import BETTER, EQUAL, NOISE, UNKNOWN, WORSE, Comparison, Difference
from ..analysis.records import Estimate
from ..plots import ThemedPlot

_TITLES = {"timeofday": "Time of day", "size": "Size of the object"}
# Of all official scores those that a row of a slice shows; the first that it has is shown of each class too.
_SLICE_SCORES = ("AP", "AP50", "AP75", "AR100", "AR", "mIoU", "mAcc", "fIoU", "pAcc", "PQ", "SQ", "RQ")


class Change(NamedTuple):
    """The difference to the baseline, with its sign; neither better nor worse where it rounds to nothing."""

    text: str
    title: str
    better: bool
    worse: bool


class Cell(NamedTuple):
    """A cell of a table.

    Attributes:
        value: to sort by; None where there is none, and the cell shows "-".
        text: to read.
        share: 0 to 100, drawn as a bar; None for no bar.
        interval: below the text.
        change: against the baseline.
        title: shown while the pointer rests on the cell.
    """

    value: float | None
    text: str = "-"
    share: float | None = None
    interval: str = ""
    change: Change | None = None
    title: str = ""


@dataclass(frozen=True)
class MatrixCell:
    """A cell of a confusion matrix; ``share`` is of its row, 0 to 100, and ``kind`` names its style."""

    count: int
    share: float
    text: str
    title: str
    kind: str


class Column(NamedTuple):
    """The title of a column and what it means."""

    name: str
    title: str = ""


class TableRow(NamedTuple):
    """A row with its name and, for a class, its colour."""

    name: str
    cells: Sequence[Cell | MatrixCell]
    color: Color | None = None


class Table(NamedTuple):
    """A table; the first of ``columns`` is that of the rows' names."""

    columns: Sequence[Column]
    rows: Sequence[TableRow]
    foot: TableRow | None = None
    key: str = ""


class Figure(NamedTuple):
    """Plots of ``size`` inches (width, height), one for each choice, of which one is shown."""

    title: str
    images: Sequence[ThemedPlot]
    size: tuple[float, float]


class PlotGroup(NamedTuple):
    """Figures that show the same choice."""

    key: str
    choices: Sequence[str]
    figures: Sequence[Figure]


class Matrix(NamedTuple):
    """A confusion matrix; ``counted`` says what its numbers count."""

    key: str
    counted: str
    columns: Sequence[str]
    rows: Sequence[TableRow]


class FileLink(NamedTuple):
    """A file beside the page, relative to it, and what it is."""

    path: str
    title: str


class SectionPart(NamedTuple):
    """A part of a section, with a heading above and notes below.

    Its kind is "table", "plots", "matrix", "files" to take away, or a "note" alone.
    """

    kind: str
    content: Table | PlotGroup | Matrix | Sequence[FileLink] | None
    heading: str = ""
    notes: Sequence[str] = ()


class Section(NamedTuple):
    """A section of the page; ``key`` is its anchor. The parts can stand beside each other where there is room."""

    key: str
    title: str
    parts: Sequence[SectionPart]
    side_by_side: bool = False


class Content(TypedDict):
    """What the page shows of an analysis beside the frames.

    ``facts`` say by title what was compared with what, ``headline`` has name, meaning and value of the scores over all
    classes, and ``score_notes`` are what is to be known of them.
    """

    facts: list[tuple[str, str]]
    headline: list[tuple[str, str, Cell]]
    score_notes: list[str]
    sections: list[Section]


def unofficial_notes(task: Task) -> list[str]:
    """What is said of scores that are not the official ones; nothing of those that are."""
    return [] if task.is_official else [unofficial_note(task)]


def headline(
    scores: Mapping[str, Estimate], differences: Mapping[str, Difference], meanings: Mapping[str, str]
) -> list[tuple[str, str, Cell]]:
    """Name, meaning and value of the scores over all classes; ``differences`` to a baseline are none without one."""
    return [(name, meanings[name], estimate(value, differences.get(name))) for name, value in scores.items()]


def percent(value: float, difference: Difference | None = None) -> Cell:
    """A cell with a score of 0 to 100, and its difference to the baseline's."""
    return Cell(None) if math.isnan(value) else Cell(value, f"{value:.1f}", value, change=judged(difference))


def estimate(value: Estimate, difference: Difference | None = None) -> Cell:
    """A cell with a score of 0 to 100 and its interval."""
    cell = percent(value.value, difference)
    has_interval = cell.value is not None and not math.isnan(value.low)
    return cell._replace(interval=f"{value.low:.1f} to {value.high:.1f}" if has_interval else "")


def number(value: int, most: int | None = None, old: int | None = None) -> Cell:
    """A cell with a count; ``most`` is what a full bar stands for, and more than ``old`` is worse."""
    share = None if not most else 100 * value / most
    return Cell(value, f"{value:,}", share, change=changed(value, old, digits=0, more_is_better=False))


def changed(new: float, old: float | None, digits: int = 1, more_is_better: bool = True) -> Change | None:
    """How ``new`` differs from the baseline's ``old``; None where one of them does not exist."""
    if old is None or math.isnan(old) or math.isnan(new):
        return None
    difference = round(new - old, digits)
    return Change(
        signed(new - old, digits),
        f"{old:,.{digits}f} in the baseline",
        difference != 0 and (difference > 0) == more_is_better,
        difference != 0 and (difference > 0) != more_is_better,
    )


def judged(difference: Difference | None) -> Change | None:
    """A difference of scores; better or worse only where its interval says so. None where it does not exist."""
    if difference is None:
        return None
    change = changed(difference.run, difference.baseline)
    if change is None:
        return None
    if difference.verdict == UNKNOWN:
        return change._replace(better=False, worse=False)
    said = {NOISE: "may be chance", EQUAL: "the same in every draw"}.get(difference.verdict, "more than chance")
    title = f"{change.title}; 95 % interval of the difference {interval(difference)}: {said}"
    return Change(change.text, title, difference.verdict == BETTER, difference.verdict == WORSE)


def interval(difference: Difference, digits: int = 1) -> str:
    """The ends of the interval of a difference, with their signs; nothing without one."""
    if math.isnan(difference.low):
        return ""
    return " to ".join(signed(end, digits) for end in (difference.low, difference.high))


def signed(value: float, digits: int = 1) -> str:
    """A difference with its sign; what rounds to nothing has both."""
    rounded = round(value, digits)
    sign = "+" if rounded > 0 else "\N{MINUS SIGN}" if rounded < 0 else "\N{PLUS-MINUS SIGN}"
    return f"{sign}{abs(rounded):,.{digits}f}"


def matrix(
    key: str, counted: str, rows: Sequence[str], columns: Sequence[str], counts: Iterable[Sequence[int]]
) -> Matrix:
    """A confusion matrix whose rows are true classes, as shares of its rows; the page can show it in other ways."""
    shown = []
    for i, (name, values) in enumerate(zip(rows, counts, strict=True)):
        total = sum(values)
        cells = [_matrix_cell(name, columns[j], value, total, i == j) for j, value in enumerate(values)]
        shown.append(TableRow(name, cells))
    return Matrix(key, counted, columns, shown)


def _matrix_cell(true: str, predicted: str, count: int, total: int, is_diagonal: bool) -> MatrixCell:
    share = 100 * count / total if total else 0.0
    text = "\N{MIDDLE DOT}" if not count else "<0.1" if share < 0.05 else f"{share:.1f}"
    kinds = [kind for kind, on in (("diagonal", is_diagonal), ("strong", share > 60), ("none", not count)) if on]
    return MatrixCell(count, share, text, f"{true} as {predicted}: {count:,}", " ".join(kinds))


def slice_parts(
    slices: Mapping[str, Slice],
    baseline: Mapping[str, Slice],
    comparison: Comparison | None,
    colors: Mapping[str, Color],
) -> list[SectionPart]:
    """A table for each attribute: the scores over all classes, then the main score of each class in ``colors``.

    ``baseline`` is empty and ``comparison`` None without one.
    """
    if not slices:
        note = (
            "Weather, scene and time of day of these frames are not known, because masks have none. Make the report "
            "with --attributes FILE, a label file of the same frames that has them."
        )
        return [SectionPart("note", None, notes=(note,))]
    return [_slice_part(one, baseline.get(attribute), comparison, colors) for attribute, one in slices.items()]


def _slice_part(
    one: Slice, other: Slice | None, comparison: Comparison | None, colors: Mapping[str, Color]
) -> SectionPart:
    before = {row.value: row.scores for row in other.rows} if other else {}
    known = summary(one.rows[0].scores)
    metrics = [name for name in _SLICE_SCORES if name in known]
    main = metrics[0].removeprefix("m")
    classes = [name for name in colors if any(name in row.scores[main][0] for row in one.rows)]
    columns = [
        Column("Value"),
        Column(one.counted.capitalize()),
        *(Column(name, "over all classes") for name in metrics),
        *(Column(name, f"{main} of {name}") for name in classes),
    ]
    keys = [*((metric, "") for metric in metrics), *((main, name) for name in classes)]
    rows = []
    for row in one.rows:
        values, old = flat_scores(row.scores), flat_scores(before.get(row.value, {}))
        differences = _of_slice(comparison, one.attribute, row.value)
        cells = [
            percent(
                values[key],
                differences.get(key) or (Difference(values[key], old[key], math.nan, math.nan) if key in old else None),
            )
            for key in keys
        ]
        rows.append(TableRow(row.value, [number(row.count), *cells]))
    title = _TITLES.get(one.attribute, one.attribute.capitalize())
    note = f"{one.definition} In the columns of the classes: {main}."
    return SectionPart("table", Table(columns, rows, key=f"slice-{one.attribute}"), title, (note,))


def _of_slice(comparison: Comparison | None, attribute: str, value: str) -> dict[tuple[str, str], Difference]:
    """The differences in a row of a slice, by metric and class; of all classes the class is ""."""
    if comparison is None:
        return {}
    if attribute == "size":
        # Its rows are scores of all frames, as "APs".
        return {
            (metric[:-1], name): difference
            for (metric, name), difference in comparison.all.flat().items()
            if metric[-1] == value[0]
        }
    found = (part.flat() for part in comparison.parts if (part.attribute, part.value) == (attribute, value))
    return next(found, {})
