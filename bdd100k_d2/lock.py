"""One process at a time writes into an output folder."""

import errno
import fcntl
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

from .errors import OutputError

logger = logging.getLogger(__name__)

LOCK_NAME = ".bdd100k_d2.lock"
"""The file in a folder that is locked while a process writes there."""

# Of this process, by which a file must not be opened again: closing it there would give up the lock.
_held: set[Path] = set()
# So often another process may remove the file between its opening and its locking.
_TRIES = 100


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """A context in which no other process enters one for the same ``folder``, which is made.

    The lock is the system's and ends with the process, however that ends; a file that a killed one left is no
    hindrance. Processes that it starts do not have it. A context within a context of the same process is entered. After
    an exception folders that were made for it are removed if they are empty.

    Raises:
        OutputError: another process has it, or the folder cannot be written.
    """
    try:
        made = [one for one in (folder, *folder.parents) if not one.exists()]
        folder.mkdir(parents=True, exist_ok=True)
        place = folder.resolve() / LOCK_NAME
    except (OSError, RuntimeError, ValueError) as error:
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


def _release(place: Path, descriptor: int) -> None:
    _held.discard(place)
    # While it is locked, so that nobody holds a lock on a file that is not there any more, see `_take`. One that cannot
    # be removed is no hindrance.
    with suppress(OSError):
        place.unlink(missing_ok=True)
    os.close(descriptor)


def _take(place: Path, folder: Path) -> int:
    """The descriptor of the file, which is locked, or open alone where the file system has no locks."""
    for _ in range(_TRIES):
        descriptor = _open(place, folder)
        if descriptor is None:
            continue
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EACCES, errno.EAGAIN):
                os.close(descriptor)
                raise OutputError(
                    f"{folder}: another process is writing there; wait for its end, stop it, or choose another output "
                    "folder."
                ) from None
            _say_unlocked(folder, error.strerror)
            return descriptor
        # The one before may have removed it in between.
        with suppress(OSError):
            if os.path.samestat(os.lstat(place), os.fstat(descriptor)):
                return descriptor
        os.close(descriptor)
    raise OutputError(f"{folder}: other processes write there by turns; wait for their end, or choose another folder.")


def _open(place: Path, folder: Path) -> int | None:
    """The descriptor of the file, which is made; None where it has gone again."""
    # A link there could lead anywhere.
    flags = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        descriptor = os.open(place, flags | os.O_CREAT | os.O_EXCL, 0o666)
    except FileExistsError:
        pass
    except OSError as error:
        raise OutputError(
            f"{folder}: the output folder cannot be written ({error.strerror}); choose another one."
        ) from error
    else:
        # If this process is killed, another user's may take the lock after it.
        with suppress(OSError):
            os.fchmod(descriptor, 0o666)
        return descriptor
    try:
        return os.open(place, flags)
    except FileNotFoundError:
        return None
    except PermissionError as error:
        raise OutputError(
            f"{place}: cannot be opened ({error.strerror}), so nobody knows whether another process is writing there; "
            "if none is, remove the file, else choose another output folder."
        ) from error
    except OSError as error:
        raise OutputError(
            f"{place}: cannot be locked ({error.strerror}); remove it, or choose another output folder."
        ) from error


@cache
def _say_unlocked(folder: Path, reason: str) -> None:
    logger.warning("%s: cannot be locked (%s); let no other process write there at the same time.", folder, reason)
