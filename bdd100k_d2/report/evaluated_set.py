"""The data set that a run was evaluated on: BDD100K's, the user's own in the config, or one that nothing here knows."""

import json
from pathlib import Path
from typing import NamedTuple

from ..data.class_list import with_classes
from ..data.own_places import at_split, names_of_splits
from ..data.register import locate
from ..errors import ConfigError, DataError, shown
from ..tasks import TASKS, Task
from .run_config import OwnData

_REGISTERED = "{} is no data set of BDD100K and none of the config (DATASETS.OWN)"


class EvaluatedSet(NamedTuple):
    """What is known of a test set.

    Attributes:
        base: its name; of a slice that of the data set that it is a slice of.
        task: with the classes of the data set.
        images: the folder that the images are in, or below it; None where that is not known.
        labels: the label file, or the folder of labels or masks; None where there is none, or it is not known.
        is_public: False of BDD100K's splits without public labels.
        notes: sentences about what is not known.
    """

    base: str
    task: Task
    images: Path | None
    labels: Path | None
    is_public: bool = True
    notes: tuple[str, ...] = ()


def find_set(base: str, own: tuple[OwnData, ...], inference: Path, root: Path | None, config: Path) -> EvaluatedSet:
    """The data set of a name in ``config``, whose results are in the folder ``inference``.

    Raises:
        DataError: it is known, and its results are of a task that there is no page of; or it is not, and the results do
            not tell its task.
    """
    known = [task.name for task in TASKS.values() if task.form != "bitmasks"]
    found = _own(base, own, config)
    if found is None:
        try:
            split = locate(base, root).present()
        except KeyError:
            found = _unknown(base, inference, config)
        else:
            found = EvaluatedSet(base, TASKS[split.task], split.images, split.labels, split.labels is not None)
    if found.task.name not in known:
        raise DataError(f"{config}: {shown(base)}: the report knows the tasks {', '.join(known)}.")
    return found


def _own(base: str, own: tuple[OwnData, ...], config: Path) -> EvaluatedSet | None:
    for one in own:
        splits = {one.name: base, **{name: split for split, name in names_of_splits(one.name)}}
        if base not in splits:
            continue
        try:
            if one.task not in TASKS:
                raise ConfigError(f"{shown(one.name)}: no task {shown(repr(one.task))}; there are {', '.join(TASKS)}.")
            # Bitmasks, whose things would have to be told from stuff, have no page.
            named = (None, None) if TASKS[one.task].form == "bitmasks" else (one.classes, one.colors)
            task = with_classes(TASKS[one.task], named[0], shown(one.name), named[1])
        except ConfigError as error:
            raise DataError(f"{config}: DATASETS.OWN: {error}") from error
        images, labels = (_place(path, splits[base]) for path in (one.images, one.labels))
        # Labels of YOLO name no frames, and are not drawn.
        is_json = labels is not None and labels.is_file() and labels.suffix.lower() not in (".yaml", ".yml", ".txt")
        drawn = labels is not None and (is_json if task.form == "boxes" else labels.is_dir())
        notes = []
        if one.images is None:
            notes.append(f"The config has no folder of the images of {base}, so none are shown.")
        elif images is None:
            notes.append(f"The images of {base} are not where the config has them, so none are shown.")
        elif not drawn:
            notes.append(f"The labels of {base} are not drawn: the config names no label file or masks that are there.")
        return EvaluatedSet(base, task, images, labels if drawn else None, notes=tuple(notes))
    return None


def _place(path: str | None, split: str) -> Path | None:
    """A path of the config for a split; None where nothing is there."""
    place = None if path is None else at_split(path, split).expanduser()
    return place if place is not None and place.exists() else None


def _unknown(base: str, inference: Path, config: Path) -> EvaluatedSet:
    """A data set that was registered in a script: its task and classes are those of its results."""
    try:
        scores = json.loads((inference / "scores.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(
            f"{config}: {_REGISTERED.format(shown(repr(base)))}, and {inference / 'scores.json'}, which would tell its "
            f"task, cannot be read ({shown(error)}); evaluate again, with an evaluator of bdd100k_d2."
        ) from error
    fields = scores if isinstance(scores, dict) else {}
    fitting = [
        (task, _names(fields[task.metrics[0].key]))
        for task in TASKS.values()
        if task.metrics[0].key in fields and all((inference / place).exists() for place in task.results)
    ]
    note = f"{_REGISTERED.format(base)}: its images and labels are not known, so none are shown."
    # sem_seg and drivable have the same results and metrics: whose classes they are goes before own ones.
    for task, names in fitting:
        # The class that is not scored has no score.
        if names == [name for i, name in enumerate(task.names) if i != task.unscored]:
            return EvaluatedSet(base, task, None, None, notes=(note,))
    if fitting:
        task, names = fitting[0]
        return EvaluatedSet(base, task.with_names(names or task.names), None, None, notes=(note,))
    results = " or ".join(dict.fromkeys(place for task in TASKS.values() for place in task.results))
    raise DataError(
        f"{config}: {_REGISTERED.format(shown(repr(base)))}, and {inference} has no {results} with scores of them; "
        "evaluate again, with an evaluator of bdd100k_d2."
    )


def _names(field: object) -> list[str]:
    """The classes of a field of ``scores.json``."""
    first = field[0] if isinstance(field, list) and field else None
    return [*first] if isinstance(first, dict) else []
