"""The record of a prediction run, from which a run that was stopped goes on: one line per frame that is done.

A line is written when all other files of its frame are on the disk. A line that was cut off does not count, so that
whatever stops a run, at most the frames that were under way are predicted again.
"""

import errno
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from itertools import takewhile
from pathlib import Path
from threading import Lock
from typing import NamedTuple

import msgspec

from ..atomic import atomic_path, output_errors, write_atomic
from ..data.categories import Category
from ..data.folders import RECORD_NAME
from ..errors import ConfigError, DataError, OutputError, shown
from ..inside import check_plain_name, inside
from ..regular_file import check_regular_file
from ..tasks import TASKS, Task
from .file_stamp import FileStamp

FILE_NAME = RECORD_NAME
# In place of the descriptor of an open file.
_CLOSED = -1
# What a damaged line or a file that cannot be read raises.
_DAMAGED = (OSError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
# Of red, green and blue.
_MOST_LIGHT = 255
# Of a line in bytes: a frame with 100,000 objects has less.
_MOST_LINE_BYTES = 1 << 24


class RunSettings(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the user asked for and what the results follow from: the first line; a run goes on only with the same.

    Attributes:
        input: the video with its size and time, or the camera; "images" for images, whose lines have their own.
        video: the name of the annotated video, None for images; the file has it under an older name.
        config: of a model of a config a hash of it; of a model file what its card says of it.
        weights: with their size and time, where they are a file; or the model file, with its.
        score_thr: objects from this score on; None writes all and draws those from 0.3 on.
        classes: names of those that are wanted; None for all.
        categories: the classes of the results; None, which older records mean too, for BDD100K's of the task.
        slices: how frames were cut; None for not at all.
        track: objects of videos get numbers; those that pass the ``count_line`` x1, y1, x2, y2 are counted.
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
    categories: tuple[Category, ...] | None = None
    slices: str | None = None
    track: bool = False
    count_line: tuple[float, float, float, float] | None = None

    @property
    def task_with_classes(self) -> Task:
        """The task with the classes of the results."""
        task = TASKS[self.task]
        return task if self.categories is None else task.with_classes(self.categories)


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
    """What is kept in memory of a line, without its many boxes: (H, W), None if unreadable, and its place in bytes."""

    size: tuple[int, int] | None
    start: int
    length: int


def read_settings(path: Path) -> RunSettings:
    """The first line of a record.

    Raises:
        DataError: the file is not the record of a run, or names what is no video in its folder.
    """
    try:
        check_regular_file(path)
        with path.open("rb") as file:
            settings = msgspec.json.decode(file.readline(_MOST_LINE_BYTES), type=RunSettings)
        if settings.task not in TASKS:
            raise msgspec.ValidationError(f"there is no task {shown(settings.task)!r}")
        if not all(0 <= one <= _MOST_LIGHT for category in settings.categories or () for one in category.color):
            raise msgspec.ValidationError("a class has a colour that is none")
        if settings.video is not None:
            inside(path.parent, settings.video)
            if not settings.video.endswith(".mp4"):
                raise msgspec.ValidationError(f"its video is called {shown(settings.video)!r}")
        return settings
    except (*_DAMAGED, DataError) as error:
        raise _no_record(path, 1, error) from error


def read_lines(path: Path) -> Iterator[tuple[FrameLine, Entry]]:
    """Yields each whole line after the first, and its entry.

    Raises:
        DataError: the file is not the record of a run, or a line is none of a frame of the run's task.
    """
    task = read_settings(path).task_with_classes
    with path.open("rb") as file:
        start = len(file.readline(_MOST_LINE_BYTES))
        number = 1
        while content := file.readline(_MOST_LINE_BYTES):
            number += 1
            if not content.endswith(b"\n") and len(content) < _MOST_LINE_BYTES:
                return
            try:
                line = msgspec.json.decode(content, type=FrameLine)
                _check(line, task)
            except (*_DAMAGED, DataError) as error:
                raise _no_record(path, number, error) from error
            yield line, Entry(line.size, start, len(content))
            start += len(content)


def _check(line: FrameLine, task: Task) -> None:
    """Raises ValidationError or DataError for what no run has written, and what would fail or lead elsewhere later."""
    check_plain_name(line.name, "name")
    if line.size is not None and min(line.size) < 1:
        raise msgspec.ValidationError(f"a frame of {line.size[0]} x {line.size[1]} pixels")
    if line.size is None and line.error is None:
        raise msgspec.ValidationError("a frame with neither a size nor an error")
    corners, classes, scores = line.corners or [], line.classes or [], line.scores or []
    if not len(corners) == len(classes) == len(scores):
        raise msgspec.ValidationError(f"{len(corners)} boxes, {len(classes)} classes and {len(scores)} scores")
    if not {*classes} <= {*range(task.num_classes)}:
        raise msgspec.ValidationError(f"a class that {task.name} has not")


def _change(field: str, earlier: RunSettings, now: RunSettings) -> str:
    if field == "config":
        # Hashes would tell nobody anything.
        return "another config"
    if field == "categories":
        before, after = (", ".join(settings.task_with_classes.names) for settings in (earlier, now))
        same = "other colours of its classes"
        return same if before == after else f"the classes {shown(before)}, now they are {shown(after)}"
    return f"{field} {shown(repr(getattr(earlier, field)))}, now it is {shown(repr(getattr(now, field)))}"


def _no_record(path: Path, line: int, error: Exception) -> DataError:
    what = error.strerror if isinstance(error, OSError) else error
    return DataError(f"{path}: not the record of a run (line {line}: {shown(what)}); choose another output folder.")


class Journal(AbstractContextManager["Journal"]):
    """The file of a run's record, open for more lines; a context.

    With ``resume`` it goes on with the record in ``folder``, if there is one; a new one begins with :meth:`begin`.
    ``stamps`` are of the images, by the frames' names; empty for a video. ``entries`` has those of the run so far, by
    the frames' names; a later line of a name replaces an earlier one.

    Raises:
        ConfigError: the record is of other settings, or of other images.
        DataError: the record is damaged.
        OutputError: the record cannot be written.
    """

    def __init__(self, folder: Path, settings: RunSettings, resume: bool, stamps: Mapping[str, FileStamp]) -> None:
        self.path = inside(folder, FILE_NAME)
        self.entries: dict[str, Entry] = {}
        self.settings, self._stamps = settings, stamps
        self._lock = Lock()
        self._descriptor = _CLOSED
        self._end = 0
        if resume and self.path.exists():
            self._read()
            self._open()

    def _read(self) -> None:
        earlier = read_settings(self.path)
        # The classes before the hash of the config, which is another one mostly too.
        for field in dict.fromkeys(("task", "categories", *RunSettings.__struct_fields__)):
            if getattr(earlier, field) != getattr(self.settings, field):
                change, remedy = _change(field, earlier, self.settings), "go on with the same, or start again with"
                raise ConfigError(f"{self.path}: the run had {change}; {remedy} --overwrite or in another folder.")
        with self.path.open("rb") as file:
            self._end = len(file.readline(_MOST_LINE_BYTES))
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
                f"names there or have changed, as {shown(next(iter(others)))}; go on with the same images (more may "
                "have come), or start again with --overwrite or in another folder."
            )

    def begin(self) -> None:
        """Begins a record in place of an earlier one; nothing where the run goes on.

        Raises:
            OutputError: the record cannot be written.
        """
        if self._descriptor == _CLOSED:
            head = msgspec.json.encode(self.settings) + b"\n"
            # Whole or not at all, so that a record always tells that it is one.
            write_atomic(self.path, head)
            self._end = len(head)
            self._open()

    def _open(self) -> None:
        with output_errors(self.path):
            if self.path.is_symlink() or self.path.stat().st_nlink > 1:
                # What else has that content, as a copy made by `cp -al`, stays as it is.
                with atomic_path(self.path) as temporary:
                    shutil.copyfile(self.path, temporary)
            self._descriptor = os.open(self.path, os.O_RDWR | os.O_APPEND)
            os.ftruncate(self._descriptor, self._end)

    def append(self, line: FrameLine) -> None:
        """Adds a line with the source of its frame; any thread may, after :meth:`begin`.

        Raises:
            OutputError: the record cannot be written.
        """
        if line.error is None:
            line.source = self._stamps.get(line.name)
        content = msgspec.json.encode(line) + b"\n"
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
        except _DAMAGED as error:
            raise DataError(f"{self.path}: changed by another program while it was read ({error}).") from error

    def __exit__(self, *_: object) -> None:
        if self._descriptor != _CLOSED:
            os.fsync(self._descriptor)
            os.close(self._descriptor)


def whole_batches(entries: Mapping[str, Entry], names: list[str], batch_size: int) -> set[str]:
    """Those of ``names``, of all frames in order, that need not be predicted again: of batches that were finished.

    A model's result for a frame may differ in its last digits with the number of frames beside it, so that the batches
    of a run that goes on have to be those of one that was not stopped. A batch has frames of one size.
    """
    there = entries.__contains__
    known = list(filter(there, names) if batch_size == 1 else takewhile(there, names))
    read = [name for name in known if entries[name].size is not None]
    if len(known) < len(names):
        # The last frames of one size, beyond whole batches, may have been in one batch with frames that are missing.
        last = list(takewhile(lambda name: entries[name].size == entries[read[-1]].size, reversed(read)))
        del read[len(read) - len(last) % batch_size :]
    return set(read)
