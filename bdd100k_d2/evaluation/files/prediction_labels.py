"""Label files as predictions: results of other detectors, and files without a single prediction."""

import logging
from collections.abc import Sequence
from pathlib import Path

from ...data.coco import is_coco
from ...data.coco_results import is_results
from ...data.diagnosis import diagnose
from ...data.folders import label_files
from ...data.json_file import JSON_ERRORS, read_json
from ...data.label_document import open_document
from ...data.labels import Frame
from ...data.unlabelled import has_labels_key, shapes_of
from ...errors import DataError

logger = logging.getLogger(__name__)


def ids_of_results(truth: Path, predicted: Path, image_ids: Path | None) -> Path | None:
    """The COCO file that says what the ids of predicted results stand for: ``image_ids``, else the ground truth.

    None where the predictions are no results, or the ground truth is not COCO.
    """
    if image_ids is None and predicted.is_file() and is_results(predicted) and truth.is_file() and is_coco(truth):
        return truth
    return image_ids


def check_mask_predictions(frames: Sequence[Frame], path: Path) -> None:
    """Warns if no frame of predictions has a label; DataError if labels have other shapes, and none has a mask."""
    labels = [label for frame in frames for label in frame.labels or ()]
    if all(label.rle is None for label in labels):
        check_without_shape(path, "rle", len(labels))


def check_without_shape(path: Path, shape: str, count: int) -> None:
    """Checks the label file or folder ``path`` of ``count`` predictions, none of which has ``shape``, a key of labels.

    The official tool scores labels without any shape as it does no labels; a warning says so.

    Raises:
        DataError: the labels have other shapes, or there are none because no frame has the key ``labels``.
    """
    others: set[str] = set()
    keyed = False
    for file in label_files(path):
        if file.is_fifo():
            # It was read.
            keyed = True
            continue
        if is_results(file):
            others.add("bbox" if shape == "rle" else "segmentation")
            continue
        content = read_json(file)
        try:
            document = open_document(content)
            if document.is_coco or document.is_first_release:
                keyed = True
                continue
            others |= shapes_of(document.frames)
            keyed = keyed or has_labels_key(document.frames)
        except JSON_ERRORS as error:
            # A key, which is looked at only here.
            raise DataError(f"{file}: {diagnose(content, error)}") from error
    if count and others:
        raise DataError(
            f'{path}: not one of the {count:,} predictions has "{shape}", but {" and ".join(sorted(others))}; write '
            f"{_WRITTEN[shape]}."
        )
    if not count and not keyed and not others:
        raise DataError(f'{path}: no frame has "labels"; write "labels": [] for a frame without predictions.')
    if not count:
        logger.warning("%s: no frame has a prediction, so everything counts as missed.", path)


_WRITTEN = {
    "box2d": '"box2d": {"x1", "y1", "x2", "y2"}, in pixels with inclusive corners',
    "rle": '"rle": {"counts", "size": [height, width]}, COCO\'s compressed run lengths',
}
