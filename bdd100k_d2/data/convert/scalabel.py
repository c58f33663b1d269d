"""Scalabel files, read and written frame by frame, so that their size does not matter."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from ...errors import DataError
from ..folders import label_files
from ..labels import Frame, Label, write_frames
from ..vintages import read_labels
from .splitter import SplitError, split_array

_ABSENT = msgspec.Raw()
_NULL = b"null"


class SourceLabel(Label, omit_defaults=True, gc=False):
    """A label with its polygons, unparsed, so that a Scalabel target keeps them."""

    poly2d: msgspec.Raw = _ABSENT


class SourceFrame(Frame, omit_defaults=True):
    """A frame whose labels have their polygons."""

    labels: list[SourceLabel] | None = None


def has_polygon(label: Label) -> bool:
    """Whether a label was read with a polygon, which only Scalabel holds."""
    return isinstance(label, SourceLabel) and bytes(label.poly2d) not in (b"", _NULL, b"[]")


def read_scalabel(path: Path) -> Iterator[Frame]:
    """Yields the frames of a label file, or of every file of a folder.

    Lists of frames are read piece by piece; the other forms that :func:`~bdd100k_d2.data.vintages.read_labels` knows
    are left to it, and so is saying what is wrong with a file.

    Raises:
        DataError: as :func:`~bdd100k_d2.data.vintages.read_labels`.
    """
    for file in label_files(path):
        yield from _read_file(file)


def _read_file(path: Path) -> Iterator[Frame]:
    decoder = msgspec.json.Decoder(list[SourceFrame])
    streamed = False
    try:
        with path.open("rb") as file:
            for piece in split_array(file):
                # As the reader of the vintages does: some tracking files write these two with a capital.
                content = piece.replace(b'"Occluded"', b'"occluded"').replace(b'"Truncated"', b'"truncated"')
                for frame in decoder.decode(content):
                    streamed = True
                    yield frame
    except (SplitError, msgspec.MsgspecError, OSError):
        frames = read_labels(path).frames
        if streamed:
            raise DataError(
                f"{path}: the list of frames cannot be cut into frames; download or export it again."
            ) from None
        yield from frames


def write_scalabel(frames: Iterable[Frame], path: str | os.PathLike[str]) -> None:
    """Writes frames as a Scalabel list, frame by frame, whole or not at all. All that was read is kept.

    Raises:
        OutputError: ``path`` cannot be written.
    """
    write_frames(map(_without_empty_polygons, frames), path)


def _without_empty_polygons(frame: Frame) -> Frame:
    for label in frame.labels or ():
        if isinstance(label, SourceLabel) and not has_polygon(label):
            label.poly2d = _ABSENT
    return frame
