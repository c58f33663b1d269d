"""Slices of registered data sets: chosen by attributes, read lazily, and scored as a label file of their frames is."""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from detectron2.config import CfgNode
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.engine import default_argument_parser
from detectron2.structures import Boxes, Instances
from pycocotools.mask import encode
from support import ROOT
from support.frames import make_frame, write_image

import bdd100k_d2
from bdd100k_d2.data import slices
from bdd100k_d2.data.bitmasks import Bitmask, encode_bitmask
from bdd100k_d2.data.check.official import VAL_FRAMES
from bdd100k_d2.data.instances import panoptic_ids
from bdd100k_d2.data.labels import RLE, Frame, FrameAttributes, ImageSize, Label, LabelAttributes, write_frames
from bdd100k_d2.data.register import register_all
from bdd100k_d2.data.slices import (
    FRAME_ATTRIBUTES,
    KNOWN_SLICES,
    register_config_slices,
    register_slice,
    slice_frames,
)
from bdd100k_d2.data.vintages import read_labels
from bdd100k_d2.engine.launch import setup
from bdd100k_d2.errors import ConfigError, DataError
from bdd100k_d2.evaluation.evaluators import build_evaluator
from bdd100k_d2.evaluation.files.evaluate import evaluate_files
from bdd100k_d2.evaluation.prediction_files import write_mask
from bdd100k_d2.evaluation.toolkit_format import summary
from bdd100k_d2.tasks import TASKS

SIZE = (96, 160)
TIMES = ("daytime", "night", "dawn/dusk")
WEATHERS = ("clear", "rainy")


def frame_name(i: int) -> str:
    return f"frame{i:02}.jpg"


def attributes(i: int) -> FrameAttributes | None:
    """Of every seventh frame there are none."""
    return None if i % 7 == 6 else FrameAttributes(WEATHERS[i % 2], "highway", TIMES[i % 3])


def make_root(root: Path, count: int = 14) -> Path:
    """Detection and three other tasks on the same names."""
    base = root / "bdd100k"
    rng = np.random.default_rng(count)
    frames = []
    for i in range(count):
        for folder in ("100k", "10k"):
            write_image(base / "images" / folder / "val" / frame_name(i), *SIZE, seed=i)
        corners = rng.integers(0, 60, (5, 2))
        boxes = [("car" if j % 2 else "rider", x, y, x + 40, y + 30 - j) for j, (x, y) in enumerate(corners.tolist())]
        frames.append(make_frame(frame_name(i), *boxes, attributes=attributes(i)))
        mask = rng.integers(0, 19, SIZE, np.uint8)
        write_mask(mask, base / "labels/sem_seg/masks/val" / f"frame{i:02}.png")
        write_mask(mask % 3, base / "labels/drivable/masks/val" / f"frame{i:02}.png")
    (base / "labels/det_20").mkdir(parents=True)
    write_frames(frames, base / "labels/det_20/det_val.json")
    return root


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    known = set(DatasetCatalog.list())
    yield make_root(tmp_path / "root")
    for name in set(DatasetCatalog.list()) - known - {n for n in DatasetCatalog.list() if n.startswith("bdd100k_")}:
        DatasetCatalog.remove(name)
        MetadataCatalog.remove(name)


@pytest.fixture
def label_file(root: Path) -> Path:
    register_all(root)
    return root / "bdd100k/labels/det_20/det_val.json"


def chosen(**wanted: str | tuple[str, ...]) -> list[str]:
    kept = []
    for i in range(14):
        of_frame = attributes(i)
        if of_frame and all(getattr(of_frame, key) in np.atleast_1d(value) for key, value in wanted.items()):
            kept.append(frame_name(i))
    return kept


def loaded(name: str) -> list[str]:
    return [record["image_id"] for record in DatasetCatalog.get(name)]


def test_known_slices_are_registered_for_every_value_and_read_nothing(tmp_path: Path) -> None:
    register_all(tmp_path / "nowhere")
    for task in ("det", "sem_seg", "drivable", "ins_seg", "pan_seg"):
        for split in ("train", "val"):
            base = MetadataCatalog.get(f"bdd100k_{task}_{split}")
            for suffix in KNOWN_SLICES:
                name = f"bdd100k_{task}_{split}_{suffix}"
                assert name in DatasetCatalog.list()
                assert MetadataCatalog.get(name).evaluator_type == base.evaluator_type
    assert sorted(KNOWN_SLICES.values()) == sorted(
        (key, value) for key, all_ in FRAME_ATTRIBUTES.items() for value in all_
    )
    assert {"night", "daytime", "dawn_dusk", "rainy", "partly_cloudy", "city_street", "undefined_weather"} <= set(
        KNOWN_SLICES
    )
    # Of the test splits no attributes are public.
    assert not any("_test_" in name for name in DatasetCatalog.list() if name.startswith("bdd100k_"))


def test_a_slice_has_the_frames_with_the_value(label_file: Path) -> None:
    assert loaded("bdd100k_det_val_night") == chosen(timeofday="night") != []
    assert loaded("bdd100k_det_val_dawn_dusk") == chosen(timeofday="dawn/dusk")
    assert loaded("bdd100k_drivable_val_rainy") == chosen(weather="rainy")
    whole = {record["image_id"]: record for record in DatasetCatalog.get("bdd100k_det_val")}
    assert all(record == whole[record["image_id"]] for record in DatasetCatalog.get("bdd100k_det_val_night"))
    # The frames without attributes are in no slice.
    assert sum(len(loaded(f"bdd100k_det_val_{time.replace('/', '_')}")) for time in TIMES) == 12


def test_several_values_several_attributes_and_slices_of_slices(label_file: Path) -> None:
    bdd100k_d2.register_slice("dark", "bdd100k_det_val", timeofday=("night", "dawn/dusk"))
    assert loaded("dark") == chosen(timeofday=("night", "dawn/dusk"))
    register_slice("dark_rain", "bdd100k_det_val", timeofday=("night", "dawn/dusk"), weather="rainy")
    assert loaded("dark_rain") == chosen(timeofday=("night", "dawn/dusk"), weather="rainy") != loaded("dark")
    register_slice("rain_of_dark", "dark", weather="rainy")
    assert loaded("rain_of_dark") == loaded("dark_rain")
    register_slice("dark", "bdd100k_det_val", timeofday="night")
    assert loaded("dark") == chosen(timeofday="night")


def test_slices_follow_to_another_root(label_file: Path, tmp_path: Path) -> None:
    register_slice("rain", "bdd100k_det_val", weather="rainy")
    register_slice("own_file", "bdd100k_det_val", label_file, weather="rainy")
    before = loaded("rain")
    other = make_root(tmp_path / "other", count=5)
    register_all(other)
    assert loaded("rain") == [frame_name(1), frame_name(3)] != before
    assert loaded("bdd100k_det_val_rainy") == loaded("rain") == loaded("own_file")
    assert MetadataCatalog.get("rain").image_root == str(other / "bdd100k/images/100k/val")
    assert MetadataCatalog.get("own_file").attributes_file == str(label_file)
    register_all(label_file.parents[3])
    assert loaded("rain") == before


def test_attributes_from_another_file(root: Path, label_file: Path) -> None:
    """The labels of the 10K images may have no attributes; a file of the same frames is as good."""
    with pytest.raises(
        DataError, match=r"bdd100k_sem_seg_val_night: the attributes .* are in none of .*sem_seg_val.json"
    ):
        DatasetCatalog.get("bdd100k_sem_seg_val_night")
    register_slice("seg_night", "bdd100k_sem_seg_val", attributes_file=label_file, timeofday="night")
    assert loaded("seg_night") == chosen(timeofday="night")
    polygons = root / "bdd100k/labels/sem_seg/polygons/sem_seg_val.json"
    polygons.parent.mkdir()
    polygons.write_bytes(label_file.read_bytes())
    assert loaded("bdd100k_sem_seg_val_night") == chosen(timeofday="night")


def test_a_set_of_ones_own(label_file: Path) -> None:
    records = DatasetCatalog.get("bdd100k_det_val")[:3]
    DatasetCatalog.register("mine", lambda: records)
    MetadataCatalog.get("mine").set(evaluator_type="bdd100k_det", label_path=str(label_file))
    register_slice("mine_at_night", "mine", timeofday="night")
    assert loaded("mine_at_night") == [frame_name(1)]
    register_slice("mine_in_the_rain", "mine", weather="rainy", timeofday="dawn/dusk")
    with pytest.raises(DataError, match="none of the 2 frames with its attributes is in mine"):
        DatasetCatalog.get("mine_in_the_rain")


@pytest.mark.parametrize(
    ("name", "base", "attributes", "message"),
    [
        ("a", "bdd100k_det_vall", {"timeofday": "night"}, "slice a: no data set 'bdd100k_det_vall' is registered"),
        ("a", "bdd100k_det_val", {"timeofday": "nite"}, "timeofday is never 'nite'; there are daytime, night"),
        ("a", "bdd100k_det_val", {"weather": ("rainy", "wet")}, "weather is never 'wet'"),
        ("a", "bdd100k_det_val", {"weather": ()}, "no value of weather is given"),
        ("a", "bdd100k_det_val", {"hour": "night"}, "no attribute 'hour', but weather, scene, timeofday"),
        ("a", "bdd100k_det_val", {}, "name an attribute, of weather, scene, timeofday"),
        ("a", "bdd100k_det_val_night", {"timeofday": "daytime"}, "its base is a slice by timeofday already"),
        ("bdd100k_det_train", "bdd100k_det_val", {"timeofday": "night"}, "a data set of that name is registered"),
    ],
)
def test_bad_slices_are_refused(
    label_file: Path, name: str, base: str, attributes: dict[str, str | tuple[str, ...]], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        register_slice(name, base, **attributes)


def test_an_empty_slice_says_what_there_is(label_file: Path) -> None:
    with pytest.raises(
        DataError, match=r"det_val.json: no frame has weather foggy, so .*_foggy is empty; .* rainy \(6\)"
    ):
        DatasetCatalog.get("bdd100k_det_val_foggy")
    bare = [Frame(name=frame_name(0), labels=[])]
    write_frames(bare, label_file)
    with pytest.raises(DataError, match="none of its frames has attributes, so give register_slice an attributes_file"):
        DatasetCatalog.get("bdd100k_det_val_night")


# In a config


def config(tmp_path: Path, rows: str, test: str = "()") -> str:
    (tmp_path / "config.yaml").write_text(
        f"DATASETS:\n  TRAIN: ('bdd100k_det_val',)\n  TEST: {test}\n  SLICES:\n{rows}"
    )
    return str(tmp_path / "config.yaml")


def set_up(tmp_path: Path, rows: str, test: str = "()", *opts: str) -> CfgNode:
    arguments = ["--config-file", config(tmp_path, rows, test), *opts, "OUTPUT_DIR", str(tmp_path / "out")]
    return setup(default_argument_parser().parse_args(arguments))


def test_slices_of_a_config(label_file: Path, tmp_path: Path) -> None:
    cfg = set_up(
        tmp_path,
        "    - {name: wet_night, base: bdd100k_det_val, timeofday: [night, dawn/dusk], weather: rainy}\n"
        f"    - {{name: seg_night, base: bdd100k_sem_seg_val, attributes_file: {label_file}, timeofday: night}}\n"
        "    - {name: dry_of_dark, base: bdd100k_det_val_night, weather: clear}\n",
        "('wet_night', 'seg_night', 'dry_of_dark')",
    )
    assert loaded("wet_night") == chosen(timeofday=("night", "dawn/dusk"), weather="rainy") != []
    assert loaded("seg_night") == chosen(timeofday="night")
    assert loaded("dry_of_dark") == chosen(timeofday="night", weather="clear")
    # What a run writes down of its config makes the same slices.
    again = bdd100k_d2.load_config(tmp_path / "out/config.yaml")
    assert again.DATASETS.SLICES == cfg.DATASETS.SLICES and len(cfg.DATASETS.SLICES) == 3


def test_slices_on_the_command_line(label_file: Path, tmp_path: Path) -> None:
    given = "[{'name': 'rain_at_dusk', 'base': 'bdd100k_det_val', 'timeofday': 'dawn/dusk', 'weather': 'rainy'}]"
    set_up(tmp_path, "    []\n", "()", "DATASETS.SLICES", given, "DATASETS.TEST", "('rain_at_dusk',)")
    assert loaded("rain_at_dusk") == chosen(timeofday="dawn/dusk", weather="rainy") != []


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("{base: bdd100k_det_val, weather: rainy}", r"DATASETS.SLICES: {.*} is no slice; write each as {name: wet_nig"),
        ("{name: a, weather: rainy}", "is no slice"),
        ("a", "DATASETS.SLICES: 'a' is no slice"),
        ("{name: a, base: bdd100k_det_val, weather: 3}", "slice a: weather is never 3; there are rainy"),
        ("{name: a, base: bdd100k_det_val, 1: 3}", "slice a: frames have no attribute '1'"),
        ("{name: a, base: bdd100k_det_vall, weather: rainy}", "slice a: no data set 'bdd100k_det_vall' is registered"),
    ],
)
def test_bad_slices_of_a_config(label_file: Path, tmp_path: Path, row: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        set_up(tmp_path, f"    - {row}\n")


def test_the_attributes_are_read_once_and_again_when_they_change(
    label_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = []
    monkeypatch.setattr(slices, "read_labels", lambda path: read.append(path) or read_labels(path))
    for _ in range(2):
        night = slice_frames("bdd100k_det_val_night")
        assert slice_frames("bdd100k_drivable_val_rainy") != night
    assert read == [label_file]
    frames = read_labels(label_file).frames
    write_frames([frame for frame in frames if frame.name != f"{min(night)}.jpg"], label_file)
    assert slice_frames("bdd100k_det_val_night") == night - {min(night)} and len(read) == 2
    # A folder of files
    folder = label_file.parent / "each"
    folder.mkdir()
    write_frames(frames[:7], folder / "a.json")
    register_slice("of_folder", "bdd100k_det_val", folder, timeofday="night")
    before = slice_frames("of_folder")
    assert slice_frames("of_folder") == before and len(read) == 3
    write_frames(frames[7:], folder / "b.json")
    assert slice_frames("of_folder") > before and len(read) == 4
    # Files in folders below, as of videos; and one that is as large as before, and not the newest.
    below = label_file.parent / "below"
    for name, some in (("a", frames[:7]), ("b", frames[7:])):
        (below / name).mkdir(parents=True)
        write_frames(some, below / name / "labels.json")
    register_slice("of_folders", "bdd100k_det_val", below, timeofday="night")
    before = slice_frames("of_folders")
    assert slice_frames("of_folders") == before and len(read) == 5
    one = next(frame for frame in frames[:7] if frame.attributes.timeofday == "night")
    file = below / "a/labels.json"
    was = file.stat()
    text = file.read_text()
    file.write_text(text.replace(one.name, "z" * len(Path(one.name).stem) + ".jpg"))
    os.utime(file, ns=(was.st_atime_ns, was.st_mtime_ns))
    assert file.stat().st_size == was.st_size
    assert slice_frames("of_folders") == before - {Path(one.name).stem} | {"z" * len(Path(one.name).stem)}
    assert len(read) == 6


# Evaluation


def only(frames: list[Frame], kept: list[str], path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_frames([frame for frame in frames if frame.name in kept], path)
    return path


def evaluator_of(name: str, folder: Path):  # noqa: ANN201
    cfg = bdd100k_d2.get_config("sample/semantic_fpn_R_18")
    cfg.OUTPUT_DIR, cfg.DATASETS.TEST = str(folder), (name,)
    return build_evaluator(cfg, name)


@pytest.mark.parametrize("suffix", ["night", "rainy", "clear", "dawn_dusk"])
def test_detections_on_a_slice_score_as_on_its_label_file(label_file: Path, tmp_path: Path, suffix: str) -> None:
    rng = np.random.default_rng(7)
    name = f"bdd100k_det_val_{suffix}"
    evaluator = evaluator_of(name, tmp_path / "out")
    records = DatasetCatalog.get(name)
    for record in records[1:]:  # one frame without a prediction, which counts
        found = Instances(SIZE)
        boxes = np.array([[x, y, x + w, y + h] for x, y, w, h in (one["bbox"] for one in record["annotations"])])
        found.pred_boxes = Boxes(torch.from_numpy(boxes + rng.normal(0, 2.5, boxes.shape)).float())
        found.scores = torch.from_numpy(rng.random(len(boxes))).float()
        found.pred_classes = torch.tensor([one["category_id"] for one in record["annotations"]])
        evaluator.process([record], [{"instances": found}])
    scores = evaluator.evaluate()["bbox"]
    kept = [record["image_id"] for record in records]
    truth = only(read_labels(label_file).frames, kept, tmp_path / "slice.json")
    expected = summary(evaluate_files("det", truth, tmp_path / "out/inference/det.json").official)
    assert 0 < expected["AP"] < 100
    assert {key: scores[key] for key in expected} == pytest.approx(expected, abs=0, rel=0, nan_ok=True)
    # The whole label file would count the other frames as missed.
    assert (
        expected["AR100"]
        > summary(evaluate_files("det", label_file, tmp_path / "out/inference/det.json").official)["AR100"]
    )


@pytest.mark.parametrize("task", ["sem_seg", "drivable"])
def test_masks_on_a_slice_score_as_in_a_folder_of_their_own(
    root: Path, label_file: Path, tmp_path: Path, task: str
) -> None:
    register_slice("night_masks", f"bdd100k_{task}_val", attributes_file=label_file, timeofday="night")
    evaluator = evaluator_of("night_masks", tmp_path / "out")
    evaluator.reset()
    rng = torch.Generator().manual_seed(0)
    kept = [Path(name).stem for name in chosen(timeofday="night")]
    for stem in kept[1:]:
        logits = torch.rand(len(TASKS[task].names), *SIZE, generator=rng)
        evaluator.process([{"image_id": f"{stem}.jpg"}], [{"sem_seg": logits}])
    scores = evaluator.evaluate()[task]
    truth = tmp_path / "truth"
    truth.mkdir()
    for stem in kept:
        (truth / f"{stem}.png").symlink_to(root / "bdd100k/labels" / task / "masks/val" / f"{stem}.png")
    expected = summary(evaluate_files(task, truth, tmp_path / "out/inference/masks").official)
    assert 0 < expected["mIoU"] < 100
    assert {key: scores[key] for key in expected} == pytest.approx(expected, abs=0, rel=0)


@pytest.mark.parametrize("kind", ["bitmasks", "rles"])
@pytest.mark.parametrize("task", ["ins_seg", "pan_seg"])
def test_bitmasks_on_a_slice_score_as_labels_of_their_own(
    root: Path, label_file: Path, tmp_path: Path, task: str, kind: str
) -> None:
    truths = {frame_name(i): random_bitmask(i) for i in range(14)}
    labels = root / "bdd100k/labels" / task
    write_bitmasks(truths, labels / "bitmasks/val")
    if kind == "rles":
        for path in (labels / "bitmasks/val").iterdir():
            path.unlink()
        (labels / "bitmasks/val").rmdir()
        (labels / "rles").mkdir()
        write_frames([run_lengths(task, *item) for item in truths.items()], labels / f"rles/{task}_val.json")
    register_all(root)
    register_slice("night_bitmasks", f"bdd100k_{task}_val", attributes_file=label_file, timeofday="night")
    evaluator = evaluator_of("night_bitmasks", tmp_path / "out")
    kept = chosen(timeofday="night")
    assert slice_frames("night_bitmasks") == {Path(name).stem for name in kept}
    assert loaded("night_bitmasks") == kept
    for name in kept[1:]:
        mask = truths[name]
        evaluator.process([{"image_id": name}], [predicted(task, mask)])
    (scores,) = evaluator.evaluate().values()
    write_bitmasks({name: truths[name] for name in kept}, tmp_path / "truth")
    out = tmp_path / "out/inference"
    expected = summary(
        evaluate_files(
            task,
            tmp_path / "truth",
            out / "bitmasks",
            score_file=out / "score.json" if task == "ins_seg" else None,
            workers=1,
        ).official
    )
    assert 0 < expected.get("AP", expected.get("PQ")) < 100
    assert {key: scores[key] for key in expected} == pytest.approx(expected, abs=0, rel=0, nan_ok=True)


def random_bitmask(i: int) -> Bitmask:
    """Four blocks of things, ids and categories that both tasks know."""
    instances = np.zeros(SIZE, np.int32)
    for j in range(4):
        instances[5 + 20 * j : 20 + 20 * j, 10 : 60 + 10 * ((i + j) % 5)] = j + 1
    return Bitmask(instances, np.arange(1, 5), np.arange(3, 7), np.zeros(4, np.uint8))


def write_bitmasks(truths: dict[str, Bitmask], folder: Path) -> None:
    for name, mask in truths.items():
        write_mask(encode_bitmask(mask), folder / name.replace(".jpg", ".png"))


def run_lengths(task: str, name: str, mask: Bitmask) -> Frame:
    regions = [encode(np.asfortranarray(mask.instances == i + 1)) for i in range(len(mask.ids))]
    labels = [
        Label(
            str(one),
            TASKS[task].names[category - 1],
            None,
            LabelAttributes(),
            None,
            RLE(region["counts"].decode(), SIZE),
        )
        for one, category, region in zip(mask.ids.tolist(), mask.categories.tolist(), regions, strict=True)
    ]
    return Frame(name, size=ImageSize(SIZE[1], SIZE[0]), labels=labels)


def predicted(task: str, mask: Bitmask) -> dict[str, object]:
    """The truth, moved by some pixels."""
    moved = np.roll(mask.instances, 12, 1)
    if task == "pan_seg":
        ids = panoptic_ids(TASKS["pan_seg"]).stuff
        infos = [{"id": i + 1, "isthing": False, "category_id": ids[k]} for i, k in enumerate(range(3, 7))]
        return {"panoptic_seg": (torch.from_numpy(moved), infos)}
    found = Instances(SIZE)
    found.pred_masks = torch.from_numpy(np.stack([moved == i + 1 for i in range(4)]))
    found.scores = torch.tensor([0.9, 0.8, 0.7, 0.6])
    found.pred_classes = torch.arange(2, 6)
    return {"instances": found}


# The documentation


def test_the_documentation_has_the_number_of_frames_of_every_slice() -> None:
    text = (ROOT / "datasets/README.md").read_text(encoding="utf-8")
    for suffix, (attribute, value) in KNOWN_SLICES.items():
        row = f"| `{suffix}` | {attribute}: {value} | {VAL_FRAMES[attribute][value]:,} |"
        assert row in text, row


@pytest.mark.parametrize("attribute", FRAME_ATTRIBUTES)
def test_the_slices_of_an_attribute_are_all_frames(attribute: str) -> None:
    assert set(VAL_FRAMES[attribute]) == set(FRAME_ATTRIBUTES[attribute])
    # The published counts of the scenes and of the hours add up to 10,000, and so do those of the weather.
    assert sum(VAL_FRAMES[attribute].values()) == 10_000


@pytest.mark.parametrize("name", ["../x", "/x", "a/b", "", "..", ".", "a b", "a\0b", "ü", "x" * 201])
def test_a_name_becomes_that_of_a_folder(name: str) -> None:
    with pytest.raises(ConfigError, match=r"letters, digits and _\.- alone; rename it"):
        register_slice(name, "bdd100k_det_val", timeofday="night")
    assert name not in DatasetCatalog.list()


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (None, "None is no list of slices"),
        ({"name": "a"}, "is no list of slices"),
        ("name", "is no list of slices"),
        ([None], "None is no slice"),
        ([["name"]], "is no slice"),
        ([{"name": 3, "base": "bdd100k_det_val"}], "is no slice"),
        ([{"name": "a", "base": "bdd100k_det_val", "weather": [["rainy"]]}], r"weather is never \['rainy'\]"),
        ([{"name": "a", "base": "bdd100k_det_val", "weather": None}], "weather is never None"),
        ([{"name": "a", "base": "bdd100k_det_val", "\x1b[31m": "x"}], r"no attribute '\\+x1b"),
        ([{"name": "../../a", "base": "bdd100k_det_val", "weather": "rainy"}], "rename it"),
    ],
)
def test_slices_of_a_config_that_cannot_be(root: Path, rows: object, message: str) -> None:
    register_all(root)
    cfg = CfgNode({"DATASETS": {"SLICES": rows}})
    with pytest.raises(ConfigError, match=message):
        register_config_slices(cfg)


# Slices by more than attributes


def test_frames_by_name_by_stem_and_from_files(label_file: Path, tmp_path: Path) -> None:
    register_slice("named", "bdd100k_det_val", names=["frame05.jpg", "frame02", "x/y/frame09.png"])
    expected = [frame_name(i) for i in (2, 5, 9)]
    assert loaded("named") == expected and slice_frames("named") == {"frame02", "frame05", "frame09"}
    (tmp_path / "names.txt").write_text("\ufeffframe05.jpg\r\n\r\n  frame02\r\nimages\\frame09.jpg\n")
    (tmp_path / "names.json").write_text('["frame05.jpg", "frame02", "frame09"]')
    for file in ("names.txt", "names.json"):
        for path in (tmp_path / file, str(tmp_path / file)):
            register_slice("named", "bdd100k_det_val", names=path)
            assert loaded("named") == expected
    register_slice("named", "bdd100k_drivable_val", names=["frame03"], first=1)
    assert loaded("named") == [frame_name(3)]


def test_names_that_are_in_no_frame(label_file: Path, tmp_path: Path) -> None:
    register_slice("named", "bdd100k_det_val", names=["frame05", "frame77.jpg", "frame78"])
    with pytest.raises(DataError, match="2 of the 3 names are of no frame of the data set, the first is frame77.jp"):
        DatasetCatalog.get("named")
    for file, text, message in (
        ("a.txt", "\n \n", "no names of frames in it; write one per line"),
        ("a.json", '{"a": 3}', "no JSON list of names"),
        ("a.json", "[]", "no names of frames in it"),
        ("b.txt", None, "the names of the frames cannot be read"),
    ):
        if text is not None:
            (tmp_path / file).write_text(text)
        register_slice("named", "bdd100k_det_val", names=tmp_path / file)
        with pytest.raises(DataError, match=f"{file}: {message}"):
            DatasetCatalog.get("named")
    (tmp_path / "c.txt").write_bytes(b"\xff\xfe")
    register_slice("named", "bdd100k_det_val", names=tmp_path / "c.txt")
    with pytest.raises(DataError, match="no text in UTF-8"):
        DatasetCatalog.get("named")


def test_frames_of_one_name_in_several_folders() -> None:
    """As of films: 0000.jpg in each folder."""
    records = [{"file_name": f"v{film}/{i:04}.jpg", "image_id": f"v{film}/{i}"} for film in range(3) for i in range(10)]
    slices.replace_dataset("films", lambda: records, {}, is_official=False)

    def taken(**given: object) -> list[str]:
        register_slice("some_films", "films", **given)
        return [one["file_name"] for one in DatasetCatalog.get("some_films")]

    folds = [taken(fold=(k, 3)) for k in range(3)]
    assert [len(one) for one in folds] == [10, 10, 10] and len(set().union(*folds)) == 30
    assert taken(names=("v1/0001.jpg", "v2/0001")) == ["v1/0001.jpg", "v2/0001.jpg"]
    with pytest.raises(DataError, match="some_films: 0001.jpg is v0/0001.jpg and v1/0001.jpg; name the folder too"):
        taken(names=("0001.jpg",))
    with pytest.raises(DataError, match="1 of the 1 names are of no frame of the data set, the first is v7/0001.jpg"):
        taken(names=("v7/0001.jpg",))
    for name in ("films", "some_films"):
        DatasetCatalog.remove(name)
        MetadataCatalog.remove(name)


def test_a_share_is_the_same_frames_in_any_order(label_file: Path) -> None:
    records = DatasetCatalog.get("bdd100k_det_val")
    for name, rows in (("forth", records), ("back", records[::-1])):
        DatasetCatalog.register(name, lambda rows=rows: rows)
        register_slice(f"{name}_part", name, share=0.4, seed=3)
    assert len(loaded("forth_part")) == 6 and loaded("back_part") == loaded("forth_part")[::-1]
    register_slice("less", "forth", share=0.2, seed=3)
    assert set(loaded("less")) < set(loaded("forth_part")) and len(loaded("less")) == 3
    register_slice("other", "forth", share=0.4, seed=4)
    assert loaded("other") != loaded("forth_part") and len(loaded("other")) == 6
    register_slice("least", "forth", share=0.001)
    assert len(loaded("least")) == 1
    # As the names' hashes have it, on any machine.
    assert loaded("less") == ["frame05.jpg", "frame10.jpg", "frame12.jpg"]


def test_folds_are_all_frames(label_file: Path) -> None:
    folds = []
    for k in range(4):
        register_slice(f"fold_{k}", "bdd100k_det_val", fold=(k, 4), seed=1)
        folds.append(loaded(f"fold_{k}"))
    assert sorted(map(len, folds)) == [3, 3, 4, 4]
    assert sorted(one for fold in folds for one in fold) == [frame_name(i) for i in range(14)]
    assert MetadataCatalog.get("fold_0").get("registered_as", None) is None
    register_slice("few", "bdd100k_det_val", first=2, names=["frame03", "frame01", "frame04"])
    register_slice("none", "few", fold=(2, 3))
    with pytest.raises(DataError, match=r"none: has no frame, as few has too few for fold \(2, 3\); give fewer folds"):
        DatasetCatalog.get("none")


def test_selections_and_attributes_together(label_file: Path, tmp_path: Path) -> None:
    night = chosen(timeofday="night")
    register_slice("two_at_night", "bdd100k_det_val", first=2, timeofday="night")
    assert loaded("two_at_night") == night[:2] and slice_frames("two_at_night") == {Path(n).stem for n in night[:2]}
    # Of a slice the frames of that alone: not the first two of all at night, of which one may rain.
    register_slice("rain_of_two", "two_at_night", weather="rainy")
    assert loaded("rain_of_two") == [name for name in night[:2] if name in chosen(weather="rainy")] != []
    assert slice_frames("rain_of_two") == {Path(name).stem for name in loaded("rain_of_two")}
    register_slice("dry_of_rain", "rain_of_two", scene="highway")
    assert loaded("dry_of_rain") == loaded("rain_of_two")
    register_slice("named_at_night", "bdd100k_det_val", names=[night[0], "frame00"], timeofday="night")
    assert loaded("named_at_night") == [night[0]]
    register_slice("named_by_day", "bdd100k_det_val", names=[night[0]], timeofday="daytime")
    with pytest.raises(DataError, match="none of the 4 frames with its attributes is in the named ones, so it is"):
        DatasetCatalog.get("named_by_day")
    # At another root all of them are of that, each after what it is of.
    other = make_root(tmp_path / "other", count=9)
    register_all(other)
    assert MetadataCatalog.get("dry_of_rain").image_root == str(other / "bdd100k/images/100k/val")
    assert loaded("dry_of_rain") == [name for name in night[:2] if name in chosen(weather="rainy")]


def test_the_frames_of_an_official_slice_are_marked_so(label_file: Path) -> None:
    assert MetadataCatalog.get("bdd100k_det_val_night").registered_as == "bdd100k_det_val_night"
    register_slice("rain", "bdd100k_det_val_night", weather="rainy")
    assert MetadataCatalog.get("rain").registered_as == "rain"
    register_slice("some_rain", "rain", share=0.5)
    assert MetadataCatalog.get("some_rain").get("registered_as", None) is None
    DatasetCatalog.register("copied", list)
    copied = MetadataCatalog.get("bdd100k_det_val").as_dict()
    MetadataCatalog.get("copied").set(**{key: value for key, value in copied.items() if key != "name"})
    register_slice("rain_of_copied", "copied", weather="rainy")
    assert MetadataCatalog.get("rain_of_copied").get("registered_as", None) is None


def register_copy(name: str, of: str, records: list[dict]) -> None:
    """What a user does who registers other records with the metadata of a data set."""
    DatasetCatalog.register(name, lambda: records)
    copied = MetadataCatalog.get(of).as_dict()
    MetadataCatalog.get(name).set(**{key: value for key, value in copied.items() if key != "name"})


def test_a_copy_of_the_metadata_of_a_slice_makes_no_slice(label_file: Path, tmp_path: Path) -> None:
    register_slice("two", "bdd100k_det_val", first=2)
    night = DatasetCatalog.get("bdd100k_det_val_night")
    for name, of in (("mine", "bdd100k_det_val_night"), ("my_two", "two")):
        register_copy(name, of, night[1:3])
        assert slice_frames(name) is None
        # Slices of it are of its records, not of those that the slice had which it was copied from.
        register_slice(f"{name}_first", name, first=1)
        register_slice(f"{name}_at_any_time", name, timeofday=TIMES)
        with pytest.raises(ConfigError, match=f"slice {name}: a data set of that name is registered; choose another"):
            register_slice(name, "bdd100k_det_val", first=1)
    register_all(make_root(tmp_path / "other", count=9))
    for name in ("mine", "my_two"):
        assert DatasetCatalog.get(name) == night[1:3]
        assert DatasetCatalog.get(f"{name}_first") == night[1:2]
        assert loaded(f"{name}_at_any_time") == [one["image_id"] for one in night[1:3]]


def test_metadata_that_was_asked_for_before_it_was_there_is_filled() -> None:
    early = MetadataCatalog.get("early")
    slices.replace_dataset("early", list, {"thing_classes": ["a"]}, is_official=False)
    assert early.thing_classes == ["a"] and MetadataCatalog.get("early") is early
    # What a script holds of an earlier registration stays as it was.
    slices.replace_dataset("early", list, {"thing_classes": ["b"]}, is_official=False)
    assert early.thing_classes == ["a"] and MetadataCatalog.get("early").thing_classes == ["b"]
    DatasetCatalog.remove("early")
    MetadataCatalog.remove("early")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"names": []}, "names are a list of frames' names, or the path of a file of such"),
        ({"names": [3]}, "names are a list"),
        ({"names": 3}, "names are a list"),
        ({"first": 0}, "first is 0; give a number of frames of 1 or more"),
        ({"first": 2.5}, "first is 2.5"),
        ({"first": True}, "first is True"),
        ({"share": 0}, "share is 0; give a part of the frames, such as 0.2"),
        ({"share": 20}, "share is 20"),
        ({"share": "0.2"}, "share is '0.2'"),
        ({"share": 0.2, "seed": 1.5}, "seed is 1.5; give a whole number"),
        ({"first": 3, "seed": 1}, "seed is of a share or a fold, and neither is given; leave it out"),
        ({"fold": 3}, r"fold is 3; give \(k, n\), with k of 0 to n - 1"),
        ({"fold": (3, 3)}, r"fold is \(3, 3\)"),
        ({"fold": [0.5, 3]}, r"fold is \[0.5, 3\]"),
        ({"fold": [1, 2, 3]}, r"fold is \[1, 2, 3\]"),
    ],
)
def test_bad_selections_are_refused(label_file: Path, given: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=f"slice a: {message}"):
        register_slice("a", "bdd100k_det_val", **given)


def test_no_slice_is_of_itself(label_file: Path) -> None:
    register_slice("some", "bdd100k_det_val", first=5)
    register_slice("fewer", "some", first=3)
    for base in ("some", "fewer"):
        with pytest.raises(ConfigError, match="slice some: would be a slice of itself; choose another name"):
            register_slice("some", base, first=2)


def test_selections_of_a_config(label_file: Path, tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text("frame03\n")
    set_up(
        tmp_path,
        "    - {name: some, base: bdd100k_det_val, share: 0.5, seed: 2, timeofday: [night, daytime]}\n"
        "    - {name: fold, base: bdd100k_det_val, fold: [0, 7], seed: 2}\n"
        f"    - {{name: named, base: bdd100k_det_val, names: {tmp_path / 'names.txt'}}}\n"
        "    - {name: two, base: bdd100k_det_val, names: [frame03, frame04], first: 1}\n",
    )
    assert len(loaded("some")) == round(len(chosen(timeofday=("night", "daytime"))) / 2)
    assert len(loaded("fold")) == 2 and loaded("named") == loaded("two") == [frame_name(3)]
