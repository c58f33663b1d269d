"""Recipes on another number of processes than they are written for."""

import logging
from pathlib import Path

import pytest
from detectron2.config import CfgNode, get_cfg
from detectron2.engine import DefaultTrainer

import bdd100k_d2
from bdd100k_d2.config import config_names
from bdd100k_d2.data.register import register_all
from bdd100k_d2.engine.solver import scale_to_processes
from bdd100k_d2.errors import ConfigError


def solver(cfg: CfgNode) -> dict[str, object]:
    names = ("IMS_PER_BATCH", "BASE_LR", "MAX_ITER", "STEPS", "WARMUP_ITERS", "CHECKPOINT_PERIOD", "POLY_MIN_LR")
    return {name: cfg.SOLVER[name] for name in names} | {"EVAL_PERIOD": cfg.TEST.EVAL_PERIOD}


def test_one_gpu(caplog: pytest.LogCaptureFixture) -> None:
    """The example of docs/GETTING_STARTED.md."""
    cfg = bdd100k_d2.get_config("det/faster_rcnn_R_50_FPN_1x")
    cfg.freeze()
    with caplog.at_level(logging.INFO, logger="bdd100k_d2"):
        scaled = scale_to_processes(cfg, 1)
    assert solver(scaled) == {
        "IMS_PER_BATCH": 2,
        "BASE_LR": 0.0025,
        "MAX_ITER": 419232,
        "STEPS": (279488, 384296),
        "WARMUP_ITERS": 4000,
        "CHECKPOINT_PERIOD": 34936,
        "EVAL_PERIOD": 34936,
        # Of another schedule than this config's.
        "POLY_MIN_LR": cfg.SOLVER.POLY_MIN_LR,
    }
    assert scaled.is_frozen() and cfg.SOLVER.MAX_ITER == 52404 and scaled.SOLVER.REFERENCE_WORLD_SIZE == 1
    (message,) = [one.getMessage() for one in caplog.records if one.name.startswith("bdd100k_d2")]
    assert message.startswith("The config is for 8 processes and was scaled to 1:\n")
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in message.splitlines()[1:]]
    assert rows[0] == ["key", "for 8", "for 1"]
    changed = {key: (before, after) for key, before, after in rows[2:]}
    assert changed.pop("SOLVER.BASE_LR") == ("0.02", "0.0025")
    assert changed.pop("SOLVER.STEPS") == ("(34936, 48037)", "(279488, 384296)")
    assert changed.keys() == {
        "SOLVER.IMS_PER_BATCH",
        "SOLVER.MAX_ITER",
        "SOLVER.WARMUP_ITERS",
        "SOLVER.CHECKPOINT_PERIOD",
        "SOLVER.REFERENCE_WORLD_SIZE",
        "TEST.EVAL_PERIOD",
    }


def test_the_floor_of_the_poly_schedule_is_a_rate() -> None:
    cfg = bdd100k_d2.get_config("sem_seg/semantic_fpn_R_50_40k")
    scaled = solver(scale_to_processes(cfg, 16))
    assert (scaled["IMS_PER_BATCH"], scaled["BASE_LR"], scaled["POLY_MIN_LR"]) == (32, 0.02, pytest.approx(0.0002))
    assert (scaled["MAX_ITER"], scaled["WARMUP_ITERS"]) == (20_000, 250)


def test_as_many_processes_as_written_or_none_written_change_nothing() -> None:
    for name in config_names():
        cfg = bdd100k_d2.get_config(name)
        reference = 0 if name.startswith("sample/") else 8
        assert reference == cfg.SOLVER.REFERENCE_WORLD_SIZE
        assert scale_to_processes(cfg, reference or 3) is cfg
    stock = get_cfg()
    assert DefaultTrainer.auto_scale_workers(stock, 4) is stock


def test_periods_do_not_become_never() -> None:
    cfg = bdd100k_d2.get_config("det/faster_rcnn_R_50_FPN_1x")
    cfg.SOLVER.REFERENCE_WORLD_SIZE = 1
    cfg.SOLVER.MAX_ITER, cfg.SOLVER.CHECKPOINT_PERIOD, cfg.TEST.EVAL_PERIOD = 2, 3, 1
    scaled = solver(scale_to_processes(cfg, 16))
    assert (scaled["MAX_ITER"], scaled["CHECKPOINT_PERIOD"], scaled["EVAL_PERIOD"]) == (1, 1, 1)
    cfg.TEST.EVAL_PERIOD = 0
    assert solver(scale_to_processes(cfg, 16))["EVAL_PERIOD"] == 0
    for period, expected in ((0, 0), (1, 1), (48, 3)):
        cfg.TEST.VAL_LOSS.PERIOD = period
        assert expected == scale_to_processes(cfg, 16).TEST.VAL_LOSS.PERIOD


def test_a_batch_that_cannot_be_shared() -> None:
    cfg = bdd100k_d2.get_config("det/faster_rcnn_R_50_FPN_1x")
    cfg.SOLVER.IMS_PER_BATCH = 2
    with pytest.raises(ConfigError, match=r"IMS_PER_BATCH 2 is no multiple of .* add SOLVER.REFERENCE_WORLD_SIZE 0"):
        scale_to_processes(cfg, 1)


def test_the_trainer_trains_by_the_scaled_config(tiny_root: Path, tmp_path: Path) -> None:
    register_all(tiny_root)
    cfg = bdd100k_d2.get_config("sample/semantic_fpn_R_18")
    cfg.MODEL.DEVICE, cfg.SOLVER.AMP.ENABLED, cfg.OUTPUT_DIR = "cpu", False, str(tmp_path / "out")
    cfg.INPUT.MIN_SIZE_TRAIN, cfg.INPUT.CROP.SIZE = (72,), [64, 96]
    cfg.SOLVER.REFERENCE_WORLD_SIZE, cfg.DATALOADER.NUM_WORKERS = 2, 0
    trainer = bdd100k_d2.Trainer(cfg)
    assert trainer.max_iter == 1800 and trainer.cfg.SOLVER.IMS_PER_BATCH == 2
    assert [group["initial_lr"] for group in trainer.optimizer.param_groups] == pytest.approx([0.001] * 2, rel=1e-6)
