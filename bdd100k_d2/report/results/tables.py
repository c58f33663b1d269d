"""What the tables of the page hold: cells with a text to read and a value to sort by."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from ...data.categories import Category
from ..analysis.records import Estimate

MINUS = "\N{MINUS SIGN}"


@dataclass(frozen=True)
class Change:
    """The difference to the baseline, with its sign; neither better nor worse where it rounds to nothing."""

    text: str
    title: str
    better: bool
    worse: bool


@dataclass(frozen=True)
class Cell:
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
class Column:
    """The title of a column and what it means."""

    name: str
    title: str = ""


@dataclass(frozen=True)
class Row:
    """A row with its name and, for a class, its colour."""

    name: str
    cells: Sequence[Cell]
    color: tuple[int, int, int] | None = None


@dataclass(frozen=True)
class Table:
    """A table; the first of ``columns`` is that of the rows' names."""

    columns: Sequence[Column]
    rows: Sequence[Row]
    foot: Row | None = None
    key: str = ""


@dataclass(frozen=True)
class Part:
    """A part of a section: a "table", "plots", a "matrix", or a "note" alone, with a heading above and notes below."""

    kind: str
    content: object
    heading: str = ""
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class Section:
    """A section of the page.

    Attributes:
        key: where the page's navigation leads.
        title: of the section.
        parts: what is in it.
        side_by_side: whether the parts stand beside each other where there is room.
    """

    key: str
    title: str
    parts: Sequence[Part]
    side_by_side: bool = False


@dataclass(frozen=True)
class Score:
    """A score of the headline."""

    name: str
    meaning: str
    text: str
    interval: str
    change: Change | None


@dataclass(frozen=True)
class MatrixCell:
    """A cell of a confusion matrix; ``share`` is of its row, 0 to 100, and ``kind`` names its style."""

    count: int
    share: float
    text: str
    title: str
    kind: str


@dataclass(frozen=True)
class Matrix:
    """A confusion matrix; ``counted`` says what its numbers count."""

    key: str
    counted: str
    columns: Sequence[str]
    rows: Sequence[Row] = field(default_factory=tuple)


def percent(value: float, old: float | None = None) -> Cell:
    """A cell with a score of 0 to 100; ``old`` is that of the baseline."""
    if math.isnan(value):
        return Cell(None)
    return Cell(value, f"{value:.1f}", value, change=changed(value, old))


def estimate(value: Estimate, old: Estimate | None = None) -> Cell:
    """A cell with a score of 0 to 100 and its interval."""
    cell = percent(value.value, None if old is None else old.value)
    return Cell(cell.value, cell.text, cell.share, interval(value) if cell.value is not None else "", cell.change)


def number(value: int, most: int | None = None, old: int | None = None) -> Cell:
    """A cell with a count; ``most`` is what a full bar stands for, and more than ``old`` is worse."""
    share = None if not most else 100 * value / most
    return Cell(value, f"{value:,}", share, change=changed(value, old, digits=0, more_is_better=False))


def interval(value: Estimate) -> str:
    """The ends of the interval of a score; empty without one."""
    return "" if math.isnan(value.low) else f"{value.low:.1f} to {value.high:.1f}"


def changed(new: float, old: float | None, digits: int = 1, more_is_better: bool = True) -> Change | None:
    """How ``new`` differs from the baseline's ``old``; None where one of them does not exist."""
    if old is None or math.isnan(old) or math.isnan(new):
        return None
    difference = round(new - old, digits)
    sign = "+" if difference > 0 else MINUS if difference < 0 else "\N{PLUS-MINUS SIGN}"
    return Change(
        f"{sign}{abs(difference):,.{digits}f}",
        f"{old:,.{digits}f} in the baseline",
        difference != 0 and (difference > 0) == more_is_better,
        difference != 0 and (difference > 0) != more_is_better,
    )


def matrix(
    key: str, counted: str, rows: Sequence[str], columns: Sequence[str], counts: Iterable[Sequence[int]]
) -> Matrix:
    """A confusion matrix whose rows are true classes, as shares of its rows; the page can show it in other ways."""
    shown = []
    for i, (name, values) in enumerate(zip(rows, counts, strict=True)):
        total = sum(values)
        cells = [_matrix_cell(name, columns[j], value, total, i == j) for j, value in enumerate(values)]
        shown.append(Row(name, cells))
    return Matrix(key, counted, columns, shown)


def _matrix_cell(true: str, predicted: str, count: int, total: int, is_diagonal: bool) -> MatrixCell:
    share = 100 * count / total if total else 0.0
    text = "\N{MIDDLE DOT}" if not count else "<0.1" if share < 0.05 else f"{share:.1f}"
    kinds = [kind for kind, on in (("diagonal", is_diagonal), ("strong", share > 60), ("none", not count)) if on]
    return MatrixCell(count, share, text, f"{true} as {predicted}: {count:,}", " ".join(kinds))


def colors_of(categories: Sequence[Category]) -> dict[str, tuple[int, int, int]]:
    """The colours of classes by name."""
    return {category.name: category.color for category in categories}
