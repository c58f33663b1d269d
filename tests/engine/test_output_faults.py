"""What becomes of a training whose output folder fails it."""

import json
import logging
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from detectron2.config import CfgNode

import bdd100k_d2
from bdd100k_d2.checkpoint.checksum import read_checked
from bdd100k_d2.data.register import register_all
from bdd100k_d2.errors import OutputError


@pytest.fixture
def cfg(tiny_root: Path, tmp_path: Path) -> CfgNode:
    register_all(tiny_root)
    cfg = bdd100k_d2.get_config("sample/semantic_fpn_R_18")
    cfg.MODEL.DEVICE, cfg.SEED, cfg.SOLVER.AMP.ENABLED = "cpu", 3, False
    # A checkpoint of two megabytes.
    cfg.MODEL.RESNETS.DEPTH, cfg.MODEL.RESNETS.RES2_OUT_CHANNELS = 50, 16
    cfg.MODEL.RESNETS.STEM_OUT_CHANNELS = cfg.MODEL.RESNETS.WIDTH_PER_GROUP = 8
    cfg.MODEL.FPN.OUT_CHANNELS = cfg.MODEL.SEM_SEG_HEAD.CONVS_DIM = 32
    cfg.INPUT.MIN_SIZE_TRAIN, cfg.INPUT.CROP.SIZE = (72,), [64, 96]
    cfg.SOLVER.IMS_PER_BATCH, cfg.DATALOADER.NUM_WORKERS = 2, 0
    cfg.SOLVER.CHECKPOINT_PERIOD, cfg.SOLVER.MAX_ITER = 1, 3
    cfg.DATASETS.TEST = ()
    cfg.OUTPUT_DIR = str(tmp_path / "out")
    return cfg


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(folder)]
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"no disk can be mounted here: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def train(cfg: CfgNode, resume: bool = False) -> Path:
    trainer = bdd100k_d2.Trainer(cfg)
    trainer.resume_or_load(resume=resume)
    trainer.train()
    return Path(cfg.OUTPUT_DIR)


def final(folder: Path) -> dict[str, torch.Tensor]:
    return read_checked(folder / "model_final.pth")["model"]


def test_a_damaged_last_checkpoint_costs_its_iterations_and_nothing_else(
    cfg: CfgNode, tiny_root: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cfg.SOLVER.CHECKPOINT_KEEP = 2
    out = train(cfg)
    expected = final(out)
    assert {path.name for path in out.glob("*.pth")} == {"model_0000001.pth", "model_0000002.pth", "model_final.pth"}
    # As if it had been stopped after iteration 2, with a damaged checkpoint.
    (out / "model_final.pth").unlink()
    last = out / "model_0000002.pth"
    last.write_bytes(last.read_bytes()[:-1000])
    (out / "last_checkpoint").write_text(last.name)
    (tiny_root / "bdd100k/labels/sem_seg/masks/train/train0.png").touch()
    with caplog.at_level(logging.WARNING, logger="bdd100k_d2"):
        train(cfg, resume=True)
    assert f"{last}: damaged" in caplog.text and "model_0000001.pth is whole" in caplog.text
    assert "have changed" not in caplog.text
    resumed = final(out)
    assert expected.keys() == resumed.keys() and all(torch.equal(expected[key], resumed[key]) for key in expected)
    content = read_checked(last)
    assert content["iteration"] == content["trainer"]["iteration"] == 2 and content["trainer"]["seed"] == 3
    assert {"optimizer"} <= content["trainer"]["_trainer"].keys() and "LRScheduler" in content["trainer"]["hooks"]
    starts = json.loads((out / "run.json").read_text())
    assert [(start["seed"], start["start_iter"]) for start in starts] == [(3, 0), (3, 2)]
    assert starts[0]["run"] == starts[1]["run"] == content["run"]


def test_masks_that_changed_between_two_starts(cfg: CfgNode, tiny_root: Path, caplog: pytest.LogCaptureFixture) -> None:
    cfg.SOLVER.MAX_ITER = 1
    train(cfg)
    (tiny_root / "bdd100k/labels/sem_seg/masks/train/train2.png").unlink()
    (tiny_root / "bdd100k/images/10k/train/train2.jpg").unlink()
    cfg.SOLVER.MAX_ITER = 2
    with caplog.at_level(logging.WARNING, logger="bdd100k_d2"):
        train(cfg, resume=True)
    assert "bdd100k_sem_seg_train: the data have changed since the run's last start" in caplog.text
    assert "masks/train has changed (3 frames before, 2 now" in caplog.text
    assert "images/10k/train has 2 images, 3 before" in caplog.text


def test_a_disk_that_gets_full(cfg: CfgNode, disk: Path, tmp_path: Path) -> None:
    expected = final(train(cfg))
    size = (tmp_path / "out/model_0000000.pth").stat().st_size
    cfg.OUTPUT_DIR = str(disk / "out")
    # Room for two and a half.
    subprocess.run(["mount", "-o", f"remount,size={size * 5 // 2 + 100_000}", str(disk)], check=True)
    with pytest.raises(
        OutputError, match=r"model_0000002\.pth: cannot be written \(No space .*0001\.pth is as it was: .*"
    ):
        train(cfg)
    out = disk / "out"
    assert (out / "last_checkpoint").read_text() == "model_0000001.pth"
    assert not list(out.glob(".*.tmp"))
    subprocess.run(["mount", "-o", "remount,size=64m", str(disk)], check=True)
    resumed = final(train(cfg, resume=True))
    assert all(torch.equal(expected[key], resumed[key]) for key in expected)
