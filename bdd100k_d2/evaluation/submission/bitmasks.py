"""Submissions of ins_seg and pan_seg: one bitmask per frame, and for ins_seg the scores of its instances."""

from collections.abc import Collection
from functools import partial
from pathlib import PurePosixPath

import numpy as np

from ...data.bitmasks import CROWD, IGNORED, Bitmask, decode_bitmask
from ...data.png import RGBA, png_pixels
from ...data.score_file import ScoredInstance
from ...errors import DataError
from ...parallel import map_frames
from ...tasks import TASKS
from .lists import check_panoptic_list
from .masks import check_files, match_files, submitted_form
from .members import Defect, Members, extra_files
from .records import read_records

_BITMASK = submitted_form(RGBA)
_LARGE_INDEX = 1 << 32
_NO_INSTANCE = np.zeros(0, np.int64)

MAX_SEGMENTS = 100
"""Of an image's panoptic prediction; the toolkit's table of overlaps has no room for more."""


def check_instances(members: Members, frames: Collection[str], size: tuple[int, int], processes: int) -> list[Defect]:
    """Checks ``bitmasks/`` and ``score.json`` against each other; arguments as of ``CHECKS``."""
    score_files = [name for name in members.names if PurePosixPath(name).name == "score.json"]
    if len(score_files) != 1:
        text = "has to lie beside the folder bitmasks, once"
        return [Defect("layout", "score.json", None, f"{len(score_files)} files of this name; it {text}")]
    (score_file,) = score_files
    base = PurePosixPath(score_file).parent
    files = [name for name in members.visible(".png") if PurePosixPath(name).parent == base / "bitmasks"]
    defects = extra_files(members, [score_file, *files])
    if members.is_zip and base.parts:
        text = f"the server looks for bitmasks and score.json at the top of the zip, not in {base}"
        defects.append(Defect("layout", score_file, None, text))
    pairs, unmatched = match_files(files, frames)
    defects += unmatched
    scores: dict[str, np.ndarray] = {}
    for name, labels in read_records(members, score_file, frames, ScoredInstance, defects, of_bitmasks=True):
        # No bitmask has instances of larger numbers, and NumPy has no larger ones.
        scores[name] = np.array([max(-1, min(label.index, _LARGE_INDEX)) for label in labels], np.int64)
        if not np.isfinite([label.score for label in labels]).all():
            defects.append(Defect("score", score_file, name, "a score is not finite"))
    items = [(file, frame, scores.get(frame, _NO_INSTANCE)) for file, frame in pairs]
    for found in map_frames(partial(_check_instances, members, size), items, processes, "checking bitmasks"):
        defects += found
    return defects


def check_panoptic(members: Members, frames: Collection[str], size: tuple[int, int], processes: int) -> list[Defect]:
    """Checks the bitmasks of segments, or the list of their run lengths; arguments as of ``CHECKS``."""
    files = members.visible(".png")
    if not files:
        return check_panoptic_list(members, frames, size)
    check = partial(_check_panoptic, members, size)
    return check_files(members, files, frames, check, processes, "checking bitmasks")


def _check_instances(members: Members, size: tuple[int, int], item: tuple[str, str, np.ndarray]) -> list[Defect]:
    file, frame, scored = item
    bitmask, defects = _read(members, file, frame, size, "ins_seg")
    if bitmask is None:
        return defects
    if len(np.unique(scored)) < len(scored):
        defects.append(Defect("instance", file, frame, "an index stands twice in score.json"))
    for indices, text in (
        (np.setdiff1d(bitmask.ids, scored), "have no score in score.json"),
        (np.setdiff1d(scored, bitmask.ids), "of score.json have no pixel; leave out hidden instances"),
    ):
        if len(indices):
            defects.append(Defect("instance", file, frame, f"{len(indices)} instances ({_some(indices)}) {text}"))
    return defects


def _check_panoptic(members: Members, size: tuple[int, int], pair: tuple[str, str]) -> list[Defect]:
    bitmask, defects = _read(members, *pair, size, "pan_seg")
    if bitmask is not None and (bitmask.attributes & (CROWD | IGNORED)).any():
        defects.append(Defect("instance", *pair, "segments are marked as crowd or ignored, and would not be scored"))
    if bitmask is not None and len(bitmask.ids) > MAX_SEGMENTS:
        text = f"{len(bitmask.ids)} segments; the official tool fails on more than {MAX_SEGMENTS} in an image"
        defects.append(Defect("instance", *pair, text))
    return defects


def _read(
    members: Members, file: str, frame: str, size: tuple[int, int], task: str
) -> tuple[Bitmask | None, list[Defect]]:
    try:
        bitmask = decode_bitmask(png_pixels(members.read(file), _BITMASK, size=size), "the bitmask")
    except DataError as error:
        return None, [Defect("image", file, frame, str(error))]
    defects = []
    num_classes = TASKS[task].num_classes
    wrong = bitmask.ids[(bitmask.categories < 1) | (bitmask.categories > num_classes)]
    if len(wrong):
        text = f"instances {_some(wrong)} have category ids other than 1 to {num_classes}"
        defects.append(Defect("category", file, frame, text))
    return bitmask, defects


def _some(values: np.ndarray) -> str:
    return ", ".join(map(str, values[:5].tolist())) + (", ..." if len(values) > 5 else "")
