"""Users' own data under a name: a COCO, Scalabel or YOLO data set, or a folder of masks or bitmasks, with its images.

The readers are those of evaluation and conversion. Where labels and images lie is in `own_places`, which classes they
have in `own_class_names`, and what records are made of them in `own_records`.
"""

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import ConfigError, DataError, shown
from ..inside import expanded
from ..tasks import TASKS
from .categories import IGNORE_LABEL
from .class_list import check_class_names
from .dataset_task import EVALUATOR_PREFIX
from .own_class_names import ChosenClasses, choose_classes, label_facts
from .own_places import OwnPart, find_parts
from .own_records import load_part
from .register import class_metadata
from .slices import OWN, check_dataset_name, is_own, register_config_slices, renew_slices, replace_dataset

if TYPE_CHECKING:
    from detectron2.config import CfgNode

_DEFAULTS: dict[str, Any] = {"images": None, "task": "det", "classes": None, "colors": None, "things": ()}
_Path = str | os.PathLike[str]
_Names = Sequence[str]
_Color = Sequence[int]


def register_dataset(
    name: str,
    labels: _Path,
    images: _Path | None = None,
    *,
    task: str = "det",
    classes: _Names | None = None,
    colors: Sequence[_Color] | None = None,
    things: _Names = (),
) -> tuple[str, ...]:
    """Registers data of one's own, for training, evaluation and slices; labels are read when they are loaded.

    ``register_dataset("mine", "coco/{split}.json", "images/{split}")`` registers ``mine_train`` and ``mine_val``, if
    there are ``coco/train.json`` and ``coco/val.json``. What is registered here under a name is replaced.

    Args:
        name: of the data set, in Detectron2's catalogs.
        labels: of det a COCO or Scalabel file or a folder of such, of any vintage, or a YOLO folder or ``data.yaml``;
            of sem_seg and drivable a folder of masks; of ins_seg and pan_seg a folder of bitmasks, or run lengths or
            polygons in a COCO or Scalabel file. With ``{split}`` in it each of train, val and test whose labels are
            there is registered as ``<name>_<split>``, and so are the splits of a YOLO data set.
        images: the folder of the images or one above them, maybe with ``{split}``; of YOLO None for those of its own.
        task: whose recipes and metrics are meant.
        classes: in the order of their ids, or the names of a mask's or bitmask's values. Labels of other classes are
            left out, and counted when they are loaded. None for those that the labels state (COCO's categories by id,
            YOLO's names, the categories of Scalabel's config), else BDD100K's. BDD100K's own, in order, are its task,
            with other names of its classes and ignored ones; any others are taken by their exact names.
        colors: RGB, for each class; None for BDD100K's of its name, else some that are told apart.
        things: of pan_seg, those of ``classes`` that are countable; they are its last ones.

    Returns:
        The names that were registered.

    Raises:
        ConfigError: an argument is of no use, a class is none of the labels', or a name is taken by another data set.
        DataError: labels or images are not there, or cannot be read.
    """
    with _options_as_arguments():
        return _register(name, labels, images, task, classes, colors, things)[0]


def register_config_datasets(cfg: "CfgNode") -> None:
    """Registers the data sets of ``DATASETS.OWN`` of a config, then the slices of ``DATASETS.SLICES``.

    Each is a mapping of the arguments of :func:`register_dataset`, in YAML such as ``{name: mine, labels:
    "coco/{split}.json", images: "images/{split}", classes: [car, bus, tram]}``. Classes that the labels state are
    written into it, so that what is dumped of the config knows them where the labels are not: there data sets with
    ``classes`` are registered nevertheless, which is enough to predict. Data sets of another config are replaced.

    Raises:
        ConfigError: an entry is none, has the name of one before it or of a call of :func:`register_dataset` and is of
            other data or classes, or is one that :func:`register_dataset` or
            :func:`~bdd100k_d2.data.slices.register_slice` refuses.
        DataError: as :func:`register_dataset`.
    """
    rows = cfg.DATASETS.OWN
    if not isinstance(rows, list | tuple):
        raise ConfigError(f"DATASETS.OWN: {shown(repr(rows))} is no list of data sets; write [] for none.")
    keys = ("name", "labels", *_DEFAULTS)
    of_config: dict[str, _Registered] = {}
    for row in rows:
        if not isinstance(row, dict) or not all(isinstance(row.get(key), str) for key in ("name", "labels")):
            raise ConfigError(
                f"DATASETS.OWN: {shown(repr(row))} is no data set; write each as {{name: mine, labels: "
                "coco/{split}.json, images: images/{split}}."
            )
        unknown = [str(key) for key in row if key not in keys]
        if unknown:
            raise ConfigError(
                f"DATASETS.OWN: {shown(row['name'])} has the key {shown(unknown[0])}; there are {', '.join(keys)}."
            )
        with _options_as_arguments():
            _, stated = _register(**_DEFAULTS | row, of_config=of_config)
        if stated is not None:
            # Who changes the config changes no more than that.
            row["classes"] = [*stated]
    register_config_slices(cfg)


@contextmanager
def _options_as_arguments() -> Iterator[None]:
    """Names what the readers call by an option of the conversion as it is called here."""
    try:
        yield
    except (DataError, ConfigError) as error:
        message = re.sub("--(?=classes|images)", "", str(error))
        if message == str(error):
            raise
        raise type(error)(message) from error


class _Registered(NamedTuple):
    """What stands under a name: its part, its classes, and who has registered it: a call, or a config."""

    part: OwnPart
    classes: ChosenClasses
    by_call: bool

    def __str__(self) -> str:
        images = "" if self.part.images is None else f", images {self.part.images}"
        names = shown(", ".join(self.classes.task.names), 200)
        return f"labels {self.part.labels}{images}, task {self.classes.task.name}, classes {names}"


_registered: dict[str, _Registered] = {}


def _register(
    name: str,
    labels: _Path,
    images: _Path | None,
    task: str,
    classes: _Names | None,
    colors: Sequence[_Color] | None,
    things: _Names,
    of_config: dict[str, _Registered] | None = None,
) -> tuple[tuple[str, ...], list[str] | None]:
    """Registers data sets; returns their names, and the classes if the labels state them and none were given.

    ``of_config`` are those of the rows before of a config; None for a call in a script.
    """
    from detectron2.data import DatasetCatalog

    check_dataset_name(name, "data set")
    where = f"data set {name}"
    # Without classes nothing is known of data that are not there.
    lazily = of_config is not None and classes is not None
    for what, place in (("labels", labels), ("images", images)):
        if place is not None and (not isinstance(place, str | os.PathLike) or not os.fspath(place)):
            raise ConfigError(f"{where}: {what} are {shown(repr(place))}; give a path.")
    if task not in TASKS:
        raise ConfigError(f"{where}: {shown(repr(task))} is no task; there are {', '.join(TASKS)}.")
    official = TASKS[task]
    if classes is not None:
        check_class_names(classes, where, "classes")
    # Where a process goes later, they are the same.
    parts = find_parts(
        name, expanded(labels).absolute(), None if images is None else expanded(images).absolute(), lazily
    )
    for part in parts:
        if part.name in DatasetCatalog.list() and not is_own(part.name):
            raise ConfigError(f"{where}: a data set named {part.name} is registered; choose another name.")
    facts = {part: label_facts(part, official) for part in parts if part.is_there}
    chosen = choose_classes(where, official, facts, classes, colors, things)
    for part in parts:
        row = _Registered(part, chosen, by_call=of_config is None)
        if of_config is not None:
            _check_same(row, of_config)
        kind = facts[part].kind if part in facts else None
        fields = {
            "evaluator_type": f"{EVALUATOR_PREFIX}{official.name}",
            "image_root": str(part.image_root),
            "label_path": str(part.labels),
            # Frames have attributes in label files alone.
            "attribute_files": (str(part.labels),) if kind in ("coco", "scalabel") else (),
            "ignore_label": IGNORE_LABEL,
            OWN: True,
            **class_metadata(chosen.task),
        }
        if kind == "coco" and official.name != "pan_seg":
            ids = facts[part].ids
            # A class of other splits alone has a number beyond those of this file: Detectron2 wants ids of all.
            beyond = max((one for one in ids.values() if isinstance(one, int)), default=0) + 1
            ids_of_file = {ids.get(one, beyond + i): i for i, one in enumerate(chosen.task.names)}
            fields["thing_dataset_id_to_contiguous_id"] = ids_of_file
        load = _options_as_arguments()(partial(load_part, part, chosen.task, chosen.are_chosen))
        replace_dataset(part.name, load, fields, is_official=False)
        _registered[part.name] = row
    names = tuple(part.name for part in parts)
    renew_slices(names)
    return names, chosen.stated


def _check_same(row: _Registered, of_config: dict[str, _Registered]) -> None:
    """Raises ConfigError if a row of a config is other data than one before it, or a call, has given its name."""
    from detectron2.data import DatasetCatalog

    name = row.part.name
    other = of_config.setdefault(name, row)
    called = _registered.get(name)
    if other is row and called is not None and called.by_call and name in DatasetCatalog.list():
        other = called
    # Where the labels are not there, nobody knows which split of YOLO they have.
    if (other.part[:3], other.classes.task) != (row.part[:3], row.classes.task):
        raise ConfigError(
            f"DATASETS.OWN: two data sets would be called {name}, one of {other}, the other of {row}; rename one."
        )
