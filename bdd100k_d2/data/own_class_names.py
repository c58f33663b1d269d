"""The classes of users' own data: those that labels state, those that are given, and how the two agree."""

import logging
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from ..errors import ConfigError, shown
from ..tasks import TASKS, Task
from .categories import own_categories
from .class_list import check_class_list, check_class_names, check_colors, with_classes
from .coco import Id, ids_by_name, read_names
from .folders import LABEL_SUFFIXES
from .own_places import SPLIT, OwnPart, kind_of_labels
from .unchanged import kept_unless_changed
from .vintages import stated_classes

logger = logging.getLogger(__name__)

_Names = Sequence[str]
_Color = Sequence[int]


class LabelFacts(NamedTuple):
    """What the labels of a part are: their kind, the classes that they state, None for none, and the ids of COCO's."""

    kind: str
    classes: list[str] | None
    ids: dict[str, Id]


def label_facts(part: OwnPart, task: Task) -> LabelFacts:
    """What the labels of ``part`` are.

    Raises:
        ConfigError: they are of no kind that the task has.
        DataError: they cannot be read.
    """
    if part.labels.is_file() and part.labels.name.lower().endswith(LABEL_SUFFIXES):
        return _facts_of_file(part.labels, task.name)
    kind = part.kind(task)
    if kind == "yolo":
        return LabelFacts(kind, part.yolo_classes(part.yolo()), {})
    return _facts_of_file(part.labels, task.name) if part.labels.is_file() else LabelFacts(kind, None, {})


@kept_unless_changed(most=64)
def _facts_of_file(path: Path, task_name: str) -> LabelFacts:
    kind = kind_of_labels(path, TASKS[task_name])
    if kind != "coco":
        return LabelFacts(kind, stated_classes(path), {})
    categories = read_names(path).categories
    ids = ids_by_name(categories)
    twice = [name for name, count in Counter(categories.values()).items() if count > 1]
    if twice:
        logger.warning("%s: two categories are called %s; they are one class.", path, ", ".join(map(shown, twice)))
    return LabelFacts(kind, [*ids], ids)


class ChosenClasses(NamedTuple):
    """The task with the classes of a data set.

    ``stated`` are those that its labels state, where none were given. ``are_chosen`` says that somebody named the
    classes: then others may be left out, and are else a mistake.
    """

    task: Task
    stated: list[str] | None
    are_chosen: bool


def choose_classes(
    where: str,
    official: Task,
    facts: dict[OwnPart, LabelFacts],
    classes: _Names | None,
    colors: Sequence[_Color] | None,
    things: _Names,
) -> ChosenClasses:
    """The classes of data sets that are registered together, of which ``facts`` has those that are there.

    Raises:
        ConfigError: a class that is wanted is none of the labels'; or none is wanted, and a part has one that the first
            has not; or classes, colours or things cannot be.
    """
    stated = _stated_by_all(where, facts, classes)
    if classes is None and stated is None:
        _assume_classes(where, facts, official)
    chosen = classes if classes is not None else stated
    task = _with_classes(where, official, chosen, colors, things)
    return ChosenClasses(task, stated if classes is None else None, chosen is not None)


def _stated_by_all(where: str, facts: dict[OwnPart, LabelFacts], wanted: _Names | None) -> list[str] | None:
    found = {part: fact.classes for part, fact in facts.items() if fact.classes is not None}
    if not found:
        return None
    first, *others = found
    for part in others:
        more = [one for one in found[part] if one not in found[first]]
        if more and wanted is None:
            raise ConfigError(
                f"{where}: {part.labels} has the class {shown(more[0])}, which {first.labels} has not, so that their "
                "ids differ; give classes, which are then those of all."
            )
    known = dict.fromkeys(one for names in found.values() for one in names)
    missing = [one for one in wanted or () if one not in known]
    if missing and len(found) == len(facts):
        raise ConfigError(
            f"{where}: {' and '.join(str(part.labels) for part in found)} state to have no class "
            f"{shown(repr(missing[0]))}, but {shown(', '.join(known), 1000)}; mend classes. If other splits have it, "
            f"register all together, by {SPLIT} in the paths."
        )
    return found[first]


def _assume_classes(where: str, facts: dict[OwnPart, LabelFacts], task: Task) -> None:
    """Says that values are taken for BDD100K's classes; ConfigError for the numbers of YOLO, which nobody means so."""
    for part, fact in facts.items():
        if fact.kind == "yolo":
            raise ConfigError(f"{where}: nothing in {part.labels} names the classes of its numbers; give classes.")
        if fact.kind in ("masks", "bitmasks"):
            logger.warning("%s: no classes are given: its ids are taken for BDD100K's of %s.", part.labels, task.name)


def _with_classes(
    where: str, official: Task, names: _Names | None, colors: Sequence[_Color] | None, things: _Names
) -> Task:
    check_class_names(things, where, "things", may_be_empty=True)
    if things and official.name != "pan_seg":
        raise ConfigError(f"{where}: things are of pan_seg, not of {official.name}; leave them out.")
    if official.name != "pan_seg":
        return with_classes(official, names, where, colors)
    names = [*(official.names if names is None else names)]
    check_class_list(names, where, official)
    check_colors(colors, where, len(names))
    if names == [*official.names]:
        if things:
            raise ConfigError(f"{where}: the classes are BDD100K's, which have things; leave them out.")
        return official.with_names(names, colors)
    if not (names[-len(things) :] == [*things] and 0 < len(things) < len(names)):
        raise ConfigError(
            f"{where}: own classes of pan_seg are stuff, then things, as BDD100K's; give things, which are the last "
            "of the classes, in their order."
        )
    categories = own_categories(names, colors, are_things=True)
    return official.with_classes(tuple(one._replace(is_thing=one.name in things) for one in categories))
