"""Tracking of boxes: two label files of videos -> matched frames to be scored."""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np

from ...data.categories import TRACKING_GROUPS, is_known
from ...data.image_names import image_stem
from ...data.labels import Frame, FrameAttributes, Label, attributes_of
from ...data.other_classes import leave_out_others
from ...data.videos import read_videos
from ...errors import DataError, shown
from ...tasks import SCORED_TASKS, Task
from ..boxes import ground_truth_columns, stated_sizes
from ..metrics.tracking import (
    TRACKING_SCORES,
    IgnoredRegions,
    TrackCounts,
    TrackedBoxes,
    count_tracks,
    tracking_scores,
)
from ..own_classes import check_stated, count_labels, tell_absent, tell_left_out
from ..toolkit_format import ToolkitScores
from .detection import check_boxes_present, check_label_form, check_sizes
from .matched_frames import MatchedFrames
from .prediction_labels import check_without_shape

logger = logging.getLogger(__name__)

Videos = Mapping[str, Sequence[Frame]]


class _Side(NamedTuple):
    """The boxes of ground truth or of predictions in all frames: the objects, and the crowds and ignored ones."""

    objects: TrackedBoxes
    ignored: IgnoredRegions


@dataclass(frozen=True, eq=False)
class MatchedTracks(MatchedFrames):
    """Boxes with ids in the order of their frames, places in ``names``; ``starts`` (V+1,) are those of the videos."""

    names: Sequence[str]
    starts: np.ndarray
    truth: _Side
    predicted: _Side
    task: Task

    def toolkit_scores(self, frames: np.ndarray | None = None) -> ToolkitScores:
        """The official scores of all frames, or of videos that have only those where ``frames`` (F,) bool is true."""
        truth, ignored, found = self.truth.objects, self.truth.ignored, self.predicted.objects
        if frames is not None:
            truth, found = (_rows(side, frames[side.frame]) for side in (truth, found))
            ignored = _rows(ignored, frames[ignored.frame])
        counts = [
            count_tracks(
                _between(truth, *video), _between(ignored, *video), _between(found, *video), self.task.num_classes
            )
            for video in zip(self.starts[:-1], self.starts[1:], strict=True)
        ]
        return _official(counts, self.task)


Columns = TypeVar("Columns", TrackedBoxes, IgnoredRegions)


def _rows(columns: Columns, rows: np.ndarray | slice) -> Columns:
    return type(columns)(*(column[rows] for column in columns))


def _between(columns: Columns, start: int, end: int) -> Columns:
    """The boxes of a video by the places of its first frame and of the next video's."""
    return _rows(columns, slice(*np.searchsorted(columns.frame, (start, end))))


def open_box_track(
    truth: Path, predicted: Path, task: Task = SCORED_TASKS["box_track"]
) -> tuple[MatchedTracks, dict[str, FrameAttributes]]:
    """Reads two label files in Scalabel's tracking format, or folders of them, and matches the frames of their videos.

    Frames are matched by video and ``frameIndex``, as the toolkit does it, objects by their ids. Crowds and ignored
    objects are regions in which no prediction is wrong; predictions that are marked so have no part. Labels of other
    classes than the own ones of a ``task`` are left out, and counted in one warning for each file.

    Returns:
        What is scored, and the attributes of the frames by their names there.

    Raises:
        DataError: a bad file, an unknown category, an object without an id or twice in a frame, labels of which none
            has a box, or predictions of other videos.
    """
    for path in (truth, predicted):
        check_label_form(path)
    check_stated(truth, task)
    true_videos = _read(truth, task)
    frames = [frame for video in true_videos.values() for frame in video]
    tell_absent(frames, truth, task)
    check_boxes_present(frames, truth, task)
    if any(label.score is not None for frame in frames for label in frame.labels or ()):
        logger.warning("%s: the ground truth has scores; are ground truth and predictions swapped?", truth)
    names = _frame_names(true_videos)
    found = _matched(true_videos, _read(predicted, task), names, truth, predicted)
    for frame, name in zip(frames, names, strict=True):
        frame.name = name
    check_sizes(stated_sizes(frames), stated_sizes(found), truth, predicted)
    starts = np.cumsum([0, *map(len, true_videos.values())])
    _check_predicted_boxes(found, predicted)
    sides = (_columns(frames, names, starts, truth, task), _columns(found, names, starts, predicted, task))
    if len(sides[1].ignored.frame):
        logger.warning(
            "%s: %d predictions are crowds or ignored, and are left out.", predicted, len(sides[1].ignored.frame)
        )
    return MatchedTracks(names, starts, *sides, task), attributes_of(frames)


def _read(path: Path, task: Task) -> dict[str, list[Frame]]:
    """The videos of a label file, without the labels that have no part in the task."""
    videos = read_videos(path)
    frames = [frame for video in videos.values() for frame in video]
    if not frames:
        raise DataError(f"{path}: no frame in it; give labels of videos.")
    if task.is_official:
        # Of another task of BDD100K, as traffic signs, which the official tool fails on.
        others: Counter[str] = Counter()
        for frame in frames:
            strange = [
                label.category
                for label in frame.labels or ()
                if label.category not in task.label_classes and is_known(label.category)
            ]
            if strange:
                others.update(name for name in strange if name is not None)
                frame.labels = [label for label in frame.labels or () if label.category not in others]
    else:
        others = leave_out_others(frames, task)
    tell_left_out(others, count_labels(frames), path, task)
    return videos


def _frame_names(videos: Videos) -> list[str]:
    """The frames' names, with their video where names alone would not tell all apart."""
    names = [frame.name for frames in videos.values() for frame in frames]
    if len({*names}) == len(names):
        return names
    return [f"{video}/{frame.name}" for video, frames in videos.items() for frame in frames]


def _matched(
    truth: Videos, predicted: Videos, names: Sequence[str], truth_path: Path, predicted_path: Path
) -> list[Frame]:
    """The predicted frames that are in the ground truth, which get their ``names`` there.

    A frame without a prediction counts as empty, and a prediction of another frame is left out; a warning counts them.

    Raises:
        DataError: not one frame is in both, or frames are numbered otherwise.
    """
    place = {(video, frame.frameIndex): i for i, (video, frame) in enumerate(_each(truth))}
    number = {(video, image_stem(frame.name)): frame.frameIndex for video, frame in _each(truth)}
    found: list[Frame] = []
    extra: list[str] = []
    for video, frame in _each(predicted):
        at = place.pop((video, frame.frameIndex), None)
        other = number.get((video, image_stem(frame.name)), frame.frameIndex)
        if other != frame.frameIndex:
            raise DataError(
                f"{predicted_path}: frame {shown(frame.name)} of video {shown(video)} has the frameIndex "
                f"{frame.frameIndex}, in the ground truth {truth_path} {other}; number the frames alike."
            )
        if at is None:
            extra.append(f"{video}, frame {frame.frameIndex}")
            continue
        frame.name = names[at]
        found.append(frame)
    if not found:
        raise DataError(
            f"{predicted_path}: not one of its frames is in {truth_path} (videos {shown(min(predicted))} against "
            f"{shown(min(truth))}); videos are matched by videoName and their frames by frameIndex."
        )
    if place:
        logger.warning(
            "%s: %d of %d frames have no prediction and count as empty; the first is frame %d of video %s.",
            predicted_path,
            len(place),
            len(names),
            *reversed(min(place)),
        )
    if extra:
        logger.warning(
            "%s: %d predicted frames are not in the ground truth and are left out; the first is of video %s.",
            predicted_path,
            len(extra),
            shown(extra[0]),
        )
    return found


def _each(videos: Videos) -> list[tuple[str, Frame]]:
    return [(video, frame) for video, frames in videos.items() for frame in frames]


def _check_predicted_boxes(frames: Sequence[Frame], path: Path) -> None:
    labels = [label for frame in frames for label in frame.labels or ()]
    without = sum(label.box2d is None for label in labels)
    if without == len(labels):
        check_without_shape(path, "box2d", without)
    if without:
        logger.warning("%s: %d predictions have no box (box2d) and are left out.", path, without)


def _columns(frames: Sequence[Frame], names: Sequence[str], starts: np.ndarray, path: Path, task: Task) -> _Side:
    """The boxes of ``frames``, which are called by ``names``; DataError for an unknown category or a bad id."""
    boxes, flags = ground_truth_columns(frames, names, path, task)
    labels = [(frame, label) for frame in frames for label in frame.labels or () if label.box2d is not None]
    kept = ~flags.crowd
    of_video = np.searchsorted(starts, boxes.frame, "right") - 1
    keys = [(video, _id(*labels[i], path)) for i, video in enumerate(of_video.tolist()) if kept[i]]
    numbers: dict[tuple[int, int | str], int] = {}
    track = np.array([numbers.setdefault(key, len(numbers)) for key in keys], np.int64)
    objects = TrackedBoxes(boxes.frame[kept], boxes.category[kept], track, boxes.box[kept])
    each, first = np.unique(np.column_stack(objects[:3]), axis=0, return_index=True)
    if len(each) < len(track):
        twice = int(np.flatnonzero(~np.isin(np.arange(len(track)), first))[0])
        frame, label = labels[np.flatnonzero(kept)[twice]]
        raise DataError(
            f"{path}: frame {shown(frame.name)} has the id {shown(label.id)} of class {shown(label.category)} twice; "
            "in a frame, an object stands once."
        )
    return _Side(objects, IgnoredRegions(boxes.frame[~kept], boxes.box[~kept]))


def _id(frame: Frame, label: Label, path: Path) -> int | str:
    """An object's id. Digits are a number, as officially, so that "01" is "1"."""
    if label.id is None or label.id == "":
        raise DataError(
            f"{path}: frame {shown(frame.name)}: a {shown(label.category)} has no id; give an object the same id in "
            "all frames of its video."
        )
    text = str(label.id)
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else text


def _official(counts: Sequence[TrackCounts], task: Task) -> ToolkitScores:
    """The toolkit's form; its counts are integers. Own classes have no groups."""
    groups = TRACKING_GROUPS if task.is_official else {}
    values = tracking_scores(counts, [[*map(task.names.index, group)] for group in groups.values()])
    levels = [level for level in (task.names, tuple(groups), ("AVERAGE", "OVERALL")) if level]
    official: ToolkitScores = {f"m{metric}": float(values[metric][-2]) for metric in TRACKING_SCORES}
    for metric, column in values.items():
        cells = iter(column.tolist())
        official[metric] = [dict(zip(level, cells, strict=False)) for level in levels]
    return official
