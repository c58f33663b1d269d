"""COCO's twelve scores from its precision and recall arrays, as the official toolkit sums them up."""

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from hotcoco import COCOeval

METRICS = ("AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100", "ARs", "ARm", "ARl")

IOU_THRESHOLDS = np.linspace(0.5, 0.95, 10)
RECALL_THRESHOLDS = np.linspace(0, 1, 101)
AREA_RANGES = np.array([[0, 1e10], [0, 32**2], [32**2, 96**2], [96**2, 1e10]])
"""All, small, medium, large, in pixels; both ends belong to a range."""

MAX_DETECTIONS = (1, 10, 100)
"""How many detections of a class and a frame count."""


def accumulated(evaluation: "COCOeval") -> tuple[np.ndarray, np.ndarray]:
    """The precision (10, 101, K, 4, 3) and recall (10, K, 4, 3) of an evaluation that has been accumulated."""
    found = evaluation.eval or {}
    return found["precision"], found["recall"]


def coco_scores(precision: np.ndarray, recall: np.ndarray) -> dict[str, np.ndarray]:
    """Sums up what COCO's evaluation accumulates; the axes are those of the constants above.

    Args:
        precision: (10, 101, K, 4, 3) by IoU, recall, class, area and number of detections; -1 for a class without
            ground truth.
        recall: (10, K, 4, 3) likewise.

    Returns:
        For each of `METRICS` a float64 array of shape (K + 1,) in percent: one value per class, then the overall one.
        NaN stands for a class without ground truth, which the overall value leaves out.
    """
    values = {
        "AP": precision[..., 0, 2],
        "AP50": precision[0:1, ..., 0, 2],
        "AP75": precision[5:6, ..., 0, 2],
        "APs": precision[..., 1, 2],
        "APm": precision[..., 2, 2],
        "APl": precision[..., 3, 2],
        "AR1": recall[..., 0, 0],
        "AR10": recall[..., 0, 1],
        "AR100": recall[..., 0, 2],
        "ARs": recall[..., 1, 2],
        "ARm": recall[..., 2, 2],
        "ARl": recall[..., 3, 2],
    }
    return {
        metric: np.array([*(_mean(array[..., k]) for k in range(array.shape[-1])), _mean(array)])
        for metric, array in values.items()
    }


def empty_scores(present: np.ndarray) -> dict[str, np.ndarray]:
    """The scores, as of :func:`coco_scores`, where nothing at all is predicted.

    They are 0 for each class that has any label, crowds too, as ``present`` (K,) bool says; else NaN.
    """
    empty = np.where(np.append(present, present.any()), 0.0, np.nan)
    return {metric: empty.copy() for metric in METRICS}


def _mean(values: np.ndarray) -> float:
    values = values[values > -1]
    return 100 * float(np.mean(values)) if values.size else float("nan")
