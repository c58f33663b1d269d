"""A JSON file -> its text in UTF-8, however it was saved: with a byte-order mark, in UTF-16, by gzip, as JSON lines."""

import codecs
import errno
import gzip
import json
import re
import stat
import zlib
from io import BytesIO
from pathlib import Path

import msgspec

from ..errors import DataError
from ..regular_file import check_regular_file
from .root import data_remedy

JSON_ERRORS = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What msgspec raises for a text that is not what it should be: the last two for bytes that are not UTF-8 in a text,
and for lists in lists."""

MOST_UNPACKED = 4 << 30
"""As many bytes may come of a gzip file; the largest label file of BDD100K has 1.4 GB."""

_MOST_PACKED, _SMALL = 250, 64 << 20
"""And no more than so many times its own, beyond 64 MiB: frames of which all have the same labels have 125 times."""

_GZIP = b"\x1f\x8b"
_PIECE = 1 << 20
_NEXT_OBJECT = re.compile(rb"\s*\{")


def saved_as(content: bytes) -> str:
    """How a JSON file was saved, told by its first bytes: "gzip", or the encoding of its text.

    That is "utf-8", "utf-8-sig" with a byte-order mark, or begins with "utf-16" or "utf-32".
    """
    return "gzip" if content.startswith(_GZIP) else json.detect_encoding(content)


def read_content(path: Path, what: str = "label file", remedy: str | None = None) -> bytes:
    """The bytes of a file as they are; DataError where it cannot be read, which calls it ``what``.

    The error ends in ``remedy``, by default that of :func:`~.root.data_remedy`.
    """
    try:
        mode = path.stat().st_mode
        if stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
            raise OSError(errno.EINVAL, "it is a device")
        return _read_pipe(path) if stat.S_ISFIFO(mode) else path.read_bytes()
    except OSError as error:
        raise DataError(
            f"{path}: the {what} cannot be read ({error.strerror}); {remedy or data_remedy(path)}."
        ) from error


def read_json(path: Path, what: str = "label file", remedy: str | None = None) -> bytes:
    """The text of a JSON file in UTF-8; of JSON lines, one object on each line, it is the list of them.

    It is told by its first bytes how a file was saved. That the text is JSON is left to who decodes it.

    Raises:
        DataError: as `read_content`; damaged or too large gzip; UTF-16 that is none.
    """
    content = read_content(path, what, remedy)
    if saved_as(content) == "gzip":
        content = _unpack(content, path)
    encoding = json.detect_encoding(content)
    if encoding == "utf-8-sig":
        content = content[len(codecs.BOM_UTF8) :]
    elif encoding != "utf-8":
        content = _recode(content, encoding, path)
    return _listed_lines(content)


def read_beginning(path: Path, size: int) -> bytes:
    """Up to ``size`` bytes of what `read_json` returns, but of JSON lines as they are; empty if they cannot be read.

    So they are of a pipe, which can be read but once.
    """
    try:
        # What is read of a pipe is gone.
        check_regular_file(path)
        with path.open("rb") as file:
            content = file.read(size)
        if saved_as(content) == "gzip":
            content = zlib.decompressobj(wbits=31).decompress(content, size)
    except (OSError, zlib.error):
        return b""
    encoding = json.detect_encoding(content)
    return content if encoding == "utf-8" else content.decode(encoding, errors="ignore").encode(errors="ignore")


def _read_pipe(path: Path) -> bytes:
    """What comes of a pipe that a user named, as /dev/stdin; OSError for too much, as it may have no end."""
    content = BytesIO()
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            content.write(piece)
            if content.tell() > MOST_UNPACKED:
                raise OSError(errno.EFBIG, f"more than {MOST_UNPACKED:,} bytes come of it")
    return content.getvalue()


def _unpack(content: bytes, path: Path) -> bytes:
    packed, unpacked = gzip.GzipFile(fileobj=BytesIO(content)), BytesIO()
    most = min(MOST_UNPACKED, max(_SMALL, _MOST_PACKED * len(content)))
    try:
        # For a whole file at once Python takes as much memory as it may have.
        while piece := packed.read(_PIECE):
            unpacked.write(piece)
            if unpacked.tell() > most:
                raise DataError(
                    f"{path}: more than {most:,} bytes come of this gzip file, more than labels have; "
                    "unpack it, if it is one of labels."
                )
    except EOFError as error:
        raise DataError(f"{path}: the gzip file is cut off; copy or export it again.") from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{path}: the gzip file is damaged ({error}); copy or export it again.") from error
    return unpacked.getvalue()


def _recode(content: bytes, encoding: str, path: Path) -> bytes:
    try:
        return content.decode(encoding).encode()
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: is not the {encoding.upper()} that it begins as; save it as UTF-8.") from error


def _listed_lines(content: bytes) -> bytes:
    """The list of the objects if each line is one; anything else as it is."""
    if not is_json_lines(content):
        return content
    return b"[" + b",\n".join(line for line in content.splitlines() if line.strip()) + b"]"


def is_json_lines(content: bytes) -> bool:
    """Whether a text begins with a line that is an object, and another one begins after it."""
    start = _NEXT_OBJECT.match(content)
    end = content.find(b"\n", start.end()) if start else -1
    if end < 0 or not _NEXT_OBJECT.match(content, end):
        return False
    try:
        msgspec.json.decode(content[:end], type=dict[str, msgspec.Raw])
    except JSON_ERRORS:
        return False
    return True
