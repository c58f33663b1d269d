"""ROIAlign (He et al., Mask R-CNN, 2017) on a CPU, faster than torchvision's operator."""

from collections.abc import Mapping
from typing import Any

import torch
from detectron2.layers import ROIAlign
from torch import Tensor, nn
from torchvision.ops import roi_align

from .bilinear_rows import pixel_rows, sum_rows, takes_rows

# Of which the numbers and weights are in memory at a time.
_MOST_PIXELS = 1 << 22


class RowROIAlign(ROIAlign):
    """Detectron2's `ROIAlign`, which on a CPU without gradients sums rows of pixels; elsewhere it is its parent."""

    def forward(self, input: Tensor, rois: Tensor) -> Tensor:
        """Maps (N, C, H, W) and boxes (R, 5), an image's number and x1, y1, x2, y2 in pixels, to (R, C, h, w)."""
        if torch.jit.is_scripting():
            return self._by_operator(input, rois)
        if not takes_rows(input):
            return self._by_operator(input, rois)
        return self._by_rows(input, rois)

    def _by_operator(self, maps: Tensor, rois: Tensor) -> Tensor:
        # The parent's, which TorchScript cannot call.
        assert rois.dim() == 2 and rois.size(1) == 5, "rois have to be (R, 5)"
        result: Tensor = roi_align(
            maps, rois.to(maps.dtype), self.output_size, self.spatial_scale, self.sampling_ratio, self.aligned
        )
        return result

    @torch.jit.unused
    def _by_rows(self, maps: Tensor, rois: Tensor) -> Tensor:
        _, channels, height, width = maps.shape
        high, wide = self.output_size
        rows = pixel_rows(maps)
        corners = rois[:, 1:] * self.spatial_scale - (0.5 if self.aligned else 0.0)
        sizes = corners[:, 2:] - corners[:, :2]
        if not self.aligned:
            sizes = sizes.clamp(min=1)
        bins = sizes / torch.tensor([wide, high])
        if self.sampling_ratio > 0:
            samples = torch.full_like(bins, self.sampling_ratio, dtype=torch.int64)
        else:
            samples = bins.ceil().clamp(min=0).to(torch.int64)
        first = rois[:, 0].to(torch.int32) * (height * width)
        result = rows.new_zeros(len(rois), high, wide, channels)
        # Boxes with as many samples in a bin make a batch.
        numbers, of_box = torch.unique(samples, dim=0, return_inverse=True)
        for i, (across, down) in enumerate(numbers.tolist()):
            if not across * down:
                continue
            at_once = max(_MOST_PIXELS // (high * wide * 4 * across * down), 1)
            for chosen in (of_box == i).nonzero()[:, 0].split(at_once):
                y, y_weights = _samples(corners[chosen, 1], bins[chosen, 1], high, down, height)
                x, x_weights = _samples(corners[chosen, 0], bins[chosen, 0], wide, across, width)
                lines = y * width + first[chosen, None, None]
                index = lines[:, :, None, :, None] + x[:, None, :, None, :]
                weights = y_weights[:, :, None, :, None] * x_weights[:, None, :, None, :]
                bags = len(chosen) * high * wide
                sums = sum_rows(rows, index.reshape(bags, -1), weights.reshape(bags, -1))
                result[chosen] = sums.view(len(chosen), high, wide, channels)
        return result.permute(0, 3, 1, 2).to(maps.dtype)


def _samples(start: Tensor, size: Tensor, bins: int, number: int, length: int) -> tuple[Tensor, Tensor]:
    """Along one side, the pixels (R, bins, 2 * number) that are averaged in each bin, int32, and their weights.

    Boxes begin at ``start`` (R,) and have bins of ``size`` (R,), in each of which are ``number`` samples, each between
    two of the ``length`` pixels. Beyond the first and last pixel by more than one there is nothing.
    """
    places = torch.arange(bins)[:, None] + (torch.arange(number) + 0.5) / number
    at = start[:, None, None] + size[:, None, None] * places
    nothing = (at < -1) | (at > length)
    at = at.clamp(min=0)
    low = at.floor().clamp(max=length - 1)
    share = torch.where(low < length - 1, at - low, 0.0)
    weights = torch.stack([1 - share, share], dim=-1).masked_fill(nothing[..., None], 0.0) / number
    pixels = torch.stack([low, (low + 1).clamp(max=length - 1)], dim=-1)
    return pixels.to(torch.int32).flatten(2), weights.flatten(2)


def align_by_rows(parts: Mapping[str, Any]) -> None:
    """Makes each of Detectron2's `ROIAlign` layers in what ROI heads are built of a `RowROIAlign`, in place."""
    for part in parts.values():
        for module in part.modules() if isinstance(part, nn.Module) else ():
            # It has no parameters; only what `forward` does differs.
            if type(module) is ROIAlign:
                module.__class__ = RowROIAlign
