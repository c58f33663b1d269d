"""What belongs to a YOLO data set: label files, their images, and images without labels.

Labels of a split lie in ``labels/<split>``, or in ``<split>/labels`` (Roboflow), or beside the images, which a list
such as ``train.txt`` names (darknet). A ``data.yaml`` says where the images are; their labels lie where ``images`` in
their path is ``labels``, else beside them (https://docs.ultralytics.com/datasets/detect).
"""

import logging
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from ...errors import DataError, shown
from ...yaml_file import read_yaml
from ..folders import visible_files
from ..image_names import frame_names, image_stem
from ..labels import is_frame_name
from .source_files import read_errors
from .splits import same_split, split_in, split_of, splits_in
from .yolo_classes import CLASS_FILES, YAML_SUFFIXES
from .yolo_lists import is_image_list, listed_frames, split_lists
from .yolo_parts import (
    LABELS,
    YoloFolders,
    YoloFrame,
    folders_of_images,
    folders_of_labels,
    frames_in,
    holds_labels,
    is_label_name,
    same_frame,
)

logger = logging.getLogger(__name__)

_Part = YoloFolders | Path
"""A part of a split: folders, or a list of images."""


class YoloSet(NamedTuple):
    """The frames of a split, by name; the names of the classes are looked for in ``folder`` and above.

    ``split`` is the one that a name speaks of, None where none does; ``is_split`` says whether it was told apart from
    others. ``reads`` are the folders and lists that the frames come from.
    """

    frames: list[YoloFrame]
    folder: Path
    split: str | None
    is_split: bool
    reads: list[Path]


def find_yolo(source: Path, split: str | None, images: Path | None) -> YoloSet:
    """Finds the frames of a split of a data set.

    Args:
        source: the folder of the data set, of its labels or of a split's, its ``data.yaml``, or a list of images.
        split: None where there is one only.
        images: the folder of the images, where they do not lie beside the labels' folder.

    Raises:
        DataError: there are no labels, or several splits and none is given, or two files are of one frame.
    """
    with read_errors(source):
        parts, name = _parts_of(source, split)
        found = [frame for part in parts for frame in _frames_of(part, name, images, anywhere=not source.is_dir())]
        frames, repeated = _named(found, source)
    if repeated:
        logger.warning(
            "%s: %d images are named again, and count once; the first is %s.", source, len(repeated), repeated[0].file
        )
    folders = [part for part in parts if isinstance(part, YoloFolders)]
    folder = source if source.is_dir() else source.parent
    if source.is_dir() and folders and folders[0].labels is not None:
        folder = folders[0].labels
    reads = [part for part in parts if isinstance(part, Path)]
    reads += [one for both in folders for one in both if one is not None]
    speaks = split_of(source) if name is None else split_in(name)
    return YoloSet([frames[stem] for stem in sorted(frames)], folder, speaks, name is not None, reads)


def _named(found: Sequence[YoloFrame], source: Path) -> tuple[dict[str, YoloFrame], list[YoloFrame]]:
    """Frames by the stems of their names, which are those of `frame_names`, and those that are named again."""
    counts = Counter(image_stem(frame.name) for frame in found)
    seen: set[tuple[object, ...]] = set()
    once: list[YoloFrame] = []
    repeated: list[YoloFrame] = []
    for frame in found:
        if not is_frame_name(frame.name):
            raise DataError(f"{source}: '{shown(frame.name)}' is no name of an image; rename its files.")
        files = frame.files if counts[image_stem(frame.name)] > 1 else (frame.name,)
        (repeated if files in seen else once).append(frame)
        seen.add(files)
    frames: dict[str, YoloFrame] = {}
    for frame, name in zip(once, frame_names(frame.place for frame in once), strict=True):
        other = frames.setdefault(image_stem(name), frame._replace(name=name))
        if (other.labels, other.image) != (frame.labels, frame.image):
            raise same_frame(image_stem(name), other.file, frame.file)
    return frames, repeated


def _parts_of(source: Path, split: str | None) -> tuple[Sequence[_Part], str | None]:
    """The parts of the split, and its name; None where the source has no splits."""
    if source.suffix.lower() in YAML_SUFFIXES:
        return _of_data_file(source, split)
    if not source.is_file():
        return _of_folder(source, split)
    if not is_image_list(source):
        raise DataError(f"{source}: one text file; give the folder of the YOLO labels.")
    own = split_in(source.stem)
    if split is not None and own is not None and split_in(split) != own:
        raise DataError(f"{source}: is a list of the split {own}, not of {shown(split)}; give another --split.")
    return [source], None if own is None else source.stem


def is_yolo_folder(folder: Path) -> bool:
    """Whether a folder has the signs of a YOLO data set, whatever else is in it."""
    if holds_labels(folder / LABELS):
        return True
    if any((folder / name).is_file() for name in CLASS_FILES):
        return holds_labels(folder)
    return any(holds_labels(one / LABELS) for one in _folders(folder).values())


def _frames_of(part: _Part, split: str | None, images: Path | None, anywhere: bool) -> Iterator[YoloFrame]:
    if isinstance(part, Path):
        return listed_frames(part, images, anywhere)
    lists = {} if part.labels is None else split_lists(part.labels)
    return frames_in(part, images, split, frozenset(path.name for path in lists.values()))


class _FolderParts(NamedTuple):
    """A folder of labels: its splits' folders and lists of images by name, and whether labels lie directly in it."""

    base: Path
    splits: dict[str, Path]
    lists: dict[str, Path]
    direct: bool


def _folder_parts(source: Path) -> _FolderParts:
    if not source.is_dir():
        raise DataError(f"{source}: no .txt file in the folder; give the folder of the YOLO labels.")
    base = source / LABELS if (source / LABELS).is_dir() else source
    below = {name: folder for name, folder in _folders(base).items() if holds_labels(folder)}
    if base is source:
        # As Roboflow writes them, each with its labels in it.
        below = {name: folder / LABELS if (folder / LABELS).is_dir() else folder for name, folder in below.items()}
    lists = split_lists(source) | split_lists(base)
    names = {path.name for path in lists.values()}
    direct = any(is_label_name(entry.name) and entry.name not in names for entry in visible_files(base))
    if not direct and not below and not lists:
        raise DataError(f"{base}: no .txt file in the folder; give the folder of the YOLO labels.")
    # Beside labels, folders of other names than a split's only sort them.
    splits = {name: folder for name, folder in below.items() if not direct or splits_in(name)}
    return _FolderParts(base, splits, lists, direct)


def _of_folder(source: Path, split: str | None) -> tuple[list[_Part], str | None]:
    """The parts of a data set in a folder that are of a split, and the split's name; None where it has no splits."""
    base, splits, lists, direct = _folder_parts(source)
    if split is None:
        chosen = _only_split(base, splits, lists, direct)
    else:
        chosen = same_split(split, splits, source) or same_split(split, lists, source)
        if chosen is None and (source.name == split or split_of(source) == (split_in(split) or "")):
            # The folder is itself the split's.
            return [folders_of_labels(base)], split
        if chosen is None and (splits or lists):
            raise DataError(f"{source}: has no split {shown(split)}; there are {', '.join(sorted({*splits, *lists}))}.")
    if chosen is None:
        return [folders_of_labels(base)], None
    return [folders_of_labels(splits[chosen]) if chosen in splits else lists[chosen]], chosen


def _folders(folder: Path) -> dict[str, Path]:
    """The folders in one, by name."""
    return {entry.name: folder / entry.name for entry in visible_files(folder) if os.path.isdir(entry.path)}  # noqa: PTH112


def _only_split(base: Path, splits: dict[str, Path], lists: dict[str, Path], direct: bool) -> str | None:
    if direct and splits:
        raise DataError(
            f"{base}: holds labels beside the splits {', '.join(sorted(splits))}; give one with --split, or move the "
            "others into a folder of their own."
        )
    names = sorted(splits or lists)
    if len(names) > 1:
        raise DataError(f"{base}: holds the splits {', '.join(names)}; give one with --split.")
    return None if direct else next(iter(names), None)


def yolo_splits(source: Path) -> dict[str, str]:
    """The splits train, val and test of a data set that are there, with the names that it has for them, as ``valid``.

    Empty where it has no splits.

    Raises:
        DataError: several names are of one split, or files cannot be read.
    """
    with read_errors(source):
        if source.suffix.lower() in YAML_SUFFIXES:
            named, bases = _named_in(source)
            keys = [key for key, value in named.items() if _parts_at(value, bases, source, key)]
        elif source.is_dir():
            parts = _folder_parts(source)
            keys = [*parts.splits] or [*parts.lists]
        else:
            keys = []
    found: dict[str, str] = {}
    for key in keys:
        split = split_in(key)
        if split is not None and found.setdefault(split, key) != key:
            raise DataError(f"{source}: {found[split]} and {key} are both of the split {split}; rename one of them.")
    return found


def _named_in(path: Path) -> tuple[dict[str, object], list[Path]]:
    """What a ``data.yaml`` has for each split, and the folders that its paths may be from."""
    document = read_yaml(path)
    if not isinstance(document, dict) or "names" not in document:
        raise DataError(f"{path}: no names of classes, so it is no data.yaml of YOLO; give one, or a folder of labels.")
    named = {key: value for key, value in document.items() if isinstance(key, str) and value and splits_in(key)}
    root = document.get("path")
    return named, [path.parent / _with_slashes(root), path.parent] if isinstance(root, str) else [path.parent]


def _of_data_file(path: Path, split: str | None) -> tuple[Sequence[_Part], str]:
    """The parts of a split that a ``data.yaml`` names, and the split's name."""
    named, bases = _named_in(path)
    wanted = list(named)
    if split is not None:
        meant = same_split(split, named, path)
        wanted = [] if meant is None else [meant]
    there = {key: found for key in wanted if (found := _parts_at(named[key], bases, path, key))}
    if len(there) > 1:
        raise DataError(f"{path}: names the splits {', '.join(there)}; give one with --split.")
    if not there:
        what = "a split" if split is None else f"the split {shown(split)}"
        known = ", ".join(f"{key}: {shown(value)}" for key, value in named.items()) or "no splits"
        raise DataError(
            f"{path}: names no folder of {what} that is there, but {known}; mend its paths, or give the folder of "
            "the labels."
        )
    ((chosen, parts),) = there.items()
    return parts, chosen


def _with_slashes(place: str) -> str:
    """A path that may have been written on Windows."""
    return place.replace("\\", "/")


def _parts_at(value: object, bases: list[Path], path: Path, key: str) -> list[_Part]:
    """What one or several places of a ``data.yaml`` hold; empty where the one is not there."""
    places = value if isinstance(value, list) else [value]
    parts: list[_Part] = []
    for place in places:
        if not isinstance(place, str) or "\0" in place:
            raise DataError(f"{path}: {key} is {shown(value)}; write the path of a folder, or a list of such.")
        # Where "../train/images" is not there, Ultralytics takes it for "train/images".
        form = _with_slashes(place)
        candidates = [base / one for base in bases for one in (form, form.removeprefix("../"))]
        found = next((part for one in candidates if (part := _part_at(one)) is not None), None)
        if found is not None:
            parts.append(found)
        elif len(places) > 1:
            raise DataError(f"{path}: {key} names {shown(place)}, which is not there; mend or remove it.")
    return parts


def _part_at(place: Path) -> _Part | None:
    return place if place.suffix.lower() == ".txt" and place.is_file() else folders_of_images(place)
