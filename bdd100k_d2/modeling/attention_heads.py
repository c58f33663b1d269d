"""FCN heads with a block of attention between their convolutions, as mmsegmentation has them: NL, DNL and GC."""

from typing import Any, ClassVar

import torch
from detectron2.config import CfgNode
from detectron2.layers import Conv2d, ShapeSpec, get_norm
from detectron2.modeling import SEM_SEG_HEADS_REGISTRY
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812, the name PyTorch uses

from ..errors import ConfigError
from .decode_heads import FCNHead
from .tracing import is_exported


class AttentionHead(FCNHead):
    """An `FCNHead` of two convolutions; what the first gives passes a block, which has mmsegmentation's name."""

    block_name: ClassVar[str]

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401, the parent's
        super().__init__(*args, **kwargs)
        self.add_module(self.block_name, self.build_block())

    @classmethod
    def from_config(cls, cfg: CfgNode, input_shape: dict[str, ShapeSpec]) -> dict[str, Any]:
        """The constructor's arguments from ``cfg``; raises `ConfigError` unless there are two convolutions."""
        arguments = super().from_config(cfg, input_shape)
        if arguments["num_convs"] != 2:
            raise ConfigError(
                f"MODEL.SEM_SEG_HEAD.FCN.NUM_CONVS is {arguments['num_convs']}; {cls.__name__} has 2, with its block "
                "between them."
            )
        return arguments

    def build_block(self) -> nn.Module:
        """The block, which keeps shapes (N, channels, h, w)."""
        raise NotImplementedError

    def compute(self, x: Tensor) -> Tensor:
        """See the parent."""
        first, second = self.convs
        attended = self.get_submodule(self.block_name)(first(x))
        decoded: Tensor = second(attended)
        return decoded


@SEM_SEG_HEADS_REGISTRY.register()
class NLHead(AttentionHead):
    """With a non-local block (Wang et al., Non-local Neural Networks, 2018)."""

    block_name = "nl_block"

    def build_block(self) -> nn.Module:
        """See the parent."""
        return NonLocalBlock(self.channels, self.norm)


@SEM_SEG_HEADS_REGISTRY.register()
class DNLHead(AttentionHead):
    """With a disentangled non-local block (Yin et al., Disentangled Non-Local Neural Networks, 2020)."""

    block_name = "dnl_block"

    def build_block(self) -> nn.Module:
        """See the parent."""
        return DisentangledNonLocalBlock(self.channels, self.norm)


@SEM_SEG_HEADS_REGISTRY.register()
class GCHead(AttentionHead):
    """With a global context block (Cao et al., GCNet, 2019)."""

    block_name = "gc_block"

    def build_block(self) -> nn.Module:
        """See the parent."""
        return GlobalContextBlock(self.channels)


class NonLocalBlock(nn.Module):
    """Adds to each pixel what it makes of all pixels, weighted by how similar they are to it; at first nothing."""

    def __init__(self, channels: int, norm: str) -> None:
        super().__init__()
        inner = channels // 2
        self.scale = inner**-0.5
        self.g, self.theta, self.phi = (Conv2d(channels, inner, 1) for _ in range(3))
        for conv in (self.g, self.theta, self.phi):
            nn.init.normal_(conv.weight, std=0.01)
            nn.init.zeros_(conv.bias)
        self.conv_out = Conv2d(inner, channels, 1, bias=not norm, norm=get_norm(norm, channels))
        nn.init.kaiming_normal_(self.conv_out.weight, mode="fan_out", nonlinearity="relu")
        last: Any = self.conv_out.norm or self.conv_out
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Maps (N, C, h, w) to the same shape."""
        values = _pixels(self.g(x))
        attended = _attend(*self.pair(x), values, self.scale)
        maps = self.add_unary(x, attended, values).transpose(1, 2).unflatten(2, x.shape[-2:])
        result: Tensor = x + self.conv_out(maps)
        return result

    def pair(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """What pixels are compared by, (N, h * w, C / 2), of those that attend and of those that are attended to."""
        return _pixels(self.theta(x)), _pixels(self.phi(x))

    def add_unary(self, x: Tensor, attended: Tensor, values: Tensor) -> Tensor:
        """What is added to ``attended`` (N, h * w, C / 2), the weighted ``values`` of the same shape: nothing here."""
        return attended


class DisentangledNonLocalBlock(NonLocalBlock):
    """A `NonLocalBlock` that compares pixels by how they differ from the mean, and adds what is salient to all."""

    def __init__(self, channels: int, norm: str, temperature: float = 0.05) -> None:
        super().__init__(channels, norm)
        self.scale /= temperature
        self.conv_mask = nn.Conv2d(channels, 1, 1)

    def pair(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """See the parent."""
        theta, phi = super().pair(x)
        return theta - theta.mean(dim=1, keepdim=True), phi - phi.mean(dim=1, keepdim=True)

    def add_unary(self, x: Tensor, attended: Tensor, values: Tensor) -> Tensor:
        """Adds the ``values`` weighted by how salient their pixels are, the same to each pixel."""
        weights = self.conv_mask(x).flatten(2).softmax(dim=-1)
        return attended + torch.matmul(weights, values)


class GlobalContextBlock(nn.Module):
    """Adds to each pixel what it makes of the mean of all, weighted by how salient they are; at first nothing."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = channels // 4
        self.conv_mask = nn.Conv2d(channels, 1, 1)
        nn.init.kaiming_normal_(self.conv_mask.weight, nonlinearity="relu")
        last = nn.Conv2d(inner, channels, 1)
        self.channel_add_conv = nn.Sequential(
            nn.Conv2d(channels, inner, 1), nn.LayerNorm([inner, 1, 1]), nn.ReLU(), last
        )
        biases: list[Any] = [self.conv_mask.bias, last.bias]
        for parameter in (last.weight, *biases):
            nn.init.zeros_(parameter)

    def forward(self, x: Tensor) -> Tensor:
        """Maps (N, C, h, w) to the same shape."""
        weights = self.conv_mask(x).flatten(2).softmax(dim=-1)
        context = torch.matmul(x.flatten(2), weights.transpose(1, 2))
        result: Tensor = x + self.channel_add_conv(context[..., None])
        return result


def _attend(queries: Tensor, keys: Tensor, values: Tensor, scale: float) -> Tensor:
    """PyTorch's attention of (N, P, C) each, to the same shape."""
    if not is_exported():
        return F.scaled_dot_product_attention(queries, keys, values, scale=scale)
    # ONNX's has heads, here one.
    queries, keys, values = (one.unsqueeze(1) for one in (queries, keys, values))
    return F.scaled_dot_product_attention(queries, keys, values, scale=scale).squeeze(1)


def _pixels(maps: Tensor) -> Tensor:
    """(N, C, h, w) as (N, h * w, C)."""
    return maps.flatten(2).transpose(1, 2)
