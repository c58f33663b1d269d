import re
from pathlib import Path

import pytest
import torch
from detectron2.modeling import build_model
from support import ROOT
from torch import Tensor, nn
from torchvision.ops import deform_conv2d

import bdd100k_d2
from bdd100k_d2.config import config_names
from bdd100k_d2.errors import WeightsError
from bdd100k_d2.zoo import page
from bdd100k_d2.zoo.sizes import measure_size
from bdd100k_d2.zoo.table import (
    BDD100K_MODELS,
    NOBODY,
    ROWS,
    VIS4D,
    ZooRow,
    check_weights_name,
    published_weights,
    read_sizes,
)

README = ROOT / "README.md"
PAGE = ROOT / "docs" / "MODEL_ZOO.md"
CONFIGS = list(dict.fromkeys(row.config for row in ROWS))
PUBLISHED = [row for row in ROWS if row.source != NOBODY]


def test_every_shipped_config_of_the_tasks_has_a_row() -> None:
    assert sorted(CONFIGS) == [name for name in config_names() if not name.startswith("sample/")]


def test_the_readme_quotes_the_rows() -> None:
    line = r"^\| `(\S+)` \| ([\d.]+) [^|]+\| ([\d.]+): `bdd100k://(\S+)` \|$"
    quoted = re.findall(line, README.read_text(), re.MULTILINE)
    assert len(quoted) == 3
    for config, vis4d, mmdet, weights in quoted:
        rows = {row.weights: row.scores[0].val for row in ROWS if row.config == config}
        assert (rows[None], rows[weights]) == (float(vis4d), float(mmdet))


def test_models_that_nobody_trained_say_so(capsys: pytest.CaptureFixture[str]) -> None:
    own = [row for row in ROWS if row not in PUBLISHED]
    assert [row.config for row in own] == [
        "det/faster_rcnn_efficientnet_lite0_FPN",
        "det/faster_rcnn_R_50_FPN_coco",
        "sem_seg/semantic_fpn_efficientnet_lite0",
    ]
    assert not any(row.scores or row.weights for row in own)
    assert page.main(["efficientnet"]) == 0
    _, *lines = capsys.readouterr().out.split("\n\n")[0].splitlines()
    assert len(lines) == 2 and all("not trained" in line and "nobody yet" in line for line in lines)


@pytest.mark.parametrize("row", PUBLISHED, ids=lambda row: row.weights or f"{row.config}-vis4d")
def test_rows_are_complete(row: ZooRow) -> None:
    assert row.source == (BDD100K_MODELS if row.weights else VIS4D)
    # The recipes whose training and optimizer are compared with their source's, and no other; a mask head of the zoo
    # starts otherwise.
    is_compared = any("recipe" in test or "optimizer" in test for test in row.tests)
    assert row.is_recipe == (is_compared and "mask_rcnn" not in row.config)
    assert [score.metric for score in row.scores] == {
        "det": ["box AP"],
        "ins_seg": ["mask AP", "box AP"],
        "sem_seg": ["mIoU"],
        "drivable": ["mIoU"],
        "pan_seg": ["PQ"],
    }[row.task]
    for score in row.scores:
        assert 10 < score.val < 90
        assert (score.test is None) == (row.source == VIS4D)
        assert score.test is None or 10 < score.test < score.val
    assert row.tests, "no test compares this row with its source"
    for test in row.tests:
        assert (ROOT / test).is_file() and Path(test).name.startswith("test_")


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.weights or f"{row.config}-vis4d")
def test_configs_train_as_long_as_their_rows_say(row: ZooRow) -> None:
    solver = bdd100k_d2.get_config(row.config).SOLVER
    if row.schedule.endswith("k"):
        assert int(row.schedule[:-1]) * 1000 == solver.MAX_ITER
        return
    images = {"det": 69_863, "ins_seg": 7_000, "pan_seg": 7_000}[row.task]
    epoch = -(-images // solver.IMS_PER_BATCH)
    epochs, drops = {"1x": (12, (8, 11)), "3x": (36, (24, 33)), "5x": (60, (48, 55))}[row.schedule]
    if row.task in ("ins_seg", "pan_seg") and row.schedule == "5x":
        drops = (40, 55)
    if solver.OPTIMIZER == "AdamW":
        drops = {"1x": (9, 11), "3x": (27, 33)}[row.schedule]
    assert (epochs * epoch, tuple(drop * epoch for drop in drops)) == (solver.MAX_ITER, solver.STEPS)
    assert epoch == solver.CHECKPOINT_PERIOD


@pytest.mark.parametrize("row", [row for row in ROWS if row.weights], ids=lambda row: row.weights)
def test_weights_and_configs_are_of_one_model(row: ZooRow) -> None:
    task, name = row.weights.split("/")
    cfg = bdd100k_d2.get_config(row.config)
    assert row.task == task
    if cfg.MODEL.TORCHVISION.NAME:
        family, size = re.search(r"_(swin|convnext)-([tsb])_", name).groups()
        assert f"_{family}_{size.upper()}_" in row.config
        # The config of this one says so in its source, too.
        size = "t" if name == "cascade_rcnn_convnext-s_fpn_fp16_3x" else size
        assert re.fullmatch(f"{family}_{size}(iny|mall|ase)?", cfg.MODEL.TORCHVISION.NAME)
        # Whether a source's config has fp16 is not what its name says, of Cascade R-CNN with Swin.
        assert ("_fp16_" in name and not name.startswith("cascade_rcnn_swin")) == cfg.SOLVER.AMP.ENABLED
    elif "hrnet" in cfg.MODEL.BACKBONE.NAME:
        assert f"_W{cfg.MODEL.HRNET.WIDTH}_" in row.config
        assert re.search(rf"_(hrnetv2p_w|hr){cfg.MODEL.HRNET.WIDTH}_", name)
    else:
        depth = cfg.MODEL.RESNETS.DEPTH
        assert f"R_{depth}_" in row.config and re.search(rf"_r{depth}(-d8)?_", name)
    # An UPerNet of the zoo has none of the dilations that its name speaks of.
    assert ("-d8_" in name and not name.startswith("upernet")) == (cfg.MODEL.RESNETS.OUTPUT_STRIDE == 8)
    assert ("_769x769_" in name) == (cfg.MODEL.SLIDING_WINDOW.SIZE == [769, 769] == cfg.INPUT.CROP.SIZE)
    assert ("_gn_" in name) == (cfg.MODEL.SEM_SEG_HEAD.NORM == "GN" and task in ("sem_seg", "drivable"))
    assert name.startswith("retinanet") == (cfg.MODEL.META_ARCHITECTURE == "BDD100KRetinaNet")
    assert name.startswith("atss") == (cfg.MODEL.META_ARCHITECTURE == "ATSS")
    assert name.startswith("cascade") == ("Cascade" in cfg.MODEL.ROI_HEADS.NAME)
    assert (name.startswith("panoptic") or "mask_rcnn" in name) == cfg.MODEL.MASK_ON
    is_deformable = any(cfg.MODEL.RESNETS.DEFORM_ON_PER_STAGE) or cfg.MODEL.SEM_SEG_HEAD.DEFORMABLE
    assert ("_dconv_" in name) == is_deformable
    is_of_32 = "convnext" in name or is_deformable or name.startswith("atss")
    assert (name.endswith("_32bs") or (task == "det" and is_of_32)) == (cfg.SOLVER.IMS_PER_BATCH == 32)


def test_proposals_learn_as_the_source_assigns_them() -> None:
    """mmdet's Mask R-CNN and Panoptic FPN give a box its best proposal from 0.5 on; Faster and Cascade R-CNN do not."""
    for row in ROWS:
        heads = bdd100k_d2.get_config(row.config).MODEL.ROI_HEADS
        # Without either Vis4D has the config too, whose proposals learn the box that they overlap most.
        assigns = row.task == "pan_seg" or bool(re.match(r"ins_seg/mask_rcnn_\w*(hrnet|dconv)", row.config))
        assert (0.5 if assigns else 0) == heads.MIN_LOW_QUALITY_IOU, row.config


def test_names_of_weights() -> None:
    names = [row.weights for row in ROWS if row.weights]
    assert len(names) == len(set(names)) == 151
    assert all(check_weights_name(name) == name for name in names)
    assert published_weights("det/faster_rcnn_R_50_FPN_1x") == "bdd100k://det/faster_rcnn_r50_fpn_1x"
    assert published_weights("ins_seg/mask_rcnn_R_50_FPN_5x") is None
    with pytest.raises(WeightsError, match=r"no published weights of this name. Did you mean .*faster_rcnn_r50_fpn_1x"):
        check_weights_name("det/faster_rcnn_r50_1x")
    with pytest.raises(WeightsError, match=r"`python -m bdd100k_d2\.zoo` lists all"):
        check_weights_name("???")


# Sizes


class Convolution(nn.Module):
    """A model in Detectron2's form whose operations can be counted by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 128, 3, padding=1)

    def forward(self, inputs: list[dict[str, Tensor]]) -> Tensor:
        return self.conv(inputs[0]["image"][None].float())


def test_sizes_are_counted_in_multiply_adds() -> None:
    size = measure_size(Convolution(), height=500, width=2000)
    assert size.parameters == 3 * 128 * 9 + 128
    assert size.gflops == round(3 * 128 * 9 * 500 * 2000 / 1e9, 1) == 3.5


class Attention(nn.Module):
    """Fused attention of 1,000 windows of 49 positions with 10 heads of 32 channels."""

    def forward(self, inputs: list[dict[str, Tensor]]) -> Tensor:
        x = inputs[0]["image"].float().flatten()[: 1000 * 490 * 32].view(1000, 10, 49, 32)
        return nn.functional.scaled_dot_product_attention(x, x, x)


def test_fused_attention_is_counted() -> None:
    assert (
        measure_size(Attention(), height=2000, width=3000).gflops == round(2 * 1000 * 10 * 49 * 49 * 32 / 1e9, 1) == 1.5
    )


class Deformable(nn.Module):
    """A deformable convolution of two groups, whose offsets are none."""

    def forward(self, inputs: list[dict[str, Tensor]]) -> Tensor:
        image = inputs[0]["image"][None, :2].float()
        return deform_conv2d(image, image.new_zeros(1, 18, *image.shape[2:]), image.new_zeros(64, 1, 3, 3), padding=1)


def test_deformable_convolutions_are_counted() -> None:
    assert measure_size(Deformable(), height=500, width=2000).gflops == round(64 * 9 * 500 * 2000 / 1e9, 1) == 0.6


@pytest.mark.slow
def test_the_kept_sizes_are_of_the_configs() -> None:
    sizes = read_sizes()
    assert list(sizes) == CONFIGS, "run python -m bdd100k_d2.zoo --measure"
    for config in CONFIGS:
        cfg = bdd100k_d2.get_config(config)
        if cfg.MODEL.TIMM.NAME or "hrnet" in cfg.MODEL.BACKBONE.NAME:
            pytest.importorskip("timm", reason="the extra 'timm' is not installed")
        cfg.MODEL.DEVICE = "meta"
        with torch.device("meta"):
            model = build_model(cfg)
        assert sizes[config].parameters == sum(parameter.numel() for parameter in model.parameters()), config


@pytest.mark.parametrize(
    "backbone", ["R_101_FPN_3x", "R_50_FPN_dconv_1x", "R_101_FPN_dconv_3x", "hrnet_W18_1x", "hrnet_W32_1x"]
)
def test_a_mask_head_costs_the_same_above_any_backbone(backbone: str) -> None:
    sizes = read_sizes()
    costs = [
        sizes[f"ins_seg/mask_rcnn_{one}"].gflops - sizes[f"det/faster_rcnn_{one}"].gflops
        for one in ("R_50_FPN_1x", backbone)
    ]
    assert costs[0] > 50 and costs[1] == pytest.approx(costs[0], abs=0.5)


def test_the_kept_operations_are_of_the_configs() -> None:
    # A fully convolutional detector's operations grow with the image, padded to a multiple of 32.
    cfg = bdd100k_d2.get_config("det/retinanet_R_50_FPN_1x")
    cfg.MODEL.DEVICE = "cpu"
    small = measure_size(build_model(cfg), height=256, width=320)
    kept = read_sizes()["det/retinanet_R_50_FPN_1x"]
    assert small.parameters == kept.parameters
    assert small.gflops * (736 * 1280) / (256 * 320) == pytest.approx(kept.gflops, rel=0.01)


# The command and the page


def test_the_command_lists_models(capsys: pytest.CaptureFixture[str]) -> None:
    assert page.main([]) == 0
    table, below = capsys.readouterr().out.split("\n\n", 1)
    assert below.startswith("its recipe: does the config train as the source did? If not, docs/MODEL_ZOO.md says")
    lines = table.splitlines()
    assert len(lines) == 1 + len(ROWS) and lines[0].split()[:3] == ["config", "schedule", "metric"]
    assert page.main(["ins_seg/mask_rcnn_R_50_FPN_1x_32BS"]) == 0
    (_, line) = capsys.readouterr().out.split("\n\n")[0].splitlines()
    size = read_sizes()["ins_seg/mask_rcnn_R_50_FPN_1x_32bs"]
    assert re.split(r"  +", line) == [
        "ins_seg/mask_rcnn_R_50_FPN_1x_32bs",
        "1x",
        "mask / box AP",
        "16.15 / 21.54",
        "14.90 / 19.24",
        "bdd100k-models",
        "bdd100k://ins_seg/mask_rcnn_r50_fpn_1x_32bs",
        f"{size.parameters / 1e6:.1f} M",
        f"{size.gflops:.1f}",
        "no",
    ]


def test_a_text_that_no_model_has(capsys: pytest.CaptureFixture[str]) -> None:
    assert page.main(["no such model"]) == 1
    assert "No model's config or weights contain 'no such model'" in capsys.readouterr().err


def test_measuring_keeps_the_other_sizes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = tmp_path / "sizes.json"
    kept.write_text('{"det/faster_rcnn_R_50_FPN_1x": {"parameters": 5, "gflops": 7.5}}')
    monkeypatch.setattr("bdd100k_d2.zoo.page.SIZES_FILE", kept)
    monkeypatch.setattr("bdd100k_d2.zoo.table.SIZES_FILE", kept)
    monkeypatch.setattr("bdd100k_d2.zoo.sizes.measure_size", lambda model: page.ModelSize(6, 8.25))
    assert page.main(["--measure", "semantic_fpn_R_50_80k"]) == 0
    assert read_sizes() == {
        "det/faster_rcnn_R_50_FPN_1x": (5, 7.5),
        "sem_seg/semantic_fpn_R_50_80k": (6, 8.25),
        "sem_seg/semantic_fpn_R_50_80k_gn": (6, 8.25),
        "sem_seg/semantic_fpn_R_50_80k_gn_dconv": (6, 8.25),
        "drivable/semantic_fpn_R_50_80k": (6, 8.25),
        "drivable/semantic_fpn_R_50_80k_gn": (6, 8.25),
        "drivable/semantic_fpn_R_50_80k_gn_dconv": (6, 8.25),
    }
    assert capsys.readouterr().out.count("0.0 M") == 6


def test_the_page_holds_the_tables(capsys: pytest.CaptureFixture[str]) -> None:
    assert page.main(["--markdown"]) == 0
    tables = capsys.readouterr().out.strip()
    text = PAGE.read_text()
    assert tables in text, "put the output of python -m bdd100k_d2.zoo --markdown into docs/MODEL_ZOO.md"
    assert "python tools/train_net.py --num-gpus 8 --config-file configs/" in text
    assert all(f"### {task}" in tables for task in ("Object detection", "Drivable area"))


def test_the_links_of_the_page_lead_somewhere() -> None:
    links = re.findall(r"\]\(([^)]*)\)", PAGE.read_text())
    assert len(links) > len(ROWS)
    for link in links:
        assert link.startswith("https://") or (link and (PAGE.parent / link.partition("#")[0]).exists()), link
