"""The record of a prediction run, from which a run that was stopped goes on: a line a frame, appended as it is done.

A line is written when all other files of its frame are on the disk. A line that was cut off is none, so that whatever
stops a run, at most the frames that were under way are predicted again.
"""

import os
from pathlib import Path
from threading import Lock
from types import TracebackType

import msgspec

from ...errors import ConfigError, DataError, OutputError

FILE_NAME = "frames.jsonl"


class Settings(msgspec.Struct, frozen=True):
    """What the results of a run follow from; a run goes on only with the same."""

    task: str
    input: str
    config: str
    weights: str
    score_thr: float | None
    classes: list[str] | None
    overlay: bool
    batch_size: int
    amp: bool


class FrameLine(msgspec.Struct, omit_defaults=True):
    """A frame that is done, or that cannot be read; objects as in `FrameResult`."""

    name: str
    size: tuple[int, int] | None = None
    corners: list[tuple[float, float, float, float]] | None = None
    classes: list[int] | None = None
    scores: list[float] | None = None
    error: str | None = None


class Journal:
    """The file of a run's record, open for more lines; a context.

    Attributes:
        lines: of the run so far, by the frames' names; a later line of a name replaces an earlier one.
    """

    def __init__(self, folder: Path, settings: Settings, resume: bool) -> None:
        """Begins a record in ``folder``, or goes on with the one that is there.

        Args:
            folder: of the results; it is made.
            settings: of the run.
            resume: go on; where there is no record, one begins.

        Raises:
            ConfigError: the record is of other settings.
            DataError: the record is damaged.
            OutputError: it cannot be written.
        """
        self.path = folder / FILE_NAME
        self.lines: dict[str, FrameLine] = {}
        self._lock = Lock()
        self._encoder = msgspec.json.Encoder()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            end = self._read(settings) if resume and self.path.exists() else 0
            self._file = self.path.open("r+b" if end else "wb", buffering=0)
            self._file.truncate(end)
            self._file.seek(end)
        except OSError as error:
            raise OutputError(
                f"{folder}: the output folder cannot be written ({error.strerror}); choose another one."
            ) from error
        if not end:
            self._write(settings)

    def _read(self, settings: Settings) -> int:
        """Reads the record; returns where its last whole line ends."""
        content = self.path.read_bytes()
        end = content.rfind(b"\n") + 1
        head, *rest = content[:end].splitlines() or [b""]
        if not head:
            return 0
        try:
            earlier = msgspec.json.decode(head, type=Settings)
            lines = [msgspec.json.decode(line, type=FrameLine) for line in rest]
        except msgspec.MsgspecError as error:
            raise DataError(f"{self.path}: not the record of a run ({error}); start without --resume.") from error
        for field in settings.__struct_fields__:
            before, now = getattr(earlier, field), getattr(settings, field)
            if before != now:
                raise ConfigError(
                    f"{self.path}: the run had {field} {before!r}, now it is {now!r}; go on with the same, or start "
                    "without --resume."
                )
        self.lines = {line.name: line for line in lines}
        return end

    def append(self, line: FrameLine) -> None:
        """Adds a line; any thread may.

        Raises:
            OutputError: it cannot be written.
        """
        with self._lock:
            self.lines[line.name] = line
            self._write(line)

    def _write(self, item: msgspec.Struct) -> None:
        content = self._encoder.encode(item) + b"\n"
        try:
            # In one call: a process that is killed leaves all of it or its beginning.
            if self._file.write(content) != len(content):
                raise OSError(28, os.strerror(28))
        except OSError as error:
            raise OutputError(
                f"{self.path}: cannot be written ({error.strerror}); free some space and go on with --resume."
            ) from error

    def __enter__(self) -> "Journal":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.fsync(self._file.fileno())
        self._file.close()


def whole_batches(lines: dict[str, FrameLine], names: list[str], batch_size: int) -> set[str]:
    """The frames that need not be predicted again: those of batches that were finished.

    A model's result for a frame may differ in its last digits with the number of frames beside it, so that the batches
    of a run that goes on have to be those of one that was not stopped.

    Args:
        lines: of the record.
        names: of all frames, in order.
        batch_size: of the model; a batch has frames of one size.
    """
    done: set[str] = set()
    batch: list[str] = []
    size = None
    for name in names:
        line = lines.get(name)
        if line is None:
            # Nothing tells whether the next frames were in one batch with this.
            return done
        if line.error is not None:
            continue
        if line.size != size:
            done.update(batch)
            batch, size = [], line.size
        batch.append(name)
        if len(batch) == batch_size:
            done.update(batch)
            batch = []
    return done.union(batch)
