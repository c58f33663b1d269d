"""Scalabel files, read and written frame by frame, so that their size does not matter."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from ..folders import label_files
from ..labels import Frame, Label, write_frames
from ..splitter import read_part, split_frames
from ..vintages import lower_attributes, read_labels

_ABSENT = msgspec.Raw()
_PART = 8 << 20


class SourceLabel(Label, omit_defaults=True, gc=False):
    """A label with its polygons, unparsed, so that a Scalabel target keeps them."""

    poly2d: msgspec.Raw = _ABSENT


class SourceFrame(Frame, omit_defaults=True):
    """A frame whose labels have their polygons."""

    labels: list[SourceLabel] | None = None  # type: ignore[assignment]  # what is read only is not appended to


_decode = msgspec.json.Decoder(list[SourceFrame]).decode


def has_polygon(label: Label) -> bool:
    """Whether a label was read with a polygon, which only Scalabel holds."""
    return isinstance(label, SourceLabel) and bytes(label.poly2d) not in (b"", b"null", b"[]")


def read_scalabel(path: Path) -> Iterator[Frame]:
    """Yields the frames of a label file, or of every file of a folder; errors are those of `read_labels`.

    Lists of frames are read piece by piece; the other forms that it knows are left to it.
    """
    for file in label_files(path):
        yield from _read_file(file)


def _read_file(path: Path) -> Iterator[Frame]:
    parts = split_frames(path, _PART)
    for start, end in parts:
        frames = _read_part(path, start, end)
        if frames is None:
            # Either what looked like the end of a frame was none, or the file is a bad one.
            yield from _read_part(path, start, parts[-1][1]) or read_labels(path).frames
            return
        yield from frames
    if not parts:
        yield from read_labels(path).frames


def _read_part(path: Path, start: int, end: int) -> list[SourceFrame] | None:
    try:
        return _decode(lower_attributes(read_part(path, start, end)))
    except msgspec.MsgspecError:
        return None


def write_scalabel(frames: Iterable[Frame], path: str | os.PathLike[str]) -> None:
    """Writes frames as a Scalabel list, one by one, whole or not at all; OutputError where that fails."""
    write_frames(map(_without_empty_polygons, frames), path)


def _without_empty_polygons(frame: Frame) -> Frame:
    for label in frame.labels or ():
        if isinstance(label, SourceLabel) and not has_polygon(label):
            label.poly2d = _ABSENT
    return frame
