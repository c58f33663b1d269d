"""Masks against ground truth: two folders -> everything that the report says of them.

Scores are in percent; NaN is the score of what does not exist.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...data.labels import FrameAttributes, image_name, image_stem
from ...errors import ConfigError
from ...evaluation.files.evaluate import read_attributes
from ...evaluation.files.segmentation import Mask, MaskLabels, MatchedMasks, open_masks
from ...evaluation.metrics.segmentation import SegmentationScores, segmentation_scores, without_background
from ...evaluation.toolkit_format import (
    ToolkitScores,
    extra_segmentation_metrics,
    official_segmentation,
    summary,
)
from ...parallel import cores
from ...tasks import TASKS
from .frames import attributes_by_place, check_arguments, find_images, slice_masks, worst_of_each
from .records import AnalysedFrame, Analysis, Confusion, Estimate
from .resampling import ROUNDS, describe_bootstrap, estimates, resample
from .slices import frame_tables

_METRICS = ("mIoU", "mAcc", "fIoU", "pAcc")


@dataclass(frozen=True, kw_only=True)
class SegmentationClass:
    """A row of the table of classes.

    Attributes:
        name: of the class.
        iou: intersection over union; the value is the official one, 0 where the class is nowhere.
        precision: the official "Acc": of the pixels predicted as the class, the share that are of it.
        recall: of the pixels of the class, the share that are predicted as it.
        true_pixels: pixels of the class.
        predicted_pixels: scored pixels that are predicted as the class.
        frames: frames that have the class in their ground truth.
        is_scored: whether it counts in the official averages (drivable's background and absent classes do not).
    """

    name: str
    iou: Estimate
    precision: float
    recall: float
    true_pixels: int
    predicted_pixels: int
    frames: int
    is_scored: bool


@dataclass(frozen=True, kw_only=True)
class SegmentationFrame(AnalysedFrame):
    """A frame of the gallery.

    Attributes:
        truth: its mask of ground truth, which is read when it is drawn.
        predicted: its predicted mask; None where there is none.
        score: the frame's mIoU, over the scored classes of its ground truth; the frames are ranked by it.
        pixel_accuracy: the share of its scored pixels that are right.
        classes: the IoU in this frame by class name, of the classes in its ground truth or in its prediction for pixels
            that are scored.
    """

    truth: Mask
    predicted: Mask | None
    score: float
    pixel_accuracy: float
    classes: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class SegmentationAnalysis(Analysis):
    """Everything that the report says of masks.

    The headline has "mIoU", "mAcc", "fIoU", "pAcc", then "mRecall" and of drivable "mIoU-strict", all with intervals.

    Attributes:
        task: whose masks they are.
        further: scores that the official tool does not have, in the same form: "Recall", of drivable "IoU-strict".
        classes: one row per class, in the official order; of drivable with background, which is not scored.
        confusion: of all classes.
        worst: the worst frames first.
    """

    task: str
    further: ToolkitScores
    classes: tuple[SegmentationClass, ...]
    confusion: Confusion
    worst: tuple[SegmentationFrame, ...]


def analyse_segmentation(
    task: str,
    truth: Path,
    predicted: Path,
    images: Path | None = None,
    *,
    attributes: Path | None = None,
    bootstrap: int = ROUNDS,
    seed: int = 0,
    worst: int = 60,
    worst_each: int = 4,
    workers: int | None = None,
) -> SegmentationAnalysis:
    """Scores masks officially, and says where they fail.

    Args:
        task: one whose results are masks, as "sem_seg".
        truth: a folder of masks, or label files with run lengths.
        predicted: the predictions, in the same forms.
        images: the folder of the images, for the paths of the frames to show.
        attributes: a label file with the frames' attributes, where ``truth`` has none.
        bootstrap: rounds, of which the intervals are made; 0 for none.
        seed: of the bootstrap.
        worst: frames to show,
        worst_each: and so many of each class and slice.
        workers: threads; all cores without it.

    Raises:
        ConfigError: the results of ``task`` are no masks, or a number is negative.
        DataError: a file cannot be read, a mask has another size, predictions or attributes are of other frames, or
            ``images`` is no folder.
    """
    with_masks = [name for name, one in TASKS.items() if one.form == "masks"]
    if task not in with_masks:
        raise ConfigError(f"no analysis of masks for task {task!r}; there are {', '.join(with_masks)}.")
    truth, predicted, images = Path(truth), Path(predicted), None if images is None else Path(images)
    check_arguments(truth, predicted, images, bootstrap=bootstrap, seed=seed, worst=worst, worst_each=worst_each)
    workers = workers or cores()
    matched = open_masks(task, truth, predicted, workers)
    source = Path(attributes) if attributes is not None else truth
    known: Mapping[str, FrameAttributes] = {}
    if attributes is not None or isinstance(matched.masks[0][0], MaskLabels):
        known = read_attributes(source, matched)

    official, further = matched.toolkit_scores(), matched.extra_metrics()
    headline = summary(official) | summary(further)
    ends = _intervals(task, matched.matrices, bootstrap, seed, workers)
    num_frames = len(matched.names)
    return SegmentationAnalysis(
        task=task,
        truth=truth,
        predicted=predicted,
        num_frames=num_frames,
        toolkit_scores=official,
        further=further,
        headline=dict(
            zip(headline, estimates(np.array(list(headline.values())), ends[:, : len(headline)]), strict=True)
        ),
        bootstrap=describe_bootstrap(bootstrap, seed, num_frames),
        classes=_class_rows(task, matched.matrices, ends[:, len(headline) :]),
        confusion=Confusion(TASKS[task].names, matched.matrices.sum(axis=0)),
        slices=frame_tables(matched, known, source, _METRICS, "IoU"),
        worst=_frames(task, matched, images, known, worst, worst_each),
        ranking="Frames are ordered by their mIoU, the mean of the IoUs over the scored classes of their ground truth; "
        f"frames without any are left out. Shown are the first {worst:,}, the {worst_each:,} with the most wrong "
        f"pixels of each class, and the first {worst_each:,} of each weather, scene and time of day.",
    )


def _view(task: str, matrix: np.ndarray) -> np.ndarray:
    """What of a matrix is scored officially."""
    return without_background(matrix, TASKS[task].unscored)


def _all_ious(task: str, matrix: np.ndarray) -> np.ndarray:
    """(K,) IoUs of all classes in percent: the official ones, and after them that of a class that is not scored."""
    scored = segmentation_scores(_view(task, matrix)).iou
    return np.concatenate([scored, segmentation_scores(matrix).iou[len(scored) :]])


def _all_seen(task: str, matrix: np.ndarray) -> np.ndarray:
    """(K,) bool, which classes have an IoU: those in the ground truth or the prediction where it counts them."""

    def seen(counts: np.ndarray) -> np.ndarray:
        return np.logical_or(counts.any(axis=1), counts[:, :-1].any(axis=0))

    scored = seen(_view(task, matrix))
    return np.concatenate([scored, seen(matrix)[len(scored) :]])


def _intervals(task: str, matrices: np.ndarray, rounds: int, seed: int, workers: int) -> np.ndarray:
    """(2, S + K) the ends of the intervals of the headline's S scores, then of each class's IoU."""
    shape = matrices.shape[1:]
    # Sums of pixels stay exact in float64 up to 2 ** 53: more than nine billion frames.
    flat = matrices.reshape(len(matrices), -1).astype(float)

    def score(weights: np.ndarray) -> np.ndarray:
        matrix = (weights @ flat).reshape(shape)
        headline = summary(official_segmentation(task, matrix)) | summary(extra_segmentation_metrics(task, matrix))
        absent = matrix.sum(axis=1) == 0
        return np.concatenate([list(headline.values()), np.where(absent, np.nan, _all_ious(task, matrix))])

    return resample(score, len(matrices), rounds, seed, workers)


def _class_rows(task: str, matrices: np.ndarray, ends: np.ndarray) -> tuple[SegmentationClass, ...]:
    total = matrices.sum(axis=0)
    scored, every = segmentation_scores(_view(task, total)), segmentation_scores(total)
    num_scored = len(scored.iou)

    def both(values: Callable[[SegmentationScores], np.ndarray]) -> np.ndarray:
        return np.concatenate([values(scored), values(every)[num_scored:]])

    ious = estimates(both(lambda scores: scores.iou), ends)
    precision, recall = (both(lambda scores: scores.precision).tolist(), both(lambda scores: scores.recall).tolist())
    true_pixels, predicted_pixels = total.sum(axis=1).tolist(), total[:, :-1].sum(axis=0).tolist()
    frames = np.count_nonzero(matrices.any(axis=2), axis=0).tolist()
    return tuple(
        SegmentationClass(
            name=name,
            iou=ious[k],
            precision=precision[k],
            recall=recall[k],
            true_pixels=true_pixels[k],
            predicted_pixels=predicted_pixels[k],
            frames=frames[k],
            is_scored=k < num_scored and bool(scored.present[k]),
        )
        for k, name in enumerate(TASKS[task].names)
    )


def _frames(
    task: str,
    matched: MatchedMasks,
    images: Path | None,
    attributes: Mapping[str, FrameAttributes],
    overall: int,
    each: int,
) -> tuple[SegmentationFrame, ...]:
    matrices = matched.matrices
    views = np.stack([_view(task, matrix) for matrix in matrices])
    scores = [segmentation_scores(view) for view in views]
    means = np.array([one.mean(one.iou) for one in scores])
    known = attributes_by_place(matched.names, attributes)
    order = np.lexsort((np.array(matched.names), means))
    order = order[~np.isnan(means[order])]
    wrong = views.sum(axis=2) + views[..., :-1].sum(axis=1) - 2 * np.diagonal(views, axis1=1, axis2=2)
    groups = [*wrong.T, *((100.0 - means + 1e-9) * mask for mask in slice_masks(known))]
    worst = worst_of_each(order, groups, overall, each).tolist()

    stems = [image_stem(matched.names[place]) for place in worst]
    paths = find_images([image_name(stem) for stem in stems], images)
    frames = []
    for place, stem, path in zip(worst, stems, paths, strict=True):
        ious, present = _all_ious(task, matrices[place]).tolist(), _all_seen(task, matrices[place])
        mask, predicted = matched.masks[place]
        frames.append(
            SegmentationFrame(
                name=stem,
                image=path,
                attributes=known[place],
                truth=mask,
                predicted=predicted,
                score=float(means[place]),
                pixel_accuracy=scores[place].pixel_accuracy,
                classes={name: iou for name, iou, seen in zip(TASKS[task].names, ious, present, strict=True) if seen},
            )
        )
    return tuple(frames)
