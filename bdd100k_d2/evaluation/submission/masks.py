"""Submissions of sem_seg and drivable: a mask a frame."""

from collections.abc import Collection
from functools import partial
from pathlib import PurePosixPath

import numpy as np

from ...data.png import GREY
from ...errors import DataError
from ...parallel import map_frames
from ...tasks import TASKS
from .finding import Finding
from .images import match_images, png_pixels
from .members import Members, extra_files


def check_masks(
    task: str, members: Members, frames: Collection[str], size: tuple[int, int], processes: int
) -> list[Finding]:
    """Checks that there is a mask of class ids for every frame; arguments as of ``check_submission``."""
    files = [name for name in members.names if name.endswith(".png")]
    pairs, findings = match_images(files, frames)
    findings += one_folder(files) + extra_files(members, files)
    check = partial(_check_mask, members, TASKS[task].num_classes, size)
    for found in map_frames(check, pairs, processes, "checking masks"):
        findings += found
    return findings


def one_folder(files: Collection[str]) -> list[Finding]:
    """Findings on files that lie neither at the top nor all in one folder there."""
    folders = sorted({PurePosixPath(file).parent for file in files})
    if len(folders) <= 1 and all(len(folder.parts) <= 1 for folder in folders):
        return []
    text = f"PNG files lie in {len(folders)} folders; the server takes them at the top or in one folder"
    return [Finding("layout", folder.as_posix(), None, text) for folder in folders]


def _check_mask(members: Members, num_classes: int, size: tuple[int, int], pair: tuple[str, str]) -> list[Finding]:
    file, frame = pair
    try:
        mask = png_pixels(members.read(file), GREY, size)
    except DataError as error:
        return [Finding("image", file, frame, str(error))]
    if mask.max() < num_classes:
        return []
    wrong = mask[mask >= num_classes]
    ids = ", ".join(map(str, np.unique(wrong).tolist()))
    text = f"{len(wrong):,} pixels have the ids {ids}; classes are 0 to {num_classes - 1}, others score as wrong"
    return [Finding("class id", file, frame, text)]
