"""Detections against ground truth: two label files -> everything that the report says of them."""

import math
from pathlib import Path

import numpy as np

from ...data.labels import without_collection
from ...errors import ConfigError
from ...evaluation.files.detection import open_det
from ...evaluation.metrics.coco_scores import IOU_THRESHOLDS
from ...evaluation.toolkit_format import ToolkitScores, summary
from ...parallel import cores
from ...tasks import TASKS, Task
from .counts import detection_confusion, size_histograms
from .detection_frames import DetectionFrames
from .detection_records import DetectionAnalysis, DetectionClass
from .error_types import classify, count_errors
from .frames import check_arguments
from .matching import Matches, match
from .precision import WeightedPrecision, precision_recall
from .records import Estimate
from .resampling import ROUNDS, describe_bootstrap, estimates, resample
from .slices import box_slices, frame_slices, size_slice

_METRICS = ("AP", "AP50", "AP75", "AR100")
_CURVES = tuple(int(np.argmin(abs(IOU_THRESHOLDS - iou))) for iou in (0.5, 0.75))
_CURVE_POINTS = 300


def analyse_detection(
    truth: Path,
    predicted: Path,
    images: Path | None = None,
    *,
    score_threshold: float = 0.3,
    bootstrap: int = ROUNDS,
    worst: int = 60,
    worst_each: int = 4,
    workers: int | None = None,
    image_ids: Path | None = None,
    task: Task = TASKS["det"],
) -> DetectionAnalysis:
    """Scores detections (label files of any vintage, or folders of them) officially, and says where and how they fail.

    The confusion matrix, the counts of errors, the histogram of sizes and the choice of frames are of the detections
    with at least ``score_threshold``. The intervals are made of ``bootstrap`` rounds, 0 for none. Shown are the
    ``worst`` frames, and ``worst_each`` of each class, error type and slice. By default there are as many ``workers``,
    processes or threads, as cores. ``image_ids`` is the COCO file of the image ids of ``predicted``, if these are COCO
    results and ``truth`` is not COCO. Of a ``task`` with own classes the scores are the same metrics, and not official.

    Raises:
        ConfigError: a number is negative, or ``score_threshold`` is not between 0 and 1.
        DataError: a file cannot be read, a category is unknown, a prediction has no score or is of another frame, or
            ``images`` is no folder.
    """
    check_arguments(truth, predicted, images, bootstrap=bootstrap, worst=worst, worst_each=worst_each)
    if not 0 <= score_threshold <= 1:
        raise ConfigError(f"a score threshold of {score_threshold} leaves nothing to count; give one from 0 to 1.")
    workers = workers or cores()
    with without_collection():
        matched, attributes, vintage = open_det(truth, predicted, workers, image_ids, task)
        classes = task.names
        official = matched.toolkit_scores()
        matches = match(matched.truth, matched.detections, len(matched.names), len(classes))
        outcomes = classify(matches)
        ends = _intervals(matches, bootstrap, workers)
        curves = (
            precision_recall(matches, k, name, t, _CURVE_POINTS) for k, name in enumerate(classes) for t in _CURVES
        )
        num_frames = len(matched.names)
        frames = DetectionFrames(matches, outcomes, matched.flags, matched.names, attributes, images, score_threshold)
        return DetectionAnalysis(
            task=task,
            truth=truth,
            predicted=predicted,
            vintage=vintage.value,
            num_frames=num_frames,
            num_boxes=int((~matches.ignored).sum()),
            num_ignored=int(matches.ignored.sum()),
            num_detections=len(matches.detections.score),
            num_without_prediction=num_frames - len(np.unique(matches.detections.frame)),
            score_threshold=score_threshold,
            headline=_headline(official, ends[:, : len(_METRICS)]),
            bootstrap=describe_bootstrap(bootstrap, num_frames),
            classes=_class_rows(matches, official, ends[:, len(_METRICS) :], classes, score_threshold),
            curves=tuple(curve for curve in curves if curve is not None),
            slices={
                **frame_slices(matched, attributes, truth),
                "size": size_slice(matches, official),
                **box_slices(matched, truth),
            },
            confusion=detection_confusion(matches, score_threshold),
            errors=count_errors(matches, outcomes, classes, score_threshold),
            sizes=size_histograms(matches, outcomes, classes, score_threshold),
            worst=frames.worst(worst, worst_each),
            ranking="Frames are ordered by their number of errors of all types at score "
            f"{score_threshold:g} and above; of equal ones the lower F1 is first. Shown are the first {worst:,}, and "
            f"the {worst_each:,} frames with the most errors of each class, of each error type, and of each weather, "
            "scene and time of day.",
            frame_errors=frames.errors(),
            frames=frames.named,
            matched=matched,
            attributes=attributes,
        )


def _intervals(matches: Matches, rounds: int, workers: int) -> np.ndarray:
    """(2, 4 + 2 K) the ends of the intervals of `_METRICS`, then of each class's AP, then of each class's AP50."""
    precision = WeightedPrecision(matches)

    def score(weights: np.ndarray) -> np.ndarray:
        average, recall = precision(weights)
        present = ~np.isnan(average[:, 0])
        overall = [average, average[:, 0], average[:, _CURVES[1]], recall]
        means = [values[present].mean() if present.any() else np.nan for values in overall]
        return np.concatenate([means, average.mean(axis=1), average[:, 0]])

    return resample(score, matches.num_frames, rounds, workers=workers)


def _headline(official: ToolkitScores, ends: np.ndarray) -> dict[str, Estimate]:
    values = summary(official)
    without_ends = {metric: Estimate(value, math.nan, math.nan) for metric, value in values.items()}
    with_ends = estimates(np.array([values[metric] for metric in _METRICS]), ends)
    return without_ends | dict(zip(_METRICS, with_ends, strict=True))


def _class_rows(
    matches: Matches, official: ToolkitScores, ends: np.ndarray, classes: tuple[str, ...], score_threshold: float
) -> tuple[DetectionClass, ...]:
    num = len(classes)
    ap, ap50 = (
        estimates(np.array([official[metric][0][name] for name in classes]), part)
        for metric, part in (("AP", ends[:, :num]), ("AP50", ends[:, num:]))
    )
    categories, boxes = matches.detections.category, matches.positives().tolist()
    confident = np.bincount(categories[matches.detections.score >= score_threshold], minlength=num).tolist()
    return tuple(
        DetectionClass(
            name=name,
            ap=ap[k],
            ap50=ap50[k],
            boxes=boxes[k],
            confident=confident[k],
            toolkit_scores={metric: values[0][name] for metric, values in official.items()},
        )
        for k, name in enumerate(classes)
    )
