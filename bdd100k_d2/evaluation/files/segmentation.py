"""sem_seg and drivable: mask folders or label files of run lengths -> a problem to be scored."""

import logging
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from hotcoco.semantic import SemanticEval

from ...data.categories import is_known, names
from ...data.labels import Frame
from ...data.masks import check_mask, frame_to_mask, mask_stem, read_mask
from ...data.png import GREY, HEAD_BYTES, png_head
from ...data.vintages import read_labels
from ...errors import DataError
from ..metrics.segmentation import confusion_matrix
from ..official import Official, further_segmentation, official_segmentation
from .parallel import map_frames
from .problem import match_frames

logger = logging.getLogger(__name__)

Read = Callable[[], np.ndarray]


class SegmentationProblem:
    """The confusion matrices of a split; see :class:`~bdd100k_d2.evaluation.files.problem.Problem`.

    Attributes:
        names: the frames, sorted, without ".jpg" or ".png".
        matrices: (F, K, K + 1) int64, as :func:`~bdd100k_d2.evaluation.metrics.segmentation.confusion_matrix` returns.
    """

    def __init__(self, task: str, names: Sequence[str], matrices: np.ndarray) -> None:
        """Takes a matrix a frame."""
        self.names = names
        self.matrices = matrices
        self._task = task

    def official(self, frames: np.ndarray | None = None) -> Official:
        """IoU, Acc (the precision), fIoU and pAcc; of drivable without the background."""
        return official_segmentation(self._task, self._total(frames))

    def further(self, frames: np.ndarray | None = None) -> Official:
        """The recall, and for drivable the IoU with the background as a third class."""
        return further_segmentation(self._task, self._total(frames))

    def _total(self, frames: np.ndarray | None) -> np.ndarray:
        return (self.matrices if frames is None else self.matrices[frames]).sum(axis=0)


def open_masks(task: str, truth: Path, predicted: Path, workers: int) -> SegmentationProblem:
    """Counts the pixels of every frame of the ground truth.

    Args:
        task: "sem_seg" or "drivable".
        truth: a folder of masks (``<frame>.png``, ids 0 to K-1 and 255), or label files with run lengths.
        predicted: likewise; it need not be the same kind.
        workers: threads that count.

    Raises:
        DataError: a bad file, two masks of a frame, a mask of another size, an unknown category, or predictions of
            other frames.
    """
    true, found = _open(truth, task, check=True), _open(predicted, task, check=False)
    frames = match_frames(true, found, truth, predicted)
    count = partial(_count, num_classes=len(names(task)))
    pairs = [(true[frame], found.get(frame)) for frame in frames]
    matrices = map_frames(count, pairs, workers, "counting pixels", threads=True)
    return SegmentationProblem(task, frames, np.stack(list(matrices)))


class _MaskFile:
    """A mask on disk."""

    def __init__(self, path: Path, num_classes: int | None) -> None:
        self.path = path
        self._num_classes = num_classes

    def __str__(self) -> str:
        return str(self.path)

    def read(self) -> np.ndarray:
        mask = read_mask(self.path)
        return mask if self._num_classes is None else check_mask(mask, self._num_classes, self.path)

    def is_plain(self) -> bool:
        """Whether the file's head is that of an 8-bit grey PNG."""
        with self.path.open("rb") as file:
            head = png_head(file.read(HEAD_BYTES))
        return head is not None and (head.bits, head.color_type) == (8, GREY)


class _MaskLabels:
    """The run lengths of a frame."""

    def __init__(self, frame: Frame, path: Path, class_ids: Mapping[str, int]) -> None:
        self._frame = frame
        self._path = path
        self._class_ids = class_ids

    def __str__(self) -> str:
        return f"{self._path}: frame {self._frame.name}"

    def read(self) -> np.ndarray:
        try:
            return frame_to_mask(self._frame, self._class_ids, *self._frame.height_width)
        except DataError as error:
            raise DataError(f"{self._path}: {error}") from None


Mask = _MaskFile | _MaskLabels


def _open(path: Path, task: str, check: bool) -> dict[str, Mask]:
    """The masks in a folder or in label files, by frame; ``check`` holds that their ids are the task's."""
    classes = names(task)
    if path.is_dir() and (files := _list_masks(path)):
        return {frame: _MaskFile(file, len(classes) if check else None) for frame, file in files.items()}
    frames = read_labels(path).frames
    class_ids = {name: i for i, name in enumerate(classes)}
    _refuse_unknown_categories(frames, class_ids, path)
    return {Path(frame.name).stem: _MaskLabels(frame, path, class_ids) for frame in frames}


def _list_masks(folder: Path) -> dict[str, Path]:
    """Every PNG file in a folder and in the folders in it, by frame.

    Raises:
        DataError: two masks of a frame.
    """
    files: dict[str, Path] = {}
    for place, _, entries in os.walk(folder):
        for entry in entries:
            if not entry.endswith(".png"):
                continue
            file = Path(place, entry)
            other = files.setdefault(mask_stem(file), file)
            if other is not file:
                raise DataError(f"{file}: frame {mask_stem(file)} has another mask, {other}; remove one of the two.")
    return files


def _refuse_unknown_categories(frames: Iterable[Frame], class_ids: Mapping[str, int], path: Path) -> None:
    """Holds that every category exists; those of other tasks are left out, as officially, and counted."""
    others = 0
    for frame in frames:
        for label in frame.labels or ():
            if label.category in class_ids or label.rle is None:
                continue
            if not is_known(label.category):
                raise DataError(
                    f"{path}: frame {frame.name}, label {label.id}: unknown category {label.category!r}. "
                    f"Known are {', '.join(class_ids)}."
                )
            others += 1
    if others:
        logger.warning("%s: %d labels of classes that this task does not score are left out.", path, others)


def _count(pair: tuple[Mask, Mask | None], num_classes: int) -> np.ndarray:
    truth, prediction = pair
    if isinstance(truth, _MaskFile) and isinstance(prediction, _MaskFile):
        matrix = _count_files(truth, prediction, num_classes)
        if matrix is not None:
            return matrix
    true = truth.read()
    if prediction is None:
        # Officially, no prediction is one of no class.
        return confusion_matrix(true, np.full_like(true, 255), num_classes)
    found = prediction.read()
    if found.shape != true.shape:
        raise DataError(
            f"{prediction}: the mask is {found.shape[1]}x{found.shape[0]}, the ground truth "
            f"{true.shape[1]}x{true.shape[0]} ({truth}); write predictions in the picture's size."
        )
    return confusion_matrix(true, found, num_classes)


def _count_files(truth: _MaskFile, prediction: _MaskFile, num_classes: int) -> np.ndarray | None:
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
