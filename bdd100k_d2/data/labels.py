"""Scalabel label files (https://doc.bdd100k.com/format.html) <-> typed records of the fields that are needed."""

import gc
import json
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypeGuard

import msgspec

from ..atomic import atomic_path
from ..errors import DataError

HEIGHT, WIDTH = 720, 1280
"""The size in pixels of every BDD100K image."""


class Box2D(msgspec.Struct, gc=False):
    """A box in pixels with **inclusive** corners: its width is ``x2 - x1 + 1``."""

    x1: float
    y1: float
    x2: float
    y2: float


class LabelAttributes(msgspec.Struct, omit_defaults=True, gc=False):
    """Attributes of an object. ``crowd`` or ``ignored`` objects are neither trained on nor counted as missed."""

    occluded: bool | None = None
    truncated: bool | None = None
    trafficLightColor: str | None = None  # noqa: N815, the field's name in the file
    crowd: bool | None = None
    ignored: bool | None = None


class RLE(msgspec.Struct, gc=False):
    """A mask in COCO's compressed run lengths; ``size`` is (height, width) in pixels."""

    counts: str
    size: tuple[int, int]


class Label(msgspec.Struct, omit_defaults=True, gc=False):
    """An object of a frame. ``score`` (0 to 1) is set in predictions only."""

    id: str | int | None = None
    category: str | None = None
    score: float | None = None
    attributes: LabelAttributes | None = None
    box2d: Box2D | None = None
    rle: RLE | None = None

    @property
    def is_crowd(self) -> bool:
        """Whether the object is marked as a crowd or as ignored."""
        return self.attributes is not None and bool(self.attributes.crowd or self.attributes.ignored)


class FrameAttributes(msgspec.Struct, omit_defaults=True, gc=False):
    """Attributes of a frame; their values are listed in :mod:`bdd100k_d2.data.categories`."""

    weather: str | None = None
    scene: str | None = None
    timeofday: str | None = None


class ImageSize(msgspec.Struct, gc=False):
    """The size of a frame's image in pixels."""

    width: int
    height: int


class Frame(msgspec.Struct, omit_defaults=True):
    """An image and its objects. ``labels`` is None where the file has ``null`` or no such key."""

    name: str
    videoName: str | None = None  # noqa: N815, the field's name in the file
    attributes: FrameAttributes | None = None
    timestamp: int | None = None
    frameIndex: int | None = None  # noqa: N815, the field's name in the file
    size: ImageSize | None = None
    labels: list[Label] | None = None

    @property
    def height_width(self) -> tuple[int, int]:
        """The size of the image in pixels; where the file does not say, of its masks, else the official one."""
        if self.size is not None:
            return self.size.height, self.size.width
        return next((label.rle.size for label in self.labels or () if label.rle is not None), (HEIGHT, WIDTH))


def attributes_of(frames: Iterable[Frame]) -> dict[str, FrameAttributes]:
    """The attributes of the frames that have any, by name."""
    return {frame.name: frame.attributes for frame in frames if frame.attributes is not None}


@contextmanager
def without_collection() -> Iterator[None]:
    """Pauses the garbage collector, which doubles the time of making hundreds of thousands of objects that all stay."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


def read_content(
    path: Path, what: str = "label file", remedy: str = "datasets/README.md says where it comes from and where it goes"
) -> bytes:
    """The bytes of a JSON file, which ``what`` and ``remedy`` speak of; DataError where it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: the {what} cannot be read ({error.strerror}); {remedy}.") from error


def each_once(frames: Iterable[Frame], path: Path) -> Iterator[Frame]:
    """Yields the frames of the label file ``path``; DataError where two have the same name."""
    seen: set[str] = set()
    for frame in frames:
        if frame.name in seen:
            raise DataError(f"{path}: frame {frame.name} stands twice; remove one of the two.")
        seen.add(frame.name)
        yield frame


def write_frames(frames: Iterable[msgspec.Struct], path: str | os.PathLike[str]) -> None:
    """Writes frames, one after the other, as a JSON list of one per line, whole or not at all; else OutputError."""
    encoder = msgspec.json.Encoder()
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        separator = b"["
        for frame in frames:
            file.write(separator + encoder.encode(frame))
            separator = b",\n"
        file.write(b"]" if separator != b"[" else b"[]")


class DocumentPart(NamedTuple):
    """A part of a label file, parsed but not typed: how a user would name it, and the type that it should have."""

    name: str
    value: object
    type: type


def are_objects(value: object) -> TypeGuard[list[dict[str, Any]]]:
    """Whether parsed JSON is a list of objects."""
    return isinstance(value, list) and all(isinstance(item, dict) for item in value)


def scalabel_parts(document: Any) -> list[DocumentPart] | None:  # noqa: ANN401, whatever a file holds
    """The frames of a parsed Scalabel file; None if it has another form."""
    frames = document.get("frames") if isinstance(document, dict) else document
    if not are_objects(frames):
        return None
    return [DocumentPart(f"frame {frame.get('name', f'number {i}')}", frame, Frame) for i, frame in enumerate(frames)]


def diagnose(
    content: bytes, error: msgspec.MsgspecError, split: Callable[[Any], list[DocumentPart] | None] = scalabel_parts
) -> str:
    """Says what is wrong with a file that msgspec refused, in the user's terms; ``split`` finds its parts."""
    if not content.strip():
        return "the file is empty; download or export it again."
    if content[:2] == b"PK":
        return "a zip; unpack it and give what is in it."
    if not content.isascii() and content[:1] not in b"[{ \t\r\n":
        return "not a JSON text file in UTF-8; give the path of a label file in JSON."
    text = content.decode(errors="replace").rstrip()
    try:
        document = json.loads(text)
    except json.JSONDecodeError as syntax:
        # What is cut off in a literal such as false is reported where that begins.
        rest = text[syntax.pos :]
        what = f"not valid JSON ({syntax.msg}, line {syntax.lineno}, column {syntax.colno})"
        if "Unterminated" in syntax.msg or any(whole.startswith(rest) for whole in ("true", "false", "null", "-")):
            what = f"the JSON is cut off after {len(content):,} bytes"
        return f"{what}; download or export it again."
    parts = split(document)
    if isinstance(document, list) and any(isinstance(item, dict) and "image_id" in item for item in document):
        return "COCO results, one object per box; a list of frames with their labels is expected, as det.json."
    if parts is None:
        return 'not a label file: a list of Scalabel frames or {"frames": [...]} is expected.'
    return _first_bad(parts) or f"not a label file ({error})."


def _is_finite(value: object) -> bool:
    try:
        json.dumps(value, allow_nan=False)
    except ValueError:
        return False
    return True


def _first_bad(parts: list[DocumentPart]) -> str | None:
    for part in parts:
        if not _is_finite(part.value):
            labels = part.value.get("labels") if isinstance(part.value, dict) else None
            where = ""
            for place, label in enumerate(labels or ()):
                if not where and not _is_finite(label):
                    named = isinstance(label, dict) and label.get("id") is not None
                    where = f", label {label['id'] if named else f'number {place}'},"
            return f"{part.name}{where} holds a number that is NaN or infinite; mend or remove it."
        try:
            msgspec.convert(part.value, part.type)
        except msgspec.ValidationError as error:
            return f"{part.name}: {error}."
    return None
