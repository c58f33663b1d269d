"""Masks and bitmasks: is every file readable, of its image's size, with ids of the task's classes?"""

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from functools import partial
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from ...errors import DataError, shown
from ...parallel import map_files
from ...tasks import NO_SUCH_VALUE, Task
from ..bitmasks import check_categories, read_bitmask
from ..categories import IGNORE_LABEL
from ..datasets import MASKS_WITHOUT_IMAGE, FindClass
from ..labels import Frame
from ..masks import mask_stem, read_mask, wrong_ids
from ..rle import check_rle
from ..vintages import read_labels
from .boxes import check_names
from .images import file_sizes, missing_content
from .official import IMAGES_WITHOUT_MASK
from .report import Findings, without_path


class MaskFolder(NamedTuple):
    """The masks of a split: the files by the stems of their frames, with their bytes."""

    path: Path
    files: dict[str, Path]
    bytes: dict[str, int]


class _Verdict(NamedTuple):
    """What is wrong with a mask, or its (width, height) and (K,) int64 pixels of each class, of bitmasks instances."""

    kind: str | None
    text: str = ""
    size: tuple[int, int] | None = None
    content: np.ndarray | None = None


def list_mask_folder(folder: Path, findings: Findings) -> MaskFolder:
    """Lists a folder of masks, and finds two of one frame and maps of 2018, which have other ids."""
    files: dict[str, Path] = {}
    sizes: dict[str, int] = {}
    for name, size in file_sizes(folder, ".png").items():
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
            findings.add(f"{kind}{suffix}", masks.path, *sorted(which))
    return sorted(masks.files.keys() & images)


def find_empty(masks: MaskFolder, stems: list[str], findings: Findings) -> None:
    """Finds the files of the frames ``stems`` that hold nothing; reads none."""
    for stem in stems:
        why = missing_content(masks.bytes[stem])
        if why is not None:
            findings.add("unreadable mask", masks.path, f"{masks.files[stem].name}: {why}")


def check_masks(
    task: Task,
    masks: MaskFolder,
    stems: list[str],
    sizes: dict[str, tuple[int, int]],
    pool: Executor,
    findings: Findings,
) -> np.ndarray:
    """Reads the masks or bitmasks of the frames ``stems``, which have a mask and an image, by the processes of a pool.

    ``sizes`` are (width, height) in pixels of the images that could be read, by stem. Returns (N, K) int64 pixels of
    each class in each of the N masks, of bitmasks instances; zeros of those that cannot be used.
    """
    content = np.zeros((len(stems), task.num_classes), np.int64)
    paths = [str(masks.files[stem]) for stem in stems]
    # A task of the caller's own need not be in the `TASKS` of another process.
    if task.form == "bitmasks":
        look = partial(_look_at_bitmask, num_classes=task.num_classes)
    else:
        look = partial(_look_at_mask, num_classes=task.num_classes, class_of=np.array(task.class_of_value))
    verdicts = map_files(partial(_verify, look=look), paths, pool, f"reading masks of {task.name}")
    for row, stem, path, verdict in zip(content, stems, paths, verdicts, strict=True):
        name = Path(path).name
        if verdict.kind is not None:
            findings.add(verdict.kind, masks.path, f"{name}: {verdict.text}" if verdict.text else name)
        if verdict.content is not None:
            row[:] = verdict.content
        if verdict.size is not None and sizes.get(stem, verdict.size) != verdict.size:
            text = "{}: {}x{}, its image {}x{}".format(name, *verdict.size, *sizes[stem])
            findings.add("mask of another size", masks.path, text)
    return content


def _verify(path: str, look: Callable[[str], _Verdict]) -> _Verdict:
    try:
        return look(path)
    except DataError as error:
        return _Verdict("unreadable mask", without_path(error, path))


def _look_at_bitmask(path: str, num_classes: int) -> _Verdict:
    bitmask = read_bitmask(path)
    height, width = bitmask.instances.shape
    try:
        check_categories(bitmask, num_classes, path)
    except DataError as error:
        return _Verdict("bad mask ids", without_path(error, path), (width, height))
    content = np.bincount(bitmask.categories, minlength=num_classes + 1)[1:]
    return _Verdict(None, "", (width, height), content)


def _look_at_mask(path: str, num_classes: int, class_of: np.ndarray) -> _Verdict:
    """``class_of`` (256,) is a task's ``class_of_value``."""
    mask = read_mask(path)
    height, width = mask.shape
    # NumPy's own count of bytes takes ten times as long.
    pixels = cv2.calcHist([mask], [0], None, [256], [0, 256]).ravel().astype(np.int64)
    wrong = np.flatnonzero((class_of == NO_SUCH_VALUE) & (pixels > 0))
    if wrong.size:
        allowed = np.flatnonzero(class_of != NO_SUCH_VALUE)
        return _Verdict("bad mask ids", wrong_ids(wrong.tolist(), allowed.tolist()), (width, height))
    scored = (class_of != NO_SUCH_VALUE) & (class_of != IGNORE_LABEL)
    # The weights are whole numbers far below 2^53, so their sums in float64 are exact.
    content = np.bincount(class_of[scored], pixels[scored], minlength=num_classes).astype(np.int64)
    return _Verdict(None if content.any() else "mask without any label", "", (width, height), content)


def check_run_lengths(task: Task, path: Path, findings: Findings) -> tuple[list[Frame], np.ndarray]:
    """Reads a label file of run lengths: its frames, none if it cannot be read, and (K,) int64 masks of each class."""
    try:
        frames = read_labels(path).frames
    except DataError as error:
        findings.add("unusable label file", path, without_path(error, path))
        return [], np.zeros(task.num_classes, np.int64)
    check_names(frames, path, findings)
    # Instances are of the detection classes, by any of their names.
    find_class = task.class_of if task.has_scores else task.class_if_any
    return frames, check_rles(frames, task.num_classes, path, find_class, findings)


def check_rles(
    frames: Sequence[Frame], num_classes: int, path: Path, find_class: FindClass, findings: Findings
) -> np.ndarray:
    """Finds what is wrong with the run lengths of the label file ``path``: (K,) int64 masks of each class."""
    content = np.zeros(num_classes, np.int64)
    without = []
    for frame in frames:
        for label in frame.labels or ():
            where = f"frame {frame.name}, label {shown(label.id)}"
            if label.rle is None:
                without.append(where)
                continue
            try:
                known = find_class(label.category, where)
                if known is not None:
                    content[known.index] += 1
            except DataError as error:
                findings.add("unknown category", path, str(error))
            try:
                check_rle(label.rle, frame.height_width, where)
            except DataError as error:
                findings.add("bad run lengths", path, str(error))
    total = sum(len(frame.labels or ()) for frame in frames)
    if total and len(without) == total:
        findings.add("unusable label file", path, f"none of its {total:,} labels has a mask in run lengths")
    else:
        findings.add("labels without a mask", path, *without)
    return content
