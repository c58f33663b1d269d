"""What a training says when its disk takes no more."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

from ..errors import OutputError

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG)


@contextmanager
def disk_errors_explained(folder: str | os.PathLike[str]) -> Iterator[None]:
    """Turns the errors of a disk that is full or read-only, by whatever wrote to ``folder``, into one that helps.

    A hook that fails at the end of a training hides why it ended: then it is that which is raised.

    Raises:
        OutputError: a file could not be written.
    """
    try:
        yield
    except OutputError:
        raise
    except OSError as error:
        first = _cause(error)
        if first is not None:
            raise first from None
        if error.errno not in _FULL:
            raise
        raise OutputError(
            f"{error.filename or folder}: cannot be written ({error.strerror}). Free some space or mend the disk, then "
            "go on from the last checkpoint with --resume."
        ) from error


def _cause(error: BaseException) -> OutputError | None:
    """The `OutputError` that was on its way when ``error`` was raised, or None."""
    found: BaseException | None = error
    while found is not None and not isinstance(found, OutputError):
        found = found.__context__
    return found
