"""Labels of other classes than those of a task: they are taken out, and counted."""

from collections import Counter
from collections.abc import Iterable, Mapping

from ..errors import shown
from ..tasks import Task
from .labels import Frame


def leave_out_others(frames: Iterable[Frame], task: Task, *, of_official: bool = False) -> Counter[str]:
    """Takes the labels of other classes than those of ``task`` out of ``frames``; returns how many, by category.

    A label without a category stays, because it is a mistake. So do all where the classes are BDD100K's and nobody
    chose them: with ``of_official`` a user did.
    """
    others: Counter[str] = Counter()
    if task.is_official and not of_official:
        return others
    known = {None, *task.label_classes}
    for frame in frames:
        other = [label.category for label in frame.labels or () if label.category not in known]
        if other:
            others.update(filter(None, other))
            frame.labels = [label for label in frame.labels or () if label.category in known]
    return others


def counts_of_others(others: Mapping[str, int]) -> str:
    """The categories that were left out, by name, with their numbers."""
    return ", ".join(f"{shown(name)} ({count:,})" for name, count in sorted(others.items()))
