"""What the page of runs says of several of one recipe: mean and spread of their scores."""

import math
from collections.abc import Sequence

from ..analysis.seeds import SeedGroup, SeedTable
from .tables import Cell, Change, Column, SectionPart, Table, TableRow, signed

_NOTE = (
    "Mean \N{PLUS-MINUS SIGN} standard deviation over the runs of a recipe, whose configs differ in SEED and "
    "OUTPUT_DIR alone; below, Student's 95 % interval of the mean."
)
_AGAINST = (
    "Beside it stands the difference to the first recipe, in colour where 0 is outside of Welch's 95 % interval. "
    "A recipe that was trained once has no spread, and nothing is said of its difference; nor is it of runs that are "
    "all alike."
)


def seed_parts(tables: Sequence[SeedTable]) -> list[SectionPart]:
    """For each data set a table of all classes with a row for each recipe, and one of the classes."""
    return [part for table in tables for part in _parts(table)]


def _parts(table: SeedTable) -> list[SectionPart]:
    groups = table.groups
    keys = list(dict.fromkeys(key for group in groups for key in group.scores))
    overall = [key for key in keys if not key[1]]
    rows = [TableRow(_name(group), [_runs(group), *(_cell(group, key) for key in overall)]) for group in groups]
    columns = [
        Column("Runs"),
        Column("Number"),
        *(Column(metric, "over all classes, percent") for metric, _ in overall),
    ]
    notes = [_NOTE, *([_AGAINST] if len(groups) > 1 else [])]
    key = f"seeds-{table.dataset}"
    parts = [SectionPart("table", Table(columns, rows, key=key), f"Over all classes, {table.dataset}", notes)]
    of_classes = [key for key in keys if key[1]]
    if of_classes:
        main = of_classes[0][0]
        names = [name for metric, name in of_classes if metric == main]
        rows = [TableRow(name, [_cell(group, (main, name)) for group in groups]) for name in names]
        columns = [Column("Class"), *(Column(_name(group), f"{main}, percent") for group in groups)]
        parts.append(SectionPart("table", Table(columns, rows), f"{main} of each class, {table.dataset}"))
    return parts


def _name(group: SeedGroup) -> str:
    return ", ".join(group.names)


def _runs(group: SeedGroup) -> Cell:
    return Cell(len(group.names), f"{len(group.names):,}")


def _cell(group: SeedGroup, key: tuple[str, str]) -> Cell:
    one = group.scores.get(key)
    if one is None:
        return Cell(None)
    several = len(one.values) > 1
    text = f"{one.mean:.1f} \N{PLUS-MINUS SIGN} {one.deviation:.1f}" if several else f"{one.mean:.1f}"
    interval = f"{one.low:.1f} to {one.high:.1f}" if not math.isnan(one.low) else ""
    title = ", ".join(f"{name} {value:.1f}" for name, value in zip(group.names, one.values, strict=False))
    return Cell(one.mean, text, interval=interval, change=_change(group, key), title=title)


def _change(group: SeedGroup, key: tuple[str, str]) -> Change | None:
    if key not in group.differences:
        return None
    value, low, high = group.differences[key]
    title = f"95 % interval of the difference {signed(low)} to {signed(high)}"
    return Change(signed(value), title, low > 0, high < 0)
