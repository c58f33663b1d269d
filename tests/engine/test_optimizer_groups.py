"""Rates and decays of the parameters: the zoo's tables for ConvNeXt and Swin, by module and not by name."""

import re

import pytest
import torch
from detectron2.modeling import build_model
from torch import nn

import bdd100k_d2
from bdd100k_d2.engine.solver import build_optimizer
from bdd100k_d2.errors import ConfigError
from bdd100k_d2.modeling.torchvision_backbone import TorchvisionBackbone

Hyperparameters = dict[str, tuple[float, float]]


def groups(name: str, *keys: object) -> tuple[Hyperparameters, nn.Module]:
    """The rate and the decay of each parameter of a config's model by its name."""
    cfg = bdd100k_d2.get_config(name)
    cfg.MODEL.DEVICE = "meta"
    cfg.merge_from_list([*keys])
    with torch.device("meta"):
        model = build_model(cfg)
    optimizer = build_optimizer(cfg, model)
    assert isinstance(optimizer, torch.optim.AdamW) and optimizer.defaults["betas"] == (0.9, 0.999)
    of = {id(p): (group["lr"], group["weight_decay"]) for group in optimizer.param_groups for p in group["params"]}
    assert len(of) == len(list(model.parameters()))
    return {key: of[id(parameter)] for key, parameter in model.named_parameters()}, model


def test_swin_decays_all_but_layer_norms_and_tables() -> None:
    found, model = groups("det/faster_rcnn_swin_T_FPN_1x")
    norms = {
        f"{name}.{part}"
        for name, module in model.named_modules()
        for part in ("weight", "bias")
        if isinstance(module, nn.LayerNorm)
    }
    assert "backbone.bottom_up.features.0.2.weight" in norms
    assert {rate for rate, _ in found.values()} == {1e-4}
    free = {name for name, (_, decay) in found.items() if decay == 0}
    assert free == norms | {name for name in found if name.endswith("relative_position_bias_table")}
    assert {decay for _, decay in found.values()} == {0.0, 0.05}
    assert found["backbone.bottom_up.features.1.0.attn.qkv.bias"] == (1e-4, 0.05)
    assert found["roi_heads.box_head.fc1.bias"] == (1e-4, 0.05)


def test_convnext_decays_no_vectors() -> None:
    found, model = groups("det/cascade_rcnn_convnext_T_FPN_fp16_3x")
    for name, parameter in model.named_parameters():
        # A layer scale is (C, 1, 1) in torchvision.
        is_vector = parameter.dim() == 1 or name.endswith((".bias", "layer_scale"))
        assert found[name][1] == (0.0 if is_vector else 0.05), name


def ids(found: Hyperparameters, rate: float, layers: int) -> dict[str, set[int]]:
    """The layer of each part of the backbone, out of its factor."""
    parts: dict[str, set[int]] = {}
    for name, (lr, _) in found.items():
        match = re.match(r"backbone\.(?:bottom_up\.)?features\.(\d)\.(\d+)", name)
        part = "rest" if match is None else match[1] if match[1] != "5" else f"5.{match[2]}"
        layer = layers + 1 - torch.log(torch.tensor(lr / 1e-4)) / torch.log(torch.tensor(rate))
        assert abs(layer - layer.round()) < 1e-3
        parts.setdefault(part, set()).add(int(layer.round()))
    return parts


@pytest.mark.parametrize(
    ("name", "layers", "blocks"),
    [
        ("det/faster_rcnn_convnext_T_FPN_fp16_1x", 6, 9),
        ("det/faster_rcnn_convnext_S_FPN_fp16_3x", 12, 27),
        ("det/cascade_rcnn_convnext_B_FPN_fp16_3x", 12, 27),
        ("det/cascade_rcnn_convnext_S_FPN_fp16_3x", 12, 9),
    ],
)
def test_layer_wise_decay(name: str, layers: int, blocks: int) -> None:
    found, _ = groups(name)
    expected = {"0": {0}, "1": {1}, "2": {2}, "3": {2}, "4": {3}, "6": {layers}, "7": {layers}, "rest": {layers + 1}}
    assert ids(found, 0.95, layers) == expected | {f"5.{i}": {3 + i // 3} for i in range(blocks)}


def test_stage_wise_decay() -> None:
    keys = ["SOLVER.LAYER_DECAY.BY", "stage", "SOLVER.LAYER_DECAY.RATE", 0.9]
    found, _ = groups("det/faster_rcnn_convnext_T_FPN_fp16_1x", *keys)
    expected = {"0": {0}, "1": {1}, "2": {0}, "3": {2}, "4": {0}, "6": {0}, "7": {4}, "rest": {7}}
    assert ids(found, 0.9, 6) == expected | {f"5.{i}": {3} for i in range(9)}


@pytest.mark.parametrize(
    ("name", "keys", "message"),
    [
        ("swin_T_FPN_1x", ["RATE", 0.9], r"LAYER_DECAY.RATE is 0.9, and is for MODEL.TORCHVISION.NAME convnext_\*"),
        ("R_50_FPN_1x", ["RATE", 0.9], r"set it to 1\."),
        ("convnext_T_FPN_fp16_1x", ["BY", "block"], r"LAYER_DECAY.BY is 'block'; there are layer and stage"),
        ("convnext_T_FPN_fp16_1x", ["RATE", 1.5], r"RATE is 1.5 and LAYERS 6; give a rate from 0 to 1"),
        ("convnext_T_FPN_fp16_1x", ["LAYERS", 0], r"LAYERS 0"),
    ],
)
def test_decays_that_cannot_be(name: str, keys: list[object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        groups(f"det/faster_rcnn_{name}", f"SOLVER.LAYER_DECAY.{keys[0]}", keys[1])


def test_sgd_takes_the_groups_too() -> None:
    cfg = bdd100k_d2.get_config("det/faster_rcnn_convnext_T_FPN_fp16_1x")
    cfg.SOLVER.OPTIMIZER, cfg.SOLVER.MOMENTUM = "SGD", 0.8
    with torch.device("meta"):
        model = nn.ModuleDict({"backbone": TorchvisionBackbone("convnext_tiny")})
    sgd = build_optimizer(cfg, model)
    assert isinstance(sgd, torch.optim.SGD) and sgd.defaults["momentum"] == 0.8
    rates = {id(p): group["lr"] for group in sgd.param_groups for p in group["params"]}
    assert rates[id(model["backbone"].features[0][0].weight)] == pytest.approx(1e-4 * 0.95**7)


# The others' recipes are plain: one rate and one decay for all that is trained.
@pytest.mark.parametrize(
    ("name", "rate"),
    [
        ("det/faster_rcnn_R_50_FPN_dconv_1x", 0.04),
        ("det/faster_rcnn_R_101_FPN_dconv_3x", 0.04),
        ("ins_seg/cascade_mask_rcnn_R_50_FPN_1x", 0.02),
        ("ins_seg/cascade_mask_rcnn_R_101_FPN_3x", 0.02),
        ("ins_seg/cascade_mask_rcnn_R_50_FPN_3x_32bs", 0.04),
        ("det/faster_rcnn_hrnet_W18_1x", 0.02),
        ("det/faster_rcnn_hrnet_W32_3x", 0.02),
    ],
)
def test_sgd_decays_all_parameters_alike(name: str, rate: float) -> None:
    cfg = bdd100k_d2.get_config(name)
    if "hrnet" in name:
        pytest.importorskip("timm", reason="the extra 'timm' is not installed")
    cfg.MODEL.DEVICE = "meta"
    with torch.device("meta"):
        model = build_model(cfg)
    sgd = build_optimizer(cfg, model)
    assert isinstance(sgd, torch.optim.SGD) and sgd.defaults["momentum"] == 0.9 and not sgd.defaults["nesterov"]
    groups = {(group["lr"], group["weight_decay"]) for group in sgd.param_groups}
    assert groups == {(rate, 1e-4)} and (cfg.SOLVER.WARMUP_ITERS, cfg.SOLVER.WARMUP_FACTOR) == (500, 0.001)
    assert sum(len(group["params"]) for group in sgd.param_groups) == sum(p.requires_grad for p in model.parameters())
