"""A prediction run: from what the user gives to official files, overlays and an annotated video."""

import hashlib
import json
import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from detectron2.config import CfgNode
from detectron2.data import Metadata, MetadataCatalog

from ..data.slices import register_config_slices
from ..errors import ConfigError
from .frame_result import select, task_of
from .inputs import InputImages, InputVideo
from .journal import Journal, Settings, Source
from .outputs import write_official_files
from .previous import check_folder, remove_results, video_name
from .worker import Streaming, Wanted, Work


class Options(NamedTuple):
    """What of the results is wanted.

    Attributes:
        min_score: objects from this score on, in files and images; None writes all and draws those from 0.3 on.
        classes: names of the classes that are wanted; None for all. Pixels of other classes become 255.
        overlay: draw the results of each image into ``overlays/``; a video is drawn anyhow.
        limit: of more frames, the first; None for all.
        resume: go on with the run whose results are in the folder.
        overwrite: replace the results of the run that is in the folder.
    """

    min_score: float | None = None
    classes: tuple[str, ...] | None = None
    overlay: bool = False
    limit: int | None = None
    resume: bool = False
    overwrite: bool = False


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


def first_test_set(cfg: CfgNode) -> Metadata:
    """The metadata of the config's first test set, which tells the task.

    Raises:
        ConfigError: there is none, or a slice that the config describes cannot be.
    """
    register_config_slices(cfg)
    if not cfg.DATASETS.TEST:
        raise ConfigError("DATASETS.TEST is empty and tells no task; name a data set such as bdd100k_det_val.")
    return MetadataCatalog.get(cfg.DATASETS.TEST[0])


class PredictionRun:
    """Checks what a user asks for, before the model is built; then predicts."""

    def __init__(self, cfg: CfgNode, source: InputImages | InputVideo, folder: Path, options: Options) -> None:
        """Takes the model's config, the input, the folder of the results and what is wanted.

        Raises:
            ConfigError: the config's first test set tells no task, an unknown class, a camera to go on with, or both
                ``resume`` and ``overwrite``.
            DataError: the folder has a ``frames.jsonl`` that no run has written.
            OutputError: the folder cannot be written, or has what must not be replaced: the input, results that no
                run has written, or those of a run without ``resume`` or ``overwrite``.
        """
        metadata = first_test_set(cfg)
        self.task = task_of(metadata)
        selection = select(self.task, options.min_score, options.classes)
        if isinstance(source, InputVideo) and source.is_camera and options.resume:
            raise ConfigError("--resume: a camera does not show again what was; leave it out.")
        if options.resume and options.overwrite:
            raise ConfigError("--resume goes on with the results, --overwrite replaces them; give one of the two.")
        self._wanted = Wanted(self.task, metadata, selection, folder, options.overlay, options.limit)
        self._cfg, self._source, self._folder, self._options = cfg, source, folder, options
        check_folder(folder, self.task, source, options.resume, options.overwrite)

    def run(self, predictor: Streaming) -> Summary:
        """Predicts what is not done yet, and writes all files.

        Args:
            predictor: of the config.

        Raises:
            ConfigError: the run to go on with had other settings, or the model is of another task.
            DataError: a video that cannot be read, or a record that is damaged.
            OutputError: a file cannot be written.
        """
        start = time.perf_counter()
        source = self._source
        with Journal(self._folder, self._settings(predictor), self._options.resume, _sources(source)) as journal:
            work = Work(self._wanted, predictor, journal, lambda: self._begin(journal))
            names = work.video(source) if isinstance(source, InputVideo) else work.files(source)
            done = [name for name in names if (entry := journal.entries.get(name)) and entry.size is not None]
            video = source if isinstance(source, InputVideo) else None
            files = write_official_files(self.task, map(journal.line, done), self._folder, video)
        if isinstance(source, InputVideo):
            files.append(self._folder / f"{source.stem}.mp4")
        elif self._options.overlay:
            files.append(self._folder / "overlays")
        return Summary(len(done), work.predicted, work.unreadable, time.perf_counter() - start, files)

    def _begin(self, journal: Journal) -> None:
        if self._options.overwrite:
            remove_results(self._folder)
        journal.begin()

    def _settings(self, predictor: Streaming) -> Settings:
        options, weights, source = self._options, self._cfg.MODEL.WEIGHTS, self._source
        if Path(weights).is_file():
            weights = _with_state(Path(weights))
        place = "images"
        if isinstance(source, InputVideo):
            place = f"camera {source.source}" if source.is_camera else _with_state(source.source.absolute())
        return Settings(
            task=self.task,
            input=place,
            video=video_name(source),
            config=_hash(self._cfg),
            weights=weights,
            score_thr=options.min_score,
            classes=None if options.classes is None else sorted(options.classes),
            overlay=options.overlay,
            batch_size=predictor.batch_size,
            amp=predictor.amp,
        )


def _hash(cfg: CfgNode) -> str:
    # Not of its YAML, which names lists that are one object by anchors.
    keys = {key: value for key, value in cfg.items() if key != "OUTPUT_DIR"}
    return hashlib.sha256(json.dumps(keys, sort_keys=True).encode()).hexdigest()


def _with_state(path: Path) -> str:
    # Under the same name there may be another file by now.
    status = path.stat()
    return f"{path}, {status.st_size} bytes, {status.st_mtime_ns}"


def _sources(source: InputImages | InputVideo) -> dict[str, Source]:
    if isinstance(source, InputVideo):
        return {}
    found: dict[str, Source] = {}
    for name, path in source.paths.items():
        # What is not there shows when it is read.
        with suppress(OSError):
            status = path.stat()
            found[name] = (str(path.absolute()), status.st_size, status.st_mtime_ns)
    return found


def _count(frames: int) -> str:
    return f"{frames:,} frame{'' if frames == 1 else 's'}"
