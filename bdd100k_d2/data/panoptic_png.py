"""COCO's panoptic PNG files, whose colours are the ids of segments."""

import numpy as np

from .bitmasks import Bitmask
from .images import load_image


def read_panoptic_png(path: str) -> Bitmask:
    """The segments of a PNG file of COCO's, without their classes; an id is R + 256 G + 65,536 B, 0 is unlabelled."""
    colors = load_image(path, "RGB").astype(np.int32)
    of_pixel = colors[..., 0] | colors[..., 1] << 8 | colors[..., 2] << 16
    ids = np.unique(of_pixel)
    ids = ids[ids > 0]
    instances = np.where(of_pixel > 0, 1 + np.searchsorted(ids, of_pixel), 0).astype(np.int32)
    return Bitmask(instances, ids, np.ones(len(ids), np.int32), np.zeros(len(ids), np.uint8))
