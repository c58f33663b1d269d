"""Detection scores as the official toolkit computes them: COCO's twelve, in percent, by class and overall.

The matching is hotcoco's, whose precision arrays equal those of pycocotools bit for bit; the official toolkit wraps
pycocotools (``scalabel/eval/detect.py``). What makes the numbers official is in what goes in: inclusive boxes, ignored
classes as crowd, every frame of the ground truth, in the order of the frames' names.
"""

from mmap import mmap
from typing import NamedTuple

import numpy as np
from hotcoco import COCO, COCOeval

from .coco_scores import accumulated, coco_scores, empty_scores


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
    """Scores detections against the ground truth, in the form of :func:`.coco.coco_scores`."""
    present = np.bincount(truth.category, minlength=num_classes) > 0
    if len(detections.frame) == 0 or not present.any():
        # COCO's code cannot be run without detections.
        return empty_scores(present)
    return coco_scores(*_evaluate(truth, detections, num_frames, num_classes))


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
    results = dataset.load_res(_result_rows(detections))
    evaluation = COCOeval(dataset, results, "bbox")
    evaluation.evaluate()
    evaluation.accumulate()
    return accumulated(evaluation)


def _result_rows(detections: Detections) -> np.ndarray:
    """(N, 7) image id, x, y, width, height, score, category id: results as COCO's code takes them, at least one."""
    # NumPy itself would ask for huge pages. A virtual machine that gives unused memory back to its host waits for each
    # of those, which takes several times as long as to fill them.
    count = len(detections.frame)
    rows: np.ndarray = np.ndarray((count, 7), np.float64, mmap(-1, count * 7 * 8))
    # COCO's ids count from 1.
    np.add(detections.frame, 1, out=rows[:, 0])
    rows[:, 1:5] = detections.box
    rows[:, 5] = detections.score
    np.add(detections.category, 1, out=rows[:, 6])
    return rows
