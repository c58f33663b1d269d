"""The split table, and the registration of its rows in Detectron2's catalogs.

Detectron2 is imported when something is registered, not before: the report and the command-line tools need the table
alone, and importing torch would cost them seconds.
"""

import os
from functools import partial
from pathlib import Path
from typing import NamedTuple

from .categories import IGNORE_LABEL, colors, names


class Split(NamedTuple):
    """A registered dataset. Paths are those of the official downloads; ``labels`` is None where none are public."""

    task: str
    split: str
    images: Path
    labels: Path | None

    @property
    def name(self) -> str:
        """The dataset's name in the catalogs, e.g. ``bdd100k_det_val``."""
        return f"bdd100k_{self.task}_{self.split}"


# Relative to <root>/bdd100k.
SPLITS = tuple(
    Split(task, split, Path(images, split), None if split == "test" else Path(labels.format(split=split)))
    for task, images, labels in (
        ("det", "images/100k", "labels/det_20/det_{split}.json"),
        ("sem_seg", "images/10k", "labels/sem_seg/masks/{split}"),
        ("drivable", "images/100k", "labels/drivable/masks/{split}"),
    )
    for split in ("train", "val", "test")
)


def default_root() -> Path:
    """The folder that holds ``bdd100k/``: ``$DETECTRON2_DATASETS``, else ``datasets``; ``~`` is expanded."""
    return Path(os.environ.get("DETECTRON2_DATASETS") or "datasets").expanduser()


def locate(name: str, root: str | os.PathLike[str] | None = None) -> Split:
    """The row of dataset ``name`` with its paths under ``root`` (default: :func:`default_root`); reads nothing.

    Raises:
        KeyError: no such dataset; the message lists the names there are.
    """
    for split in SPLITS:
        if split.name == name:
            folder = (default_root() if root is None else Path(root).expanduser()) / "bdd100k"
            return split._replace(
                images=folder / split.images, labels=None if split.labels is None else folder / split.labels
            )
    raise KeyError(f"no dataset {name!r}; there are {', '.join(split.name for split in SPLITS)}")


def register_all(root: str | os.PathLike[str] | None = None) -> None:
    """Registers every dataset of the table under ``root``, in place of what was registered before; reads nothing.

    Args:
        root: the folder that holds ``bdd100k/``; default :func:`default_root`.
    """
    from detectron2.data import DatasetCatalog, MetadataCatalog

    from .datasets import load_det, load_images, load_masks

    for row in SPLITS:
        split = locate(row.name, root)
        if split.labels is None:
            loader = partial(load_images, split.images)
        elif split.task == "det":
            loader = partial(load_det, split.labels, split.images)
        else:
            loader = partial(load_masks, split.labels, split.images)
        # Metadata refuses to change a value, so what an earlier root left goes first.
        if split.name in DatasetCatalog.list():
            DatasetCatalog.remove(split.name)
        if split.name in MetadataCatalog.list():
            MetadataCatalog.remove(split.name)
        DatasetCatalog.register(split.name, loader)
        kind = "thing" if split.task == "det" else "stuff"
        MetadataCatalog.get(split.name).set(
            evaluator_type=f"bdd100k_{split.task}",
            image_root=str(split.images),
            label_path=None if split.labels is None else str(split.labels),
            ignore_label=IGNORE_LABEL,
            **{f"{kind}_classes": names(split.task), f"{kind}_colors": colors(split.task)},
        )


def register_once() -> None:
    """Registers the datasets at the default root unless :func:`register_all` has been called already."""
    from detectron2.data import DatasetCatalog

    if SPLITS[0].name not in DatasetCatalog.list():
        register_all()
