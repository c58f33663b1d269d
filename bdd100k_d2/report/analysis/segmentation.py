"""Masks against ground truth: two folders -> everything that the report says of them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ...data.image_names import image_name, image_stem
from ...data.labels import FrameAttributes
from ...errors import ConfigError
from ...evaluation.files.evaluate import read_attributes
from ...evaluation.files.segmentation import Mask, MaskFile, MaskLabels, MatchedMasks, open_masks
from ...evaluation.metrics.segmentation import segmentation_scores, without_background
from ...evaluation.toolkit_format import extra_segmentation_metrics, official_segmentation, summary
from ...parallel import cores
from ...tasks import TASKS, Task
from .frames import attributes_by_place, check_arguments, find_images, slice_masks, worst_of_each
from .records import AnalysedFrame, Analysis, Estimate
from .resampling import ROUNDS, describe_bootstrap, estimates, resample
from .slices import frame_slices


class SegmentationClass(NamedTuple):
    """A row of the table of classes.

    Attributes:
        iou: intersection over union; the value is the official one, 0 where the class is nowhere.
        precision: the official "Acc": of the pixels predicted as the class, the share that are of it.
        recall: of the pixels of the class, the share that are predicted as it.
        frames: frames that have the class in their ground truth.
        is_scored: whether it counts in the official averages (drivable's background and absent classes do not).
    """

    name: str
    iou: Estimate
    precision: float
    recall: float
    true_pixels: int
    frames: int
    is_scored: bool


@dataclass(frozen=True, kw_only=True)
class SegmentationFrame(AnalysedFrame):
    """A frame of the gallery.

    Attributes:
        truth: its mask of ground truth; masks are read when they are drawn.
        predicted: None where there is none.
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
    """Everything that the report says of masks; ``classes`` are in the official order, the ``worst`` frames first.

    The headline has "mIoU", "mAcc", "fIoU", "pAcc", then "mRecall" and of drivable "mIoU-strict", all with intervals.
    """

    classes: tuple[SegmentationClass, ...]
    worst: tuple[SegmentationFrame, ...]


def analyse_segmentation(
    task: Task,
    truth: Path,
    predicted: Path,
    images: Path | None = None,
    *,
    attributes: Path | None = None,
    bootstrap: int = ROUNDS,
    worst: int = 60,
    worst_each: int = 4,
    workers: int | None = None,
) -> SegmentationAnalysis:
    """Scores masks (folders of masks, or label files with run lengths) officially, and says where they fail.

    ``attributes`` is a label file with the frames' attributes, where ``truth`` has none. The intervals are made of
    ``bootstrap`` rounds, 0 for none. Shown are the ``worst`` frames, and ``worst_each`` of each class and slice. By
    default there are as many ``workers``, which are threads, as cores.

    Raises:
        ConfigError: the results of ``task`` are no masks, or a number is negative.
        DataError: a file cannot be read, a mask has another size, predictions or attributes are of other frames, or
            ``images`` is no folder.
    """
    if task.form != "masks":
        with_masks = [name for name, one in TASKS.items() if one.form == "masks"]
        raise ConfigError(f"no analysis of masks for task {task.name!r}; there are {', '.join(with_masks)}.")
    check_arguments(truth, predicted, images, bootstrap=bootstrap, worst=worst, worst_each=worst_each)
    workers = workers or cores()
    matched = open_masks(task, truth, predicted, workers)
    source = truth if attributes is None else attributes
    known: Mapping[str, FrameAttributes] = {}
    if attributes is not None or isinstance(matched.masks[0][0], MaskLabels):
        known = read_attributes(source, matched)

    headline = summary(matched.toolkit_scores()) | summary(matched.extra_metrics())
    ends = _intervals(task, matched.matrices, bootstrap, workers)
    of_headline = estimates(np.array(list(headline.values())), ends[:, : len(headline)])
    num_frames = len(matched.names)
    of_slices = f", and the first {worst_each:,} of each weather, scene and time of day" if known else ""
    return SegmentationAnalysis(
        task=task,
        truth=truth,
        predicted=predicted,
        num_frames=num_frames,
        headline=dict(zip(headline, of_headline, strict=True)),
        bootstrap=describe_bootstrap(bootstrap, num_frames),
        classes=_class_rows(task, matched.matrices, ends[:, len(headline) :]),
        confusion=matched.matrices.sum(axis=0),
        slices=frame_slices(matched, known, source),
        worst=_frames(task, matched, images, known, worst, worst_each),
        ranking="Frames are ordered by their mIoU, the mean of the IoUs over the scored classes of their ground truth; "
        f"frames without any are left out. Shown are the first {worst:,}, the {worst_each:,} with the most wrong "
        f"pixels of each class{of_slices}.",
        matched=matched,
        attributes=known,
    )


def _view(task: Task, matrix: np.ndarray) -> np.ndarray:
    """What of a matrix is scored officially."""
    return without_background(matrix, task.unscored)


def _of_all(task: Task, matrix: np.ndarray, values: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """(K,) ``values`` of all classes: the official ones, and after them that of a class that is not scored."""
    scored = values(_view(task, matrix))
    return np.concatenate([scored, values(matrix)[len(scored) :]])


def _iou(matrix: np.ndarray) -> np.ndarray:
    return segmentation_scores(matrix).iou


def _seen(matrix: np.ndarray) -> np.ndarray:
    """(K,) bool, which classes have an IoU: those in the ground truth or the prediction where it counts them."""
    return np.logical_or(matrix.any(axis=1), matrix[:, :-1].any(axis=0))


def _intervals(task: Task, matrices: np.ndarray, rounds: int, workers: int) -> np.ndarray:
    """(2, S + K) the ends of the intervals of the headline's S scores, then of each class's IoU."""
    shape = matrices.shape[1:]
    # Sums of pixels stay exact in float64 up to 2 ** 53: more than nine billion frames.
    flat = matrices.reshape(len(matrices), -1).astype(float)

    def score(weights: np.ndarray) -> np.ndarray:
        matrix = (weights @ flat).reshape(shape)
        headline = summary(official_segmentation(task, matrix)) | summary(extra_segmentation_metrics(task, matrix))
        absent = matrix.sum(axis=1) == 0
        return np.concatenate([list(headline.values()), np.where(absent, np.nan, _of_all(task, matrix, _iou))])

    return resample(score, len(matrices), rounds, workers=workers)


def _class_rows(task: Task, matrices: np.ndarray, ends: np.ndarray) -> tuple[SegmentationClass, ...]:
    total = matrices.sum(axis=0)
    present = segmentation_scores(_view(task, total)).present.tolist()
    ious = estimates(_of_all(task, total, _iou), ends)
    precision = _of_all(task, total, lambda matrix: segmentation_scores(matrix).precision).tolist()
    recall = _of_all(task, total, lambda matrix: segmentation_scores(matrix).recall).tolist()
    true_pixels = total.sum(axis=1).tolist()
    frames = np.count_nonzero(matrices.any(axis=2), axis=0).tolist()
    return tuple(
        SegmentationClass(
            name=name,
            iou=ious[k],
            precision=precision[k],
            recall=recall[k],
            true_pixels=true_pixels[k],
            frames=frames[k],
            is_scored=k < len(present) and present[k],
        )
        for k, name in enumerate(task.names)
    )


def _frames(
    task: Task,
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
    paths = find_images(
        [image_name(stem) for stem in stems],
        images,
        [mask.path for mask, _ in matched.masks if isinstance(mask, MaskFile)],
    )
    frames = []
    for place, stem, path in zip(worst, stems, paths, strict=True):
        ious, present = (_of_all(task, matrices[place], values).tolist() for values in (_iou, _seen))
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
                classes={name: iou for name, iou, seen in zip(task.names, ious, present, strict=True) if seen},
            )
        )
    return tuple(frames)
