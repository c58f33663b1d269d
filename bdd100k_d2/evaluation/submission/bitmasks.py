"""Submissions of ins_seg and pan_seg: a bitmask a frame, and for ins_seg the scores of its instances."""

from collections.abc import Collection
from functools import partial
from pathlib import PurePosixPath

import msgspec
import numpy as np

from ...data.bitmasks import CROWD, IGNORED, Bitmask, decode_bitmask
from ...data.png import RGBA
from ...errors import DataError
from ...parallel import map_frames
from ...tasks import TASKS
from .finding import Finding
from .images import match_images, png_pixels
from .masks import one_folder
from .members import Members, extra_files
from .records import read_records


class _Instance(msgspec.Struct, gc=False):
    index: int
    score: float


_NO_INSTANCE = np.zeros(0, np.int64)

MAX_SEGMENTS = 100
"""Of an image's panoptic prediction; the toolkit's table of overlaps has no room for more."""


def check_instances(members: Members, frames: Collection[str], size: tuple[int, int], processes: int) -> list[Finding]:
    """Checks ``bitmasks/`` and ``score.json`` against each other; arguments as of ``check_submission``."""
    found = [name for name in members.names if PurePosixPath(name).name == "score.json"]
    if len(found) != 1:
        text = "has to lie beside the folder bitmasks, once"
        return [Finding("layout", "score.json", None, f"{len(found)} files of this name; it {text}")]
    (score_file,) = found
    base = PurePosixPath(score_file).parent
    files = [name for name in members.names if PurePosixPath(name).parent == base / "bitmasks" and _is_png(name)]
    findings = extra_files(members, [score_file, *files])
    if members.is_zip and base.parts:
        text = f"the server looks for bitmasks and score.json at the top of the zip, not in {base}"
        findings.append(Finding("layout", score_file, None, text))
    pairs, unmatched = match_images(files, frames)
    findings += unmatched
    scores: dict[str, np.ndarray] = {}
    for name, labels in read_records(members, score_file, frames, _Instance, findings, by_stem=True):
        scores[name] = np.array([label.index for label in labels], np.int64)
        if not np.isfinite([label.score for label in labels]).all():
            findings.append(Finding("score", score_file, name, "a score is not finite"))
    items = [(file, frame, scores.get(frame, _NO_INSTANCE)) for file, frame in pairs]
    for found in map_frames(partial(_check_instances, members, size), items, processes, "checking bitmasks"):
        findings += found
    return findings


def check_panoptic(members: Members, frames: Collection[str], size: tuple[int, int], processes: int) -> list[Finding]:
    """Checks that there is a bitmask of segments for every frame; arguments as of ``check_submission``."""
    files = [name for name in members.names if _is_png(name)]
    pairs, findings = match_images(files, frames)
    findings += one_folder(files) + extra_files(members, files)
    for found in map_frames(partial(_check_panoptic, members, size), pairs, processes, "checking bitmasks"):
        findings += found
    return findings


def _is_png(name: str) -> bool:
    return name.endswith(".png")


def _check_instances(members: Members, size: tuple[int, int], item: tuple[str, str, np.ndarray]) -> list[Finding]:
    file, frame, scored = item
    bitmask, findings = _read(members, file, frame, size, "ins_seg")
    if bitmask is None:
        return findings
    if len(np.unique(scored)) < len(scored):
        findings.append(Finding("instance", file, frame, "an index stands twice in score.json"))
    for indices, text in (
        (np.setdiff1d(bitmask.ids, scored), "have no score in score.json"),
        (np.setdiff1d(scored, bitmask.ids), "of score.json have no pixel; leave out hidden instances"),
    ):
        if len(indices):
            findings.append(Finding("instance", file, frame, f"{len(indices)} instances ({_some(indices)}) {text}"))
    return findings


def _check_panoptic(members: Members, size: tuple[int, int], pair: tuple[str, str]) -> list[Finding]:
    bitmask, findings = _read(members, *pair, size, "pan_seg")
    if bitmask is not None and (bitmask.attributes & (CROWD | IGNORED)).any():
        findings.append(Finding("instance", *pair, "segments are marked as crowd or ignored, and would not be scored"))
    if bitmask is not None and len(bitmask.ids) > MAX_SEGMENTS:
        text = f"{len(bitmask.ids)} segments; the official tool fails on more than {MAX_SEGMENTS} in an image"
        findings.append(Finding("instance", *pair, text))
    return findings


def _read(
    members: Members, file: str, frame: str, size: tuple[int, int], task: str
) -> tuple[Bitmask | None, list[Finding]]:
    try:
        bitmask = decode_bitmask(png_pixels(members.read(file), RGBA, size), "the bitmask")
    except DataError as error:
        return None, [Finding("image", file, frame, str(error))]
    findings = []
    num_classes = TASKS[task].num_classes
    wrong = bitmask.ids[(bitmask.categories < 1) | (bitmask.categories > num_classes)]
    if len(wrong):
        text = f"instances {_some(wrong)} have category ids other than 1 to {num_classes}"
        findings.append(Finding("category", file, frame, text))
    return bitmask, findings


def _some(values: np.ndarray) -> str:
    return ", ".join(map(str, values[:5].tolist())) + (", ..." if len(values) > 5 else "")
