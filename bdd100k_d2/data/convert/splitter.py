"""Cuts a large JSON array into pieces of whole elements, so that a file need not be in memory to be parsed."""

import re
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np

_CHUNK = 8 << 20
_QUOTE, _BACKSLASH = ord('"'), ord("\\")
_OPENING, _CLOSING = (ord("["), ord("{")), (ord("]"), ord("}"))
_BEGINNING = re.compile(rb'[ \t\r\n]*(?:\{[ \t\r\n]*"frames"[ \t\r\n]*:[ \t\r\n]*)?\[')
_SPACE = b" \t\r\n"

_IS_STRUCTURE = np.zeros(256, bool)
_IS_STRUCTURE[[_QUOTE, *_OPENING, *_CLOSING]] = True


class SplitError(ValueError):
    """The file is no array of objects, or is cut off; nothing more is known about it here."""


def split_array(file: BinaryIO, chunk: int = _CHUNK) -> Iterator[bytes]:
    """Yields arrays of whole elements, in order, which together are the array that a file holds.

    Args:
        file: a JSON array, or an object whose first key is ``frames`` with an array.
        chunk: bytes to read at a time.

    Raises:
        SplitError: the file begins otherwise, ends before the array does, or goes on after it.
    """
    content = file.read(chunk)
    beginning = _BEGINNING.match(content)
    if beginning is None:
        raise SplitError
    wrapped = b"{" in beginning.group()
    content, first = content[beginning.end() :], True
    while True:
        last, end = _element_ends(content)
        piece = content[:last].lstrip(_SPACE)
        if piece:
            if not first:
                if piece[:1] != b",":
                    raise SplitError
                piece = piece[1:]
            first = False
            yield b"[" + piece + b"]"
        if end is not None:
            if content[last:end].strip(_SPACE) or not (wrapped or _only_space(content[end + 1 :], file)):
                raise SplitError
            return
        more = file.read(chunk)
        if not more:
            raise SplitError
        content = content[last:] + more


def _only_space(rest: bytes, file: BinaryIO) -> bool:
    return not rest.strip(_SPACE) and not file.read(1 << 10).strip(_SPACE)


def _element_ends(content: bytes) -> tuple[int, int | None]:
    """Where the last whole element ends (exclusive), 0 for none, and where the array's own bracket stands, if here."""
    data = np.frombuffer(content, np.uint8)
    places = np.flatnonzero(_IS_STRUCTURE[data])
    kinds = data[places]
    quotes = kinds == _QUOTE
    if b"\\" in content:
        kept = ~quotes
        kept[quotes] = ~_escaped(content, places[quotes])
        places, kinds, quotes = places[kept], kinds[kept], quotes[kept]
    outside = ~quotes & (np.cumsum(quotes) % 2 == 0)
    places = places[outside]
    steps = np.where(np.isin(kinds[outside], _OPENING), 1, -1)
    depth = np.cumsum(steps)
    closed = np.flatnonzero(depth < 0)
    end = int(places[closed[0]]) if closed.size else None
    ends = np.flatnonzero((depth == 0) & (steps < 0))
    if closed.size:
        ends = ends[ends < closed[0]]
    return (int(places[ends[-1]]) + 1 if ends.size else 0), end


def _escaped(content: bytes, quotes: np.ndarray) -> np.ndarray:
    """Which of the quotes, given by their places, an odd number of backslashes stands before."""
    escaped = np.zeros(len(quotes), bool)
    data = np.frombuffer(content, np.uint8)
    for i in np.flatnonzero(data[quotes - 1] == _BACKSLASH).tolist():
        start = place = int(quotes[i])
        while start > 0 and content[start - 1] == _BACKSLASH:
            start -= 1
        escaped[i] = (place - start) % 2
    return escaped
