"""The task of a registered data set, with the classes that its metadata has."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from ..tasks import TASKS, Task
from .categories import Category, own_categories

if TYPE_CHECKING:
    from detectron2.data import Metadata

EVALUATOR_PREFIX = "bdd100k_"
"""What an ``evaluator_type`` of this package has before the task's name."""

_Kind = Literal["thing", "stuff"]


def dataset_task(metadata: "Metadata") -> Task | None:
    """The task of the data set of ``metadata``: BDD100K's, or one with the classes and colours of the data set.

    It is told by ``evaluator_type``, ``bdd100k_<task>``; None for any other.
    """
    kind = str(metadata.get("evaluator_type", ""))
    task = TASKS.get(kind.removeprefix(EVALUATOR_PREFIX)) if kind.startswith(EVALUATOR_PREFIX) else None
    return None if task is None else task_of_metadata(task, metadata)


def task_of_metadata(task: Task, metadata: "Metadata") -> Task:
    """The task with the classes and colours of ``metadata``; without colours BDD100K's classes keep theirs.

    They are those of ``thing_classes`` and ``thing_colors``, of masks those of ``stuff_classes`` and ``stuff_colors``.
    Of pan_seg they are those of ``stuff_classes``, but for the first, which stands for all things, then those of
    ``thing_classes``.
    """
    if task.form == "masks":
        return task.with_names(_names(metadata, "stuff"), _colors(metadata, "stuff"))
    if task.has_scores:
        return task.with_names(_names(metadata, "thing"), _colors(metadata, "thing"))
    categories = (*categories_of(metadata, "stuff")[1:], *categories_of(metadata, "thing"))
    has_colors = _colors(metadata, "stuff") is not None or _colors(metadata, "thing") is not None
    official = TASKS[task.name]
    if not has_colors and [one.name for one in categories] == [*official.names]:
        return official
    return task.with_classes(categories)


def categories_of(metadata: "Metadata", kind: _Kind) -> tuple[Category, ...]:
    """The classes of ``thing_classes`` or ``stuff_classes``, with their colours; empty where there are none."""
    return own_categories(_names(metadata, kind), _colors(metadata, kind), are_things=kind == "thing")


def _names(metadata: "Metadata", kind: _Kind) -> Sequence[str]:
    names: Sequence[str] = metadata.get(f"{kind}_classes", None) or ()
    return names


def _colors(metadata: "Metadata", kind: _Kind) -> Sequence[Sequence[int]] | None:
    colors = metadata.get(f"{kind}_colors", None)
    # Who takes over metadata and changes the names leaves as many colours as there were.
    return colors if colors is not None and len(colors) == len(_names(metadata, kind)) else None
