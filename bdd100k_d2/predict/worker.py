"""One start of a prediction run: frame after frame through the model, into files, a video and the run's record."""

import logging
import sys
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager, nullcontext
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from tqdm import tqdm

from ..atomic import write_atomic
from ..drawing.overlay import MIN_SCORE
from ..errors import DataError, FrameSizeError, PredictionError, shown
from ..evaluation.prediction_files import write_mask
from ..parallel import cores
from ..tasks import Task
from .frame_result import FrameResult, class_indices, draw_result, output_key, read_pixels, result_of
from .inputs import InputImages, InputVideo
from .journal import FrameLine, Journal, whole_batches
from .outputs import frame_paths, remove_results
from .predictor import ImageOrPath, Predictor
from .video import VideoReader, VideoWriter

logger = logging.getLogger(__name__)

# So many unreadable frames are named in the log; the record names all.
_NAMED = 5
_LONGEST_REASON = 1000
_JPEG_QUALITY = 92
# The share of a video's frames that its header may promise too much.
_ESTIMATED = 0.05
# So many of the frames that a video lacks are named; its header may promise any number.
_MOST_MISSING = 100_000
# More threads encode images faster than any model gives results.
_MOST_THREADS = 4

# What of a frame goes into the record, and into the video.
_Made = tuple[FrameLine | None, np.ndarray | None]


@contextmanager
def ordered_pipeline(keep: Callable[[_Made], None]) -> Iterator[Callable[[Callable[[], _Made]], None]]:
    """Yields a function that takes a call: it runs in one of several threads, its result goes to ``keep``, in order.

    ``keep`` runs in a thread of its own. The function waits while many are under way, and raises what one of those
    before raised. Leaving the context waits for all, unless an exception ends it.
    """
    threads = min(cores(), _MOST_THREADS)
    makers = ThreadPoolExecutor(threads, thread_name_prefix="make")
    keeper = ThreadPoolExecutor(1, thread_name_prefix="keep")
    waiting: deque[Future[None]] = deque()

    def put(make: Callable[[], _Made]) -> None:
        # What is under way holds images and masks: a model that is faster than the disk has to wait.
        while len(waiting) >= threads + 2:
            waiting.popleft().result()
        made = makers.submit(make)
        waiting.append(keeper.submit(lambda: keep(made.result())))

    try:
        yield put
        while waiting:
            waiting.popleft().result()
    finally:
        for pool in (keeper, makers):
            pool.shutdown(cancel_futures=True)


class Work:
    """One start of a run, whose journal tells the settings and the frames of earlier starts.

    What is in the folder stays until the model has given the first result and it is of the task. ``predicted`` counts
    the frames so far; ``unreadable`` has the names of those that cannot be read -> what is wrong.
    """

    def __init__(self, journal: Journal, predictor: Predictor, limit: int | None, overwrite: bool) -> None:
        self.predicted = 0
        self.unreadable: dict[str, str] = {}
        self._journal, self._predictor = journal, predictor
        self._limit, self._overwrite = limit, overwrite
        self._folder, self._settings = journal.path.parent, journal.settings
        self._task = self._settings.task_with_classes
        self._classes = class_indices(self._task, self._settings.classes)
        self._begun = False
        self._video: VideoWriter | None = None
        # Of the frames under way, by the identity of what the predictor was given, which it gives back.
        self._names: dict[int, str] = {}

    def files(self, source: InputImages) -> list[str]:
        """Predicts those that are not done, with a limit of the first ones; returns the names of all, in order."""
        paths = dict(list(source.paths.items())[: self._limit])
        done = whole_batches(self._journal.entries, list(paths), self._predictor.batch_size)
        with self._writing(len(paths)):
            self._bar.update(len(done))
            self._predict((self._start(name, path) for name, path in paths.items() if name not in done))
            self._ready()
        return list(source.paths)

    def video(self, source: InputVideo) -> list[str]:
        """Predicts a video from where it stopped, and draws all of it; returns the frames' names, in order.

        A camera is predicted until it ends, the limit is reached, or the user interrupts. What an earlier start
        predicted beyond the limit stays.
        """
        limit = None if self._limit is None else max(self._limit, len(self._journal.entries))
        names: list[str] = []
        # One name more than are known tells that a last, smaller batch may not have been the video's last.
        known = [source.frame_name(i) for i in range(len(self._journal.entries) + 1)]
        done = whole_batches(self._journal.entries, known, self._predictor.batch_size)
        with closing(VideoReader(source.source)) as reader:
            total = min((n for n in (reader.num_frames, limit) if n is not None), default=None)
            # With tracking it is drawn when all frames are done.
            writer = VideoWriter(self._folder / source.annotated_name, reader.rate)
            with nullcontext() if self._settings.track else writer as self._video, self._writing(total):
                try:
                    self._predict(self._frames(source, islice(reader.frames(), limit), done, names))
                except KeyboardInterrupt:
                    if not (source.is_camera and self._begun):
                        raise
                    logger.info("Interrupted: the camera's video ends here.")
            if total is not None and not source.is_camera and len(names) < total:
                promised = f"{total} frames by its header"
                reason = f"{source.source}: {promised}, but it ends after {len(names)}; is it cut off?"
                logger.warning("%s", reason)
                # In some formats the header is an estimate.
                if total - len(names) > min(reader.rate, _ESTIMATED * total):
                    missing = range(len(names), min(total, len(names) + _MOST_MISSING))
                    self.unreadable |= {source.frame_name(i): reason for i in missing}
        return names

    @contextmanager
    def _writing(self, total: int | None) -> Iterator[None]:
        bar = tqdm(desc="predicting", total=total, unit="frame", disable=not sys.stderr.isatty())
        with bar as self._bar, ordered_pipeline(self._keep) as self._put:
            yield

    def _frames(
        self, source: InputVideo, frames: Iterator[np.ndarray | None], done: set[str], names: list[str]
    ) -> Iterator[ImageOrPath]:
        for index, frame in enumerate(frames):
            names.append(source.frame_name(index))
            if frame is None:
                self._note(names[-1], f"{source.source}: frame {index + 1} cannot be read; the video is damaged there.")
            elif names[-1] in done:
                # They come before all that are predicted, so that the video is in order.
                self._put(partial(self._make, names[-1], frame[..., ::-1], None))
            else:
                yield self._start(names[-1], frame)

    def _start(self, name: str, frame: ImageOrPath) -> ImageOrPath:
        self._names[id(frame)] = name
        return frame

    def _predict(self, frames: Iterator[ImageOrPath]) -> None:
        def refuse(frame: ImageOrPath, error: DataError) -> None:
            if isinstance(error, FrameSizeError) and not (self.predicted or self._journal.entries):
                # Of another size than the model's are all frames, mostly.
                raise error
            name = self._names.pop(id(frame))
            if not isinstance(error, PredictionError):
                self._note(name, str(error))
                return
            if not (self.predicted or self._journal.entries) and len(self.unreadable) >= _NAMED:
                # Where none of the first can be predicted, the model is at fault.
                raise error
            self._note(name, f"{name}: {error}")

        with closing(self._predictor.stream(frames, refuse)) as predictions:
            for frame, image, output in predictions:
                output_key(self._task, output)
                self._ready()
                self._put(partial(self._make, self._names.pop(id(frame)), image, output))
                self.predicted += 1

    def _ready(self) -> None:
        if not self._begun:
            self._begun = True
            if self._overwrite:
                remove_results(self._folder)
            self._journal.begin()
            for name, error in self.unreadable.items():
                self._journal.append(FrameLine(name, error=error))

    def _note(self, name: str, reason: str) -> None:
        self.unreadable[name] = reason
        if self._begun:
            self._journal.append(FrameLine(name, error=reason))
        self._bar.update()
        if len(self.unreadable) <= _NAMED:
            logger.warning("%s", shown(reason, _LONGEST_REASON))
        elif len(self.unreadable) == _NAMED + 1:
            logger.warning("More frames cannot be read; %s names all of them.", self._journal.path)

    def _make(self, name: str, image: np.ndarray, output: dict[str, Any] | None) -> _Made:
        """Writes a frame's files; without the model's output, what an earlier start has written is drawn again."""
        task, min_score = self._task, self._settings.score_thr
        pixel_path, overlay_path = frame_paths(self._folder, self._settings, name)
        line = None
        if output is None:
            result = _written(self._journal.line(name), task, pixel_path)
        else:
            result = result_of(task, output, min_score or 0.0, self._classes)
            line = FrameLine(name, size=image.shape[:2])
            if task.has_scores:
                line.corners, line.classes, line.scores = (column.tolist() for column in result[:3])
            if pixel_path is not None:
                write_mask(result.pixels, pixel_path)
        if self._settings.track or (self._video is None and overlay_path is None):
            return line, None
        drawn = draw_result(task, image, result, MIN_SCORE if min_score is None else min_score)
        if overlay_path is not None:
            bgr, quality = cv2.cvtColor(drawn, cv2.COLOR_RGB2BGR), (cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY)
            write_atomic(overlay_path, cv2.imencode(".jpg", bgr, quality)[1].tobytes())
        return line, drawn

    def _keep(self, made: _Made) -> None:
        line, drawn = made
        if self._video is not None and drawn is not None:
            self._video.write(drawn)
        if line is not None:
            self._journal.append(line)
        self._bar.update()


def _written(line: FrameLine, task: Task, pixel_path: Path | None) -> FrameResult:
    corners = np.array(line.corners or (), np.float64).reshape(-1, 4)
    result = FrameResult(corners, np.array(line.classes or (), np.int64), np.array(line.scores or (), np.float64))
    return result if pixel_path is None else result._replace(pixels=read_pixels(task, pixel_path))
