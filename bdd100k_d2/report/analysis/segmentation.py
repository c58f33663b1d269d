"""Masks against ground truth: two folders -> everything that the report says of them."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from ...data.labels import FrameAttributes, image_stem
from ...errors import ConfigError
from ...evaluation.files.evaluate import read_attributes
from ...evaluation.files.segmentation import MaskLabels, MatchedMasks, open_masks
from ...evaluation.metrics.segmentation import SegmentationScores, segmentation_scores, without_background
from ...evaluation.toolkit_format import extra_segmentation_metrics, official_segmentation, summary
from ...parallel import cores
from ...tasks import TASKS
from .arguments import check_numbers, check_paths
from .gallery import attributes_by_place, find_images, slice_masks, worst_of_each
from .resampling import ROUNDS, describe, estimates, resample
from .segmentation_records import SegmentationAnalysis, SegmentationClass, SegmentationConfusion, SegmentationFrame
from .slices import frame_tables

_METRICS = ("mIoU", "mAcc", "fIoU", "pAcc")


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
        task: "sem_seg" or "drivable".
        truth: a folder of masks, or label files with run lengths.
        predicted: likewise.
        images: the folder of the images, for the paths of the frames to show.
        attributes: a label file with the frames' attributes, where ``truth`` has none.
        bootstrap: rounds, of which the intervals are made; 0 for none.
        seed: of the bootstrap.
        worst: frames to show,
        worst_each: and so many of each class and slice.
        workers: threads; all cores without it.

    Raises:
        ConfigError: another task, or a negative number.
        DataError: a bad file, a mask of another size, predictions of other frames, attributes of other frames, or no
            folder ``images``.
    """
    known = [name for name, one in TASKS.items() if one.form == "masks"]
    if task not in known:
        raise ConfigError(f"no analysis of masks for task {task!r}; there are {', '.join(known)}.")
    check_numbers(bootstrap=bootstrap, seed=seed, worst=worst, worst_each=worst_each)
    truth, predicted, images = Path(truth), Path(predicted), None if images is None else Path(images)
    check_paths(truth, predicted, images)
    workers = workers or cores()
    matched = open_masks(task, truth, predicted, workers)
    source = Path(attributes) if attributes is not None else truth
    known: Mapping[str, FrameAttributes] = {}
    if attributes is not None or isinstance(matched.masks[0][0], MaskLabels):
        known = read_attributes(source, matched)

    total = matched.matrices.sum(axis=0)
    official, further = matched.toolkit_scores(), matched.extra_metrics()
    headline = summary(official) | summary(further)
    ends = _intervals(task, matched.matrices, bootstrap, seed, workers)
    confusion = SegmentationConfusion(tuple(TASKS[task].names), total)
    num_frames = len(matched.names)
    return SegmentationAnalysis(
        task,
        truth,
        predicted,
        num_frames,
        official,
        further,
        dict(zip(headline, estimates(np.array(list(headline.values())), ends[:, : len(headline)]), strict=True)),
        describe(bootstrap, seed, num_frames),
        _class_rows(task, matched.matrices, ends[:, len(headline) :]),
        confusion,
        frame_tables(matched, known, source, _METRICS, "IoU"),
        _frames(task, matched, images, known, worst, worst_each),
        "Frames are ordered by their mIoU, the mean of the IoUs over the scored classes of their ground truth; frames "
        f"without any are left out. Shown are the first {worst:,}, the {worst_each:,} with the most wrong pixels of "
        f"each class, and the first {worst_each:,} of each weather, scene and time of day.",
    )


def _view(task: str, matrix: np.ndarray) -> np.ndarray:
    """What of a matrix is scored officially."""
    return without_background(matrix, TASKS[task].unscored)


def _all_ious(task: str, matrix: np.ndarray) -> np.ndarray:
    """(K,) IoUs of all classes in percent: official ones, and after them drivable's background."""
    scored = segmentation_scores(_view(task, matrix)).iou
    return np.concatenate([scored, segmentation_scores(matrix).iou[len(scored) :]])


def _all_seen(task: str, matrix: np.ndarray) -> np.ndarray:
    """(K,) bool, which classes have an IoU: those in the ground truth or the prediction where it counts them."""

    def seen(counts: np.ndarray) -> np.ndarray:
        return counts.any(axis=1) | counts[:, :-1].any(axis=0)

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
    columns = zip(
        TASKS[task].names,
        ious,
        both(lambda scores: scores.precision).tolist(),
        both(lambda scores: scores.recall).tolist(),
        total.sum(axis=1).tolist(),
        total[:, :-1].sum(axis=0).tolist(),
        np.count_nonzero(matrices.any(axis=2), axis=0).tolist(),
        (scored.present.tolist() + [False] * (len(total) - num_scored)),
        strict=True,
    )
    return tuple(SegmentationClass(*column) for column in columns)


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
    paths = find_images([f"{stem}.jpg" for stem in stems], images)
    frames = []
    for place, stem, path in zip(worst, stems, paths, strict=True):
        ious, seen = _all_ious(task, matrices[place]).tolist(), _all_seen(task, matrices[place])
        frames.append(
            SegmentationFrame(
                stem,
                path,
                *matched.masks[place],
                known[place],
                float(means[place]),
                scores[place].pixel_accuracy,
                {name: iou for name, iou, is_seen in zip(TASKS[task].names, ious, seen, strict=True) if is_seen},
            )
        )
    return tuple(frames)
