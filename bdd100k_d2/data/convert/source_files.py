"""Files of sources: found also behind links, and no larger than a text of labels may be."""

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ...errors import DataError, shown
from ..folders import visible_files

_LINE_ENDS = re.compile("\r\n|\r|\n")


@contextmanager
def read_errors(path: Path) -> Iterator[None]:
    """A context that reads files and folders of ``path``; raises DataError where one of them cannot be read."""
    try:
        yield
    except OSError as error:
        named = error.filename if isinstance(error.filename, str) else path
        raise DataError(f"{shown(named)}: cannot be read ({error.strerror}); check that path.") from error


def files_through_links(folder: Path, wanted: Callable[[str], bool]) -> Iterator[tuple[str, str]]:
    """Yields the folder and the name of each visible file below whose name is ``wanted``, in no order.

    Links to folders are followed; a folder that several ways lead to is looked at once.

    Raises:
        DataError: a folder cannot be read, or what has a wanted name is no file, as where a link is broken.
    """
    waiting, seen = [os.fspath(folder)], set()
    while waiting:
        place = waiting.pop()
        with read_errors(folder):
            status = os.stat(place)  # noqa: PTH116, a text
            key = status.st_dev, status.st_ino
            entries = [] if key in seen else list(visible_files(place))
        seen.add(key)
        for entry in entries:
            # Of what a link leads to, as of one that leads to itself, an entry may raise any error.
            linked = entry.is_symlink()
            if os.path.isdir(entry.path) if linked else entry.is_dir():  # noqa: PTH112, a text
                waiting.append(entry.path)
            elif wanted(entry.name):
                if not (os.path.isfile(entry.path) if linked else entry.is_file()):  # noqa: PTH113
                    raise DataError(f"{shown(entry.path)}: no file that can be read; mend the link or remove it.")
                yield place, entry.name


def text_lines(path: str | os.PathLike[str], most: int) -> list[str]:
    """The lines of a text file in UTF-8, with or without a byte-order mark and with any ends of lines.

    Raises:
        DataError: the file cannot be read, is another encoding's, or larger than ``most`` bytes.
    """
    try:
        with open(path, "rb") as file:  # noqa: PTH123, of many small files the time is in the opening
            content = file.read(most + 1)
        if len(content) > most:
            raise DataError(f"{path}: larger than {most:,} bytes, which no such file is; is it the right one?")
        return _LINE_ENDS.split(content.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise DataError(f"{path}: no text in UTF-8; save it in that encoding.") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); check the path.") from error
