"""Cuts a large Scalabel file into parts of whole frames, so that it is read by several processes or piece by piece."""

import re
from mmap import ACCESS_READ, mmap
from pathlib import Path

import msgspec

from .json_file import JSON_ERRORS

# The list, alone or as the first thing of an object, and with what its first frame begins.
_BEGINNING = re.compile(rb'\s*(\{\s*"frames"\s*:\s*)?\[\s*(?:\{\s*("[^"\\]*")\s*:)?')


class _Dataset(msgspec.Struct):
    frames: msgspec.Raw


def split_frames(path: Path, size: int) -> list[tuple[int, int]]:
    """Finds where a file that holds a list of frames, or begins as ``{"frames": [...]``, may be cut.

    A cut is looked for where an object ends and another begins with the same key as the first frame. A comma of the
    list stands there if, and only if, what is on both sides of it can be decoded as the items of a list. So parts that
    all decode are the file, and where one does not, the file has to be read at once.

    Returns:
        The places of the first byte of each part and of the one behind its last, ``size`` bytes and up to a frame more
        apart; none where the file has no list at its beginning, has something else at its end, or cannot be read.
    """
    try:
        with path.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as content:
            beginning = _BEGINNING.match(content)
            if beginning is None:
                return []
            wrapper, key = beginning.groups()
            first = content.find(b"[", beginning.end(1) if wrapper else 0)
            if wrapper:
                last = first + len(memoryview(msgspec.json.decode(content, type=_Dataset).frames)) - 1
            else:
                last = content.rfind(b"]")
                if last < first or content[last + 1 :].strip():
                    return []
            cut = re.compile(rb"\}\s*(,)\s*\{\s*" + re.escape(key or b'"name"') + rb"\s*:")
            commas = [first]
            while (comma := cut.search(content, commas[-1] + size, last)) is not None:
                commas.append(comma.start(1))
    except (OSError, ValueError, *JSON_ERRORS):
        # ValueError is mmap's, for an empty file.
        return []
    return [(start + 1, end) for start, end in zip(commas, [*commas[1:], last], strict=True)]


def read_part(path: Path, start: int, end: int) -> bytes:
    """The list of the frames in a part of a file, as JSON."""
    with path.open("rb") as file:
        file.seek(start)
        return b"[" + file.read(end - start) + b"]"
