"""Good submissions of every task."""

from pathlib import Path

import numpy as np
import pytest
from support.submissions import FRAMES, SIZE

from bdd100k_d2.data.labels import write_frames
from bdd100k_d2.evaluation.boxes import Boxes
from bdd100k_d2.evaluation.prediction_files import (
    detection_frames,
    instance_bitmask,
    mask_path,
    panoptic_bitmask,
    scored_frame,
    write_mask,
)
from bdd100k_d2.tasks import TASKS


@pytest.fixture
def det(tmp_path: Path) -> Path:
    # In each frame but the last the whole image, and a box narrower than a pixel.
    corners = np.array([[0, 0, 127, 71], [5, 5, 4.5, 8]] * 2, float)
    boxes = Boxes(FRAMES, np.array([0, 0, 1, 1]), np.array([2, 9] * 2), corners, np.array([0.5, 1] * 2))
    frames = detection_frames(boxes, TASKS["det"].names)
    write_frames(frames, tmp_path / "det.json")
    return tmp_path / "det.json"


@pytest.fixture
def masks(tmp_path: Path) -> Path:
    for i, name in enumerate(FRAMES):
        write_mask(np.full(SIZE, i, np.uint8), mask_path(tmp_path / "masks", name))
    return tmp_path / "masks"


@pytest.fixture
def ins_seg(tmp_path: Path) -> Path:
    shapes = np.zeros((3, *SIZE), bool)
    shapes[0, :40] = shapes[1, 30:] = shapes[2, 20:60, 5:9] = True
    scored = []
    for name in FRAMES:
        scores = np.array([0.3, 0.9, 0.6])
        pixels, kept = instance_bitmask(shapes, scores, np.array([0, 7, 2]))
        write_mask(pixels, mask_path(tmp_path / "out" / "bitmasks", name))
        scored.append(scored_frame(name, scores[kept]))
    write_frames(scored, tmp_path / "out" / "score.json")
    return tmp_path / "out"


@pytest.fixture
def pan_seg(tmp_path: Path) -> Path:
    segments = np.arange(72 * 128).reshape(SIZE) // 1024
    for name in FRAMES:
        write_mask(panoptic_bitmask(segments, {1: 6, 2: 34, 3: 34, 4: 39}), mask_path(tmp_path / "pan", name))
    return tmp_path / "pan"
