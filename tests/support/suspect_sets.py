"""Labels with known errors, and detections of a model that finds nearly all objects."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from support.frames import make_frame, write_image

from bdd100k_d2.data.labels import Box2D, Frame, FrameAttributes, Label, write_frames

NUM_FRAMES, PER_FRAME = 60, 4
_CLASSES = ("car", "truck", "traffic sign", "pedestrian")
# Each object has a place of its own in frames of 160x96 pixels.
PLACES = ((4, 4, 33, 33), (44, 4, 73, 33), (84, 4, 113, 33), (124, 4, 153, 33))
FREE = (60, 55, 89, 84)


class SuspectSet(NamedTuple):
    """Paths that ``tools/suspects.py`` takes."""

    truth: Path
    predicted: Path
    images: Path


def sound_frames() -> list[Frame]:
    """Frames with an object of each of four classes."""
    return [
        make_frame(
            f"{i:03d}.jpg",
            *((name, *map(float, box)) for name, box in zip(_CLASSES, PLACES, strict=True)),
            attributes=FrameAttributes("clear", "highway", "daytime"),
        )
        for i in range(NUM_FRAMES)
    ]


def detected_frames(seed: int = 0) -> list[Frame]:
    """Detections of all objects, a pixel off, with scores of 0.8 and more."""
    rng = np.random.default_rng(seed)
    frames = []
    for frame in sound_frames():
        labels = [
            Label(
                str(i),
                label.category,
                float(rng.uniform(0.8, 1.0)),
                box2d=Box2D(*(np.array(PLACES[i]) + rng.integers(-1, 2, 4)).astype(float).tolist()),
            )
            for i, label in enumerate(frame.labels or ())
        ]
        frames.append(Frame(frame.name, labels=labels))
    return frames


def write_suspect_set(folder: Path) -> SuspectSet:
    """Sound labels but for four errors: a missing car, a made-up bus, a car called truck, and a sign that is moved."""
    frames = sound_frames()
    del frames[3].labels[0]
    frames[5].labels.append(Label("9", "truck", box2d=Box2D(*map(float, FREE))))
    frames[7].labels[0].category = "truck"
    x1, y1, x2, y2 = PLACES[2]
    frames[9].labels[2].box2d = Box2D(x1 + 12.0, y1 + 8.0, x2 + 12.0, y2 + 8.0)
    files = SuspectSet(folder / "truth.json", folder / "run.json", folder / "images")
    folder.mkdir(parents=True, exist_ok=True)
    write_frames(frames, files.truth)
    write_frames(detected_frames(), files.predicted)
    for i in (3, 5, 7, 9):
        write_image(files.images / f"{i:03d}.jpg", seed=i)
    return files
