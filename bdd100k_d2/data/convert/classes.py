"""What a label's category means for a task, and which task labels are of."""

from collections.abc import Sequence
from typing import NamedTuple

from ...errors import DataError, shown
from ...tasks import TASKS
from ..categories import DET_CLASSES, is_known
from ..labels import Frame
from .dropped import IGNORED_CLASS, OTHER_TASK, RENAMED, Dropped


class TaskClass(NamedTuple):
    """A class of a task: its id from 0, its official name, and whether the label's own class is an ignored one."""

    id: int
    name: str
    ignored: bool


def detects(task: str) -> bool:
    """Whether the classes of a task are those of detection or the first of them, so that its objects have boxes."""
    names = TASKS[task].names
    return names == TASKS["det"].names[: len(names)]


class TaskClasses:
    """The classes of a task by the names that label files have for them.

    Only tasks with the classes of detection take the official aliases and ignored classes, as in the official toolkit.
    """

    def __init__(self, task: str, dropped: Dropped) -> None:
        own = TASKS[task].names
        self._dropped = dropped
        self._known = {name: TaskClass(i, name, False) for i, name in enumerate(own)}
        if detects(task):
            for name, known in DET_CLASSES.items():
                if known.index < len(own):
                    self._known[name] = TaskClass(known.index, own[known.index], known.ignored)

    def find(self, category: str | None) -> TaskClass | None:
        """The class of a label, or None for one that the task does not have, which is counted as left out."""
        known = None if category is None else self._known.get(category)
        if known is None:
            self._dropped.add(OTHER_TASK)
        elif known.ignored:
            self._dropped.add(IGNORED_CLASS)
        elif known.name != category:
            self._dropped.add(RENAMED)
        return known


def check_category(category: str | None, where: str) -> None:
    """Raises DataError unless BDD100K has a class of this name in any task or vintage."""
    if category is None:
        raise DataError(f"{where}: has no category; add one. A file of scores alone is no label file.")
    if not is_known(category) and not any(category in task.names for task in TASKS.values()):
        raise DataError(
            f"{where}: unknown category {shown(category)!r}; rename or remove it. Known are {', '.join(DET_CLASSES)}, "
            "and the classes of sem_seg, drivable and pan_seg."
        )


def guess_task(frames: Sequence[Frame], where: object, needed: bool) -> str | None:
    """The task that frames, the first of a source, are labels of: det without masks, else told by the names.

    None where there are labels, but neither boxes nor masks, and where it is not ``needed`` and cannot be told.

    Raises:
        DataError: the masks are of classes of several tasks, so no task has them all.
    """
    labels = [label for frame in frames for label in frame.labels or ()]
    found = {label.category for label in labels if label.rle is not None}
    if not found:
        return "det" if not labels or any(label.box2d is not None for label in labels) else None
    # Names that several tasks have are taken for those of the smallest.
    for task in sorted(TASKS.values(), key=lambda task: task.num_classes):
        names = {name for name, known in DET_CLASSES.items() if known.index < task.num_classes}
        if task.form != "boxes" and found <= (names if detects(task.name) else {*task.names}):
            return task.name
    if not needed:
        return None
    known = shown(", ".join(sorted(map(str, found))))
    raise DataError(
        f"{where}: no task has all the classes of the masks ({known}); say with --task which to take, one of "
        f"{', '.join(TASKS)}."
    )
