"""COCO's crowds, which are never missed, are the same to every way of scoring a COCO file."""

import contextlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.data.datasets import register_coco_instances
from detectron2.structures import Instances
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from support.conversion_cases import run as convert
from support.frames import write_image

from bdd100k_d2.data.own_dataset import register_dataset
from bdd100k_d2.data.register import register_all
from bdd100k_d2.data.slices import register_slice
from bdd100k_d2.evaluation.evaluators import BDD100KInsSegEvaluator, BDD100KPanSegEvaluator
from bdd100k_d2.evaluation.files.evaluate import evaluate_files
from bdd100k_d2.tasks import TASKS

HEIGHT, WIDTH, CLASSES = 60, 100, ["car", "bus"]
METRICS = {"AP": 0, "AP50": 1, "AP75": 2, "APs": 3, "AR100": 8}


pytestmark = pytest.mark.usefixtures("catalogs_as_they_were")


def square(x: int, y: int, side: int) -> np.ndarray:
    mask = np.zeros((HEIGHT, WIDTH), np.uint8, order="F")
    mask[y : y + side, x : x + side] = 1
    return mask


@pytest.fixture
def document(tmp_path: Path) -> dict[str, Any]:
    """Five frames of eight squares, every third a crowd; polygons and run lengths in turn."""
    rng = np.random.default_rng(1)
    images, annotations = [], []
    for number in range(1, 6):
        write_image(tmp_path / f"images/{number}.png", HEIGHT, WIDTH)
        images.append({"id": number, "file_name": f"{number}.png", "width": WIDTH, "height": HEIGHT})
        for i in range(8):
            x, y, side = 5 + 24 * (i % 4), 5 + 28 * (i // 4), int(rng.integers(8, 16))
            packed = coco_mask.encode(square(x, y, side))
            outline = [[x, y, x + side, y, x + side, y + side, x, y + side]]
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number,
                    "category_id": 3 + 4 * int(rng.integers(2)),
                    "segmentation": outline if i % 2 else packed | {"counts": packed["counts"].decode()},
                    "bbox": [x, y, side, side],
                    "area": side * side,
                    "iscrowd": int(i % 3 == 2),
                }
            )
    categories = [{"id": 3, "name": "car"}, {"id": 7, "name": "bus"}]
    document = {"images": images, "annotations": annotations, "categories": categories}
    (tmp_path / "coco.json").write_text(json.dumps(document))
    return document


def predictions(document: dict[str, Any], noisy: bool) -> dict[int, Instances]:
    """All that is no crowd; noisy ones are moved, some are missed, and some are where nothing is."""
    rng = np.random.default_rng(2)
    found = {}
    for image in document["images"]:
        masks, classes = [], []
        for one in document["annotations"]:
            if one["image_id"] == image["id"] and not one["iscrowd"] and not (noisy and rng.random() < 0.2):
                (x, y, side, _), moved = one["bbox"], rng.integers(-3, 4, 2) * noisy
                masks.append(square(x + int(moved[0]), y + int(moved[1]), side))
                classes.append(one["category_id"] // 7)
        if noisy:
            # Two parts of a crowd, which are found in it, and what lies in it by half.
            crowd = next(c for c in document["annotations"] if c["iscrowd"] and c["image_id"] == image["id"])
            x, y, side, _ = crowd["bbox"]
            masks += [square(x + 2, y, 6), square(x + side - 2, y + 6, 2), square(x - 2, y, 4)]
            classes += [crowd["category_id"] // 7] * 3
            masks.append(square(0, 55, 4))
            classes.append(0)
        instances = Instances((HEIGHT, WIDTH))
        instances.pred_masks = torch.from_numpy(np.stack(masks).astype(bool))
        instances.pred_classes = torch.tensor(classes)
        instances.scores = torch.from_numpy(rng.random(len(classes)).astype(np.float32))
        found[image["id"]] = instances
    return found


def evaluated(name: str, found: dict[int, Instances], out: Path | None = None) -> dict[str, float]:
    evaluator = BDD100KInsSegEvaluator(name, out)
    evaluator.with_coco_results = out is not None
    evaluator.reset()
    for record in DatasetCatalog.get(name):
        evaluator.process([record], [{"instances": found[int(Path(record["file_name"]).stem)]}])
    return evaluator.evaluate()["segm"]


@pytest.mark.parametrize("noisy", [False, True])
def test_crowds_of_a_coco_file_score_alike_in_every_way(tmp_path: Path, document: dict[str, Any], noisy: bool) -> None:
    labels, found = tmp_path / "coco.json", predictions(document, noisy)
    register_dataset("own", labels, tmp_path / "images", task="ins_seg")
    register_coco_instances("theirs", {}, str(labels), str(tmp_path / "images"))
    DatasetCatalog.get("theirs")
    # Metadata refuses another value.
    vars(MetadataCatalog.get("theirs"))["evaluator_type"] = "bdd100k_ins_seg"
    results = tmp_path / "out/coco_instances_results.json"
    scores = [evaluated("own", found, tmp_path / "out"), evaluated("theirs", found)]
    of_files = evaluate_files("ins_seg", labels, results, classes=CLASSES, workers=1).official
    scores.append({metric: of_files[metric][1]["OVERALL"] for metric in METRICS})
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(labels))
        reference = COCOeval(truth, truth.loadRes(str(results)), "segm")
        reference.evaluate()
        reference.accumulate()
        reference.summarize()
    expected = {metric: 100 * reference.stats[place] for metric, place in METRICS.items()}
    assert 0 < expected["AP"] < 90 if noisy else expected["AP"] == pytest.approx(100)
    for one in scores:
        assert {metric: one[metric] for metric in METRICS} == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("source", ["scalabel", "coco"])
def test_a_released_set_is_scored_as_its_parts_and_copies(
    tmp_path: Path, document: dict[str, Any], source: str
) -> None:
    """Labels of Scalabel that are crowds and ignored keep BDD100K's rule, by which the bitmasks of them are scored."""
    labels, images = tmp_path / "bdd100k/labels/ins_seg/rles/ins_seg_val.json", tmp_path / "bdd100k/images/10k/val"
    labels.parent.mkdir(parents=True)
    images.parent.mkdir(parents=True)
    (tmp_path / "images").rename(images)
    convert(tmp_path / "coco.json", labels, "scalabel")
    marks = [label.get("attributes", {}) for frame in json.loads(labels.read_text()) for label in frame["labels"]]
    assert sum(bool(one.get("crowd") and one.get("ignored")) for one in marks) == 10
    convert(labels, tmp_path / "truth", "masks", task="ins_seg")
    if source == "coco":
        # Results have the ids of the released classes.
        ids = {3: TASKS["ins_seg"].names.index("car") + 1, 7: TASKS["ins_seg"].names.index("bus") + 1}
        categories = [{"id": ids[one["id"]], "name": one["name"]} for one in document["categories"]]
        annotations = [one | {"category_id": ids[one["category_id"]]} for one in document["annotations"]]
        labels.write_text(json.dumps(document | {"categories": categories, "annotations": annotations}))
    register_all(tmp_path)
    split = "bdd100k_ins_seg_val"
    register_slice("first", split, first=5)
    register_slice("fold", split, fold=(0, 1))
    DatasetCatalog.register("copy", lambda: DatasetCatalog.get(split))
    fields = MetadataCatalog.get(split).as_dict()
    MetadataCatalog.get("copy").set(**{key: value for key, value in fields.items() if key != "name"})
    found = predictions(document, noisy=True)
    for one in found.values():
        one.pred_classes = torch.tensor([TASKS["ins_seg"].names.index(name) for name in CLASSES])[one.pred_classes]
    names = [split, "first", "fold", "copy"]
    if source == "scalabel":
        register_dataset("own", labels, images, task="ins_seg")
        names.append("own")
    scores = [evaluated(name, found, tmp_path / "out" / name) for name in names]
    assert 0 < scores[0]["AP"] < 90
    for one in scores[1:]:
        assert one == pytest.approx(scores[0], abs=1e-9, nan_ok=True)
    out = tmp_path / "out/copy"
    truth = tmp_path / "truth", out / "bitmasks", out / "score.json"
    if source == "coco":
        truth = labels, out / "coco_instances_results.json", None
    official = evaluate_files("ins_seg", *truth[:2], score_file=truth[2], workers=1).official
    of_files = {metric: official[metric][1]["OVERALL"] for metric in METRICS}
    assert {metric: scores[0][metric] for metric in METRICS} == pytest.approx(of_files, abs=1e-9)


def test_a_crowd_of_a_panoptic_coco_file_is_not_missed(tmp_path: Path, document: dict[str, Any]) -> None:
    fields = {"task": "pan_seg", "classes": CLASSES, "things": ["bus"]}
    register_dataset("own", tmp_path / "coco.json", tmp_path / "images", **fields)
    evaluator = BDD100KPanSegEvaluator("own")
    evaluator.reset()
    crowds = 0
    for record in DatasetCatalog.get("own"):
        kept = [one for one in record["segments_info"] if not one["iscrowd"]]
        crowds += len(record["segments_info"]) - len(kept)
        segments = np.zeros((HEIGHT, WIDTH), np.int32)
        stuff = [one for one in kept if not one["isthing"]]
        infos = [{"id": 1, "isthing": False, "category_id": 1}] if stuff else []
        for i, one in enumerate(kept, 2):
            segments[coco_mask.decode(one["segmentation"]) > 0] = i if one["isthing"] else 1
            if one["isthing"]:
                infos.append({"id": i, "isthing": True, "category_id": 0})
        evaluator.process([record], [{"panoptic_seg": (torch.from_numpy(segments), infos)}])
    # Six of things, and of stuff one in each of two frames that have two.
    assert crowds == 8
    scores = evaluator.evaluate()["panoptic_seg"]
    assert (scores["PQ-bus"], scores["PQ-car"]) == pytest.approx((100, 100))


def test_crowds_stay_crowds_from_coco_to_coco(tmp_path: Path, document: dict[str, Any]) -> None:
    """Nothing of them is lost on the way, so nothing is counted; in training they are left out."""
    assert convert(tmp_path / "coco.json", tmp_path / "back.json", "coco", task="ins_seg").dropped == {}
    marks = [one["iscrowd"] for one in document["annotations"]]
    assert [one["iscrowd"] for one in json.loads((tmp_path / "back.json").read_text())["annotations"]] == marks
    register_dataset("own", tmp_path / "coco.json", tmp_path / "images", task="ins_seg")
    assert [one["iscrowd"] for record in DatasetCatalog.get("own") for one in record["annotations"]] == marks
