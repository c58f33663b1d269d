"""Scores by attribute: a table an attribute, and one more by class."""

from collections.abc import Mapping

from ..analysis.records import SliceRow, SliceTable
from .tables import Cell, Column, Part, Row, Table, percent

_TITLES = {
    "weather": "Weather",
    "scene": "Scene",
    "timeofday": "Time of day",
    "size": "Size of the object",
    "occluded": "Occluded",
    "truncated": "Truncated",
}


def slice_parts(
    slices: Mapping[str, SliceTable], baseline: Mapping[str, SliceTable], colors: Mapping[str, tuple[int, int, int]]
) -> list[Part]:
    """A table for each attribute: the scores over all classes, then the main score of each class.

    Args:
        slices: by attribute.
        baseline: those of another run; empty without one.
        colors: of the classes by name, in their order.
    """
    if not slices:
        note = "The label files hold no attributes of frames or objects, so there is nothing to tell apart."
        return [Part("note", None, notes=(note,))]
    return [_part(one, baseline.get(attribute), colors) for attribute, one in slices.items()]


def _part(one: SliceTable, other: SliceTable | None, colors: Mapping[str, tuple[int, int, int]]) -> Part:
    before = {row.value: row for row in other.rows} if other else {}
    metrics = list(dict.fromkeys(name for row in one.rows for name in row.scores))
    classes = [name for name in colors if any(name in row.classes for row in one.rows)]
    columns = [
        Column("Value"),
        Column(one.counted.capitalize()),
        *(Column(name, "over all classes") for name in metrics),
        *(Column(name, f"{metrics[0].removeprefix('m')} of {name}") for name in classes),
    ]
    rows = [Row(row.value, _cells(row, before.get(row.value), metrics, classes)) for row in one.rows]
    title = _TITLES.get(one.attribute, one.attribute)
    note = f"{one.definition} In the columns of the classes: {metrics[0].removeprefix('m')}."
    return Part("table", Table(columns, rows, key=f"slice-{one.attribute}"), title, (note,))


def _cells(row: SliceRow, old: SliceRow | None, metrics: list[str], classes: list[str]) -> list[Cell]:
    scores, by_class = (old.scores, old.classes) if old else ({}, {})
    nothing = float("nan")
    return [
        Cell(row.count, f"{row.count:,}"),
        *(percent(row.scores.get(name, nothing), scores.get(name)) for name in metrics),
        *(percent(row.classes.get(name, nothing), by_class.get(name)) for name in classes),
    ]
