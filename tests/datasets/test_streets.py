"""The sample data set: layout, exactness of boxes and masks, determinism, and what an existing folder does."""

import json
import logging
import os
import re
import shutil
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
from streets import Rendering, Scene, make_sample, render, scenes
from streets.camera import NEAR, Camera, clip
from streets.canvas import Canvas, Item

from bdd100k_d2.data import categories
from bdd100k_d2.data.labels import Frame
from bdd100k_d2.data.vintages import read_labels
from bdd100k_d2.errors import ConfigError, OutputError
from bdd100k_d2.tasks import TASKS

COUNTS = {"train": 2, "val": 1, "test": 1}
SEM_SEG = TASKS["sem_seg"].names


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("sample")
    assert make_sample(out, **COUNTS)
    return out / "bdd100k"


@pytest.fixture(scope="module")
def drawn_frame(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("frame")
    assert make_sample(out, train=1, val=0, test=0)
    return out


@pytest.fixture
def frame_root(drawn_frame: Path, tmp_path: Path) -> Path:
    """A sample of a single frame of training, to be changed."""
    return shutil.copytree(drawn_frame, tmp_path / "frame")


@pytest.fixture(scope="module")
def drawn() -> list[tuple[Scene, Rendering]]:
    """Five frames of different plans."""
    return [(scene, render(scene)) for _, scene in scenes("10k", "train", 5)]


def files(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def test_layout_is_the_official_one(sample: Path) -> None:
    found = Counter(str(path.parent.relative_to(sample)) for path in sample.rglob("*") if path.is_file())
    assert found == {
        ".": 1,
        **{f"images/{s}/{split}": n for s in ("100k", "10k") for split, n in COUNTS.items()},
        **{
            f"labels/{task}/masks/{split}": COUNTS[split]
            for task in ("drivable", "sem_seg")
            for split in ("train", "val")
        },
        "labels/det_20": 2,
    }
    assert {path.name for path in (sample / "labels/det_20").iterdir()} == {"det_train.json", "det_val.json"}
    for task, images in (("drivable", "100k"), ("sem_seg", "10k")):
        for split in ("train", "val"):
            masks = {path.stem for path in (sample / f"labels/{task}/masks/{split}").glob("*.png")}
            assert masks == {path.stem for path in (sample / f"images/{images}/{split}").glob("*.jpg")}


def test_images_and_masks_have_the_right_form(sample: Path) -> None:
    for path in sample.rglob("*.jpg"):
        assert cv2.imread(str(path), cv2.IMREAD_UNCHANGED).shape == (720, 1280, 3)
    for task, allowed in (("sem_seg", {*range(19), 255}), ("drivable", {0, 1, 2})):
        for path in (sample / f"labels/{task}").rglob("*.png"):
            mask = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
            assert mask.shape == (720, 1280) and mask.dtype == np.uint8
            assert set(np.unique(mask).tolist()) <= allowed


def test_drivable_masks_hold_the_ego_lane(sample: Path) -> None:
    for path in (sample / "labels/drivable").rglob("*.png"):
        assert np.count_nonzero(cv2.imread(str(path), cv2.IMREAD_UNCHANGED) == 0) > 5000


def test_labels_parse_and_describe_the_images(sample: Path) -> None:
    for split in ("train", "val"):
        frames = read_labels(sample / f"labels/det_20/det_{split}.json").frames
        assert [frame.name for frame in frames] == sorted(
            path.name for path in (sample / f"images/100k/{split}").iterdir()
        )
        for frame in frames:
            check_frame(frame)


def check_frame(frame: Frame) -> None:
    assert frame.timestamp == 10000
    assert frame.attributes.weather in categories.WEATHER
    assert frame.attributes.scene in categories.SCENE
    assert frame.attributes.timeofday in categories.TIME_OF_DAY
    assert frame.labels
    assert len({label.id for label in frame.labels}) == len(frame.labels)
    for label in frame.labels:
        box, attributes = label.box2d, label.attributes
        assert isinstance(label.id, str)
        assert label.category in TASKS["det"].names
        assert min(box.x1, box.y1) >= 0 and box.x2 <= 1279 and box.y2 <= 719
        assert min(box.x2 - box.x1, box.y2 - box.y1) + 1 >= 4
        assert isinstance(attributes.occluded, bool) and isinstance(attributes.truncated, bool)
        lamps = ("red", "yellow", "green", "NA") if label.category == "traffic light" else ("NA",)
        assert attributes.trafficLightColor in lamps


def test_boxes_are_the_visible_extents(drawn: list[tuple[Scene, Rendering]]) -> None:
    for _, rendering in drawn:
        boxes = rendering.boxes()
        for index, item in enumerate(rendering.items):
            y, x = np.nonzero(rendering.ids == index)
            if index in boxes:
                box = boxes[index]
                assert item.det is not None
                assert (box.x1, box.y1, box.x2, box.y2) == (x.min(), y.min(), x.max(), y.max())
            elif item.det is not None and len(x):
                side = min(np.ptp(x), np.ptp(y)) + 1
                assert len(x) < 20 or side < 4 or len(x) < 0.1 * item.area


def test_masks_and_boxes_agree(drawn: list[tuple[Scene, Rendering]]) -> None:
    for _, rendering in drawn:
        mask = rendering.sem_seg()
        for index in rendering.boxes():
            det = rendering.items[index].det
            name = "person" if det == "pedestrian" else det
            assert set(np.unique(mask[rendering.ids == index])) == {SEM_SEG.index(name)}
        things = {SEM_SEG.index("person" if name == "pedestrian" else name) for name in TASKS["det"].names}
        boxed = np.isin(rendering.ids, [i for i, item in enumerate(rendering.items) if item.det is not None])
        assert (np.isin(mask, list(things)) == boxed).all()


def test_scheduled_objects_are_seen(drawn: list[tuple[Scene, Rendering]]) -> None:
    for scene, rendering in drawn:
        wanted = Counter(thing.det for thing in scene.things if thing.det is not None)
        seen = Counter(label.category for label in rendering.labels())
        assert not seen - wanted
        assert sum(seen.values()) >= 0.8 * sum(wanted.values())


@pytest.mark.slow
def test_every_class_occurs_with_the_default_counts() -> None:
    order = (
        "car",
        "traffic sign",
        "traffic light",
        "pedestrian",
        "truck",
        "bus",
        "bicycle",
        "rider",
        "motorcycle",
        "train",
    )
    for image_set in ("100k", "10k"):
        for split, count, least in (("train", 64, 8), ("val", 16, 2)):
            found: Counter[str] = Counter()
            stuff: Counter[str] = Counter()
            for _, scene in scenes(image_set, split, count):
                found.update(thing.det for thing in scene.things if thing.det is not None)
                stuff.update({thing.category for thing in scene.things + scene.skyline})
            assert tuple(name for name, _ in found.most_common()) == order or split == "val"
            assert min(found[name] for name in TASKS["det"].names) >= least
            painted = {"road", "sidewalk", "terrain", "sky"}
            assert min(stuff[name] for name in SEM_SEG if name not in painted) >= least


def test_day_night_and_weather_vary() -> None:
    drawn = [scene for _, scene in scenes("100k", "train", 20)]
    assert {scene.timeofday for scene in drawn} == {"daytime", "night", "dawn/dusk"}
    assert {scene.weather for scene in drawn} == set(categories.WEATHER) - {"undefined"}
    assert np.std([scene.camera.horizon for scene in drawn]) > 15


def test_night_is_darker_than_day() -> None:
    levels: dict[str, list[float]] = {"daytime": [], "night": []}
    for _, scene in scenes("100k", "val", 6):
        if scene.timeofday in levels:
            levels[scene.timeofday].append(render(scene).image.mean())
    assert max(levels["night"]) < 0.7 * min(levels["daytime"])


def test_frames_do_not_depend_on_how_many_there_are() -> None:
    few, many = list(scenes("100k", "val", 3)), list(scenes("100k", "val", 9))
    assert few == many[:3]


def test_names_are_unique_across_sets_and_splits() -> None:
    names = [
        name for s in ("100k", "10k") for split in ("train", "val", "test") for name, _ in scenes(s, split, 6, seed=1)
    ]
    assert len(set(names)) == 36
    assert all(len(name) == 17 and name[8] == "-" and int(name.replace("-", ""), 16) >= 0 for name in names)


def test_same_seed_same_bytes(sample: Path, tmp_path: Path) -> None:
    make_sample(tmp_path, **COUNTS, workers=2)
    assert files(tmp_path / "bdd100k") == files(sample)


def test_other_seed_other_images(sample: Path, tmp_path: Path) -> None:
    make_sample(tmp_path, train=1, val=0, test=0, seed=1)
    old, new = files(sample), files(tmp_path / "bdd100k")
    images = [name for name in new if name.endswith(".jpg")]
    assert len(images) == 2
    assert not {old[name] for name in old} & {new[name] for name in images}


def test_existing_sample_is_left_alone(frame_root: Path, caplog: pytest.LogCaptureFixture) -> None:
    before = {path: path.stat().st_mtime_ns for path in frame_root.rglob("*")}
    with caplog.at_level(logging.INFO, "streets"):
        assert not make_sample(frame_root, train=1, val=0, test=0)
    assert "already there" in caplog.text
    assert {path: path.stat().st_mtime_ns for path in frame_root.rglob("*")} == before


def test_sample_that_lost_a_file_is_drawn_again(frame_root: Path) -> None:
    before = files(frame_root)
    next(frame_root.rglob("*.png")).unlink()
    assert make_sample(frame_root, train=1, val=0, test=0)
    assert files(frame_root) == before


def test_interrupted_sample_is_drawn_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("streets.write.write_frames", interrupt)
    with pytest.raises(KeyboardInterrupt):
        make_sample(tmp_path, train=1, val=0, test=0)
    assert not list(tmp_path.rglob("sample.json"))
    monkeypatch.undo()
    assert make_sample(tmp_path, train=1, val=0, test=0)
    assert not list(tmp_path.rglob("sample.incomplete"))


@pytest.mark.parametrize("how", ["interrupted", "forced", "older", "empty marker"])
def test_files_of_others_among_the_sample_are_not_removed(frame_root: Path, how: str) -> None:
    base = frame_root / "bdd100k"
    if "marker" in how or how == "interrupted":
        (base / "sample.json").rename(base / "sample.incomplete")
    if how == "empty marker":
        (base / "sample.incomplete").write_bytes(b"")
    if how == "older":
        (base / "sample.json").write_text(json.dumps(json.loads((base / "sample.json").read_text()) | {"version": 0}))
    mine = base / "images/100k/val/b1c66a42-6f7d68ca.jpg"
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    before = files(frame_root)
    with pytest.raises(OutputError, match=r"b1c66a42-6f7d68ca\.jpg: is no file of the sample data set; move it"):
        make_sample(frame_root, train=1, val=0, test=0, force=how == "forced")
    assert files(frame_root) == before
    mine.unlink()
    # Of a process that was killed is only what is called after a file of its own.
    image = next((base / "images/100k/train").glob("*.jpg"))
    image.with_name(f".{image.name}.17.tmp").touch()
    for other in (".my.tmp", ".a.jpg.17.tmp", f".{image.name}.tmp"):
        (image.parent / other).touch()
        with pytest.raises(OutputError, match=f"/{re.escape(other)}: is no file of the sample data set"):
            make_sample(frame_root, train=1, val=0, test=0, force=how == "forced")
        (image.parent / other).unlink()
    (base / "labels/det_20/extra").mkdir()
    assert make_sample(frame_root, train=1, val=0, test=0, force=how == "forced")
    assert not list(frame_root.rglob("*.tmp"))
    assert (base / "labels/det_20/extra").is_dir()


def test_a_pipe_in_place_of_the_manifest_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bdd100k").mkdir()
    os.mkfifo(tmp_path / "bdd100k/sample.json")
    with pytest.raises(OutputError, match=r"sample\.json: not readable \(.*it is no file\); remove its folder"):
        make_sample(tmp_path, train=1, val=0, test=0)


def test_a_marker_that_a_killed_run_left_gives_no_right_to_a_folder(tmp_path: Path) -> None:
    base = tmp_path / "bdd100k"
    (base / "images").mkdir(parents=True)
    (base / "sample.incomplete").touch()
    (base / "images/mine.jpg").write_text("mine")
    store = tmp_path / "store"
    store.mkdir()
    (store / "mine.png").touch()
    with pytest.raises(OutputError, match=r"images/mine\.jpg: is no file of the sample"):
        make_sample(tmp_path, train=1, val=0, test=0)
    (base / "images/mine.jpg").unlink()
    (base / "labels").symlink_to(store)
    with pytest.raises(OutputError, match=r"labels/mine\.png: is no file of the sample"):
        make_sample(tmp_path, train=1, val=0, test=0)
    (store / "mine.png").unlink()
    with pytest.raises(OutputError, match="labels: is no file of the sample"):
        make_sample(tmp_path, train=1, val=0, test=0)
    assert not any(store.iterdir())


@pytest.mark.parametrize(
    "content",
    ["{", "[]", '{"version": 1}', '{"version":1,"train":99999,"val":0,"test":0,"seed":0}', "[" * 10**5, "\xe9"],
)
def test_a_manifest_of_no_sample_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "bdd100k").mkdir()
    (tmp_path / "bdd100k/sample.json").write_bytes(content.encode("latin-1"))
    with pytest.raises(OutputError, match=r"sample\.json: not readable .*remove its folder or choose another"):
        make_sample(tmp_path, train=1, val=0, test=0, force=True)


def test_other_arguments_need_force(frame_root: Path) -> None:
    before = files(frame_root)
    with pytest.raises(OutputError, match=r"other arguments.*--force"):
        make_sample(frame_root, train=0, val=1, test=0)
    assert files(frame_root) == before
    assert make_sample(frame_root, train=0, val=1, test=0, force=True)
    assert not list((frame_root / "bdd100k/images").rglob("train/*.jpg"))
    assert len(list((frame_root / "bdd100k/images").rglob("val/*.jpg"))) == 2


def test_older_version_is_drawn_again(frame_root: Path) -> None:
    manifest = frame_root / "bdd100k/sample.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"version": 0}))
    assert make_sample(frame_root, train=1, val=0, test=0)
    assert json.loads(manifest.read_text())["version"] != 0


@pytest.mark.parametrize("force", [False, True])
def test_foreign_data_is_never_touched(tmp_path: Path, force: bool) -> None:
    own = tmp_path / "bdd100k/images/100k/train/mine.jpg"
    own.parent.mkdir(parents=True)
    own.write_bytes(b"mine")
    with pytest.raises(OutputError, match="no sample data set"):
        make_sample(tmp_path, train=1, val=0, test=0, force=force)
    assert own.read_bytes() == b"mine"


def test_output_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="choose another"):
        make_sample(tmp_path / "file", train=1, val=0, test=0)


def test_damaged_manifest_is_reported(tmp_path: Path) -> None:
    (tmp_path / "bdd100k").mkdir()
    (tmp_path / "bdd100k/sample.json").write_text("{")
    with pytest.raises(OutputError, match=r"sample\.json"):
        make_sample(tmp_path, train=1, val=0, test=0)


@pytest.mark.parametrize("arguments", [{"train": -1}, {"train": 10**9}, {"seed": -1}, {"seed": 10**30}])
def test_impossible_numbers_are_refused(tmp_path: Path, arguments: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match=str(next(iter(arguments.values())))):
        make_sample(tmp_path, **arguments)
    assert not list(tmp_path.iterdir())


def square(canvas: Canvas, x: float, z: float, size: float) -> None:
    """An upright square of ``size`` metres whose middle is at the height of the camera."""
    low, high = x - size / 2, x + size / 2
    bottom, top = 1.5 - size / 2, 1.5 + size / 2
    canvas.begin(Item(SEM_SEG.index("car"), "car", depth=z))
    canvas.polygons([np.array([(low, bottom, z), (low, top, z), (high, top, z), (high, bottom, z)])], (9.0, 9.0, 9.0))
    canvas.end()


def test_occlusion_truncation_and_small_objects() -> None:
    canvas = Canvas(Camera(focal=1000, horizon=360, height=1.5))
    canvas.begin(Item(SEM_SEG.index("sky"), depth=3000.0))
    canvas.fill([np.array([(0, 0), (1280, 0), (1280, 720), (0, 720)], float)], (0, 0, 0))
    canvas.end()
    square(canvas, 0, 20, 2)  # 590..690 in x, the right half hidden by the next
    square(canvas, 0.5, 10, 1)  # 640..740
    square(canvas, -6, 10, 1)  # cut by the left edge, 0..90
    square(canvas, 5, 1000, 2)  # 2 pixels
    labels = Rendering(canvas.image, canvas.ids, canvas.items).labels()
    found = [
        (label.box2d.x1, label.box2d.x2, label.attributes.occluded, label.attributes.truncated) for label in labels
    ]
    assert found == [(590, 639, True, False), (640, 740, False, False), (0, 90, False, True)]


def test_projection() -> None:
    camera = Camera(focal=1000, horizon=340, height=1.5)
    points = camera.project(np.array([(0, 1.5, 7), (2, 0, 20), (-1, 3.5, 10)], float))
    assert points.tolist() == [[640, 340], [740, 415], [540, 140]]
    depth = camera.ground_depth()
    assert np.isinf(depth[:341]).all() and depth[415] == pytest.approx(20)


def test_clip_cuts_at_the_plane() -> None:
    triangle = np.array([(0, 0, NEAR - 1), (2, 0, NEAR + 1), (-2, 0, NEAR + 1)])
    cut = clip(triangle, 2, NEAR, True)
    assert sorted(cut.tolist()) == sorted([[1, 0, NEAR], [2, 0, NEAR + 1], [-2, 0, NEAR + 1], [-1, 0, NEAR]])
    assert len(clip(triangle, 2, NEAR + 2, True)) == 0
    assert clip(triangle, 0, 5.0, False) is triangle
