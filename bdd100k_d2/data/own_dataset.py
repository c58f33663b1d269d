"""Users' own data under a name: a COCO, Scalabel or YOLO data set, or a folder of masks or bitmasks, with its images.

The readers are those of evaluation and conversion. What they read is matched with the images by name, wherever below
the folder an image lies and whatever its ending, and gets the size that the labels state, else that of the image.
"""

import logging
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import ConfigError, DataError, shown
from ..inside import expanded
from ..tasks import SPLITS, TASKS, Task
from .categories import IGNORE_LABEL, LabelClass, own_categories
from .coco import Id, read_names
from .convert.dropped import Dropped
from .convert.image_sizes import images_below, the_image
from .convert.mask_reader import holds_bitmasks
from .convert.source import source_kind
from .convert.yolo_classes import YAML_SUFFIXES, class_files, read_classes
from .convert.yolo_parts import YoloFrame
from .convert.yolo_reader import YoloSizes, read_yolo
from .convert.yolo_set import YoloSet, find_yolo, is_yolo_folder, yolo_splits
from .dataset_task import EVALUATOR_PREFIX
from .datasets import det_records, warn_of_left_out
from .folders import files_below
from .image_files import image_size
from .image_names import image_name, image_stem
from .instances import bitmask_records, default_find_class, run_length_records
from .labels import Frame, ImageSize
from .masks import list_masks
from .register import class_metadata
from .slices import OWN, check_dataset_name, register_config_slices, renew_slices, replace_dataset
from .vintages import read_labels, stated_classes

if TYPE_CHECKING:
    from detectron2.config import CfgNode

logger = logging.getLogger(__name__)

_SPLIT = "{split}"
_DEFAULTS: dict[str, Any] = {"images": None, "task": "det", "classes": None, "colors": None, "things": ()}
_Path = str | os.PathLike[str]
_Names = Sequence[str]
_Color = Sequence[int]


class _Part(NamedTuple):
    """A data set of those that are registered together: its labels, its images, and which split of YOLO it is."""

    name: str
    labels: Path
    images: Path | None
    split: str | None = None


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
        colors: RGB, for each class; None for some that are told apart.
        things: of pan_seg, those of ``classes`` that are countable; they are its last ones.

    Returns:
        The names that were registered.

    Raises:
        ConfigError: an argument is of no use, a class is none of the labels', or a name is taken by another data set.
        DataError: labels or images are not there, or cannot be read.
    """
    with _options_as_arguments():
        return _register(name, labels, images, task, classes, colors, things, lazily=False)[0]


def register_config_datasets(cfg: "CfgNode") -> None:
    """Registers the data sets of ``DATASETS.OWN`` of a config, then the slices of ``DATASETS.SLICES``.

    Each is a mapping of the arguments of :func:`register_dataset`, in YAML such as ``{name: mine, labels:
    "coco/{split}.json", images: "images/{split}", classes: [car, bus, tram]}``. Classes that the labels state are
    written into it, so that what is dumped of the config knows them where the labels are not: there data sets with
    ``classes`` are registered nevertheless, which is enough to predict.

    Raises:
        ConfigError: an entry is none, or one that :func:`register_dataset` or
            :func:`~bdd100k_d2.data.slices.register_slice` refuses.
        DataError: as :func:`register_dataset`.
    """
    rows = cfg.DATASETS.OWN
    if not isinstance(rows, list | tuple):
        raise ConfigError(f"DATASETS.OWN: {shown(repr(rows))} is no list of data sets; write [] for none.")
    keys = ("name", "labels", *_DEFAULTS)
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
            _, stated = _register(**_DEFAULTS | row, lazily=True)
        if stated is not None:
            row["classes"] = stated
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


def _register(
    name: str,
    labels: _Path,
    images: _Path | None,
    task: str,
    classes: _Names | None,
    colors: Sequence[_Color] | None,
    things: _Names,
    *,
    lazily: bool,
) -> tuple[tuple[str, ...], list[str] | None]:
    """Registers data sets; returns their names, and the classes if the labels state them and none were given."""
    from detectron2.data import DatasetCatalog, MetadataCatalog

    check_dataset_name(name, "data set")
    where = f"data set {name}"
    # Without classes nothing is known of data that are not there.
    lazily = lazily and classes is not None
    for what, place in (("labels", labels), ("images", images)):
        if place is not None and (not isinstance(place, str | os.PathLike) or not os.fspath(place)):
            raise ConfigError(f"{where}: {what} are {shown(repr(place))}; give a path.")
    if task not in TASKS:
        raise ConfigError(f"{where}: {shown(repr(task))} is no task; there are {', '.join(TASKS)}.")
    official = TASKS[task]
    if classes is not None:
        _check_names(where, "classes", classes)
    _check_names(where, "things", things, may_be_empty=True)
    # Where a process goes later, they are the same.
    parts = _parts(name, expanded(labels).absolute(), None if images is None else expanded(images).absolute(), lazily)
    for part in parts:
        taken = part.name in DatasetCatalog.list() and not MetadataCatalog.get(part.name).get(OWN, False)
        if taken:
            raise ConfigError(f"{where}: a data set named {part.name} is registered; choose another name.")
    there = [part for part in parts if os.path.lexists(part.labels)]
    stated = _stated_classes(where, there, official, classes)
    if classes is None and stated is None:
        _assume_classes(where, there, official)
    own = _with_classes(where, official, stated if classes is None else classes, colors, things)
    # Classes that nobody named are no choice of a part of the labels: others are a mistake.
    others_left_out = classes is not None or stated is not None
    for part in parts:
        kind = _kind(part.labels, official) if part in there else None
        fields = {
            "evaluator_type": f"{EVALUATOR_PREFIX}{official.name}",
            "image_root": str(_image_root(part)),
            "label_path": str(part.labels),
            # Frames have attributes in label files alone.
            "attribute_files": (str(part.labels),) if kind in ("coco", "scalabel") else (),
            "ignore_label": IGNORE_LABEL,
            OWN: True,
            **class_metadata(own),
        }
        if kind == "coco" and own.name != "pan_seg":
            ids: dict[str, Id] = {}
            for key, one in read_names(part.labels).categories.items():
                if ids.setdefault(one, key) is not key:
                    logger.warning("%s: two categories are called %s; they are one class.", part.labels, shown(one))
            # A class of other splits alone has a number beyond those of this file: Detectron2 wants ids of all.
            beyond = max((one for one in ids.values() if isinstance(one, int)), default=0) + 1
            ids_of_file = {ids.get(name, beyond + i): i for i, name in enumerate(own.names)}
            fields["thing_dataset_id_to_contiguous_id"] = ids_of_file
        load = _options_as_arguments()(partial(_load, part, own, others_left_out=others_left_out))
        replace_dataset(part.name, load, fields, is_official=False)
    names = tuple(part.name for part in parts)
    renew_slices(names)
    return names, None if classes is not None or stated is None else [*stated]


def _parts(name: str, labels: Path, images: Path | None, lazily: bool) -> list[_Part]:
    """The data sets that the paths are of."""
    where = f"data set {name}"

    def of_split(path: Path | None, split: str) -> Path | None:
        return None if path is None else Path(str(path).replace(_SPLIT, split))

    if _SPLIT not in str(labels):
        if images is not None and _SPLIT in str(images):
            raise ConfigError(f"{where}: {_SPLIT} is in images and not in labels; write it in both.")
        if os.path.lexists(labels):
            parts = [_Part(name, labels, images)]
            if _is_yolo(labels):
                splits = yolo_splits(labels)
                there = [split for split in SPLITS if split in splits]
                parts = [_Part(f"{name}_{split}", labels, images, splits[split]) for split in there] or parts
        elif lazily:
            # Which of them it was, only the labels would tell.
            parts = [_Part(one, labels, images) for one in (name, *(f"{name}_{split}" for split in SPLITS))]
        else:
            raise DataError(f"{where}: no labels at {labels}; check the path.")
    else:
        all_parts = [
            _Part(f"{name}_{split}", of_split(labels, split) or labels, of_split(images, split)) for split in SPLITS
        ]
        parts = [part for part in all_parts if os.path.lexists(part.labels)]
        if not parts and not lazily:
            tried = ", ".join(str(part.labels) for part in all_parts)
            raise DataError(f"{where}: no labels of a split are there ({tried}); check the path.")
        parts = parts or all_parts
    for part in parts:
        if part.images is None and not (os.path.lexists(part.labels) and _is_yolo(part.labels)):
            raise ConfigError(f"{where}: no folder of images is given, which only YOLO can do without; give images.")
        if part.images is not None and not part.images.is_dir() and not lazily:
            raise DataError(f"{where}: no folder of images at {part.images}; check the path.")
    return parts


def _is_yolo(labels: Path) -> bool:
    try:
        return source_kind(labels) == "yolo"
    except (DataError, ConfigError):
        # Whether it is of any use is asked for the task.
        return False


def _kind(labels: Path, task: Task) -> str:
    """The kind of labels, of those that the task has; ConfigError for others, DataError for none."""
    if (
        task.form != "boxes"
        and labels.is_dir()
        and not is_yolo_folder(labels)
        and (files := files_below(labels, ".png"))
    ):
        kind = "bitmasks" if holds_bitmasks(files) else "masks"
    else:
        kind = source_kind(labels)
    allowed = {
        "boxes": ("coco", "scalabel", "yolo"),
        "masks": ("masks",),
        "bitmasks": ("bitmasks", "coco", "scalabel"),
    }[task.form]
    if kind not in allowed:
        raise ConfigError(
            f"{labels}: labels of {task.name} are {' or '.join(allowed)}, this is {kind}; give others, or another task."
        )
    return kind


# Classes


def _check_names(where: str, what: str, names: object, may_be_empty: bool = False) -> None:
    given = [*names] if isinstance(names, list | tuple) else []
    if not all(isinstance(one, str) and one.strip() for one in given) or not (given or (may_be_empty and not names)):
        raise ConfigError(f"{where}: {what} are {shown(repr(names))}; write a list of names.")
    twice = [one for one, count in Counter(given).items() if count > 1]
    if twice:
        raise ConfigError(f"{where}: {shown(twice[0])} stands twice among the {what}; take one of them out.")


def _stated_classes(where: str, parts: Iterable[_Part], task: Task, wanted: _Names | None) -> list[str] | None:
    """The classes that the labels of all parts state to have; None where none does.

    Raises:
        ConfigError: one that is wanted is none of them; or none is wanted, and a part has one that the first has not.
    """
    found = {part: names for part in parts if (names := _classes_of(part, task)) is not None}
    if not found:
        return None
    first, *others = found
    for part in others:
        more = [one for one in found[part] if one not in found[first]]
        if more and wanted is None:
            raise ConfigError(
                f"{where}: {part.labels} has the class {shown(more[0])}, which {first.labels} has not, so that their "
                "ids differ; give classes, which are then those of all."
            )
    known = dict.fromkeys(one for names in found.values() for one in names)
    missing = [one for one in wanted or () if one not in known]
    if missing and len(found) == sum(1 for _ in parts):
        raise ConfigError(
            f"{where}: {' and '.join(str(part.labels) for part in found)} state to have no class "
            f"{shown(repr(missing[0]))}, but {shown(', '.join(known), 1000)}; mend classes. If other splits have it, "
            f"register all together, by {_SPLIT} in the paths."
        )
    return found[first]


def _assume_classes(where: str, parts: Iterable[_Part], task: Task) -> None:
    """Says that values are taken for BDD100K's classes; ConfigError for the numbers of YOLO, which nobody means so."""
    for part in parts:
        kind = _kind(part.labels, task)
        if kind == "yolo":
            raise ConfigError(f"{where}: nothing in {part.labels} names the classes of its numbers; give classes.")
        if kind in ("masks", "bitmasks"):
            logger.warning("%s: no classes are given: its ids are taken for BDD100K's of %s.", part.labels, task.name)


def _classes_of(part: _Part, task: Task) -> list[str] | None:
    kind = _kind(part.labels, task)
    if kind == "yolo":
        folder = _find(part).folder
        return read_classes(folder, _data_file(part)) if _data_file(part) or class_files(folder) else None
    return stated_classes(part.labels) if kind in ("coco", "scalabel") and part.labels.is_file() else None


def _with_classes(
    where: str, official: Task, classes: _Names | None, colors: Sequence[_Color] | None, things: _Names
) -> Task:
    names = [*(official.names if classes is None else classes)]
    _check_colors(where, colors, len(names))
    if things and official.name != "pan_seg":
        raise ConfigError(f"{where}: things are of pan_seg, not of {official.name}; leave them out.")
    if names == [*official.names]:
        if colors is not None or things:
            raise ConfigError(f"{where}: the classes are BDD100K's, which have colors and things; leave them out.")
        return official
    if not 0 < len(names) <= IGNORE_LABEL:
        raise ConfigError(f"{where}: {len(names)} classes; give 1 to {IGNORE_LABEL}.")
    if official.name == "pan_seg" and not (names[-len(things) :] == [*things] and 0 < len(things) < len(names)):
        raise ConfigError(
            f"{where}: own classes of pan_seg are stuff, then things, as BDD100K's; give things, which are the last "
            "of the classes, in their order."
        )
    categories = own_categories(names, colors, are_things=official.form != "masks")
    if official.name == "pan_seg":
        categories = tuple(one._replace(is_thing=one.name in things) for one in categories)
    return official.with_classes(categories)


def _check_colors(where: str, colors: object, count: int) -> None:
    def is_color(one: object) -> bool:
        return (
            isinstance(one, list | tuple)
            and len(one) == 3
            and all(isinstance(value, int) and 0 <= value <= 255 for value in one)
        )

    good = isinstance(colors, list | tuple) and len(colors) == count and all(map(is_color, colors))
    if colors is not None and not good:
        raise ConfigError(f"{where}: colors are [red, green, blue], of 0 to 255, of each of the {count} classes.")


class _Finder:
    """Finds the classes of labels, and counts those of classes that are left out."""

    def __init__(self, task: Task, others_left_out: bool) -> None:
        self.task, self.others_left_out = task, others_left_out
        self.left_out: Counter[str] = Counter()

    def __call__(self, category: str | None, where: str) -> LabelClass | None:
        known = self.task.label_classes.get(category or "")
        if known is not None:
            return known
        if self.others_left_out and category is not None:
            self.left_out[category] += 1
            return None
        try:
            return default_find_class(self.task)(category, where)
        except DataError as error:
            raise DataError(f"{error} For classes of your own give register_dataset classes.") from None


# Loading

_LABELS = ("annotations", "segments_info")


def _load(part: _Part, task: Task, others_left_out: bool) -> list[dict[str, Any]]:
    kind = _kind(part.labels, task)
    if kind in ("masks", "bitmasks"):
        return _load_pngs(part, kind, task)
    if kind == "yolo":
        found = _find(part)
        names = (
            read_classes(found.folder, _data_file(part))
            if _data_file(part) or class_files(found.folder)
            else [*task.names]
        )
        dropped = Dropped()
        frames = [*read_yolo(found.frames, names, _Sizes(None, None), dropped)]
        for what, count in dropped.counts().items():
            logger.warning("%s: %d %s.", part.labels, count, what)
        places = {frame.name: frame.image for frame in found.frames if frame.image is not None}
    else:
        frames = read_labels(part.labels).frames
        places = _images_of([frame.name for frame in frames], part)
    total = sum(len(frame.labels or ()) for frame in frames)
    find = _Finder(task, others_left_out)
    head = partial(_head, places)
    if task.form == "boxes":
        _leave_out_flat(frames, part.labels)
        records = det_records(frames, part.labels, head, find, whole_pixels=kind == "scalabel")
    else:
        records = run_length_records(frames, part.labels, head, task, find)
    if find.left_out:
        # An evaluation loads a data set several times.
        counts = ", ".join(f"{shown(name)} {count:,}" for name, count in find.left_out.most_common())
        _warn_once(f"{part.labels}: labels of other classes are left out: {counts}.")
    if not total:
        _warn_once(f"{part.labels}: no frame has a label: {part.name} is a test set, which has no scores.")
        return [{key: one for key, one in record.items() if key not in _LABELS} for record in records]
    if not any(record["annotations"] or record.get("segments_info") for record in records):
        has = f"of {', '.join(map(shown, find.left_out))}" if find.left_out else "of none that can be used"
        raise DataError(
            f"{part.labels}: has nothing of the classes {shown(', '.join(task.names), 1000)}: its {total:,} labels are "
            f"{has}; check the labels and the names of the classes, which are taken exactly."
        )
    logger.info("%s: %d frames of %s.", part.labels, len(records), part.name)
    return records


@cache
def _warn_once(message: str) -> None:
    logger.warning("%s", message)


def _load_pngs(part: _Part, kind: str, task: Task) -> list[dict[str, Any]]:
    files = {image_name(stem): file for stem, file in list_masks(part.labels, below=True).items()}
    images = _images_of([*files], part)
    warn_of_left_out(part.labels, {"images without a mask": len(images_below(part.images or part.labels)) - len(files)})
    # By the names of the images.
    files = {images[name].name: file for name, file in files.items()}
    places = {image.name: image for image in images.values()}
    if kind == "bitmasks":
        return bitmask_records(files, places, part.labels, task)
    records = []
    for name, file in files.items():
        height, width = image_size(file)
        record = {"file_name": str(places[name]), "image_id": name, "height": height, "width": width}
        records.append(record | {"sem_seg_file_name": str(file)})
    return records


def _images_of(names: Sequence[str], part: _Part) -> dict[str, Path]:
    """The image of each frame; DataError where one is missing, or several have its name."""
    folder = part.images or part.labels
    there = images_below(folder)
    found = {name: the_image(image_stem(name), there) for name in names}
    missing = [name for name, image in found.items() if image is None]
    if missing:
        raise DataError(
            f"{folder}: {len(missing):,} of {len(names):,} images of the labels in {part.labels} are missing, the "
            f"first is {shown(missing[0])}; check images."
        )
    return {name: image for name, image in found.items() if image is not None}


def _head(places: Mapping[str, Path], frame: Frame) -> dict[str, Any]:
    place = places[frame.name]
    if frame.size is not None:
        height, width = frame.size.height, frame.size.width
    else:
        stated = next((label.rle.size for label in frame.labels or () if label.rle is not None), None)
        height, width = stated or image_size(place)
    return {"file_name": str(place), "image_id": frame.name, "height": height, "width": width}


def _leave_out_flat(frames: Iterable[Frame], labels: Path) -> None:
    """Takes boxes without an area out, as the conversion does; of COCO the reader has."""
    count = 0
    for frame in frames:
        if frame.labels:
            kept = [one for one in frame.labels if one.box2d is None or not one.box2d.is_flat]
            count += len(frame.labels) - len(kept)
            frame.labels = kept
    warn_of_left_out(labels, {"boxes without an area": count})


# YOLO


class _Sizes(YoloSizes):
    """The sizes of images, of which each has to be there."""

    def find(self, frame: YoloFrame) -> ImageSize:
        """The size of a frame's image."""
        if frame.image is None:
            raise DataError(f"{frame.file}: no image of these labels is there; give register_dataset their images.")
        height, width = image_size(frame.image)
        return ImageSize(width, height)


def _data_file(part: _Part) -> Path | None:
    return part.labels if part.labels.suffix.lower() in YAML_SUFFIXES else None


def _find(part: _Part) -> YoloSet:
    return find_yolo(part.labels, part.split, part.images)


def _image_root(part: _Part) -> Path:
    if part.images is not None or not os.path.lexists(part.labels):
        return part.images or part.labels
    folders = [str(frame.image.parent) for frame in _find(part).frames if frame.image is not None]
    return Path(os.path.commonpath(folders)) if folders else part.labels
