"""Swin's attention inside shifted windows (Liu et al., Swin Transformer, 2021)."""

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812, the name PyTorch uses
from torchvision.models.swin_transformer import ShiftedWindowAttention


class WindowAttention(ShiftedWindowAttention):
    """torchvision's `ShiftedWindowAttention` by PyTorch's fused attention, which gives the same but for rounding.

    It shifts maps of one window too, as mmdet's does and torchvision's does not. The index of relative
    positions, a constant, is not among what is saved.
    """

    def define_relative_position_index(self) -> None:
        """Registers the index (49 * 49,) into the table of biases, as its parent does, but not to be saved."""
        super().define_relative_position_index()
        index = self.relative_position_index
        del self.relative_position_index
        self.register_buffer("relative_position_index", index, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Maps (N, H, W, C) to the same shape."""
        images, height, width, channels = x.shape
        rows, columns = self.window_size
        down, right = self.shift_size
        # As products, by which an exporter sees that the windows fill maps of sizes that only the runtime knows.
        high, wide = (height + rows - 1) // rows, (width + columns - 1) // columns
        full_height, full_width = high * rows, wide * columns
        x = F.pad(x, (0, 0, 0, full_width - width, 0, full_height - height))
        shifted = down + right > 0
        if shifted:
            x = torch.roll(x, (-down, -right), (1, 2))
        x = x.view(images, high, rows, wide, columns, channels).permute(0, 1, 3, 2, 4, 5)
        x = x.reshape(images * high * wide, rows * columns, channels)
        qkv = self.qkv(x).view(-1, rows * columns, 3, self.num_heads, channels // self.num_heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        index = self.relative_position_index
        bias = self.relative_position_bias_table[index].view(rows * columns, rows * columns, self.num_heads)
        bias = bias.permute(2, 0, 1).unsqueeze(0)
        if shifted:
            apart = self.mask_of_windows(full_height, full_width, bias).unsqueeze(1)
            bias = (bias + apart).repeat(images, 1, 1, 1)
        dropout = self.attention_dropout if self.training else 0.0
        x = F.scaled_dot_product_attention(q, k, v, attn_mask=bias.to(q.dtype), dropout_p=dropout)
        x = self.proj(x.transpose(1, 2).reshape(-1, rows * columns, channels))
        x = F.dropout(x, self.dropout, self.training)
        x = x.view(images, high, wide, rows, columns, channels).permute(0, 1, 3, 2, 4, 5)
        x = x.reshape(images, full_height, full_width, channels)
        if shifted:
            x = torch.roll(x, (down, right), (1, 2))
        return x[:, :height, :width]

    def mask_of_windows(self, height: int, width: int, like: Tensor) -> Tensor:
        """What is added to the logits in each window (windows, 49, 49) of a shifted map, of the type of ``like``.

        Positions attend to each other that lay beside each other before the shift.
        """
        rows, columns = self.window_size
        down, right = self.shift_size
        region = torch.zeros((height, width), dtype=like.dtype, device=like.device)
        region[-rows:] += 1
        region[-down:] += 1
        region[:, -columns:] += 3
        region[:, -right:] += 3
        region = region.view(height // rows, rows, width // columns, columns).transpose(1, 2)
        region = region.reshape(-1, rows * columns)
        # As good as no attention.
        return (region.unsqueeze(1) != region.unsqueeze(2)).to(like.dtype) * -100.0
