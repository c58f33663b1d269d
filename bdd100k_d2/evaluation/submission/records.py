"""JSON files of a submission -> their frames, each on its own, so that one bad label hides no other."""

import json
from collections.abc import Callable, Collection, Iterator
from pathlib import PurePath
from typing import Any, NamedTuple

import msgspec

from ...data.labels import diagnose
from ...errors import DataError
from .finding import Finding
from .members import Members


class Labelled(NamedTuple):
    """A frame of a JSON file: its name, and those of its labels that have the fields they should."""

    name: str
    labels: list[Any]


class _Frame(msgspec.Struct):
    name: str
    labels: list[msgspec.Raw] | None = None


class _Named(msgspec.Struct):
    id: Any = None
    index: Any = None
    category: Any = None


def read_records(
    members: Members, file: str, frames: Collection[str], label: type, findings: list[Finding], by_stem: bool = False
) -> Iterator[Labelled]:
    """Reads one JSON list of frames.

    Args:
        members: of the submission.
        file: which of them.
        frames: the image names of the split.
        label: the type of a label.
        findings: what is wrong is appended, also the missing, extra and repeated frames when the reading ends.
        by_stem: a frame may be named with another suffix than the image's.

    Yields:
        The frames of the split by the names of their images; a repeated one again.
    """
    key: Callable[[str], str] = (lambda name: PurePath(name).stem) if by_stem else str
    try:
        content = members.read(file)
    except DataError as error:
        findings.append(Finding("file", file, None, str(error)))
        return
    known = {key(name): name for name in frames}
    seen: set[str] = set()
    for place, item in enumerate(_items(content, file, findings)):
        try:
            frame = _convert(item, _Frame)
        except msgspec.ValidationError as error:
            findings.append(Finding("frame", file, None, f"number {place} of the list is no frame: {error}"))
            continue
        name = known.get(key(frame.name))
        if name is None:
            findings.append(Finding("extra frame", file, frame.name, "is no image of the split"))
            continue
        if name in seen:
            findings.append(Finding("frame twice", file, name, "stands in the list again"))
        seen.add(name)
        labels, errors = [], []
        for one in frame.labels or ():
            try:
                labels.append(_convert(one, label))
            except msgspec.ValidationError as error:
                errors.append(f"{_label_name(one)}: {error}")
        if errors:
            findings.append(Finding("label", file, name, f"{len(errors)} of {len(frame.labels)} labels; {errors[0]}"))
        yield Labelled(name, labels)
    for name in sorted({*frames} - seen):
        findings.append(Finding("missing frame", file, name, "is not in the list"))


def _items(content: bytes, file: str, findings: list[Finding]) -> list[Any]:
    """The items of the list: unparsed, or parsed where the file holds NaN, which is no JSON but often written."""
    try:
        return msgspec.json.decode(content, type=list[msgspec.Raw])
    except msgspec.MsgspecError as error:
        try:
            document = json.loads(content)
        except (ValueError, RecursionError):
            findings.append(Finding("file", file, None, diagnose(content, error)))
            return []
    if isinstance(document, dict) and isinstance(document.get("frames"), list):
        text = 'holds {"frames": [...]}; the server takes the list itself'
        findings.append(Finding("file", file, None, text))
        return document["frames"]
    if not isinstance(document, list):
        findings.append(Finding("file", file, None, "holds no list of frames"))
        return []
    return document


def _convert(item: Any, kind: type) -> Any:  # noqa: ANN401, whatever a file holds
    if isinstance(item, msgspec.Raw):
        return msgspec.json.decode(item, type=kind)
    if kind is _Frame:
        # What is parsed already has no unparsed labels.
        kind = _ParsedFrame
    return msgspec.convert(item, kind)


class _ParsedFrame(msgspec.Struct):
    name: str
    labels: list[Any] | None = None


def _label_name(label: Any) -> str:  # noqa: ANN401, whatever a file holds
    try:
        named = _convert(label, _Named)
    except msgspec.ValidationError:
        return "a label that is no object"
    return f"label {named.id if named.index is None else named.index} ({named.category})"
