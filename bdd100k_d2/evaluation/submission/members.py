"""The files of a submission, read one at a time: a file, those of a folder, or those of a zip that is not unpacked."""

import functools
import os
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from ...errors import DataError
from .finding import Finding

# A mask of noise is a tenth of this; what claims to be larger is not read.
MAX_PNG_BYTES = 64 << 20


class Members(NamedTuple):
    """The files of a submission; may be sent to another process.

    Attributes:
        path: the file, folder or zip.
        names: paths in ``path`` with "/", sorted; the name itself for a file.
        is_zip: whether ``path`` is a zip.
    """

    path: Path
    names: Sequence[str]
    is_zip: bool

    def read(self, name: str) -> bytes:
        """The content of a member.

        Raises:
            DataError: it cannot be read; the message says why, callers add which.
        """
        try:
            if not self.is_zip:
                return (self.path if self.path.is_file() else self.path / name).read_bytes()
            archive = _archive(self.path, os.getpid())
            if name.endswith(".png") and archive.getinfo(name).file_size > MAX_PNG_BYTES:
                raise DataError(f"unpacks to {archive.getinfo(name).file_size:,} bytes, which no mask has")
            return archive.read(name)
        except OSError as error:
            raise DataError(f"cannot be read ({error.strerror or error})") from error
        except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
            # RuntimeError stands for an encrypted member and, as NotImplementedError, for an unknown compression.
            raise DataError(f"the zip is damaged here ({error}); zip the files again") from error


@functools.lru_cache(maxsize=1)
def _archive(path: Path, process: int) -> zipfile.ZipFile:
    """The open zip; each process needs a handle of its own, because a forked one shares the place in the file."""
    return zipfile.ZipFile(path)


def close_archive() -> None:
    """Closes the zip that was read last."""
    _archive.cache_clear()


def open_members(path: Path) -> tuple[Members, list[Finding]]:
    """Lists the files of a submission; hidden files and folders of a folder are left out.

    Returns:
        The files with safe names, and findings on the others.

    Raises:
        DataError: nothing is at ``path``, or it is a zip that cannot be opened.
    """
    if path.is_dir():
        files = (file.relative_to(path) for file in path.rglob("*") if file.is_file())
        names = [file.as_posix() for file in files if not any(part.startswith(".") for part in file.parts)]
        return Members(path, sorted(names), False), []
    if not path.is_file():
        raise DataError(f"{path}: no such file or folder; give the file, folder or zip that you would upload.")
    if path.suffix.lower() != ".zip" and not zipfile.is_zipfile(path):
        return Members(path, [path.name], False), []
    try:
        with zipfile.ZipFile(path) as archive:
            counts = Counter(info.filename for info in archive.infolist() if not info.is_dir())
    except (OSError, zipfile.BadZipFile) as error:
        raise DataError(f"{path}: the zip cannot be opened ({error}); is it cut off? Zip the files again.") from error
    names, findings = [], []
    for name, count in sorted(counts.items()):
        parts = PurePosixPath(name).parts
        if name.startswith("/") or ".." in parts or "\\" in name or ":" in name:
            findings.append(Finding("unsafe name", name, None, "leads out of the folder; zip with relative names"))
            continue
        if count > 1:
            findings.append(Finding("file twice", name, None, f"stands {count} times in the zip"))
        names.append(name)
    return Members(path, names, True), findings


def extra_files(members: Members, expected: Iterable[str]) -> list[Finding]:
    """Findings on the files of a zip that are none of ``expected``; beside a folder's own files any others may lie."""
    if not members.is_zip:
        return []
    text = "does not belong into the zip"
    return [Finding("extra file", name, None, text) for name in sorted({*members.names} - {*expected})]
