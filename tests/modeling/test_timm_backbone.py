import copy
import sys

import pytest
import torch
from detectron2.config import CfgNode
from detectron2.layers import ShapeSpec
from detectron2.modeling import build_model
from torch import nn

import bdd100k_d2
from bdd100k_d2.errors import ConfigError
from bdd100k_d2.modeling.timm_backbone import TimmBackbone, build_timm_backbone

timm = pytest.importorskip("timm", reason="the extra 'timm' is not installed")

IMAGES = ShapeSpec(channels=3)


def config(name: str, *keys: object) -> CfgNode:
    cfg = bdd100k_d2.get_config("sample/semantic_fpn_efficientnet_lite0")
    cfg.MODEL.DEVICE = "cpu"
    cfg.merge_from_list(["MODEL.TIMM.NAME", name, "MODEL.TIMM.FROZEN_STAGES", 0, *keys])
    return cfg


# A class of timm's own, one that is taken apart as it is and one with other names, and one with a level of stride 1.
@pytest.mark.parametrize("name", ["tf_efficientnet_lite0", "resnet18", "convnext_atto", "regnetx_002", "darknet53"])
@pytest.mark.parametrize(("height", "width"), [(64, 96), (45, 77)])
def test_any_model_with_features_has_the_levels_of_an_fpn(name: str, height: int, width: int) -> None:
    backbone = build_timm_backbone(config(name), IMAGES).eval()
    with torch.no_grad():
        levels = backbone(torch.zeros(1, 3, height, width))
    assert list(levels) == ["res2", "res3", "res4", "res5"]
    for level, shape in zip(levels.values(), backbone.output_shape().values(), strict=True):
        assert level.shape[1] == shape.channels
        if name == "convnext_atto":
            # Its patches drop what is left over.
            assert level.shape[2:] == (height // shape.stride, width // shape.stride)
        else:
            assert level.shape[2:] == (-(-height // shape.stride), -(-width // shape.stride))


def test_it_computes_what_timm_computes_under_timms_names() -> None:
    torch.manual_seed(0)
    backbone = build_timm_backbone(config("tf_efficientnet_lite0"), IMAGES)
    theirs = timm.create_model("tf_efficientnet_lite0", features_only=True)
    assert backbone.state_dict().keys() == theirs.state_dict().keys()
    theirs.load_state_dict(backbone.state_dict())
    images = torch.randn(2, 3, 64, 96)
    for mode in (True, False):
        ours, expected = backbone.train(mode)(images), theirs.train(mode)(images)
        assert all(torch.equal(a, b) for a, b in zip(ours.values(), expected[1:], strict=True))
    model = build_model(config("tf_efficientnet_lite0"))
    assert "backbone.bottom_up.blocks.6.0.conv_pwl.weight" in model.state_dict()


def test_frozen_stages_have_neither_gradients_nor_other_statistics() -> None:
    backbone = build_timm_backbone(config("tf_efficientnet_lite0", "MODEL.TIMM.FROZEN_STAGES", 2), IMAGES).train()
    before = {key: value.clone() for key, value in backbone.state_dict().items()}
    sum(level.sum() for level in backbone(torch.randn(2, 3, 64, 96)).values()).backward()
    frozen = ("conv_stem.", "bn1.", "blocks.0.", "blocks.1.")
    for name, parameter in backbone.named_parameters():
        assert parameter.requires_grad == (not name.startswith(frozen)), name
    for name, value in backbone.state_dict().items():
        if name.endswith("running_mean"):
            assert torch.equal(value, before[name]) == name.startswith(frozen), name


def test_frozen_stages_of_a_model_that_timm_takes_apart() -> None:
    backbone = build_timm_backbone(config("convnext_atto", "MODEL.TIMM.FROZEN_STAGES", 1), IMAGES)
    trained = {name.split(".")[0] for name, parameter in backbone.named_parameters() if parameter.requires_grad}
    assert trained == {"stages_1", "stages_2", "stages_3"}


def test_norms_of_fixed_statistics_are_trained_in_scale_and_shift() -> None:
    cfg = config("tf_efficientnet_lite0", "MODEL.BACKBONE.FIXED_NORM_STATISTICS", True)
    backbone = build_timm_backbone(cfg, IMAGES).train()
    before = {key: value.clone() for key, value in backbone.state_dict().items()}
    sum(level.sum() for level in backbone(torch.randn(2, 3, 64, 96)).values()).backward()
    assert all(torch.equal(value, before[key]) for key, value in backbone.state_dict().items())
    norms = [module for module in backbone.modules() if isinstance(module, nn.BatchNorm2d)]
    assert norms and all(norm.weight.grad is not None for norm in norms)


def test_drop_path_and_out_indices_reach_timm() -> None:
    cfg = config("convnext_atto", "MODEL.TIMM.DROP_PATH", 0.5, "MODEL.TIMM.OUT_INDICES", [1, 2])
    cfg.MODEL.FPN.IN_FEATURES = ["res3", "res4"]
    backbone = build_timm_backbone(cfg, IMAGES)
    assert list(backbone.output_shape()) == ["res3", "res4"]
    rates = [module.drop_prob for module in backbone.modules() if type(module).__name__ == "DropPath"]
    assert max(rates) == pytest.approx(0.5, abs=0.15)
    assert not any(name.startswith("stages_3") for name in backbone.state_dict())


@pytest.mark.parametrize(
    ("name", "keys", "message"),
    [
        ("efficientnet_lite9", (), r"has no model 'efficientnet_lite9'\. Did you mean .*efficientnet_lite"),
        ("", (), "MODEL.TIMM.NAME: timm .* has no model ''"),
        ("resnet18", ("MODEL.TIMM.OUT_INDICES", [3, 4]), r"asks for res2, res3; resnet18 has res4 \(stride 16\), res5"),
        ("resnet18", ("MODEL.TIMM.OUT_INDICES", [9]), r"cannot build resnet18 .*out_indices.*Change the keys"),
        ("resnet18", ("MODEL.TIMM.FROZEN_STAGES", 6), r"MODEL\.TIMM\.FROZEN_STAGES is 6; the model has 5 stages"),
        (
            "hrnet_w18_small",
            ("MODEL.TIMM.FROZEN_STAGES", 1),
            r"FROZEN_STAGES is 1; no .*; set it to 0",
        ),
        ("vgg11", ("MODEL.TIMM.DROP_PATH", 0.1), r"cannot build vgg11 .*drop_path_rate"),
        ("swin_tiny_patch4_window7_224", (), "takes images of one size only; choose a convolutional model"),
    ],
)
def test_what_cannot_be_built_says_why(name: str, keys: tuple[object, ...], message: str) -> None:
    with pytest.raises(ConfigError, match=message), torch.device("meta"):
        build_timm_backbone(config(name, *keys), IMAGES)


def test_timm_is_an_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(ConfigError, match=r"timm, which is not installed: pip install 'bdd100k_d2\[timm\]'"):
        build_timm_backbone(config("resnet18"), IMAGES)


def test_a_copy_is_a_model_of_its_own() -> None:
    backbone = build_timm_backbone(config("resnet18"), IMAGES)
    other = copy.deepcopy(backbone)
    assert isinstance(other, TimmBackbone)
    with torch.no_grad():
        other.get_parameter("conv1.weight").zero_()
        assert not torch.equal(other(torch.ones(1, 3, 64, 64))["res5"], backbone(torch.ones(1, 3, 64, 64))["res5"])
        assert backbone.get_parameter("conv1.weight").abs().sum() > 0
