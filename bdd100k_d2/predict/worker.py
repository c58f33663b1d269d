"""One start of a prediction run: frame after frame through the model, into files, a video and the run's record."""

import logging
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import cv2
import numpy as np
from detectron2.data import Metadata
from tqdm import tqdm

from ..atomic import write_atomic
from ..drawing.overlay import MIN_SCORE
from ..errors import DataError
from ..evaluation.results import mask_path, write_mask
from .frame_result import (
    PIXEL_FOLDERS,
    FrameResult,
    Selection,
    check_output,
    draw_result,
    read_pixels,
    result_of,
)
from .inputs import InputImages, InputVideo
from .journal import FrameLine, Journal, whole_batches
from .pipeline import OrderedPipeline
from .video import VideoReader, VideoWriter

logger = logging.getLogger(__name__)

# So many unreadable frames are named in the log; the record names all.
_NAMED = 5
_JPEG_QUALITY = 92

# The share of a video's frames that its header may promise too much.
_ESTIMATED = 0.05


class Streaming(Protocol):
    """What a run needs of :class:`~bdd100k_d2.predict.predictor.Predictor`."""

    batch_size: int
    amp: bool

    def stream(self, frames: Iterable[Any], on_error: Callable[[Any, DataError], object]) -> Iterator[Any]:
        """Yields a prediction (frame, image, output) a frame, in their order."""


class Wanted(NamedTuple):
    """What is to be written: which objects and classes, into which folder, images, and how many frames at most."""

    task: str
    metadata: Metadata
    selection: Selection
    folder: Path
    overlay: bool
    limit: int | None


class _Item(NamedTuple):
    """A frame, (H, W, 3) RGB, and the model's output; None to draw what an earlier start has written of it."""

    name: str
    image: np.ndarray
    output: dict[str, Any] | None


class _Made(NamedTuple):
    """What is to be appended to the record, and to the video."""

    line: FrameLine | None
    drawn: np.ndarray | None


class Work:
    """One start of a run.

    Attributes:
        predicted: the number of frames so far.
        unreadable: the names of the frames that cannot be read -> what is wrong.
    """

    def __init__(self, wanted: Wanted, predictor: Streaming, journal: Journal, begin: Callable[[], object]) -> None:
        """Takes what is wanted, the model, and the record with the frames of earlier starts.

        ``begin`` makes the folder ready for the results. It is called once, when the model has given the first result
        and it is of the task: before that, what is in the folder stays.
        """
        self.predicted = 0
        self.unreadable: dict[str, str] = {}
        self._wanted, self._predictor, self._journal = wanted, predictor, journal
        self._begin, self._begun = begin, False
        self._video: VideoWriter | None = None
        self._bar = tqdm(disable=True)
        # Of the frames under way, by the identity of what the predictor was given, which it gives back.
        self._names: dict[int, str] = {}

    def files(self, source: InputImages) -> list[str]:
        """Predicts those that are not done, with a limit of the first ones; returns the names of all, in order."""
        paths = dict(list(source.paths.items())[: self._wanted.limit])
        done = whole_batches(self._journal.entries, list(paths), self._predictor.batch_size)
        with self._writing(len(paths)) as pipeline:
            self._bar.update(len(done))
            self._predict((self._start(name, path) for name, path in paths.items() if name not in done), pipeline)
            self._ready()
        return list(source.paths)

    def video(self, source: InputVideo) -> list[str]:
        """Predicts a video from where it stopped, and draws all of it; returns the frames' names, in order.

        A camera is predicted until it ends, the limit is reached, or the user interrupts. What an earlier start
        predicted beyond the limit stays.
        """
        limit = self._wanted.limit
        if limit is not None:
            limit = max(limit, len(self._journal.entries))
        names: list[str] = []
        # One name more than are known tells that a last, smaller batch may not have been the video's last.
        known = [source.frame_name(i) for i in range(len(self._journal.entries) + 1)]
        done = whole_batches(self._journal.entries, known, self._predictor.batch_size)
        with closing(VideoReader(source.source)) as reader:
            total = min((n for n in (reader.num_frames, limit) if n is not None), default=None)
            with (
                VideoWriter(self._wanted.folder / f"{source.stem}.mp4", reader.rate) as self._video,
                self._writing(total) as pipeline,
            ):
                try:
                    frames = islice(reader.frames(), limit)
                    self._predict(self._frames(source, frames, done, names, pipeline), pipeline)
                except KeyboardInterrupt:
                    if not (source.is_camera and self._begun):
                        raise
                    logger.info("Interrupted: the camera's video ends here.")
            missing = 0 if total is None or source.is_camera else total - len(names)
            if missing > 0:
                reason = (
                    f"{source.source}: {total} frames by its header, but it ends after {len(names)}; is it cut off?"
                )
                logger.warning("%s", reason)
                # In some formats the header is an estimate.
                if missing > min(reader.rate, _ESTIMATED * total):
                    self.unreadable |= {source.frame_name(i): reason for i in range(len(names), total)}
        return names

    @contextmanager
    def _writing(self, total: int | None) -> Iterator[OrderedPipeline]:
        bar = tqdm(desc="predicting", total=total, unit="frame", disable=not sys.stderr.isatty())
        with bar as self._bar, OrderedPipeline(self._make, self._keep) as pipeline:
            yield pipeline

    def _frames(
        self,
        source: InputVideo,
        frames: Iterator[np.ndarray | None],
        done: set[str],
        names: list[str],
        pipeline: OrderedPipeline,
    ) -> Iterator[np.ndarray]:
        for index, frame in enumerate(frames):
            names.append(source.frame_name(index))
            if frame is None:
                self._note(names[-1], f"{source.source}: frame {index + 1} cannot be read; the video is damaged there.")
            elif names[-1] in done:
                # They come before all that are predicted, so that the video is in order.
                pipeline.put(_Item(names[-1], frame[..., ::-1], None))
            else:
                yield self._start(names[-1], frame)

    def _start(self, name: str, frame: Path | np.ndarray) -> Path | np.ndarray:
        self._names[id(frame)] = name
        return frame

    def _predict(self, frames: Iterator[Any], pipeline: OrderedPipeline) -> None:
        with closing(self._predictor.stream(frames, self._refuse)) as predictions:
            for frame, image, output in predictions:
                check_output(self._wanted.task, output)
                self._ready()
                pipeline.put(_Item(self._names.pop(id(frame)), image, output))
                self.predicted += 1

    def _ready(self) -> None:
        if not self._begun:
            self._begun = True
            self._begin()
            for name, error in self.unreadable.items():
                self._journal.append(FrameLine(name, error=error))

    def _refuse(self, frame: Path, error: DataError) -> None:
        self._note(self._names.pop(id(frame)), str(error))

    def _note(self, name: str, reason: str) -> None:
        self.unreadable[name] = reason
        if self._begun:
            self._journal.append(FrameLine(name, error=reason))
        self._bar.update()
        if len(self.unreadable) <= _NAMED:
            logger.warning("%s", reason)
        elif len(self.unreadable) == _NAMED + 1:
            logger.warning("More frames cannot be read; %s names all of them.", self._journal.path)

    def _make(self, item: _Item) -> _Made:
        task, folder = self._wanted.task, self._wanted.folder
        pixel_path = mask_path(folder / PIXEL_FOLDERS[task], item.name) if task in PIXEL_FOLDERS else None
        if item.output is None:
            result, line = _written(self._journal.line(item.name), task, pixel_path), None
        else:
            result = result_of(task, item.output, self._wanted.metadata, self._wanted.selection)
            line = _line(item.name, item.image, result)
            if pixel_path is not None:
                write_mask(result.pixels, pixel_path)
        drawn = None
        if self._video is not None or self._wanted.overlay:
            least = self._wanted.selection.min_score
            drawn = draw_result(task, item.image, result, MIN_SCORE if least is None else least)
        if self._video is None and self._wanted.overlay:
            _write_jpeg(drawn, mask_path(folder / "overlays", item.name).with_suffix(".jpg"))
        return _Made(line, drawn)

    def _keep(self, made: _Made) -> None:
        if self._video is not None:
            self._video.write(made.drawn)
        if made.line is not None:
            self._journal.append(made.line)
        self._bar.update()


def _line(name: str, image: np.ndarray, result: FrameResult) -> FrameLine:
    columns = (None if each is None else each.tolist() for each in (result.corners, result.classes, result.scores))
    return FrameLine(name, None, image.shape[:2], *columns)


def _written(line: FrameLine, task: str, pixel_path: Path | None) -> FrameResult:
    pixels = None if pixel_path is None else read_pixels(task, pixel_path)
    if line.scores is None:
        return FrameResult(pixels=pixels)
    corners = np.array(line.corners, np.float64).reshape(-1, 4)
    return FrameResult(corners, np.array(line.classes, np.int64), np.array(line.scores, np.float64), pixels)


def _write_jpeg(image: np.ndarray, path: Path) -> None:
    quality = (cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY)
    write_atomic(path, cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), quality)[1].tobytes())
