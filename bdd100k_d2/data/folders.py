"""The files in a user's folder. Hidden ones, such as ``._a.png`` of a Mac or ``.DS_Store``, are none, anywhere."""

import logging
import os
from collections.abc import Iterator
from pathlib import Path

from ..errors import DataError

logger = logging.getLogger(__name__)

_JSON, _JSON_LINES = (".json", ".json.gz"), (".jsonl", ".jsonl.gz")
LABEL_SUFFIXES = (*_JSON, *_JSON_LINES)
"""The endings of label files; what is in them tells the rest."""


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


def _label_files(folder: Path, level: str) -> list[Path]:
    for suffixes in (_JSON, _JSON_LINES):
        found = [
            file
            for suffix in suffixes
            for file in folder.glob(level + suffix)
            if not any(part[0] == "." for part in file.relative_to(folder).parts)
        ]
        if found:
            return sorted(found)
    return []


def label_files(path: Path) -> list[Path]:
    """The file itself, or the label files of a folder, else of those in it, by path; DataError without one.

    Their names end in one of :data:`LABEL_SUFFIXES`. JSON lines beside other label files are not of the labels, as the
    journal of a prediction beside what it predicted.
    """
    if not path.is_dir():
        return [path]
    # The toolkit looks at the top only; below it is looked where nothing is there, as in folders of videos.
    for level in ("*", "*/*"):
        if found := _label_files(path, level):
            if strange := next((file for file in found if not file.is_file()), None):
                raise DataError(f"{strange}: no file that can be read; mend the link or remove it.")
            return found
    raise DataError(f"{path}: no .json file in the folder or in the folders in it; give the folder of the labels.")


def warn_of_label_files_below(folder: Path) -> None:
    """Warns of the files in the folders of ``folder`` that :func:`label_files` leaves out, because some lie in it."""
    below = _label_files(folder, "*/*")
    if below and _label_files(folder, "*"):
        logger.warning("%s: %d label files in the folders in it are not read, as %s.", folder, len(below), below[0])
