"""Reads the labels and lists the images of a registered data set of one's own, and goes on where loading it stops."""

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from ...errors import ConfigError, DataError
from ...tasks import Task
from ..coco import is_coco, read_coco
from ..convert.dropped import Dropped
from ..convert.image_sizes import images_below, the_image
from ..convert.mask_reader import holds_bitmasks
from ..convert.source import source_kind
from ..convert.yolo_classes import YAML_SUFFIXES, class_files, read_classes
from ..convert.yolo_parts import YoloFrame
from ..convert.yolo_reader import YoloSizes, read_yolo
from ..convert.yolo_set import YoloSet, find_yolo, is_yolo_folder, yolo_splits
from ..dataset_task import dataset_task
from ..folders import files_below, label_files
from ..image_files import image_size
from ..image_names import image_name, image_stem
from ..labels import HEIGHT, WIDTH, Frame, ImageSize, each_once
from ..masks import mask_stem
from ..vintages import read_labels
from .masks import MaskFolder
from .report import Findings, without_path


class OwnSource(NamedTuple):
    """A registered data set, which is no slice: its task with its classes, its labels, and its folder of images."""

    name: str
    task: Task
    labels: Path
    images: Path


class OwnLabels(NamedTuple):
    """What a data set's labels hold.

    Attributes:
        format: in words, for the table.
        frames: of masks and bitmasks without labels; no two have one name.
        images: by frame, where it is there; the folder may have others.
        stated: by frame, the (width, height) that its labels say that the image has.
        masks: the files of masks or bitmasks, by stem; None of label files.
        whole_pixels: a box of less than a pixel is refused, as corners in pixels are inclusive.
    """

    format: str
    frames: list[Frame]
    images: dict[str, Path]
    stated: dict[str, tuple[int, int]]
    masks: MaskFolder | None = None
    whole_pixels: bool = False


def source_of(name: str) -> OwnSource:
    """The data set as its metadata describe it; ConfigError where they have no task."""
    from detectron2.data import MetadataCatalog

    metadata = MetadataCatalog.get(name)
    task = dataset_task(metadata)
    if task is None:
        raise ConfigError(f"{name}: its metadata tell no task; register it with bdd100k_d2.register_dataset.")
    return OwnSource(name, task, Path(metadata.label_path), Path(metadata.image_root))


def told(error: Exception, path: Path) -> str:
    """The message of an error about ``path``, which does not speak of the options of the conversion."""
    return re.sub("--(?=classes|images)", "", without_path(error, path))


def read_own(source: OwnSource, findings: Findings) -> OwnLabels | None:
    """Reads the labels, and finds the image of each frame; None, and a finding, where they cannot be used."""
    labels = source.labels
    if not os.path.lexists(labels):
        findings.add("no labels", labels, source.name)
        return None
    try:
        pngs = _pngs(labels, source.task)
        if pngs:
            return _of_masks(source, pngs, findings)
        kind = source_kind(labels)
        if kind == "yolo":
            return _of_yolo(source, findings)
        frames = _read_frames(labels)
    except (DataError, ConfigError) as error:
        findings.add("unusable label file", labels, told(error, labels))
        return None
    images, missing = _images_of([frame.name for frame in frames], source, findings)
    findings.add("missing image", source.images, *missing)
    stated = {}
    for frame in frames:
        if frame.size is not None or any(label.rle is not None for label in frame.labels or ()):
            height, width = frame.height_width
            stated[frame.name] = (width, height)
    _take_sizes(frames, images)
    has_coco = any(map(is_coco, label_files(labels)))
    return OwnLabels("COCO" if has_coco else "Scalabel", frames, images, stated, whole_pixels=kind == "scalabel")


def _read_frames(labels: Path) -> list[Frame]:
    """The frames of a label file or a folder of them, those boxes too that loading them leaves out."""
    found: list[Frame] = []
    for file in label_files(labels):
        found += read_coco(file) if is_coco(file) else read_labels(file).frames
    return [*each_once(found, labels)]


def _take_sizes(frames: Iterable[Frame], images: dict[str, Path]) -> None:
    """Gives frames that state no size that of their image, where it can be read."""
    for frame in frames:
        place = images.get(frame.name)
        if frame.size is None:
            size = next((label.rle.size for label in frame.labels or () if label.rle is not None), None)
            frame.size = _size_of(place) if size is None else ImageSize(size[1], size[0])


def _size_of(image: Path | None) -> ImageSize | None:
    """The size of an image; None where it is not there or cannot be read, which is found where images are read."""
    try:
        height, width = (0, 0) if image is None else image_size(image)
    except DataError:
        return None
    return ImageSize(width, height) if width else None


def _images_of(names: Iterable[str], source: OwnSource, findings: Findings) -> tuple[dict[str, Path], list[str]]:
    """The images of frames, and the names of those that have none; finds where several files may be the image."""
    try:
        there = images_below(source.images)
    except DataError as error:
        findings.add("no images", source.images, told(error, source.images))
        return {}, []
    found: dict[str, Path] = {}
    missing = []
    for name in names:
        try:
            image = the_image(image_stem(name), there)
        except DataError as error:
            findings.add("two images of a frame", source.images, told(error, source.images))
            continue
        if image is None:
            missing.append(name)
        else:
            found[name] = image
    if missing and not there:
        findings.add("no images", source.images, source.name)
        missing = []
    return found, missing


# Masks and bitmasks


def _pngs(labels: Path, task: Task) -> list[Path]:
    """The files of masks or bitmasks, if the labels are such."""
    if task.form == "boxes" or not labels.is_dir() or is_yolo_folder(labels):
        return []
    return files_below(labels, ".png")


def _of_masks(source: OwnSource, pngs: list[Path], findings: Findings) -> OwnLabels:
    files: dict[str, Path] = {}
    for path in pngs:
        try:
            stem = mask_stem(path)
        except DataError as error:
            findings.add("bad mask ids", source.labels, without_path(error, path))
            continue
        other = files.setdefault(stem, path)
        if other is not path:
            first, second = (one.relative_to(source.labels) for one in (other, path))
            findings.add("two masks of a frame", source.labels, f"{first} and {second}")
    images, missing = _images_of(files, source, findings)
    findings.add("mask without image", source.labels, *(files[stem].name for stem in missing))
    sizes = {stem: path.stat().st_size if path.exists() else -1 for stem, path in files.items()}
    # A mask is named as its image is.
    names = {stem: images[stem].name if stem in images else image_name(stem) for stem in files}
    return OwnLabels(
        "bitmasks" if holds_bitmasks(pngs) else "masks",
        [Frame(name) for name in names.values()],
        {names[stem]: image for stem, image in images.items()},
        {},
        MaskFolder(source.labels, files, sizes),
    )


# YOLO


def _of_yolo(source: OwnSource, findings: Findings) -> OwnLabels:
    labels = source.labels
    found = _find_yolo(source)
    data_file = labels if labels.suffix.lower() in YAML_SUFFIXES else None
    is_named = data_file is not None or class_files(found.folder)
    names = read_classes(found.folder, data_file) if is_named else [*source.task.names]
    dropped = Dropped()
    frames: list[Frame] = []
    for frame in found.frames:
        size = _size_of(frame.image)
        # Of an image that cannot be read the lines can, whatever their pixels are.
        sizes = YoloSizes(None, size or ImageSize(WIDTH, HEIGHT))
        try:
            (one,) = read_yolo([frame._replace(image=None)], names, sizes, dropped)
        except DataError as error:
            findings.add("unusable label file", labels, told(error, labels))
            continue
        one.size = size
        frames.append(one)
    for what, count in dropped.counts().items():
        findings.add("box beyond the border", labels, what, count=count)
    images = {frame.name: frame.image for frame in found.frames if frame.image is not None}
    missing = [Path(frame.file).name for frame in found.frames if frame.image is None]
    if missing and not images:
        findings.add("no images", source.images, source.name)
    else:
        findings.add("missing image", source.images, *missing)
    return OwnLabels("YOLO", frames, images, {})


def _find_yolo(source: OwnSource) -> YoloSet:
    """The set's frames, with the images that lie beside the labels if they are those of the data set."""
    splits = yolo_splits(source.labels)
    split = next((key for one, key in splits.items() if source.name.endswith(f"_{one}")), None)
    found = find_yolo(source.labels, split, None)
    if all(_is_below(frame, source.images) for frame in found.frames) or not source.images.is_dir():
        return found
    try:
        return find_yolo(source.labels, split, source.images)
    except DataError:
        # Several folders of one split, whose common folder has other images too.
        return found


def _is_below(frame: YoloFrame, folder: Path) -> bool:
    return frame.image is not None and frame.image.absolute().is_relative_to(folder)
