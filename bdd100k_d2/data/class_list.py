"""A user's list of classes, whoever it is given to: whether it can be one, and the task with these classes."""

from collections import Counter
from collections.abc import Sequence

from ..errors import ConfigError, shown
from ..tasks import Task
from .categories import IGNORE_LABEL


def check_class_names(names: object, where: str, what: str, *, may_be_empty: bool = False) -> None:
    """Raises ConfigError, which begins with ``where``, unless ``what`` of ``names`` are different names in a list."""
    given = [*names] if isinstance(names, list | tuple) else []
    if not all(isinstance(one, str) and one.strip() for one in given) or not (given or (may_be_empty and not names)):
        raise ConfigError(f"{where}: {what} are {shown(repr(names))}; write a list of names.")
    twice = [one for one, count in Counter(given).items() if count > 1]
    if twice:
        raise ConfigError(f"{where}: {shown(twice[0])} stands twice among the {what}; take one of them out.")


def check_class_list(names: object, where: str, task: Task) -> None:
    """Raises ConfigError, which begins with ``where``, unless ``names`` may be the classes of a task of this form."""
    check_class_names(names, where, "classes")
    # The values of a byte, of which the last is for what is ignored.
    if task.form != "boxes" and isinstance(names, list | tuple) and len(names) > IGNORE_LABEL:
        raise ConfigError(
            f"{where}: {len(names):,} classes; the {task.form} of {task.name} hold {IGNORE_LABEL} at most, give fewer."
        )


def check_colors(colors: object, where: str, count: int) -> None:
    """Raises ConfigError, which begins with ``where``, unless ``colors`` are None or RGB of each of so many classes."""

    def is_color(one: object) -> bool:
        return (
            isinstance(one, list | tuple)
            and len(one) == 3
            and all(isinstance(value, int) and 0 <= value <= 255 for value in one)
        )

    good = isinstance(colors, list | tuple) and len(colors) == count and all(map(is_color, colors))
    if colors is not None and not good:
        raise ConfigError(f"{where}: colors are [red, green, blue], of 0 to 255, of each of the {count} classes.")


def with_classes(
    official: Task, names: Sequence[str] | None, where: str, colors: Sequence[Sequence[int]] | None = None
) -> Task:
    """The task with the classes ``names``, BDD100K's for None, in ``colors``, or those that `Task.with_names` has.

    Raises:
        ConfigError: as :func:`check_class_list` and :func:`check_colors`.
    """
    if names is not None:
        check_class_list(names, where, official)
    chosen = official.names if names is None else names
    check_colors(colors, where, len(chosen))
    return official.with_names(chosen, colors)
