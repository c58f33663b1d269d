"""The task of a registered data set, with the classes that its metadata has."""

from typing import TYPE_CHECKING, Literal

from ..tasks import TASKS, Task
from .categories import Category, own_categories

if TYPE_CHECKING:
    from detectron2.data import Metadata

EVALUATOR_PREFIX = "bdd100k_"
"""What an ``evaluator_type`` of this package has before the task's name."""


def dataset_task(metadata: "Metadata") -> Task | None:
    """The task of the data set of ``metadata``: BDD100K's, or one with the classes of the data set.

    It is told by ``evaluator_type``, ``bdd100k_<task>``; None for any other. Classes and colours are those of
    ``thing_classes`` and ``thing_colors``, of masks those of ``stuff_classes`` and ``stuff_colors``. Of pan_seg they
    are those of ``stuff_classes``, but for the first, which stands for all things, then those of ``thing_classes``.
    """
    kind = str(metadata.get("evaluator_type", ""))
    task = TASKS.get(kind.removeprefix(EVALUATOR_PREFIX)) if kind.startswith(EVALUATOR_PREFIX) else None
    if task is None:
        return None
    things, stuff = categories_of(metadata, "thing"), categories_of(metadata, "stuff")
    if task.form == "boxes" or (task.form == "bitmasks" and task.has_scores):
        return task.with_classes(things)
    return task.with_classes(stuff if task.form == "masks" else (*stuff[1:], *things))


def categories_of(metadata: "Metadata", kind: Literal["thing", "stuff"]) -> tuple[Category, ...]:
    """The classes of ``thing_classes`` or ``stuff_classes``, with their colours; empty where there are none."""
    names, colors = metadata.get(f"{kind}_classes", None) or (), metadata.get(f"{kind}_colors", None)
    # Who takes over metadata and changes the names leaves as many colours as there were.
    fitting = colors if colors is not None and len(colors) == len(names) else None
    return own_categories(names, fitting, are_things=kind == "thing")
