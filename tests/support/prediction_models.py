"""Tiny models with random weights, of which predictions are of no use but the same each time."""

import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import torch
from detectron2.modeling import build_model
from detectron2.structures import Boxes, Instances

import bdd100k_d2
from bdd100k_d2.errors import DataError
from bdd100k_d2.predict.inputs import find_input
from bdd100k_d2.predict.journal import FILE_NAME
from bdd100k_d2.predict.predictor import Prediction
from bdd100k_d2.predict.run import PredictionRun

if TYPE_CHECKING:
    from detectron2.config import CfgNode


def detector(folder: Path, task: str = "det") -> "CfgNode":
    """A detector of ``task``, "det" or "ins_seg", that finds twelve objects in every image."""
    cfg = bdd100k_d2.get_config("sample/faster_rcnn_R_18_FPN")
    cfg.MODEL.RESNETS.DEPTH, cfg.MODEL.RESNETS.WIDTH_PER_GROUP = 50, 2
    cfg.MODEL.RESNETS.STEM_OUT_CHANNELS = cfg.MODEL.RESNETS.RES2_OUT_CHANNELS = 8
    cfg.MODEL.FPN.OUT_CHANNELS, cfg.MODEL.ROI_BOX_HEAD.FC_DIM = 16, 32
    cfg.MODEL.RPN.PRE_NMS_TOPK_TEST = cfg.MODEL.RPN.POST_NMS_TOPK_TEST = 40
    cfg.MODEL.ROI_HEADS.SCORE_THRESH_TEST, cfg.TEST.DETECTIONS_PER_IMAGE = 0.0, 12
    cfg.INPUT.MIN_SIZE_TEST, cfg.INPUT.MAX_SIZE_TEST = 96, 160
    cfg.DATASETS.TEST = (f"bdd100k_{task}_val",)
    if task == "ins_seg":
        cfg.MODEL.MASK_ON, cfg.MODEL.ROI_HEADS.NUM_CLASSES = True, 8
        cfg.MODEL.ROI_MASK_HEAD.CONV_DIM, cfg.MODEL.ROI_MASK_HEAD.NUM_CONV = 8, 1
    return saved(cfg, folder)


def saved(cfg: "CfgNode", folder: Path) -> "CfgNode":
    """``cfg`` with weights of seed 0 in ``folder``."""
    cfg.MODEL.DEVICE, cfg.MODEL.WEIGHTS = "cpu", ""
    torch.manual_seed(0)
    model = build_model(cfg)
    for key, value in model.state_dict().items():
        if key.endswith("conv3.norm.weight"):
            # Without training each block doubles the variance.
            value.fill_(0.2)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{cfg.DATASETS.TEST[0]}.pth"
    torch.save({"model": model.state_dict()}, path)
    cfg.MODEL.WEIGHTS = str(path)
    return cfg


def config_file(cfg: "CfgNode", folder: Path) -> Path:
    """``cfg`` as a file."""
    path = folder / f"{cfg.DATASETS.TEST[0]}.yaml"
    path.write_text(cfg.dump())
    return path


def write_video(path: Path, frames: int, rate: float = 12.5, height: int = 96, width: int = 160) -> Path:
    """A video in which a bright square moves."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), rate, (width, height))
    random = np.random.default_rng(0)
    scene = cv2.resize(random.integers(0, 255, (6, 10, 3), np.uint8), (width, height))
    for i in range(frames):
        frame = scene.copy()
        frame[30:60, 4 * i : 4 * i + 30] = 255
        writer.write(frame)
    writer.release()
    return path


def write_damaged_video(path: Path, frames: int, damaged: set[int]) -> Path:
    """A video of 20 grey levels in turn, some of whose frames cannot be decoded; ``path`` ends in ``.avi``."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 25, (160, 96))
    for i in range(frames):
        writer.write(np.full((96, 160, 3), 12 * (i % 20), np.uint8))
    writer.release()
    content = bytearray(path.read_bytes())
    place = content.index(b"movi")
    for i in range(frames):
        place = content.index(b"00dc", place + 1)
        length = int.from_bytes(content[place + 4 : place + 8], "little")
        if i in damaged:
            content[place + 8 : place + 8 + length] = bytes(length)
    path.write_bytes(content)
    return path


class Scripted:
    """A predictor without a model: its boxes follow from the pixels. It can be killed when ``record`` has so many."""

    amp = False
    slices = None

    def __init__(self, batch_size: int = 1, killed_after: int | None = None, record: Path | None = None) -> None:
        self.batch_size = batch_size
        self.killed_after = killed_after
        self.record = record
        self.batches: list[int] = []

    def stream(self, frames: Iterable[Any], on_error: Callable[[Any, DataError], object]) -> Iterator[Prediction]:
        batch: list[tuple[Any, np.ndarray]] = []
        for frame in frames:
            image = frame if isinstance(frame, np.ndarray) else cv2.imread(str(frame))
            if image is None:
                on_error(frame, DataError(f"{frame}: damaged."))
                continue
            batch.append((frame, image))
            if len(batch) == self.batch_size:
                yield from self._predict(batch)
                batch = []
        yield from self._predict(batch)

    def _predict(self, batch: list[tuple[Any, np.ndarray]]) -> Iterator[Prediction]:
        for frame, image in batch:
            if self.killed_after is not None and sum(self.batches) >= self.killed_after:
                # All that was handed on is to be written, however busy the machine is.
                while self.record.read_bytes().count(b"\n") < 1 + self.killed_after:
                    time.sleep(0.01)
                os.kill(os.getpid(), signal.SIGKILL)
            self.batches.append(1)
            height, width = image.shape[:2]
            found = Instances((height, width))
            # As of a model whose digits depend on the frames beside it.
            left = float(image.mean(dtype=np.float64)) / 8 + len(batch) / 7
            found.pred_boxes = Boxes(torch.tensor([[left, 10.0, left + 60.5, 70.25]]))
            found.scores, found.pred_classes = torch.tensor([left % 1 * 0.5 + 0.5]), torch.tensor([2])
            found.pred_masks = torch.zeros(1, height, width, dtype=torch.bool)
            found.pred_masks[0, 10:70, int(left) : int(left) + 60] = True
            yield Prediction(frame, image[..., ::-1], {"instances": found})


def run_until_killed(config: Path, source: Path, folder: Path, batch_size: int, after: int) -> None:
    """A prediction run that kills itself when its record has ``after`` frames."""
    predictor = Scripted(batch_size, after, folder / FILE_NAME)
    cfg = bdd100k_d2.load_config(config)
    PredictionRun(cfg, find_input(str(source), folder), folder, overlay=True).run(predictor)
