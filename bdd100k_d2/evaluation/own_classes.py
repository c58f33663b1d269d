"""Own classes on files: which they are, and what becomes of labels of other classes."""

import os
from collections.abc import Iterable, Mapping, Sequence
from logging import getLogger
from pathlib import Path

from ..data.categories import is_known
from ..data.class_list import with_classes
from ..data.image_names import image_stem, is_bdd100k_stem
from ..data.labels import Frame
from ..data.other_classes import counts_of_others
from ..data.vintages import stated_classes
from ..errors import ConfigError, DataError, shown
from ..tasks import SCORED_TASKS, Task

logger = getLogger(__name__)

CLASSES_HELP = (
    "own classes in the order of their ids, in place of BDD100K's: data.yaml, a file with one name per line, or a list"
)
"""Of the option ``--classes`` of commands."""

_FILE_ENDINGS = (".txt", ".names", ".yaml", ".yml", ".json", ".csv")


def class_names(text: str) -> list[str]:
    """The names that a command's ``--classes`` stands for: of a file with one per line, a ``data.yaml``, or a list.

    Raises:
        ConfigError: there is no such file.
        DataError: the file is none of classes.
    """
    path = Path(text)
    if path.is_file():
        from ..data.convert.yolo_classes import read_classes

        return read_classes(path.parent, path)
    if os.sep in text or text.lower().endswith(_FILE_ENDINGS):
        raise ConfigError(f"--classes {shown(text)}: no such file; check the path, or write names as car,bus,tram.")
    return [name.strip() for name in text.split(",")]


def task_of_classes(task: str, names: Sequence[str] | None) -> Task:
    """The task with the classes ``names``, in the order of their ids; BDD100K's own without them.

    Raises:
        ConfigError: there is no such task, it has no such classes, or names are empty, too many or stand twice.
    """
    official = SCORED_TASKS.get(task)
    if official is None:
        raise ConfigError(f"no task {task!r}; there are {', '.join(SCORED_TASKS)}.")
    if names is not None and official.form == "bitmasks" and not official.has_scores:
        raise ConfigError(f"files of {task} are scored by BDD100K's classes alone; leave out --classes.")
    return with_classes(official, None if names is None else [*names], "--classes")


def unofficial_note(task: Task) -> str:
    """What is said of the scores of a task with own classes."""
    return f"These are not the official scores: own classes ({', '.join(map(shown, task.names))})."


def warn_of_assumed(truth: Path, names: Iterable[str], task: Task) -> None:
    """Warns that ids are taken for BDD100K's classes, where no frame of masks or bitmasks is named as BDD100K's are.

    ``names`` are those of the frames or of their masks.
    """
    if not task.is_official or any(is_bdd100k_stem(image_stem(name)) for name in names):
        return
    classes = f"{task.num_classes} classes, {task.names[0]} to {task.names[-1]}"
    can_choose = task.form == "masks" or task.has_scores
    logger.warning(
        "%s: no frame is named as BDD100K's; its ids are scored as BDD100K's %s%s.",
        truth,
        classes,
        ": --classes names yours" if can_choose else "",
    )


def check_stated(truth: Path, task: Task) -> None:
    """Raises DataError if a file of ground truth states its classes, and an own class of ``task`` is none of them."""
    stated = None if task.is_official or not truth.is_file() else stated_classes(truth)
    if stated is not None and (missing := [name for name in task.names if name not in stated]):
        raise DataError(
            f"{truth}: states to have no class {shown(repr(missing[0]))}, but {shown(', '.join(stated), 1000)}; mend "
            "--classes, whose names are taken exactly."
        )


def classes_remedy(truth: Path, task: Task) -> str:
    """What to do about an unknown category of ground truth that states classes which are not BDD100K's; else empty."""
    stated = stated_classes(truth) if task.is_official and truth.is_file() else None
    if stated is None or all(name in task.label_classes or is_known(name) for name in stated):
        return ""
    listed = ",".join(stated)
    return f" The file states classes of its own, which are scored with --classes {shown(repr(listed), 1000)}."


def tell_left_out(others: Mapping[str, int], kept: int, path: Path, task: Task) -> None:
    """Warns, once, of labels of other classes that are left out of the file ``path``.

    Raises:
        DataError: none of them is ``kept``.
    """
    if not others:
        return
    counts = counts_of_others(others)
    if not kept:
        raise DataError(
            f"{path}: no label is of the classes {', '.join(map(shown, task.names))}, but of {counts}; mend --classes, "
            "whose names are taken exactly."
        )
    logger.warning("%s: %d labels of other classes are left out: %s.", path, sum(others.values()), counts)


def tell_absent(frames: Iterable[Frame], truth: Path, task: Task) -> None:
    """Warns, once, of own classes that no label of the ground truth is of: else nobody sees a mistyped one."""
    if task.is_official:
        return
    found = {label.category for frame in frames for label in frame.labels or ()}
    if absent := [name for name in task.names if name not in found]:
        logger.warning(
            "%s: no label is of %s; if it is mistyped, mend --classes, whose names are taken exactly.",
            truth,
            ", ".join(map(shown, absent)),
        )


def count_labels(frames: Iterable[Frame]) -> int:
    """The number of the labels of frames."""
    return sum(len(frame.labels or ()) for frame in frames)
