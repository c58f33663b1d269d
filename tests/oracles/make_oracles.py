"""Makes the problems of this folder by seed, and keeps the scores that the official toolkit gives for them.

    PYTHONPATH=tests:tools python tests/oracles/make_oracles.py

is run by hand, from the repository, when a problem is added or changed. The first run installs bdd100k 1.0.1 and
scalabel 0.3.1 into the user's cache (`tools/benchmarks/toolkit.py`), which takes a network; the tests need neither.
Each case has a folder with its files and `scores.json`, in which absent classes are NaN. What docs/EVALUATION.md lists
as wrong in the toolkit is in no problem.
"""

import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import cv2
import msgspec
import numpy as np
from benchmarks.toolkit import run_toolkit
from support.random_boxes import random_frames
from support.random_files import (
    mask_frame,
    random_masks,
    write_instance_bitmasks,
    write_instance_run_lengths,
    write_many_instances,
    write_masks,
    write_panoptic_bitmasks,
    write_panoptic_run_lengths,
)
from support.random_tracks import random_videos

from bdd100k_d2.data.labels import HEIGHT, WIDTH, Box2D, FrameAttributes, Label, LabelAttributes, write_frames
from bdd100k_d2.data.vintages import read_labels
from bdd100k_d2.evaluation.toolkit_format import write_toolkit_scores

FOLDER = Path(__file__).parent


class Case(NamedTuple):
    """A problem: a task, and paths below the folder of all cases. Some cases share a file."""

    task: str
    truth: str
    predicted: str
    score_file: str | None = None


CASES = {
    "det": Case("det", "det/gt.json", "det/pred.json"),
    "det_empty": Case("det", "det/gt.json", "det_empty/pred.json"),
    "det_rainy": Case("det", "det_rainy/gt.json", "det/pred.json"),
    "det_occluded": Case("det", "det_occluded/gt.json", "det/pred.json"),
    "sem_seg": Case("sem_seg", "sem_seg/gt", "sem_seg/pred"),
    "sem_seg_rle": Case("sem_seg", "sem_seg_rle/gt.json", "sem_seg_rle/pred.json"),
    "sem_seg_rle_empty": Case("sem_seg", "sem_seg_rle/gt.json", "sem_seg_rle_empty/pred.json"),
    "drivable": Case("drivable", "drivable/gt", "drivable/pred"),
    "drivable_rle": Case("drivable", "drivable_rle/gt.json", "drivable_rle/pred.json"),
    "ins_seg": Case("ins_seg", "ins_seg/gt", "ins_seg/pred", "ins_seg/score.json"),
    "ins_seg_many": Case("ins_seg", "ins_seg_many/gt", "ins_seg_many/pred", "ins_seg_many/score.json"),
    "ins_seg_rle": Case("ins_seg", "ins_seg_rle/gt.json", "ins_seg_rle/pred.json"),
    "ins_seg_rle_empty": Case("ins_seg", "ins_seg_rle/gt.json", "ins_seg_rle_empty/pred.json"),
    "pan_seg": Case("pan_seg", "pan_seg/gt", "pan_seg/pred"),
    "pan_seg_rle": Case("pan_seg", "pan_seg_rle/gt.json", "pan_seg_rle/pred.json"),
    "pan_seg_rle_empty": Case("pan_seg", "pan_seg_rle/gt.json", "pan_seg_rle_empty/pred.json"),
    "box_track": Case("box_track", "box_track/gt.json", "box_track/pred.json"),
}


def make_problems(root: Path) -> None:
    """Writes the files of all cases but their scores; the same ones each time."""
    for name in CASES:
        (root / name).mkdir()
    _make_boxes(root)
    for task in ("sem_seg", "drivable"):
        _make_masks(root, task)
    write_instance_bitmasks(root / "ins_seg", 20, frames=12, size=(260, 300))
    write_many_instances(root / "ins_seg_many")
    write_instance_run_lengths(root / "ins_seg_rle", 1, (150, 170))
    write_panoptic_bitmasks(root / "pan_seg", 0)
    write_panoptic_run_lengths(root / "pan_seg_rle", 0)
    for side, frames in zip(("gt", "pred"), random_videos(1), strict=True):
        write_frames(frames, root / "box_track" / f"{side}.json")
    for task in ("sem_seg", "ins_seg", "pan_seg"):
        # Labels without a mask are no predictions.
        _change_labels(
            root / f"{task}_rle/pred.json", root / f"{task}_rle_empty/pred.json", lambda label: {"rle": None}
        )


def _make_boxes(root: Path) -> None:
    truth, found = random_frames(12)
    rng = np.random.default_rng(14)
    # A row of cars, each found four times: of each class, the best hundred of a frame count.
    (crowded,) = (frame for frame in truth if frame.name == found[0].name)
    row = [Box2D(8.0 * k, 2.0 * k, 8.0 * k + 60, 2.0 * k + 40) for k in range(120)]
    crowded.labels += [Label(id=f"row {k}", category="car", box2d=row[k]) for k in range(0, 120, 4)]
    found[0].labels += [Label(id="0", category="car", score=(1 + k % 7) / 10, box2d=box) for k, box in enumerate(row)]
    for frame in truth:
        frame.attributes = FrameAttributes(weather=str(rng.choice(["clear", "rainy", "undefined"])))
        for label in frame.labels or []:
            label.attributes = label.attributes or LabelAttributes()
            label.attributes.occluded, label.attributes.truncated = (bool(rng.random() < 0.4) for _ in range(2))
    for label in (label for frame in (*truth, *found) for label in frame.labels or []):
        # No digit depends on a machine's logarithm, of which jitter is made.
        label.box2d = Box2D(*(round(corner, 2) for corner in msgspec.structs.astuple(label.box2d)))
    write_frames(truth, root / "det/gt.json")
    write_frames(found, root / "det/pred.json")
    write_frames([frame for frame in truth if frame.attributes.weather == "rainy"], root / "det_rainy/gt.json")
    _change_labels(root / "det/pred.json", root / "det_empty/pred.json", lambda label: {"box2d": None})

    def others_are_crowds(label: Label) -> dict[str, object]:
        crowd = label.attributes.crowd or not label.attributes.occluded
        return {"attributes": msgspec.structs.replace(label.attributes, crowd=crowd)}

    _change_labels(root / "det/gt.json", root / "det_occluded/gt.json", others_are_crowds)


def _change_labels(source: Path, target: Path, change: Callable[[Label], dict[str, object]]) -> None:
    """Writes ``source`` with some fields of each label changed."""
    frames = read_labels(source).frames
    for frame in frames:
        frame.labels = frame.labels and [msgspec.structs.replace(label, **change(label)) for label in frame.labels]
    write_frames(frames, target)


def _make_masks(root: Path, task: str) -> None:
    """Masks and run lengths of BDD100K's size, which the toolkit asks for; the last frame is not predicted."""
    for kind, shape in (("", (8, 10)), ("_rle", (4, 10))):
        cell = np.ones((HEIGHT // shape[0], WIDTH // shape[1]), np.uint8)
        for side, masks in zip(("gt", "pred"), random_masks(task, 4, 7, shape), strict=True):
            masks = {name: np.kron(mask, cell) for name, mask in masks.items() if (side, name) != ("pred", "f3")}
            if kind:
                frames = [mask_frame(name, mask, task) for name, mask in masks.items()]
                write_frames(frames, root / f"{task}_rle" / f"{side}.json")
            else:
                write_masks(root / task / side, masks, cv2.IMWRITE_PNG_COMPRESSION, 9)


def main() -> None:
    """Makes all cases anew."""
    logging.basicConfig(level=logging.INFO)
    for name in CASES:
        shutil.rmtree(FOLDER / name, ignore_errors=True)
    make_problems(FOLDER)
    for name, case in CASES.items():
        score_file = FOLDER / case.score_file if case.score_file else None
        scores = run_toolkit(case.task, FOLDER / case.truth, FOLDER / case.predicted, score_file)
        write_toolkit_scores(scores, FOLDER / name / "scores.json")
        logging.info("%s: done", name)


if __name__ == "__main__":
    main()
