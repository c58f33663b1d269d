"""Semantic segmentation scores as the official toolkit computes them, in percent, from one int64 matrix.

Sources: ``bdd100k/eval/seg.py`` and ``scalabel/eval/sem_seg.py``. The toolkit adds up in int32, which wraps beyond
2,300 full frames of one class; this does not.
"""

from typing import NamedTuple

import numpy as np


class SegmentationScores(NamedTuple):
    """Scores in percent.

    Attributes:
        iou: (K,) intersection over union; 0 for a class that is neither in the ground truth nor predicted.
        precision: (K,) the official "Acc": of the pixels predicted as a class, the share that are of it.
        recall: (K,) of the pixels of a class, the share that are predicted as it; NaN for an absent class.
        present: (K,) bool, whether the ground truth has the class; means are over these.
        frequency_iou: the IoUs weighted by the classes' pixels, the official "fIoU".
        pixel_accuracy: the share of right pixels, the official "pAcc".
    """

    iou: np.ndarray
    precision: np.ndarray
    recall: np.ndarray
    present: np.ndarray
    frequency_iou: float
    pixel_accuracy: float

    def mean(self, values: np.ndarray) -> float:
        """The mean of ``values`` (K,) over the classes of the ground truth; NaN when it has none."""
        return float(values[self.present].mean()) if self.present.any() else float("nan")


def confusion_matrix(truth: np.ndarray, prediction: np.ndarray, num_classes: int) -> np.ndarray:
    """Counts pixels of two masks (H, W) uint8 by true and predicted class.

    Pixels whose true value is not in 0..K-1 are not counted; such a prediction is a wrong answer of no class.

    Returns:
        (K, K + 1) int64: rows are true classes, columns predicted ones, the last is "no class".
    """
    pairs = truth.astype(np.uint16)
    pairs <<= 8
    pairs |= prediction
    pairs = pairs.ravel()
    # Neighbours are mostly equal: counting the runs takes a third of the time of counting the pixels.
    starts = np.append(0, 1 + np.flatnonzero(pairs[1:] != pairs[:-1])) if pairs.size else np.zeros(0, np.intp)
    lengths = np.diff(starts, append=pairs.size)
    counts = np.bincount(pairs[starts], weights=lengths, minlength=1 << 16).astype(np.int64)
    counts = counts.reshape(256, 256)[:num_classes]
    return np.column_stack([counts[:, :num_classes], counts[:, num_classes:].sum(axis=1)])


def segmentation_scores(matrix: np.ndarray) -> SegmentationScores:
    """Scores a (K, K + 1) matrix as :func:`confusion_matrix` returns it, summed over all frames."""
    true = matrix.sum(axis=1)
    predicted = matrix[:, :-1].sum(axis=0)
    right = np.diag(matrix)
    with np.errstate(invalid="ignore"):
        iou = np.nan_to_num(right / (true + predicted - right))
        precision = np.nan_to_num(right / predicted)
        recall = right / true
        frequency = true / true.sum()
        pixel_accuracy = right.sum() / true.sum()
    return SegmentationScores(
        iou=100 * iou,
        precision=100 * precision,
        recall=100 * recall,
        present=true > 0,
        frequency_iou=100 * float((iou * frequency).sum()),
        pixel_accuracy=100 * float(pixel_accuracy),
    )


def without_background(matrix: np.ndarray, unscored: int | None) -> np.ndarray:
    """The official view (K - 1, K) of a matrix (K, K + 1): a class is not scored, and a wrong answer where predicted.

    ``unscored`` is that class, as the background of drivable; if None, the matrix stays as it is.
    """
    if unscored is None:
        return matrix
    rows = np.delete(matrix, unscored, axis=0)
    return np.column_stack([np.delete(rows[:, :-1], unscored, axis=1), rows[:, unscored] + rows[:, -1]])
