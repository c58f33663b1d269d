"""What a training run left in its OUTPUT_DIR: config, training log, and scores and predictions for each test set."""

import json
import logging
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np

from ..errors import DataError, shown
from ..inside import check_plain_name
from ..regular_file import check_regular_file
from .evaluated_set import EvaluatedSet, find_set
from .run_config import OwnData, RunConfig, read_run_config
from .scores import ScoreTable, read_score_table

logger = logging.getLogger(__name__)

# Beyond it an iteration is damage, and a value would be shown by nobody.
_MOST_ITERATIONS, _GREATEST_VALUE = 10**12, 1e100
_LONGEST_KEY = 200


class History:
    """The logged values of a run by iteration (counted from 0)."""

    def __init__(self, records: dict[int, dict[str, float]]) -> None:
        self._records = dict(sorted(records.items()))

    def names(self) -> list[str]:
        """The names of all values in the order in which they first appear."""
        return list(dict.fromkeys(key for record in self._records.values() for key in record))

    def series(self, key: str) -> tuple[np.ndarray, np.ndarray]:
        """The iterations at which ``key`` was logged and its values, both (N,) float64; only numbers to 1e100."""
        points = [(i, r[key]) for i, r in self._records.items() if key in r and abs(r[key]) <= _GREATEST_VALUE]
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

    After a restart from a checkpoint the file holds some iterations twice; the later ones count. Lines that are no
    records, such as one that a killed run left unfinished, are skipped and reported.

    Raises:
        DataError: the file cannot be read, or no line of it is the record of an iteration.
    """
    try:
        check_regular_file(path)
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: the training log cannot be read ({shown(error)}); train the model again.") from error
    records: dict[int, dict[str, float]] = {}
    last = -1
    skipped = []
    for number, line in enumerate(lines, 1):
        record = _parse(line) if line else None
        if record is None:
            skipped += [number] if line else []
            continue
        iteration, values = record
        if iteration < last:
            records = {i: r for i, r in records.items() if i < iteration}
        records.setdefault(iteration, {}).update(values)
        last = iteration
    if not records:
        raise DataError(f"{path}: no record of an iteration in it; give the OUTPUT_DIR of a run of tools/train_net.py.")
    if skipped:
        more = f", as are {len(skipped) - 1:,} more" if len(skipped) > 1 else ""
        logger.warning("%s: line %d is not a complete record and is skipped%s.", path, skipped[0], more)
    return History(records)


def _parse(line: str) -> tuple[int, dict[str, float]] | None:
    try:
        record = json.loads(line)
    # A number of thousands of digits is a ValueError too.
    except (ValueError, RecursionError):
        return None
    if not isinstance(record, dict):
        return None
    iteration = record.pop("iteration", None)
    if type(iteration) is not int or not 0 <= iteration <= _MOST_ITERATIONS:
        return None
    known = {key: value for key, value in record.items() if len(key) <= _LONGEST_KEY and key.isprintable()}
    # A whole number may be too great for a float.
    return iteration, {key: float(value) for key, value in known.items() if type(value) is float or _is_small(value)}


def _is_small(value: object) -> bool:
    return type(value) is int and abs(value) <= _GREATEST_VALUE


class EvaluationResults(NamedTuple):
    """The results on one test set.

    Attributes:
        name: of the test set.
        data: the data set with the paths of its images and labels; of a slice the one that it is a slice of.
        predictions: ``det.json``, or the folder of masks.
        scores: None for a set without public labels.
    """

    name: str
    data: EvaluatedSet
    predictions: Path
    scores: ScoreTable | None

    @property
    def is_slice(self) -> bool:
        """Whether the test set is a slice, so that the labels have further frames."""
        return self.name != self.data.base

    @property
    def title(self) -> str:
        """The task in words."""
        return self.data.task.title


class Run(NamedTuple):
    """A run folder that was read.

    ``facts`` are titles and texts, ``history`` is None for a run that only evaluated, ``recipe`` and ``seed`` are as in
    `RunConfig`. ``training`` is the name that the training gave itself, which copies of its folder have too, or "".
    """

    name: str
    facts: tuple[tuple[str, str], ...]
    history: History | None
    evaluations: tuple[EvaluationResults, ...]
    recipe: str
    seed: int | None
    training: str
    folder: Path


def read_run(folder: Path, root: Path | None = None) -> Run:
    """Reads a run folder; images and labels are looked for under ``root`` (default: ``$DETECTRON2_DATASETS``).

    Raises:
        DataError: the config, or the scores or predictions of one of its test sets, are missing or unreadable.
    """
    config_path = folder / "config.yaml"
    config = read_run_config(config_path)
    log = folder / "metrics.json"
    history = read_history(log) if log.exists() else None
    if history is None:
        logger.warning("%s: no training log, so the page has no curves.", log)
    evaluations = []
    for name, base in config.tests:
        # A name that leads elsewhere would be read there.
        check_plain_name(name, f"{config_path}: DATASETS.TEST")
        inference = folder / "inference" / name if len(config.tests) > 1 else folder / "inference"
        evaluations.append(_read_evaluation(name, base, config.own, inference, root, config_path))
    return Run(
        folder.resolve().name,
        tuple(_facts(config, history)),
        history,
        tuple(evaluations),
        config.recipe,
        config.seed,
        _training(folder / "run.json"),
        folder,
    )


class _Start(msgspec.Struct):
    run: str | None = None


def _training(path: Path) -> str:
    try:
        check_regular_file(path)
        starts = msgspec.json.decode(path.read_bytes(), type=list[_Start])
    except FileNotFoundError:
        return ""
    except (OSError, ValueError, RecursionError, msgspec.MsgspecError) as error:
        logger.warning("%s: unreadable (%s), so a copy of this run would not be known for one.", path, shown(error))
        return ""
    return next((start.run for start in reversed(starts) if start.run), "")


def _read_evaluation(
    name: str, base: str, own: tuple[OwnData, ...], inference: Path, root: Path | None, config_path: Path
) -> EvaluationResults:
    data = find_set(base, own, inference, root, config_path)
    predictions = inference / data.task.results[0]
    if not predictions.exists():
        raise DataError(
            f"{predictions}: no predictions; let the training end, or run tools/train_net.py --eval-only "
            f"--config-file {config_path}."
        )
    # Where no labels are public there are no scores either.
    scores = read_score_table(inference / "scores.json", data.task) if data.is_public else None
    return EvaluationResults(name, data, predictions, scores)


def _facts(config: RunConfig, history: History | None) -> list[tuple[str, str]]:
    facts = [
        ("Model", config.model),
        ("Backbone", config.backbone),
        ("Trained on", ", ".join(config.trained_on)),
        ("Batch size", f"{config.batch:,}"),
        ("Learning rate", f"{config.learning_rate:g}"),
    ]
    if history is not None and history.iterations:
        done, planned = history.iterations, config.max_iter
        facts.append(("Iterations", f"{done:,}" if done >= planned else f"{done:,} of {planned:,}"))
        facts.append(("Training time", _duration(history.seconds)))
    return facts


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {seconds} s" if minutes else f"{seconds} s"
