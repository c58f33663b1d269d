"""Run folders as Detectron2 and the evaluators leave them, for the frames of the fixture ``tiny_root``."""

import json
from pathlib import Path

import cv2
import numpy as np
import yaml

from bdd100k_d2.data import categories
from bdd100k_d2.data.labels import Box2D, Frame, Label, write_frames

DET_SCORES = {
    "AP": [{"pedestrian": 41.25, "car": 62.5, "train": float("nan"), "motorcycle": 3.0}, {"OVERALL": 35.58}],
    "AP50": [{"pedestrian": 60.0, "car": 88.4, "train": float("nan"), "motorcycle": 7.7}, {"OVERALL": 52.03}],
    "AR100": [{"pedestrian": 50.0, "car": 70.0, "train": float("nan"), "motorcycle": 9.0}, {"OVERALL": 43.0}],
}
SEM_SEG_SCORES = {
    "IoU": [{"road": 91.2, "sky": 80.1, "train": float("nan")}, {"AVERAGE": 85.65}],
    "Acc": [{"road": 95.5, "sky": 85.4, "train": float("nan")}, {"AVERAGE": 90.45}],
    "fIoU": 88.8,
    "pAcc": 93.3,
}


def write_config(folder: Path, *tests: str, **solver: object) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    config = {
        "MODEL": {
            "META_ARCHITECTURE": "GeneralizedRCNN",
            "BACKBONE": {"NAME": "build_resnet_fpn_backbone"},
            "RESNETS": {"DEPTH": 18},
        },
        "DATASETS": {"TRAIN": ["bdd100k_det_train"], "TEST": list(tests)},
        "SOLVER": {"MAX_ITER": 100, "IMS_PER_BATCH": 4, "BASE_LR": 0.02} | solver,
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config))


def write_log(folder: Path, *records: dict[str, float]) -> None:
    (folder / "metrics.json").write_text("".join(json.dumps(record) + "\n" for record in records))


def write_det_run(folder: Path, split: str = "val", scores: dict | None = DET_SCORES) -> Path:
    """A trained detector: one good box, one below the usual threshold, one frame left out of det.json."""
    write_config(folder, f"bdd100k_det_{split}")
    write_log(
        folder,
        *(
            {"iteration": i, "total_loss": 100 / i, "loss_cls": 60 / i, "loss_box_reg": 40 / i, "time": 0.5, "lr": 0.02}
            for i in range(19, 60, 20)
        ),
        {"iteration": 59, "bbox/AP": 20.5, "bbox/AP50": 33.25},
        *(
            {"iteration": i, "total_loss": 100 / i, "loss_cls": 60 / i, "loss_box_reg": 40 / i, "time": 0.5, "lr": 0.02}
            for i in (79, 99)
        ),
        {"iteration": 99, "bbox/AP": 35.58, "bbox/AP50": 52.03, "bbox/AP-car": 62.5},
    )
    labels = [
        Label(id="0", category="car", score=0.9, box2d=Box2D(12, 22, 62, 72)),
        Label(id="1", category="pedestrian", score=0.2, box2d=Box2D(100, 30, 120, 80)),
    ]
    write_det_predictions(folder, Frame(f"{split}0.jpg", labels=labels), Frame(f"{split}1.jpg", labels=[]))
    if scores is not None:
        (folder / "inference/scores.json").write_text(json.dumps(scores))
    return folder


def write_det_predictions(folder: Path, *frames: Frame) -> None:
    write_frames(frames, folder / "inference/det.json")


def write_mask_run(
    folder: Path, task: str = "sem_seg", scores: dict | None = SEM_SEG_SCORES, split: str = "val"
) -> Path:
    """A trained segmenter that says class 0 everywhere."""
    write_config(folder, f"bdd100k_{task}_{split}")
    write_log(folder, *({"iteration": i, "total_loss": 2.0, f"loss_{task}": 2.0, "time": 0.25} for i in (19, 39)))
    masks = folder / "inference/masks"
    masks.mkdir(parents=True)
    for i in range(3):
        cv2.imwrite(str(masks / f"{split}{i}.png"), np.zeros((720, 1280), np.uint8))
    if scores is not None:
        (folder / "inference/scores.json").write_text(json.dumps(scores))
    return folder


def det_color(name: str) -> np.ndarray:
    return np.array(categories.DET[categories.DET_CLASSES[name].index].color)
