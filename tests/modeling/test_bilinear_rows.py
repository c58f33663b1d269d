"""ROIAlign and deformable convolutions by rows of pixels: torchvision's numbers, wherever boxes and taps lie."""

import pytest
import torch
from detectron2.layers import DeformConv, ModulatedDeformConv, ROIAlign
from detectron2.modeling import build_model
from support.small_models import SMALL_MODELS
from torch import nn

import bdd100k_d2
from bdd100k_d2.modeling.bilinear_rows import takes_rows
from bdd100k_d2.modeling.deformable import compute_by_torchvision
from bdd100k_d2.modeling.roi_align import RowROIAlign


def boxes(generator: torch.Generator, number: int, images: int, side: float) -> torch.Tensor:
    """Some beyond the image, some empty, some of a size that needs no rounding."""
    corners = torch.rand(number, 4, generator=generator) * 1.6 * side - 0.3 * side
    corners[:, 2:] = corners[:, :2] + torch.rand(number, 2, generator=generator) * side
    corners[0] = torch.tensor([8.0, 8.0, 8.0, 8.0])
    corners[1] = torch.tensor([0.0, 0.0, 56.0, 56.0])
    corners[2] = torch.tensor([-50.0, -50.0, 3 * side, 3 * side])
    return torch.cat([torch.randint(images, (number, 1), generator=generator), corners], dim=1)


@pytest.mark.parametrize("aligned", [True, False])
@pytest.mark.parametrize("ratio", [0, 2])
@pytest.mark.parametrize("memory", [torch.contiguous_format, torch.channels_last])
def test_roi_align_gives_torchvisions_numbers(aligned: bool, ratio: int, memory: torch.memory_format) -> None:
    generator = torch.Generator().manual_seed(3)
    maps = torch.randn(2, 5, 24, 31, generator=generator).to(memory_format=memory)
    rois = boxes(generator, 200, 2, 120.0)
    theirs = ROIAlign((7, 5), 0.25, ratio, aligned)
    ours = ROIAlign((7, 5), 0.25, ratio, aligned)
    ours.__class__ = RowROIAlign
    with torch.no_grad():
        expected, found = theirs(maps, rois), ours(maps, rois)
    assert found.shape == expected.shape == (200, 5, 7, 5)
    assert expected.abs().amax() > 1
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


def test_roi_align_of_no_box_and_in_bfloat16() -> None:
    layer = ROIAlign(7, 0.5, 0)
    layer.output_size = (7, 7)
    maps, rois = torch.randn(1, 4, 8, 8), torch.tensor([[0.0, 1.0, 1.0, 12.0, 9.0]])
    expected = layer(maps.bfloat16().float(), rois)
    layer.__class__ = RowROIAlign
    with torch.no_grad():
        assert layer(maps, rois[:0]).shape == (0, 4, 7, 7)
        found = layer(maps.bfloat16(), rois)
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.float(), expected, atol=0.02, rtol=0)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize(("stride", "padding", "dilation"), [(1, 1, 1), (2, 1, 1), (1, 3, 3), (2, 0, 1)])
def test_deformable_convolutions_give_torchvisions_numbers(
    masked: bool, stride: int, padding: int, dilation: int
) -> None:
    generator = torch.Generator().manual_seed(5)
    kind = ModulatedDeformConv if masked else DeformConv
    layer = nn.ModuleList([kind(6, 4, 3, stride=stride, padding=padding, dilation=dilation, bias=False)])
    compute_by_torchvision(layer)
    x = torch.randn(2, 6, 17, 23, generator=generator)
    high, wide = ((side + 2 * padding - 2 * dilation - 1) // stride + 1 for side in (17, 23))
    # As far as beyond the map, and some on the pixels themselves.
    offset = torch.randn(2, 18, high, wide, generator=generator) * 6
    offset[:, :6] = offset[:, :6].round()
    arguments = [offset, torch.rand(2, 9, high, wide, generator=generator)][: 2 if masked else 1]
    expected = layer[0](x, *arguments).detach()
    with torch.no_grad():
        found = layer[0](x, *arguments)
    assert found.shape == expected.shape == (2, 4, high, wide)
    torch.testing.assert_close(found, expected, atol=5e-6, rtol=0)


def test_the_heads_of_the_recipes_align_by_rows_in_prediction_alone() -> None:
    cfg = bdd100k_d2.get_config("ins_seg/mask_rcnn_R_50_FPN_1x")
    cfg.MODEL.DEVICE, cfg.MODEL.WEIGHTS = "cpu", ""
    cfg.merge_from_list(SMALL_MODELS["det"])
    model = build_model(cfg)
    layers = [module for module in model.modules() if isinstance(module, ROIAlign)]
    assert len(layers) == 8
    assert {type(layer) for layer in layers} == {RowROIAlign}
    assert not takes_rows(torch.zeros(1))
    with torch.no_grad():
        assert takes_rows(torch.zeros(1))
        assert not takes_rows(torch.zeros(1, dtype=torch.float64))
