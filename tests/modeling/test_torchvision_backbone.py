"""ConvNeXt and Swin of torchvision as backbones: torchvision's numbers, sizes, shifts, and what is refused.

The parity tests compare them with mmdet.
"""

import pytest
import torch
import torchvision
from detectron2.config import CfgNode
from detectron2.modeling import build_backbone, build_model
from detectron2.structures import Boxes, Instances
from detectron2.utils.events import EventStorage
from torch import Tensor, nn
from torchvision.models.swin_transformer import ShiftedWindowAttention

import bdd100k_d2
from bdd100k_d2.config import config_names
from bdd100k_d2.errors import ConfigError
from bdd100k_d2.modeling.norms import fold_norms
from bdd100k_d2.modeling.torchvision_backbone import ARCHITECTURES, TorchvisionBackbone
from bdd100k_d2.modeling.window_attention import WindowAttention

LEVELS = ["res2", "res3", "res4", "res5"]
TINY = ["convnext_tiny", "swin_t"]


def config(name: str, *keys: object) -> CfgNode:
    base = "swin_T_FPN_1x" if name.startswith("swin") else "convnext_T_FPN_fp16_1x"
    cfg = bdd100k_d2.get_config(f"det/faster_rcnn_{base}")
    cfg.MODEL.DEVICE = "cpu"
    cfg.merge_from_list(["MODEL.TORCHVISION.NAME", name, *keys])
    return cfg


def images(*size: int, number: int = 1) -> Tensor:
    return torch.rand(number, 3, *size, generator=torch.Generator().manual_seed(0))


# Published in millions without the norms of the outputs.
@pytest.mark.parametrize(
    ("name", "millions"),
    [
        ("convnext_tiny", 27.82),
        ("convnext_small", 49.45),
        ("convnext_base", 87.56),
        ("swin_t", 27.52),
        ("swin_s", 48.84),
        ("swin_b", 86.74),
    ],
)
def test_the_sizes_of_the_families(name: str, millions: float) -> None:
    with torch.device("meta"):
        backbone = TorchvisionBackbone(name, out_norms=False)
        theirs = getattr(torchvision.models, name)().features.state_dict()
    assert round(sum(p.numel() for p in backbone.parameters()) / 1e6, 2) == millions
    ours = {key.removeprefix("features."): value.shape for key, value in backbone.state_dict().items()}
    assert ours == {k: v.shape for k, v in theirs.items() if not k.endswith("relative_position_index")}
    with torch.device("meta"):
        normed = TorchvisionBackbone(name)
    channels = [shape.channels for shape in normed.output_shape().values()]
    assert [shape.stride for shape in normed.output_shape().values()] == [4, 8, 16, 32]
    assert tuple(channels) == ARCHITECTURES[name].channels
    assert sum(p.numel() for p in normed.parameters()) - sum(p.numel() for p in backbone.parameters()) == 2 * sum(
        channels
    )


@pytest.mark.parametrize("name", TINY)
@torch.no_grad()
def test_without_the_norms_it_is_torchvisions(name: str) -> None:
    theirs = getattr(torchvision.models, name)().eval()
    ours = TorchvisionBackbone(name, out_norms=False).eval()
    assert ours.load_state_dict(theirs.state_dict(), strict=False).missing_keys == []
    x = images(256, 320)
    found = list(ours(x).values())
    for i, layer in enumerate(theirs.features):
        x = layer(x)
        if i % 2:
            expected = x.permute(0, 3, 1, 2) if name == "swin_t" else x
            torch.testing.assert_close(found[i // 2], expected, rtol=0, atol=2e-5)


@pytest.mark.parametrize("name", TINY)
@torch.no_grad()
def test_an_outputs_norm_is_not_seen_by_the_next_stage(name: str) -> None:
    plain, normed = TorchvisionBackbone(name, out_norms=False).eval(), TorchvisionBackbone(name).eval()
    normed.load_state_dict(plain.state_dict(), strict=False)
    for norm in normed.norms.values():
        nn.init.uniform_(norm.weight, 0.5, 2.0)
    x = images(96, 128)
    for (level, found), raw in zip(normed(x).items(), plain(x).values(), strict=True):
        norm, eps = normed.norms[level], 1e-5 if name == "swin_t" else 1e-6
        mean, variance = raw.mean(1, keepdim=True), raw.var(1, unbiased=False, keepdim=True)
        expected = (raw - mean) / (variance + eps).sqrt() * norm.weight[:, None, None] + norm.bias[:, None, None]
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)
        assert found.is_contiguous(memory_format=torch.channels_last)


def test_the_epsilons_of_the_zoos_files() -> None:
    with torch.device("meta"):
        convnext = build_backbone(config("convnext_tiny")).bottom_up
        swin = build_backbone(config("swin_t")).bottom_up
    norms = {name: module.eps for name, module in convnext.named_modules() if isinstance(module, nn.LayerNorm)}
    assert {name for name, eps in norms.items() if eps == 1e-5} == {f"features.{k}.0" for k in (2, 4, 6)}
    assert set(norms.values()) == {1e-5, 1e-6} and len(norms) == 1 + 3 + 18 + 4
    assert {module.eps for module in swin.modules() if isinstance(module, nn.LayerNorm)} == {1e-5}


@pytest.mark.parametrize(("name", "rates"), [("convnext_tiny", 18), ("swin_t", 12)])
def test_branches_are_left_out_more_often_towards_the_end(name: str, rates: int) -> None:
    with torch.device("meta"):
        backbone = TorchvisionBackbone(name, drop_path=0.4)
    found = [m.p for m in backbone.modules() if type(m).__name__ == "StochasticDepth"]
    torch.testing.assert_close(found, torch.linspace(0, 0.4, rates).tolist(), rtol=0, atol=1e-6)


# ConvNeXt drops what is left over, Swin pads it, as in mmdet and mmsegmentation.
@pytest.mark.parametrize("size", [(96, 128), (45, 77), (90, 131)])
@torch.no_grad()
def test_images_of_any_size(size: tuple[int, int]) -> None:
    for name, divided in (("convnext_tiny", lambda x, k: x // k), ("swin_t", lambda x, k: -(-x // k))):
        levels = build_backbone(config(name, "MODEL.BACKBONE.NAME", "build_torchvision_backbone")).eval()(images(*size))
        shapes = []
        height, width = (divided(side, 4) for side in size)
        for _ in LEVELS:
            shapes.append((height, width))
            height, width = divided(height, 2), divided(width, 2)
        assert list(levels) == LEVELS and [tuple(level.shape[2:]) for level in levels.values()] == shapes


def test_the_plain_backbone_needs_no_padding_and_the_fpn_does() -> None:
    with torch.device("meta"):
        plain = build_backbone(config("swin_t", "MODEL.BACKBONE.NAME", "build_torchvision_backbone"))
        fpn = build_backbone(config("swin_t"))
    assert (plain.size_divisibility, fpn.size_divisibility) == (0, 32)
    assert list(fpn.output_shape()) == ["p2", "p3", "p4", "p5", "p6"]


@torch.no_grad()
def test_swin_shifts_maps_of_one_window_too() -> None:
    torch.manual_seed(0)
    theirs = ShiftedWindowAttention(8, [7, 7], [3, 3], 2).eval()
    ours = WindowAttention(8, [7, 7], [3, 3], 2).eval()
    ours.load_state_dict(theirs.state_dict(), strict=False)
    large, small = torch.rand(2, 20, 16, 8), torch.rand(2, 7, 7, 8)
    torch.testing.assert_close(ours(large), theirs(large), rtol=0, atol=1e-6)
    # A shifted window has four parts, 4 and 3 rows or columns of it, that do not see each other.
    found = ours(small)
    assert (found - theirs(small)).abs().max() > 1e-3
    changed = small.clone()
    changed[:, 3:, 3:] += 1
    rows = (ours(changed) - found).abs().amax(dim=(0, 3)) > 1e-7
    expected = torch.zeros(7, 7, dtype=torch.bool)
    expected[3:, 3:] = True
    assert torch.equal(rows, expected)


@pytest.mark.parametrize("name", TINY)
@pytest.mark.filterwarnings("ignore:.*torch.jit:FutureWarning")
@torch.no_grad()
def test_it_is_scripted_and_traced(name: str) -> None:
    # Two stages have all that there is.
    backbone = TorchvisionBackbone(name, out_features=("res2", "res3")).eval()
    scripted = torch.jit.script(backbone)
    traced = torch.jit.trace(backbone, images(64, 96), check_trace=False, strict=False)
    x = images(129, 200, number=2)
    for level, expected in backbone(x).items():
        torch.testing.assert_close(scripted(x)[level], expected, rtol=0, atol=1e-5)
        torch.testing.assert_close(traced(x)[level], expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", TINY)
@torch.no_grad()
def test_mixed_precision_on_the_cpu(name: str) -> None:
    backbone = TorchvisionBackbone(name, out_features=("res2", "res3")).eval()
    expected = backbone(images(64, 96))
    with torch.autocast("cpu", torch.bfloat16):
        found = backbone(images(64, 96))
    for level in expected:
        assert (found[level].float() - expected[level]).abs().mean() < 0.05


@torch.no_grad()
def test_there_is_no_batch_norm_to_fold() -> None:
    backbone = build_backbone(config("convnext_tiny")).eval()
    before = backbone(images(64, 64))["p3"]
    assert fold_norms(backbone) == 0 and torch.equal(backbone(images(64, 64))["p3"], before)


def test_only_what_is_put_out_is_built() -> None:
    levels = ["res3", "res4"]
    with torch.device("meta"):
        backbone = build_backbone(
            config("convnext_tiny", "MODEL.TORCHVISION.OUT_FEATURES", levels, "MODEL.FPN.IN_FEATURES", levels)
        ).bottom_up
    assert list(backbone.output_shape()) == list(backbone.norms) == levels and len(backbone.features) == 6


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (["NAME", "convnext_tny"], r"NAME is 'convnext_tny'; there are convnext_tiny, .*Did you mean convnext_tiny or"),
        (["NAME", "swin_v2_t"], r"NAME is 'swin_v2_t'; there are"),
        (["OUT_FEATURES", ["res1"]], r"OUT_FEATURES is \['res1'\]; give some of res2, res3, res4, res5"),
        (["OUT_FEATURES", []], r"OUT_FEATURES is \[\]; give some"),
        (["OUT_FEATURES", ["res2"]], r"IN_FEATURES asks for res3, res4, res5; MODEL.TORCHVISION.OUT_FEATURES has res2"),
        (["DROP_PATH", 1.0], r"DROP_PATH is 1.0; give a probability"),
    ],
)
def test_what_cannot_be_built(keys: list[object], message: str) -> None:
    cfg = config("swin_t", f"MODEL.TORCHVISION.{keys[0]}", keys[1])
    with pytest.raises(ConfigError, match=message):
        build_backbone(cfg)
    cfg = config("swin_t", "MODEL.PIXEL_MEAN", [1.0])
    with pytest.raises(ConfigError, match=r"swin_t takes images of 3 channels, not 1"):
        build_backbone(cfg)


def train_and_evaluate(name: str, *keys: object) -> None:
    cfg = bdd100k_d2.get_config(name)
    cfg.MODEL.DEVICE, cfg.MODEL.WEIGHTS = "cpu", ""
    cfg.merge_from_list([*keys])
    torch.manual_seed(0)
    model = build_model(cfg).train()
    optimizer = bdd100k_d2.Trainer.build_optimizer(cfg, model)
    instances = Instances((64, 96))
    instances.gt_boxes, instances.gt_classes = Boxes(torch.tensor([[8.0, 8.0, 60.0, 50.0]])), torch.tensor([2])
    image = (images(64, 96)[0] * 255).byte()
    with EventStorage():
        losses = model([{"image": image, "instances": instances}])
    assert len(losses) == (8 if name.startswith("det/cascade") else 4)
    sum(losses.values()).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters() if p.requires_grad)
    assert all(p.requires_grad for p in model.parameters()), "nothing is frozen"
    before = model.backbone.bottom_up.features[1][0].state_dict()
    before = {key: value.clone() for key, value in before.items()}
    optimizer.step()
    assert any(not torch.equal(v, before[k]) for k, v in model.backbone.bottom_up.features[1][0].state_dict().items())
    model.eval()
    with torch.no_grad():
        (result,) = model([{"image": image, "height": 64, "width": 96}])
    assert result["instances"].pred_boxes.tensor.isfinite().all()


STRONG = [name for name in config_names() if name.startswith("det/") and ("swin" in name or "convnext" in name)]


def test_there_are_sixteen_and_three_of_strong_augmentation() -> None:
    assert len(STRONG) == 16 + 3


@pytest.mark.parametrize("name", ["det/faster_rcnn_convnext_T_FPN_fp16_1x", "det/cascade_rcnn_swin_T_FPN_3x"])
def test_a_config_trains_a_step_and_evaluates(name: str) -> None:
    # Narrow heads; the backbone is the whole one.
    train_and_evaluate(name, "MODEL.ROI_BOX_HEAD.FC_DIM", 16)
