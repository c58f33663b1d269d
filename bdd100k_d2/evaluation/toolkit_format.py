"""Scores in the official toolkit's form: its JSON file and its table."""

import json
import math
import os
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from ..atomic import write_atomic
from ..tasks import Task
from .metrics.segmentation import SegmentationScores, segmentation_scores, without_background

ToolkitScores = dict[str, Any]
"""Scores as ``bdd100k.eval.run --out-file`` writes them: for each metric a list of ``{class: percent}`` and
``{"OVERALL" or "AVERAGE": percent}``, with groups of classes between them for pan_seg, or a number."""


def write_toolkit_scores(scores: ToolkitScores, path: str | os.PathLike[str]) -> None:
    """Writes scores as the toolkit does; an absent class is the token NaN, as there.

    Raises:
        OutputError: ``path`` cannot be written.
    """
    write_atomic(path, json.dumps(scores, indent=2))


def read_toolkit_scores(path: str | os.PathLike[str]) -> ToolkitScores:
    """Reads scores as :func:`write_toolkit_scores` and the toolkit write them."""
    scores: ToolkitScores = json.loads(Path(path).read_text())
    return scores


def official_detection(scores: Mapping[str, np.ndarray], names: Sequence[str]) -> ToolkitScores:
    """The official form of what ``detection_scores`` returns; also that of instance segmentation."""
    return {
        metric: [dict(zip(names, values[:-1].tolist(), strict=True)), {"OVERALL": float(values[-1])}]
        for metric, values in scores.items()
    }


def official_segmentation(task: Task, matrix: np.ndarray) -> ToolkitScores:
    """The official form of the scores of a task of masks; "Acc" is the precision, as in the toolkit.

    The task's class ``unscored`` is left out, as the background of drivable. ``matrix`` (K, K + 1) is of all classes,
    as ``confusion_matrix`` returns it, summed over all frames.
    """
    scores, names = _scored(task, matrix)
    return {
        "IoU": _with_average(names, scores, scores.iou),
        "Acc": _with_average(names, scores, scores.precision),
        "fIoU": scores.frequency_iou,
        "pAcc": scores.pixel_accuracy,
    }


def extra_segmentation_metrics(task: Task, matrix: np.ndarray) -> ToolkitScores:
    """Scores that the toolkit does not have: "Recall", and for drivable "IoU-strict" over all three classes.

    Painting the background as drivable costs nothing officially. Arguments as of :func:`official_segmentation`.
    """
    scores, names = _scored(task, matrix)
    extra = {"Recall": _with_average(names, scores, scores.recall)}
    if task.unscored is not None:
        strict = segmentation_scores(matrix)
        extra["IoU-strict"] = _with_average(task.names, strict, strict.iou)
    return extra


def _scored(task: Task, matrix: np.ndarray) -> tuple[SegmentationScores, list[str]]:
    """The official scores of a matrix of all classes, and the names of the scored ones."""
    names = [name for i, name in enumerate(task.names) if i != task.unscored]
    return segmentation_scores(without_background(matrix, task.unscored)), names


def _with_average(names: Sequence[str], scores: SegmentationScores, values: np.ndarray) -> list[dict[str, float]]:
    return [dict(zip(names, values.tolist(), strict=True)), {"AVERAGE": scores.mean(values)}]


def summary(scores: ToolkitScores) -> dict[str, float]:
    """The value of each metric over all classes, as the toolkit's ``Result.summary()`` names them.

    The averages over classes of "IoU" and "Acc" are "mIoU" and "mAcc"; a group of classes is "PQ/STUFF". Where there is
    a value of all classes beside the average, as in tracking, it is that, and groups have none.
    """
    flat = {}
    for metric, value in scores.items():
        if not isinstance(value, list):
            flat[metric] = value
            continue
        if len(value[-1]) > 1:
            flat[metric] = value[-1]["OVERALL"]
            continue
        for group in value[1:-1]:
            flat |= {f"{metric}/{name}": each for name, each in group.items()}
        (kind, overall), *_ = value[-1].items()
        flat[f"m{metric}" if kind == "AVERAGE" else metric] = overall
    return flat


def flat_scores(scores: ToolkitScores) -> dict[tuple[str, str], float]:
    """Each value by its metric and its class: of all classes, by the names of :func:`summary`, the class is ""."""
    flat = {(metric, ""): float(value) for metric, value in summary(scores).items()}
    for metric, value in scores.items():
        if isinstance(value, list):
            flat |= {(metric, name): float(each) for name, each in value[0].items()}
    return flat


def table(scores: ToolkitScores) -> str:
    """The toolkit's table, character for character without the empty lines around it.

    One row per class, then the groups and the overall value under lines of their own; one column per metric that has a
    value per class; one decimal, whole numbers for counts, "-" for absent.
    """
    columns = {metric: value for metric, value in scores.items() if isinstance(value, list)}
    groups = next(iter(columns.values()))
    lines = _justified(["", *(name for group in groups for name in group)], str.ljust)
    for metric, value in columns.items():
        # The toolkit prints with pandas, which keeps room for a sign before names and whole numbers.
        cells = [f" {metric}", *(_cell(group[name]) for group in value for name in group)]
        lines = [f"{line} {cell}" for line, cell in zip(lines, _justified(cells, str.rjust), strict=True)]
    rule = "-" * len(lines[0])
    rows = iter(lines)
    parts = [next(rows)]
    for group in groups:
        parts += [rule, *islice(rows, len(group))]
    return "\n".join(parts)


def _justified(cells: list[str], justify: Callable[[str, int], str]) -> list[str]:
    width = max(map(len, cells))
    return [justify(cell, width) for cell in cells]


def _cell(value: float) -> str:
    if isinstance(value, int):
        return f" {value}"
    return " - " if math.isnan(value) else f"{value:.1f}"
