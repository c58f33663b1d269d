"""Two label files with run lengths -> pairs of frames, and the checked masks of a frame."""

import logging
from collections.abc import Iterable, Sequence
from pathlib import Path

from ...data.labels import Frame, Label
from ...data.rle import CocoRLE, check_rle
from ...data.vintages import read_labels
from ...errors import DataError
from .problem import match_frames

logger = logging.getLogger(__name__)


def read_pairs(truth: Path, predicted: Path) -> list[tuple[Frame, Frame]]:
    """Reads ground truth and predictions, and pairs their frames, by name; a frame not predicted has no labels.

    Raises:
        DataError: what :func:`~bdd100k_d2.data.vintages.read_labels` and :func:`.problem.match_frames` raise, or no
            label of the ground truth has run lengths.
    """
    true_frames = {frame.name: frame for frame in read_labels(truth).frames}
    frames = {frame.name: frame for frame in read_labels(predicted).frames}
    names = match_frames(true_frames, frames, truth, predicted)
    check_masks_present(true_frames.values(), truth)
    return [(true_frames[name], frames.get(name) or Frame(name)) for name in names]


def check_masks_present(frames: Iterable[Frame], path: Path) -> None:
    """Holds that of the labels of ground truth, if there are any, not all are without a mask.

    Raises:
        DataError: they are.
    """
    labels = [label for frame in frames for label in frame.labels or ()]
    if labels and all(label.rle is None for label in labels):
        raise DataError(
            f"{path}: no label has a mask in run lengths (rle); give labels/<task>/rles/, not polygons or boxes, or a "
            "folder of masks or bitmasks."
        )


def warn_without_mask(path: Path, count: int) -> None:
    """Warns, once, of labels that officially are left out because they have no mask."""
    if count:
        logger.warning("%s: %d labels have no mask (rle) and are left out.", path, count)


def checked_masks(frame: Frame, labels: Sequence[Label], truth: Frame, path: Path) -> list[CocoRLE]:
    """The masks of those of a frame's labels that have run lengths.

    Args:
        frame: of ground truth or predictions.
        labels: some of its labels, all with run lengths.
        truth: the frame of ground truth, whose size counts; 720x1280 where it has none.
        path: the label file, for messages.

    Raises:
        DataError: a mask of another size, or broken run lengths.
    """
    return [
        check_rle(label.rle, truth.height_width, f"{path}: frame {frame.name}, label {label.id} ({label.category})")
        for label in labels
    ]


def warn_overlaps(predicted: Path, frames: Sequence[str]) -> None:
    """Warns, once, of frames whose predictions the official rule takes away."""
    if frames:
        logger.warning(
            "%s: in %d frames predicted masks overlap, and the official rule then drops all predictions of the frame; "
            "give each pixel to one mask. The first is %s.",
            predicted,
            len(frames),
            frames[0],
        )
