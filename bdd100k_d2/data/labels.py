"""Scalabel label files (https://doc.bdd100k.com/format.html) <-> typed records of the fields that are needed."""

import gc
import os
import unicodedata
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from ..atomic import atomic_path
from ..errors import DataError, shown
from .image_size import check_image_size

HEIGHT, WIDTH = 720, 1280
"""The size in pixels of every BDD100K image."""


class Box2D(msgspec.Struct, gc=False):
    """A box in pixels with **inclusive** corners: its width is ``x2 - x1 + 1``."""

    x1: float
    y1: float
    x2: float
    y2: float

    @staticmethod
    def of_size(x: float, y: float, width: float, height: float) -> "Box2D":
        """The box of a size whose first pixel is at ``x``, ``y``."""
        return Box2D(x, y, x + width - 1, y + height - 1)

    @property
    def is_flat(self) -> bool:
        """Whether it has no area."""
        return self.x2 - self.x1 + 1 <= 0 or self.y2 - self.y1 + 1 <= 0


class LabelAttributes(msgspec.Struct, omit_defaults=True, forbid_unknown_fields=True, gc=False):
    """Attributes of an object. ``crowd`` or ``ignored`` objects are neither trained on nor counted as missed.

    Files may have others, which `decode_frames` leaves out.
    """

    occluded: bool | None = None
    truncated: bool | None = None
    trafficLightColor: str | None = None  # noqa: N815, the field's name in the file
    crowd: bool | None = None
    ignored: bool | None = None


class RLE(msgspec.Struct, gc=False):
    """A mask in COCO's compressed run lengths; ``size`` is (height, width) in pixels."""

    counts: str
    size: tuple[int, int]


class Outline(RLE, gc=False):
    """A mask of ``polygons``, unparsed, of an image whose file states no size; ``counts`` and ``size`` are empty.

    :func:`~bdd100k_d2.data.rle.check_rle` fills it, in the size of the image; ``where`` it stands begins messages.
    """

    polygons: msgspec.Raw
    where: str


class Label(msgspec.Struct, omit_defaults=True, gc=False):
    """An object of a frame. ``score`` (0 to 1) is set in predictions only."""

    id: str | int | float | None = None
    category: str | None = None
    score: float | None = None
    attributes: LabelAttributes | None = None
    box2d: Box2D | None = None
    rle: RLE | None = None

    @property
    def is_crowd(self) -> bool:
        """Whether the object is marked as a crowd or as ignored."""
        return self.attributes is not None and bool(self.attributes.crowd or self.attributes.ignored)


def unsized(where: str) -> DataError:
    """What is wrong with polygons of an image whose size nobody knows; the message begins with ``where``."""
    return DataError(f"{where}: the image has no width and height, without which polygons have no mask; add them.")


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
    """An image and its objects. ``labels`` is None where the file has ``null`` or no such key.

    The fields that are only carried, and used by nothing here, may be of any type.
    """

    name: str
    videoName: Any = None  # noqa: N815, the field's name in the file
    attributes: FrameAttributes | None = None
    timestamp: Any = None
    frameIndex: Any = None  # noqa: N815, the field's name in the file
    size: ImageSize | None = None
    labels: list[Label] | None = None

    @property
    def height_width(self) -> tuple[int, int]:
        """The size of the image in pixels; where the file does not say, of its masks, else the official one.

        DataError where it is asked for polygons alone, which no size that is guessed would fit.
        """
        if self.size is not None:
            return self.size.height, self.size.width
        masks = [label.rle for label in self.labels or () if label.rle is not None]
        stated = next((mask.size for mask in masks if not isinstance(mask, Outline)), None)
        if stated is None and masks:
            raise unsized(masks[0].where if isinstance(masks[0], Outline) else self.name)
        return stated or (HEIGHT, WIDTH)


class OpenAttributes(LabelAttributes, forbid_unknown_fields=False, gc=False):
    """Attributes among others, and with the capitals that some files have; `lower_attributes` makes these small."""

    Occluded: bool | None = None
    Truncated: bool | None = None
    Crowd: bool | None = None
    Ignored: bool | None = None


class OpenLabel(Label, gc=False):
    """A label that may have any attributes."""

    attributes: OpenAttributes | None = None


class OpenFrame(Frame):
    """A frame whose labels may have any attributes."""

    labels: list[OpenLabel] | None = None  # type: ignore[assignment]  # what is read only is not appended to


_decode_official = msgspec.json.Decoder(list[Frame]).decode
_decode_open = msgspec.json.Decoder(list[OpenFrame]).decode


def decode_frames(content: bytes | msgspec.Raw) -> list[Frame]:
    """The frames of a JSON list; fields and attributes that are not needed are left out.

    Raises:
        msgspec.MsgspecError: it is none; :func:`~bdd100k_d2.data.diagnosis.diagnose` says why.
    """
    try:
        return _decode_official(content)
    except msgspec.ValidationError:
        # Looking for other attributes in all labels would cost a tenth of the time. The official boxes have none.
        frames: list[Frame] = [*_decode_open(content)]
    lower_attributes(label for frame in frames for label in frame.labels or ())
    return frames


def lower_attributes(labels: Iterable[Label]) -> None:
    """Gives attributes that were read with a capital to those in small letters, unless these were read too."""
    for label in labels:
        found = label.attributes
        if isinstance(found, OpenAttributes) and (
            found.Occluded is not None
            or found.Truncated is not None
            or found.Crowd is not None
            or found.Ignored is not None
        ):
            for capital in ("Occluded", "Truncated", "Crowd", "Ignored"):
                if getattr(found, capital.lower()) is None:
                    setattr(found, capital.lower(), getattr(found, capital))
                setattr(found, capital, None)


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


# Control characters, what turns the direction of writing, lone surrogates, and the separators of lines.
_UNPRINTED = {"Cc", "Cf", "Cs", "Zl", "Zp"}
_LONGEST_NAME = 255


def is_frame_name(name: str) -> bool:
    """Whether an image may be called so: 1 to 255 bytes, as file systems have it, and nothing that is not shown."""
    if not 0 < len(name.encode(errors="replace")) <= _LONGEST_NAME:
        return False
    return name.isprintable() or _UNPRINTED.isdisjoint(map(unicodedata.category, name))


def each_once(frames: Iterable[Frame], path: Path) -> Iterator[Frame]:
    """Yields the frames of the label file ``path``.

    Raises:
        DataError: two have the same name, one's name is not `is_frame_name`, or no image may have its size.
    """
    seen: set[str] = set()
    for frame in frames:
        if not is_frame_name(frame.name):
            raise DataError(
                f"{path}: a frame is called '{shown(frame.name)}'; the name of an image has 1 to {_LONGEST_NAME} bytes "
                "and no characters that cannot be shown; rename it."
            )
        if frame.name in seen:
            raise DataError(f"{path}: frame {frame.name} stands twice; remove one of the two.")
        if frame.size is not None:
            check_image_size(frame.size.height, frame.size.width, f"{path}: frame {frame.name}")
        seen.add(frame.name)
        yield frame


def write_frames(frames: Iterable[msgspec.Struct | dict[str, Any]], path: str | os.PathLike[str]) -> None:
    """Writes frames, one after the other, as a JSON list of one per line, whole or not at all; else OutputError."""
    encoder = msgspec.json.Encoder()
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        separator = b"["
        for frame in frames:
            file.write(separator + encoder.encode(frame))
            separator = b",\n"
        file.write(b"]" if separator != b"[" else b"[]")
