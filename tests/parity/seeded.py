"""Weights, images and labels from seeds, equal in every environment: NumPy only, nothing large to store."""

import math
import re
import zlib
from collections.abc import Mapping, Sequence

import numpy as np

# BDD100K's images.
HEIGHT, WIDTH = 720, 1280

# Layers whose default scale would give flat scores: part of the name -> standard deviation of the weights.
_HEADS = {
    "rpn_conv": 0.03,
    "rpn_cls": 0.002,
    "rpn_box": 0.01,
    "rpn_reg": 0.01,
    "fc_cls": 0.0005,
    "fc_reg": 0.005,
    "retina_cls": 0.001,
    "retina_reg": 0.005,
    "conv_seg": 0.05,
    "conv_logits": 0.1,
}
# Scales of what is added to something else, of which a network has many in a row: part of the name -> range.
_BRANCHES = (
    (re.compile(r"bn3"), (0.2, 0.4)),
    # ConvNeXt's layer scale, HRNet's basic blocks and the branches that it sums.
    (re.compile(r"backbone\.stages\.\d+\.\d+\.gamma$"), (0.2, 0.4)),
    (re.compile(r"backbone\.stage\d\.\d+\.branches\..*\.bn2\.weight$"), (0.2, 0.4)),
    (re.compile(r"backbone\.stage\d\.\d+\.fuse_layers\..*\.1\.weight$"), (0.4, 0.6)),
)


def seeded_state(
    shapes: Mapping[str, Sequence[int]], seed: int = 0, scales: Mapping[str, float] | None = None
) -> dict[str, np.ndarray]:
    """Values for every tensor of a model, float32 but for counters and indices (int64).

    A tensor's values depend on the seed, its name and its shape, not on its place. No tensor is constant: norms get
    statistics, scales and shifts away from 0 and 1, the last norm of a residual branch included. ``scales`` are a
    model's own standard deviations by a part of the name, which go before the general ones.
    """
    return {name: _seeded_tensor(name, tuple(shape), seed, scales or {}) for name, shape in shapes.items()}


def seeded_image(height: int, width: int, seed: int = 0) -> np.ndarray:
    """An image (H, W, 3), uint8, with structure at several scales and some noise."""
    random = np.random.default_rng(seed)
    image = np.zeros((height, width, 3))
    for cell in (8, 32, 128):
        coarse = random.uniform(0, 255, (math.ceil(height / cell), math.ceil(width / cell), 3))
        image += np.kron(coarse, np.ones((cell, cell, 1)))[:height, :width]
    image = image / 3 + random.normal(0, 8, image.shape)
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)


def seeded_boxes(height: int, width: int, number: int, seed: int = 0) -> np.ndarray:
    """Boxes (number, 4) of x1, y1, x2, y2 in pixels, float32, inside the image, of many sizes."""
    random = np.random.default_rng(seed)
    size = np.exp(random.uniform(math.log(12), math.log(min(height, width) * 0.8), (number, 2)))
    corner = random.uniform(0, 1, (number, 2)) * (np.array([width, height]) - size)
    return np.concatenate([corner, corner + size], axis=1).astype(np.float32)


def seeded_mask(height: int, width: int, classes: int, seed: int = 0, ignored: int = 255) -> np.ndarray:
    """Class ids (H, W), int64, in cells of 16 pixels, a tenth of them ``ignored``."""
    random = np.random.default_rng(seed)
    cells = random.integers(0, classes, (math.ceil(height / 16), math.ceil(width / 16)))
    cells[random.uniform(size=cells.shape) < 0.1] = ignored
    return np.kron(cells, np.ones((16, 16), np.int64))[:height, :width]


def ellipses(boxes: np.ndarray, height: int, width: int) -> np.ndarray:
    """Masks (N, H, W), uint8: of each box (N, 4) the pixels whose centre lies in the ellipse within it."""
    x, y = np.arange(width) + 0.5, np.arange(height)[:, None] + 0.5
    x1, y1, x2, y2 = boxes.astype(np.float64).T[:, :, None, None]
    inside = ((2 * x - x1 - x2) / (x2 - x1)) ** 2 + ((2 * y - y1 - y2) / (y2 - y1)) ** 2 <= 1
    return inside.astype(np.uint8)


def relative_position_index(window: int) -> np.ndarray:
    """Swin's constant (window^2, window^2), int64: the row of the bias table for each pair of places in a window."""
    y, x = np.divmod(np.arange(window**2), window)
    return (y[:, None] - y + window - 1) * (2 * window - 1) + x[:, None] - x + window - 1


def image_of_colors() -> np.ndarray:
    """An image (90, 160, 3), uint8, with pure and grey colours."""
    return np.clip(seeded_image(90, 160, seed=3).astype(np.int64) * 2 - 128, 0, 255).astype(np.uint8)


def mask_of_one_large_class() -> np.ndarray:
    """Ids (720, 1280), uint8, of which about half of the crops hold too many of class 3."""
    mask = seeded_mask(HEIGHT, WIDTH, 19, seed=4)
    mask[80:, :900] = 3
    return mask.astype(np.uint8)


def sampled_pixels(image: np.ndarray) -> np.ndarray:
    """About 500 pixels of an image (H, W, ...), spread over all of it, its last row and column included."""
    height, width = image.shape[:2]
    rows = np.linspace(0, height - 1, 17).round().astype(int)
    columns = np.linspace(0, width - 1, 29).round().astype(int)
    return image[rows[:, None], columns]


def boxes_across_the_border() -> np.ndarray:
    """Boxes (12, 4), float32, two of which leave the image."""
    boxes = seeded_boxes(HEIGHT, WIDTH, 12, seed=2)
    boxes[0, 0], boxes[1, 2:] = -7.5, (WIDTH + 4.25, HEIGHT + 1.0)
    return boxes


def spread_places(size: int) -> np.ndarray:
    """Indices of 500 evenly spaced values of a flattened tensor of ``size``."""
    return np.linspace(0, size - 1, 500).astype(np.int64)


def _seeded_tensor(name: str, shape: tuple[int, ...], seed: int, scales: Mapping[str, float]) -> np.ndarray:
    if name.endswith("num_batches_tracked"):
        return np.zeros(shape, np.int64)
    if name.endswith("relative_position_index"):
        return relative_position_index(math.isqrt(shape[0]))
    random = np.random.default_rng([seed, zlib.crc32(name.encode())])
    if name.endswith("running_var"):
        values = random.uniform(0.8, 1.2, shape)
    elif name.endswith("running_mean") or (len(shape) == 1 and name.endswith("bias")):
        values = random.normal(0, 0.05, shape)
    elif len(shape) < 2:
        # A residual branch adds less than it is given, as in a trained network.
        low, high = next((limits for pattern, limits in _BRANCHES if pattern.search(name)), (0.8, 1.2))
        values = np.asarray(random.uniform(low, high, shape))
    else:
        scale = next((std for part, std in {**scales, **_HEADS, **scales}.items() if part in name), None)
        # In single precision from the start: a ResNet has 40 million values.
        values = random.standard_normal(shape, np.float32)
        values *= np.float32(scale or math.sqrt(2 / math.prod(shape[1:])))
        if scale:
            # Inputs that went through a ReLU share a mean, by which one class would win everywhere.
            values -= values.mean(axis=1, keepdims=True, dtype=np.float64).astype(np.float32)
    return values.astype(np.float32)
