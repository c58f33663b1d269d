"""One process at a time writes into an output folder."""

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .errors import OutputError

LOCK_NAME = ".bdd100k_d2.lock"
"""The file in a folder that is locked while a process writes there."""

# Of this process, by which a file must not be opened again: closing it there would give up the lock.
_held: set[Path] = set()


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """A context in which no other process enters one for the same ``folder``, which is made.

    The lock is the system's and ends with the process, however that ends; a file that a killed one left is no
    hindrance. Processes that it starts do not have it. A context within a context of the same process is entered. After
    an exception folders that were made for it are removed if they are empty.

    Raises:
        OutputError: another process has it, or the folder cannot be written.
    """
    made = [one for one in (folder, *folder.parents) if not one.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        place = folder.resolve() / LOCK_NAME
    except (OSError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise OutputError(f"{folder}: the output folder cannot be written ({reason}); choose another one.") from error
    if place in _held:
        yield
        return
    descriptor = _take(place, folder)
    _held.add(place)
    try:
        yield
    except BaseException:
        _release(place, descriptor)
        for one in made:
            with suppress(OSError):
                one.rmdir()
        raise
    _release(place, descriptor)


def _release(place: Path, descriptor: int | None) -> None:
    _held.discard(place)
    if descriptor is not None:
        # While it is locked, so that nobody holds a lock on a file that is not there any more, see `_take`.
        place.unlink(missing_ok=True)
        os.close(descriptor)


def _take(place: Path, folder: Path) -> int | None:
    """The descriptor of the locked file; None where the file system has no locks."""
    while True:
        try:
            # A link there could lead anywhere.
            descriptor = os.open(place, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
        except OSError as error:
            what = (
                f"{place}: cannot be locked" if place.is_symlink() else f"{folder}: the output folder cannot be written"
            )
            raise OutputError(f"{what} ({error.strerror}); choose another one.") from error
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # The one before may have removed it in between.
            if place.stat().st_ino == os.fstat(descriptor).st_ino:
                return descriptor
            os.close(descriptor)
        except FileNotFoundError:
            os.close(descriptor)
        except OSError as error:
            os.close(descriptor)
            if error.errno in (errno.EACCES, errno.EAGAIN):
                raise OutputError(
                    f"{folder}: another process is writing there; wait for its end, stop it, or choose another output "
                    "folder."
                ) from None
            if error.errno in (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP):
                return None
            raise
