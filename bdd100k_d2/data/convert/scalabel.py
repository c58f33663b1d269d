"""Scalabel files, read and written frame by frame, so that their size does not matter.

What the package has no use for is kept unparsed, so that a Scalabel target holds what its source did.
"""

import os
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from ...errors import DataError
from ..folders import label_files
from ..json_file import JSON_ERRORS, read_json
from ..label_document import FileStatement, lower_attributes, open_document, read_statement, with_size
from ..labels import Frame, FrameAttributes, Label, LabelAttributes, diagnose, write_frames
from ..splitter import read_part, split_frames
from ..unlabelled import SHAPES
from ..vintages import read_labels

MORE_OF_FILE = "label files whose config (categories, attributes) or groups of frames are not kept"
"""What is counted where a file says more of all its frames than the size of their images."""

_PART = 8 << 20

Rest = dict[str, msgspec.Raw]
"""The fields of an object in a file, unparsed, that its record does not have."""


class SourceLabel(Label, omit_defaults=True, gc=False):
    """A label, and what else its object and its attributes have in the file."""

    rest: Rest = msgspec.field(default_factory=dict)
    rest_of_attributes: Rest = msgspec.field(default_factory=dict)


class SourceFrame(Frame, omit_defaults=True):
    """A frame, and what else its object and its attributes have in the file."""

    rest: Rest = msgspec.field(default_factory=dict)
    rest_of_attributes: Rest = msgspec.field(default_factory=dict)


# Records of objects that have nothing but what is read, as most files hold them: there is no rest to look for.


class _Attributes(LabelAttributes, forbid_unknown_fields=True, gc=False):
    pass


class _Label(Label, forbid_unknown_fields=True, gc=False):
    attributes: _Attributes | None = None


class _FrameAttributes(FrameAttributes, forbid_unknown_fields=True, gc=False):
    pass


class _Frame(Frame, forbid_unknown_fields=True):
    attributes: _FrameAttributes | None = None
    labels: list[_Label] | None = None  # type: ignore[assignment]  # what is read only is not appended to


_decode_plain = msgspec.json.Decoder(list[_Frame]).decode
_decode_frames = msgspec.json.Decoder(list[Frame]).decode
_decode_objects = msgspec.json.Decoder(list[Rest]).decode
_decode_object = msgspec.json.Decoder(Rest).decode
_FRAME, _FRAME_ATTRIBUTES, _LABEL, _LABEL_ATTRIBUTES = (
    frozenset(record.__struct_fields__) for record in (Frame, FrameAttributes, Label, LabelAttributes)
)


def has_polygon(label: Label) -> bool:
    """Whether a label was read with a polygon, which only Scalabel holds."""
    return isinstance(label, SourceLabel) and bytes(label.rest.get("poly2d", b"")) not in (b"", b"[]")


def read_scalabel(path: Path, count: Callable[[str], None] | None = None) -> Iterator[Frame]:
    """Yields the frames of a label file, or of every file of a folder; errors are those of `read_labels`.

    Lists of frames are read piece by piece, other forms at once. ``count`` is called with :data:`MORE_OF_FILE`.
    """
    for file in label_files(path):
        yield from _read_file(file, count or (lambda kind: None))


def _read_file(path: Path, count: Callable[[str], None]) -> Iterator[Frame]:
    parts = split_frames(path, _PART)
    statement = FileStatement(None, False)
    if parts:
        try:
            statement = read_statement(path)
        except JSON_ERRORS:
            parts = []
    for number, (start, end) in enumerate(parts):
        frames = _read_part(path, start, end, statement)
        if number == 0 and frames is not None and not _have_shapes(frames):
            # What such a file is can only be told of all of it.
            parts = []
            break
        if frames is None:
            # Either what looked like the end of a frame was none, or the file is a bad one.
            yield from _read_part(path, start, parts[-1][1], statement) or _read_whole(path, count)
            return
        yield from frames
    if not parts:
        yield from _read_whole(path, count)
    elif statement.more:
        count(MORE_OF_FILE)


def _have_shapes(frames: Iterable[Frame]) -> bool:
    """Whether a label says where its object is, or at least has nothing that may be meant so."""
    return any(
        label.box2d or label.rle or not isinstance(label, SourceLabel) or not SHAPES.isdisjoint(label.rest)
        for frame in frames
        for label in frame.labels or ()
    )


def _read_part(path: Path, start: int, end: int, statement: FileStatement) -> list[Frame] | None:
    content = lower_attributes(read_part(path, start, end))
    try:
        frames: list[Frame] = [*_decode_plain(content)]
    except msgspec.ValidationError:
        try:
            frames = _with_rest(_decode_frames(content), _objects(content))
        except JSON_ERRORS:
            return None
    except JSON_ERRORS:
        return None
    with_size(frames, statement.size)
    return frames


def _read_whole(path: Path, count: Callable[[str], None]) -> list[Frame]:
    """The frames of a file of any form, which `read_labels` tells and checks."""
    frames = read_labels(path).frames
    content = lower_attributes(read_json(path))
    try:
        document = open_document(content)
        if document.is_coco:
            return frames
        if document.says_more:
            count(MORE_OF_FILE)
        objects = [_first_release(content)] if document.is_first_release else _objects(document.frames)
    except JSON_ERRORS as error:
        raise DataError(f"{path}: {diagnose(content, error)}") from error
    # The entries of a flat list are boxes, of which no more is known.
    flat = any(frame.labels for frame in frames) and not any("labels" in one for one in objects)
    return frames if flat else _with_rest(frames, objects)


def _objects(content: bytes | msgspec.Raw) -> list[Rest]:
    """The objects of a list, unparsed; UnicodeDecodeError where they are not UTF-8, which the decoder looks over."""
    if not bytes(content).isascii():
        bytes(content).decode()
    return _decode_objects(content)


def _first_release(content: bytes) -> Rest:
    """The frame of a file of the first release, as a later one has it."""
    (document,) = _objects(b"[" + content + b"]")
    (only,) = _decode_objects(document.pop("frames"))
    labels = only.pop("objects", None)
    return only | document | ({} if labels is None else {"labels": labels})


def _with_rest(frames: Iterable[Frame], objects: Iterable[Rest]) -> list[Frame]:
    return [_source_frame(frame, found) for frame, found in zip(frames, objects, strict=True)]


def _source_frame(frame: Frame, found: Rest) -> SourceFrame:
    labels = frame.labels
    if labels:
        labels = [
            _source_label(label, one) for label, one in zip(labels, _decode_objects(found["labels"]), strict=True)
        ]
    source = SourceFrame(*msgspec.structs.astuple(frame))
    source.labels = labels
    # The first release has fewer fields than its frames.
    read = {key for key in _FRAME if getattr(frame, key) is not None}
    source.rest = _rest(found, read)
    source.rest_of_attributes = _rest_of_attributes(frame, found, _FRAME_ATTRIBUTES)
    return source


def _source_label(label: Label, found: Rest) -> Label:
    source = SourceLabel(*msgspec.structs.astuple(label))
    source.rest = _rest(found, _LABEL)
    source.rest_of_attributes = _rest_of_attributes(label, found, _LABEL_ATTRIBUTES)
    return source


def _rest(found: Rest, known: Collection[str]) -> Rest:
    return {key: value for key, value in found.items() if key not in known and bytes(value) != b"null"}


def _rest_of_attributes(record: Frame | Label, found: Rest, known: Collection[str]) -> Rest:
    return {} if record.attributes is None else _rest(_decode_object(found["attributes"]), known)


def write_scalabel(frames: Iterable[Frame], path: str | os.PathLike[str]) -> None:
    """Writes frames as a Scalabel list, one by one, whole or not at all; OutputError where that fails."""
    write_frames(map(_written, frames), path)


def _written(frame: Frame) -> Frame | dict[str, Any]:
    """What of a frame is written as JSON: all that was read of it."""
    if not isinstance(frame, SourceFrame):
        return frame
    written = _fields(frame, _FRAME_ATTRIBUTES)
    if frame.labels is not None:
        written["labels"] = [_fields(label, _LABEL_ATTRIBUTES) for label in frame.labels]
    return written


def _fields(record: Frame | Label, of_attributes: frozenset[str]) -> dict[str, Any]:
    if not isinstance(record, SourceFrame | SourceLabel):
        return _set_fields(record)
    fields = _set_fields(record)
    del fields["rest"], fields["rest_of_attributes"]
    if record.rest_of_attributes:
        known = {} if record.attributes is None else _set_fields(record.attributes)
        fields["attributes"] = known | record.rest_of_attributes
    return fields | record.rest


def _set_fields(record: msgspec.Struct) -> dict[str, Any]:
    """The fields of a record that are not None, which is what each is without a value."""
    return {key: value for key in record.__struct_fields__ if (value := getattr(record, key)) is not None}
