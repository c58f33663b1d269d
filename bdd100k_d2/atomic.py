"""Whole files: a reader sees the old one or the new one, an error says what to do, and a digest tells them apart."""

import errno
import hashlib
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .errors import OutputError

_CHUNK = 1 << 22
# The system itself follows so many.
_MOST_LINKS = 40
# Of a temporary file's name that of the file, in bytes.
_LONGEST_NAME = 230
# What a disk that takes no more answers.
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG)


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yields a temporary name beside ``path``; on success it is flushed to disk and moved to ``path``.

    The parent folder is made. After an exception, such as an `OutputError` if the file cannot be written or ``path`` is
    a folder, the temporary file is removed and ``path`` is as it was. A link is replaced by the file, and what it leads
    to stays as it is. A device, a pipe, or a file that is named as what a process has open, such as /dev/null or
    /dev/stdout, stays and is written into.
    """
    path = Path(path)
    check_out_file(path)
    with output_errors(path):
        stream = _stream(path)
        if stream is not None:
            with tempfile.TemporaryDirectory() as folder:
                temporary = Path(folder, "content")
                yield temporary
                with temporary.open("rb") as source, open(stream, "wb", closefd=stream is path) as target:
                    shutil.copyfileobj(source, target)
            return
        # A name has up to 255 bytes, of which the additions need some.
        beginning = os.fsdecode(os.fsencode(path.name)[:_LONGEST_NAME])
        temporary = path.with_name(f".{beginning}.{os.getpid()}.tmp")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            # What is there may be a link, which would be written through.
            if os.path.lexists(temporary):
                temporary.unlink()
            yield temporary
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)


def check_out_file(path: Path) -> None:
    """Raises OutputError if ``path`` is no place for a file: a folder, a disk, or no path at all."""
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        # There is nothing, or its parent says why not when the file is made.
        return
    if stat.S_ISDIR(mode):
        raise OutputError(f"{path}: is a folder; give the path of a file.")
    if stat.S_ISBLK(mode) or stat.S_ISSOCK(mode):
        raise OutputError(f"{path}: is no file but a {'disk' if stat.S_ISBLK(mode) else 'socket'}; give another path.")


def _stream(path: Path) -> Path | int | None:
    """What to write into where ``path`` is to stay: itself, or the descriptor of this process that it is a link to."""
    place, stays = path, False
    try:
        for _ in range(_MOST_LINKS):
            place = Path(os.path.realpath(place.parent), place.name)
            if place.parent == Path(f"/proc/{os.getpid()}/fd") and place.name.isdecimal():
                # Opened anew, a file would be written from its beginning, and so would what is printed after it.
                return int(place.name)
            stays |= place.parent == Path("/dev") or place.is_relative_to("/proc")
            if not place.is_symlink():
                break
            place = place.parent / place.readlink()
        mode = path.stat().st_mode
    except (OSError, ValueError):
        return path if stays else None
    return path if stays or stat.S_ISCHR(mode) or stat.S_ISFIFO(mode) else None


def write_atomic(path: str | os.PathLike[str], content: bytes | str) -> None:
    """Writes ``content`` (text as UTF-8) to ``path`` as :func:`atomic_path` does."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)


@contextmanager
def output_errors(path: Path) -> Iterator[None]:
    """A context that raises `OutputError` if ``path``, or a file inside it, cannot be written."""
    try:
        yield
    except OutputError:
        # Of a file inside this one, which it names.
        raise
    except OSError as error:
        raise OutputError(
            f"{path}: cannot be written ({error.strerror or error}); choose another output folder or free some space."
        ) from error


@contextmanager
def disk_errors_explained(folder: str | os.PathLike[str]) -> Iterator[None]:
    """A context in which a training runs, whose files in ``folder`` may be written by any library.

    Raises `OutputError` if the disk is full or read-only, also where a hook that fails after it hides that.
    """
    try:
        yield
    except OutputError:
        raise
    except OSError as error:
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, OutputError):
            cause = cause.__context__
        if cause is not None:
            raise cause from None
        if error.errno not in _FULL:
            raise
        raise OutputError(
            f"{error.filename or folder}: cannot be written ({error.strerror}). Free some space or mend the disk, then "
            "go on from the last checkpoint with --resume."
        ) from error


def check_writable(folder: Path, remedy: str) -> None:
    """Makes a folder; raises an `OutputError` that ends with ``remedy`` if files cannot be written into it."""
    # Other processes may try the same folder.
    probe = folder / f".write_test_{os.getpid()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.unlink(missing_ok=True)
        probe.touch(exist_ok=False)
        probe.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"{folder}: the output folder cannot be written ({error.strerror}); {remedy}.") from error


def file_digest(path: Path, algorithm: str = "sha256") -> str:
    """The digest of a file's content in hexadecimal digits, by an algorithm of `hashlib`."""
    digest = hashlib.new(algorithm, usedforsecurity=False)
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
