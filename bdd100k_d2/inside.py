"""Where files may lie: a name out of a file stays inside its folder, and what a command reads it does not overwrite."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from .errors import ConfigError, DataError, OutputError, shown

# Of a file or folder, in bytes.
_LONGEST_NAME = 255
# So many folders in folders are looked through for links; a data set has four.
_DEEPEST = 6


def inside(folder: str | os.PathLike[str], *names: str) -> Path:
    """The path of a file, or of a folder in a folder, by ``names`` that come from a file.

    Raises:
        DataError: a name is none of a file but a path, or a link there leads out of ``folder``.
    """
    for name in names:
        check_plain_name(name, folder)
    path = Path(folder, *names)
    if not _resolved(path).is_relative_to(_resolved(Path(folder))):
        raise DataError(
            f"{path}: a link leads out of {folder}; replace it by what it leads to, or choose another output folder."
        )
    return path


def expanded(path: str | os.PathLike[str]) -> Path:
    """The path with its ``~`` or ``~name`` as a home folder; ConfigError where there is none."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise ConfigError(f"{shown(os.fspath(path))}: there is no such home folder; write the path in full.") from None


def check_plain_name(name: str, where: object) -> None:
    """Raises DataError, which begins with ``where``, unless a name is one of a file or folder and no path."""
    is_long = len(name.encode(errors="surrogatepass")) > _LONGEST_NAME
    if is_long or name in ("", ".", "..") or any(one in name for one in "/\0"):
        raise DataError(f"{where}: {shown(repr(name))} is no plain name of a file or folder, and is not used.")


def lies_in(path: Path, folder: Path) -> bool:
    """Whether ``path`` is ``folder`` or a file of it by another name, or lies in it or where a link in it leads.

    So does a folder that holds a file to which such a link leads, for what is written there may replace it.
    """
    target, place = str(_resolved(path)), str(_resolved(folder))
    if _is_below(target, place):
        return True
    try:
        status = path.stat()
    except (OSError, ValueError):
        status = None
    if Path(place).is_file():
        return status is not None and path.samefile(place)
    # Texts and not `Path`, and each folder resolved but once: there may be 70,000 links.
    folders: dict[str, str] = {}
    for entry in _entries(place, set()):
        if entry.is_symlink():
            other = _end_of_link(entry.path, folders)
            if _is_below(target, other) or (os.path.dirname(other) == target and Path(other).is_file()):
                return True
        # An inode alone costs no further call of the system for each of many files.
        elif status is not None and entry.inode() == status.st_ino and Path(entry.path).samefile(path):
            return True
    return False


def _is_below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def _end_of_link(link: str, folders: dict[str, str]) -> str:
    """`os.path.realpath` of a link in a folder that is resolved; ``folders`` keeps those that links lead into."""
    folder, name = os.path.split(os.path.join(os.path.dirname(link), os.readlink(link)))
    if folder not in folders:
        folders[folder] = os.path.realpath(folder)
    end = os.path.join(folders[folder], name)
    return os.path.realpath(end) if name in ("", ".", "..") or os.path.islink(end) else end


def refuse_overwriting(out: Path, inputs: Iterable[Path]) -> None:
    """Raises OutputError if ``out``, which is to be written, is or lies in one of ``inputs``, also by a link."""
    for path in inputs:
        if lies_in(out, path):
            raise OutputError(f"{out}: would overwrite or lie in {path}, which is only read; choose another place.")


def _entries(folder: str, seen: set[str], depth: int = 0) -> Iterator["os.DirEntry[str]"]:
    """The files and links in a folder, in those in it and in those that the links lead to."""
    if depth > _DEEPEST or folder in seen:
        return
    seen.add(folder)
    try:
        with os.scandir(folder) as entries:
            found = list(entries)
    except OSError:
        # What cannot be listed is not there, or fails where it is read.
        return
    for entry in found:
        is_folder = entry.is_dir(follow_symlinks=False)
        if not is_folder:
            yield entry
        # Of a link that leads to itself the entry raises an error.
        if is_folder or (entry.is_symlink() and Path(entry.path).is_dir()):
            yield from _entries(os.path.realpath(entry.path), seen, depth + 1)


def _resolved(path: Path) -> Path:
    try:
        return path.resolve()
    except (OSError, RuntimeError, ValueError) as error:
        raise DataError(f"{shown(path)}: no usable path ({shown(error)}); choose another one.") from error
