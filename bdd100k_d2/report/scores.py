"""``scores.json`` in the official toolkit's format -> headline scores and a table with one row per class.

A field is a list of ``{class: value}`` and ``{"OVERALL" or "AVERAGE": value}``, in percent.
"""

import json
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import DataError, shown
from ..regular_file import check_regular_file
from ..tasks import Metric, Task

_MEAN_KEYS = ("OVERALL", "AVERAGE")
# A score is a percentage; beyond it a number is damage, and is shown as none.
_GREATEST_SCORE = 1e6


class ClassScores(NamedTuple):
    """The scores of a class in percent, one for each column; None where the class is absent."""

    name: str
    color: tuple[int, int, int] | None
    values: tuple[float | None, ...]


class ScoreTable(NamedTuple):
    """The content of a ``scores.json``: ``headline`` and ``means`` hold the means in percent, ``means`` by column."""

    headline: tuple[tuple[Metric, float | None], ...]
    columns: tuple[Metric, ...]
    rows: tuple[ClassScores, ...]
    means: tuple[float | None, ...]


def read_score_table(path: Path, task: Task) -> ScoreTable:
    """Reads a ``scores.json`` of ``task``; its classes come in the order of their ids, then others that the file has.

    Raises:
        DataError: the file is missing, is not JSON, or holds none of the task's scores.
    """
    try:
        check_regular_file(path)
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        remedy = "run tools/train_net.py --eval-only with this run's config."
        raise DataError(f"{path}: the scores cannot be read ({shown(error)}); {remedy}") from error
    metrics = [metric for metric in task.metrics if isinstance(document, dict) and metric.key in document]
    if not metrics:
        known = ", ".join(metric.key for metric in task.metrics)
        raise DataError(
            f"{path}: no {task.name} scores in it ({known}); evaluate again, or check which task the run is of."
        )
    fields = {metric.key: _field(document[metric.key], f"{path}: {metric.key}") for metric in metrics}
    columns = tuple(metric for metric in metrics if metric.in_table)
    colors = {category.name: category.color for category in task.categories}
    seen = [name for metric in columns for name in fields[metric.key][0]]
    rows = tuple(
        ClassScores(name, colors.get(name), tuple(fields[metric.key][0].get(name) for metric in columns))
        for name in dict.fromkeys([*(name for name in colors if name in seen), *seen])
    )
    return ScoreTable(
        headline=tuple((metric, fields[metric.key][1]) for metric in metrics if metric.in_headline),
        columns=columns,
        rows=rows,
        means=tuple(fields[metric.key][1] for metric in columns),
    )


def _field(field: Any, where: str) -> tuple[dict[str, float | None], float | None]:  # noqa: ANN401, parsed JSON
    """The values by class, and the mean."""
    if isinstance(field, int | float):
        # fIoU and pAcc have no value by class; some writers give the bare mean for them.
        field = {_MEAN_KEYS[0]: field}
    parts = field if isinstance(field, list) else [field]
    if not all(isinstance(part, dict) for part in parts):
        raise DataError(f"{where} is not a list of objects as the official toolkit writes it; evaluate again.")
    by_class: dict[str, float | None] = {}
    mean = None
    for name, value in (item for part in parts for item in part.items()):
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
            raise DataError(f"{where} of {shown(name)} is {shown(repr(value))}, not a number; evaluate again.")
        # A whole number may be too great for a float.
        number = float(value) if value is not None and abs(value) <= _GREATEST_SCORE else None
        if name in _MEAN_KEYS:
            mean = number
        else:
            by_class[name] = number
    return by_class, mean
