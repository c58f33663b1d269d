"""The evaluators of instance and panoptic segmentation, on labels in bitmasks and in run lengths."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.structures import Instances
from pycocotools.mask import encode

import bdd100k_d2
from bdd100k_d2.data.bitmasks import CROWD, IGNORED, Bitmask, encode_bitmask, read_bitmask
from bdd100k_d2.data.labels import RLE, Frame, Label, LabelAttributes, write_frames
from bdd100k_d2.data.register import register_all
from bdd100k_d2.errors import DataError
from bdd100k_d2.evaluation.evaluators import EVALUATORS, BDD100KInsSegEvaluator, BDD100KPanSegEvaluator
from bdd100k_d2.evaluation.files.evaluate import evaluate_files
from bdd100k_d2.evaluation.prediction_files import write_mask
from bdd100k_d2.evaluation.submission import check_split_submission
from bdd100k_d2.evaluation.toolkit_format import summary
from bdd100k_d2.tasks import TASKS

SIZE = (720, 1280)
NAMES = [f"val{i}.jpg" for i in range(3)]


def bitmasks(task: str) -> dict[str, Bitmask]:
    """Three frames of rectangles, of which one is a crowd and one ignored; the last frame is empty."""
    rng = np.random.default_rng(0)
    found = {}
    for name in NAMES:
        instances = np.zeros(SIZE, np.int32)
        count = 0 if name == NAMES[-1] else 6
        for i in range(count):
            instances[100 * i + 5 : 100 * i + 85, 10 : 60 + 60 * i] = i + 1
        # Of pan_seg: things have ids from 31 on, stuff has its category's.
        categories = rng.permutation(8)[:count] + 1 if task == "ins_seg" else np.arange(27, 27 + count)
        ids = np.arange(1, count + 1) if task == "ins_seg" else np.where(categories > 30, categories + 5, categories)
        attributes = np.zeros(count, np.uint8)
        attributes[-2:] = (CROWD, IGNORED)[:count]
        found[name] = Bitmask(instances, ids, categories, attributes)
    return found


def write_labels(root: Path, task: str, kind: str) -> None:
    labels = root / "bdd100k/labels" / task
    frames = []
    for name, mask in bitmasks(task).items():
        if kind == "bitmasks":
            write_mask(encode_bitmask(mask), labels / "bitmasks/val" / name.replace(".jpg", ".png"))
            continue
        regions = [encode(np.asfortranarray(mask.instances == i + 1)) for i in range(len(mask.ids))]
        frames.append(
            Frame(
                name,
                labels=[
                    Label(
                        id=str(one),
                        category=TASKS[task].names[category - 1],
                        attributes=LabelAttributes(crowd=bool(bits & CROWD), ignored=bool(bits & IGNORED)),
                        rle=RLE(region["counts"].decode(), tuple(region["size"])),
                    )
                    for one, category, bits, region in zip(
                        mask.ids.tolist(), mask.categories.tolist(), mask.attributes.tolist(), regions, strict=True
                    )
                ],
            )
        )
    if kind == "rles":
        (labels / "rles").mkdir(parents=True)
        write_frames(frames, labels / f"rles/{task}_val.json")


@pytest.fixture(params=["bitmasks", "rles"])
def kind(request: pytest.FixtureRequest, tiny_root: Path) -> str:
    for task in ("ins_seg", "pan_seg"):
        write_labels(tiny_root, task, request.param)
    register_all(tiny_root)
    return request.param


def perfect_instances(mask: Bitmask, shift: int = 0) -> dict[str, Instances]:
    found = Instances(SIZE)
    found.pred_masks = torch.from_numpy(
        np.stack([np.roll(mask.instances == i + 1, shift, 1) for i in range(len(mask.ids))])
        if len(mask.ids)
        else np.zeros((0, *SIZE), bool)
    )
    found.scores = torch.linspace(0.9, 0.4, len(mask.ids))
    found.pred_classes = torch.from_numpy(mask.categories.astype(np.int64) - 1)
    return {"instances": found}


def test_perfect_instances_score_100(kind: str, tmp_path: Path) -> None:
    evaluator = EVALUATORS["ins_seg"]("bdd100k_ins_seg_val", tmp_path)
    assert isinstance(evaluator, BDD100KInsSegEvaluator)
    evaluator.reset()
    for name, mask in bitmasks("ins_seg").items():
        evaluator.process([{"image_id": name}], [perfect_instances(mask)])
    results = evaluator.evaluate()["segm"]
    assert evaluator.scores_of_nothing()["segm"].keys() == results.keys()
    assert (results["AP"], results["AR100"]) == pytest.approx((100, 100))
    # Of the two frames' six instances, the crowd is scored and the ignored one is not.
    present = {name for name in TASKS["ins_seg"].names if not np.isnan(results[f"AP-{name}"])}
    assert len(present) >= 5 and all(results[f"AP-{n}"] == pytest.approx(100) for n in present)
    assert list(json.loads((tmp_path / "scores.json").read_text())) == [
        *("AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100", "ARs", "ARm", "ARl")
    ]
    scores = json.loads((tmp_path / "score.json").read_text())
    assert [frame["name"] for frame in scores] == NAMES and scores[2]["labels"] == []
    assert scores[0]["labels"][0] == {"index": 1, "score": pytest.approx(0.9)}
    assert read_bitmask(tmp_path / "bitmasks/val0.png").categories.tolist() == (
        bitmasks("ins_seg")["val0.jpg"].categories.tolist()
    )


def test_the_written_instances_score_what_the_memory_scores(kind: str, tmp_path: Path) -> None:
    evaluator = BDD100KInsSegEvaluator("bdd100k_ins_seg_val", tmp_path)
    for i, (name, mask) in enumerate(bitmasks("ins_seg").items()):
        evaluator.process([{"image_id": name}], [perfect_instances(mask, shift=7 + 8 * i)])
    memory = evaluator.evaluate()["segm"]
    assert 0 < memory["AP"] < 100
    if kind == "rles":
        # The file evaluation needs two of a kind.
        truth = tmp_path / "truth"
        for name, mask in bitmasks("ins_seg").items():
            write_mask(encode_bitmask(mask), truth / name.replace(".jpg", ".png"))
    else:
        truth = evaluator.label_path
    files = evaluate_files("ins_seg", truth, tmp_path / "bitmasks", score_file=tmp_path / "score.json", workers=1)
    expected = {key: memory[key] for key in summary(files.official)}
    assert summary(files.official) == pytest.approx(expected, abs=0, rel=0, nan_ok=True)


@pytest.mark.parametrize("task", ["ins_seg", "pan_seg"])
def test_labels_without_a_prediction_count_as_empty(
    kind: str, tmp_path: Path, task: str, caplog: pytest.LogCaptureFixture
) -> None:
    evaluator = EVALUATORS[task](f"bdd100k_{task}_val", tmp_path / "out")
    output = perfect_instances if task == "ins_seg" else panoptic_output
    evaluator.process([{"image_id": NAMES[1]}], [output(bitmasks(task)[NAMES[1]])])
    (results,) = evaluator.evaluate().values()
    assert "2 of 3 frames have no prediction and count as empty; the first is val0" in caplog.text
    for name, mask in bitmasks(task).items():
        write_mask(encode_bitmask(mask), tmp_path / "truth" / name.replace(".jpg", ".png"))
    score_file = tmp_path / "out/score.json" if task == "ins_seg" else None
    files = evaluate_files(task, tmp_path / "truth", tmp_path / "out/bitmasks", score_file=score_file, workers=1)
    expected = {key: results[key] for key in summary(files.official)}
    assert summary(files.official) == pytest.approx(expected, abs=1e-12, rel=0, nan_ok=True)


def panoptic_output(mask: Bitmask, shift: int = 0) -> dict:
    metadata = MetadataCatalog.get("bdd100k_pan_seg_val")
    things = metadata.thing_dataset_id_to_contiguous_id
    infos = [
        {
            "id": i,
            "isthing": category in things,
            "category_id": (things if category in things else metadata.stuff_dataset_id_to_contiguous_id)[category],
        }
        for i, category in enumerate(mask.categories.tolist(), 1)
    ]
    return {"panoptic_seg": (torch.from_numpy(np.roll(mask.instances, shift, 1)), infos)}


def test_perfect_segments_score_100(kind: str, tmp_path: Path) -> None:
    evaluator = EVALUATORS["pan_seg"]("bdd100k_pan_seg_val", tmp_path)
    assert isinstance(evaluator, BDD100KPanSegEvaluator)
    evaluator.reset()
    for name, mask in bitmasks("pan_seg").items():
        evaluator.process([{"image_id": name}], [panoptic_output(mask)])
    results = evaluator.evaluate()["panoptic_seg"]
    assert evaluator.scores_of_nothing()["panoptic_seg"].keys() == results.keys()
    # Of the six classes one is a crowd and one is ignored.
    assert (results["PQ"], results["SQ"], results["RQ"], results["N"]) == (100, 100, 100, 4)
    assert (results["N/STUFF"], results["N/THING"], results["PQ-sky"], results["PQ-road"]) == (4, 0, 100, 0)
    written = read_bitmask(tmp_path / "bitmasks/val0.png")
    assert written.categories.tolist() == [27, 28, 29, 30, 31, 32] and written.ids.tolist() == [27, 28, 29, 30, 31, 32]


def test_the_written_segments_score_what_the_memory_scores(kind: str, tmp_path: Path) -> None:
    evaluator = BDD100KPanSegEvaluator("bdd100k_pan_seg_val", tmp_path)
    for name, mask in bitmasks("pan_seg").items():
        evaluator.process([{"image_id": name}], [panoptic_output(mask, shift=20)])
    memory = evaluator.evaluate()["panoptic_seg"]
    assert 0 < memory["PQ"] < 100
    truth = tmp_path / "truth"
    for name, mask in bitmasks("pan_seg").items():
        write_mask(encode_bitmask(mask), truth / name.replace(".jpg", ".png"))
    files = evaluate_files("pan_seg", truth, tmp_path / "bitmasks", workers=1)
    expected = {key: memory[key] for key in summary(files.official)}
    assert summary(files.official) == pytest.approx(expected, abs=0, rel=0, nan_ok=True)


@pytest.mark.parametrize("task", ["ins_seg", "pan_seg"])
def test_ranks_are_gathered(kind: str, tmp_path: Path, task: str, monkeypatch: pytest.MonkeyPatch) -> None:
    make = EVALUATORS[task]
    name = f"bdd100k_{task}_val"
    output = perfect_instances if task == "ins_seg" else panoptic_output
    items = [({"image_id": n}, output(mask, 9)) for n, mask in bitmasks(task).items()]
    whole, *parts = (make(name, tmp_path / folder) for folder in ("whole", "parts", "parts"))
    for one, found in items:
        whole.process([one], [found])
    expected = whole.evaluate()
    for evaluator, share in zip(parts, (items[::2], items[1::2]), strict=True):
        for one, found in share:
            evaluator.process([one], [found])
    sent = []
    with monkeypatch.context() as patch:
        patch.setattr("detectron2.utils.comm.gather", lambda data: sent.append(data) or [])
        patch.setattr("detectron2.utils.comm.is_main_process", lambda: False)
        assert parts[1].evaluate() is None
    monkeypatch.setattr("detectron2.utils.comm.gather", lambda data: [data, *sent])
    assert str(parts[0].evaluate()) == str(expected)


def test_a_test_split_writes_a_sound_submission_and_no_scores(kind: str, tiny_root: Path, tmp_path: Path) -> None:
    for task, output in (("ins_seg", perfect_instances), ("pan_seg", panoptic_output)):
        evaluator = EVALUATORS[task](f"bdd100k_{task}_test", tmp_path / task)
        for record in DatasetCatalog.get(f"bdd100k_{task}_test"):
            evaluator.process([record], [output(bitmasks(task)["val0.jpg"])])
        assert evaluator.evaluate() == {}
        assert len(list((tmp_path / task / "bitmasks").glob("test*.png"))) == 3
        findings, frames = check_split_submission(task, tmp_path / task / "submission.zip", root=tiny_root)
        assert findings == [] and frames == 3


def test_ground_truth_of_another_size_is_named(kind: str, tmp_path: Path) -> None:
    evaluator = BDD100KPanSegEvaluator("bdd100k_pan_seg_val", tmp_path)
    small = {"panoptic_seg": (torch.zeros(36, 64, dtype=torch.int64), [])}
    with pytest.raises(DataError, match="ground truth of val0.jpg is 1280x720, the prediction 64x36"):
        evaluator.process([{"image_id": "val0.jpg"}], [small])
    with pytest.raises(DataError, match=r"other(\.png|\.jpg)"):
        evaluator.process([{"image_id": "other.jpg"}], [small])


@pytest.mark.parametrize("task", ["ins_seg", "pan_seg"])
def test_detectron2s_own_models_are_scored(kind: str, tmp_path: Path, task: str) -> None:
    """Mask R-CNN and Panoptic FPN from a config: loader, model and evaluator fit together."""
    cfg = bdd100k_d2.get_config("sample/faster_rcnn_R_18_FPN")
    cfg.MODEL.DEVICE = "cpu"
    cfg.MODEL.MASK_ON = True
    cfg.MODEL.ROI_HEADS.NUM_CLASSES = 8 if task == "ins_seg" else 10
    cfg.MODEL.ROI_HEADS.SCORE_THRESH_TEST = 0.0
    cfg.MODEL.ROI_MASK_HEAD.NUM_CONV, cfg.MODEL.ROI_MASK_HEAD.CONV_DIM = 1, 16
    if task == "pan_seg":
        cfg.MODEL.META_ARCHITECTURE = "PanopticFPN"
        cfg.MODEL.SEM_SEG_HEAD.NUM_CLASSES = 31
        cfg.MODEL.PANOPTIC_FPN.COMBINE.STUFF_AREA_LIMIT = 0
        cfg.MODEL.PANOPTIC_FPN.COMBINE.INSTANCES_CONFIDENCE_THRESH = 0.0
    cfg.INPUT.MASK_FORMAT = "bitmask"
    cfg.INPUT.MIN_SIZE_TEST, cfg.TEST.DETECTIONS_PER_IMAGE = 64, 5
    cfg.DATASETS.TEST = (f"bdd100k_{task}_val",)
    cfg.DATALOADER.NUM_WORKERS = 0
    cfg.OUTPUT_DIR = str(tmp_path)
    torch.manual_seed(0)
    results = bdd100k_d2.Trainer.test(cfg, bdd100k_d2.Trainer.build_model(cfg))
    (scores,) = results.values()
    assert ("AR100" if task == "ins_seg" else "PQ/STUFF") in scores
    written = [read_bitmask(path) for path in sorted((tmp_path / "inference/bitmasks").glob("*.png"))]
    assert len(written) == 3 and sum(len(mask.ids) for mask in written) > 0
