"""The attention blocks of segmentation by hand, where they start, and what is refused."""

import pytest
import torch
from detectron2.layers import ShapeSpec
from torch import Tensor, nn

from bdd100k_d2.config import load_config
from bdd100k_d2.errors import ConfigError
from bdd100k_d2.modeling.attention_heads import (
    AttentionHead,
    DisentangledNonLocalBlock,
    DNLHead,
    GCHead,
    GlobalContextBlock,
    NLHead,
    NonLocalBlock,
)

SHAPES = {"res5": ShapeSpec(channels=12, stride=8)}
HEADS: list[type[AttentionHead]] = [NLHead, DNLHead, GCHead]


def seeded(block: nn.Module) -> nn.Module:
    """All parameters away from where they start."""
    generator = torch.Generator().manual_seed(0)
    for parameter in block.parameters():
        nn.init.normal_(parameter, std=0.5, generator=generator)
    return block.eval()


def maps() -> Tensor:
    return torch.randn(2, 8, 3, 5, generator=torch.Generator().manual_seed(1))


def by_pixel(block: NonLocalBlock, x: Tensor, temperature: float | None) -> Tensor:
    """A non-local block pixel by pixel, as the papers write it; with a temperature the disentangled one."""
    g, theta, phi = (one(x).flatten(2) for one in (block.g, block.theta, block.phi))
    if temperature is not None:
        theta, phi = (one - one.mean(dim=2, keepdim=True) for one in (theta, phi))
    out = torch.zeros_like(g)
    for n in range(len(x)):
        for i in range(15):
            similar = (theta[n, :, i, None] * phi[n]).sum(dim=0) / 4**0.5 / (temperature or 1.0)
            out[n, :, i] = (g[n] * similar.softmax(dim=0)).sum(dim=1)
            if temperature is not None:
                out[n, :, i] += (g[n] * block.conv_mask(x)[n].flatten().softmax(dim=0)).sum(dim=1)
    return x + block.conv_out(out.reshape(len(x), -1, 3, 5))


@pytest.mark.parametrize(
    ("block", "temperature"),
    [(NonLocalBlock(8, "BN"), None), (DisentangledNonLocalBlock(8, "BN"), 0.05), (NonLocalBlock(8, ""), None)],
)
@torch.no_grad()
def test_a_non_local_block_pixel_by_pixel(block: NonLocalBlock, temperature: float | None) -> None:
    seeded(block)
    found = block(maps())
    assert torch.allclose(found, by_pixel(block, maps(), temperature), rtol=1e-4, atol=1e-5)
    assert (found - maps()).abs().max() > 0.1


@torch.no_grad()
def test_a_global_context_is_one_for_all_pixels() -> None:
    block, x = seeded(GlobalContextBlock(8)), maps()
    weights = block.conv_mask(x).flatten(2).softmax(dim=2)
    mean = (x.flatten(2) * weights).sum(dim=2)[..., None, None]
    added = block(x) - x
    assert torch.allclose(added, block.channel_add_conv(mean).expand_as(x), atol=1e-5)
    assert added.abs().max() > 0.1


@pytest.mark.parametrize("head", HEADS)
def test_blocks_change_nothing_at_first(head: type[AttentionHead]) -> None:
    module = head(SHAPES, in_features=["res5"], channels=8, num_classes=5).eval()
    block = module.get_submodule(head.block_name)
    assert torch.equal(block(maps()), maps())
    logits = module({"res5": torch.randn(2, 12, 7, 9)})
    assert logits.shape == (2, 5, 7, 9)
    logits.sum().backward()
    # Gradients reach what is zero, so that it learns.
    last = block.channel_add_conv[3] if head is GCHead else block.conv_out.norm
    assert last.weight.grad.abs().sum() > 0


def test_other_numbers_of_convolutions_are_refused() -> None:
    cfg = load_config("configs/Base-DNL.yaml", ["MODEL.SEM_SEG_HEAD.FCN.NUM_CONVS", 3])
    with pytest.raises(ConfigError, match=r"FCN\.NUM_CONVS is 3; DNLHead has 2, with its block between them\."):
        DNLHead(cfg, {"res5": ShapeSpec(channels=12)})
