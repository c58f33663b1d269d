"""What a training run left in its OUTPUT_DIR: config, training log, and scores and predictions for each test set."""

import json
import logging
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import yaml

from ..data.register import Split, base_of, locate
from ..errors import DataError
from ..tasks import TASKS
from .scores import ScoreTable, read_score_table

logger = logging.getLogger(__name__)


class History:
    """The logged values of a run by iteration (counted from 0)."""

    def __init__(self, records: dict[int, dict[str, float]]) -> None:
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
        DataError: the file cannot be read, or no line of it is the record of an iteration.
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


class EvaluationResults(NamedTuple):
    """The results on one test set.

    Attributes:
        name: of the test set.
        split: the data set with the paths of its images and labels; of a slice the one that it is a slice of.
        predictions: ``det.json``, or the folder of masks.
        scores: None for a set without public labels.
    """

    name: str
    split: Split
    predictions: Path
    scores: ScoreTable | None

    @property
    def is_slice(self) -> bool:
        """Whether the test set is a slice, so that the labels have further frames."""
        return self.name != self.split.name

    @property
    def title(self) -> str:
        """The task in words."""
        return TASKS[self.split.task].title


class Run(NamedTuple):
    """A run folder that was read: ``facts`` are titles and texts, ``history`` is None for a run that only evaluated."""

    name: str
    facts: tuple[tuple[str, str], ...]
    history: History | None
    evaluations: tuple[EvaluationResults, ...]


def read_run(folder: Path, root: Path | None = None) -> Run:
    """Reads a run folder; images and labels are looked for under ``root`` (default: ``$DETECTRON2_DATASETS``).

    Raises:
        DataError: the config, or the scores or predictions of one of its test sets, are missing or unreadable.
    """
    config_path = folder / "config.yaml"
    config = _read_config(config_path)
    names = _get(config, "DATASETS.TEST", config_path)
    if not isinstance(names, list) or not names:
        raise DataError(
            f"{config_path}: DATASETS.TEST names no data set, so there is nothing to report; set it and evaluate."
        )
    log = folder / "metrics.json"
    history = read_history(log) if log.exists() else None
    if history is None:
        logger.warning("%s: no training log, so the page has no curves.", log)
    evaluations = []
    for name in names:
        inference = folder / "inference" / name if len(names) > 1 else folder / "inference"
        evaluations.append(_read_evaluation(name, _base(name, config), inference, root, config_path))
    return Run(folder.resolve().name, tuple(_facts(config, config_path, history)), history, tuple(evaluations))


def _read_config(path: Path) -> Mapping[str, Any]:
    try:
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file; give the OUTPUT_DIR of a run of tools/train_net.py.") from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise DataError(
            f"{path}: the config cannot be read ({error}); run tools/train_net.py again to rewrite it."
        ) from error
    if not isinstance(config, dict):
        raise DataError(f"{path}: not a config of Detectron2; run tools/train_net.py again to rewrite it.")
    return config


def _get(config: Mapping[str, Any], key: str, path: Path) -> Any:  # noqa: ANN401, parsed YAML
    value: Any = config
    for part in key.split("."):
        if not isinstance(value, dict) or part not in value:
            raise DataError(f"{path}: no key {key}; a whole config as Detectron2 dumps it is expected.")
        value = value[part]
    return value


def _base(name: str, config: Mapping[str, Any]) -> str:
    """The data set whose frames ``name`` has, also where the config describes it as a slice."""
    slices = {row["name"]: row["base"] for row in config["DATASETS"].get("SLICES", ())}
    while name in slices:
        name = slices.pop(name)
    return base_of(name)


def _read_evaluation(name: str, base: str, inference: Path, root: Path | None, config_path: Path) -> EvaluationResults:
    try:
        split = locate(base, root).present()
    except KeyError as error:
        raise DataError(f"{config_path}: DATASETS.TEST: {error.args[0]}.") from error
    known = [task.name for task in TASKS.values() if task.form != "bitmasks"]
    if split.task not in known:
        raise DataError(f"{config_path}: {name}: the report knows the tasks {', '.join(known)}.")
    task = TASKS[split.task]
    predictions = inference / (task.result_folder or task.result_list or "")
    if not predictions.exists():
        raise DataError(
            f"{predictions}: no predictions; let the training end, or run tools/train_net.py --eval-only "
            f"--config-file {config_path}."
        )
    # Where no labels are public there are no scores either.
    scores = None if split.labels is None else read_score_table(inference / "scores.json", split.task)
    return EvaluationResults(name, split, predictions, scores)


def _facts(config: Mapping[str, Any], path: Path, history: History | None) -> list[tuple[str, str]]:
    planned, batch = _get(config, "SOLVER.MAX_ITER", path), _get(config, "SOLVER.IMS_PER_BATCH", path)
    facts = [
        ("Model", str(_get(config, "MODEL.META_ARCHITECTURE", path))),
        ("Backbone", _backbone(config, path)),
        ("Trained on", ", ".join(map(str, _get(config, "DATASETS.TRAIN", path)))),
        ("Batch size", f"{batch:,}"),
        ("Learning rate", f"{_get(config, 'SOLVER.BASE_LR', path):g}"),
    ]
    if history is not None and history.iterations:
        done = history.iterations
        facts.append(("Iterations", f"{done:,}" if done >= planned else f"{done:,} of {planned:,}"))
        facts.append(("Training time", _duration(history.seconds)))
    return facts


def _backbone(config: Mapping[str, Any], path: Path) -> str:
    name = str(_get(config, "MODEL.BACKBONE.NAME", path)).removeprefix("build_").removesuffix("_backbone")
    if name.startswith("timm_"):
        return f"{_get(config, 'MODEL.TIMM.NAME', path)}, {name.removeprefix('timm_')}"
    return f"{name}, {_get(config, 'MODEL.RESNETS.DEPTH', path)} layers" if "resnet" in name else name


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {seconds} s" if minutes else f"{seconds} s"
