"""The input's resize inside a graph, equal in every pixel to what is done to an image outside of one.

OpenCV and Pillow resize 8-bit images with weights that are rounded to whole numbers. Here these are computed with as
float32, in which each step is exact: numbers stay below 2^24, or are taken apart.
"""

import numpy as np
import PIL
import torch
from detectron2.config import CfgNode
from detectron2.data import transforms as T  # noqa: N812, the name Detectron2 uses
from fvcore.transforms.transform import NoOpTransform, Transform
from PIL import Image
from torch import Tensor, nn

from ..data.augmentation import (
    LinearResizeShortestEdge,
    LinearResizeTransform,
    ResizeShortestEdge,
    build_augmentation,
)
from ..errors import ConfigError
from ..modeling.tracing import larger, scalar, smaller

# OpenCV's weights are parts of 2^11 (INTER_RESIZE_COEF_BITS), Pillow's of 2^22 (PRECISION_BITS of Resample.c).
_OPENCV_ONE = 2**11
_PILLOW_ONE = 2**22


def build_resize(cfg: CfgNode, size: tuple[int, int] | None) -> nn.Module:
    """What ``INPUT`` does to images of ``size`` (H, W), or of any: (N, H, W, 3) uint8 -> (N, h, w, 3), whole numbers.

    Raises:
        ConfigError: images of that size cannot be resized so.
    """
    resize = _resize_of(cfg)
    if size is None:
        return _of_any_size(resize)
    transform = _transform(resize, size)
    if isinstance(transform, NoOpTransform) or (transform.new_h, transform.new_w) == size:
        return nn.Identity()
    new = transform.new_h, transform.new_w
    if isinstance(transform, LinearResizeTransform):
        return LinearResize(size, new)
    if isinstance(transform, T.ResizeTransform):
        return AntialiasedResize(size, new)
    raise ConfigError(
        f"INPUT resizes by {type(transform).__name__}, which cannot be in a graph; see INPUT in the docs."
    )


def check_resize(cfg: CfgNode, size: tuple[int, int] | None) -> None:
    """Raises the ConfigError of :func:`build_resize`, without building it."""
    resize = _resize_of(cfg)
    if size is None:
        _of_any_size(resize)
    else:
        _transform(resize, size)


def _resize_of(cfg: CfgNode) -> T.Augmentation:
    resize: T.Augmentation = build_augmentation(cfg, is_train=False)[0]
    return resize


def _transform(resize: T.Augmentation, size: tuple[int, int]) -> Transform:
    try:
        transform: Transform = resize.get_transform(np.broadcast_to(np.uint8(0), (*size, 3)))
    except ValueError as error:
        raise ConfigError(f"--size {size[0]}x{size[1]}: {error}") from error
    return transform


def _of_any_size(resize: T.Augmentation) -> nn.Module:
    if not isinstance(resize, ResizeShortestEdge):
        raise ConfigError(
            f"INPUT resizes by {type(resize).__name__}, which is in a graph for one size alone; give --size, such as "
            "--size 720x1280."
        )
    if resize.short_edge_length[0] == 0:
        return nn.Identity()
    if not isinstance(resize, LinearResizeShortestEdge):
        raise ConfigError(
            "--size dynamic: INPUT.RESIZE_ANTIALIAS is True, which is in a graph for one size alone; give the size of "
            "the images, such as --size 720x1280."
        )
    return LinearResizeOfAnySize(resize.short_edge_length[0], resize.max_size)


class LinearResize(nn.Module):
    """`cv2.resize` with INTER_LINEAR, of uint8, from ``old`` to ``new``, each height and width."""

    top: Tensor
    bottom: Tensor
    above: Tensor
    below: Tensor
    left: Tensor
    right: Tensor
    before: Tensor
    behind: Tensor

    def __init__(self, old: tuple[int, int], new: tuple[int, int]) -> None:
        super().__init__()
        for name, table in zip(("top", "bottom", "above", "below"), _rows(old[0], new[0]), strict=True):
            self.register_buffer(name, table, persistent=False)
        for name, table in zip(("left", "right", "before", "behind"), _columns(old[1], new[1]), strict=True):
            self.register_buffer(name, table, persistent=False)

    def forward(self, image: Tensor) -> Tensor:
        """Maps (N, H, W, 3) uint8 to (N, h, w, 3) float32."""
        rows = self.top, self.bottom, self.above, self.below
        return _interpolated(image, rows, (self.left, self.right, self.before, self.behind))


class LinearResizeOfAnySize(nn.Module):
    """`LinearResize` to the size of Detectron2's `ResizeShortestEdge`: ``short``, and at most ``long`` pixels.

    The size is computed in whole numbers. Where half a pixel is to be rounded it becomes one; Detectron2's floating
    point numbers make it none of some sizes, such as 97x512 at 720 and 1280: of 452 of 10 million.
    """

    def __init__(self, short: int, long: int) -> None:
        super().__init__()
        self.short, self.long = short, long

    def forward(self, image: Tensor) -> Tensor:
        """Maps (N, H, W, 3) uint8 to (N, h, w, 3) float32."""
        height, width = image.shape[1:3]
        shorter, longer = smaller(height, width), larger(height, width)

        def new(side: int) -> int:
            return smaller(
                (2 * self.short * side + shorter) // (2 * shorter), (2 * self.long * side + longer) // (2 * longer)
            )

        return _interpolated(image, _rows(height, new(height)), _columns(width, new(width)))


class AntialiasedResize(nn.Module):
    """`PIL.Image.resize` with BILINEAR, of uint8, from ``old`` to ``new``, each height and width.

    Which of height and width is resized first, by which results differ, is found out by trying: some versions of Pillow
    choose what is faster.
    """

    def __init__(self, old: tuple[int, int], new: tuple[int, int]) -> None:
        super().__init__()
        rows, columns = _Averages(old[0], new[0], 1), _Averages(old[1], new[1], 2)
        tried = np.random.default_rng(0).integers(0, 256, (*old, 3), np.uint8)
        wanted = torch.from_numpy(np.array(Image.fromarray(tried).resize(new[::-1], Image.Resampling.BILINEAR)))
        for passes in ((columns, rows), (rows, columns)):
            self.passes = nn.Sequential(*passes)
            if torch.equal(self(torch.from_numpy(tried)[None])[0], wanted.float()):
                return
        raise ConfigError(
            f"Pillow {PIL.__version__} resizes images in a way that the graph does not know; install one of the "
            "versions from 10.1 to 13.0, or set INPUT.RESIZE_ANTIALIAS False, as the model was trained."
        )

    def forward(self, image: Tensor) -> Tensor:
        """Maps (N, H, W, 3) uint8 to (N, h, w, 3) float32."""
        averaged: Tensor = self.passes(image)
        return averaged


class _Averages(nn.Module):
    """One of the two passes of Pillow: along ``dim`` each new pixel is a weighted average of old ones."""

    places: Tensor
    high: Tensor
    low: Tensor

    def __init__(self, old: int, new: int, dim: int) -> None:
        super().__init__()
        self.dim = dim
        self.is_kept = old == new
        places, weights = _averaged(old, new)
        shape = (-1, *(1,) * (3 - dim))
        # The upper and the lower half of the bits of each weight, so that sums of each are exact.
        high = np.floor_divide(weights, 2**11)
        for name, table in (("high", high), ("low", weights - high * 2**11)):
            values = torch.from_numpy(table.astype(np.float32)).reshape(len(table), *shape)
            self.register_buffer(name, values, persistent=False)
        self.register_buffer("places", torch.from_numpy(places), persistent=False)

    def forward(self, image: Tensor) -> Tensor:
        if self.is_kept:
            return image.float()
        high = low = torch.zeros((), device=image.device)
        for places, upper, lower in zip(self.places, self.high, self.low, strict=True):
            pixels = image.index_select(self.dim, places).float()
            high, low = high + pixels * upper, low + pixels * lower
        return ((high + (low * 2.0**-11).floor() + 2.0**10) * 2.0**-11).floor()


def _averaged(old: int, new: int) -> tuple[np.ndarray, np.ndarray]:
    """Pillow's `precompute_coeffs`: which pixels each new one is the average of, and their weights of 2^22.

    Both are (taps, new); places that are not needed have no weight.
    """
    scale = old / new
    support = max(scale, 1.0)
    centres = (np.arange(new) + 0.5) * scale
    first = np.maximum((centres - support + 0.5).astype(np.int64), 0)
    last = np.minimum((centres + support + 0.5).astype(np.int64), old)
    taps = int((last - first).max())
    offsets = np.arange(taps)[:, None]
    weights = np.maximum(1.0 - np.abs((offsets + first - centres + 0.5) * (1.0 / support)), 0.0)
    weights[offsets >= last - first] = 0.0
    # Added in Pillow's order.
    total = np.zeros(new)
    for weight in weights:
        total = total + weight
    weights = weights * np.where(total == 0.0, 1.0, 1.0 / total)
    return np.minimum(offsets + first, old - 1), (0.5 + weights * _PILLOW_ONE).astype(np.int64)


def _interpolated(image: Tensor, rows: tuple[Tensor, ...], columns: tuple[Tensor, ...]) -> Tensor:
    top, bottom, above, below = rows
    left, right, before, behind = columns
    pixels = (
        image.index_select(2, left).float() * before[:, None] + image.index_select(2, right).float() * behind[:, None]
    )
    # Of OpenCV's vertical step: ((weight * (pixels >> 4)) >> 16), with products below 2^24.
    pixels = (pixels * 2.0**-4).floor()
    upper = (pixels * 2.0**-8).floor()
    lower = pixels - upper * 2.0**8

    def weighted(places: Tensor, weights: Tensor) -> Tensor:
        weights = weights[:, None, None]
        fine = (lower.index_select(1, places) * weights * 2.0**-8).floor()
        return ((upper.index_select(1, places) * weights + fine) * 2.0**-8).floor()

    return ((weighted(top, above) + weighted(bottom, below) + 2.0) * 2.0**-2).floor()


def _columns(old: int, new: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The two pixels left and right of each new one, and their weights of 2^11; beyond the image the last one's."""
    first, fraction = _places(old, new)
    fraction = torch.where((first < 0) | (first >= old - 1), 0.0, fraction)
    return _clipped(first, old), _clipped(first + 1, old), *_weights(fraction)


def _rows(old: int, new: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """As `_columns`, but that OpenCV keeps the weights of what it takes from beyond the image."""
    first, fraction = _places(old, new)
    return _clipped(first, old), _clipped(first + 1, old), *_weights(fraction)


def _places(old: int, new: int) -> tuple[Tensor, Tensor]:
    """The pixel before each new one, and how far behind it that is, in the precision of OpenCV.

    OpenCV computes places in double precision and rounds them to single. Here whole pixels are computed in whole
    numbers, so that a runtime that has no double precision, as OpenVINO, is as good as exact too.
    """
    twice = torch.arange(new) * (2 * old) + (old - new)
    whole = twice.div(2 * new, rounding_mode="floor")
    rest = (twice - whole * (2 * new)).double() / scalar(2 * new).double()
    places = (whole.double() + rest).float()
    first = places.floor()
    return first.long(), places - first


def _weights(fraction: Tensor) -> tuple[Tensor, Tensor]:
    return ((1.0 - fraction) * _OPENCV_ONE).round(), (fraction * _OPENCV_ONE).round()


def _clipped(places: Tensor, length: int) -> Tensor:
    return places.clamp(min=0).minimum(scalar(length - 1))
