"""The files of a submission, of a folder or of a zip that is not unpacked, read one at a time, and their defects."""

import functools
import os
import struct
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from ...data.folders import files_below
from ...errors import DataError, shown

MAX_PNG_BYTES = 64 << 20
"""Of a PNG file; a mask of noise is a tenth of this."""

MAX_LIST_BYTES = 2 << 30
"""Of a JSON list; a hundred long boxes for each of 20,000 frames are half of this."""

# PNG files hardly get smaller in a zip, and lists by a factor of ten. What is small may be packed by any.
_MOST_PACKED = 100
_SMALL_FILE, _SMALL_ZIP = MAX_PNG_BYTES, 1 << 30

# What `zipfile` raises for a file that is damaged or made up: RuntimeError and NotImplementedError also for a password
# and a method that it does not have, ValueError also for names that are no text, and places before the file.
_BAD_ZIP = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    RuntimeError,
    ValueError,
    LookupError,
    OverflowError,
)
_LONGEST_TEXT = 1000


class Defect(NamedTuple):
    """Something that the evaluation server would refuse or score in another way than meant.

    Attributes:
        kind: groups defects of a sort, such as "missing frame".
        file: the path in the folder or zip.
        frame: the name of the image, None where the whole file is meant.
        text: what is wrong with it and the remedy.
    """

    kind: str
    file: str
    frame: str | None
    text: str


def describe_defects(defects: Iterable[Defect], most: int = 5) -> str:
    """A paragraph for each kind of defect with its number and the first ``most`` of them; "" for none."""
    kinds: dict[str, list[Defect]] = {}
    for defect in defects:
        kinds.setdefault(defect.kind, []).append(defect)
    lines = []
    for kind, of_kind in kinds.items():
        lines.append(f"{kind}: {len(of_kind):,}")
        for defect in of_kind[:most]:
            frame = "" if defect.frame is None else f"frame {shown(defect.frame)}: "
            lines.append(f"  {shown(defect.file)}: {frame}{shown(defect.text, _LONGEST_TEXT)}")
        if len(of_kind) > most:
            lines.append(f"  and {len(of_kind) - most:,} more")
    return "\n".join(lines)


class Members(NamedTuple):
    """The files of a submission; may be sent to another process.

    ``names`` are sorted paths with "/" in the folder or zip ``path``; for a file its own name.
    """

    path: Path
    names: Sequence[str]
    is_zip: bool

    def visible(self, suffix: str) -> list[str]:
        """The names that end in ``suffix``, but for those of hidden files, which a zip may have."""
        names = (name for name in self.names if name.endswith(suffix))
        return [name for name in names if not any(part[0] == "." for part in PurePosixPath(name).parts)]

    def read(self, name: str) -> bytes:
        """The content of a member.

        Raises:
            DataError: it cannot be read; the message says why, callers add which.
        """
        try:
            if not self.is_zip:
                return (self.path if self.path.is_file() else self.path / name).read_bytes()
            return _unpack(_archive(self.path, os.getpid()), name)
        except OSError as error:
            raise DataError(f"cannot be read ({error.strerror or error})") from error


def _unpack(archive: zipfile.ZipFile, name: str) -> bytes:
    """The content of a member, which takes no more memory than the zip says; DataError where that is too much."""
    try:
        info = archive.getinfo(name)
        if info.flag_bits & 1:
            raise DataError("is encrypted; zip the files without a password")
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise DataError("is packed by another method than deflate; zip the files again")
        most = MAX_PNG_BYTES if name.endswith(".png") else MAX_LIST_BYTES
        if info.file_size > most or info.file_size > max(_SMALL_FILE, _MOST_PACKED * info.compress_size):
            kind = "mask" if name.endswith(".png") else "list"
            raise DataError(f"unpacks to {info.file_size:,} bytes, which no {kind} has")
        with archive.open(info) as file:
            # One byte more reaches the end, where the checksum is compared; all at once may be more than is said.
            return file.read(info.file_size + 1)
    except DataError:
        raise
    except _BAD_ZIP as error:
        raise DataError(f"the zip is damaged here ({shown(error)}); zip the files again") from error


@functools.lru_cache(maxsize=1)
def _archive(path: Path, process: int) -> zipfile.ZipFile:
    """The open zip; each process needs a handle of its own, because a forked one shares the place in the file."""
    return zipfile.ZipFile(path)


def close_archive() -> None:
    """Closes the zip that was read last."""
    _archive.cache_clear()


def open_members(path: Path) -> tuple[Members, list[Defect]]:
    """Lists the files of a submission that have safe names, and defects of the others; not a folder's hidden files.

    Raises:
        DataError: nothing is at ``path``, or it is a zip that cannot be opened.
    """
    if path.is_dir():
        names = [file.relative_to(path).as_posix() for file in files_below(path) if file.is_file()]
        return Members(path, sorted(names), False), []
    if not path.is_file():
        raise DataError(f"{path}: no such file or folder; give the file, folder or zip that you would upload.")
    if path.suffix.lower() != ".zip" and not zipfile.is_zipfile(path):
        return Members(path, [path.name], False), []
    try:
        with zipfile.ZipFile(path) as archive:
            files = [info for info in archive.infolist() if not info.is_dir()]
    except (OSError, *_BAD_ZIP) as error:
        text = f"{path}: the zip cannot be opened ({shown(error)}); is it cut off? Zip the files again."
        raise DataError(text) from error
    total = sum(info.file_size for info in files)
    if total > max(_SMALL_ZIP, _MOST_PACKED * path.stat().st_size):
        raise DataError(
            f"{path}: the zip unpacks to {total:,} bytes, more than {_MOST_PACKED} times its own, as no masks or lists "
            "do; zip the files again."
        )
    counts = Counter(info.filename for info in files)
    names, defects = [], []
    for name, count in sorted(counts.items()):
        parts = PurePosixPath(name).parts
        if "\\" in name:
            text = "has backslashes where folders end, by which only Windows unpacks them; zip with / in the names"
            defects.append(Defect("unsafe name", name, None, text))
            continue
        if name.startswith("/") or ".." in parts or ":" in name:
            defects.append(Defect("unsafe name", name, None, "leads out of the folder; zip with relative names"))
            continue
        if count > 1:
            defects.append(Defect("file twice", name, None, f"stands {count} times in the zip"))
        names.append(name)
    return Members(path, names, True), defects


def extra_files(members: Members, expected: Iterable[str]) -> list[Defect]:
    """Defects of the files that are none of ``expected``: in a folder, of those beside or below its PNG files alone.

    The folder of an evaluation has its scores beside ``masks/``.
    """
    extra = {*members.names} - {*expected}
    if members.is_zip:
        return [Defect("extra file", name, None, "does not belong into the zip") for name in sorted(extra)]
    own = {PurePosixPath(name).parent for name in expected if name.endswith(".png")}
    text = "lies among the PNG files, where the official tool takes no others; remove it"
    return [Defect("extra file", name, None, text) for name in sorted(extra) if own & {*PurePosixPath(name).parents}]
