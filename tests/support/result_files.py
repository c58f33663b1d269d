"""Small sets of predictions with known mistakes, and their images."""

import json
import re
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from support.frames import make_frame, write_image

from bdd100k_d2.data.labels import Box2D, Frame, FrameAttributes, Label, write_frames

HARD_NAME = "<b>&\"x'.jpg"
HARD_SCENE = "<i>&'\""
OBJECT, OTHER = (10, 10, 49, 49), (100, 20, 139, 79)


class Files(NamedTuple):
    """Paths that a report takes."""

    truth: Path
    predicted: Path
    images: Path


def detected(name: str, *boxes: tuple[str, float, tuple[float, float, float, float]]) -> Frame:
    labels = [
        Label(id=str(i), category=k, score=score, box2d=Box2D(*corners)) for i, (k, score, corners) in enumerate(boxes)
    ]
    return Frame(name, labels=labels)


def write_det_files(folder: Path) -> Files:
    """Three frames: one right and one missed; a misnamed, a repeated and a made-up box; an object not found at 0.3."""
    files = Files(folder / "truth.json", folder / "run.json", folder / "images")
    clear, rainy = FrameAttributes("clear", HARD_SCENE, "night"), FrameAttributes("rainy", "highway", "night")
    truth = [
        make_frame("a.jpg", ("car", *OBJECT), ("pedestrian", *OTHER), attributes=clear),
        make_frame(HARD_NAME, ("car", *OBJECT), ("truck", *OTHER), attributes=rainy),
        make_frame("c.jpg", ("car", *OBJECT), ("other vehicle", *OTHER), attributes=clear),
    ]
    found = [
        detected("a.jpg", ("car", 0.9, OBJECT)),
        detected(
            HARD_NAME,
            ("car", 0.8, OBJECT),
            ("car", 0.6, OBJECT),
            ("bus", 0.7, OTHER),
            ("rider", 0.45, (60, 60, 90, 90)),
        ),
        detected("c.jpg", ("car", 0.2, OBJECT), ("car", 0.5, OTHER)),
    ]
    folder.mkdir(parents=True, exist_ok=True)
    write_frames(truth, files.truth)
    write_frames(found, files.predicted)
    for seed, frame in enumerate(truth):
        write_image(files.images / frame.name, seed=seed)
    return files


def write_better_run(path: Path) -> Path:
    """Predictions for the same frames that find every object, and nothing else."""
    write_frames(
        [
            detected("a.jpg", ("car", 0.9, OBJECT), ("pedestrian", 0.9, OTHER)),
            detected(HARD_NAME, ("car", 0.8, OBJECT), ("truck", 0.9, OTHER)),
            detected("c.jpg", ("car", 0.9, OBJECT)),
        ],
        path,
    )
    return path


def write_mask_files(folder: Path, task: str = "sem_seg") -> Files:
    """Two frames of 1280x720 in halves: "a" is right but for its lowest rows, "b" is wrong; the top is unscored."""
    files = Files(folder / "truth", folder / "run", folder / "images")
    for place in (files.truth, files.predicted):
        place.mkdir(parents=True)
    for seed, name in enumerate("ab"):
        truth = np.zeros((720, 1280), np.uint8)
        truth[:, 640:] = 1
        truth[:72] = 255
        found = np.where(truth == 0, np.uint8(1), np.uint8(0)) if name == "b" else truth.copy()
        if name == "a":
            found[:72], found[648:] = 0, 2
        cv2.imwrite(str(files.truth / f"{name}.png"), truth)
        cv2.imwrite(str(files.predicted / f"{name}.png"), found)
        write_image(files.images / f"{name}.jpg", 720, 1280, seed)
    return files


def data_of(page: Path) -> dict:
    """What a page's script reads."""
    text = page.read_text(encoding="utf-8")
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)[1])


def contents(folder: Path) -> dict[str, bytes | None]:
    """What is in a folder: its files' bytes, and None for folders."""
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}
