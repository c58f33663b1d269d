"""Scalabel files, read and written frame by frame, so that their size does not matter.

What the package has no use for is kept unparsed, so that a Scalabel target holds what its source did.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from ...errors import DataError
from ..coco import ABSENT
from ..diagnosis import diagnose
from ..folders import label_files, warn_of_unread_label_files
from ..json_file import JSON_ERRORS, read_json
from ..label_document import FileStatement, open_document, read_statement, with_size
from ..labels import Frame, FrameAttributes, Label, OpenAttributes, lower_attributes, write_frames
from ..splitter import read_part, split_frames
from ..unlabelled import check_unlabelled
from ..vintages import labels_in

MORE_OF_FILE = "label files whose config (categories, attributes) or groups of frames are not kept"
"""What is counted where a file says more of all its frames than the size of their images."""

_PART = 8 << 20

Rest = dict[str, msgspec.Raw]
"""The fields of an object in a file, unparsed, that its record does not have."""


class SourceAttributes(OpenAttributes, omit_defaults=True, forbid_unknown_fields=True, gc=False):
    """The attributes of a label, and those of lanes and areas, unparsed."""

    areaType: msgspec.Raw = ABSENT  # noqa: N815, as the next ones
    laneDirection: msgspec.Raw = ABSENT  # noqa: N815
    laneStyle: msgspec.Raw = ABSENT  # noqa: N815
    laneTypes: msgspec.Raw = ABSENT  # noqa: N815

    @property
    def rest(self) -> Rest:
        """Further attributes."""
        return {}

    @property
    def has_more(self) -> bool:
        """Whether there is any that `LabelAttributes` does not have."""
        return _is_any(self.areaType, self.laneDirection, self.laneStyle, self.laneTypes) or bool(self.rest)


class SourceLabel(Label, omit_defaults=True, forbid_unknown_fields=True, gc=False):
    """A label, and what else Scalabel has of it, unparsed."""

    attributes: SourceAttributes | None = None
    index: msgspec.Raw = ABSENT
    manualShape: msgspec.Raw = ABSENT  # noqa: N815, as the next one
    manualAttributes: msgspec.Raw = ABSENT  # noqa: N815
    box3d: msgspec.Raw = ABSENT
    poly2d: msgspec.Raw = ABSENT
    graph: msgspec.Raw = ABSENT

    @property
    def rest(self) -> Rest:
        """Further fields, which Scalabel does not have."""
        return {}

    @property
    def has_more(self) -> bool:
        """Whether more than its polygon and how it was made is known of the object."""
        return _is_any(self.box3d, self.graph) or bool(self.rest)


class SourceFrame(Frame, omit_defaults=True, forbid_unknown_fields=True):
    """A frame, and what else Scalabel has of it, unparsed."""

    attributes: "_FrameAttributes | None" = None
    labels: list[SourceLabel] | None = None  # type: ignore[assignment]  # only Label's fields are changed
    url: msgspec.Raw = ABSENT
    sensor: msgspec.Raw = ABSENT
    resources: msgspec.Raw = ABSENT
    sequence: msgspec.Raw = ABSENT
    intrinsics: msgspec.Raw = ABSENT
    extrinsics: msgspec.Raw = ABSENT

    @property
    def rest(self) -> Rest:
        """Further fields, which Scalabel does not have."""
        return {}

    @property
    def has_more(self) -> bool:
        """Whether there is anything that `Frame` does not have."""
        if self.rest or (self.attributes is not None and self.attributes.rest):
            return True
        return _is_any(self.url, self.sensor, self.resources, self.sequence, self.intrinsics, self.extrinsics)


class _FrameAttributes(FrameAttributes, omit_defaults=True, forbid_unknown_fields=True, gc=False):
    @property
    def rest(self) -> Rest:
        return {}


# Records of objects with fields that the ones above do not have; ``rest`` is set after they were read.


class _AttributesWithRest(SourceAttributes, forbid_unknown_fields=False, gc=False):
    rest: Any = None


class _LabelWithRest(SourceLabel, forbid_unknown_fields=False, gc=False):
    attributes: _AttributesWithRest | None = None
    rest: Any = None


class _FrameAttributesWithRest(_FrameAttributes, forbid_unknown_fields=False, gc=False):
    rest: Any = None


class _FrameWithRest(SourceFrame, forbid_unknown_fields=False):
    attributes: _FrameAttributesWithRest | None = None
    labels: list[_LabelWithRest] | None = None  # type: ignore[assignment]  # as above
    rest: Any = None


_RecordWithRest = _FrameWithRest | _FrameAttributesWithRest | _LabelWithRest | _AttributesWithRest

_decode_source = msgspec.json.Decoder(list[SourceFrame]).decode
_decode_with_rest = msgspec.json.Decoder(list[_FrameWithRest]).decode
_decode_objects = msgspec.json.Decoder(list[Rest]).decode
_decode_object = msgspec.json.Decoder(Rest).decode
_KNOWN = {kind: tuple(key for key in kind.__struct_fields__ if key != "rest") for kind in _RecordWithRest.__args__}


def _is_any(*fields: msgspec.Raw) -> bool:
    """Whether one of the fields is in the file, with a value."""
    # Most have none, and looking at each of a million labels takes a second.
    if fields.count(ABSENT) == len(fields):
        return False
    return any(value is not ABSENT and bytes(value) != b"null" for value in fields)


def has_polygon(label: Label) -> bool:
    """Whether a label was read with a polygon, which only Scalabel holds."""
    return isinstance(label, SourceLabel) and label.poly2d is not ABSENT and bytes(label.poly2d) not in (b"null", b"[]")


def read_scalabel(path: Path, count: Callable[[str], None] | None = None) -> Iterator[Frame]:
    """Yields the frames of a label file, or of every file of a folder; errors are those of `read_labels`.

    Lists of frames are read piece by piece, other forms at once. ``count`` is called with :data:`MORE_OF_FILE`.
    """
    warn_of_unread_label_files(path)
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
        if not all(frame.labels for frame in frames):
            check_unlabelled(frames, read_part(path, start, end), path)
        yield from frames
    if not parts:
        yield from _read_whole(path, count)
    elif statement.more:
        count(MORE_OF_FILE)


def _have_shapes(frames: Iterable[SourceFrame]) -> bool:
    """Whether a label says where its object is, or at least has nothing that may be meant so."""
    return any(
        label.box2d or label.rle or not label.rest or _is_any(label.box3d, label.poly2d, label.graph)
        for frame in frames
        for label in frame.labels or ()
    )


def _read_part(path: Path, start: int, end: int, statement: FileStatement) -> list[SourceFrame] | None:
    content = read_part(path, start, end)
    try:
        frames = _decode_source(content)
        lower_attributes(label for frame in frames for label in frame.labels or ())
    except msgspec.ValidationError:
        try:
            frames = _with_rest(content)
        except JSON_ERRORS:
            return None
    except JSON_ERRORS:
        return None
    with_size(frames, statement.size)
    return frames


def _read_whole(path: Path, count: Callable[[str], None]) -> Sequence[Frame]:
    """The frames of a file of any form, which `labels_in` tells and checks."""
    content = read_json(path)
    frames = labels_in(content, path).frames
    try:
        document = open_document(content)
        if document.is_coco:
            return frames
        if document.says_more:
            count(MORE_OF_FILE)
        if document.is_first_release:
            content = _first_release(content)
        whole = _with_rest(content if document.is_first_release else document.frames)
    except JSON_ERRORS as error:
        raise DataError(f"{path}: {diagnose(content, error)}") from error
    # The entries of a flat list are boxes, of which no more is known.
    if any(frame.labels for frame in frames) and not any(frame.labels for frame in whole):
        return frames
    for frame, read in zip(whole, frames, strict=True):
        # The first release has names without an ending, and a size may be stated for the whole file.
        frame.name, frame.size = read.name, frame.size or read.size
    return whole


def _first_release(content: bytes) -> bytes:
    """The list of the frame of a file of the first release, as a later one has it."""
    document = _decode_object(content)
    (only,) = _decode_objects(document.pop("frames"))
    labels = only.pop("objects", None)
    return msgspec.json.encode([only | document | ({} if labels is None else {"labels": labels})])


def _with_rest(content: bytes | msgspec.Raw) -> list[SourceFrame]:
    """The frames of a list; UnicodeDecodeError where a key is not UTF-8, which the decoder looks over."""
    if not bytes(content).isascii():
        bytes(content).decode()
    frames = _decode_with_rest(content)
    for frame, found in zip(frames, _decode_objects(content), strict=True):
        _add_rest(frame, found)
        if frame.attributes is not None:
            _add_rest(frame.attributes, _decode_object(found["attributes"]))
        if not frame.labels:
            continue
        for label, one in zip(frame.labels, _decode_objects(found["labels"]), strict=True):
            _add_rest(label, one)
            if label.attributes is not None:
                _add_rest(label.attributes, _decode_object(one["attributes"]))
        lower_attributes(frame.labels)
    return [*frames]


def _add_rest(record: _RecordWithRest, found: Rest) -> None:
    known = _KNOWN[type(record)]
    record.rest = {key: value for key, value in found.items() if key not in known and bytes(value) != b"null"}


def write_scalabel(frames: Iterable[Frame], path: str | os.PathLike[str]) -> None:
    """Writes frames as a Scalabel list, one by one, whole or not at all; OutputError where that fails."""
    write_frames(map(_written, frames), path)


def _written(record: Frame) -> Frame | dict[str, Any]:
    """What of a frame is written as JSON: all that was read of it."""
    return _fields(record) if isinstance(record, _FrameWithRest) else record


def _fields(record: _RecordWithRest) -> dict[str, Any]:
    """The fields that have a value, and the rest."""
    fields: dict[str, Any] = {}
    for key in _KNOWN[type(record)]:
        value = getattr(record, key)
        if value is None or value is ABSENT:
            continue
        if key == "labels":
            value = [*map(_fields, value)]
        elif key == "attributes":
            value = _fields(value)
        fields[key] = value
    fields |= record.rest
    return fields
