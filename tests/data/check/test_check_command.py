"""tools/check_dataset.py as a user runs it, its JSON, and its statistics."""

import json
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import cv2
import msgspec
import numpy as np
import pytest
from support import ROOT
from support import check_roots as roots
from support.commands import run_tool

from bdd100k_d2.data.check.boxes import box_table
from bdd100k_d2.data.check.dataset import check_dataset
from bdd100k_d2.data.check.plots import write_statistics
from bdd100k_d2.data.check.report import Report, write_report
from bdd100k_d2.data.check.statistics import GRID, SIZE_EDGES, Statistics
from bdd100k_d2.data.labels import Frame, FrameAttributes, ImageSize

TOOL = ROOT / "tools/check_dataset.py"


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return roots.make_sound_root(tmp_path_factory.mktemp("sound"))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return roots.make_sound_root(tmp_path / "root")


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    return run_tool("check_dataset", *arguments)


def test_a_reader_who_has_seen_enough_sees_no_traceback(sound: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as pipe:
        command = [sys.executable, TOOL, "--root", sound, "--task", "det", "--fast"]
        done = subprocess.run(command, stdout=pipe, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_sound_part_exits_with_0_and_what_breaks_training_with_1(root: Path, tmp_path: Path) -> None:
    out = tmp_path / "out/report.json"
    done = run("--root", root, "--task", "det", "--json", out)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "bdd100k_det_train" in done.stdout and "3 of 69,863" in done.stdout
    assert "Every image and mask was read. Nothing breaks training." in done.stdout
    report = json.loads(out.read_text())
    assert report["breaks_training"] is False and {f["kind"] for f in report["findings"]} == {"incomplete"}
    done = run("--root", root, "--task", "sem_seg", "--stats", tmp_path / "stats")
    assert f"2 files of statistics are in {tmp_path / 'stats'}" in done.stdout.splitlines()
    assert (tmp_path / "stats/sem_seg_pixels_per_class.png").exists()

    roots.cut(roots.image(root))
    done = run("--root", root, "--task", "det", "--json", out)
    assert done.returncode == 1
    assert "BREAKS TRAINING\n* unreadable image: 1." in done.stdout
    assert "bdd100k/images/100k/train: train1.jpg: image file is truncated" in done.stdout
    assert "Training would break: mend the 1 finding at the top." in done.stdout
    assert json.loads(out.read_text())["breaks_training"] is True
    # Of what cannot be decoded --fast knows nothing.
    done = run("--root", root, "--task", "det", "--fast")
    assert done.returncode == 0 and "not read (--fast)" in done.stdout


def test_bad_arguments(sound: Path, tmp_path: Path) -> None:
    done = run("--root", tmp_path)
    assert done.returncode == 2 and done.stderr.startswith("error: ") and "no folder bdd100k" in done.stderr
    for option in ("--json", "--stats"):
        done = run("--root", sound, option, sound / "bdd100k/labels/new")
        assert done.returncode == 2 and "lies in the data, which is only read" in done.stderr
    assert run("--root", sound, "--task", "boxes").returncode == 2


@pytest.mark.parametrize("option", ["--json", "--stats"])
def test_linked_folders_of_the_data_are_data(sound: Path, tmp_path: Path, option: str) -> None:
    root, store = tmp_path / "root", tmp_path / "store"
    shutil.copytree(sound, store)
    (root / "bdd100k").mkdir(parents=True)
    for name in ("images", "labels"):
        (root / "bdd100k" / name).symlink_to(store / "bdd100k" / name)
    before = sorted(store.rglob("*"))
    for place in ("images", "labels/new", "images/100k/val/a"):
        done = run("--root", root, option, store / "bdd100k" / place)
        assert done.returncode == 2 and "lies in the data, which is only read" in done.stderr
    assert sorted(store.rglob("*")) == before


def test_the_data_stay_as_they_are(root: Path, tmp_path: Path) -> None:
    """All of it is read-only; what it holds and when it was changed stays."""
    places = [root, *sorted(root.rglob("*"))]
    for place in places:
        place.chmod(place.stat().st_mode & ~(stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH))
    before = [(place, place.stat().st_mtime_ns, place.stat().st_size) for place in places]
    try:
        report = check_dataset(root, released=roots.RELEASED, workers=1)
        assert report.findings == []
        assert before == [(p, p.stat().st_mtime_ns, p.stat().st_size) for p in [root, *sorted(root.rglob("*"))]]
    finally:
        for place in places:
            place.chmod(place.stat().st_mode | stat.S_IWUSR)


def test_json_round_trip(root: Path, tmp_path: Path) -> None:
    roots.add_box(root, "car", 50, 2, 30, 40)
    report = check_dataset(root, fast=True)
    assert len({finding.severity for finding in report.findings}) == 2
    write_report(report, tmp_path / "report.json")
    assert msgspec.json.decode((tmp_path / "report.json").read_bytes(), type=Report) == report


def test_the_messages_of_libjpeg_are_not_printed(root: Path) -> None:
    roots.damage_jpeg(roots.image(root))
    # A process of its own, because libjpeg writes past Python's standard error.
    command = [sys.executable, TOOL, "--root", root, "--task", "det", "--workers", "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stderr == "" and "train1.jpg: Corrupt JPEG data" in done.stdout and done.returncode == 0


def test_the_real_part(real_root: Path) -> None:
    """What is there is sound; only the released rest is missing, and of pan_seg val, not asked for, all labels."""
    report = check_dataset(real_root, workers=2)
    kinds = {finding.kind for finding in report.findings}
    assert kinds == {"split that cannot be used", "incomplete", "image without labels", "image without mask"}
    assert not report.breaks_training
    assert [f.place for f in report.findings if f.kind == "split that cannot be used"] == [
        str(real_root / "bdd100k/labels/pan_seg/bitmasks/val")
    ]
    facts = {facts.name: facts for facts in report.datasets}
    assert (facts["bdd100k_det_val"].objects, facts["bdd100k_det_val"].vintage) == (34, "det_20")
    assert not check_dataset(real_root, ["det", "sem_seg", "ins_seg"], fast=True).breaks_training


# Statistics


def test_statistics_count_by_hand() -> None:
    frames = [
        Frame(
            "a.jpg",
            attributes=FrameAttributes("clear", "highway", "night"),
            labels=[
                roots.label("0", "car", 0, 0, 639, 359),
                roots.label("1", "bike", 100, 100, 115, 115),
                roots.label("2", "trailer", 0, 0, 49, 49),
                roots.label("3", "nothing", 0, 0, 49, 49),
                roots.label("4", "car", 30, 0, 10, 49),
            ],
        ),
        Frame("b.jpg", size=ImageSize(640, 360), labels=[roots.label("0", "car", 0, 0, 319, 179)]),
        Frame("c.jpg"),
    ]
    statistics = Statistics()
    statistics.add_boxes("val", box_table(frames))
    one = statistics.boxes["val"]
    # The trailer is a truck; the unknown and the reversed one are left out.
    assert one.classes.tolist() == [0, 0, 2, 1, 0, 0, 0, 1, 0, 0] and one.frames == 3
    assert one.small_medium_large.tolist() == [1, 1, 2]
    assert one.sizes.sum(axis=1).tolist() == one.classes.tolist()
    (place,) = np.flatnonzero(one.sizes[7])
    assert SIZE_EDGES[place] <= 16 < SIZE_EDGES[place + 1]
    # Both cars cover the upper left quarter, one of them of an image of half the size.
    assert one.places.shape == GRID
    expected = np.zeros(GRID, np.int64)
    expected[:18, :32] = 2
    expected[:2, :2] += 1
    assert one.places[10:, 10:].tolist() == expected[10:, 10:].tolist()
    assert one.places[0, 0] == 3 and one.places[17, 31] == 2 and one.places[18, 32] == 0
    assert one.boxes_a_frame[[0, 1, 5]].tolist() == [1, 1, 1]
    assert one.attributes["timeofday"] == {"night": 1}
    assert one.flags == {"occluded": 0, "truncated": 0, "crowd": 0}


def test_statistics_are_written_with_images(sound: Path, tmp_path: Path) -> None:
    statistics = Statistics()
    check_dataset(sound, released=roots.RELEASED, workers=1, statistics=statistics)
    paths = write_statistics(statistics, tmp_path / "stats")
    assert sorted(path.name for path in paths) == sorted(
        [
            "statistics.json",
            *("boxes_per_class.png", "box_sizes.png", "box_positions.png", "boxes_per_frame.png", "attributes.png"),
            *("sem_seg_pixels_per_class.png", "drivable_pixels_per_class.png"),
            *("ins_seg_instances_per_class.png", "pan_seg_instances_per_class.png"),
        ]
    )
    for path in paths[1:]:
        image = cv2.imread(str(path))
        # Wide enough to read, and drawn on: not a white page.
        assert image.shape[1] > 700 and image.min() < 90 and image.std() > 8, path
    found = json.loads(paths[0].read_text())
    # Another vehicle is an ignored car.
    assert found["det"]["train"]["boxes"]["car"] == 6 and found["det"]["val"]["boxes"]["pedestrian"] == 3
    assert found["det"]["train"]["attributes"]["weather"] == {"clear": 3}
    assert found["sem_seg_train"]["pole"] == 3 * 720 * 1280
    assert found["ins_seg_val"] == dict.fromkeys(found["ins_seg_val"], 0) | {"car": 3, "truck": 3}
    assert found["drivable_val"] == {"direct": 0, "alternative": 3 * 720 * 1280, "background": 0}


def test_no_labels_give_no_images(tmp_path: Path) -> None:
    assert [path.name for path in write_statistics(Statistics(), tmp_path)] == ["statistics.json"]
