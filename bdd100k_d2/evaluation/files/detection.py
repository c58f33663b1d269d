"""Detection: two label files -> matched frames to be scored."""

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ...data.categories import is_known
from ...data.folders import LABEL_SUFFIXES, files_below
from ...data.image_names import image_stem
from ...data.json_file import read_beginning
from ...data.labels import Frame, FrameAttributes, attributes_of
from ...data.other_classes import leave_out_others
from ...data.vintages import Vintage, read_labels
from ...errors import DataError
from ...tasks import TASKS, Task
from ..box_reader import reading_boxes
from ..boxes import Boxes, LabelFlags, ground_truth_columns, stated_sizes
from ..metrics.detection import Detections, GroundTruth, detection_scores
from ..own_classes import check_stated, classes_remedy, count_labels, tell_absent, tell_left_out
from ..toolkit_format import ToolkitScores, official_detection
from .matched_frames import MatchedFrames, match_frames, named_as_truth
from .prediction_labels import check_without_shape, ids_of_results

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class MatchedBoxes(MatchedFrames):
    """Boxes, what the label file says of each, and detections, in columns whose frames are places in ``names``."""

    names: Sequence[str]
    truth: GroundTruth
    flags: LabelFlags
    detections: Detections
    task: Task = TASKS["det"]

    def toolkit_scores(self, frames: np.ndarray | None = None, boxes: np.ndarray | None = None) -> ToolkitScores:
        """COCO's twelve scores of all, or of the frames and boxes where ``frames`` (F,) or ``boxes`` (N,) bool is true.

        Other boxes of ground truth count as crowds: detections on them are neither right nor wrong.
        """
        truth, detections = self.truth, self.detections
        if boxes is not None:
            truth = truth._replace(crowd=truth.crowd | ~boxes)
        if frames is not None:
            truth = GroundTruth(*(column[frames[truth.frame]] for column in truth))
            detections = Detections(*(column[frames[detections.frame]] for column in detections))
        classes = self.task.names
        return official_detection(detection_scores(truth, detections, len(self.names), len(classes)), classes)


class DetectionFiles(NamedTuple):
    """What is read from two label files: matched boxes, and of the ground truth the frames' attributes and vintage."""

    matched: MatchedBoxes
    attributes: dict[str, FrameAttributes]
    vintage: Vintage


def open_det(
    truth: Path, predicted: Path, processes: int, image_ids: Path | None = None, task: Task = TASKS["det"]
) -> DetectionFiles:
    """Reads two label files of any vintage, or folders of them, and matches their frames.

    Predictions may be COCO results, of which the COCO file ``image_ids``, else the ground truth, names the images.
    Labels of other classes than the own ones of a ``task`` are left out, and counted in one warning for each file.

    Raises:
        DataError: a bad file, an unknown category, a box without a score, labels of which none has a box, or
            predictions of other frames or in images of another size.
    """
    for path in (truth, predicted):
        check_label_form(path)
    with reading_boxes(predicted, processes, ids_of_results(truth, predicted, image_ids), task) as boxes:
        check_stated(truth, task)
        frames, vintage = read_labels(truth)
        others = leave_out_others(frames, task)
        tell_left_out(others, count_labels(frames), truth, task)
        tell_absent(frames, truth, task)
        names = sorted(frame.name for frame in frames)
        check_boxes_present(frames, truth, task)
        try:
            columns = ground_truth_columns(frames, names, truth, task)
        except DataError as error:
            known = task.label_classes
            unknown = any(label.category not in known for frame in frames for label in frame.labels or ())
            raise DataError(f"{error}{classes_remedy(truth, task) if unknown else ''}") from error
        sizes = stated_sizes(frames)
        attributes = attributes_of(frames)
        if any(label.score is not None for frame in frames for label in frame.labels or ()):
            logger.warning("%s: the ground truth has scores; are ground truth and predictions swapped?", truth)
        # The records are not needed while the boxes are scored.
        del frames
        found = boxes()
    found = found.renamed(named_as_truth(names, found.names, predicted))
    match_frames(names, found.names, truth, predicted)
    tell_left_out(found.other_classes, len(found.frame), predicted, task)
    check_sizes(sizes, found.sizes, truth, predicted)
    if not len(found.frame):
        check_without_shape(predicted, "box2d", found.without_box)
    if found.without_box:
        logger.warning("%s: %d predictions have no box (box2d) and are left out.", predicted, found.without_box)
    return DetectionFiles(MatchedBoxes(names, *columns, found.detections(names), task), attributes, vintage)


# Of files that other tools keep boxes in, none of which is JSON.
_NO_LABEL_FILES = (".txt", ".yaml", ".yml", ".csv", ".xml")


def check_label_form(path: Path) -> None:
    """Raises DataError if a file or folder holds boxes in a form that is not scored: YOLO, tables or Pascal VOC."""
    if path.is_dir():
        others = [] if files_below(path, *LABEL_SUFFIXES) else files_below(path, *_NO_LABEL_FILES)
    else:
        others = [path] if path.name.lower().endswith(_NO_LABEL_FILES) else []
    if not others or (path.is_file() and read_beginning(path, 1 << 10).lstrip()[:1] in (b"[", b"{")):
        return
    if others[0].suffix.lower() in (".csv", ".xml"):
        what = f"{others[0].suffix.lower()[1:].upper()} is not read; give labels in JSON: Scalabel's, COCO's or, as "
        raise DataError(f"{path}: {what}predictions, COCO's list of results.")
    raise DataError(
        f"{path}: labels of YOLO, which are not scored as they are; convert them first, with tools/convert_labels.py "
        f"{path} labels.json --to scalabel."
    )


def check_boxes_present(frames: Sequence[Frame], path: Path, task: Task = TASKS["det"]) -> None:
    """Looks for labels of the ground truth that officially are left out because they have no box.

    One warning counts them; of classes that only other tasks have, as lanes, they are none that are missed.

    Raises:
        DataError: there are labels, and all of them are without a box.
    """
    without = [(frame.name, label.category) for frame in frames for label in frame.labels or () if label.box2d is None]
    count = sum(len(frame.labels or ()) for frame in frames)
    if count and len(without) == count:
        raise DataError(
            f"{path}: not one of the {count:,} labels has a box (box2d); give labels/det_20/, not polygons or masks."
        )
    lost = [name for name, category in without if category in task.label_classes or not is_known(category)]
    if lost:
        logger.warning(
            "%s: %d labels have no box (box2d) and are left out; the first is in frame %s.", path, len(lost), lost[0]
        )


def check_sizes(
    truth: Mapping[str, tuple[int, int]], predicted: Mapping[str, tuple[int, int]], truth_path: Path, path: Path
) -> None:
    """Raises DataError if a frame has one size in the ground truth and another in the predictions, where both say."""
    for name in sorted(predicted.keys() & truth.keys()):
        if predicted[name] != truth[name]:
            theirs, ours = ("x".join(map(str, size[name])) for size in (predicted, truth))
            raise DataError(
                f"{path}: frame {name} has {theirs} pixels, in the ground truth {truth_path} {ours} (height x width); "
                "write boxes in pixels of the images of the ground truth."
            )


def match_boxes(
    truth: Path, boxes: Boxes, predicted: Path, chosen: Collection[str] | None = None, task: Task = TASKS["det"]
) -> MatchedBoxes:
    """Matches predictions in memory, which are those of ``predicted``, to the frames of a label file.

    Of the label file only the frames ``chosen``, stems of images, count; all without it.

    Raises:
        DataError: a bad label file, an unknown category, or predictions of other frames.
    """
    frames = read_labels(truth).frames
    if chosen is not None:
        frames = [frame for frame in frames if image_stem(frame.name) in chosen]
    names = match_frames([frame.name for frame in frames], boxes.names, truth, predicted)
    return MatchedBoxes(names, *ground_truth_columns(frames, names, truth, task), boxes.detections(names), task)
