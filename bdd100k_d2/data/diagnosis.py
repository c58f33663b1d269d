"""A JSON file that could not be decoded -> what is wrong with it, in the user's terms."""

import json
from collections.abc import Callable
from typing import Any, NamedTuple, TypeGuard

import msgspec

from ..errors import shown
from .labels import OpenFrame


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
    return [
        DocumentPart(f"frame {shown(frame.get('name', f'number {i}'))}", frame, OpenFrame)
        for i, frame in enumerate(frames)
    ]


def diagnose(
    content: bytes, error: Exception, split: Callable[[Any], list[DocumentPart] | None] = scalabel_parts
) -> str:
    """Says what is wrong with a file that msgspec refused, in the user's terms; ``split`` finds its parts.

    ``error`` is one of :data:`~bdd100k_d2.data.json_file.JSON_ERRORS`.
    """
    if not content.strip():
        return "the file is empty; download or export it again."
    if content[:2] == b"PK":
        return "a zip; unpack it and give what is in it."
    if not content.isascii() and content[:1] not in b"[{ \t\r\n":
        return "not a JSON text file in UTF-8; give the path of a label file in JSON."
    try:
        text = content.decode()
    except UnicodeDecodeError as bad:
        line = content.count(b"\n", 0, bad.start) + 1
        return f"not UTF-8 (byte {content[bad.start]:#x} in line {line}); save the file as UTF-8."
    try:
        return _diagnosis(text.rstrip(), len(content), error, split)
    except RecursionError:
        return "lists or objects lie too deep in each other for labels; export it again."


def _diagnosis(text: str, size: int, error: Exception, split: Callable[[Any], list[DocumentPart] | None]) -> str:
    try:
        document = json.loads(text, parse_int=_parse_int)
    except json.JSONDecodeError as syntax:
        # What is cut off in a literal such as false is reported where that begins.
        rest = text[syntax.pos : syntax.pos + _LONGEST_LITERAL]
        what = f"not valid JSON ({syntax.msg}, line {syntax.lineno}, column {syntax.colno})"
        if "Unterminated" in syntax.msg or any(whole.startswith(rest) for whole in ("true", "false", "null", "-")):
            what = f"the JSON is cut off after {size:,} bytes"
        return f"{what}; download or export it again."
    parts = split(document)
    if any(
        part.type is OpenFrame and isinstance(part.value, dict) and "image_id" in part.value for part in parts or ()
    ):
        return (
            "COCO results, one object per box, which do not name their images; as predictions they are read with the "
            "COCO file that has their image ids and categories (--image-ids)."
        )
    if parts is None:
        return 'not a label file: a list of Scalabel frames or {"frames": [...]} is expected.'
    return _first_bad(parts) or f"not a label file ({shown(error)})."


_LONGEST_LITERAL = 6
# Python refuses to read numbers of thousands of digits, and to write them.
_MOST_DIGITS = 1000


def _parse_int(digits: str) -> int | float:
    return int(digits) if len(digits) < _MOST_DIGITS else float(digits)


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
            for place, label in enumerate(labels if isinstance(labels, list) else ()):
                if not where and not _is_finite(label):
                    named = isinstance(label, dict) and label.get("id") is not None
                    where = f", label {shown(label['id']) if named else f'number {place}'},"
            return f"{part.name}{where} holds a number that is NaN or infinite; mend or remove it."
        try:
            msgspec.convert(part.value, part.type)
            json.dumps(part.value, ensure_ascii=False).encode()
        except msgspec.ValidationError as error:
            return f"{part.name}: {shown(error)}."
        except UnicodeEncodeError:
            return f"{part.name}: half of a character (a lone surrogate) stands in it; mend or remove it."
    return None
