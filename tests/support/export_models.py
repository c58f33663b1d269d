"""Reduced models of the zoo's segmenters with random weights, to be exported, and what they predict."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from detectron2.modeling import build_model
from support.small_models import SMALL_MODELS
from torch import Tensor, nn

import bdd100k_d2
from bdd100k_d2.predict.model_file import open_model_file

if TYPE_CHECKING:
    from detectron2.config import CfgNode

# Of equal logits the rounding of a runtime decides which is larger.
_TIE = 1e-4


def segmenter(name: str, folder: Path, *overrides: object) -> "CfgNode":
    """The config of the zoo's ``name``, whose model is reduced, with weights in ``folder``.

    It resizes images to a shorter side of 64 and a longer one of at most 112 pixels.
    """
    cfg = bdd100k_d2.get_config(name)
    cfg.MODEL.DEVICE, cfg.MODEL.WEIGHTS = "cpu", ""
    cfg.merge_from_list(SMALL_MODELS["sem_seg"])
    if cfg.MODEL.SEM_SEG_HEAD.NORM == "GN":
        # 32 groups of channels.
        cfg.MODEL.SEM_SEG_HEAD.CONVS_DIM = 32
    # Fewer than the smallest image has.
    cfg.MODEL.POINT_HEAD.SUBDIVISION_NUM_POINTS = 200
    cfg.INPUT.MIN_SIZE_TEST, cfg.INPUT.MAX_SIZE_TEST = 64, 112
    cfg.merge_from_list([*overrides])
    torch.manual_seed(0)
    model = build_model(cfg)
    for part, parameter in model.named_parameters():
        # Detectron2's own are so small that classes would differ by less than they are rounded.
        if "predictor" in part or "conv_seg" in part:
            nn.init.normal_(parameter, std=0.5)
    cfg.MODEL.WEIGHTS = str(folder / "model.pth")
    torch.save({"model": model.state_dict()}, cfg.MODEL.WEIGHTS)
    return cfg


def images(number: int, height: int, width: int) -> np.ndarray:
    """Images (N, H, W, 3) uint8 of coloured blocks under noise."""
    random = np.random.default_rng(height * width)
    blocks = random.integers(0, 200, (number, -(-height // 16), -(-width // 16), 3), np.uint8)
    blocks = blocks.repeat(16, axis=1).repeat(16, axis=2)[:, :height, :width]
    return blocks + random.integers(0, 56, blocks.shape, np.uint8)


def run_file(path: Path) -> Callable[[np.ndarray], list[np.ndarray]]:
    """What runs the graph of a model file on images (N, H, W, 3)."""
    file = open_model_file(path, task=None, amp=False, threads=1)
    return lambda frames: file._session.run(frames, file._names)


def assert_classes_of(predictor: "bdd100k_d2.Predictor", frames: np.ndarray, ids: np.ndarray) -> None:
    """Asserts that ``ids`` (N, H, W) are the classes that ``predictor`` gives for frames (N, H, W, 3), but for ties."""
    expected = [predictor(frame[..., ::-1])["sem_seg"] for frame in frames]
    assert ids.dtype == np.uint8 and ids.shape == frames.shape[:3]
    assert max(len(logits.argmax(0).unique()) for logits in expected) > 1
    for one, logits in zip(ids, expected, strict=True):
        assert lost(logits, torch.from_numpy(one)) < _TIE


def lost(logits: Tensor, ids: Tensor) -> float:
    """By how much the logits (K, H, W) of ``ids`` (H, W) are below the largest of their pixels, at most."""
    taken = logits.gather(0, ids.long()[None])[0]
    return float((logits.amax(0) - taken).max())
