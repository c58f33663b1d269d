"""Drawn films: exact ids, the official layout, and that the frames of before are the same without them."""

import json
from collections import defaultdict
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from streets import films, make_sample, render, scenes
from streets.film import film_scene, film_street
from streets.scene import frame_plans

from bdd100k_d2.data.labels import Frame
from bdd100k_d2.data.videos import read_videos
from bdd100k_d2.evaluation.files.evaluate import evaluate_files
from bdd100k_d2.evaluation.toolkit_format import summary
from bdd100k_d2.tasks import SCORED_TASKS


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("films")
    assert make_sample(folder, 0, 0, 0, seed=3, films=1, film_frames=4)
    return folder


def test_the_layout_is_the_official_one(root: Path) -> None:
    base = root / "bdd100k"
    (labels,) = (base / "labels/box_track_20/val").iterdir()
    video = labels.stem
    images = sorted((base / "images/track/val" / video).iterdir())
    assert [path.name for path in images] == [f"{video}-{i + 1:07d}.jpg" for i in range(4)]
    assert cv2.imread(str(images[0])).shape == (720, 1280, 3)
    (frames,) = read_videos(labels).values()
    assert [(frame.name, frame.videoName, frame.frameIndex) for frame in frames] == [
        (path.name, video, i) for i, path in enumerate(images)
    ]
    found = summary(evaluate_files("box_track", labels.parent, labels).official)
    assert (found["MOTA"], found["IDF1"]) == (100, 100)
    assert {label.category for frame in frames for label in frame.labels} <= {*SCORED_TASKS["box_track"].names}


def test_the_same_seed_gives_the_same_film_and_it_is_left_alone(root: Path, tmp_path: Path) -> None:
    make_sample(tmp_path, 0, 0, 0, seed=3, films=1, film_frames=4)
    assert _files(tmp_path) == _files(root)
    assert not make_sample(tmp_path, 0, 0, 0, seed=3, films=1, film_frames=4)
    assert make_sample(tmp_path, 0, 0, 0, seed=3, force=True)
    assert not list(tmp_path.rglob("*.jpg")) and not list(tmp_path.rglob("box_track_20"))


def _files(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_a_manifest_without_films_is_as_before(tmp_path: Path) -> None:
    make_sample(tmp_path, 0, 0, 0)
    manifest = json.loads((tmp_path / "bdd100k/sample.json").read_text())
    assert manifest == {"version": 1, "train": 0, "val": 0, "test": 0, "seed": 0}


def test_objects_keep_number_class_and_course() -> None:
    """From one frame to the next, a box moves and grows by little; what is new comes at an end of the street."""
    for _, frames in films(1, 8, seed=5):
        boxes = [{label.id: (label.category, label.box2d) for label in render(scene).labels()} for scene in frames]
    shared = 0
    for before, after in pairwise(boxes):
        for number in before.keys() & after.keys():
            (category, one), (other_category, other) = before[number], after[number]
            assert category == other_category
            middle = np.array([one.x1 + one.x2 - other.x1 - other.x2, one.y1 + one.y2 - other.y1 - other.y2]) / 2
            # What comes towards the camera passes a metre and a half between two frames.
            assert np.abs(middle).max() < 60 + 0.6 * (one.x2 - one.x1)
            shared += 1
    assert shared > 20


def test_the_camera_drives_and_the_parked_stand() -> None:
    (plan,) = frame_plans([9, 2, 1], 1)
    street = film_street(plan, np.random.default_rng(4), 30)
    late = film_scene(street, 20)
    assert street.road.junction is None and late.travelled > 0
    then = {thing.track: thing for thing in street.things}
    assert len(then) == len(street.things)
    speeds = defaultdict(set)
    for thing in late.things:
        before = then[thing.track]
        assert (thing.kind, thing.size, thing.seed) == (before.kind, before.size, before.seed)
        speeds[thing.kind].add(round((thing.z - before.z) + late.travelled, 6))
    assert speeds["building"] | speeds["traffic sign"] | speeds["pole"] | speeds["lamp"] <= {0.0}
    assert max(map(len, speeds.values())) > 1
    for rider in (thing for thing in late.things if thing.kind == "rider"):
        assert any(one.kind == rider.state and (one.x, one.z) == (rider.x, rider.z) for one in late.things)


def test_the_frames_of_data_sets_are_not_changed_by_films() -> None:
    ((_, scene),) = scenes("100k", "val", 1)
    labels = render(scene).labels()
    assert scene.travelled == 0 and all(thing.track is None for thing in scene.things)
    assert [label.id for label in labels] == [str(i) for i in range(len(labels))]


def test_frames_of_a_film_are_records(root: Path) -> None:
    (frames,) = read_videos(root / "bdd100k/labels/box_track_20/val").values()
    assert all(isinstance(frame, Frame) and frame.attributes.weather for frame in frames)
