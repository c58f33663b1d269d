"""What a training run wrote to its ``metrics.json``: one JSON object a line, as Detectron2's ``JSONWriter`` does it."""

import json
import logging
import math
from pathlib import Path

import numpy as np

from ..errors import DataError

logger = logging.getLogger(__name__)


class History:
    """The logged values of a run by iteration (counted from 0)."""

    def __init__(self, records: dict[int, dict[str, float]]) -> None:
        """Takes the logged values by iteration."""
        self._records = dict(sorted(records.items()))

    def names(self) -> list[str]:
        """The names of all values in the order in which they first appear."""
        return list(dict.fromkeys(key for record in self._records.values() for key in record))

    def series(self, key: str) -> tuple[np.ndarray, np.ndarray]:
        """The iterations at which ``key`` was logged and its values, both (N,) float64; only finite values."""
        points = [(i, r[key]) for i, r in self._records.items() if key in r and math.isfinite(r[key])]
        table = np.array(points, dtype=np.float64).reshape(-1, 2)
        return table[:, 0], table[:, 1]

    @property
    def iterations(self) -> int:
        """How many iterations were trained."""
        return max((i for i, record in self._records.items() if "total_loss" in record), default=-1) + 1

    @property
    def seconds(self) -> float:
        """Time spent in training iterations, without evaluation; the log holds their median duration."""
        at, duration = self.series("time")
        return float(np.diff(at, prepend=-1.0) @ duration)


def read_history(path: Path) -> History:
    """Reads a ``metrics.json``.

    After a restart from a checkpoint the file holds some iterations twice; the later ones count. A line that a killed
    run left unfinished is skipped and reported.

    Raises:
        DataError: the file cannot be read, or no line of it is such a record.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: the training log cannot be read ({error}); train the model again.") from error
    records: dict[int, dict[str, float]] = {}
    last = -1
    for number, line in enumerate(lines, 1):
        record = _parse(line)
        if record is None:
            logger.warning("%s: line %d is not a complete record and is skipped.", path, number)
            continue
        iteration, values = record
        if iteration < last:
            records = {i: r for i, r in records.items() if i < iteration}
        records.setdefault(iteration, {}).update(values)
        last = iteration
    if not records:
        raise DataError(f"{path}: no record of an iteration in it; give the OUTPUT_DIR of a run of tools/train_net.py.")
    return History(records)


def _parse(line: str) -> tuple[int, dict[str, float]] | None:
    try:
        record = json.loads(line)
    except json.JSONDecodeError:
        return None
    if not isinstance(record, dict) or not isinstance(record.get("iteration"), int):
        return None
    values = {
        key: float(value)
        for key, value in record.items()
        if key != "iteration" and isinstance(value, int | float) and not isinstance(value, bool)
    }
    return record["iteration"], values
