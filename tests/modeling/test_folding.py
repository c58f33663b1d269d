"""Folded norms give what the norms gave."""

import pytest
import torch
from detectron2.layers import Conv2d
from detectron2.modeling import build_model
from torch import nn

import bdd100k_d2
from bdd100k_d2.modeling.norms import fold_norms


def backbone(norm: str, deep_stem: bool) -> nn.Module:
    cfg = bdd100k_d2.get_config("sem_seg/semantic_fpn_R_50_40k")
    cfg.MODEL.DEVICE, cfg.MODEL.RESNETS.NORM, cfg.MODEL.RESNETS.DEEP_STEM = "cpu", norm, deep_stem
    torch.manual_seed(0)
    model = build_model(cfg).backbone.eval()
    for module in model.modules():
        if hasattr(module, "running_var"):
            nn.init.uniform_(module.running_mean, -0.1, 0.1)
            nn.init.uniform_(module.running_var, 0.5, 2.0)
            nn.init.uniform_(module.weight, 0.2, 0.6)
            nn.init.uniform_(module.bias, -0.1, 0.1)
    return model


@pytest.mark.parametrize(("norm", "deep_stem"), [("BN", True), ("SyncBN", False), ("FrozenBN", False)])
@torch.no_grad()
def test_the_result_is_the_same(norm: str, deep_stem: bool) -> None:
    model = backbone(norm, deep_stem).double()
    image = torch.rand(1, 3, 64, 96, dtype=torch.float64)
    expected = model(image)
    assert fold_norms(model) == (55 if deep_stem else 53)
    assert not any("running_var" in key for key in model.state_dict())
    for name, level in model(image).items():
        torch.testing.assert_close(level, expected[name], rtol=1e-9, atol=1e-9)


def test_norms_of_the_image_stay() -> None:
    model = backbone("GN", False)
    assert fold_norms(model) == 0 and isinstance(model.bottom_up.stem.conv1.norm, nn.GroupNorm)


def test_a_model_that_trains() -> None:
    layer = Conv2d(3, 4, 1, norm=nn.BatchNorm2d(4))
    with pytest.raises(ValueError, match="a model that trains"):
        fold_norms(layer)
    assert fold_norms(layer.eval()) == 1
