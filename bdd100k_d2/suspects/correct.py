"""Accepted changes -> a corrected copy of the labels, with a log of what was and what is."""

import json
import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from ..atomic import atomic_path, write_atomic
from ..data.convert.outputs import new_folder
from ..data.json_file import JSON_ERRORS, read_json
from ..data.label_document import open_document
from ..errors import DataError, OutputError, shown
from ..inside import refuse_overwriting
from ..tasks import Task
from .correct_masks import correct_masks
from .decisions import read_decisions
from .records import SAME_PLACE, Corners, LabelChange, box_overlap, one_name

LogEntry = dict[str, Any]
"""A change as the log has it: what was done in which frame, and what stood there before and stands there now."""

_CONVERT = "convert them to one Scalabel file first, by tools/convert_labels.py, and make the page again"


def apply_decisions(task: Task, truth: Path, decisions: Path, out: Path) -> Path:
    """Writes a copy of the labels with the accepted changes to ``out``, and a log beside it; returns the log's path.

    Labels are a Scalabel file, of which all else stays as it is, or a folder of masks, of which all are copied.

    Raises:
        DataError: the decisions are not on these labels, a label is not there that one is about, or the labels are of a
            form that is not written.
        OutputError: ``out`` is, lies in, or would replace what is read, or it cannot be written.
    """
    log = out.with_name(f"{out.name if truth.is_dir() else out.stem}.changes.json")
    for path in (out, log):
        refuse_overwriting(path, [truth, decisions])
        if os.path.lexists(path):
            raise OutputError(f"{path}: is there already; choose a new place for the corrected labels.")
    found = read_decisions(decisions, truth, task.name)
    by_frame: dict[str, list[LabelChange]] = defaultdict(list)
    for change in found.accepted:
        by_frame[change.frame].append(change)
    if truth.is_dir():
        entries = _correct_folder(task, truth, by_frame, out)
    else:
        entries = _correct_file(truth, by_frame, out)
    text = {"labels": msgspec.to_builtins(found.labels), "decisions": str(decisions), "changes": entries}
    write_atomic(log, json.dumps(text, indent=1) + "\n")
    return log


def _correct_folder(
    task: Task, truth: Path, by_frame: Mapping[str, Sequence[LabelChange]], out: Path
) -> list[LogEntry]:
    if task.form != "masks":
        raise DataError(f"{truth}: labels in several files are not corrected; {_CONVERT}.")
    with new_folder(out, lambda _: False) as folder:
        return correct_masks(task, truth, by_frame, folder)


class _Named(msgspec.Struct):
    name: str


def _correct_file(truth: Path, by_frame: Mapping[str, Sequence[LabelChange]], out: Path) -> list[LogEntry]:
    content = read_json(truth)
    try:
        document = open_document(content)
        if document.is_coco or document.is_first_release:
            raise DataError(f"{truth}: these are no Scalabel labels, which alone are corrected; {_CONVERT}.")
        frames = msgspec.json.decode(document.frames, type=list[msgspec.Raw])
        names = [one.name for one in msgspec.json.decode(document.frames, type=list[_Named])]
    except JSON_ERRORS as error:
        raise DataError(f"{truth}: no Scalabel labels ({shown(error)}); {_CONVERT}.") from error
    places = {name: place for place, name in enumerate(names)}
    new_ids = _NewIds(truth, document.frames)
    entries: list[LogEntry] = []
    for name, changes in by_frame.items():
        where = f"{truth}: frame {shown(name)}"
        if name not in places:
            raise DataError(f"{where} is not there, and a decision is about it; make the page again.")
        frame = msgspec.json.decode(frames[places[name]], type=dict[str, Any])
        entries += _correct_frame(frame, changes, new_ids, where)
        frames[places[name]] = msgspec.Raw(msgspec.json.encode(frame))
    listed = b"[" + b",\n".join(bytes(one) for one in frames) + b"]"
    with atomic_path(out) as temporary:
        temporary.write_bytes(_with_frames(content, listed))
    return entries


def _with_frames(content: bytes, listed: bytes) -> bytes:
    """The document with another list of frames: alone, or with what else stands beside it."""
    if not content.lstrip().startswith(b"{"):
        return listed
    document = msgspec.json.decode(content, type=dict[str, msgspec.Raw])
    if "frames" not in document:
        # One frame alone.
        return listed
    return msgspec.json.encode(document | {"frames": msgspec.Raw(listed)})


class _NewIds:
    """Ids that no label of a file has: beyond the largest number, as text where ids are texts."""

    def __init__(self, path: Path, frames: msgspec.Raw) -> None:
        try:
            found = [one.id for frame in msgspec.json.decode(frames, type=list[_Ids]) for one in frame.labels or ()]
        except JSON_ERRORS as error:
            raise DataError(f"{path}: an id is no text or number ({shown(error)}); mend it.") from error
        numbers = [int(one) for one in found if isinstance(one, int | float) or (one is not None and one.isdecimal())]
        self._last = max(numbers, default=-1)
        self._are_texts = not any(isinstance(one, int | float) for one in found)

    def next(self) -> str | int:
        self._last += 1
        return str(self._last) if self._are_texts else self._last


class _Id(msgspec.Struct):
    id: str | int | float | None = None


class _Ids(msgspec.Struct):
    labels: list[_Id] | None = None


def _correct_frame(frame: dict[str, Any], changes: Sequence[LabelChange], ids: _NewIds, where: str) -> list[LogEntry]:
    labels = frame.get("labels") or []
    if not isinstance(labels, list):
        raise DataError(f"{where} has no list of labels; {_CONVERT}.")
    _check_one_each(changes, where)
    entries: list[LogEntry] = []
    removed: set[int] = set()
    added: list[dict[str, Any]] = []
    for change in changes:
        entry: LogEntry = {"frame": change.frame, "action": change.action}
        if change.action == "add":
            label = {"id": ids.next(), "category": change.category, "attributes": {}, "box2d": _box(change, where)}
            added.append(label)
            entry |= {"before": None, "after": label}
        elif change.action == "set_time":
            attributes = frame.get("attributes") or {}
            if attributes.get("timeofday") != change.old:
                raise DataError(f"{where} is not tagged {shown(change.old)}, as a decision says; make the page again.")
            entry |= {"before": change.old, "after": change.timeofday}
            frame["attributes"] = attributes | {"timeofday": change.timeofday}
        else:
            place, label = _label(labels, change, where)
            entry["before"] = dict(label)
            if change.action == "remove":
                removed.add(place)
            elif change.action == "rename":
                label["category"] = change.category
            elif change.action == "move":
                label["box2d"] = _box(change, where)
            else:
                raise DataError(f"{where}: {change.action} is of masks, and this is a label file; give the masks.")
            entry["after"] = None if change.action == "remove" else dict(label)
        entries.append(entry)
    _check_not_twice([one for place, one in enumerate(labels) if place not in removed], added, where)
    if removed or added:
        frame["labels"] = [label for place, label in enumerate(labels) if place not in removed] + added
    return entries


def _check_one_each(changes: Sequence[LabelChange], where: str) -> None:
    """Raises DataError where two changes are of one label, or of the frame's time of day."""
    first: dict[int | str, LabelChange] = {}
    for change in changes:
        if change.action == "add" or (change.label is None and change.action != "set_time"):
            continue
        key = change.action if change.label is None else change.label.place
        other = first.setdefault(key, change)
        if other is not change:
            label = change.label
            what = "the time of day" if label is None else f"label {shown(label.id)} ({shown(label.category)})"
            raise DataError(
                f"{where}: two changes of {what} are accepted, {other.action} and {change.action}; accept one of them, "
                "and make the other on a page of the corrected labels."
            )


def _check_not_twice(labels: Sequence[Any], added: Sequence[dict[str, Any]], where: str) -> None:
    """Raises DataError where a box that is added is at the place of a label of its class, or of another added one."""
    for place, one in enumerate(added):
        category, box = _class_of(one), tuple(one["box2d"].values())
        same = [(label, "a label") for label in labels if isinstance(label, dict) and _class_of(label) == category]
        for other, what in (*same, *((before, "another added box") for before in added[:place])):
            corners = _corners(other)
            if corners is not None and box_overlap(box, corners) >= SAME_PLACE:
                told = f"{shown(other.get('category'))} at {', '.join(f'{side:g}' for side in corners)}"
                raise DataError(
                    f"{where}: an added {shown(one['category'])} is at the place of {what}, {told}, and would "
                    "label the object twice; reject the addition, or the other change."
                )


def _class_of(label: Mapping[str, Any]) -> object:
    name = label.get("category")
    return one_name(name) if isinstance(name, str) else name


def _corners(label: Mapping[str, Any]) -> Corners | None:
    try:
        return msgspec.convert([label["box2d"][side] for side in ("x1", "y1", "x2", "y2")], type=Corners)
    except (KeyError, TypeError, msgspec.ValidationError):
        return None


def _label(labels: Sequence[Any], change: LabelChange, where: str) -> tuple[int, dict[str, Any]]:
    """The label that a change is about, with its place; DataError where it is not there."""
    wanted = change.label
    label = labels[wanted.place] if wanted is not None and 0 <= wanted.place < len(labels) else None
    if (
        wanted is None
        or not isinstance(label, dict)
        or label.get("category") != wanted.category
        or not _is_id(wanted.id, label.get("id"))
    ):
        told = "that it does not name" if wanted is None else f"{shown(wanted.id)} ({shown(wanted.category)})"
        raise DataError(f"{where}: a decision is about a label {told}, which is not there; make the page again.")
    return wanted.place, label


def _is_id(wanted: str | int | float | None, found: object) -> bool:
    """Whether an id is that of a decision, which has numbers as text."""
    return wanted == found or (isinstance(found, int | float) and wanted == str(found))


def _box(change: LabelChange, where: str) -> dict[str, float]:
    if change.box is None or not (change.box[0] <= change.box[2] and change.box[1] <= change.box[3]):
        raise DataError(f"{where}: a decision has no box with an area; save it again from the page of the suspects.")
    return dict(zip(("x1", "y1", "x2", "y2"), change.box, strict=True))
