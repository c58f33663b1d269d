"""A prediction run: from what the user gives to official files, overlays, or a video."""

import logging
import time
from collections.abc import Collection
from contextlib import suppress
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ..errors import ConfigError, MissingRuntimeError, shown
from ..lock import locked
from ..tasks import TASKS
from .file_stamp import FileStamp, file_state, stamp_of
from .frame_result import class_indices
from .inputs import InputImages, InputVideo
from .journal import Journal, RunSettings
from .model_identity import ModelIdentity
from .outputs import check_output_folder, write_result_lists
from .predictor import Predictor
from .slicing import Slices, check_sliceable
from .worker import Work

if TYPE_CHECKING:
    from detectron2.config import CfgNode

logger = logging.getLogger(__name__)


class Summary(NamedTuple):
    """What a run did: frames with results, of earlier starts too, and in this start ``predicted`` in ``seconds``.

    ``unreadable`` has the names of frames that cannot be read -> what is wrong; ``files`` result files and folders.
    """

    frames: int
    predicted: int
    unreadable: dict[str, str]
    seconds: float
    files: list[Path]

    def text(self) -> str:
        """What to tell the user."""
        rate = f", {self.predicted / self.seconds:.1f} frames/s" if self.predicted else ""
        done = f"{_count(self.frames)} ({self.predicted:,} now, in {self.seconds:.1f} s{rate})"
        lines = [f"{done}: {', '.join(map(str, self.files))}"]
        if self.unreadable:
            lines.append(f"{_count(len(self.unreadable))} could not be read, and no file has results of them.")
        return "\n".join(lines)


class PredictionRun:
    """Checks what a user asks for, before the model is built; then predicts."""

    def __init__(
        self,
        model: "CfgNode | ModelIdentity",
        source: InputImages | InputVideo,
        folder: Path,
        *,
        min_score: float | None = None,
        classes: Collection[str] | None = None,
        overlay: bool = False,
        limit: int | None = None,
        resume: bool = False,
        overwrite: bool = False,
        slices: Slices | None = None,
        track: bool = False,
        count_line: tuple[float, float, float, float] | None = None,
    ) -> None:
        """Makes the folder, and writes nothing yet; ``model`` is a config, or the `Predictor.identity` of a model file.

        The first test set of a config tells the task and its classes.
        Files and images have the objects from ``min_score`` on; with None all are written, and those from 0.3 on drawn.
        ``classes`` are names, None for all; pixels of others become 255. ``overlay`` draws the results of each image
        into ``overlays/``; a video is drawn anyhow. Of more frames than ``limit`` the first are predicted. ``resume``
        goes on with the run whose results are in the folder, ``overwrite`` replaces them. ``slices`` are those of the
        predictor. ``track`` numbers the objects of videos, and of folders of their frames; what passes ``count_line``
        x1, y1, x2, y2, in pixels, is counted.

        Raises:
            ConfigError: the config tells no task, the task has no scores (which ``slices`` need too) or no such class,
                or no boxes to track, a camera is to go on or to be tracked, a line is none or without ``track``, or
                both ``resume`` and ``overwrite`` are given.
            DataError: the folder has a ``frames.jsonl`` that no run has written.
            OutputError: the folder cannot be written, has what must not be replaced, or another run writes there.
        """
        identity = model if isinstance(model, ModelIdentity) else _identity_of_config(model)
        self._task = task = identity.task
        if min_score is not None and not task.has_scores:
            scored = " and ".join(one.name for one in TASKS.values() if one.has_scores)
            raise ConfigError(f"--score-thr: {task.name} has no scores; they belong to {scored}.")
        if min_score is not None and min_score < identity.min_score:
            logger.warning(
                "--score-thr %g: the file gives no detections below %g; export it with a lower SCORE_THRESH_TEST.",
                min_score,
                identity.min_score,
            )
        class_indices(task, classes)
        if slices is not None:
            check_sliceable(task)
        if isinstance(source, InputVideo) and source.is_camera and resume:
            raise ConfigError("--resume: a camera does not show again what was; leave it out.")
        if resume and overwrite:
            raise ConfigError("--resume goes on with the results, --overwrite replaces them; give one of the two.")
        if track or count_line is not None:
            if find_spec("scipy") is None:
                raise MissingRuntimeError("--track: needs scipy, which is not installed: pip install scipy")
            from .tracks import check_trackable

            check_trackable(task, source, track, count_line)
        self._check = partial(check_output_folder, folder, task, source, resume, overwrite)
        with locked(folder):
            self._check()
        self._source, self._folder = source, folder
        self._limit, self._resume, self._overwrite = limit, resume, overwrite
        self._settings = partial(
            RunSettings,
            task=task.name,
            input=_place(source),
            video=source.annotated_name if isinstance(source, InputVideo) else None,
            config=identity.config,
            weights=identity.weights,
            score_thr=min_score,
            classes=None if classes is None else sorted(classes),
            overlay=overlay,
            categories=None if task is TASKS[task.name] else task.categories,
            track=track,
            count_line=count_line,
        )

    def run(self, predictor: Predictor) -> Summary:
        """Predicts what is not done yet by the model that was named, and writes all files.

        Raises:
            ConfigError: the run to go on with had other settings, or the model is of another task.
            DataError: a video cannot be read, or a record is damaged.
            OutputError: a file cannot be written, or another run writes there or has done so in the meantime.
        """
        with locked(self._folder):
            # Another one may have come and gone while the model was built.
            self._check()
            return self._run(predictor)

    def _run(self, predictor: Predictor) -> Summary:
        start = time.perf_counter()
        source, folder = self._source, self._folder
        slices = None if predictor.slices is None else str(predictor.slices)
        settings = self._settings(batch_size=predictor.batch_size, amp=predictor.amp, slices=slices)
        if not self._task.is_official:
            found = shown(", ".join(self._task.names))
            logger.info("The classes are %s, not BDD100K's of %s: no submission.", found, self._task.name)
        with Journal(folder, settings, self._resume, _stamps(source)) as journal:
            work = Work(journal, predictor, self._limit, self._overwrite)
            names = work.video(source) if isinstance(source, InputVideo) else work.files(source)
            done = [name for name in names if (entry := journal.entries.get(name)) and entry.size is not None]
            files = write_result_lists(self._task, map(journal.line, done), folder, source)
            if settings.track:
                # SciPy is not needed otherwise.
                from .tracks import write_tracks

                files += write_tracks(journal, source, names, folder)
        if settings.video is not None:
            files.append(folder / settings.video)
        elif settings.overlay:
            files.append(folder / "overlays")
        return Summary(len(done), work.predicted, work.unreadable, time.perf_counter() - start, files)


def _identity_of_config(cfg: "CfgNode") -> ModelIdentity:
    from .config_task import identity_of

    return identity_of(cfg)


def _place(source: InputImages | InputVideo) -> str:
    if isinstance(source, InputImages):
        return "images"
    return f"camera {source.source}" if isinstance(source.source, int) else file_state(source.source.absolute())


def _stamps(source: InputImages | InputVideo) -> dict[str, FileStamp]:
    found: dict[str, FileStamp] = {}
    for name, path in source.paths.items() if isinstance(source, InputImages) else ():
        # What is not there shows when it is read.
        with suppress(OSError):
            found[name] = stamp_of(path.absolute())
    return found


def _count(frames: int) -> str:
    return f"{frames:,} frame{'' if frames == 1 else 's'}"
