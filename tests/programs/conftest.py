"""Data sets of all five tasks, registered as a user's."""

from pathlib import Path

import pytest
from PIL import Image
from support.bitmask_sets import write_bitmasks

from bdd100k_d2.data.register import register_all


@pytest.fixture
def root(tiny_root: Path) -> Path:
    """Three images of each split with labels of each task."""
    for split in ("train", "val"):
        write_bitmasks(tiny_root, "ins_seg", [3, 1, 3], split)
        write_bitmasks(tiny_root, "pan_seg", [7, 35], split)
        # As large as their images, which are those of det.
        for path in (tiny_root / "bdd100k/labels/drivable/masks" / split).iterdir():
            Image.open(path).resize((160, 96), Image.Resampling.NEAREST).save(path)
    register_all(tiny_root)
    return tiny_root
