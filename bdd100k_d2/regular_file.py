"""Files that others named: a pipe or a device among them may have no end, or be waited for without one."""

import errno
import os
import stat
from pathlib import Path


def check_regular_file(path: str | os.PathLike[str]) -> None:
    """Raises OSError, as opening it would, where ``path`` leads to nothing, or to what is no file."""
    if not stat.S_ISREG(Path(path).stat().st_mode):
        raise OSError(errno.EINVAL, "it is no file")
