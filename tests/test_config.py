from pathlib import Path

import pytest
import torch
import yaml
from detectron2.config import get_cfg
from detectron2.modeling import build_model

import bdd100k_d2
from bdd100k_d2.config import add_bdd100k_config, config_folder, config_names, load_config
from bdd100k_d2.data.categories import TASKS
from bdd100k_d2.data.register import SPLITS
from bdd100k_d2.errors import ConfigError

LABELLED_FRAMES = 69_863


@pytest.mark.parametrize("name", config_names())
def test_every_config_builds_and_names_known_datasets(name: str) -> None:
    cfg = bdd100k_d2.get_config(name)
    known = {split.name: split.task for split in SPLITS}
    tasks = {known[dataset] for dataset in (*cfg.DATASETS.TRAIN, *cfg.DATASETS.TEST)}
    assert len(tasks) == 1
    task = tasks.pop()
    classes = cfg.MODEL.ROI_HEADS.NUM_CLASSES if task == "det" else cfg.MODEL.SEM_SEG_HEAD.NUM_CLASSES
    assert classes == len(TASKS[task])
    cfg.MODEL.DEVICE = "cpu"
    assert sum(p.numel() for p in build_model(cfg).parameters()) > 1e6


@pytest.mark.parametrize("path", sorted(config_folder().rglob("*.yaml")), ids=lambda path: path.stem)
def test_configs_are_plain_and_leaves_are_short(path: Path) -> None:
    lines = path.read_text().splitlines()
    assert isinstance(yaml.safe_load(path.read_text()), dict)
    assert path.name.startswith("Base-") == (path.parent == config_folder())
    assert path.name.startswith("Base-") or len(lines) <= 12


def test_the_detection_recipe() -> None:
    cfg = bdd100k_d2.get_config("det/faster_rcnn_R_50_FPN_1x")
    assert cfg.INPUT.FORMAT == "RGB" and cfg.MODEL.PIXEL_STD == [58.395, 57.12, 57.375]
    assert not cfg.MODEL.RESNETS.STRIDE_IN_1X1 and cfg.MODEL.BACKBONE.FREEZE_AT == 2
    assert (cfg.INPUT.MIN_SIZE_TEST, cfg.INPUT.MAX_SIZE_TEST) == (720, 1280)
    assert (cfg.SOLVER.IMS_PER_BATCH, cfg.SOLVER.BASE_LR, cfg.SOLVER.WARMUP_ITERS) == (16, 0.02, 500)
    epoch = round(LABELLED_FRAMES / 16 + 0.4999)
    assert epoch == 4367 == cfg.TEST.EVAL_PERIOD
    assert (12 * epoch, (8 * epoch, 11 * epoch)) == (cfg.SOLVER.MAX_ITER, cfg.SOLVER.STEPS)
    longer = bdd100k_d2.get_config("det/faster_rcnn_R_50_FPN_3x")
    assert (36 * epoch, (24 * epoch, 33 * epoch)) == (longer.SOLVER.MAX_ITER, longer.SOLVER.STEPS)
    assert tuple(range(600, 721, 24)) == longer.INPUT.MIN_SIZE_TRAIN


def test_the_segmentation_recipe() -> None:
    cfg = bdd100k_d2.get_config("sem_seg/semantic_fpn_R_50_40k")
    assert cfg.MODEL.RESNETS.DEEP_STEM and cfg.MODEL.RESNETS.NORM == cfg.MODEL.SEM_SEG_HEAD.NORM == "SyncBN"
    assert cfg.MODEL.SEM_SEG_HEAD.DROPOUT == 0.1 and cfg.MODEL.SEM_SEG_HEAD.AVERAGE_OVER_IGNORED
    assert cfg.INPUT.CROP.SIZE == [512, 1024] and cfg.INPUT.CROP.SINGLE_CATEGORY_MAX_AREA == 0.75
    assert cfg.INPUT.MIN_SIZE_TRAIN == (720,) and cfg.INPUT.COLOR_JITTER.PROB == 0.5
    assert (cfg.SOLVER.IMS_PER_BATCH, cfg.SOLVER.BASE_LR, cfg.SOLVER.MAX_ITER) == (16, 0.01, 40_000)
    assert cfg.SOLVER.WEIGHT_DECAY == cfg.SOLVER.WEIGHT_DECAY_NORM == 0.0005


def test_our_keys_leave_a_stock_config_as_it_is() -> None:
    ours, stock = get_cfg(), get_cfg()
    add_bdd100k_config(ours)
    ours.MODEL.DEVICE = stock.MODEL.DEVICE
    for node, key in (
        (ours.MODEL.RESNETS, "DEEP_STEM"),
        (ours.MODEL.SEM_SEG_HEAD, "DROPOUT"),
        (ours.MODEL.SEM_SEG_HEAD, "AVERAGE_OVER_IGNORED"),
        (ours.INPUT.CROP, "SINGLE_CATEGORY_MAX_AREA"),
        (ours.INPUT, "COLOR_JITTER"),
        (ours.SOLVER, "OPTIMIZER"),
        (ours.SOLVER, "POLY_POWER"),
        (ours.SOLVER, "POLY_MIN_LR"),
    ):
        del node[key]
    assert ours == stock


def test_the_device_is_what_there_is() -> None:
    assert ("cuda" if torch.cuda.is_available() else "cpu") == bdd100k_d2.get_config(
        "det/faster_rcnn_R_50_FPN_1x"
    ).MODEL.DEVICE


def test_unknown_configs_and_keys_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="Shipped are det/faster_rcnn_R_50_FPN_1x, "):
        bdd100k_d2.get_config("det/faster_rcnn")
    base = config_folder() / "det" / "faster_rcnn_R_50_FPN_1x.yaml"
    with pytest.raises(ConfigError, match=r"SOLVER\.BASE_RL\. Did you mean SOLVER\.BASE_LR\?"):
        load_config(base, ["SOLVER.BASE_RL", "0.1"])
    path = tmp_path / "mine.yaml"
    path.write_text(f"_BASE_: {base}\nMODEL: {{ROI_HEAD: {{NUM_CLASSES: 3}}}}\n")
    with pytest.raises(ConfigError, match=r"mine\.yaml: .*MODEL\.ROI_HEAD\. Did you mean MODEL\.ROI_HEADS\?"):
        load_config(path)
    path.write_text("SOLVER: {MAX_ITER: many}\n")
    with pytest.raises(ConfigError, match=r"mine\.yaml: not a usable config: Type mismatch"):
        load_config(path)
    path.write_text("MODEL: !!python/object/apply:os.getcwd []\n")
    with pytest.raises(ConfigError, match=r"mine\.yaml: .*could not determine a constructor"):
        load_config(path)
    path.write_text("")
    with pytest.raises(ConfigError, match=r"mine\.yaml: not a usable config"):
        load_config(path)
    path.write_text("_BASE_: missing.yaml\n")
    with pytest.raises(ConfigError, match=r"mine\.yaml: not a usable config: .*missing\.yaml"):
        load_config(path)
    with pytest.raises(ConfigError, match=r"no config file: no such config; give one with --config-file"):
        load_config("")
    path.write_text("MODEL: {DEVICE: [}\n")
    with pytest.raises(ConfigError, match=r"mine\.yaml: .*line 1"):
        load_config(path)
