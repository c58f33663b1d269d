"""The real images and labels: full-size models run on them, and small ones can learn them by heart."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from detectron2.modeling import build_model

import bdd100k_d2

ROOT = Path(bdd100k_d2.__file__).parents[1]


def train_net(root: Path, config: str, out: Path, keys: list[str], flags: tuple[str, ...] = ()) -> None:
    command = [sys.executable, "tools/train_net.py", "--config-file", f"configs/{config}.yaml", *flags]
    done = subprocess.run(
        [*command, "OUTPUT_DIR", str(out), *keys],
        cwd=ROOT,
        env=os.environ | {"DETECTRON2_DATASETS": str(root)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]


@pytest.mark.slow
@pytest.mark.parametrize("config", ["det/faster_rcnn_R_50_FPN_1x", "sem_seg/semantic_fpn_R_50_40k"])
def test_full_size_models_evaluate_on_the_cpu(real_root: Path, tmp_path: Path, config: str) -> None:
    cfg = bdd100k_d2.get_config(config)
    cfg.MODEL.DEVICE = "cpu"
    torch.manual_seed(0)
    torch.save({"model": build_model(cfg).state_dict()}, tmp_path / "random.pth")
    weights = ["MODEL.WEIGHTS", str(tmp_path / "random.pth"), "MODEL.DEVICE", "cpu", "DATALOADER.NUM_WORKERS", "0"]
    train_net(real_root, config, tmp_path / "out", weights, ("--eval-only",))
    scores = json.loads((tmp_path / "out/inference/scores.json").read_text())
    if "AP" in scores:
        (frame,) = json.loads((tmp_path / "out/inference/det.json").read_text())
        assert frame["name"] == "b1c66a42-6f7d68ca.jpg"
        assert scores["AP"][1]["OVERALL"] < 5
    else:
        assert len(list((tmp_path / "out/inference/masks").glob("*.png"))) == 4
        assert 0 < scores["pAcc"] < 50


@pytest.mark.slow
def test_a_small_segmenter_learns_the_real_frames(real_root: Path, tmp_path: Path) -> None:
    # The same whole images again and again: learning by heart is what is wanted.
    keys = ["DATASETS.TEST", "('bdd100k_sem_seg_train',)", "INPUT.CROP.ENABLED", "False", "INPUT.RANDOM_FLIP", "none"]
    keys += ["INPUT.MIN_SIZE_TRAIN", "(288,)", "INPUT.MIN_SIZE_TEST", "288", "MODEL.SEM_SEG_HEAD.DROPOUT", "0.0"]
    keys += ["SOLVER.IMS_PER_BATCH", "2", "SOLVER.MAX_ITER", "140", "SOLVER.WEIGHT_DECAY", "0.0001"]
    train_net(real_root, "sample/semantic_fpn_efficientnet_lite0", tmp_path, [*keys, "DATALOADER.NUM_WORKERS", "0"])
    scores = json.loads((tmp_path / "inference/scores.json").read_text())
    assert scores["IoU"][1]["AVERAGE"] >= 40


@pytest.mark.slow
def test_a_small_detector_learns_the_real_frames(real_root: Path, tmp_path: Path) -> None:
    names = "('bdd100k_det_train', 'bdd100k_det_val')"
    keys = ["DATASETS.TRAIN", names, "DATASETS.TEST", names, "SOLVER.MAX_ITER", "80", "SOLVER.IMS_PER_BATCH", "2"]
    train_net(real_root, "sample/faster_rcnn_efficientnet_lite0_FPN", tmp_path, [*keys, "DATALOADER.NUM_WORKERS", "0"])
    for split in ("train", "val"):
        scores = json.loads((tmp_path / f"inference/bdd100k_det_{split}/scores.json").read_text())
        assert scores["AP50"][1]["OVERALL"] >= 40, split
