"""The frames of a JSON list in a submission, each read on its own, so that one bad label hides no other.

The official loader is Python's ``json`` on text in UTF-8 and, but for score.json, pydantic on each frame; what these
refuse, and what they read as a frame without predictions, is a defect. Source: ``scalabel/label/io.py`` and
``scalabel/label/typing.py``.
"""

import codecs
import json
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from typing import Any

import msgspec

from ...data.diagnosis import diagnose
from ...data.image_names import image_stem
from ...data.json_file import is_json_lines, saved_as
from ...errors import DataError, shown
from .members import Defect, Members
from .official_types import OfficialFrame

# Of a file that no reader of JSON takes, or of half a character, which msgspec takes no more than UTF-8 does.
_BAD_JSON = (msgspec.MsgspecError, UnicodeError, RecursionError)


# Beside a category, of an object in a list like those of 2018, which have no frames.
_FLAT_KEYS = {"bbox", "box2d", "rle", "score"}


class _Named(msgspec.Struct):
    id: Any = None
    index: Any = None
    category: Any = None


def read_records(
    members: Members, file: str, frames: Collection[str], label: type, defects: list[Defect], of_bitmasks: bool = False
) -> Iterator[tuple[str, list[Any]]]:
    """Reads the JSON list of frames ``file``, whose labels are of the type ``label``.

    What is wrong is appended to ``defects``, also the missing, extra and repeated frames when the reading ends.
    ``of_bitmasks``: a frame is found by its bitmask, which officially is called as it with ``.png`` for ``.jpg``.

    Yields:
        The frames of the split by the names of their images, a repeated one again, and their labels of the type.
    """
    try:
        content = members.read(file)
    except DataError as error:
        defects.append(Defect("file", file, None, str(error)))
        return
    known = {f"{image_stem(name)}.png" if of_bitmasks else name: name for name in frames}
    seen: set[str] = set()
    items = _items(content, file, defects)
    objects, with_labels = 0, False
    instead: Counter[str] = Counter()
    for place, item in enumerate(items):
        try:
            frame = _convert(item, OfficialFrame[msgspec.Raw] if isinstance(item, msgspec.Raw) else OfficialFrame[Any])
        except _BAD_JSON as error:
            defects.append(Defect("frame", file, None, f"number {place} of the list is no frame: {_said(error)}"))
            continue
        name = known.get(frame.name.replace(".jpg", ".png") if of_bitmasks else frame.name)
        if frame.labels is msgspec.UNSET:
            keys = _other_keys(item)
            if "category" in keys:
                objects += 1
                if name is not None:
                    seen.add(name)
                continue
            instead.update(keys)
        if name is None:
            defects.append(Defect("extra frame", file, frame.name, "is no image of the split"))
            continue
        if name in seen:
            defects.append(Defect("frame twice", file, name, "stands in the list again"))
        seen.add(name)
        labels, errors = [], []
        for one in frame.labels or ():
            with_labels = True
            try:
                labels.append(_convert(one, label))
            except _BAD_JSON as error:
                errors.append(f"{_label_name(one)}: {_said(error)}")
        if errors:
            defects.append(Defect("label", file, name, f"{len(errors)} of {len(frame.labels)} labels; {errors[0]}"))
        yield name, labels
    if objects:
        text = (
            f"{objects:,} of {len(items):,} are objects with the name of their frame each, as in the lists of 2018, "
            "and no frames with labels; convert the file with tools/convert_labels.py --to scalabel"
        )
        defects.append(Defect("labels", file, None, text))
    elif instead:
        ((other, count),) = instead.most_common(1)
        text = f'{count:,} frames have no "labels", but "{shown(other)}", which is not read; call it labels'
        defects.append(Defect("labels", file, None, text))
    elif seen and not with_labels:
        defects.append(Defect("labels", file, None, "no frame has a prediction"))
    for name in sorted({*frames} - seen):
        defects.append(Defect("missing frame", file, name, "is not in the list"))


def _items(content: bytes, file: str, defects: list[Defect]) -> list[Any]:
    """The items of the list: unparsed, or parsed where the file holds NaN, which is no JSON but often written."""

    def note(text: str) -> None:
        defects.append(Defect("file", file, None, text))

    saved = saved_as(content)
    if saved == "gzip":
        note("is packed by gzip, which the server does not read; unpack it")
        return []
    if saved not in ("utf-8", "utf-8-sig"):
        note("is UTF-16 or UTF-32; the server reads UTF-8 alone: save it so, without a byte-order mark")
        return []
    if saved == "utf-8-sig":
        note("begins with a byte-order mark, which the official loader refuses; save it in UTF-8 without one")
        content = content[len(codecs.BOM_UTF8) :]
    try:
        # What is not read of an item is not decoded either.
        if not content.isascii():
            content.decode()
        return _listed(msgspec.json.decode(content, type=list[msgspec.Raw]), note)
    except UnicodeDecodeError as error:
        note(f"is not UTF-8 (byte {content[error.start]:#x} at {error.start:,}); save it so")
        return []
    except _BAD_JSON as error:
        try:
            # As text: of bytes, Python guesses other encodings too.
            document = json.loads(content.decode())
        except RecursionError:
            note("has lists or objects that lie too deep in each other")
            return []
        except ValueError:
            note(_JSON_LINES if is_json_lines(content) else diagnose(content, msgspec.DecodeError(str(error))))
            return []
    if isinstance(document, dict):
        return _listed(_frames_of(document, note), note)
    if isinstance(document, list):
        return _listed(document, note)
    note("holds no list of frames")
    return []


_JSON_LINES = "holds a JSON object a line; the server takes one list: put [ and ] around them, and commas between"


def _frames_of(document: dict[str, Any], note: Callable[[str], None]) -> list[Any]:
    if isinstance(document.get("frames"), list):
        note('holds {"frames": [...]}; the server takes the list itself')
        return list(document["frames"])
    if "images" in document and "annotations" in document:
        note("is a COCO file; convert it with tools/convert_labels.py --to scalabel")
    elif "name" in document:
        note("holds one frame alone; the server takes one list of all frames")
        return [document]
    else:
        note("holds no list of frames")
    return []


def _listed(items: list[Any], note: Callable[[str], None]) -> list[Any]:
    """The ``items`` of the list; none, and a note, where these are COCO's results."""
    if not items:
        return items
    keys = _keys(items[0])
    if "image_id" in keys and "name" not in keys:
        note(
            "is a list of COCO results, one object each, which do not name their images; convert it with "
            "tools/convert_labels.py --to scalabel --image-ids FILE, the COCO file that has their image ids"
        )
        return []
    return items


def _keys(item: Any) -> set[str]:  # noqa: ANN401, whatever a file holds
    try:
        return set(_convert(item, dict[str, msgspec.Raw] if isinstance(item, msgspec.Raw) else dict[str, Any]))
    except _BAD_JSON:
        return set()


def _other_keys(item: Any) -> set[str]:  # noqa: ANN401, whatever a file holds
    """What a frame has beside the fields of a frame, where that may hold predictions: lists, or an object's fields."""
    raw = isinstance(item, msgspec.Raw)
    fields = _convert(item, dict[str, msgspec.Raw] if raw else dict[str, Any])
    keys = fields.keys() - {*OfficialFrame.__struct_fields__}
    if "category" in keys and keys & _FLAT_KEYS:
        return set(keys)
    return {
        key for key in keys - {"category"} if (bytes(fields[key])[:1] == b"[" if raw else isinstance(fields[key], list))
    }


def _said(error: Exception) -> str:
    """What msgspec says of a field, but for the patterns of text."""
    return shown(re.sub(r"`str` matching regex '.*'", "another value", str(error)))


def _convert(item: Any, kind: Any) -> Any:  # noqa: ANN401, whatever a file holds
    return msgspec.json.decode(item, type=kind) if isinstance(item, msgspec.Raw) else msgspec.convert(item, kind)


def _label_name(label: Any) -> str:  # noqa: ANN401, whatever a file holds
    try:
        named = _convert(label, _Named)
    except _BAD_JSON:
        return "a label that is no object"
    return f"label {shown(named.id if named.index is None else named.index)} ({shown(named.category)})"
