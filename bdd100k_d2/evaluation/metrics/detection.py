"""Detection scores as the official toolkit computes them: COCO's twelve, in percent, a value a class and one overall.

The matching is hotcoco's, whose precision arrays equal those of pycocotools bit for bit; the official toolkit wraps
pycocotools (``scalabel/eval/detect.py``). What makes the numbers official is in what goes in: inclusive boxes, ignored
classes as crowd, every frame of the ground truth, in the order of the frames' names.
"""

from typing import NamedTuple

import numpy as np
from hotcoco import COCO, COCOeval

METRICS = ("AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100", "ARs", "ARm", "ARl")


class GroundTruth(NamedTuple):
    """The boxes of all frames as columns of length N.

    Attributes:
        frame: (N,) int64 indices of the frames, 0 to F-1.
        category: (N,) int64 class indices, 0 to K-1.
        box: (N, 4) float64 x, y, width, height in pixels, inclusive (width = x2 - x1 + 1).
        crowd: (N,) bool; crowds are matched by any number of detections and never missed.
    """

    frame: np.ndarray
    category: np.ndarray
    box: np.ndarray
    crowd: np.ndarray


class Detections(NamedTuple):
    """The detections of all frames as columns of length N; ``frame``, ``category`` and ``box`` as in `GroundTruth`.

    Attributes:
        score: (N,) float64; of equal scores in a frame, the earlier one counts as the higher.
    """

    frame: np.ndarray
    category: np.ndarray
    box: np.ndarray
    score: np.ndarray


def detection_scores(
    truth: GroundTruth, detections: Detections, num_frames: int, num_classes: int
) -> dict[str, np.ndarray]:
    """Scores detections against the ground truth.

    Returns:
        For each of `METRICS` a float64 array of shape (K + 1,) in percent: one value a class, then the overall one. NaN
        stands for a class without ground truth, which the overall value leaves out.
    """
    present = np.bincount(truth.category, minlength=num_classes) > 0
    if len(detections.frame) == 0 or not present.any():
        # COCO's code cannot be run without detections; the toolkit gives 0 to every class that has any box, crowd too.
        empty = np.where(np.append(present, present.any()), 0.0, np.nan)
        return {metric: empty.copy() for metric in METRICS}
    precision, recall = _evaluate(truth, detections, num_frames, num_classes)
    # The axes are (threshold, recall, class, area range, detections a frame); areas are all, small, medium, large.
    scores = {
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
        metric: np.array([*(_mean(values[..., k]) for k in range(num_classes)), _mean(values)])
        for metric, values in scores.items()
    }


def _evaluate(
    truth: GroundTruth, detections: Detections, num_frames: int, num_classes: int
) -> tuple[np.ndarray, np.ndarray]:
    """COCO's precision (10, 101, K, 4, 3) and recall (10, K, 4, 3) arrays; -1 where a class has no ground truth."""
    dataset = COCO.from_arrays(
        images=[{"id": i + 1, "file_name": "", "height": 0, "width": 0} for i in range(num_frames)],
        categories=[{"id": k + 1, "name": str(k)} for k in range(num_classes)],
        image_ids=truth.frame + 1,
        category_ids=truth.category + 1,
        boxes=truth.box,
        area=truth.box[:, 2] * truth.box[:, 3],
        iscrowd=truth.crowd,
    )
    results = dataset.load_res(
        np.column_stack([detections.frame + 1.0, detections.box, detections.score, detections.category + 1.0])
    )
    evaluation = COCOeval(dataset, results, "bbox")
    evaluation.evaluate()
    evaluation.accumulate()
    return evaluation.eval["precision"], evaluation.eval["recall"]


def _mean(values: np.ndarray) -> float:
    values = values[values > -1]
    return 100 * float(np.mean(values)) if values.size else float("nan")
