"""Problems of the size of BDD100K's, made by seed: images, boxes and masks with predictions."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from bdd100k_d2.data.labels import (
    HEIGHT,
    WIDTH,
    Box2D,
    Frame,
    FrameAttributes,
    ImageSize,
    Label,
    LabelAttributes,
    write_frames,
)
from bdd100k_d2.errors import DataError
from bdd100k_d2.evaluation.prediction_files import mask_path, write_mask
from bdd100k_d2.parallel import map_frames
from bdd100k_d2.tasks import TASKS

# Boxes of each detection class in the official validation labels; 18.5 per frame over all.
CLASS_COUNTS = (13262, 649, 102506, 4245, 1597, 15, 452, 1007, 26885, 34908)
BOXES_PER_FRAME = 18.5
DETECTIONS_PER_FRAME = 100

# Images that are drawn where no real ones are given; frames show them in turn.
_DRAWN = 64

_ATTRIBUTES = [LabelAttributes(bool(i & 1), bool(i & 2), "NA") for i in range(4)]


class Problem(NamedTuple):
    """Files of a problem: ``truth`` and ``predicted`` as the official tool takes them."""

    truth: Path
    predicted: Path


def image_name(place: int) -> str:
    """The name of a problem's frame."""
    return f"{place:08x}-{place:08x}.jpg"


def make_detections(folder: Path, frames: int, seed: int = 0, detections_seed: int | None = None) -> Problem:
    """Writes labels as det_20 has them, and 100 detections per frame: boxes near the labelled ones, a fifth misnamed.

    Problems of one ``seed`` have the same labels, also where ``detections_seed`` gives them other detections.
    """
    rng = np.random.default_rng(seed)
    counts = rng.poisson(BOXES_PER_FRAME, frames)
    boxes, classes = _boxes(rng, int(counts.sum()))
    problem = Problem(folder / "det_val.json", folder / "det.json")
    write_frames(_labelled(boxes, classes, counts), problem.truth)
    if detections_seed is not None:
        rng = np.random.default_rng(detections_seed)
    write_frames(_detected(rng, boxes, classes, counts), problem.predicted)
    return problem


def make_labels(folder: Path, frames: int, boxes: int, seed: int = 0) -> tuple[Path, Path]:
    """Writes labels alone, and an empty file in place of each image.

    Returns:
        The label file and the folder of the images.
    """
    rng = np.random.default_rng(seed)
    counts = rng.multinomial(boxes, np.full(frames, 1 / frames))
    labels, images = folder / "det_train.json", folder / "images"
    write_frames(_labelled(*_boxes(rng, boxes), counts), labels)
    images.mkdir()
    for place in range(frames):
        (images / image_name(place)).touch()
    return labels, images


def find_images(folder: Path) -> list[Path]:
    """The JPEG files of a folder, to show in place of drawn images.

    Raises:
        DataError: the folder holds no JPEG files.
    """
    found = sorted(path.resolve() for path in folder.glob("*.jpg"))
    if not found:
        raise DataError(f"{folder}: no JPEG files (*.jpg); name a folder of images of 1280x720.")
    return found


def draw_images(folder: Path) -> list[Path]:
    """Writes 64 JPEG files of 1280x720 to a new folder."""
    folder.mkdir()
    for place in range(_DRAWN):
        cv2.imwrite(str(folder / f"{place}.jpg"), _draw_image(place))
    return sorted(folder.iterdir())


def make_masks(folder: Path, frames: int, seed: int = 0, processes: int = 1) -> Problem:
    """Writes pairs of sem_seg masks of street-like regions, which compress as real ones do (about 10 kB each)."""
    problem = Problem(folder / "masks" / "val", folder / "predicted")
    seeds = np.random.default_rng(seed).integers(0, 1 << 32, frames).tolist()
    jobs = list(enumerate(seeds))
    for _ in map_frames(partial(_write_pair, problem), jobs, processes, "making masks"):
        pass
    return problem


def _draw_image(seed: int) -> np.ndarray:
    """Blurred patches with grain, (720, 1280, 3): as a JPEG file about as large as a frame of BDD100K."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (HEIGHT // 40, WIDTH // 40, 3)).astype(np.float32)
    smooth = cv2.resize(coarse, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    return np.clip(smooth + rng.normal(0, 3, smooth.shape), 0, 255).astype(np.uint8)


def _boxes(rng: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    """(N, 4) inclusive corners within the image, in pixels, and (N,) class indices."""
    classes = rng.choice(len(CLASS_COUNTS), count, p=np.array(CLASS_COUNTS) / sum(CLASS_COUNTS))
    first = rng.uniform(0, (WIDTH - 60, HEIGHT - 60), (count, 2))
    last = np.minimum(first + np.exp(rng.normal(3.5, 0.9, (count, 2))) + 2, (WIDTH - 1, HEIGHT - 1))
    return np.concatenate([first, last], axis=1), classes


def _labelled(boxes: np.ndarray, classes: np.ndarray, counts: np.ndarray) -> Iterator[Frame]:
    categories = TASKS["det"].names
    ends = np.cumsum(counts)
    for place, (start, end) in enumerate(zip((ends - counts).tolist(), ends.tolist(), strict=True)):
        labels = [
            # Six decimals, as the official files have.
            Label(str(start + i), categories[k], None, _ATTRIBUTES[(i * k) & 3], Box2D(*corners))
            for i, (k, corners) in enumerate(
                zip(classes[start:end].tolist(), boxes[start:end].round(6).tolist(), strict=True)
            )
        ]
        yield Frame(
            image_name(place),
            attributes=FrameAttributes("clear", "city street", "daytime"),
            timestamp=10000,
            size=ImageSize(WIDTH, HEIGHT),
            labels=labels,
        )


def _detected(rng: np.random.Generator, boxes: np.ndarray, classes: np.ndarray, counts: np.ndarray) -> Iterator[Frame]:
    categories = TASKS["det"].names
    ends = np.cumsum(counts)
    first_id = 0
    for place, (count, end) in enumerate(zip(counts.tolist(), ends.tolist(), strict=True)):
        if not count:
            yield Frame(image_name(place), labels=[])
            continue
        chosen = end - 1 - rng.integers(0, count, DETECTIONS_PER_FRAME)
        found = boxes[chosen] + rng.normal(0, 4, (DETECTIONS_PER_FRAME, 4))
        found[:, 2:] = np.maximum(found[:, 2:], found[:, :2] + 1)
        scores = rng.uniform(0.05, 1, DETECTIONS_PER_FRAME)
        right = rng.random(DETECTIONS_PER_FRAME) < 0.8
        kinds = np.where(right, classes[chosen], rng.choice(classes, DETECTIONS_PER_FRAME))
        labels = [
            Label(str(first_id + i), categories[k], score, None, Box2D(*corners))
            for i, (k, score, corners) in enumerate(
                # As float32, the type of a network's output.
                zip(kinds.tolist(), scores.astype(np.float32).tolist(), found.astype(np.float32).tolist(), strict=True)
            )
        ]
        first_id += DETECTIONS_PER_FRAME
        yield Frame(image_name(place), labels=labels)


def _write_pair(problem: Problem, job: tuple[int, int]) -> None:
    place, seed = job
    truth, predicted = draw_masks(seed)
    write_mask(truth, mask_path(problem.truth, image_name(place)))
    write_mask(predicted, mask_path(problem.predicted, image_name(place)))


def draw_masks(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A ground-truth mask, (720, 1280) uint8 with the ids 0 to 18 and 255, and a prediction of it without 255."""
    rng = np.random.default_rng(seed)
    # sky over vegetation and buildings, over road
    truth = np.full((HEIGHT, WIDTH), 10, np.uint8)
    predicted = truth.copy()
    for top, id_ in ((200, 8), (260, 2), (400, 0)):
        edge = np.cumsum(rng.normal(0, 1, WIDTH)) + top + rng.normal(0, 20)
        _fill(truth, predicted, rng, np.column_stack([np.arange(WIDTH), edge]), id_, below=True)
    for _ in range(36):
        angles = np.linspace(0, 2 * np.pi, 60, endpoint=False)
        radius = np.exp(rng.normal(3, 0.8)) * (1 + 0.25 * np.cumsum(rng.normal(0, 0.2, 60)))
        center = rng.uniform((0, 150), (WIDTH, 650))
        outline = center + radius[:, None] * np.column_stack([np.cos(angles) * rng.uniform(0.3, 2), np.sin(angles)])
        id_ = 255 if rng.random() < 0.15 else int(rng.integers(0, 19))
        _fill(truth, predicted, rng, outline, id_)
    return truth, predicted


def _fill(
    truth: np.ndarray,
    predicted: np.ndarray,
    rng: np.random.Generator,
    outline: np.ndarray,
    id_: int,
    below: bool = False,
) -> None:
    """Fills an outline of (x, y) in both masks; in the prediction it is shaky, and of another class now and then."""
    shaky = outline + rng.normal(0, 0.6, outline.shape)
    guess = int(rng.integers(0, 19)) if id_ == 255 or rng.random() < 0.1 else id_
    for mask, points, value in ((truth, outline, id_), (predicted, shaky, guess)):
        if below:
            points = np.concatenate([points, [(WIDTH, HEIGHT), (0, HEIGHT)]])
        cv2.fillPoly(mask, [points.round().astype(np.int32)], value)
