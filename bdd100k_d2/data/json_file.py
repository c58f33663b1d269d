"""A JSON file -> its text in UTF-8, however it was saved: with a byte-order mark, in UTF-16, by gzip, as JSON lines."""

import codecs
import gzip
import re
import zlib
from io import BytesIO
from pathlib import Path

import msgspec

from ..errors import DataError

JSON_ERRORS = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What msgspec raises for a text that is not what it should be: the last two for bytes that are not UTF-8 in a text,
and for lists in lists."""

MOST_UNPACKED = 4 << 30
"""As many bytes may come of a gzip file; the largest label file of BDD100K has 1.4 GB."""

_GZIP = b"\x1f\x8b"
_MARKS = (  # The longer first: UTF-32 begins as UTF-16 does.
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_PIECE = 1 << 20
_NEXT_OBJECT = re.compile(rb"\s*\{")


def read_content(
    path: Path, what: str = "label file", remedy: str = "datasets/README.md says where it comes from and where it goes"
) -> bytes:
    """The bytes of a file as they are, which ``what`` and ``remedy`` speak of; DataError where it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: the {what} cannot be read ({error.strerror}); {remedy}.") from error


def read_json(
    path: Path, what: str = "label file", remedy: str = "datasets/README.md says where it comes from and where it goes"
) -> bytes:
    """The text of a JSON file in UTF-8; of JSON lines, one object on each line, it is the list of them.

    It is told by its first bytes how a file was saved. That the text is JSON is left to who decodes it.

    Raises:
        DataError: as `read_content`; damaged or too large gzip; UTF-16 that is none.
    """
    content = read_content(path, what, remedy)
    if content.startswith(_GZIP):
        content = _unpack(content, path)
    for mark, encoding in _MARKS:
        if content.startswith(mark):
            content = content[len(mark) :] if mark == codecs.BOM_UTF8 else _recode(content, encoding, path)
            break
    return _listed_lines(content)


def read_beginning(path: Path, size: int) -> bytes:
    """Up to ``size`` bytes of what `read_json` returns, but of JSON lines as they are; empty if they cannot be read."""
    try:
        with path.open("rb") as file:
            content = file.read(size)
        if content.startswith(_GZIP):
            content = zlib.decompressobj(wbits=31).decompress(content, size)
    except (OSError, zlib.error):
        return b""
    for mark, encoding in _MARKS:
        if content.startswith(mark):
            return content.decode(encoding, errors="ignore").encode()
    return content


def _unpack(content: bytes, path: Path) -> bytes:
    packed, unpacked = gzip.GzipFile(fileobj=BytesIO(content)), BytesIO()
    try:
        # For a whole file at once Python takes as much memory as it may have.
        while piece := packed.read(_PIECE):
            unpacked.write(piece)
            if unpacked.tell() > MOST_UNPACKED:
                raise DataError(
                    f"{path}: more than {MOST_UNPACKED:,} bytes come of this gzip file, more than labels have; "
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
    end = content.find(b"\n")
    if end < 0 or not _NEXT_OBJECT.match(content) or not _NEXT_OBJECT.match(content, end):
        return content
    try:
        msgspec.json.decode(content[:end], type=dict[str, msgspec.Raw])
    except JSON_ERRORS:
        return content
    return b"[" + b",\n".join(line for line in content.splitlines() if line.strip()) + b"]"
