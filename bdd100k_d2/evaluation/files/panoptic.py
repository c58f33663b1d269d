"""Panoptic segmentation: folders of bitmasks, or label files with run lengths -> matched frames to be scored."""

from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from ...data.labels import Frame
from ...data.rle import overlap
from ...errors import shown
from ...parallel import map_frames
from ...tasks import TASKS, Task
from ..metrics.panoptic import FrameSegments, PanopticCounts, bitmask_counts, panoptic_scores, rle_counts
from ..own_classes import warn_of_assumed
from ..toolkit_format import ToolkitScores
from .matched_frames import CountedFrames, MatchedFrames, match_frames
from .pairs import LeftOut, checked_masks, count_run_lengths, find_bitmasks, read_pair


def matched_segments(
    names: Sequence[str], frames: Sequence[PanopticCounts], number_key: str, task: Task
) -> CountedFrames[PanopticCounts]:
    """Counted segments, to be scored: PQ, SQ, RQ and the number of classes, by class, over stuff, things and all.

    ``names`` are frames, or files in the order of their paths; ``number_key`` is the official name of the number.
    """
    return CountedFrames(names, frames, partial(_toolkit_scores, number_key=number_key, task=task))


def open_pan_seg(truth: Path, predicted: Path, processes: int, task: Task = TASKS["pan_seg"]) -> MatchedFrames:
    """Reads two folders of bitmasks, or two label files with run lengths or folders of those, and matches their frames.

    Bitmasks of a ``task`` with own classes have the ids 1 to K; its label files are taken without the labels of other
    classes.

    Raises:
        DataError: a bad file, or ground truth and predictions of two kinds or of other frames.
    """
    found = find_bitmasks(truth, predicted)
    if found is None:
        count = partial(_count_masks, task)
        names, counted = count_run_lengths(truth, predicted, processes, "Counting segments", count, task)
        return matched_segments(names, counted, "NUM", task)
    true_files, files = found
    warn_of_assumed(truth, match_frames(true_files, files, truth, predicted), task)
    items = [(file, files.get(name)) for name, file in true_files.items()]
    counts = list(map_frames(partial(_count_bitmasks, task.num_classes), items, processes, "Counting segments"))
    return matched_segments(list(true_files), counts, "N", task)


def _count_bitmasks(num_classes: int, paths: tuple[Path, Path | None]) -> PanopticCounts:
    return bitmask_counts(*read_pair(*paths, num_classes), num_classes)


def _count_masks(
    task: Task, truth_path: Path, predicted_path: Path, pair: tuple[Frame, Frame]
) -> tuple[PanopticCounts, LeftOut]:
    truth, predicted = pair
    true_segments, _, true_without, true_other = _segments(truth, truth, truth_path, task)
    segments, overlapping, without, other = _segments(predicted, truth, predicted_path, task)
    if overlapping:
        segments = FrameSegments(segments.category[:0], [])
    left_out = LeftOut((true_without, without), overlapping, (true_other, other))
    return rle_counts(true_segments, segments, ~_things(task)), left_out


def _segments(frame: Frame, truth: Frame, path: Path, task: Task) -> tuple[FrameSegments, bool, int, Counter[str]]:
    """The segments that take part, whether any masks overlap, and the labels left out: without mask, of other tasks."""
    other_tasks: Counter[str] = Counter()
    labels, ids = [], []
    without_mask = 0
    for label in frame.labels or ():
        where = f"{path}: frame {frame.name}, label {shown(label.id)}"
        known = task.class_if_any(label.category, where)
        if known is None:
            other_tasks[label.category or ""] += 1
        elif label.rle is None:
            without_mask += 1
        else:
            labels.append(label)
            ids.append(known.index)
    masks = checked_masks(frame, labels, truth, path)
    taking_part = [i for i, label in enumerate(labels) if not label.is_crowd]
    category = np.array([ids[i] for i in taking_part], np.int64)
    return FrameSegments(category, [masks[i] for i in taking_part]), overlap(masks), without_mask, other_tasks


def _things(task: Task) -> np.ndarray:
    """(K,) bool, which classes are countable."""
    return np.array([category.is_thing for category in task.categories])


def _toolkit_scores(frames: Sequence[PanopticCounts], number_key: str, task: Task) -> ToolkitScores:
    """The toolkit's form; its numbers of classes are integers."""
    official: ToolkitScores = {}
    things = _things(task)
    for metric, values in panoptic_scores(frames, (~things, things, np.ones_like(things))).items():
        key, listed = (number_key, values.astype(int).tolist()) if metric == "N" else (metric, values.tolist())
        *classes, stuff, thing, overall = listed
        official[key] = [
            dict(zip(task.names, classes, strict=True)),
            {"STUFF": stuff, "THING": thing},
            {"OVERALL": overall},
        ]
    return official
