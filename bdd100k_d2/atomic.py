"""Whole files: a reader sees the old one or the new one, an error says what to do, and a digest tells them apart."""

import errno
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .errors import OutputError

_CHUNK = 1 << 22
# What a disk that takes no more answers.
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG)


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yields a temporary name beside ``path``; on success it is flushed to disk and moved to ``path``.

    The parent folder is made. After an exception, such as an `OutputError` if the file cannot be written, the temporary
    file is removed and ``path`` is as it was.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with output_errors(path):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            yield temporary
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)


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
        probe.touch()
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
