"""A prediction run: from what the user gives to official files, overlays and an annotated video."""

import hashlib
import json
import time
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import msgspec
from detectron2.config import CfgNode
from detectron2.data import Metadata, MetadataCatalog

from ..data.slices import register_config_slices
from ..errors import ConfigError
from ..tasks import TASKS
from .frame_result import class_indices
from .inputs import InputImages, InputVideo
from .journal import FileStamp, Journal, RunSettings
from .outputs import write_official_files
from .predictor import Predictor
from .previous import check_output_folder
from .worker import Work


class Summary(NamedTuple):
    """What a run did.

    Attributes:
        frames: those with results, of earlier starts too.
        predicted: frames of this start.
        unreadable: the names of frames that cannot be read -> what is wrong.
        seconds: of this start.
        files: result files and folders.
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


def task_of(cfg: CfgNode) -> tuple[str, Metadata]:
    """The task that the config's first test set tells, and the metadata of the set.

    Raises:
        ConfigError: there is no test set, it is not one of BDD100K's, or the config describes a slice that cannot be.
    """
    register_config_slices(cfg)
    if not cfg.DATASETS.TEST:
        raise ConfigError("DATASETS.TEST is empty and tells no task; name a data set such as bdd100k_det_val.")
    metadata = MetadataCatalog.get(cfg.DATASETS.TEST[0])
    task = (metadata.get("evaluator_type", None) or "").removeprefix("bdd100k_")
    if task not in TASKS:
        raise ConfigError(
            f"DATASETS.TEST begins with {metadata.name!r}, which tells no task of BDD100K; the files are those of a "
            f"task: name a set such as bdd100k_det_val. Tasks are {', '.join(TASKS)}."
        )
    return task, metadata


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
        """Makes the folder, and writes nothing yet.

        Args:
            cfg: of the model; its first test set tells the task.
            source: what to predict.
            folder: of the results.
            min_score: objects from this score on, in files and images; None writes all and draws those from 0.3 on.
            classes: names of the classes that are wanted; None for all. Pixels of other classes become 255.
            overlay: draw the results of each image into ``overlays/``; a video is drawn anyhow.
            limit: of more frames, the first; None for all.
            resume: go on with the run whose results are in the folder.
            overwrite: replace the results of the run that is in the folder.

        Raises:
            ConfigError: the config's first test set tells no task, the task has no scores or no such class, a camera is
                to go on, or both ``resume`` and ``overwrite`` are given.
            DataError: the folder has a ``frames.jsonl`` that no run has written.
            OutputError: the folder cannot be written, or has what must not be replaced: the input, results that no
                run has written, or those of a run without ``resume`` or ``overwrite``.
        """
        self._task, self._metadata = task_of(cfg)
        if min_score is not None and not TASKS[self._task].has_scores:
            scored = " and ".join(name for name, task in TASKS.items() if task.has_scores)
            raise ConfigError(f"--score-thr: {self._task} has no scores; they belong to {scored}.")
        class_indices(self._task, classes)
        if isinstance(source, InputVideo) and source.is_camera and resume:
            raise ConfigError("--resume: a camera does not show again what was; leave it out.")
        if resume and overwrite:
            raise ConfigError("--resume goes on with the results, --overwrite replaces them; give one of the two.")
        check_output_folder(folder, self._task, source, resume, overwrite)
        self._source, self._folder = source, folder
        self._limit, self._resume, self._overwrite = limit, resume, overwrite
        weights = cfg.MODEL.WEIGHTS
        self._settings = RunSettings(
            task=self._task,
            input=_place(source),
            video=source.annotated_name if isinstance(source, InputVideo) else None,
            config=_hash(cfg),
            weights=_with_state(Path(weights)) if Path(weights).is_file() else weights,
            score_thr=min_score,
            classes=None if classes is None else sorted(classes),
            overlay=overlay,
            batch_size=1,
            amp=False,
        )

    def run(self, predictor: Predictor) -> Summary:
        """Predicts what is not done yet by the model of the config, and writes all files.

        Raises:
            ConfigError: the run to go on with had other settings, or the model is of another task.
            DataError: a video cannot be read, or a record is damaged.
            OutputError: a file cannot be written.
        """
        start = time.perf_counter()
        source, folder = self._source, self._folder
        settings = msgspec.structs.replace(self._settings, batch_size=predictor.batch_size, amp=predictor.amp)
        with Journal(folder, settings, self._resume, _stamps(source)) as journal:
            work = Work(journal, self._metadata, predictor, self._limit, self._overwrite)
            names = work.video(source) if isinstance(source, InputVideo) else work.files(source)
            done = [name for name in names if (entry := journal.entries.get(name)) and entry.size is not None]
            files = write_official_files(self._task, map(journal.line, done), folder, source)
        if settings.video is not None:
            files.append(folder / settings.video)
        elif settings.overlay:
            files.append(folder / "overlays")
        return Summary(len(done), work.predicted, work.unreadable, time.perf_counter() - start, files)


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
