"""sem_seg and drivable: mask folders or label files of run lengths -> matched frames to be scored."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
from hotcoco.semantic import SemanticEval

from ...data.categories import IGNORE_LABEL, is_known
from ...data.folders import LABEL_SUFFIXES, files_below
from ...data.image_names import image_stem, plain_name
from ...data.labels import Frame
from ...data.masks import check_mask, frame_to_mask, list_masks, read_mask
from ...data.other_classes import leave_out_others
from ...data.png import GREY, read_header
from ...data.vintages import read_labels
from ...errors import DataError, shown
from ...parallel import map_frames
from ...tasks import Task
from ..metrics.segmentation import confusion_matrix
from ..own_classes import check_stated, classes_remedy, count_labels, tell_absent, tell_left_out, warn_of_assumed
from ..toolkit_format import ToolkitScores, extra_segmentation_metrics, official_segmentation
from .matched_frames import MatchedFrames, match_frames, named_as_truth
from .pairs import check_masks_present, warn_without_mask
from .prediction_labels import check_mask_predictions

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class MatchedMasks(MatchedFrames):
    """The confusion matrices of a split.

    Attributes:
        matrices: (F, K, K + 1) int64, as :func:`~bdd100k_d2.evaluation.metrics.segmentation.confusion_matrix` returns.
        masks: of each frame that was opened from files the true mask and the predicted one, None where there is none.
    """

    task: Task
    names: Sequence[str]
    matrices: np.ndarray
    masks: Sequence[tuple["Mask", "Mask | None"]] = ()

    def toolkit_scores(self, frames: np.ndarray | None = None) -> ToolkitScores:
        """IoU, Acc (the precision), fIoU and pAcc; of drivable without the background."""
        return official_segmentation(self.task, self._total(frames))

    def extra_metrics(self, frames: np.ndarray | None = None) -> ToolkitScores:
        """The recall, and for drivable the IoU with the background as a third class."""
        return extra_segmentation_metrics(self.task, self._total(frames))

    def _total(self, frames: np.ndarray | None) -> np.ndarray:
        total: np.ndarray = (self.matrices if frames is None else self.matrices[frames]).sum(axis=0)
        return total


def pair_masks(task: Task, truth: Path, predicted: Path) -> tuple[list[str], list[tuple["Mask", "Mask | None"]]]:
    """The frames of the ground truth, and of each the true mask and the predicted one, which are not read yet.

    ``truth`` and ``predicted`` are each a folder of masks (``<frame>.png``, ids 0 to K-1 and 255), or label files with
    run lengths. Labels of other classes than the own ones of a task are left out.

    Raises:
        DataError: a bad label file, two masks of a frame, an unknown category, or predictions of other frames.
    """
    true, found = _open(truth, task, check=True), _open(predicted, task, check=False)
    if any(isinstance(mask, MaskFile) for masks in (true, found) for mask in islice(masks.values(), 1)):
        true, found = _by_stem(true, truth), _by_stem(found, predicted)
    else:
        found = dict(zip(named_as_truth(true, [*found], predicted), found.values(), strict=True))
    frames = match_frames(true, found, truth, predicted)
    if isinstance(true[frames[0]], MaskFile):
        warn_of_assumed(truth, frames, task)
    return frames, [(true[frame], found.get(frame)) for frame in frames]


def open_masks(task: Task, truth: Path, predicted: Path, workers: int) -> MatchedMasks:
    """Counts the pixels of every frame of the ground truth, in ``workers`` threads, as `pair_masks` finds them.

    Raises:
        DataError: as `pair_masks`, and for a mask that cannot be read or has another size.
    """
    frames, pairs = pair_masks(task, truth, predicted)
    count = partial(_count, num_classes=task.num_classes)
    matrices = np.stack(list(map_frames(count, pairs, workers, "counting pixels", threads=True)))
    no_class = [
        isinstance(mask, MaskFile) and matrix[:, -1].any() for (_, mask), matrix in zip(pairs, matrices, strict=True)
    ]
    if any(no_class):
        logger.warning(
            "%s: %d masks have pixels whose id is no class, which count as wrong; the first is %s.",
            predicted,
            sum(no_class),
            pairs[no_class.index(True)][1],
        )
    return MatchedMasks(task, frames, matrices, pairs)


class MaskFile(NamedTuple):
    """A mask on disk, whose ids are checked unless ``num_classes`` is None."""

    path: Path
    num_classes: int | None

    def __str__(self) -> str:
        return str(self.path)

    def read(self) -> np.ndarray:
        """The ids, (H, W) uint8.

        Raises:
            DataError: the file is damaged or missing, or has ids that the task does not have.
        """
        mask = read_mask(self.path)
        return mask if self.num_classes is None else check_mask(mask, self.num_classes, self.path)

    def is_plain(self) -> bool:
        """Whether the file's header is that of an 8-bit grey PNG."""
        header = read_header(self.path)
        return header is not None and (header.bits, header.color_type) == (8, GREY)


class MaskLabels(NamedTuple):
    """The run lengths of a frame in the label file ``path``."""

    frame: Frame
    path: Path
    task: Task

    def __str__(self) -> str:
        return f"{self.path}: frame {self.frame.name}"

    def read(self) -> np.ndarray:
        """The ids, (H, W) uint8.

        Raises:
            DataError: run lengths that are damaged, or of another size.
        """
        # Officially background is no class of run lengths: it is what nothing else is painted on.
        unscored = self.task.unscored
        class_ids = {name: i for i, name in enumerate(self.task.names) if i != unscored}
        unpainted = IGNORE_LABEL if unscored is None else unscored
        try:
            return frame_to_mask(self.frame, class_ids, *self.frame.height_width, unpainted)
        except DataError as error:
            raise DataError(f"{self.path}: {error}") from None


Mask = MaskFile | MaskLabels


def _open(path: Path, task: Task, check: bool) -> dict[str, Mask]:
    """The masks of a folder, or of label files, by frame; ``check`` refuses ids that the task does not have."""
    if path.is_dir() and (files := list_masks(path, below=True)):
        return {frame: MaskFile(file, task.num_classes if check else None) for frame, file in files.items()}
    if path.suffix == ".png":
        raise DataError(f"{path}: one mask; give the folder of the masks.")
    if path.is_dir() and not files_below(path, *LABEL_SUFFIXES):
        raise DataError(f"{path}: no .png and no .json file in the folder; give a folder of masks or label files.")
    if check:
        check_stated(path, task)
    frames = read_labels(path).frames
    others = leave_out_others(frames, task)
    tell_left_out(others, count_labels(frames), path, task)
    if check:
        tell_absent(frames, path, task)
        check_masks_present(frames, path)
    _check_labels(frames, task, path, check)
    if not check:
        check_mask_predictions(frames, path)
    return {frame.name: MaskLabels(frame, path, task) for frame in frames}


def _by_stem(masks: Mapping[str, Mask], path: Path) -> dict[str, Mask]:
    """Masks by the stems of their frames; DataError where two frames have one."""
    found: dict[str, Mask] = {}
    for name, mask in masks.items():
        # A mask a.jpg.png is that of no image a.jpg, officially too.
        stem = name if isinstance(mask, MaskFile) else image_stem(plain_name(name))
        if found.setdefault(stem, mask) is not mask:
            raise DataError(f"{path}: two frames are called {stem}; masks cannot be matched to both.")
    return found


def _check_labels(frames: Iterable[Frame], task: Task, path: Path, of_truth: bool) -> None:
    """Counts the labels that are officially left out; raises DataError for a category that no task has."""
    others = without = 0
    for frame in frames:
        for label in frame.labels or ():
            if label.rle is None:
                without += 1
            elif label.category not in task.names:
                if not is_known(label.category):
                    raise DataError(
                        f"{path}: frame {frame.name}, label {shown(label.id)}: unknown category "
                        f"{shown(repr(label.category))}. Known are {', '.join(map(shown, task.names))}."
                        + (classes_remedy(path, task) if of_truth else "")
                    )
                others += 1
    warn_without_mask(path, without)
    if others:
        logger.warning("%s: %d labels of classes that this task does not score are left out.", path, others)


def _count(pair: tuple[Mask, Mask | None], num_classes: int) -> np.ndarray:
    truth, prediction = pair
    if isinstance(truth, MaskFile) and isinstance(prediction, MaskFile):
        matrix = _count_files(truth, prediction, num_classes)
        if matrix is not None:
            return matrix
    true = truth.read()
    if prediction is None:
        # Officially, no prediction is one of no class.
        return confusion_matrix(true, np.full_like(true, IGNORE_LABEL), num_classes)
    found = prediction.read()
    if found.shape != true.shape:
        raise DataError(
            f"{prediction}: the mask is {found.shape[1]}x{found.shape[0]}, the ground truth "
            f"{true.shape[1]}x{true.shape[0]} ({truth}); write predictions in the image's size."
        )
    return confusion_matrix(true, found, num_classes)


def _count_files(truth: MaskFile, prediction: MaskFile, num_classes: int) -> np.ndarray | None:
    """Counts two files three times as fast as Pillow and NumPy do; None for files that need a closer look."""
    try:
        if not (truth.is_plain() and prediction.is_plain()):
            return None
        evaluation = SemanticEval(num_classes)
        evaluation.update_png(str(truth.path), str(prediction.path))
    except (OSError, ValueError):
        return None
    # All predicted ids are classes, so the last column, "no class", is empty.
    return np.column_stack([evaluation.confusion(), np.zeros(num_classes)]).astype(np.int64)
