"""Data sets that users register are scored on their records, under their own classes."""

import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.structures import Boxes, BoxMode, Instances
from PIL import Image
from pycocotools.mask import encode

from bdd100k_d2.data.bitmasks import CROWD, IGNORED, Bitmask, encode_bitmask, read_bitmask
from bdd100k_d2.data.register import register_all
from bdd100k_d2.errors import ConfigError, DataError
from bdd100k_d2.evaluation.evaluators import (
    EVALUATORS,
    BDD100KDetEvaluator,
    BDD100KDrivableEvaluator,
    BDD100KInsSegEvaluator,
    BDD100KPanSegEvaluator,
    BDD100KSemSegEvaluator,
)
from bdd100k_d2.evaluation.evaluators.base import OfficialEvaluator
from bdd100k_d2.evaluation.evaluators.records import box_truth, is_released
from bdd100k_d2.evaluation.files.evaluate import evaluate_files
from bdd100k_d2.evaluation.metrics.coco_scores import METRICS
from bdd100k_d2.evaluation.prediction_files import write_mask
from bdd100k_d2.tasks import TASKS

Record = dict[str, Any]
SIZE = (40, 60)


@pytest.fixture(autouse=True)
def registered(tiny_root: Path) -> Iterator[None]:
    register_all(tiny_root)
    before = set(DatasetCatalog.list()), set(MetadataCatalog.list())
    yield
    for catalog, names in zip((DatasetCatalog, MetadataCatalog), before, strict=True):
        for name in set(catalog.list()) - names:
            catalog.remove(name)


def register(name: str, records: list[Record], like: str = "", **fields: object) -> None:
    """Registers records with the metadata of another data set, as users do, and some of their own."""
    base = MetadataCatalog.get(like).as_dict() if like else {}
    DatasetCatalog.register(name, lambda: records)
    MetadataCatalog.get(name).set(**{key: value for key, value in base.items() if key != "name"} | fields)


def found(corners: list[list[float]], classes: list[int], scores: list[float] | None = None) -> dict[str, Instances]:
    one = Instances((96, 160))
    one.pred_boxes = Boxes(torch.tensor(corners, dtype=torch.float32).reshape(-1, 4))
    one.pred_classes = torch.tensor(classes, dtype=torch.int64)
    one.scores = torch.tensor(scores or [0.9] * len(classes))
    return {"instances": one}


def perfect(record: Record) -> dict[str, Instances]:
    kept = [one for one in record["annotations"] if not one["iscrowd"]]
    corners = [BoxMode.convert(one["bbox"], one["bbox_mode"], BoxMode.XYXY_ABS) for one in kept]
    return found(corners, [one["category_id"] for one in kept])


def run(evaluator: OfficialEvaluator, records: list[Record], outputs: list[Any]) -> dict[str, float]:
    evaluator.reset()
    for record, output in zip(records, outputs, strict=True):
        evaluator.process([{key: value for key, value in record.items() if key != "annotations"}], [output])
    (scores,) = evaluator.evaluate().values()
    return scores


def test_a_registered_copy_has_the_official_scores(tiny_root: Path, tmp_path: Path) -> None:
    records = DatasetCatalog.get("bdd100k_det_val")
    register("copy", records, "bdd100k_det_val")
    rng = np.random.default_rng(0)
    outputs = []
    for record in records:
        corners = [
            (np.array([x, y, x + w, y + h]) + rng.normal(0, 2, 4)).tolist()
            for x, y, w, h in (one["bbox"] for one in record["annotations"])
        ]
        classes = [one["category_id"] for one in record["annotations"]]
        outputs.append(found(corners, classes, rng.random(len(classes)).tolist()))
    # With one frame fewer than the records: it counts as empty.
    scores = run(BDD100KDetEvaluator("copy", tmp_path), records[:2], outputs[:2])
    assert 0 < scores["AP"] < 100
    official = evaluate_files(
        "det", tiny_root / "bdd100k/labels/det_20/det_val.json", tmp_path / "det.json", workers=1
    ).official
    for metric in METRICS:
        np.testing.assert_array_equal(official[metric][1]["OVERALL"], scores[metric])
    assert str(json.loads((tmp_path / "scores.json").read_text())) == str(official)


def test_a_part_is_scored_on_its_own_frames(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    records = DatasetCatalog.get("bdd100k_det_val")[:1]
    # Whatever the metadata says of a label file; that it is a copy is not known from it.
    for name, fields in (("first", {}), ("no_file", {"label_path": None}), ("gone", {"label_path": "/nowhere"})):
        register(name, records, "bdd100k_det_val", **fields)
        scores = run(BDD100KDetEvaluator(name, tmp_path), records, [perfect(records[0])])
        assert (scores["AP"], scores["AP-car"], scores["AP-pedestrian"]) == pytest.approx((100, 100, 100))
    assert "count as empty" not in caplog.text
    caplog.set_level(logging.INFO)
    run(BDD100KDetEvaluator("first"), records, [perfect(records[0])])
    assert "Official scores of first" in caplog.text


def test_other_records_under_the_name_of_a_released_set_are_the_truth(tmp_path: Path) -> None:
    """As scripts shorten a data set: what the package knows of it stays in the metadata."""
    load = DatasetCatalog["bdd100k_det_val"]
    records = load()[:1]
    assert is_released("bdd100k_det_val")
    DatasetCatalog.remove("bdd100k_det_val")
    DatasetCatalog.register("bdd100k_det_val", lambda: records)
    try:
        assert not is_released("bdd100k_det_val") and not is_released("bdd100k_det_val_night")
        scores = run(BDD100KDetEvaluator("bdd100k_det_val", tmp_path), records, [perfect(records[0])])
        assert scores["AP"] == pytest.approx(100)
    finally:
        DatasetCatalog.remove("bdd100k_det_val")
        DatasetCatalog.register("bdd100k_det_val", load)


def test_own_classes_of_a_detector(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    number = {2: 0, 6: 1}
    records = [
        record
        | {
            "annotations": [
                one | {"category_id": number[one["category_id"]]}
                for one in record["annotations"]
                if one["category_id"] in number
            ]
        }
        for record in DatasetCatalog.get("bdd100k_det_val")
    ]
    # The colours are as many as before: users forget them.
    register("mine", records, "bdd100k_det_val", thing_classes=["car", "my bike"])
    evaluator = BDD100KDetEvaluator("mine", tmp_path)
    scores = run(evaluator, records, [perfect(record) for record in records])
    assert set(scores) == {*METRICS, "AP-car", "AP-my bike"}
    assert (scores["AP"], scores["AP-car"], scores["AP-my bike"]) == pytest.approx((100, 100, 100))
    frames = json.loads((tmp_path / "det.json").read_text())
    assert [label["category"] for frame in frames for label in frame["labels"]] == ["car", "my bike"]
    assert [*json.loads((tmp_path / "scores.json").read_text())["AP"][0]] == ["car", "my bike"]
    assert "mine: not the official scores: own classes (car, my bike)." in caplog.text
    assert "Official" not in caplog.text


def test_boxes_by_their_corners_and_images_by_numbers(tmp_path: Path) -> None:
    """Records as other data sets have them: whole numbers for the images, and the corners of boxes."""
    one = {"bbox": [10, 20, 31, 41], "bbox_mode": BoxMode.XYXY_ABS, "category_id": 0}
    records = [
        {"file_name": f"/data/{i}.png", "image_id": i, "height": 96, "width": 160, "annotations": [one] * (i > 0)}
        for i in range(3)
    ]
    register("numbers", records, evaluator_type="bdd100k_det", thing_classes=["cone"])
    outputs = [found([[10, 20, 31, 41]] * (i > 0), [0] * (i > 0)) for i in range(3)]
    assert run(BDD100KDetEvaluator("numbers", tmp_path), records, outputs)["AP"] == pytest.approx(100)
    assert [frame["name"] for frame in json.loads((tmp_path / "det.json").read_text())] == ["0.png", "1.png", "2.png"]


def test_records_without_labels_have_no_scores(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    records = [{"file_name": "/data/a.jpg", "image_id": "a.jpg"}]
    logits = torch.zeros(3, 4, 6)
    register("own", records, evaluator_type="bdd100k_drivable", stuff_classes=["a", "b", "c"])
    register("theirs", records, evaluator_type="bdd100k_drivable", stuff_classes=[*TASKS["drivable"].names])
    for name in ("own", "theirs"):
        evaluator = BDD100KDrivableEvaluator(name, tmp_path / name)
        evaluator.process(records, [{"sem_seg": logits}])
        assert evaluator.evaluate() == {}
        # A submission is of BDD100K's own frames, whatever the classes.
        assert [path.name for path in (tmp_path / name).iterdir()] == ["masks"]
        assert "evaluation server" not in caplog.text


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"category_id": 2}, "category_id 2 is no class; the metadata has 2, 0 to 1 (x, y). Renumber the records"),
        ({"category_id": -1}, "category_id -1 is no class"),
        ({"category_id": 0.7}, "category_id 0.7 is no class"),
        ({"category_id": "0"}, "category_id '0' is no class"),
        ({"category_id": None}, "category_id None is no class"),
        ({"category_id": ...}, "it has no category_id, which is no class"),
        ({"bbox_mode": BoxMode.XYWHA_ABS}, "it has no bbox with a bbox_mode of XYXY_ABS or XYWH_ABS; add it."),
        ({"bbox": ...}, "it has no bbox with a bbox_mode"),
        ({"bbox": [0, 0, 3, 4, 0]}, "the bbox [0, 0, 3, 4, 0] is not of four numbers; mend it."),
        ({"bbox": None}, "the bbox None is not of four numbers"),
        ({"bbox": [0, 0, float("nan"), 1]}, "the bbox [0, 0, nan, 1], in XYWH_ABS, has no area or is not finite"),
        ({"bbox": [float("inf"), 0, 1, 1]}, "the bbox [inf, 0, 1, 1], in XYWH_ABS, has no area or is not finite"),
        ({"bbox": [5, 5, 0, 4]}, "the bbox [5, 5, 0, 4], in XYWH_ABS, has no area or is not finite; mend its numbers"),
        ({"bbox": [5, 5, -3, 4]}, "the bbox [5, 5, -3, 4], in XYWH_ABS, has no area"),
        ({"bbox": [20, 20, 5, 5], "bbox_mode": BoxMode.XYXY_ABS}, "the bbox [20, 20, 5, 5], in XYXY_ABS, has no area"),
        ({"bbox": [60, 0, 5, 5]}, "the bbox [60, 0, 5, 5] is outside of the image of 60x40 pixels; mend or remove"),
        ({"bbox": [0, -5, 5, 5]}, "the bbox [0, -5, 5, 5] is outside of the image of 60x40 pixels"),
        ({"iscrowd": 2}, "iscrowd is 2; write 0 or 1."),
    ],
)
def test_records_that_are_no_ground_truth(change: Record, message: str) -> None:
    good = {"bbox": [0, 0, 3, 4], "bbox_mode": BoxMode.XYWH_ABS, "category_id": 0}
    bad = {key: value for key, value in {**good, **change}.items() if value is not ...}
    record = {"file_name": "a.jpg", "image_id": "a.jpg", "height": 40, "width": 60, "annotations": [good, bad]}
    register("bad", [record], evaluator_type="bdd100k_det", thing_classes=["x", "y"])
    with pytest.raises(DataError, match=re.escape(f"bad: frame a.jpg: annotations[1]: {message}")):
        BDD100KDetEvaluator("bad")


def test_numbers_of_other_types_are_ground_truth() -> None:
    """As arrays give them; a box may reach out of its image, and an image need not state its size."""
    one = {"bbox": np.array([-5.0, 30, 100, 40]), "bbox_mode": 1, "category_id": np.int64(1), "iscrowd": np.bool_(0)}
    record = {"file_name": Path("a.jpg"), "image_id": 3, "annotations": (one, one | {"category_id": 1.0})}
    register(
        "good",
        [record, record | {"file_name": "b.jpg", "height": 40, "width": 60}],
        evaluator_type="bdd100k_det",
        thing_classes=["x", "y"],
    )
    names, truth = box_truth({r: DatasetCatalog.get("good")[i] for i, r in enumerate("ab")}, "good", TASKS["det"])
    assert (names, truth.category.tolist(), truth.crowd.tolist()) == (["a", "b"], [1] * 4, [False] * 4)
    assert truth.box.tolist() == [[-5, 30, 100, 40]] * 4
    BDD100KDetEvaluator("good")


@pytest.mark.parametrize(
    ("task", "change", "message"),
    [
        ("det", {"annotations": None}, "frame a.jpg: annotations is no list of dicts, but None; write [] for a frame"),
        ("det", {"annotations": ["x"]}, "frame a.jpg: annotations is no list of dicts, but ['x']"),
        ("det", {"height": "x"}, "frame a.jpg: height and width are 'x' and 60; write pixels, or leave them out."),
        ("det", {"image_id": 7, "file_name": None}, "a record has the file_name None and the image_id 7, which name"),
        ("ins_seg", {"annotations": None}, "frame a: annotations is no list of dicts, but None"),
        ("pan_seg", {"segments_info": None}, "frame a: segments_info is no list of dicts, but None"),
        ("sem_seg", {"sem_seg_file_name": None}, "frame a: sem_seg_file_name is None; write the path of its mask, or"),
    ],
)
def test_records_of_another_form(task: str, change: Record, message: str) -> None:
    record = {"file_name": "a.jpg", "image_id": "a.jpg", "height": 40, "width": 60, "annotations": []} | change
    fields = {"thing_classes": ["x"], "stuff_classes": ["things", "y"], "evaluator_type": f"bdd100k_{task}"}
    register("form", [record], **fields)
    with pytest.raises(DataError, match=re.escape(message)):
        EVALUATORS[task]("form")


def test_data_sets_that_cannot_be_evaluated() -> None:
    same = [{"file_name": f"/{folder}/a.jpg", "image_id": i} for i, folder in enumerate("xy")]
    register("twice", same, evaluator_type="bdd100k_det", thing_classes=["x"])
    with pytest.raises(DataError, match=r"twice: two records are called a.jpg, /x/a.jpg and /y/a.jpg; give each"):
        BDD100KDetEvaluator("twice")
    endings = [{"file_name": name, "image_id": name} for name in ("a.jpg", "a.png")]
    register("endings", endings, evaluator_type="bdd100k_sem_seg", stuff_classes=["x"])
    with pytest.raises(DataError, match="endings: two records are called a, a.jpg and a.png"):
        BDD100KSemSegEvaluator("endings")
    register("empty", [], evaluator_type="bdd100k_det", thing_classes=["x"])
    with pytest.raises(DataError, match="empty: there is no record in it"):
        BDD100KDetEvaluator("empty")
    register("unnamed", same, evaluator_type="bdd100k_det")
    with pytest.raises(ConfigError, match="unnamed: its metadata names no classes; set its thing_classes"):
        BDD100KDetEvaluator("unnamed")
    register("cars", same[:1], evaluator_type="bdd100k_det", thing_classes=["car", "x", "car"])
    with pytest.raises(ConfigError, match="cars: two of its classes are called 'car', so that their scores could not"):
        BDD100KDetEvaluator("cars")
    with pytest.raises(ConfigError, match="bdd100k_det_val is no data set of sem_seg: .* evaluator_type 'bdd100k_det'"):
        BDD100KSemSegEvaluator("bdd100k_det_val")


def logits_of(ids: np.ndarray, classes: int) -> dict[str, torch.Tensor]:
    ids = torch.from_numpy(ids.astype(np.int64))
    return {"sem_seg": torch.nn.functional.one_hot(ids.clamp(max=classes - 1), classes).permute(2, 0, 1).float()}


def test_own_classes_of_a_segmenter(tmp_path: Path) -> None:
    """Two classes of one's own, and 7 for what is not scored: one class is half right, the other wholly."""
    truth = np.full((4, 8), 7, np.uint8)
    truth[:2], truth[2] = 0, 1
    Image.fromarray(truth).save(tmp_path / "a.png")
    prediction = np.where(truth == 7, 1, truth)
    prediction[0] = 1
    records = [{"file_name": "/data/a.jpg", "image_id": "a.jpg", "sem_seg_file_name": str(tmp_path / "a.png")}]
    fields = {"evaluator_type": "bdd100k_sem_seg", "stuff_classes": ["paved", "other"]}
    register("two", records, **fields, ignore_label=7)
    scores = run(BDD100KSemSegEvaluator("two", tmp_path / "out"), records, [logits_of(prediction, 2)])
    assert (scores["IoU-paved"], scores["IoU-other"], scores["mIoU"]) == (50, 50, 50)
    assert "IoU-road" not in scores and scores["pAcc"] == pytest.approx(200 / 3)
    # Without the label of what is ignored, a 7 is no class.
    register("strict", records, **fields)
    with pytest.raises(DataError, match=r"a\.png: the mask holds the ids \[7\]; 0 to 1 and 255 are allowed"):
        run(BDD100KSemSegEvaluator("strict"), records, [logits_of(prediction, 2)])


def test_a_part_of_the_masks_is_scored_on_its_frames(tmp_path: Path) -> None:
    records = DatasetCatalog.get("bdd100k_drivable_val")[1:2]
    register("one", records, "bdd100k_drivable_val")
    truth = np.asarray(Image.open(records[0]["sem_seg_file_name"]))
    scores = run(BDD100KDrivableEvaluator("one", tmp_path), records, [logits_of(truth, 3)])
    assert (scores["mIoU"], scores["pAcc"], scores["mIoU-strict"]) == (100, 100, 100)
    assert "IoU-background" not in scores


def rectangle(top: int, left: int, bottom: int, right: int) -> np.ndarray:
    mask = np.zeros(SIZE, np.uint8)
    mask[top:bottom, left:right] = 1
    return mask


def run_lengths(mask: np.ndarray) -> dict[str, Any]:
    return encode(np.asfortranarray(mask))


def masks_found(masks: list[np.ndarray], classes: list[int]) -> dict[str, Instances]:
    one = Instances(SIZE)
    one.pred_masks = torch.from_numpy(np.stack(masks).astype(bool))
    one.pred_classes = torch.tensor(classes)
    one.scores = torch.linspace(0.9, 0.5, len(classes))
    return {"instances": one}


def test_own_instances_in_every_form_of_masks(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    small, large, other = rectangle(5, 5, 15, 15), rectangle(0, 0, 30, 30), rectangle(32, 32, 38, 52)
    columns = other.T.ravel()
    edges = [0, *np.flatnonzero(np.diff(columns, prepend=0)), columns.size]
    plain = {"size": [*SIZE], "counts": np.diff(edges).tolist()}
    forms = (run_lengths(small), [[0, 0, 30, 0, 30, 30, 0, 30]], plain)
    annotations = [
        {"bbox": [0, 0, 1, 1], "bbox_mode": BoxMode.XYWH_ABS, "category_id": k, "segmentation": one, "iscrowd": 0}
        for k, one in zip((1, 0, 1), forms, strict=True)
    ]
    # A crowd that nobody finds, which is not missed; COCO's says no more.
    annotations.append(annotations[0] | {"segmentation": run_lengths(rectangle(0, 40, 9, 50)), "iscrowd": 1})
    records = [
        {"file_name": "/d/a.jpg", "image_id": 5, "height": 40, "width": 60, "annotations": annotations},
        {"file_name": "/d/b.jpg", "image_id": 6, "annotations": []},
    ]
    register("own_masks", records, evaluator_type="bdd100k_ins_seg", thing_classes=["box", "tin"])
    evaluator = BDD100KInsSegEvaluator("own_masks", tmp_path)
    visible = large.copy()
    visible[5:15, 5:15] = 0
    outputs = [masks_found([small, visible, other], [1, 0, 1]), masks_found([np.zeros(SIZE)], [0])]
    scores = run(evaluator, records, outputs)
    assert (scores["AP"], scores["AP-box"], scores["AP-tin"]) == pytest.approx((100, 100, 100))
    # The large one gave its pixels to the small one; an evaluation says so once.
    assert [r.message for r in caplog.records if r.levelname == "WARNING"] == [
        "the records of own_masks: 1 objects overlap smaller ones, which keep the pixels: a bitmask gives each pixel "
        "to one object."
    ]
    assert read_bitmask(tmp_path / "bitmasks/a.png").categories.tolist() == [2, 1, 2]
    assert not (tmp_path / "submission.zip").exists()


@pytest.mark.parametrize(
    ("segmentation", "message"),
    [
        ({"size": [4, 6], "counts": "0d0"}, "the mask has 4x6 pixels, the image 40x60"),
        ([[1, 2, 3, 4]], "a polygon has an x and a y for each of three corners"),
        (None, "a segmentation is neither run lengths nor polygons"),
        ("xyz", "a segmentation is neither run lengths nor polygons"),
        ([1, 2, 3, 4, 5, 6], "a segmentation is neither run lengths nor polygons"),
        ([["a"] * 6], "a segmentation is neither run lengths nor polygons"),
        (np.ones(SIZE), "a segmentation is neither run lengths nor polygons"),
    ],
)
def test_masks_that_are_no_ground_truth(segmentation: object, message: str) -> None:
    one = {"bbox": [0, 0, 1, 1], "bbox_mode": 1, "category_id": 0, "segmentation": segmentation, "iscrowd": 0}
    records = [{"file_name": "a.jpg", "image_id": "a.jpg", "height": 40, "width": 60, "annotations": [one]}]
    register("bad_masks", records, evaluator_type="bdd100k_ins_seg", thing_classes=["x"])
    with pytest.raises(DataError, match=rf"the records of bad_masks: frame a: annotations\[0\]: {message}"):
        run(BDD100KInsSegEvaluator("bad_masks"), records, [masks_found([np.ones(SIZE)], [0])])


def official_bitmask(task: str) -> Bitmask:
    """Four objects, of which the last two are a crowd and an ignored one; of pan_seg also one of no class."""
    instances = np.zeros((720, 1280), np.int32)
    for i in range(5):
        instances[100 * i + 5 : 100 * i + 95, 10 : 160 + 100 * i] = i + 1
    categories = np.array([3, 1, 3, 1, 2] if task == "ins_seg" else [0, 7, 35, 31, 35])
    attributes = np.array([0, 0, 0, CROWD, IGNORED], np.uint8)
    return Bitmask(instances, np.arange(1, 6) + 30, categories, attributes)


@pytest.mark.parametrize("task", ["ins_seg", "pan_seg"])
def test_a_registered_copy_of_bitmasks_has_the_official_scores(tiny_root: Path, tmp_path: Path, task: str) -> None:
    """Crowds that are missed and ignored objects that are not, and predictions on what is of no class."""
    truth = official_bitmask(task)
    labels = tiny_root / "bdd100k/labels" / task / "bitmasks/val"
    for i in range(3):
        write_mask(encode_bitmask(truth), labels / f"val{i}.png")
    records = DatasetCatalog.get(f"bdd100k_{task}_val")
    register("copy", records, f"bdd100k_{task}_val")
    scores = {}
    for name in (f"bdd100k_{task}_val", "copy"):
        evaluator = EVALUATORS[task](name, tmp_path / name)
        outputs = []
        for i in range(3):
            moved = np.roll(truth.instances, 20 * i, 1)
            if task == "ins_seg":
                one = Instances((720, 1280))
                kept = [0, 1, 4] if i else [0, 1, 2, 3]
                one.pred_masks = torch.from_numpy(np.stack([moved == k + 1 for k in kept]))
                one.pred_classes = torch.from_numpy(truth.categories[kept].astype(np.int64) - 1)
                one.scores = torch.linspace(0.9, 0.3, len(kept))
                outputs.append({"instances": one})
            else:
                infos = [
                    {"id": 1, "isthing": False, "category_id": 2},
                    {"id": 2, "isthing": False, "category_id": 7},
                    {"id": 3, "isthing": True, "category_id": 4},
                    {"id": 5, "isthing": True, "category_id": 5},
                ]
                outputs.append({"panoptic_seg": (torch.from_numpy(moved), infos)})
        scores[name] = run(evaluator, records, outputs)
    first, second = scores.values()
    assert 0 < first["AP" if task == "ins_seg" else "PQ"] < 100
    assert str(first) == str(second)


def test_own_panoptic_classes(tmp_path: Path) -> None:
    """Forty kinds of stuff and two things, so that things are no 31 on; half of one thing is found."""
    stuff = ["things", *(f"s{i}" for i in range(40))]
    tree, cone = rectangle(0, 0, 20, 60), rectangle(20, 0, 40, 30)
    segments = [
        {"id": 1, "isthing": False, "category_id": 40, "iscrowd": 0, "segmentation": run_lengths(tree)},
        {"id": 2, "isthing": True, "category_id": 1, "iscrowd": 0, "segmentation": run_lengths(cone)},
    ]
    records = [{"file_name": "/d/a.jpg", "image_id": "a.jpg", "height": 40, "width": 60, "segments_info": segments}]
    register("own_pan", records, evaluator_type="bdd100k_pan_seg", thing_classes=["car", "cone"], stuff_classes=stuff)
    infos = [
        {"id": 1, "isthing": False, "category_id": 40},
        {"id": 2, "isthing": True, "category_id": 1},
    ]
    predicted = torch.from_numpy(tree.astype(np.int64))
    predicted[20:40, :20] = 2
    output = {"panoptic_seg": (predicted, infos)}
    scores = run(BDD100KPanSegEvaluator("own_pan", tmp_path), records, [output])
    assert (scores["PQ-s39"], scores["PQ-cone"], scores["PQ-car"]) == pytest.approx((100, 100 * 2 / 3, 0))
    assert (scores["N"], scores["N/STUFF"], scores["N/THING"]) == (2, 1, 1)
    written = read_bitmask(tmp_path / "bitmasks/a.png")
    assert (written.ids.tolist(), written.categories.tolist()) == ([40, 41], [40, 42])
    # The same in COCO's form, with a segment id that takes two channels; 0 is unlabelled.
    colors = np.zeros((*SIZE, 3), np.uint8)
    colors[tree == 1], colors[cone == 1] = (7, 1, 0), (0, 0, 2)
    Image.fromarray(colors).save(tmp_path / "a.png")
    infos = [{**segments[0], "id": 263}, {**segments[1], "id": 2 << 16}]
    coco = [{key: value for key, value in one.items() if key != "segmentation"} for one in infos]
    theirs = [{**records[0], "segments_info": coco, "pan_seg_file_name": str(tmp_path / "a.png")}]
    register("coco_pan", theirs, "own_pan")
    assert str(run(BDD100KPanSegEvaluator("coco_pan"), theirs, [output])) == str(scores)
    coco[0]["id"] = 5
    with pytest.raises(DataError, match="the records of coco_pan: frame a: the segment 5 has no pixel in its file"):
        run(BDD100KPanSegEvaluator("coco_pan"), theirs, [output])
    coco[0]["id"] = coco[1]["id"]
    with pytest.raises(DataError, match="frame a: two of its segments_info have one id, or one has none; mend them"):
        run(BDD100KPanSegEvaluator("coco_pan"), theirs, [output])
    small = {"panoptic_seg": (predicted[:9, :9], output["panoptic_seg"][1])}
    with pytest.raises(
        DataError, match="the records of own_pan: the ground truth of a.jpg is 60x40, the prediction 9x9"
    ):
        run(BDD100KPanSegEvaluator("own_pan"), records, [small])
    segments[0]["category_id"] = 0
    with pytest.raises(
        DataError, match=r"frame a: segments_info\[0\]: a segment of stuff has the category_id 0, which stands for all"
    ):
        run(BDD100KPanSegEvaluator("own_pan"), records, [output])


def test_ground_truth_is_not_where_results_go(tmp_path: Path) -> None:
    """Results of an earlier run are removed by name, and would be taken for such."""
    folder = tmp_path / "out/masks"
    folder.mkdir(parents=True)
    mask = folder / "a.png"
    Image.fromarray(np.zeros((4, 8), np.uint8)).save(mask)
    records = [{"file_name": "/data/a.jpg", "image_id": "a.jpg", "sem_seg_file_name": str(mask)}]
    register("inner", records, evaluator_type="bdd100k_sem_seg", stuff_classes=["x"])
    # Also by a link, and for a file of boxes that an earlier run has predicted.
    (tmp_path / "link").symlink_to(tmp_path / "out")
    for output in ("out", "link"):
        with pytest.raises(ConfigError, match=r"^inner: its labels or images are in .*/out/masks, .*another OUT"):
            BDD100KSemSegEvaluator("inner", tmp_path / output)
    assert mask.exists()
    assert run(BDD100KSemSegEvaluator("inner", tmp_path / "other"), records, [logits_of(np.zeros((4, 8)), 1)])
    one = {"bbox": [0, 0, 5, 5], "bbox_mode": BoxMode.XYWH_ABS, "category_id": 0}
    boxes = [{"file_name": "/data/a.jpg", "image_id": "a.jpg", "annotations": [one]}]
    label_path = str(tmp_path / "out/det.json")
    register("pseudo", boxes, evaluator_type="bdd100k_det", thing_classes=["x"], label_path=label_path)
    with pytest.raises(ConfigError, match=r"^pseudo: its labels or images are in .*/out/det\.json"):
        BDD100KDetEvaluator("pseudo", tmp_path / "out")
    register(
        "drawn",
        [boxes[0] | {"file_name": str(tmp_path / "out/bitmasks/a.png")}],
        "pseudo",
        evaluator_type="bdd100k_ins_seg",
        label_path=None,
    )
    with pytest.raises(ConfigError, match=r"^drawn: its labels or images are in .*/out/bitmasks"):
        BDD100KInsSegEvaluator("drawn", tmp_path / "out")


@pytest.mark.parametrize(
    ("task", "output", "wrong"),
    [
        ("det", found([[0, 0, 5, 5]], [2]), "class 2 (counted from 0)"),
        ("det", found([[0, 0, 5, 5]] * 2, [0, -1]), "class -1 (counted from 0)"),
        ("ins_seg", masks_found([np.ones(SIZE)], [2]), "class 2 (counted from 0)"),
        ("sem_seg", {"sem_seg": torch.zeros(3, *SIZE)}, "3 classes"),
        ("drivable", {"sem_seg": torch.zeros(1, *SIZE)}, "1 classes"),
        (
            "pan_seg",
            {"panoptic_seg": (torch.ones(SIZE, dtype=torch.int64), [{"id": 1, "isthing": True, "category_id": 1}])},
            "class 1",
        ),
    ],
)
def test_predictions_of_classes_that_are_not_there(task: str, output: dict[str, Any], wrong: str) -> None:
    """Said at the first frame; the last class of a name list would have been taken for a negative one."""
    records = [{"file_name": "/d/a.jpg", "image_id": "a.jpg", "height": 40, "width": 60}]
    fields = {"thing_classes": ["y"], "stuff_classes": ["things", "x"]} if task == "pan_seg" else {}
    two = "thing_classes" if task in ("det", "ins_seg") else "stuff_classes"
    register("two", records, **{"evaluator_type": f"bdd100k_{task}", two: ["x", "y"], **fields})
    message = f"two: frame a.jpg: the model gives {wrong}, but the data set has 2 classes: x, y; evaluate a data set"
    with pytest.raises(ConfigError, match=re.escape(message)):
        EVALUATORS[task]("two").process(records, [output])
