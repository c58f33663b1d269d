"""Is a submission complete and well formed? Asked before it is uploaded, because servers grant few tries."""

import logging
import os
from collections.abc import Callable, Collection
from functools import partial
from pathlib import Path

from ...data.datasets import load_images
from ...data.register import locate
from ...errors import ConfigError, DataError
from ...parallel import cores
from ...tasks import TASKS
from .bitmasks import check_instances, check_panoptic
from .lists import check_detections
from .masks import check_mask_files
from .members import Defect, Members, close_archive, open_members

logger = logging.getLogger(__name__)

CHECKS: dict[str, Callable[[Members, Collection[str], tuple[int, int], int], list[Defect]]] = {
    "det": check_detections,
    "sem_seg": partial(check_mask_files, "sem_seg"),
    "drivable": partial(check_mask_files, "drivable"),
    "ins_seg": check_instances,
    "pan_seg": check_panoptic,
}
"""By task: the files, and ``frames``, ``size`` and ``processes`` of :func:`check_submission` -> what is wrong."""


def check_submission(
    task: str,
    path: str | os.PathLike[str],
    frames: Collection[str],
    size: tuple[int, int] = (720, 1280),
    processes: int = 1,
) -> list[Defect]:
    """Checks what a user is about to upload, all of it, file by file; a zip is not unpacked.

    Taken are a JSON list (det, pan_seg), a folder or zip of PNG files (sem_seg, drivable, pan_seg), and a folder or zip
    that holds ``bitmasks`` and ``score.json`` (ins_seg).

    Args:
        task: a key of `CHECKS`.
        path: the file, folder or zip.
        frames: the image names of the whole split, with suffix.
        size: (height, width) of the images in pixels.
        processes: read images; memory does not grow with their number.

    Returns:
        Everything found wrong, empty for a submission that can be uploaded; `describe_defects` makes a report of it.

    Raises:
        DataError: nothing is at ``path``, a zip cannot be opened, or there is no telling which file to check.
    """
    if task not in CHECKS:
        raise DataError(f"no task {task!r}; there are {', '.join(CHECKS)}.")
    members, defects = open_members(Path(path))
    if not members.names and defects:
        return defects
    if not members.names:
        raise DataError(f"{path}: no file in it; give the file, folder or zip that you would upload.")
    try:
        return defects + CHECKS[task](members, frames, size, processes)
    finally:
        close_archive()


def check_split_submission(
    task: str, path: str | os.PathLike[str], split: str = "test", root: str | os.PathLike[str] | None = None
) -> tuple[list[Defect], int]:
    """Checks a submission for every image of a released split.

    Args:
        task: a key of `CHECKS`.
        path: what is to be uploaded; see :func:`check_submission`.
        split: "train", "val" or "test".
        root: holds ``bdd100k/``; default: :func:`~bdd100k_d2.data.root.default_root`.

    Returns:
        What is wrong, empty for a sound submission, and the number of images in the split. A warning tells of a split
        whose images are not all there.

    Raises:
        ConfigError: no such split.
        DataError: the split's images are not there, or ``path`` cannot be opened.
    """
    try:
        images = locate(f"bdd100k_{task}_{split}", root).present().images
    except KeyError as error:
        raise ConfigError(str(error.args[0])) from None
    frames = [one["image_id"] for one in load_images(images)]
    incomplete = incomplete_split(task, split, images, frames)
    if incomplete is not None:
        logger.warning("%s: %s.", incomplete.file, incomplete.text)
    return check_submission(task, path, frames, processes=cores()), len(frames)


def incomplete_split(task: str, split: str, images: Path, frames: Collection[str]) -> Defect | None:
    """What is wrong where the split's folder ``images``, with the images ``frames``, has not what the release has.

    No submission of such frames is one that the server takes.
    """
    there, wanted = len(frames), TASKS[task].counts[split].images
    text = f"{there:,} images are there, the release has {wanted:,}; the server takes only all of them"
    return None if there == wanted else Defect("split", str(images), None, text)
