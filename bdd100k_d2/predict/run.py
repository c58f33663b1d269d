"""A prediction run: from what the user gives, or a split, to official files, overlays, a video, or a submission."""

import hashlib
import json
import logging
import shutil
import time
from collections.abc import Collection
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import NamedTuple

from detectron2.config import CfgNode

from ..atomic import atomic_path, check_out_file, file_digest, write_atomic
from ..data.datasets import load_images
from ..data.register import data_folder, locate
from ..errors import ConfigError, OutputError, shown
from ..evaluation.prediction_files import write_submission
from ..evaluation.submission import Defect, check_submission, incomplete_split
from ..inside import refuse_overwriting
from ..lock import locked
from ..parallel import cores
from ..tasks import TASKS
from .config_task import task_of
from .frame_result import class_indices
from .inputs import InputImages, InputVideo
from .journal import FileStamp, Journal, RunSettings
from .outputs import check_output_folder, write_result_lists
from .predictor import Predictor
from .worker import Work

logger = logging.getLogger(__name__)

# In the folder of the frames: the SHA-256 of the file that was made of them, or is about to be.
_DIGEST = "submission.sha256"


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
        cfg: CfgNode,
        source: InputImages | InputVideo,
        folder: Path,
        *,
        min_score: float | None = None,
        classes: Collection[str] | None = None,
        overlay: bool = False,
        limit: int | None = None,
        resume: bool = False,
        overwrite: bool = False,
    ) -> None:
        """Makes the folder, and writes nothing yet; the config's first test set tells the task and its classes.

        Files and images have the objects from ``min_score`` on; with None all are written, and those from 0.3 on drawn.
        ``classes`` are names, None for all; pixels of others become 255. ``overlay`` draws the results of each image
        into ``overlays/``; a video is drawn anyhow. Of more frames than ``limit`` the first are predicted. ``resume``
        goes on with the run whose results are in the folder, ``overwrite`` replaces them.

        Raises:
            ConfigError: the config tells no task, the task has no scores or no such class, a camera is to go on, or
                both ``resume`` and ``overwrite`` are given.
            DataError: the folder has a ``frames.jsonl`` that no run has written.
            OutputError: the folder cannot be written, has what must not be replaced, or another run writes there.
        """
        self._task = task = task_of(cfg)
        if min_score is not None and not task.has_scores:
            scored = " and ".join(one.name for one in TASKS.values() if one.has_scores)
            raise ConfigError(f"--score-thr: {task.name} has no scores; they belong to {scored}.")
        class_indices(task, classes)
        if isinstance(source, InputVideo) and source.is_camera and resume:
            raise ConfigError("--resume: a camera does not show again what was; leave it out.")
        if resume and overwrite:
            raise ConfigError("--resume goes on with the results, --overwrite replaces them; give one of the two.")
        self._check = partial(check_output_folder, folder, task, source, resume, overwrite)
        with locked(folder):
            self._check()
        self._source, self._folder = source, folder
        self._limit, self._resume, self._overwrite = limit, resume, overwrite
        weights = cfg.MODEL.WEIGHTS
        self._settings = partial(
            RunSettings,
            task=task.name,
            input=_place(source),
            video=source.annotated_name if isinstance(source, InputVideo) else None,
            config=_hash(cfg),
            weights=_with_state(Path(weights)) if Path(weights).is_file() else weights,
            score_thr=min_score,
            classes=None if classes is None else sorted(classes),
            overlay=overlay,
            categories=None if task is TASKS[task.name] else task.categories,
        )

    def run(self, predictor: Predictor) -> Summary:
        """Predicts what is not done yet by the model of the config, and writes all files.

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
        settings = self._settings(batch_size=predictor.batch_size, amp=predictor.amp)
        if not self._task.is_official:
            found = shown(", ".join(self._task.names))
            logger.info("The classes are %s, not BDD100K's of %s: no submission.", found, self._task.name)
        with Journal(folder, settings, self._resume, _stamps(source)) as journal:
            work = Work(journal, predictor, self._limit, self._overwrite)
            names = work.video(source) if isinstance(source, InputVideo) else work.files(source)
            done = [name for name in names if (entry := journal.entries.get(name)) and entry.size is not None]
            files = write_result_lists(self._task, map(journal.line, done), folder, source)
        if settings.video is not None:
            files.append(folder / settings.video)
        elif settings.overlay:
            files.append(folder / "overlays")
        return Summary(len(done), work.predicted, work.unreadable, time.perf_counter() - start, files)


class SubmissionRun:
    """Checks what a user asks for, before the model is built; then predicts a split and makes the server's file."""

    def __init__(
        self,
        cfg: CfgNode,
        task: str,
        path: Path,
        split: str = "test",
        root: Path | None = None,
        resume: bool = False,
        overwrite: bool = False,
    ) -> None:
        """Finds the images of the split below ``root``/bdd100k; see `data.root.default_root`.

        The results of the frames go into a folder beside the file, ``<name>_<task>_frames``; ``resume`` goes on with
        those in it, ``overwrite`` replaces them. A file at ``path`` is replaced with ``overwrite``, and with ``resume``
        if it was made of those frames.

        Raises:
            ConfigError: the config is of another task, or ``path`` has another ending.
            DataError: the split's images are not there.
            OutputError: the folder or the file cannot be written, or must not be replaced.
        """
        if path.suffix.lower() != (suffix := TASKS[task].submission_suffix):
            raise ConfigError(f"--out {path}: a submission of {task} ends in {suffix}.")
        if (of_config := task_of(cfg)).name != task:
            raise ConfigError(f"the config is of {of_config.name}, not of {task}: its DATASETS.TEST says so.")
        if not of_config.is_official:
            raise ConfigError(
                f"the server takes BDD100K's classes of {task}, all of them and no others, but the first set of "
                f"DATASETS.TEST has {shown(', '.join(of_config.names))}; tools/predict.py predicts those."
            )
        self._task, self._path, self._split = TASKS[task], path, split
        self._images = locate(f"bdd100k_{task}_{split}", root).present().images
        self._source = InputImages({one["image_id"]: Path(one["file_name"]) for one in load_images(self._images)})
        self._folder = path.with_name(f"{path.stem}_{task}_frames")
        self._resume, self._overwrite = resume, overwrite
        check_out_file(path)
        weights = Path(cfg.MODEL.WEIGHTS)
        refuse_overwriting(path, [data_folder(root), *([weights] if weights.is_file() else [])])
        self._run = PredictionRun(cfg, self._source, self._folder, resume=resume, overwrite=overwrite)
        self._check_file()

    def _check_file(self) -> None:
        """Raises OutputError if the file is there and is not to be replaced."""
        path = self._path
        if self._overwrite or not path.is_file():
            return
        if not self._resume:
            raise OutputError(f"{path}: is there; give --overwrite to replace it, or choose another --out.")
        if file_digest(path) not in self._digests():
            raise OutputError(
                f"{path}: is there, but was not made of {self._folder}; move it, or choose another --out."
            )

    def run(self, predictor: Predictor) -> tuple[list[Defect], Summary]:
        """Predicts all images and writes the file; returns what is wrong with it, and what the run did.

        Raises:
            BDD100KError: :meth:`PredictionRun.run` fails.
        """
        with locked(self._folder):
            summary = self._run.run(predictor)
            self._check_file()
            self._write(summary)
        frames = list(self._source.paths)
        incomplete = incomplete_split(self._task.name, self._split, self._images, frames)
        defects = check_submission(self._task.name, self._path, frames, processes=cores())
        return ([] if incomplete is None else [incomplete]) + defects, summary

    def _digests(self) -> list[str]:
        path = self._folder / _DIGEST
        return path.read_text(errors="replace").split() if path.is_file() else []

    def _write(self, summary: Summary) -> None:
        before = file_digest(self._path) if self._path.is_file() else None
        with atomic_path(self._path) as temporary:
            if self._task.submission_suffix == ".json":
                shutil.copyfile(summary.files[0], temporary)
            else:
                write_submission(self._folder, temporary, [path.name for path in summary.files])
            # By which a later start knows the file again, whichever of the two is there if this one ends here.
            known = [one for one in self._digests() if one == before]
            write_atomic(self._folder / _DIGEST, "\n".join([*known, file_digest(temporary)]) + "\n")


def _hash(cfg: CfgNode) -> str:
    # Not of its YAML, which names lists that are one object by anchors.
    keys = {key: value for key, value in cfg.items() if key != "OUTPUT_DIR"}
    return hashlib.sha256(json.dumps(keys, sort_keys=True).encode()).hexdigest()


def _stamp(path: Path) -> FileStamp:
    status = path.stat()
    return str(path), status.st_size, status.st_mtime_ns


def _with_state(path: Path) -> str:
    # Under the same name there may be another file by now.
    return "{}, {} bytes, {}".format(*_stamp(path))


def _place(source: InputImages | InputVideo) -> str:
    if isinstance(source, InputImages):
        return "images"
    return f"camera {source.source}" if isinstance(source.source, int) else _with_state(source.source.absolute())


def _stamps(source: InputImages | InputVideo) -> dict[str, FileStamp]:
    found: dict[str, FileStamp] = {}
    for name, path in source.paths.items() if isinstance(source, InputImages) else ():
        # What is not there shows when it is read.
        with suppress(OSError):
            found[name] = _stamp(path.absolute())
    return found


def _count(frames: int) -> str:
    return f"{frames:,} frame{'' if frames == 1 else 's'}"
