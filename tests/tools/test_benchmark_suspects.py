"""The comparison of suspects with errors that are known."""

from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
from benchmarks.picking import run_pick_benchmark
from benchmarks.planted_errors import plant_errors
from benchmarks.planted_frames import run_region_benchmark
from benchmarks.suspects import run_kind_benchmark, run_suspect_benchmark
from support.suspect_sets import PLACES, detected_frames, sound_frames

from bdd100k_d2.data.labels import write_frames
from bdd100k_d2.suspects.records import box_overlap
from bdd100k_d2.tasks import TASKS

NAMES = TASKS["sem_seg"].names


def test_planted_errors_are_where_they_are_said_to_be() -> None:
    sound = sound_frames()
    planted = plant_errors(sound, 0.05, 0, (160, 96))
    assert planted.num_labels == 240
    assert Counter(one.kind for one in planted.errors) == dict.fromkeys(
        ("missing label", "phantom", "class", "placement"), 12
    )
    assert sum(len(frame.labels) for frame in planted.frames) == 240
    before, after = ({frame.name: frame for frame in frames} for frames in (sound, planted.frames))
    for error in planted.errors:
        labels = after[error.frame].labels
        boxes = [(one.box2d.x1, one.box2d.y1, one.box2d.x2, one.box2d.y2) for one in labels]
        if error.kind == "missing label":
            assert error.place == -1 and error.box not in boxes
        elif error.kind == "phantom":
            assert labels[error.place].id.startswith("planted") and error.box is None
        else:
            label = labels[error.place]
            old = next(one for one in before[error.frame].labels if one.id == label.id)
            assert (label.category != old.category) == (error.kind == "class")
            assert (boxes[error.place] == error.box) == (error.kind == "class")
            assert box_overlap(boxes[error.place], error.box) >= 0.3
    # The same seed plants the same errors, and the sound labels stay as they are.
    assert plant_errors(sound, 0.05, 0, (160, 96)) == planted
    assert sound == sound_frames()


def test_a_good_model_finds_them_and_chance_does_not(tmp_path: Path) -> None:
    truth, predicted = tmp_path / "truth.json", tmp_path / "run.json"
    write_frames(sound_frames(), truth)
    write_frames(detected_frames(), predicted)
    report = run_suspect_benchmark(truth, predicted, 0.05, 48, 1, None, None)
    ours, chance = report.rows
    assert (report.frames, report.labels, report.errors) == (60, 240, 48)
    assert ours.right > 0.9 and ours.recall > 0.9 and chance.right < 0.4
    lines = report.text().splitlines()
    assert lines[0] == "60 frames, 240 labels, 48 planted errors, the first 48 suspects, mean of 1 seeds"
    assert lines[4].startswith("| tools/suspects.py | ") and len(lines) == 6


def test_what_picked_images_show(tmp_path: Path) -> None:
    frames = sound_frames()
    frames[7].labels[0].category = "train"
    found = detected_frames()
    found[7].labels[0].category = "train"
    write_frames(frames, tmp_path / "truth.json")
    write_frames(found, tmp_path / "run.json")
    report = run_pick_benchmark(tmp_path / "truth.json", tmp_path / "run.json", 2)
    rows = {what: (picked, mean) for what, picked, mean, _ in report.rows}
    picked, mean = rows["objects of rare classes"]
    assert picked == 0.5 and mean == pytest.approx(1 / 60, abs=0.01)
    assert rows["objects"] == (4.0, 4.0)


def test_wrong_times_of_day_and_boxes_that_masks_tell_of(tmp_path: Path) -> None:
    frames = sound_frames()
    (tmp_path / "images").mkdir()
    (tmp_path / "masks").mkdir()
    for i, frame in enumerate(frames):
        frame.attributes.timeofday = "night" if i % 2 else "daytime"
        level = np.full((96, 160, 3), 20 if i % 2 else 120, np.uint8)
        cv2.imwrite(str(tmp_path / "images" / frame.name), level)
        mask = np.zeros((96, 160), np.uint8)
        for label, (x1, y1, x2, y2) in zip(frame.labels, PLACES, strict=True):
            mask[y1 : y2 + 1, x1 : x2 + 1] = NAMES.index("person" if label.category == "pedestrian" else label.category)
        cv2.imwrite(str(tmp_path / "masks" / f"{frame.name[:-4]}.png"), mask)
    truth, predicted = tmp_path / "truth.json", tmp_path / "run.json"
    write_frames(frames, truth)
    write_frames(detected_frames(), predicted)
    report = run_kind_benchmark(truth, predicted, 0.05, 100, 1, tmp_path / "images", tmp_path / "masks")
    times, masks = report.rows
    assert (times.kind, times.planted, times.first, times.right) == ("time of day", 3, 3, 3)
    # Of badly placed boxes masks say little.
    assert masks.planted == 48 and masks.right > 0.8 * masks.first and masks.found >= 30
    assert report.text().splitlines()[2] == "| time of day | 3 | 3 | 100 % | 100 % | 5 % |"


def test_wrong_regions(tmp_path: Path) -> None:
    for folder in ("masks", "found"):
        (tmp_path / folder).mkdir()
    for i in range(40):
        mask = np.repeat(np.array([10, 2, 0], np.uint8), 80)[:, None].repeat(320, axis=1)
        cv2.imwrite(str(tmp_path / "masks" / f"{i:02d}.png"), mask)
        cv2.imwrite(str(tmp_path / "found" / f"{i:02d}.png"), np.roll(mask, i % 3, axis=0))
    report = run_region_benchmark(tmp_path / "masks", tmp_path / "found", 0.05, 4, 1, 30)
    (row,) = report.rows
    assert row.kind == "region" and row.first == row.right == row.found == 4 and row.planted >= 4
    assert row.chance == row.planted / 90
