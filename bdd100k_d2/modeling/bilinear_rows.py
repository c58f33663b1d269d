"""Samples of feature maps as weighted sums of their pixels, which are rows of channels: fast on a CPU.

ROIAlign and deformable convolutions read a map between its pixels. torchvision's operators for the CPU do that number
by number in each channel. Here a sample is a bag of pixels with weights, of which PyTorch's `embedding_bag` sums whole
rows: the same but for rounding, in an eighth of the time.
"""

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812, the name PyTorch uses


def takes_rows(maps: Tensor) -> bool:
    """Whether ``maps`` are sampled as rows: on a CPU, in single precision or bfloat16, without gradients or tracing."""
    return (
        maps.device.type == "cpu"
        and maps.dtype in (torch.float32, torch.bfloat16)
        and not torch.is_grad_enabled()
        and not torch.jit.is_tracing()  # type: ignore[no-untyped-call]
        and not torch.compiler.is_compiling()
    )


def pixel_rows(maps: Tensor) -> Tensor:
    """The pixels of maps (N, C, H, W) as rows (N * H * W, C) in single precision: a view where channels are last."""
    return maps.permute(0, 2, 3, 1).reshape(-1, maps.shape[1]).float()


def sum_rows(rows: Tensor, index: Tensor, weights: Tensor) -> Tensor:
    """Sums (B, C) of rows (P, C): those at ``index`` (B, T), int32, times ``weights`` (B, T)."""
    sums: Tensor = F.embedding_bag(index, rows, per_sample_weights=weights, mode="sum")
    return sums
