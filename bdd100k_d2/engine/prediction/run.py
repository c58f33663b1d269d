"""A prediction run: from what the user gives to official files, overlays and an annotated film."""

import hashlib
import time
from pathlib import Path
from typing import NamedTuple

from detectron2.config import CfgNode
from detectron2.data import MetadataCatalog

from ...errors import ConfigError, OutputError
from .frame_result import PIXEL_FOLDERS, select, task_of
from .inputs import Film, Pictures
from .journal import FILE_NAME, Journal, Settings
from .official_files import write_official_files
from .work import Streaming, Wanted, Work


class Options(NamedTuple):
    """What of the results is wanted.

    Attributes:
        min_score: objects from this score on, in files and pictures; None writes all and draws those from 0.3 on.
        classes: names of the classes that are wanted; None for all. Pixels of other classes become 255.
        overlay: draw the results of each picture into ``overlays/``; a film is drawn anyhow.
        limit: of more frames, the first; None for all.
        resume: go on with the run whose results are in the folder.
    """

    min_score: float | None = None
    classes: tuple[str, ...] | None = None
    overlay: bool = False
    limit: int | None = None
    resume: bool = False


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


class PredictionRun:
    """Checks what a user asks for, before the model is built; then predicts."""

    def __init__(self, cfg: CfgNode, source: Pictures | Film, folder: Path, options: Options) -> None:
        """Takes the model's config, the input, the folder of the results and what is wanted.

        Raises:
            ConfigError: the config's first test set tells no task, an unknown class, or a camera to go on with.
            OutputError: the folder cannot be written, or has results that no run has written.
        """
        if not cfg.DATASETS.TEST:
            raise ConfigError("DATASETS.TEST is empty and tells no task; name a data set such as bdd100k_det_val.")
        metadata = MetadataCatalog.get(cfg.DATASETS.TEST[0])
        self.task = task_of(metadata)
        selection = select(self.task, options.min_score, options.classes)
        if isinstance(source, Film) and source.is_camera and options.resume:
            raise ConfigError("--resume: a camera does not show again what was; leave it out.")
        self._wanted = Wanted(self.task, metadata, selection, folder, options.overlay, options.limit)
        self._cfg, self._source, self._folder, self._options = cfg, source, folder, options
        self._check_folder()

    def run(self, predictor: Streaming) -> Summary:
        """Predicts what is not done yet, and writes all files.

        Args:
            predictor: of the config.

        Raises:
            ConfigError: the run to go on with had other settings, or the model is of another task.
            DataError: a film that cannot be read, or a record that is damaged.
            OutputError: a file cannot be written.
        """
        start = time.perf_counter()
        if not self._options.resume and (self._folder / FILE_NAME).exists():
            self._clear()
        with Journal(self._folder, self._settings(predictor), self._options.resume) as journal:
            work = Work(self._wanted, predictor, journal)
            source = self._source
            names = work.film(source) if isinstance(source, Film) else work.pictures(source)
            lines = [line for name in names if (line := journal.lines.get(name)) and line.error is None]
        files = write_official_files(self.task, lines, self._folder, source.stem if isinstance(source, Film) else None)
        if isinstance(source, Film):
            files.append(self._folder / f"{source.stem}.mp4")
        elif self._options.overlay:
            files.append(self._folder / "overlays")
        return Summary(len(lines), work.predicted, work.unreadable, time.perf_counter() - start, files)

    def _check_folder(self) -> None:
        found = [path for path in self._result_places() if path.exists()]
        if found and not (self._folder / FILE_NAME).exists():
            raise OutputError(
                f"{found[0]} is there, but no {FILE_NAME}, which a run would have written with it; choose another "
                "output folder."
            )
        probe = self._folder / ".write_test"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            probe.touch()
            probe.unlink()
        except OSError as error:
            raise OutputError(
                f"{self._folder}: the output folder cannot be written ({error.strerror}); choose another one."
            ) from error

    def _result_places(self) -> list[Path]:
        names = ("det.json", "score.json", *sorted({*PIXEL_FOLDERS.values()}), "overlays")
        return [self._folder / name for name in names]

    def _clear(self) -> None:
        """Removes the results of an earlier run; that they are from one, its record says."""
        for place in self._result_places():
            for path in (*place.glob("*.png"), *place.glob("*.jpg")) if place.is_dir() else (place,):
                path.unlink(missing_ok=True)

    def _settings(self, predictor: Streaming) -> Settings:
        options, weights, source = self._options, self._cfg.MODEL.WEIGHTS, self._source
        if Path(weights).is_file():
            # Under the same name there may be other weights by now.
            status = Path(weights).stat()
            weights = f"{weights}, {status.st_size} bytes, {status.st_mtime_ns}"
        place = source.source if isinstance(source, Film) else next(iter(source.paths.values())).parent
        return Settings(
            task=self.task,
            input=str(place if isinstance(place, int) else place.absolute()),
            config=hashlib.sha256(self._cfg.dump().encode()).hexdigest(),
            weights=weights,
            score_thr=options.min_score,
            classes=None if options.classes is None else sorted(options.classes),
            overlay=options.overlay,
            batch_size=predictor.batch_size,
            amp=predictor.amp,
        )


def _count(frames: int) -> str:
    return f"{frames:,} frame{'' if frames == 1 else 's'}"
