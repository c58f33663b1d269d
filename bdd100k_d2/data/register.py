"""The split table, and the registration of its rows in Detectron2's catalogs.

Detectron2 is imported when something is registered, not before: the report and the command-line tools need the table
alone, and importing torch would cost them seconds.
"""

import logging
import os
from collections.abc import Callable, Collection, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from ..inside import expanded
from ..tasks import SPLITS, TASKS, Task
from .categories import IGNORE_LABEL, Category
from .dataset_task import EVALUATOR_PREFIX
from .datasets import load_det, load_images, load_masks
from .instances import load_instances, load_panoptic, panoptic_ids
from .root import default_root, note_default
from .slices import KNOWN_SLICES, is_registered_here, register_known_slices, replace_dataset

logger = logging.getLogger(__name__)


Loader = Callable[[Path, Path], list[dict[str, Any]]]

LOADERS: dict[str, Loader] = {
    "det": load_det,
    "sem_seg": load_masks,
    "drivable": load_masks,
    "ins_seg": load_instances,
    "pan_seg": load_panoptic,
}
"""By task: labels and folder of images -> Detectron2 dataset dicts."""


class Split(NamedTuple):
    """A registered dataset: official paths, ``other_`` ones of another download; no ``labels`` if none are public."""

    task: str
    split: str
    images: Path
    labels: Path | None
    other_images: Path | None = None
    other_labels: Path | None = None

    @property
    def name(self) -> str:
        """The dataset's name in the catalogs, e.g. ``bdd100k_det_val``."""
        return f"bdd100k_{self.task}_{self.split}"

    def present(self) -> "Split":
        """This row with the other places where only those are on the disk; reads nothing."""
        images, labels = self.images, existing(self.labels, self.other_labels)
        # Labels of another download go with its images.
        moved = labels is not self.labels or not images.exists()
        if self.other_images is not None and moved and self.other_images.exists():
            images = self.other_images
        return Split(self.task, self.split, images, labels)


def existing(path: Path | None, other: Path | None) -> Path | None:
    """The first of two places that is on the disk; ``path`` where neither is."""
    return other if path is not None and other is not None and not path.exists() and other.exists() else path


def all_splits() -> Iterator[Split]:
    """Yields the splits of every task of `TASKS`, with paths relative to ``<root>/bdd100k``."""
    for task in TASKS.values():
        for split in SPLITS:

            def place(path: str | None, split: str = split) -> Path | None:
                return None if path is None else Path(path.format(split=split))

            # The labels of test are not public.
            labels, other_labels = (None, None) if split == "test" else (task.labels, task.other_labels)
            images = Path(task.images.format(split=split))
            yield Split(task.name, split, images, place(labels), place(task.other_images), place(other_labels))


def data_folder(root: str | os.PathLike[str] | None) -> Path:
    """``<root>/bdd100k``; ``root`` is by default `~.root.default_root`."""
    return (default_root() if root is None else expanded(root)) / "bdd100k"


def locate(name: str, root: str | os.PathLike[str] | None = None) -> Split:
    """The row of dataset ``name`` with its paths below `data_folder` of ``root``; KeyError without one."""
    for split in all_splits():
        if split.name == name:
            folder = data_folder(root)
            others = (None if path is None else folder / path for path in split[3:])
            return Split(split.task, split.split, folder / split.images, *others)
    raise KeyError(f"no dataset {name!r}; there are {known_names()}")


def known_names() -> str:
    """The registered datasets, for messages; of their slices, hundreds, an example."""
    return f"{', '.join(split.name for split in all_splits())}, and slices of them such as bdd100k_det_val_night"


def base_of(name: str) -> str:
    """The dataset that ``name`` is a slice of, if it is one of those that are always registered, else ``name``."""
    for split in all_splits():
        if split.labels is not None and name.startswith(f"{split.name}_"):
            return split.name if name.removeprefix(f"{split.name}_") in KNOWN_SLICES else name
    return name


def register_all(root: str | os.PathLike[str] | None = None) -> None:
    """Registers every dataset of the table under ``root``, in place of what was registered before; reads nothing.

    So are their slices (:mod:`~bdd100k_d2.data.slices`): ``bdd100k_det_val_night`` and the like. ``root`` is the folder
    that holds ``bdd100k/``; default :func:`~.root.default_root`.
    """
    _register(root, frozenset())


def _register(root: str | os.PathLike[str] | None, kept: Collection[str]) -> None:
    folder = data_folder(root)
    note_default(default_root() if root is None else None)
    rows = [row for row in all_splits() if row.name not in kept]
    for row in rows:
        split, task = locate(row.name, root), TASKS[row.task]
        fields = {
            "evaluator_type": f"{EVALUATOR_PREFIX}{task.name}",
            "image_root": str(split.images),
            "label_path": None if split.labels is None else str(split.labels),
            # Where another download has the same labels; evaluators take what is there.
            "other_label_path": None if split.other_labels is None else str(split.other_labels),
            "ignore_label": IGNORE_LABEL,
            "attribute_files": tuple(str(folder / path.format(split=row.split)) for path in task.attribute_files),
        }
        replace_dataset(split.name, partial(_load, split), fields | class_metadata(task))
    register_known_slices([row.name for row in rows if row.labels is not None], kept)


def _load(split: Split) -> list[dict[str, Any]]:
    found = split.present()
    for wanted, there in ((split.images, found.images), (split.labels, found.labels)):
        if wanted != there:
            logger.info("%s is not there: %s is read in its place.", wanted, there)
    if found.labels is None:
        return load_images(found.images)
    return LOADERS[split.task](found.labels, found.images)


def class_metadata(task: Task) -> dict[str, Any]:
    """The metadata of a task's classes, under the names that Detectron2 gives them."""
    things, stuff = ([c for c in task.categories if c.is_thing is wanted] for wanted in (True, False))
    if task.form == "bitmasks" and stuff:
        ids = panoptic_ids(task)
        return {
            **_names_and_colors("thing", things),
            "thing_dataset_id_to_contiguous_id": ids.things,
            # PanopticFPN's semantic head has one class for all things, the first.
            **_names_and_colors("stuff", [Category("things", (0, 0, 0), False), *stuff]),
            "stuff_dataset_id_to_contiguous_id": ids.stuff,
        }
    if task.form == "masks":
        return _names_and_colors("stuff", task.categories)
    # As the converter to COCO counts them, by which Detectron2's tools read results in that form.
    return {
        **_names_and_colors("thing", task.categories),
        "thing_dataset_id_to_contiguous_id": {i + 1: i for i in range(task.num_classes)},
    }


def _names_and_colors(kind: str, categories: Collection[Category]) -> dict[str, Any]:
    return {f"{kind}_classes": [c.name for c in categories], f"{kind}_colors": [c.color for c in categories]}


def register_once() -> None:
    """Registers the datasets at the default root unless :func:`register_all` has been called already.

    Names that others have registered before stay theirs, which a warning says.
    """
    from detectron2.data import DatasetCatalog

    names = {split.name for split in all_splits()}
    if any(is_registered_here(name) for name in names):
        return
    taken = {name for name in DatasetCatalog.list() if base_of(name) in names and not is_registered_here(name)}
    if taken:
        logger.warning(
            "%s: registered by others, and left to them; bdd100k_d2.register_all registers all.",
            ", ".join(sorted(taken)),
        )
    _register(None, taken)
