"""The record of a prediction run, from which a run that was stopped goes on: one line per frame that is done.

A line is written when all other files of its frame are on the disk. A line that was cut off does not count, so that
whatever stops a run, at most the frames that were under way are predicted again.
"""

import errno
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from threading import Lock
from typing import NamedTuple

import msgspec

from ..atomic import write_atomic
from ..errors import ConfigError, DataError, OutputError
from ..tasks import TASKS

FILE_NAME = "frames.jsonl"

# In place of the descriptor of an open file.
_CLOSED = -1

FileStamp = tuple[str, int, int]
"""What tells that an image is the same: its absolute path, its size in bytes and when it was changed, in ns."""


class RunSettings(msgspec.Struct, frozen=True):
    """What the user asked for and what the results follow from: the first line; a run goes on only with the same.

    Attributes:
        input: the video with its size and time, or the camera; "images" for images, whose lines have their own.
        video: the name of the annotated video, None for images; the file has it under an older name.
        config: a hash of it.
        weights: with their size and time, where they are a file.
        score_thr: objects from this score on; None writes all and draws those from 0.3 on.
        classes: names of the classes that are wanted; None for all.
        overlay: the results are drawn on each image.
    """

    task: str
    input: str
    video: str | None = msgspec.field(name="film")
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
    source: FileStamp | None = None
    size: tuple[int, int] | None = None
    corners: list[tuple[float, float, float, float]] | None = None
    classes: list[int] | None = None
    scores: list[float] | None = None
    error: str | None = None


class Entry(NamedTuple):
    """What is kept in memory of a line: all boxes of a split, or of a camera, would be too much.

    Attributes:
        size: (H, W) of the frame; None if it cannot be read.
        start: where the line begins in the file, in bytes.
        length: of the line, in bytes.
    """

    size: tuple[int, int] | None
    start: int
    length: int


def read_settings(path: Path) -> RunSettings:
    """The first line of a record.

    Raises:
        DataError: the file is not the record of a run.
    """
    try:
        with path.open("rb") as file:
            settings = msgspec.json.decode(file.readline(), type=RunSettings)
        if settings.task not in TASKS:
            raise msgspec.ValidationError(f"there is no task {settings.task!r}")
        return settings
    except (OSError, msgspec.MsgspecError) as error:
        raise DataError(f"{path}: not the record of a run ({error}); choose another output folder.") from error


def read_lines(path: Path) -> Iterator[tuple[FrameLine, Entry]]:
    """Yields each whole line after the first, and its entry.

    Raises:
        DataError: the file is not the record of a run.
    """
    decoder = msgspec.json.Decoder(FrameLine)
    with path.open("rb") as file:
        start = len(file.readline())
        for content in file:
            if not content.endswith(b"\n"):
                return
            try:
                line = decoder.decode(content)
            except msgspec.MsgspecError as error:
                raise DataError(f"{path}: not the record of a run ({error}); choose another output folder.") from error
            yield line, Entry(line.size, start, len(content))
            start += len(content)


class Journal:
    """The file of a run's record, open for more lines; a context.

    With ``resume`` it goes on with the record in ``folder``, if there is one; a new one begins with :meth:`begin`.

    Args:
        folder: of the results.
        settings: of the run.
        resume: go on with an earlier start.
        stamps: of the images, by the frames' names; empty for a video.

    Attributes:
        entries: of the run so far, by the frames' names; a later line of a name replaces an earlier one.

    Raises:
        ConfigError: the record is of other settings, or of other images.
        DataError: the record is damaged.
        OutputError: the record cannot be written.
    """

    def __init__(self, folder: Path, settings: RunSettings, resume: bool, stamps: Mapping[str, FileStamp]) -> None:
        self.path = folder / FILE_NAME
        self.entries: dict[str, Entry] = {}
        self.settings, self._stamps = settings, stamps
        self._lock = Lock()
        self._encoder = msgspec.json.Encoder()
        self._descriptor = _CLOSED
        self._end = 0
        if resume and self.path.exists():
            self._check(read_settings(self.path))
            self._read()
            self._open()

    def _check(self, earlier: RunSettings) -> None:
        for field, now in msgspec.structs.asdict(self.settings).items():
            if (before := getattr(earlier, field)) != now:
                # Hashes would tell nobody anything.
                change = "another config" if field == "config" else f"{field} {before!r}, now it is {now!r}"
                remedy = "go on with the same, or start again with --overwrite or in another folder."
                raise ConfigError(f"{self.path}: the run had {change}; {remedy}")

    def _read(self) -> None:
        with self.path.open("rb") as file:
            self._end = len(file.readline())
        others: dict[str, None] = {}
        for line, entry in read_lines(self.path):
            self.entries[line.name] = entry
            self._end = entry.start + entry.length
            if line.source is not None and line.source != self._stamps.get(line.name):
                others[line.name] = None
        if others:
            # Dropping their results unasked would lose a whole run to a wrong --input.
            raise ConfigError(
                f"{self.path}: {len(others):,} of the images that were predicted are not in the input, have other "
                f"names there or have changed, as {next(iter(others))}; go on with the same images (more may have "
                "come), or start again with --overwrite or in another folder."
            )

    def begin(self) -> None:
        """Begins a record in place of an earlier one; nothing where the run goes on.

        Raises:
            OutputError: the record cannot be written.
        """
        if self._descriptor == _CLOSED:
            head = self._encoder.encode(self.settings) + b"\n"
            # Whole or not at all, so that a record always tells that it is one.
            write_atomic(self.path, head)
            self._end = len(head)
            self._open()

    def _open(self) -> None:
        try:
            self._descriptor = os.open(self.path, os.O_RDWR)
            os.ftruncate(self._descriptor, self._end)
            os.lseek(self._descriptor, self._end, os.SEEK_SET)
        except OSError as error:
            raise OutputError(f"{self.path}: cannot be written ({error.strerror}); choose another folder.") from error

    def append(self, line: FrameLine) -> None:
        """Adds a line with the source of its frame; any thread may, after :meth:`begin`.

        Raises:
            OutputError: the record cannot be written.
        """
        if line.error is None:
            line.source = self._stamps.get(line.name)
        content = self._encoder.encode(line) + b"\n"
        with self._lock:
            try:
                # In one call: a process that is killed leaves all of it or its beginning.
                if os.write(self._descriptor, content) != len(content):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            except OSError as error:
                raise OutputError(
                    f"{self.path}: cannot be written ({error.strerror}); free some space and go on with --resume."
                ) from error
            self.entries[line.name] = Entry(line.size, self._end, len(content))
            self._end += len(content)

    def line(self, name: str) -> FrameLine:
        """The line of a frame, read from the file; any thread may.

        Raises:
            DataError: the line is not there any more.
        """
        entry = self.entries[name]
        try:
            return msgspec.json.decode(os.pread(self._descriptor, entry.length, entry.start), type=FrameLine)
        except (OSError, msgspec.MsgspecError) as error:
            raise DataError(f"{self.path}: changed by another program while it was read ({error}).") from error

    def __enter__(self) -> "Journal":
        return self

    def __exit__(self, *_: object) -> None:
        if self._descriptor != _CLOSED:
            os.fsync(self._descriptor)
            os.close(self._descriptor)


def whole_batches(entries: Mapping[str, Entry], names: list[str], batch_size: int) -> set[str]:
    """The frames that need not be predicted again: those of batches that were finished.

    A model's result for a frame may differ in its last digits with the number of frames beside it, so that the batches
    of a run that goes on have to be those of one that was not stopped.

    Args:
        entries: of the record.
        names: of all frames, in order.
        batch_size: of the model; a batch has frames of one size.
    """
    done: set[str] = set()
    batch: list[str] = []
    size = None
    for name in names:
        entry = entries.get(name)
        if entry is None:
            if batch_size == 1:
                continue
            # Nothing tells whether the next frames were in one batch with this.
            return done
        if entry.size is None:
            continue
        if entry.size != size:
            done.update(batch)
            batch, size = [], entry.size
        batch.append(name)
        if len(batch) == batch_size:
            done.update(batch)
            batch = []
    return done.union(batch)
