import os
from contextlib import suppress
from pathlib import Path
from random import Random

import numpy as np
import pytest
import torch
import yaml
from detectron2.config import CfgNode, get_cfg
from detectron2.modeling import build_model
from support.mutations import changed_value, damaged_bytes

import bdd100k_d2
from bdd100k_d2.config import add_bdd100k_config, config_folder, config_names, load_config, read_config
from bdd100k_d2.data.register import all_splits
from bdd100k_d2.errors import ConfigError
from bdd100k_d2.tasks import TASKS

LABELLED_FRAMES = 69_863


@pytest.mark.parametrize("name", config_names())
def test_every_config_builds_and_names_known_datasets(name: str) -> None:
    cfg = bdd100k_d2.get_config(name)
    known = {split.name: split.task for split in all_splits()}
    tasks = {known[dataset] for dataset in (*cfg.DATASETS.TRAIN, *cfg.DATASETS.TEST)}
    assert len(tasks) == 1
    task = tasks.pop()
    assert name.startswith((f"{task}/", "sample/"))
    heads = {"BDD100KRetinaNet": ["RETINANET"], "ATSS": ["RETINANET"], "GeneralizedRCNN": ["ROI_HEADS"]}
    heads["PanopticFPN"] = ["ROI_HEADS", "SEM_SEG_HEAD"]
    numbers = [cfg.MODEL[head].NUM_CLASSES for head in heads.get(cfg.MODEL.META_ARCHITECTURE, ["SEM_SEG_HEAD"])]
    # The semantic head of a panoptic model has one class more, for all things.
    assert TASKS[task].num_classes == sum(numbers) - (task == "pan_seg")
    assert (task in ("ins_seg", "pan_seg")) == cfg.MODEL.MASK_ON and (
        not cfg.MODEL.MASK_ON or cfg.INPUT.MASK_FORMAT == "bitmask"
    )
    assert f"output/{name}" == cfg.OUTPUT_DIR
    if cfg.MODEL.TIMM.NAME:
        pytest.importorskip("timm", reason="the extra 'timm' is not installed")
    cfg.MODEL.DEVICE = "meta"
    with torch.device("meta"):
        model = build_model(cfg)
    assert sum(p.numel() for p in model.parameters()) > 1e6


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


def test_the_recipes_of_the_zoo_that_vis4d_lacks() -> None:
    retinanet = bdd100k_d2.get_config("det/retinanet_R_101_FPN_3x")
    assert (retinanet.SOLVER.IMS_PER_BATCH, retinanet.SOLVER.BASE_LR) == (16, 0.01)
    assert "R-101" in retinanet.MODEL.WEIGHTS and not retinanet.MODEL.FPN.RELU_BEFORE_P7
    octaves = [[2 ** (5 + level + third / 3) for third in range(3)] for level in range(5)]
    assert np.allclose(retinanet.MODEL.ANCHOR_GENERATOR.SIZES, octaves, rtol=1e-12, atol=0)
    cascade = bdd100k_d2.get_config("det/cascade_rcnn_R_50_FPN_1x").MODEL
    deviations = [[0.1, 0.1, 0.2, 0.2], [0.05, 0.05, 0.1, 0.1], [0.033, 0.033, 0.067, 0.067]]
    assert np.allclose(cascade.ROI_BOX_CASCADE_HEAD.BBOX_REG_WEIGHTS, 1 / np.array(deviations), rtol=1e-12, atol=0)
    assert cascade.ROI_BOX_CASCADE_HEAD.AVERAGE_LOGITS and cascade.ROI_BOX_HEAD.CLS_AGNOSTIC_BBOX_REG
    assert (cascade.RPN.SMOOTH_L1_BETA, cascade.ROI_BOX_HEAD.SMOOTH_L1_BETA) == (1 / 9, 1.0)
    batch_32 = bdd100k_d2.get_config("ins_seg/mask_rcnn_R_50_FPN_3x_32bs").SOLVER
    assert (batch_32.IMS_PER_BATCH, batch_32.BASE_LR) == (32, 0.04)
    assert bdd100k_d2.get_config("drivable/semantic_fpn_R_50_80k_gn").MODEL.RESNETS.NORM == "SyncBN"


def test_a_trained_config_names_its_weights() -> None:
    plain = bdd100k_d2.get_config("det/cascade_rcnn_R_50_FPN_3x")
    trained = bdd100k_d2.get_config("det/cascade_rcnn_R_50_FPN_3x", trained=True)
    assert trained.MODEL.WEIGHTS == "bdd100k://det/cascade_rcnn_r50_fpn_3x"
    trained.MODEL.WEIGHTS = plain.MODEL.WEIGHTS
    assert trained == plain
    for name in ("ins_seg/mask_rcnn_R_50_FPN_5x", "sample/semantic_fpn_R_18"):
        with pytest.raises(ConfigError, match=rf"{name}: no weights were published.*for det/faster_rcnn_R_50_FPN_1x, "):
            bdd100k_d2.get_config(name, trained=True)
    with pytest.raises(ConfigError, match="no such config"):
        bdd100k_d2.get_config("det/faster_rcnn", trained=True)


def shared(ours: CfgNode, stock: CfgNode) -> dict:
    """What ``ours`` holds under the keys of ``stock``."""
    return {key: shared(ours[key], value) if isinstance(value, CfgNode) else ours[key] for key, value in stock.items()}


def test_our_keys_leave_a_stock_config_as_it_is() -> None:
    ours, stock = get_cfg(), get_cfg()
    add_bdd100k_config(ours)
    assert ours != stock
    ours.MODEL.DEVICE, ours.DATALOADER.NUM_WORKERS = stock.MODEL.DEVICE, stock.DATALOADER.NUM_WORKERS
    assert shared(ours, stock) == shared(stock, stock)


def test_the_device_is_what_there_is() -> None:
    assert ("cuda" if torch.cuda.is_available() else "cpu") == bdd100k_d2.get_config(
        "det/faster_rcnn_R_50_FPN_1x"
    ).MODEL.DEVICE


def test_unknown_configs_and_keys_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="Shipped are det/atss_R_101_FPN_3x, "):
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
    with pytest.raises(ConfigError, match=r"missing\.yaml: not a usable config, the _BASE_ of .*mine\.yaml"):
        load_config(path)
    os.mkfifo(tmp_path / "missing.yaml")
    with pytest.raises(
        ConfigError, match=r"the _BASE_ of .*mine\.yaml: a pipe, which may never be written; give a file"
    ):
        load_config(path)
    with pytest.raises(ConfigError, match=r"no config file: no such config; give one with --config-file"):
        load_config("")
    path.write_text("MODEL: {DEVICE: [}\n")
    with pytest.raises(ConfigError, match=r"mine\.yaml: .*line 1"):
        load_config(path)


BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 10)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("_BASE_: mine.yaml", "mine.yaml: is its own _BASE_"),
        ("_BASE_: ./../{folder}/mine.yaml", "mine.yaml: is its own _BASE_"),
        ("_BASE_: other.yaml", "is its own _BASE_, by way of .*other.yaml"),
        ("_BASE_: [ok.yaml, mine.yaml]", "is its own _BASE_"),
        ("_BASE_: wide.yaml", "has more than 32 files as _BASE_"),
        ("_BASE_: http://localhost/a.yaml", "_BASE_ is 'http://localhost/a.yaml', and no path of a file"),
        ("_BASE_: detectron2://a.yaml", "and no path of a file; nothing is fetched"),
        ("_BASE_: 3", "_BASE_ is None, and no path"),
        ("_BASE_: [3]", "_BASE_ is 3, and no path"),
        ("_BASE_: null", "_BASE_ is None"),
        ("_BASE_: ''", "_BASE_ is ''"),
        ('_BASE_: "a\\0b"', "_BASE_ is 'a.*0b'"),
        ("_BASE_: {a: b}", "_BASE_ is None"),
        ('_BASE_: "a\\e[2J.yaml"', r"_BASE_ is 'a.x1b\[2J.yaml', and no path"),
        ("_BASE_: " + "x" * 5000, r"_BASE_ is 'x+\.\.\.x+', and no path"),
        ("INPUT: {FORMAT: bgr}", "INPUT.FORMAT is 'bgr'; give BGR or RGB"),
        ("_BASE_: .", "cannot be read .Is a directory"),
        ("_BASE_: missing.yaml", "missing.yaml: not a usable config, the _BASE_ of .*mine.yaml: cannot be read"),
        ("_BASE_: ok.yaml\nSOLVER: {BASE_LR: {a: 1}}", "BASE_LR holds keys, in its _BASE_ it is a value"),
        ("VERSION: 2001-99-99", "month must be in"),
        ("VERSION: !!int abc", "invalid literal for int"),
        ("VERSION: !!int ''", "index out of range"),
        ("- a", "keys with values are expected"),
        ("3: a", "keys with values are expected"),
        ("SOLVER: {3: a}", "not a usable config"),
        ("SOLVER: [1]", "not a usable config: Type mismatch"),
        ("SOLVER: null", "Type mismatch"),
        ("_BASE_: ~no_such_user/a.yaml", "home directory"),
        ("DATASETS: {SLICES: null}", r"DATASETS\.SLICES is null"),
        ("DATASETS: {TRAIN: null}", r"DATASETS\.TRAIN is null"),
        ("OUTPUT_DIR: null", "OUTPUT_DIR is null"),
        ('OUTPUT_DIR: "a\\0b"', "OUTPUT_DIR is .*, with a character of no name"),
        ("SOLVER:\n\tBASE_LR: 1", "found character .* that cannot start any token"),
        ("[" * 5000, "nested too deeply"),
        (BOMB, "its aliases amount to more than"),
        ("\x1b[31mX: 1", "unacceptable character"),
        ("'\\x1b[31m': 1", "Non-existent config key"),
        ('"\\x1b[31m": 1', r"Non-existent config key: \\x1b\[31m"),
        ("SOLVER: {BASE_LR: " + "9" * 5000 + "}", "not a usable config"),
    ],
)
def test_a_config_that_cannot_be(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(content.replace("{folder}", tmp_path.name))
    (tmp_path / "other.yaml").write_text("_BASE_: [ok.yaml, mine.yaml]")
    (tmp_path / "ok.yaml").write_text("SOLVER: {BASE_LR: 0.5}")
    (tmp_path / "wide.yaml").write_text("_BASE_: [more.yaml, more.yaml, more.yaml, more.yaml, more.yaml, more.yaml]")
    (tmp_path / "more.yaml").write_text("_BASE_: [ok.yaml, ok.yaml, ok.yaml, ok.yaml, ok.yaml, ok.yaml]")
    with pytest.raises(ConfigError, match=message) as caught:
        load_config(path)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("value", ["[[", "2001-99-99", "{", "a\0b", "[" * 9999, "9" * 5000, "None", "!!int abc", "*a"])
@pytest.mark.parametrize("key", ["SOLVER.BASE_LR", "DATASETS.TRAIN", "OUTPUT_DIR", "MODEL", "DATASETS.SLICES"])
def test_values_on_the_command_line_that_cannot_be(key: str, value: str) -> None:
    try:
        cfg = load_config(config_folder() / "sample/faster_rcnn_R_18_FPN.yaml", [key, value])
    except ConfigError as error:
        assert str(error).isprintable()
    else:
        # A text is one, and null a number that is left out.
        assert key == "OUTPUT_DIR" or (key, value) == ("SOLVER.BASE_LR", "None")
        assert isinstance(cfg.OUTPUT_DIR, str)


def test_bases_are_read_as_detectron2_reads_them(tmp_path: Path) -> None:
    for name in config_names():
        path = config_folder() / f"{name}.yaml"
        assert read_config(path) == CfgNode.load_yaml_with_base(str(path))
    (tmp_path / "a.yaml").write_text("SOLVER: {BASE_LR: 1.0, STEPS: [1]}\nOUTPUT_DIR: a")
    (tmp_path / "b.yaml").write_text("SOLVER: {BASE_LR: 2.0, GAMMA: 0.5}\nOUTPUT_DIR: b")
    (tmp_path / "c.yaml").write_text(f"_BASE_: [a.yaml, {tmp_path}/b.yaml]\nSOLVER: {{STEPS: [3]}}")
    both = read_config(tmp_path / "c.yaml")
    assert both == {"SOLVER": {"BASE_LR": 2.0, "GAMMA": 0.5, "STEPS": [3]}, "OUTPUT_DIR": "b"}
    assert both == CfgNode.load_yaml_with_base(str(tmp_path / "c.yaml"))


def test_whatever_a_config_holds_it_is_read_or_refused(tmp_path: Path) -> None:
    path, random = tmp_path / "mine.yaml", Random(0)
    whole = yaml.safe_dump(read_config(config_folder() / "det/faster_rcnn_R_50_FPN_1x.yaml"))
    for turn in range(150):
        if turn % 2:
            path.write_bytes(damaged_bytes(whole.encode(), random))
        else:
            path.write_text(yaml.safe_dump(changed_value(yaml.safe_load(whole), random)))
        with suppress(ConfigError):
            load_config(path)
