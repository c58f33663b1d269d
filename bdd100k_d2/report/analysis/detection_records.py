"""What an analysis of detections holds.

Scores and costs are in percent, coordinates in pixels with **inclusive** corners, class indices count from 0. NaN
stands for what does not exist, as the score of a class without ground truth.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from .records import AnalysedFrame, Analysis, Estimate

RIGHT = "right"
"""A detection that finds a box of its class: a true positive."""

NOT_COUNTED = "ignored"
"""A detection on a crowd or an ignored box, or beyond the hundred best of a class and a frame."""

DETECTION_ERRORS = ("classification", "localisation", "both", "duplicate", "background")
"""What can be wrong with a detection; see :mod:`.error_types` for their definitions."""

OUTCOMES = (*DETECTION_ERRORS, RIGHT, NOT_COUNTED)
"""What can become of a detection; arrays and the page's data hold places in it."""

MISSED = "missed"
"""A box of ground truth that no detection finds, and that no classification or localisation error accounts for."""

ERROR_TYPES = (*DETECTION_ERRORS, MISSED)


class DetectionClass(NamedTuple):
    """A row of the table of classes.

    Attributes:
        ap: COCO's AP, the mean over ten IoU thresholds.
        ap50: the AP at IoU 0.5.
        boxes: scored boxes of ground truth.
        confident: detections of this class at the score threshold or above.
        toolkit_scores: all twelve official scores by name, "AP" to "ARl".
    """

    name: str
    ap: Estimate
    ap50: Estimate
    boxes: int
    confident: int
    toolkit_scores: Mapping[str, float]


class PrecisionRecall(NamedTuple):
    """A precision-recall curve of a class, thinned to a few hundred points, by descending score.

    Attributes:
        iou: at which a box is found.
        recall: (P,) float64, 0 to 100, ascending.
        precision: (P,) float64, 0 to 100, as measured, not made monotonous.
        ap: the area under the curve as COCO takes it, in percent.
    """

    name: str
    iou: float
    recall: np.ndarray
    precision: np.ndarray
    ap: float


class DetectionErrors(NamedTuple):
    """The errors of a class, or of all ("all classes").

    Attributes:
        name: of the class. A detection's error belongs to the detection's class, a missed box to its own.
        counts: by error type (`ERROR_TYPES`), at the score threshold.
        costs: by error type, the AP50 that is gained when all errors of that type, at any score, are mended, in
            percentage points. Costs do not add up.
        right: detections that find a box, at the score threshold.
    """

    name: str
    counts: Mapping[str, int]
    costs: Mapping[str, float]
    right: int


class SizeHistogram(NamedTuple):
    """Scored boxes of a class, or of all ("all classes"), by size: the square root of their area.

    Attributes:
        edges: (B + 1,) float64 pixels, growing by a constant factor; 32 and 96, COCO's limits, are among them.
        found: (B,) int64 boxes that a detection finds at IoU 0.5 and the score threshold.
        missed: (B,) int64 the others.
    """

    name: str
    edges: np.ndarray
    found: np.ndarray
    missed: np.ndarray


class TruthBox(NamedTuple):
    """A box of ground truth of a shown frame.

    At a score threshold t it is found if ``found_score`` >= t; else it is accounted for by an error if
    ``blamed_score`` >= t; else it is missed. (A comparison with NaN is false.)

    Attributes:
        category: class index.
        corners: x1, y1, x2, y2.
        ignored: a crowd or an ignored box: never found, never missed.
        occluded: false also where the label file does not say.
        truncated: whether the border of the image cuts it off; false also where the label file does not say.
        found_score: the score of the detection that finds it; NaN for none.
        blamed_score: the highest score of the classification and localisation errors whose ``truth`` is this box; NaN
            for none.
    """

    category: int
    corners: tuple[float, float, float, float]
    ignored: bool
    occluded: bool
    truncated: bool
    found_score: float
    blamed_score: float


class PredictedBox(NamedTuple):
    """A detection of a shown frame. Its outcome is the same at every score threshold: only higher scores decide it.

    Attributes:
        category: class index.
        corners: x1, y1, x2, y2.
        score: 0 to 1.
        outcome: one of `OUTCOMES`.
        truth: place in the frame's ``truth`` of the box that it finds, repeats, misnames or misplaces, or of the crowd
            that it lies on; -1 for an error of type background.
        iou: with that box; 0 for none.
    """

    category: int
    corners: tuple[float, float, float, float]
    score: float
    outcome: str
    truth: int
    iou: float


@dataclass(frozen=True, kw_only=True)
class DetectionFrame(AnalysedFrame):
    """A frame of the gallery: ``truth`` in the order of the label file, ``predicted`` by descending score."""

    truth: tuple[TruthBox, ...]
    predicted: tuple[PredictedBox, ...]


@dataclass(frozen=True, kw_only=True)
class DetectionAnalysis(Analysis):
    """Everything that the report says of detections.

    The headline has all twelve official scores, "AP" to "ARl"; "AP", "AP50", "AP75" and "AR100" have intervals.

    Attributes:
        vintage: of the labels, as "det_20"; scores on labels of another vintage are not comparable.
        num_boxes: scored boxes.
        num_ignored: crowds and ignored boxes.
        num_detections: in these frames, at any score.
        num_without_prediction: frames without any detection.
        score_threshold: of the confusion matrix, error counts, size histogram and the ranking of frames.
        classes: one row per class, in the official order.
        curves: of each class with ground truth, at IoU 0.5 and 0.75.
        errors: of all classes first, then one record per class.
        sizes: of all classes first, then one record per class.
        worst: the worst frames first.
        frame_errors: the number of errors of every frame by its name, in the order of the ranking.
        frames: names of frames -> these frames, in the same order; of any frame, also of one without an error.
    """

    vintage: str
    num_boxes: int
    num_ignored: int
    num_detections: int
    num_without_prediction: int
    score_threshold: float
    classes: tuple[DetectionClass, ...]
    curves: tuple[PrecisionRecall, ...]
    errors: tuple[DetectionErrors, ...]
    sizes: tuple[SizeHistogram, ...]
    worst: tuple[DetectionFrame, ...]
    frame_errors: Mapping[str, int]
    frames: Callable[[Sequence[str]], tuple[DetectionFrame, ...]]
