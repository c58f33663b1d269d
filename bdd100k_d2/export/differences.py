"""How far the results of a model file are from those of the model that it was made from, frame by frame."""

from typing import Any

import numpy as np

from ..evaluation.prediction_files import as_array, class_ids, segment_classes
from ..tasks import Task

_SAME_IOU = 0.5
# Of scores, of all detections and of all pixels; and of a box.
_ROUNDED, _MOST_PIXELS = 0.01, 1.0


class Differences:
    """Collects what differs over all frames.

    Attributes:
        frames: that were compared.
        counts: detections of the model, of the file, and pairs: of the same class, with an IoU of 0.5 or more.
        box: the largest difference of an edge of two boxes of a pair, in pixels.
        score: the largest difference of the scores of a pair.
        mask: the largest share of the pixels of two masks of a pair, of those in either, that are in one alone.
        worst_pixels: `pixels` of the frame where it is largest.
    """

    def __init__(self, task: Task) -> None:
        self._task = task
        self.frames = 0
        self.counts = np.zeros(3, np.int64)
        self.box = self.score = self.mask = self.worst_pixels = 0.0
        self._differing = self._pixels = 0

    @property
    def pixels(self) -> float:
        """The share of all pixels whose class differs."""
        return self._differing / max(self._pixels, 1)

    @property
    def is_another_model(self) -> bool:
        """Whether more differs than rounding in another order explains."""
        one, other, pairs = self.counts.tolist()
        # Equal scores may change places, of which the last are left out.
        alone = max(one, other) - pairs
        return (
            alone > 1 + _ROUNDED * max(one, other)
            or self.box > _MOST_PIXELS
            or self.score > _ROUNDED
            or self.pixels > _ROUNDED
        )

    def add(self, expected: dict[str, Any], found: dict[str, Any]) -> None:
        """Compares two outputs for a frame, each as Detectron2's models or as model files give them."""
        self.frames += 1
        if self._task.has_scores:
            self._add_objects(expected["instances"], found["instances"])
        elif self._task.form == "masks":
            self._add_classes(class_ids(expected["sem_seg"]), class_ids(found["sem_seg"]))
        else:
            self._add_classes(self._segment_ids(*expected["panoptic_seg"]), self._segment_ids(*found["panoptic_seg"]))

    def lines(self) -> list[str]:
        """What to tell the user."""
        if not self._task.has_scores:
            return [f"class of a pixel: {self.pixels:.4%} differ; in the worst frame {self.worst_pixels:.4%}"]
        model, file, pairs = self.counts.tolist()
        lines = [
            f"detections: {model:,} of the model, {file:,} of the file, {pairs:,} of both (the same class, IoU 0.5)",
            f"largest difference of a box: {self.box:.4g} px",
            f"largest difference of a score: {self.score:.2g}",
        ]
        if self._task.form != "boxes":
            lines.append(f"largest difference of a mask: {self.mask:.4%} of its pixels")
        return lines

    def _add_objects(self, expected: Any, found: Any) -> None:  # noqa: ANN401, Instances or ArrayInstances
        boxes, others = (as_array(getattr(one.pred_boxes, "tensor", one.pred_boxes)) for one in (expected, found))
        scores, other_scores = (as_array(one.scores) for one in (expected, found))
        classes, other_classes = (as_array(one.pred_classes) for one in (expected, found))
        pairs = paired(boxes, classes, others, other_classes)
        self.counts += (len(boxes), len(others), len(pairs))
        if not len(pairs):
            return
        left, right = pairs.T
        self.box = max(self.box, float(np.abs(boxes[left] - others[right]).max()))
        self.score = max(self.score, float(np.abs(scores[left] - other_scores[right]).max()))
        if self._task.form != "boxes":
            masks, other_masks = (as_array(one.pred_masks) for one in (expected, found))
            for i, j in pairs.tolist():
                either = int(np.count_nonzero(masks[i] | other_masks[j]))
                self.mask = max(self.mask, int(np.count_nonzero(masks[i] ^ other_masks[j])) / max(either, 1))

    def _add_classes(self, expected: np.ndarray, found: np.ndarray) -> None:
        differing = np.count_nonzero(expected != found)
        self._differing, self._pixels = self._differing + differing, self._pixels + expected.size
        self.worst_pixels = max(self.worst_pixels, differing / expected.size)

    def _segment_ids(self, segments: Any, infos: list[dict[str, Any]]) -> np.ndarray:  # noqa: ANN401, of either kind
        """The class of each pixel of a panoptic result, counted from 1; 0 is no segment."""
        ids = as_array(segments)
        table = np.zeros(max(int(ids.max(initial=0)), *(info["id"] for info in infos), 0) + 1, np.int64)
        for segment, k in segment_classes(infos, self._task).items():
            table[segment] = k + 1
        return table[np.maximum(ids, 0)]


def paired(boxes: np.ndarray, classes: np.ndarray, others: np.ndarray, other_classes: np.ndarray) -> np.ndarray:
    """Pairs (P, 2) of indices of boxes (N, 4) and others (M, 4) x1, y1, x2, y2 of one object, best IoU first.

    Each is in one pair at the most, with one of its class and an IoU of 0.5 or more.
    """
    if not len(boxes) or not len(others):
        return np.empty((0, 2), np.int64)
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    shared = (high - low).clip(0).prod(axis=2)
    areas, other_areas = ((b[:, 2:] - b[:, :2]).prod(axis=1) for b in (boxes, others))
    iou = shared / np.maximum(areas[:, None] + other_areas[None] - shared, 1e-9)
    iou[classes[:, None] != other_classes[None]] = 0
    pairs, taken = [], (np.zeros(len(boxes), bool), np.zeros(len(others), bool))
    # Of equal ones the first, so that the result does not depend on the sort.
    for place in np.argsort(-iou, axis=None, kind="stable").tolist():
        i, j = divmod(place, len(others))
        if iou[i, j] < _SAME_IOU:
            break
        if not (taken[0][i] or taken[1][j]):
            taken[0][i] = taken[1][j] = True
            pairs.append((i, j))
    return np.array(pairs, np.int64).reshape(-1, 2)
