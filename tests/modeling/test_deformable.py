"""Deformable convolutions: the operator's numbers, half precision, the models that have them, and what is refused.

The parity tests compare them with mmdet and mmseg.
"""

import pytest
import torch
from detectron2.config import CfgNode
from detectron2.layers import DeformConv, ModulatedDeformConv
from detectron2.modeling import build_backbone, build_model
from detectron2.structures import BitMasks, Boxes, Instances
from detectron2.utils.events import EventStorage
from support.small_models import SMALL_MODELS
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812, the name PyTorch uses

import bdd100k_d2
from bdd100k_d2.config import config_names
from bdd100k_d2.errors import ConfigError
from bdd100k_d2.modeling.deformable import OffsetConv2d, TorchvisionDeformConv, TorchvisionModulatedDeformConv
from bdd100k_d2.modeling.norms import fold_norms

DETECTOR, SEGMENTER = "det/faster_rcnn_R_50_FPN_dconv_1x", "sem_seg/semantic_fpn_R_50_40k_gn_dconv"
CONFIGS = [name for name in config_names() if "dconv" in name]


def config(name: str, *keys: object) -> CfgNode:
    """A config at a fraction of its size."""
    cfg = bdd100k_d2.get_config(name)
    cfg.MODEL.DEVICE, cfg.MODEL.WEIGHTS = "cpu", ""
    cfg.merge_from_list(SMALL_MODELS["sem_seg" if "semantic" in name else "det"])
    cfg.MODEL.ROI_MASK_HEAD.CONV_DIM = 8
    if "semantic" in name:
        # 32 groups of channels.
        cfg.MODEL.SEM_SEG_HEAD.CONVS_DIM, cfg.MODEL.RESNETS.NORM = 32, "BN"
    cfg.merge_from_list([*keys])
    return cfg


def randomised(model: nn.Module, std: float = 0.1) -> nn.Module:
    """Offsets that move, statistics that are not those of the start."""
    torch.manual_seed(1)
    for name, parameter in model.named_parameters():
        if "offset." in name:
            nn.init.normal_(parameter, std=std)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_var, 0.5, 2.0)
            nn.init.uniform_(module.running_mean, -0.1, 0.1)
    return model


def sampled(x: Tensor, weight: Tensor, offset: Tensor, mask: Tensor) -> Tensor:
    """A 3x3 convolution at one pixel, written out: what lies between pixels is bilinear, what lies outside is zero."""
    channels, height, width = x.shape
    result = torch.zeros(len(weight), height, width, dtype=x.dtype)
    for row in range(height):
        for column in range(width):
            for tap in range(9):
                y = row - 1 + tap // 3 + offset[2 * tap, row, column]
                x_ = column - 1 + tap % 3 + offset[2 * tap + 1, row, column]
                value = torch.zeros(channels, dtype=x.dtype)
                for i in (int(y.floor()), int(y.floor()) + 1):
                    for j in (int(x_.floor()), int(x_.floor()) + 1):
                        if 0 <= i < height and 0 <= j < width:
                            value += x[:, i, j] * (1 - (y - i).abs()) * (1 - (x_ - j).abs())
                result[:, row, column] += mask[tap, row, column] * weight[:, :, tap // 3, tap % 3] @ value
    return result


@torch.no_grad()
def test_the_offset_of_y_stands_before_that_of_x() -> None:
    generator = torch.Generator().manual_seed(0)
    x, weight = (torch.randn(*size, generator=generator, dtype=torch.float64) for size in ((2, 5, 6), (3, 2, 3, 3)))
    offset = torch.randn(18, 5, 6, generator=generator, dtype=torch.float64)
    mask = torch.rand(9, 5, 6, generator=generator, dtype=torch.float64)
    v1, v2 = TorchvisionDeformConv(2, 3, 3, padding=1), TorchvisionModulatedDeformConv(2, 3, 3, padding=1, bias=False)
    for layer in (v1, v2):
        layer.double().weight.copy_(weight)
    expected = sampled(x, weight, offset, torch.ones_like(mask))
    torch.testing.assert_close(v1(x[None], offset[None])[0], expected)
    torch.testing.assert_close(v2(x[None], offset[None], mask[None])[0], sampled(x, weight, offset, mask))


@torch.no_grad()
def test_a_convolution_of_version_2_starts_as_half_of_a_plain_one() -> None:
    layer = OffsetConv2d(4, 6, None)
    x = torch.randn(2, 4, 7, 9)
    expected = F.relu(F.conv2d(x, layer.weight / 2, layer.bias, padding=1))
    torch.testing.assert_close(layer(x), expected, rtol=0, atol=1e-6)
    assert {name: tuple(p.shape) for name, p in layer.named_parameters()} == {
        "weight": (6, 4, 3, 3),
        "bias": (6,),
        "offset.weight": (27, 4, 3, 3),
        "offset.bias": (27,),
    }


@torch.no_grad()
def test_the_offsets_are_the_first_channels_and_the_mask_the_last() -> None:
    layer = OffsetConv2d(4, 6, None)
    nn.init.constant_(layer.bias, 9.0)
    layer.offset.bias[18:].fill_(50.0)
    x = torch.randn(1, 4, 8, 9)
    plain = F.conv2d(x, layer.weight, layer.bias, padding=1)
    torch.testing.assert_close(layer(x), F.relu(plain), rtol=0, atol=1e-5)
    # Each tap looks one pixel to the right.
    layer.offset.bias[1:18:2].fill_(1.0)
    torch.testing.assert_close(layer(x)[..., 1:-2], F.relu(plain)[..., 2:-1], rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", [DETECTOR, SEGMENTER])
@torch.no_grad()
def test_at_its_start_a_model_is_the_one_without(name: str) -> None:
    torch.manual_seed(0)
    ours = build_model(config(name)).eval()
    plain = build_model(config(name.replace("_dconv", ""))).eval()
    state = {key: value for key, value in ours.state_dict().items() if "offset." not in key}
    for key in state:
        if key.startswith("sem_seg_head.p") and state[key].shape[2:] == (3, 3):
            state[key] = state[key] / 2
    plain.load_state_dict(state)
    x = torch.randn(1, 3, 64, 96)
    found, expected = ours.backbone(x), plain.backbone(x)
    for level in found:
        torch.testing.assert_close(found[level], expected[level], rtol=1e-4, atol=1e-4)
    if name == SEGMENTER:
        torch.testing.assert_close(
            *(m.sem_seg_head(f)[0] for m, f in ((ours, found), (plain, found))), rtol=1e-4, atol=1e-4
        )


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_mixed_precision_computes_in_single_precision(dtype: torch.dtype) -> None:
    layer = randomised(OffsetConv2d(8, 8, None), 0.3)
    x = torch.randn(2, 8, 12, 13)
    offset, mask = torch.randn(2, 18, 12, 13), torch.rand(2, 9, 12, 13)
    exact = TorchvisionModulatedDeformConv.forward(layer, x, offset, mask)
    with torch.autocast("cpu", dtype=dtype):
        assert torch.equal(TorchvisionModulatedDeformConv.forward(layer, x, offset, mask), exact)
        half = layer(x.to(dtype))
        half.float().sum().backward()
    assert half.dtype == dtype and (half - layer(x)).abs().max() < 0.05 * exact.abs().max()
    assert layer.weight.grad.dtype == torch.float32 and layer.offset.weight.grad.abs().sum() > 0
    assert layer.to(dtype)(x.to(dtype)).dtype == dtype


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_a_gpu_gives_the_same_also_in_mixed_precision(dtype: torch.dtype) -> None:
    layer = randomised(OffsetConv2d(8, 8, None), 0.3)
    x = torch.randn(2, 8, 12, 13)
    expected = layer(x)
    layer.cuda()
    torch.testing.assert_close(layer(x.cuda()).cpu(), expected, rtol=1e-3, atol=1e-3)
    with torch.autocast("cuda", dtype=dtype):
        half = layer(x.cuda().to(dtype))
    half.float().sum().backward()
    assert half.dtype == dtype and (half.cpu() - expected).abs().max() < 0.05 * expected.abs().max()
    assert layer.offset.weight.grad.isfinite().all() and layer.offset.weight.grad.abs().sum() > 0


@torch.no_grad()
def test_their_norms_are_folded() -> None:
    keys = ["MODEL.RESNETS.DEFORM_MODULATED", True]
    for cfg in (config(DETECTOR), config(DETECTOR, *keys)):
        backbone = randomised(build_backbone(cfg)).double().eval()
        x = torch.randn(1, 3, 64, 96, dtype=torch.float64)
        before = backbone(x)
        # So narrow a res2 has no convolution in its shortcut.
        assert fold_norms(backbone) == 52
        for level, found in backbone(x).items():
            torch.testing.assert_close(found, before[level], rtol=1e-9, atol=1e-9)


@torch.no_grad()
def test_they_dilate_where_a_resnet_keeps_its_size() -> None:
    keys = ["MODEL.RESNETS.OUTPUT_STRIDE", 8, "MODEL.BACKBONE.NAME", "build_bdd100k_resnet_backbone"]
    torch.manual_seed(0)
    backbone = build_backbone(config(DETECTOR, *keys)).eval()
    plain = build_backbone(config(DETECTOR, *keys, "MODEL.RESNETS.DEFORM_ON_PER_STAGE", [False] * 4)).eval()
    plain.load_state_dict({key: value for key, value in backbone.state_dict().items() if "offset." not in key})
    x = torch.randn(1, 3, 64, 96)
    assert backbone(x)["res5"].shape[-2:] == (8, 12)
    torch.testing.assert_close(backbone(x)["res5"], plain(x)["res5"], rtol=1e-4, atol=1e-4)


def test_resnets_without_bottlenecks_are_refused() -> None:
    cfg = config(DETECTOR, "MODEL.RESNETS.DEPTH", 18, "MODEL.RESNETS.RES2_OUT_CHANNELS", 64)
    with pytest.raises(ConfigError, match=r"DEFORM_ON_PER_STAGE is \[False, True, True, True\].*DEPTH of 50 or more"):
        build_backbone(cfg)


def test_there_are_thirteen() -> None:
    assert len(CONFIGS) == 13


@pytest.mark.parametrize("name", CONFIGS)
def test_where_they_are(name: str) -> None:
    cfg = bdd100k_d2.get_config(name)
    cfg.MODEL.DEVICE = "meta"
    with torch.device("meta"):
        model = build_model(cfg)
    found = {key for key, m in model.named_modules() if isinstance(m, DeformConv | ModulatedDeformConv)}
    assert all(type(m) in (TorchvisionDeformConv, OffsetConv2d) for key, m in model.named_modules() if key in found)
    if "semantic" in name:
        levels = {"p2": (0,), "p3": (0,), "p4": (0, 2), "p5": (0, 2, 4)}
        assert found == {f"sem_seg_head.{level}.{i}" for level, places in levels.items() for i in places}
    else:
        blocks = {"res3": 4, "res4": 23 if "R_101" in name else 6, "res5": 3}
        assert found == {
            f"backbone.bottom_up.{stage}.{i}.conv2" for stage, number in blocks.items() for i in range(number)
        }


def labelled(height: int, width: int) -> dict[str, object]:
    generator = torch.Generator().manual_seed(0)
    instances = Instances((height, width))
    instances.gt_boxes, instances.gt_classes = Boxes(torch.tensor([[8.0, 8.0, 60.0, 50.0]])), torch.tensor([2])
    instances.gt_masks = BitMasks(torch.ones(1, height, width, dtype=torch.bool))
    image = torch.randint(0, 256, (3, height, width), generator=generator, dtype=torch.uint8)
    mask = torch.randint(0, 3, (height, width), generator=generator)
    return {"image": image, "instances": instances, "sem_seg": mask, "height": height, "width": width}


@pytest.mark.parametrize("name", [DETECTOR, "ins_seg/mask_rcnn_R_50_FPN_dconv_1x", SEGMENTER])
def test_a_config_trains_a_step_and_evaluates(name: str) -> None:
    cfg = config(name)
    torch.manual_seed(0)
    model = build_model(cfg).train()
    optimizer = bdd100k_d2.Trainer.build_optimizer(cfg, model)
    before = {key: value.clone() for key, value in model.state_dict().items() if "offset.weight" in key}
    with EventStorage():
        losses = model([labelled(96, 128)] * 2)
    sum(losses.values()).backward()
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.requires_grad)
    optimizer.step()
    after = model.state_dict()
    assert before and not any(torch.equal(after[key], value) for key, value in before.items())
    with torch.no_grad():
        (result,) = model.eval()([labelled(96, 128)])
    found = result["sem_seg"] if "sem_seg" in result else result["instances"].pred_boxes.tensor
    assert found.isfinite().all()
