"""The labels of a small set of ins_seg or pan_seg."""

from pathlib import Path

import numpy as np

from bdd100k_d2.data.bitmasks import Bitmask, encode_bitmask
from bdd100k_d2.evaluation.prediction_files import write_mask


def write_bitmasks(root: Path, task: str, categories: list[int], split: str = "val") -> Bitmask:
    """One bitmask for each of the three images of a split of `tiny_root`: bands of those categories, ids from 301."""
    instances = np.zeros((720, 1280), np.int32)
    for i in range(len(categories)):
        instances[200 * i + 5 : 200 * i + 155, 10 : 400 + 100 * i] = i + 1
    ids = np.arange(1, len(categories) + 1) + 300
    mask = Bitmask(instances, ids, np.array(categories), np.zeros(len(categories), np.uint8))
    for i in range(3):
        write_mask(encode_bitmask(mask), root / f"bdd100k/labels/{task}/bitmasks/{split}/{split}{i}.png")
    return mask
