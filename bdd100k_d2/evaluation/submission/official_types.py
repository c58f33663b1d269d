"""The fields of a frame and a label as the official loader takes them; what it refuses does not decode.

It is pydantic 1 on the models of ``scalabel/label/typing.py``, which makes numbers of text and of truth values, and
text of numbers.
"""

from typing import Annotated, Any, Generic, TypeVar

import msgspec

_Label = TypeVar("_Label")

Text = str | float | bool
_FLOAT_TEXT = r"(?i)^\s*[+-]?((\d[\d_]*\.?[\d_]*|\.\d[\d_]*)(e[+-]?\d+)?|nan|inf|infinity)\s*$"
_Float = float | bool | Annotated[str, msgspec.Meta(pattern=_FLOAT_TEXT)]
# A whole number is cut from any that is finite.
_Int = (
    Annotated[float, msgspec.Meta(ge=-1.7e308, le=1.7e308)]
    | bool
    | Annotated[str, msgspec.Meta(pattern=r"^\s*[+-]?\d+(_\d+)*\s*$")]
)
_FLAG_TEXT = r"(?i)^([01ftny]|on|off|no|yes|true|false)$"
_Flag = (
    bool | Annotated[float, msgspec.Meta(ge=0, le=1, multiple_of=1)] | Annotated[str, msgspec.Meta(pattern=_FLAG_TEXT)]
)
_Pair = tuple[_Float, _Float]
_Triple = tuple[_Float, _Float, _Float]


class _Box2D(msgspec.Struct, gc=False):
    x1: _Float
    y1: _Float
    x2: _Float
    y2: _Float


class _Box3D(msgspec.Struct, gc=False):
    alpha: _Float
    orientation: _Triple
    location: _Triple
    dimension: _Triple


class _Poly2D(msgspec.Struct, gc=False):
    vertices: list[_Pair]
    types: Text
    closed: _Flag


class _RLE(msgspec.Struct, gc=False):
    counts: Text
    size: tuple[_Int, _Int]


class _Node(msgspec.Struct, gc=False):
    location: Annotated[list[_Float], msgspec.Meta(min_length=2, max_length=3)]
    category: Text
    id: Text
    visibility: Text | None = None
    type: Text | None = None
    score: _Float | None = None


class _Edge(msgspec.Struct, gc=False):
    source: Text
    target: Text
    type: Text | None = None


class _Graph(msgspec.Struct, gc=False):
    nodes: list[_Node]
    edges: list[_Edge]
    type: Text | None = None


class OfficialLabel(msgspec.Struct, kw_only=True, gc=False):
    """A label; the kinds of submissions ask for more of it."""

    # One of any kind, which becomes text.
    id: Any
    index: _Int | None = None
    manualShape: _Flag | None = None  # noqa: N815, the fields' names in the file, as below
    manualAttributes: _Flag | None = None  # noqa: N815
    score: _Float | None = None
    attributes: dict[str, Text] | None = None
    category: Text | None = None
    box2d: _Box2D | None = None
    box3d: _Box3D | None = None
    poly2d: list[_Poly2D] | None = None
    rle: _RLE | None = None
    graph: _Graph | None = None


class _Size(msgspec.Struct):
    width: _Int
    height: _Int


class _Intrinsics(msgspec.Struct):
    focal: _Pair
    center: _Pair
    skew: _Float = 0
    radial: _Triple | None = None
    tangential: _Pair | None = None


class _Extrinsics(msgspec.Struct):
    location: _Triple
    rotation: _Triple


class OfficialFrame(msgspec.Struct, Generic[_Label]):
    """A frame, whose labels are read one by one; ``labels`` is UNSET where the key is missing."""

    name: str
    labels: list[_Label] | msgspec.UnsetType | None = msgspec.UNSET
    url: Text | None = None
    videoName: Text | None = None  # noqa: N815
    intrinsics: _Intrinsics | None = None
    extrinsics: _Extrinsics | None = None
    attributes: dict[str, Text] | None = None
    timestamp: _Int | None = None
    frameIndex: _Int | None = None  # noqa: N815
    size: _Size | None = None
