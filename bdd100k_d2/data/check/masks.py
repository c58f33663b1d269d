"""Masks and bitmasks: is every file readable, of its image's size, with ids of the task's classes?"""

from functools import partial
from multiprocessing.pool import Pool
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from ...errors import DataError
from ...parallel import map_files
from ...tasks import TASKS
from ..bitmasks import read_bitmask
from ..categories import IGNORE_LABEL, ins_seg_class, is_known
from ..datasets import MASKS_WITHOUT_IMAGE
from ..labels import Frame
from ..masks import check_mask, mask_stem, read_mask
from ..rle import check_rle
from ..vintages import read_labels
from .finding import EXAMPLES, Findings, without_path
from .images import list_files, missing_content
from .labels import check_names
from .official import IMAGES_WITHOUT_MASK

BITMASK_TASKS = ("ins_seg", "pan_seg")


class MaskFolder(NamedTuple):
    """The masks of a split: the files by the stems of their frames, with their bytes."""

    path: Path
    files: dict[str, Path]
    bytes: dict[str, int]


class _Verdict(NamedTuple):
    """What is wrong with a mask, or its size (width, height) in pixels and what it holds by class.

    ``content`` is (K,) int64: the pixels of each class, or of bitmasks the instances.
    """

    kind: str | None
    text: str = ""
    size: tuple[int, int] | None = None
    content: np.ndarray | None = None


def list_masks(folder: Path, findings: Findings) -> MaskFolder:
    """Lists a folder of masks, and finds two of one frame and maps of 2018, which have other ids."""
    files: dict[str, Path] = {}
    sizes: dict[str, int] = {}
    for name, size in list_files(folder, ".png").items():
        try:
            stem = mask_stem(folder / name)
        except DataError as error:
            findings.add("bad mask ids", folder, str(error).removeprefix(f"{folder}/"))
            continue
        other = files.setdefault(stem, folder / name)
        if other.name != name:
            findings.add("two masks of a frame", folder, f"{other.name} and {name}")
        sizes[stem] = size
    return MaskFolder(folder, files, sizes)


def match_masks(masks: MaskFolder, images: set[str], findings: Findings) -> list[str]:
    """Finds masks without image and the reverse; ``images`` are stems. Returns the stems that are in both."""
    for kind, stems, released in (
        ("mask without image", masks.files.keys() - images, MASKS_WITHOUT_IMAGE),
        ("image without mask", images - masks.files.keys(), IMAGES_WITHOUT_MASK),
    ):
        for suffix, which in (("", stems - released), (", as released", stems & released)):
            if which:
                findings.add(f"{kind}{suffix}", masks.path, *sorted(which)[:EXAMPLES], count=len(which))
    return sorted(masks.files.keys() & images)


def find_empty(masks: MaskFolder, stems: list[str], findings: Findings) -> None:
    """Finds the files of the frames ``stems`` that hold nothing; reads none."""
    for stem in stems:
        why = missing_content(masks.bytes[stem])
        if why is not None:
            findings.add("unreadable mask", masks.path, f"{masks.files[stem].name}: {why}")


def check_masks(
    task: str, masks: MaskFolder, stems: list[str], sizes: dict[str, tuple[int, int]], pool: Pool, findings: Findings
) -> np.ndarray:
    """Reads the masks of the frames ``stems``.

    Args:
        task: of the masks.
        masks: the folder.
        stems: the frames that have a mask and an image.
        sizes: (width, height) in pixels of the images that could be read, by stem.
        pool: processes that read.
        findings: where what is wrong goes.

    Returns:
        (K,) int64 pixels of each class in all of them, of bitmasks instances.
    """
    content = np.zeros(TASKS[task].num_classes, np.int64)
    paths = [str(masks.files[stem]) for stem in stems]
    verdicts = map_files(partial(_verify, task=task), paths, pool, f"reading masks of {task}")
    for stem, path, verdict in zip(stems, paths, verdicts, strict=True):
        name = Path(path).name
        if verdict.kind is not None:
            findings.add(verdict.kind, masks.path, f"{name}: {verdict.text}" if verdict.text else name)
        if verdict.content is not None:
            content += verdict.content
        if verdict.size is not None and sizes.get(stem, verdict.size) != verdict.size:
            text = "{}: {}x{}, its image {}x{}".format(name, *verdict.size, *sizes[stem])
            findings.add("mask of another size", masks.path, text)
    return content


def _verify(path: str, task: str) -> _Verdict:
    num_classes = TASKS[task].num_classes
    try:
        if task in BITMASK_TASKS:
            bitmask = read_bitmask(path)
            height, width = bitmask.instances.shape
            wrong = np.unique(bitmask.categories[bitmask.categories > num_classes])
            if wrong.size:
                text = f"category ids {wrong.tolist()}; 1 to {num_classes} are allowed"
                return _Verdict("bad mask ids", text, (width, height))
            content = np.bincount(bitmask.categories, minlength=num_classes + 1)[1:]
            return _Verdict(None, "", (width, height), content)
        mask = read_mask(path)
    except DataError as error:
        return _Verdict("unreadable mask", without_path(error, path))
    size = mask.shape[::-1]
    # NumPy's own count of bytes takes ten times as long.
    pixels = cv2.calcHist([mask], [0], None, [256], [0, 256]).ravel().astype(np.int64)
    if pixels[num_classes:IGNORE_LABEL].any():
        try:
            check_mask(mask, num_classes, path)
        except DataError as error:
            return _Verdict("bad mask ids", without_path(error, path), size)
    content = pixels[:num_classes]
    return _Verdict(None if content.any() else "mask without any label", "", size, content)


def check_run_lengths(task: str, path: Path, findings: Findings) -> tuple[list[Frame], np.ndarray]:
    """Reads a label file with run lengths, which stands in for bitmasks.

    Returns:
        Its frames, none if it cannot be read, and (K,) int64 the masks of each class.
    """
    place = {category.name: i for i, category in enumerate(TASKS[task].categories)}
    content = np.zeros(len(place), np.int64)
    try:
        frames = read_labels(path).frames
    except DataError as error:
        findings.add("unusable label file", path, without_path(error, path))
        return [], content
    check_names(frames, path, findings)
    without = []
    for frame in frames:
        for label in frame.labels or ():
            where = f"frame {frame.name}, label {label.id}"
            if label.rle is None:
                without.append(where)
                continue
            try:
                if task == "ins_seg":
                    content[ins_seg_class(label.category).index] += 1
                elif label.category in place:
                    content[place[label.category]] += 1
                elif not is_known(label.category):
                    raise DataError(f"{label.category!r} is no class of panoptic segmentation")
            except DataError as error:
                findings.add("unknown category", path, f"{where}: {error}")
            try:
                check_rle(label.rle, frame.height_width, where)
            except DataError as error:
                findings.add("bad run lengths", path, str(error))
    total = sum(len(frame.labels or ()) for frame in frames)
    if total and len(without) == total:
        findings.add("unusable label file", path, f"none of its {total:,} labels has a mask in run lengths")
    elif without:
        findings.add("labels without a mask", path, *without[:EXAMPLES], count=len(without))
    return frames, content
