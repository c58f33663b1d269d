"""RetinaNet, ATSS and Panoptic FPN on three classes of one's own: one iteration, and what it is scored by."""

import json
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from detectron2.config import CfgNode
from detectron2.data import DatasetCatalog, MetadataCatalog
from support.frames import make_frame, write_image
from support.small_models import SMALL_MODELS

import bdd100k_d2
from bdd100k_d2.data.labels import write_frames

THREE = ["car", "tram", "my bike"]
BOXES = ((10, 20, 60, 70), (70, 10, 110, 60), (115, 30, 155, 90))


def small(cfg: CfgNode, out: Path, *keys: object) -> CfgNode:
    cfg.merge_from_list(
        ["MODEL.DEVICE", "cpu", "SOLVER.AMP.ENABLED", False, "MODEL.WEIGHTS", "", "OUTPUT_DIR", str(out)]
    )
    cfg.merge_from_list([*SMALL_MODELS["det"], "MODEL.FPN.OUT_CHANNELS", 32, "MODEL.BACKBONE.FREEZE_AT", 0])
    cfg.INPUT.MIN_SIZE_TRAIN, cfg.INPUT.MIN_SIZE_TEST, cfg.TEST.NUM_PICTURES = (64,), 64, 0
    cfg.SOLVER.IMS_PER_BATCH, cfg.SOLVER.MAX_ITER, cfg.SOLVER.WARMUP_ITERS, cfg.DATALOADER.NUM_WORKERS = 2, 1, 0, 0
    cfg.SOLVER.REFERENCE_WORLD_SIZE, cfg.TEST.DETECTIONS_PER_IMAGE = 0, 20
    cfg.DATASETS.TRAIN = cfg.DATASETS.TEST = ("mine",)
    cfg.merge_from_list([*keys])
    return cfg


@pytest.fixture(autouse=True)
def nothing_stays_registered() -> Iterator[None]:
    yield
    if "mine" in DatasetCatalog.list():
        DatasetCatalog.remove("mine")
        MetadataCatalog.remove("mine")


def train_and_evaluate(cfg: CfgNode) -> tuple[dict[str, float], dict[str, dict[str, float]]]:
    """The losses of one iteration, and the scores of the model, which is loaded from the file that was saved."""
    trainer = bdd100k_d2.Trainer(cfg)
    before = {name: value.clone() for name, value in trainer.model.state_dict().items()}
    trainer.train()
    assert any(not torch.equal(before[name], value) for name, value in trainer.model.state_dict().items())
    lines = [json.loads(line) for line in Path(cfg.OUTPUT_DIR, "metrics.json").read_text().splitlines()]
    losses = {key: value for line in lines for key, value in line.items() if "loss" in key}
    assert all(np.isfinite(value) for value in losses.values())
    predictor = bdd100k_d2.Predictor(_with(cfg, "MODEL.WEIGHTS", f"{cfg.OUTPUT_DIR}/model_final.pth"))
    return losses, bdd100k_d2.Trainer.test(cfg, predictor.model)


def _with(cfg: CfgNode, *keys: object) -> CfgNode:
    changed = cfg.clone()
    changed.merge_from_list([*keys])
    return changed


@pytest.mark.parametrize(
    ("name", "parts"), [("retinanet", {"loss_cls", "loss_box_reg"}), ("atss", {"loss_cls", "loss_centerness"})]
)
def test_a_dense_detector(tmp_path: Path, name: str, parts: set[str]) -> None:
    for i in range(2):
        write_image(tmp_path / f"images/{i}.jpg", 96, 160, seed=i)
    labels = [make_frame(f"{i}.jpg", *((name, *box) for name, box in zip(THREE, BOXES, strict=True))) for i in range(2)]
    write_frames(labels, tmp_path / "labels.json")
    bdd100k_d2.register_dataset("mine", tmp_path / "labels.json", tmp_path / "images", classes=THREE)
    keys = ("MODEL.RETINANET.NUM_CLASSES", 3, "MODEL.RETINANET.SCORE_THRESH_TEST", 0.0)
    # The coarsest maps have one pixel, of which group norm needs two channels in each of its 32 groups.
    keys += ("MODEL.FPN.OUT_CHANNELS", 64)
    cfg = small(bdd100k_d2.get_config(f"det/{name}_R_50_FPN_1x"), tmp_path / "out", *keys)
    losses, results = train_and_evaluate(cfg)
    assert parts <= losses.keys()
    assert {key for key in results["bbox"] if "-" in key} == {f"AP-{name}" for name in THREE}
    frames = json.loads((tmp_path / "out/inference/det.json").read_text())
    found = [label["category"] for frame in frames for label in frame["labels"]]
    assert len(frames) == 2 and found and {*found} <= {*THREE}
    content = torch.load(tmp_path / "out/model_final.pth", weights_only=True)
    assert content["classes"] == {"thing_classes": THREE}
    assert len(content["model"]["head.cls_score.weight"]) % 3 == 0


def panoptic_records(folder: Path) -> list[dict]:
    """As Detectron2's Panoptic FPN wants them: things from masks, and a mask of stuff, where 0 is all things."""
    records = []
    for i in range(2):
        write_image(folder / f"{i}.jpg", 96, 160, seed=i)
        # The numbers of the segments are in the red of OpenCV's blue, green and red.
        segments, stuff = np.zeros((96, 160, 3), np.uint8), np.ones((96, 160), np.uint8)
        segments[..., 2] = 1
        for k, (x1, y1, x2, y2) in enumerate(BOXES[:2]):
            segments[y1:y2, x1:x2, 2], stuff[y1:y2, x1:x2] = k + 2, 0
        cv2.imwrite(str(folder / f"{i}_stuff.png"), stuff)
        cv2.imwrite(str(folder / f"{i}_segments.png"), segments)
        things = []
        for k, (x1, y1, x2, y2) in enumerate(BOXES[:2]):
            outline = [[x1, y1, x2, y1, x2, y2, x1, y2]]
            things.append({"bbox": [x1, y1, x2, y2], "bbox_mode": 0, "category_id": k, "segmentation": outline})
        infos = [{"id": k + 2, "category_id": k, "isthing": True, "iscrowd": 0} for k in range(2)]
        records.append(
            {
                "file_name": str(folder / f"{i}.jpg"),
                "image_id": f"{i}.jpg",
                "height": 96,
                "width": 160,
                "annotations": things,
                "sem_seg_file_name": str(folder / f"{i}_stuff.png"),
                "pan_seg_file_name": str(folder / f"{i}_segments.png"),
                "segments_info": [{"id": 1, "category_id": 1, "isthing": False, "iscrowd": 0}, *infos],
            }
        )
    return records


def test_a_panoptic_fpn(tmp_path: Path) -> None:
    """Two things and one class of stuff."""
    records = panoptic_records(tmp_path)
    DatasetCatalog.register("mine", lambda: records)
    MetadataCatalog.get("mine").set(
        evaluator_type="bdd100k_pan_seg",
        thing_classes=THREE[:2],
        stuff_classes=["things", "street"],
        thing_dataset_id_to_contiguous_id={1: 0, 2: 1},
        stuff_dataset_id_to_contiguous_id={3: 1},
    )
    keys = ("MODEL.META_ARCHITECTURE", "PanopticFPN", "MODEL.ROI_HEADS.NUM_CLASSES", 2)
    keys += ("MODEL.SEM_SEG_HEAD.NUM_CLASSES", 2, "MODEL.SEM_SEG_HEAD.CONVS_DIM", 32, "MODEL.SEM_SEG_HEAD.NORM", "GN")
    keys += (
        "MODEL.ROI_HEADS.SCORE_THRESH_TEST",
        0.0,
        "MODEL.ROI_MASK_HEAD.CONV_DIM",
        8,
        "INPUT.MASK_FORMAT",
        "polygon",
    )
    keys += ("MODEL.SEM_SEG_HEAD.NAME", "SemSegFPNHead")
    cfg = small(bdd100k_d2.get_config("ins_seg/mask_rcnn_R_50_FPN_1x"), tmp_path / "out", *keys)
    losses, results = train_and_evaluate(cfg)
    assert {"loss_sem_seg", "loss_mask", "loss_cls"} <= losses.keys()
    scores = results["panoptic_seg"]
    assert {key for key in scores if "-" in key} == {f"PQ-{name}" for name in ("street", *THREE[:2])}
    assert 0 <= scores["PQ"] <= 100
    assert len(list((tmp_path / "out/inference/bitmasks").glob("*.png"))) == 2
    content = torch.load(tmp_path / "out/model_final.pth", weights_only=True)
    assert content["classes"] == {"thing_classes": THREE[:2], "stuff_classes": ["things", "street"]}
