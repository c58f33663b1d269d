"""The ``attributes`` of a COCO annotation, as CVAT writes them: ``{"occluded": true, "rotation": 0.0}``."""

import msgspec

from .labels import LabelAttributes

_NO_ATTRIBUTES = LabelAttributes()
_FLAGS = {b"true": True, b"false": False}
# In small letters, because some tools write "Occluded".
_FLAGGED = ("occluded", "truncated", "crowd", "ignored")
_COLOR = "trafficlightcolor"

_decode_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def with_attributes(known: LabelAttributes | None, raw: msgspec.Raw) -> LabelAttributes | None:
    """The attributes ``known`` of a label and those that stand unparsed in its annotation; None without any.

    Raises:
        msgspec.MsgspecError: no JSON.
    """
    found = _read(raw)
    if found.keys().isdisjoint((*_FLAGGED, _COLOR)):
        return known
    known = known or _NO_ATTRIBUTES
    occluded, truncated, crowd, ignored = (_flag(found.get(name)) for name in _FLAGGED)
    return LabelAttributes(
        occluded, truncated, _text(found.get(_COLOR)), known.crowd or crowd or None, known.ignored or ignored or None
    )


def has_others(raw: msgspec.Raw) -> bool:
    """Whether there are attributes that a label does not have, or of another type; MsgspecError where it is no JSON."""
    if bytes(raw)[:1] not in (b"{", b"n"):
        return True
    found = _read(raw)
    kept = [*(_flag(found.get(name)) for name in _FLAGGED), _text(found.get(_COLOR))]
    return len(found) > sum(one is not None for one in kept)


def _read(raw: msgspec.Raw) -> dict[str, msgspec.Raw]:
    """The attributes, unparsed, by names in small letters; none where they are no object."""
    if bytes(raw)[:1] != b"{":
        return {}
    return {name.lower(): value for name, value in _decode_object(raw).items()}


def _flag(value: msgspec.Raw | None) -> bool | None:
    return None if value is None else _FLAGS.get(bytes(value))


def _text(value: msgspec.Raw | None) -> str | None:
    return None if value is None or bytes(value)[:1] != b'"' else msgspec.json.decode(value, type=str)
