"""Objects of videos with numbers, from the record of a run: ids in files, in overlays and in the annotated video.

The record is gone through from the first frame to the last when all are predicted, so that a run that was stopped and
went on has the numbers of one that was not.
"""

import logging
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import msgspec
import numpy as np

from ..atomic import write_atomic
from ..data.image_names import frame_names
from ..data.images import load_image
from ..data.labels import Box2D, Frame, Label, write_frames
from ..drawing.overlay import MIN_SCORE, classes_of_task
from ..errors import ConfigError
from ..tasks import SCORED_TASKS, Task
from ..tracking.byte_track import ByteTracker
from ..tracking.passing import CountLine, Passing, Point
from .inputs import InputImages, InputVideo
from .journal import FrameLine, Journal
from .outputs import COUNTS_FILE, frame_paths
from .track_painter import NumberedObjects, TrackPainter
from .video import VideoReader, VideoWriter

logger = logging.getLogger(__name__)

_JPEG_QUALITY = 92


_Draw = Callable[[np.ndarray], np.ndarray]


class VideoFrame(NamedTuple):
    """A frame of a video: its name in the record, in the video, and its place there, from 0."""

    key: str
    name: str
    index: int  # type: ignore[assignment]  # in place of a tuple's own `index`, which nobody calls


_Put = Callable[[VideoFrame, _Draw], None]


def check_trackable(
    task: Task, source: InputImages | InputVideo, track: bool, line: tuple[float, float, float, float] | None
) -> None:
    """Raises ConfigError unless objects of the task can be followed in the source, and counted at the line.

    What is taken for videos is told, and warned about where it looks like images that have nothing to do with another.
    """
    if not track:
        raise ConfigError("--count-line counts objects with numbers; give --track with it.")
    if task.form != "boxes":
        raise ConfigError(f"--track: {task.name} has no boxes to follow; track with a model of det.")
    if isinstance(source, InputVideo) and source.is_camera:
        raise ConfigError("--track: a camera does not show again what was; record a video, and track in that.")
    if line is not None and (not np.isfinite(line).all() or line[:2] == line[2:]):
        raise ConfigError(f"--count-line {','.join(f'{one:g}' for one in line)} is no line; give two points in pixels.")
    if isinstance(source, InputImages):
        _tell(source)


def _tell(source: InputImages) -> None:
    videos = videos_of(source, source.paths)
    logger.info(
        "--track: each folder is a video; %s of %s.",
        _counted(len(videos), "video"),
        _counted(len(source.paths), "frame"),
    )
    mixed = [video for video, frames in videos.items() if len({_without_numbers(frame.name) for frame in frames}) > 1]
    if mixed:
        one, *others = (frame.name for frame in videos[mixed[0]])
        other = next(name for name in others if _without_numbers(name) != _without_numbers(one))
        logger.warning(
            "--track: in %s the names differ in more than a number, as %s and %s in %s; are they frames of one film "
            "each? Objects of unrelated images get numbers that mean nothing.",
            _counted(len(mixed), "video"),
            one,
            other,
            mixed[0],
        )


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def _without_numbers(name: str) -> str:
    return re.sub(r"[0-9]+", "0", Path(name).stem)


def tracked_task(task: Task) -> Task:
    """The task of the tracks of a detector: BDD100K's classes of moving objects, or all of own classes."""
    official = SCORED_TASKS["box_track"]
    return official if task.is_official else official.with_classes(task.categories)


def videos_of(source: InputImages | InputVideo, names: Iterable[str]) -> dict[str, list[VideoFrame]]:
    """The frames of each video in the order of time; ``names`` are those of all that were found in the source.

    Images are frames of one video where they lie in one folder, whose name it has. Their order is that of their names,
    numbers in them by their value: ``2.jpg`` before ``10.jpg``.
    """
    if isinstance(source, InputVideo):
        return {source.stem: [VideoFrame(name, name, source.frame_index(name)) for name in names]}
    by_folder: dict[Path, list[str]] = defaultdict(list)
    for name in names:
        by_folder[source.paths[name].absolute().parent].append(name)
    folders = sorted(by_folder)
    videos = {}
    for video, folder in zip(frame_names(folders), folders, strict=True):
        ordered = sorted(by_folder[folder], key=lambda name: _in_time(source.paths[name].name))
        videos[video] = [VideoFrame(name, source.paths[name].name, i) for i, name in enumerate(ordered)]
    return videos


def _in_time(name: str) -> tuple[list[tuple[bool, int, str]], str]:
    parts = re.split(r"([0-9]+)", name)
    return [(False, int(one), "") if one.isdecimal() else (True, 0, one) for one in parts if one], name


def write_tracks(journal: Journal, source: InputImages | InputVideo, names: Iterable[str], folder: Path) -> list[Path]:
    """Writes ``box_track.json`` and the counts of a run; with its settings the overlays, or the annotated video.

    Raises:
        DataError: a frame of the source cannot be read again.
        OutputError: a file cannot be written.
    """
    task = journal.settings.task_with_classes
    tracks = _Tracks(journal, task)
    videos = videos_of(source, names)
    files = [folder / name for name in (tracked_task(task).result_list, COUNTS_FILE) if name is not None]
    write_frames(tracks.frames(videos, source, folder), files[0])
    content = msgspec.json.format(msgspec.json.encode(tracks.counts), indent=1)
    write_atomic(files[1], content + b"\n")
    return files


class _Tracks:
    """Goes through the videos of a run; ``counts`` are those of the ones that are done."""

    def __init__(self, journal: Journal, task: Task) -> None:
        self.counts: dict[str, Any] = {}
        self._journal, self._task = journal, task
        self._classes = classes_of_task(task)
        self._followed = np.isin(task.names, tracked_task(task).names)
        line = journal.settings.count_line
        self._line = None if line is None else CountLine(*line)
        score = journal.settings.score_thr
        self._drawn_from = MIN_SCORE if score is None else score

    def frames(
        self, videos: Mapping[str, list[VideoFrame]], source: InputImages | InputVideo, folder: Path
    ) -> Iterator[Frame]:
        """Yields the frames as ``box_track.json`` has them, and draws them on the way."""
        for video, frames in videos.items():
            passing = Passing(self._line)
            painter = TrackPainter(self._classes, self._followed, passing, self._line, self._drawn_from)
            done = 0
            with _drawing(self._journal, source, folder) as put:
                for frame, objects in self._follow(frames):
                    places: dict[int, Point] = {}
                    labels = []
                    for number, category, score, corners in _each(objects):
                        places[number] = passing.see(number, category, corners)
                        labels.append(Label(str(number), self._task.names[category], score, box2d=Box2D(*corners)))
                    if put is not None:
                        put(frame, partial(painter.draw, objects, places))
                    if objects.line.size is not None:
                        done += 1
                        yield Frame(frame.name, video, frameIndex=frame.index, labels=labels)
            self.counts[video] = self._counted(passing, done)

    def _follow(self, frames: list[VideoFrame]) -> Iterator[tuple[VideoFrame, NumberedObjects]]:
        """The objects of a video; a frame that has no result has none, and counts as time that goes by."""
        tracker = ByteTracker()
        for frame in frames:
            line = self._journal.line(frame.key) if frame.key in self._journal.entries else FrameLine(frame.key)
            classes = np.array(line.classes or (), np.int64)
            corners, scores = np.array(line.corners or (), np.float64).reshape(-1, 4), np.array(line.scores or ())
            followed = self._followed[classes]
            numbers = np.zeros(len(classes), np.int64)
            # A box's last pixel is in it.
            ends = corners[followed] + (0, 0, 1, 1)
            numbers[followed] = tracker.update(ends, scores[followed], classes[followed])
            yield frame, NumberedObjects(line, numbers)

    def _counted(self, passing: Passing, frames: int) -> dict[str, Any]:
        names = self._task.names
        counts: dict[str, Any] = {
            "frames": frames,
            "objects": {names[k]: passing.objects[k] for k in sorted(passing.objects)},
        }
        if self._line is not None:
            counts["line"] = [*self._line]
            for key, way in (("left_to_right", 1), ("right_to_left", -1)):
                counts[key] = {names[k]: passing.passed[way][k] for k in sorted(passing.passed[way])}
        return counts


def _each(objects: NumberedObjects) -> Iterator[tuple[int, int, float, tuple[float, float, float, float]]]:
    line = objects.line
    columns = objects.numbers.tolist(), line.classes or (), line.scores or (), line.corners or ()
    return (one for one in zip(*columns, strict=True) if one[0])


@contextmanager
def _drawing(journal: Journal, source: InputImages | InputVideo, folder: Path) -> Iterator[_Put | None]:
    """Yields what draws a frame, into the folder of overlays or the annotated video; None where nothing is drawn."""
    if isinstance(source, InputImages):
        yield partial(_write_overlay, journal, source, folder) if journal.settings.overlay else None
        return
    with (
        closing(VideoReader(source.source)) as reader,
        VideoWriter(folder / source.annotated_name, reader.rate) as writer,
    ):
        images = reader.frames()

        def put(_: VideoFrame, draw: _Draw) -> None:
            image = next(images, None)
            # Frames that cannot be read are left out, as without numbers.
            if image is not None:
                writer.write(draw(image[..., ::-1]))

        yield put


def _write_overlay(journal: Journal, source: InputImages, folder: Path, frame: VideoFrame, draw: _Draw) -> None:
    _, path = frame_paths(folder, journal.settings, frame.key)
    entry = journal.entries.get(frame.key)
    if path is None or entry is None or entry.size is None:
        return
    bgr = cv2.cvtColor(draw(load_image(source.paths[frame.key], "RGB")), cv2.COLOR_RGB2BGR)
    write_atomic(path, cv2.imencode(".jpg", bgr, (cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY))[1].tobytes())
