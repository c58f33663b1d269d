"""Instance segmentation: folders of bitmasks, or label files with run lengths -> matched frames to be scored."""

import logging
import math
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from ...data.labels import Frame
from ...data.rle import areas, overlap
from ...data.score_file import InstanceScores, rank, read_score_file
from ...errors import DataError, shown
from ...parallel import map_frames
from ...tasks import TASKS, Task
from ..metrics.instances import FrameMasks, FrameMatches, bitmask_scores, match_instances, rle_scores
from ..own_classes import warn_of_assumed
from ..toolkit_format import ToolkitScores, official_detection
from .matched_frames import CountedFrames, MatchedFrames, match_frames
from .pairs import LeftOut, checked_masks, count_run_lengths, find_bitmasks, read_pair

logger = logging.getLogger(__name__)


def matched_bitmasks(names: Sequence[str], frames: Sequence[FrameMatches], task: Task) -> CountedFrames[FrameMatches]:
    """Matched bitmasks, in the order of the paths of the ground truth, to be scored with COCO's twelve scores."""
    return CountedFrames(names, frames, partial(_score_bitmasks, task))


def _score_bitmasks(task: Task, frames: Sequence[FrameMatches]) -> ToolkitScores:
    return official_detection(bitmask_scores(frames, task.num_classes), task.names)


def score_run_lengths(task: Task, frames: Sequence[tuple[FrameMasks, FrameMasks]]) -> ToolkitScores:
    """COCO's twelve scores of true and predicted masks, frame by frame."""
    truth, predicted = [one for one, _ in frames], [one for _, one in frames]
    return official_detection(rle_scores(truth, predicted, task.num_classes), task.names)


def open_ins_seg(
    truth: Path,
    predicted: Path,
    score_file: Path | None,
    processes: int,
    image_ids: Path | None = None,
    task: Task = TASKS["ins_seg"],
) -> MatchedFrames:
    """Reads two folders of bitmasks, or two label files with run lengths or folders of those, and matches their frames.

    ``score_file`` holds the scores of predicted bitmasks; label files hold their own. ``image_ids`` is a COCO file that
    names the images of predictions that are COCO results, where the ground truth is none. Bitmasks of a ``task`` with
    own classes have the ids 1 to K; its label files are taken without the labels of other classes.

    Raises:
        DataError: a bad file, ground truth and predictions of two kinds or of other frames, or bitmasks without scores.
    """
    found = find_bitmasks(truth, predicted)
    if found is None:
        read = partial(_read_masks, task)
        names, masks = count_run_lengths(truth, predicted, processes, "Checking masks", read, task, image_ids)
        return CountedFrames(names, masks, partial(score_run_lengths, task))
    if score_file is None:
        raise DataError(
            f"{predicted}: predicted bitmasks need the file of their scores; give it with --score-file, "
            'a list of {"name", "labels": [{"index", "score"}]}.'
        )
    true_files, files = found
    warn_of_assumed(truth, match_frames(true_files, files, truth, predicted), task)
    scores = read_score_file(score_file)
    unused = sorted(scores.keys() - files.keys())
    if unused:
        logger.warning(
            "%s: %d frames have scores but no bitmask in %s; these scores are not used; the first is %s.",
            score_file,
            len(unused),
            predicted,
            unused[0],
        )
    items = [(file, files.get(name), scores.get(name)) for name, file in true_files.items()]
    matches = map_frames(partial(_match, score_file, task.num_classes), items, processes, "Matching bitmasks")
    return matched_bitmasks(list(true_files), list(matches), task)


def _match(score_file: Path, num_classes: int, frame: tuple[Path, Path | None, InstanceScores | None]) -> FrameMatches:
    truth_path, path, scores = frame
    truth, predicted = read_pair(truth_path, path, num_classes)
    return match_instances(truth, predicted, *rank(predicted.ids, scores, path, score_file), num_classes)


def _read_masks(
    task: Task, truth_path: Path, predicted_path: Path, pair: tuple[Frame, Frame]
) -> tuple[tuple[FrameMasks, FrameMasks], LeftOut]:
    truth, predicted = pair
    true_masks, true_missing = _frame_masks(truth, truth, truth_path, task, scored=False)
    masks, missing = _frame_masks(predicted, truth, predicted_path, task, scored=True)
    overlapping = overlap(masks.masks)
    if overlapping:
        masks = FrameMasks(masks.category[:0], [], masks.area[:0], masks.crowd[:0], masks.score[:0])
    return (true_masks, masks), LeftOut((true_missing, missing), overlapping)


def _frame_masks(frame: Frame, truth: Frame, path: Path, task: Task, *, scored: bool) -> tuple[FrameMasks, int]:
    """The masks of a frame, and how many of its labels have none."""
    labels, classes = [], []
    for label in frame.labels or ():
        where = f"{path}: frame {frame.name}, label {shown(label.id)}"
        known = task.class_of(label.category, where)
        if label.rle is None:
            continue
        if scored and (label.score is None or not math.isfinite(label.score)):
            raise DataError(f"{where} ({label.category}) has no score; write a finite number between 0 and 1.")
        labels.append(label)
        classes.append(known)
    masks = checked_masks(frame, labels, truth, path)
    return (
        FrameMasks(
            category=np.array([known.index for known in classes], np.int64),
            masks=masks,
            area=areas(masks),
            crowd=np.array(
                [known.ignored or label.is_crowd for known, label in zip(classes, labels, strict=True)], bool
            ),
            score=np.array([label.score if scored else 0 for label in labels], float),
        ),
        len(frame.labels or ()) - len(labels),
    )
