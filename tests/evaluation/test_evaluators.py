import json
from pathlib import Path

import numpy as np
import pytest
import torch
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.structures import Boxes, Instances
from PIL import Image
from support.bitmask_sets import write_bitmasks

import bdd100k_d2
from bdd100k_d2.data.register import register_all
from bdd100k_d2.data.vintages import read_labels
from bdd100k_d2.errors import DataError, OutputError
from bdd100k_d2.evaluation.boxes import join_boxes
from bdd100k_d2.evaluation.evaluators import (
    EVALUATORS,
    BDD100KDetEvaluator,
    BDD100KDrivableEvaluator,
    BDD100KSemSegEvaluator,
    build_evaluator,
)
from bdd100k_d2.evaluation.evaluators.segmentation import count_pixels, histogram_on_device
from bdd100k_d2.evaluation.files.evaluate import evaluate_files
from bdd100k_d2.evaluation.metrics.coco_scores import METRICS
from bdd100k_d2.evaluation.metrics.segmentation import confusion_matrix
from bdd100k_d2.evaluation.submission import check_split_submission
from bdd100k_d2.tasks import TASKS

COCO = ("coco_instances_results.json", "record_instances_results.json", "coco_panoptic_results.json")


@pytest.fixture(autouse=True)
def registered(tiny_root: Path) -> None:
    register_all(tiny_root)


def instances(boxes: list[list[float]], scores: list[float], classes: list[int]) -> dict[str, Instances]:
    found = Instances((96, 160))
    found.pred_boxes = Boxes(torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4))
    found.scores = torch.tensor(scores, dtype=torch.float32)
    found.pred_classes = torch.tensor(classes, dtype=torch.int64)
    return {"instances": found}


def test_perfect_detections_score_100_and_files_are_official(tmp_path: Path) -> None:
    evaluator = BDD100KDetEvaluator("bdd100k_det_val", tmp_path / "out")
    for record in reversed(DatasetCatalog.get("bdd100k_det_val")):
        boxes = [[x, y, x + w, y + h] for x, y, w, h in (one["bbox"] for one in record["annotations"])]
        classes = [one["category_id"] for one in record["annotations"]]
        evaluator.process([record], [instances(boxes, [0.9] * len(boxes), classes)])
    results = evaluator.evaluate()["bbox"]
    assert [results[key] for key in ("AP", "AP50", "AR100", "AP-motorcycle")] == pytest.approx([100] * 4)
    assert np.isnan(results["AP-train"]) and np.isnan(results["APl"])
    assert set(results) == {*METRICS, *(f"AP-{name}" for name in TASKS["det"].names)}

    frames = json.loads((tmp_path / "out/det.json").read_text())
    assert [frame["name"] for frame in frames] == ["val0.jpg", "val1.jpg", "val2.jpg"]
    first = frames[0]["labels"][0]
    # Inclusive, as in the label file.
    assert first["box2d"] == {"x1": 10, "y1": 20, "x2": 60, "y2": 70}
    assert (first["id"], first["category"]) == ("0", "car") and first["score"] == pytest.approx(0.9)
    assert [label["id"] for frame in frames for label in frame["labels"]] == ["0", "1", "2", "3"]
    scores = json.loads((tmp_path / "out/scores.json").read_text())
    assert list(scores) == list(METRICS)
    assert scores["AP"][1] == {"OVERALL": pytest.approx(100)} and tuple(scores["AP"][0]) == TASKS["det"].names


def test_the_file_scores_what_the_memory_scores(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    evaluator = BDD100KDetEvaluator("bdd100k_det_val", tmp_path)
    for record in DatasetCatalog.get("bdd100k_det_val"):
        boxes = [
            (np.array([x, y, x + w, y + h]) + rng.normal(0, 2, 4)).tolist()
            for x, y, w, h in (one["bbox"] for one in record["annotations"])
        ]
        classes = [one["category_id"] for one in record["annotations"]]
        evaluator.process([record], [instances(boxes, rng.random(len(boxes)).tolist(), classes)])
    memory = evaluator.evaluate()["bbox"]
    official = evaluate_files("det", evaluator.label_path, tmp_path / "det.json").official
    for metric in METRICS:
        np.testing.assert_array_equal(official[metric][1]["OVERALL"], memory[metric])


@pytest.mark.parametrize("num_classes", [3, 19])
def test_pixels_are_counted_on_the_device_as_on_the_cpu(num_classes: int) -> None:
    """The counting for other devices, on a stand-in whose pixels are the CPU's."""
    rng = np.random.default_rng(0)
    truth = rng.choice([*range(num_classes), 255], (30, 40)).astype(np.uint8)
    prediction = torch.from_numpy(rng.integers(0, num_classes + 2, (30, 40)).astype(np.uint8))
    expected = confusion_matrix(truth, prediction.numpy(), num_classes)
    for count in (count_pixels, histogram_on_device):
        counts = count(truth, prediction, num_classes)
        assert counts.dtype == torch.int64
        np.testing.assert_array_equal(counts.numpy(), expected)
    if torch.cuda.is_available():
        counts = count_pixels(truth, prediction.cuda(), num_classes)
        assert counts.is_cuda
        np.testing.assert_array_equal(counts.cpu().numpy(), expected)


def test_ranks_are_gathered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two ranks with a part of the frames each give what one rank gives."""
    records = DatasetCatalog.get("bdd100k_sem_seg_val")
    rng = torch.Generator().manual_seed(0)
    outputs = [{"sem_seg": torch.rand(19, 720, 1280, generator=rng)} for _ in records]
    whole = BDD100KSemSegEvaluator("bdd100k_sem_seg_val", tmp_path / "whole")
    whole.process(records, outputs)
    parts = [BDD100KSemSegEvaluator("bdd100k_sem_seg_val", tmp_path / "parts") for _ in range(2)]
    parts[0].process(records[:2], outputs[:2])
    parts[1].process(records[2:], outputs[2:])
    expected = whole.evaluate()
    monkeypatch.setattr(
        "detectron2.utils.comm.gather", lambda data: [data, (parts[1]._matrix.numpy(), parts[1]._names)]
    )
    assert parts[0].evaluate() == expected

    records = DatasetCatalog.get("bdd100k_det_val")
    found = [instances([[10, 20, 61, 71]], [0.9], [2]), instances([[1, 2, 3, 4]], [0.8], [1]), instances([], [], [])]
    one, two = (BDD100KDetEvaluator("bdd100k_det_val", tmp_path / "det") for _ in range(2))
    one.process(records[1:], found[1:])
    two.process(records[:1], found[:1])
    monkeypatch.setattr("detectron2.utils.comm.gather", lambda data: [data, join_boxes(two._predictions)])
    assert one.evaluate()["bbox"]["AP-car"] == pytest.approx(100)
    written = read_labels(tmp_path / "det/det.json").frames
    assert [frame.name for frame in written] == ["val0.jpg", "val1.jpg", "val2.jpg"]


def test_masks_without_an_image_count_as_on_files(
    tiny_root: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Two of the released masks have no image: officially their pixels are missed."""
    masks = tiny_root / "bdd100k/labels/sem_seg/masks/val"
    (masks / "val0.png").rename(masks / "ff55861e-a06b953c.png")
    (tiny_root / "bdd100k/images/10k/val/val0.jpg").unlink()
    evaluator = BDD100KSemSegEvaluator("bdd100k_sem_seg_val", tmp_path)
    records = DatasetCatalog.get("bdd100k_sem_seg_val")
    assert len(records) == 2
    for record in records:
        truth = torch.from_numpy(np.asarray(Image.open(record["sem_seg_file_name"])).astype(np.int64))
        logits = torch.nn.functional.one_hot(truth.clamp(max=18), 19).permute(2, 0, 1).float()
        evaluator.process([record], [{"sem_seg": logits}])
    results = evaluator.evaluate()["sem_seg"]
    assert "1 of 3 frames have no prediction and count as empty; the first is ff55861e-a06b953c" in caplog.text
    official = evaluate_files("sem_seg", masks, tmp_path / "masks").official
    assert 60 < results["pAcc"] < 70
    assert results["mIoU"] == official["IoU"][1]["AVERAGE"] and results["pAcc"] == official["pAcc"]


def test_results_of_an_earlier_split_stay_out_of_the_submission(tiny_root: Path, tmp_path: Path) -> None:
    for split in ("val", "test"):
        evaluator = BDD100KSemSegEvaluator(f"bdd100k_sem_seg_{split}", tmp_path)
        evaluator.reset()
        for record in DatasetCatalog.get(f"bdd100k_sem_seg_{split}"):
            evaluator.process([record], [{"sem_seg": torch.rand(19, 720, 1280)}])
        evaluator.evaluate()
        assert (tmp_path / "scores.json").exists() == (split == "val")
    assert len([*(tmp_path / "masks").iterdir()]) == 6
    findings, frames = check_split_submission("sem_seg", tmp_path / "submission.zip", root=tiny_root)
    assert findings == [] and frames == 3


@pytest.mark.parametrize("task", ["det", "sem_seg", "ins_seg", "pan_seg"])
@pytest.mark.parametrize("with_coco_results", [False, True])
def test_reset_removes_what_the_evaluator_writes_and_nothing_else(
    tmp_path: Path, task: str, with_coco_results: bool
) -> None:
    """What an evaluation that was killed left of these very frames is no result of the next one."""
    own = {
        "det": {"scores.json", "det.json"},
        "sem_seg": {"scores.json", "submission.zip", "masks/test0.png"},
        "ins_seg": {"scores.json", "submission.zip", "score.json", "bitmasks/test0.png"},
        "pan_seg": {"scores.json", "submission.zip", "bitmasks/test0.png"},
    }
    lists, segments = {*COCO[:2]}, {COCO[2], "panoptic/test0.png"}
    names = {"metrics.json", "run.json", "my_labels.json", "archive.zip", "masks/precious.png", "masks/test0.jpg"}
    names |= {*own["det"], *own["sem_seg"], *own["ins_seg"], *lists, *segments}
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("{}")
    if with_coco_results:
        # Without it, they are what Detectron2's evaluators wrote.
        own[task] |= {"sem_seg": set(), "pan_seg": segments}.get(task, lists)
    evaluator = EVALUATORS[task](f"bdd100k_{task}_test", tmp_path)
    evaluator.with_coco_results = with_coco_results
    evaluator.reset()
    left = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert {name for name in left if not name.startswith("root/")} == names - own[task]


def test_the_folder_may_be_a_text_or_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert BDD100KDetEvaluator("bdd100k_det_val", output_dir=f"{tmp_path}/x").output_dir == tmp_path / "x"
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    for name, output in (("det", instances([[10, 20, 61, 71]], [0.9], [2])), ("sem_seg", None)):
        for split in ("val", "test"):
            evaluator = EVALUATORS[name](f"bdd100k_{name}_{split}")
            evaluator.reset()
            for record in DatasetCatalog.get(f"bdd100k_{name}_{split}"):
                evaluator.process([record], [output or {"sem_seg": torch.rand(19, 720, 1280)}])
            assert bool(evaluator.evaluate()) == (split == "val")
    assert sorted(tmp_path.rglob("*")) == before


def test_ground_truth_with_an_id_that_is_no_class(tmp_path: Path) -> None:
    record = DatasetCatalog.get("bdd100k_sem_seg_val")[0]
    Image.fromarray(np.full((720, 1280), 40, np.uint8)).save(record["sem_seg_file_name"])
    evaluator = BDD100KSemSegEvaluator("bdd100k_sem_seg_val", tmp_path)
    with pytest.raises(DataError, match=r"val0\.png: the mask holds the ids \[40\]"):
        evaluator.process([record], [{"sem_seg": torch.rand(19, 720, 1280)}])


@pytest.mark.parametrize("split", ["val", "test"])
@pytest.mark.parametrize("task", [*EVALUATORS])
def test_where_nothing_was_predicted_no_file_is_written_over(
    tiny_root: Path, tmp_path: Path, task: str, split: str
) -> None:
    write_bitmasks(tiny_root, "ins_seg", [1])
    write_bitmasks(tiny_root, "pan_seg", [1])
    names = ("det.json", "score.json", "scores.json", "submission.zip", *COCO)
    for name in names:
        (tmp_path / name).write_text("earlier")
    evaluator = EVALUATORS[task](f"bdd100k_{task}_{split}", tmp_path)
    evaluator.with_coco_results = True
    with pytest.raises(DataError, match=f"^bdd100k_{task}_{split}: no frame was predicted, .* before evaluate"):
        evaluator.evaluate()
    assert [(tmp_path / name).read_text() for name in names] == ["earlier"] * len(names)


def test_no_detections_at_all(tmp_path: Path) -> None:
    evaluator = BDD100KDetEvaluator("bdd100k_det_val", tmp_path)
    for record in DatasetCatalog.get("bdd100k_det_val"):
        evaluator.process([record], [instances([], [], [])])
    results = evaluator.evaluate()["bbox"]
    assert evaluator.scores_of_nothing()["bbox"].keys() == results.keys()
    assert results["AP"] == 0 and results["AP-car"] == 0 and np.isnan(results["AP-bus"])


@pytest.mark.parametrize("task", ["det", "sem_seg", "drivable"])
def test_a_test_split_writes_a_sound_submission_and_no_scores(tiny_root: Path, tmp_path: Path, task: str) -> None:
    name = f"bdd100k_{task}_test"
    evaluator = EVALUATORS[task](name, tmp_path / "out")
    for record in DatasetCatalog.get(name):
        logits = {"sem_seg": torch.rand(TASKS[task].num_classes, 720, 1280)}
        output = instances([[1, 2, 30, 40]], [0.5], [2]) if task == "det" else logits
        evaluator.process([record], [output])
    assert evaluator.evaluate() == {}
    files = sorted(
        path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*") if path.is_file()
    )
    if task == "det":
        assert files == ["det.json"]
    else:
        assert files == [*(f"masks/test{i}.png" for i in range(3)), "submission.zip"]
        findings, frames = check_split_submission(task, tmp_path / "out" / "submission.zip", root=tiny_root)
        assert findings == [] and frames == 3


@pytest.mark.parametrize(
    ("kind", "task", "count"), [(BDD100KSemSegEvaluator, "sem_seg", 19), (BDD100KDrivableEvaluator, "drivable", 3)]
)
def test_segmentation_scores_and_masks(tmp_path: Path, kind: type, task: str, count: int) -> None:
    name = f"bdd100k_{task}_val"
    evaluator = kind(name, tmp_path)
    for record in DatasetCatalog.get(name):
        truth = torch.from_numpy(np.asarray(Image.open(record["sem_seg_file_name"])).astype(np.int64))
        logits = torch.nn.functional.one_hot(truth.clamp(max=count - 1), count).permute(2, 0, 1).float()
        evaluator.process([record], [{"sem_seg": logits}])
        mask = np.asarray(Image.open(tmp_path / "masks" / f"{Path(record['file_name']).stem}.png"))
        assert mask.dtype == np.uint8 and mask.shape == (720, 1280)
        np.testing.assert_array_equal(mask, truth.clamp(max=count - 1))
    results = evaluator.evaluate()[task]
    assert evaluator.scores_of_nothing()[task].keys() == results.keys()
    for key in ("mIoU", "mAcc", "fIoU", "pAcc", "mRecall"):
        assert results[key] == pytest.approx(100)
    scores = json.loads((tmp_path / "scores.json").read_text())
    assert list(scores) == ["IoU", "Acc", "fIoU", "pAcc"]
    assert tuple(scores["IoU"][0]) == (TASKS[task].names if task == "sem_seg" else ("direct", "alternative"))
    assert list(scores["IoU"][1]) == ["AVERAGE"]
    assert ("mIoU-strict" in results) == (task == "drivable")


def test_a_mask_of_another_size_is_named(tmp_path: Path) -> None:
    evaluator = BDD100KSemSegEvaluator("bdd100k_sem_seg_val", tmp_path)
    record = DatasetCatalog.get("bdd100k_sem_seg_val")[0]
    with pytest.raises(DataError, match=r"val0\.png: the mask is 1280x720, the prediction 640x360"):
        evaluator.process([record], [{"sem_seg": torch.rand(19, 360, 640)}])


def test_an_output_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    evaluator = BDD100KDetEvaluator("bdd100k_det_val", tmp_path / "file" / "inference")
    evaluator.process(DatasetCatalog.get("bdd100k_det_val")[:1], [instances([], [], [])])
    with pytest.raises(OutputError, match=r"det\.json: cannot be written .*choose another output folder"):
        evaluator.evaluate()


def test_evaluators_are_chosen_by_the_dataset(tmp_path: Path) -> None:
    cfg = bdd100k_d2.get_config("det/faster_rcnn_R_50_FPN_1x")
    cfg.OUTPUT_DIR = str(tmp_path)
    one = build_evaluator(cfg, "bdd100k_det_val")
    assert isinstance(one, BDD100KDetEvaluator) and one.output_dir == tmp_path / "inference"
    cfg.DATASETS.TEST = ("bdd100k_det_val", "bdd100k_det_test")
    assert build_evaluator(cfg, "bdd100k_det_test").output_dir == tmp_path / "inference" / "bdd100k_det_test"


def test_results_stay_in_the_output_folder(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    (outside / "masks").mkdir(parents=True)
    (outside / "masks/mine.png").touch()
    (outside / "mine.json").touch()
    cfg = bdd100k_d2.get_config("det/faster_rcnn_R_50_FPN_1x")
    cfg.OUTPUT_DIR = str(tmp_path / "out")
    cfg.DATASETS.TEST = ("bdd100k_det_val", "x")
    for name in ("../../outside", "/tmp", "a/../../../outside"):
        MetadataCatalog.get(name).set(evaluator_type="bdd100k_det", label_path="x")
        with pytest.raises(DataError, match="is no plain name"):
            build_evaluator(cfg, name)
        MetadataCatalog.remove(name)
    (tmp_path / "out").mkdir()
    (tmp_path / "out/inference").symlink_to(outside)
    # The user's own link to another disk, with what else is there.
    (outside / "bdd100k_det_val").mkdir()
    (outside / "bdd100k_det_val/notes.json").touch()
    (outside / "bdd100k_det_val/scores.json").touch()
    build_evaluator(cfg, "bdd100k_det_val").reset()
    assert [path.name for path in (outside / "bdd100k_det_val").iterdir()] == ["notes.json"]
    (outside / "bdd100k_det_val/masks").symlink_to(outside / "masks")
    evaluator = BDD100KDetEvaluator("bdd100k_det_val", outside / "bdd100k_det_val")
    for refused in (lambda: build_evaluator(cfg, "bdd100k_det_val"), evaluator.reset):
        with pytest.raises(DataError, match="masks: a link leads out of"):
            refused()
    (tmp_path / "out/inference").unlink()
    (tmp_path / "out/inference").mkdir()
    (tmp_path / "out/inference/bdd100k_det_val").symlink_to(outside)
    with pytest.raises(DataError, match="inference/bdd100k_det_val: a link leads out of"):
        build_evaluator(cfg, "bdd100k_det_val")
    assert {"mine.json", "mine.png"} <= {path.name for path in outside.rglob("*")}
