"""The files in a user's folder. Hidden ones, such as ``._a.png`` of a Mac or ``.DS_Store``, are none, anywhere."""

import logging
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from ..errors import DataError

logger = logging.getLogger(__name__)

_JSON, _JSON_LINES = (".json", ".json.gz"), (".jsonl", ".jsonl.gz")
LABEL_SUFFIXES = (*_JSON, *_JSON_LINES)
"""The endings of label files; what is in them tells the rest."""

RECORD_NAME = "frames.jsonl"
"""What a prediction leaves beside its results, to go on from: JSON lines, but no labels."""


def visible_files(folder: str | os.PathLike[str], *suffixes: str) -> Iterator[os.DirEntry[str]]:
    """Yields what lies directly in a folder, in no order; with ``suffixes`` only names that end in one, in any case."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name[0] != "." and (not suffixes or entry.name.lower().endswith(suffixes)):
                yield entry


def holds(folder: Path, suffix: str) -> bool:
    """Whether there is a file of an ending directly in a folder; False where there is no folder."""
    return folder.is_dir() and next(visible_files(folder, suffix), None) is not None


def files_below(folder: str | os.PathLike[str], *suffixes: str) -> list[Path]:
    """The files in a folder and those in it, links to folders apart, by path as the toolkit sorts them; maybe none."""
    found: list[str] = []
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name[0] != "."]
        chosen = (name for name in names if name[0] != "." and (not suffixes or name.lower().endswith(suffixes)))
        found += [os.path.join(place, name) for name in chosen]  # noqa: PTH118, paths as text sort otherwise
    return [Path(path) for path in sorted(found)]


def _label_files(folders: Iterable[Path]) -> list[Path]:
    """The label files directly in ``folders``, by path; JSON lines only where there are no others."""
    found = [Path(entry.path) for folder in folders for entry in visible_files(folder, *LABEL_SUFFIXES)]
    return sorted(file for file in found if file.name.lower().endswith(_JSON)) or sorted(found)


def label_files(path: Path) -> list[Path]:
    """The file itself, or the label files of a folder, else of those in it, by path; DataError without one.

    Their names end in one of :data:`LABEL_SUFFIXES`, in any case. JSON lines beside other label files are not of the
    labels; `warn_of_unread_label_files` tells of them, and of what lies deeper.
    """
    if not path.is_dir():
        return [path]
    # The toolkit looks at the top only; below it is looked where nothing is there, as in folders of videos.
    found = _label_files([path]) or _label_files(Path(one.path) for one in visible_files(path) if one.is_dir())
    if not found:
        raise DataError(f"{path}: no .json file in the folder or in the folders in it; give the folder of the labels.")
    if strange := next((file for file in found if not file.is_file()), None):
        raise DataError(f"{strange}: no file that can be read; mend the link or remove it.")
    return found


def file_stamp(path: str | os.PathLike[str]) -> tuple[int, ...]:
    """Numbers that change when a file is written or replaced; empty where there is none."""
    try:
        found = os.stat(path)  # noqa: PTH116, texts of many files
    except OSError:
        return ()
    return found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino


def warn_of_unread_label_files(folder: Path) -> None:
    """Warns of the label files in ``folder`` and below it that :func:`label_files` leaves out."""
    if not folder.is_dir():
        return
    read = {*label_files(folder)}
    unread = [file for file in files_below(folder, *LABEL_SUFFIXES) if file not in read and file.name != RECORD_NAME]
    if unread:
        logger.warning(
            "%s: %d label files are not read beside the %d that are; the first is %s.",
            folder,
            len(unread),
            len(read),
            unread[0],
        )
