"""The PNG files of a submission: which frames they are of; and those of sem_seg and drivable, a mask for each frame."""

from collections.abc import Callable, Collection, Sequence
from functools import partial
from pathlib import PurePosixPath

import numpy as np

from ...data.image_names import image_stem
from ...data.png import GREY, PALETTE, PngForm, kind_name, png_pixels
from ...errors import DataError
from ...parallel import map_frames
from ...tasks import TASKS
from .members import Defect, Members, extra_files


def match_files(files: Sequence[str], frames: Collection[str]) -> tuple[list[tuple[str, str]], list[Defect]]:
    """Matches PNG files to frames by their stems: the pairs (file, frame), and missing, extra and repeated frames."""
    by_stem = {image_stem(PurePosixPath(frame).name): frame for frame in frames}
    pairs, defects = [], []
    seen: set[str] = set()
    for file in files:
        stem = image_stem(PurePosixPath(file).name)
        if stem not in by_stem:
            defects.append(Defect("extra frame", file, None, "no image of the split has this name"))
            continue
        if stem in seen:
            defects.append(Defect("frame twice", file, by_stem[stem], "another file is of the same frame"))
        seen.add(stem)
        pairs.append((file, by_stem[stem]))
    for stem in sorted(by_stem.keys() - seen):
        defects.append(Defect("missing frame", f"{stem}.png", by_stem[stem], "has no file"))
    return pairs, defects


def submitted_form(*color_types: int) -> PngForm:
    """The form of the PNG files of a submission, of 8 bits: `GREY` or `PALETTE` for masks, `RGBA` for bitmasks."""
    kind = f"has to be {' or '.join(map(kind_name, color_types))} of 8 bits, is {{kind}}"
    damaged = "is a damaged PNG file ({error}); write it again"
    return PngForm(color_types, kind, kind, damaged, "is an empty file; write it again", "is {kind}; write PNG files")


# The official tool takes the indices of a palette for the class ids.
_MASK = submitted_form(GREY, PALETTE)


def check_mask_files(
    task: str, members: Members, frames: Collection[str], size: tuple[int, int], processes: int
) -> list[Defect]:
    """Checks that there is a mask of class ids for every frame; arguments as of ``CHECKS``."""
    check = partial(_check_mask, members, TASKS[task].num_classes, size)
    return check_files(members, members.visible(".png"), frames, check, processes, "checking masks")


def check_files(
    members: Members,
    files: Sequence[str],
    frames: Collection[str],
    check: Callable[[tuple[str, str]], list[Defect]],
    processes: int,
    what: str,
) -> list[Defect]:
    """Checks that the submission has one PNG file per frame and nothing else, and each pair (file, frame)."""
    pairs, defects = match_files(files, frames)
    if not files:
        text = "holds no PNG file; the server takes one for each image of the split, in a zip"
        return [Defect("layout", members.path.name, None, text), *extra_files(members, files)]
    defects += _one_folder(files) + extra_files(members, files)
    for found in map_frames(check, pairs, processes, what):
        defects += found
    return defects


def _one_folder(files: Collection[str]) -> list[Defect]:
    """Defects of files that lie neither at the top nor all in one folder there."""
    folders = sorted({PurePosixPath(file).parent for file in files})
    if len(folders) <= 1 and all(len(folder.parts) <= 1 for folder in folders):
        return []
    text = f"PNG files lie in {len(folders)} folders; the server takes them at the top or in one folder"
    return [Defect("layout", folder.as_posix(), None, text) for folder in folders]


def _check_mask(members: Members, num_classes: int, size: tuple[int, int], pair: tuple[str, str]) -> list[Defect]:
    file, frame = pair
    try:
        mask = png_pixels(members.read(file), _MASK, size=size)
    except DataError as error:
        return [Defect("image", file, frame, str(error))]
    if mask.max() < num_classes:
        return []
    wrong = mask[mask >= num_classes]
    ids = ", ".join(map(str, np.unique(wrong).tolist()))
    text = f"{len(wrong):,} pixels have the ids {ids}; classes are 0 to {num_classes - 1}, others score as wrong"
    return [Defect("class id", file, frame, text)]
