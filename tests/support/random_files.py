"""Random problems as the official toolkit and we read them: folders of masks and of bitmasks, and run lengths."""

import json
from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np
from support.random_masks import SIZE, image_size, random_bitmask, run_lengths, shaken, write_bitmask

from bdd100k_d2.data.bitmasks import CROWD, IGNORED, Bitmask
from bdd100k_d2.data.labels import Frame, Label, LabelAttributes, write_frames
from bdd100k_d2.tasks import TASKS

# The ground truth of instances has the first five classes only.
_CLASSES = 5


def write_masks(folder: Path, masks: Mapping[str, np.ndarray], *options: int) -> Path:
    """Writes PNG files; ``options`` are OpenCV's."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, mask in masks.items():
        assert cv2.imwrite(str(folder / f"{name}.png"), mask, options)
    return folder


def random_masks(
    task: str, count: int, seed: int = 0, shape: tuple[int, int] = (24, 32)
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Ground truth with ignored pixels and absent classes, predictions with ids that are no class in two frames."""
    rng = np.random.default_rng(seed)
    classes = len(TASKS[task].names)
    truth, found = {}, {}
    for i in range(count):
        mask = rng.choice([*range(0, classes, 2), 1, 255], shape).astype(np.uint8)
        noise = rng.integers(0, classes + (3 if i in (1, 2) else 0), mask.shape)
        truth[f"f{i}"] = mask
        found[f"f{i}"] = np.where((rng.random(mask.shape) < 0.7) & (mask < 255), mask, noise).astype(np.uint8)
    return truth, found


def mask_frame(name: str, mask: np.ndarray, task: str) -> Frame:
    """A mask as run lengths, a label per class."""
    labels = [
        Label(id=str(k), category=category, rle=run_lengths(mask == k)) for k, category in enumerate(TASKS[task].names)
    ]
    return Frame(name=f"{name}.jpg", labels=labels)


def labels_of(
    bitmask: Bitmask, task: str, rng: np.random.Generator | None = None, aliases: Mapping[str, str] | None = None
) -> list[Label]:
    """Labels of a bitmask; with ``rng`` as predictions, whose scores have ties."""
    labels = []
    for i in range(len(bitmask.ids)):
        category = TASKS[task].names[bitmask.categories[i] - 1]
        crowd, ignored = (bool(bitmask.attributes[i] & bit) for bit in (CROWD, IGNORED))
        labels.append(
            Label(
                id=str(i),
                category=(aliases or {}).get(category, category),
                attributes=LabelAttributes(crowd=crowd, ignored=ignored) if crowd or ignored else None,
                score=None if rng is None else int(rng.integers(0, 6)) / 5,
                rle=run_lengths(bitmask.instances == i + 1),
            )
        )
    return labels


def write_instance_bitmasks(
    root: Path, seed: int, frames: int = 9, size: tuple[int, int] = SIZE, most: int = 10
) -> None:
    """Folders ``gt`` and ``pred`` and ``score.json``: score ties, frames without instances, scores without a pixel."""
    rng = np.random.default_rng(seed)
    listed = []
    for i in range(frames):
        name = f"{'-' * (i % 3)}{i}"
        truth = random_bitmask(rng, _CLASSES, size, most)
        predicted = shaken(rng, truth, 8)
        write_bitmask(truth, root / "gt" / f"{name}.png")
        write_bitmask(predicted, root / "pred" / f"{name}.png")
        labels = [{"index": i, "score": int(rng.integers(0, 6)) / 5} for i in [*predicted.ids.tolist(), 65535, 70000]]
        unique = {label["index"]: label for label in labels}
        listed.append(
            {"name": f"{name}.jpg", "labels": [list(unique.values())[i] for i in rng.permutation(len(unique))]}
        )
    (root / "score.json").write_text(json.dumps(listed))


def write_many_instances(root: Path) -> None:
    """The same for one frame with 255 predictions of a class, of which only a hundred count."""
    rng = np.random.default_rng(0)
    instances = np.arange(48 * 64, dtype=np.int32).reshape(48, 64) // 12
    count = instances.max()
    predicted = Bitmask(instances, np.arange(1, count + 1), np.ones(count, np.int32), np.zeros(count, np.uint8))
    kept = np.arange(1, 80)
    truth = Bitmask(np.where(instances < 80, instances, 0), kept, np.ones(79, np.int32), np.zeros(79, np.uint8))
    write_bitmask(truth, root / "gt/a.png")
    write_bitmask(predicted, root / "pred/a.png")
    labels = [{"index": i, "score": float(rng.random())} for i in range(1, count + 1)]
    (root / "score.json").write_text(json.dumps([{"name": "a.png", "labels": labels}]))


def write_instance_run_lengths(root: Path, seed: int, size: tuple[int, int] = SIZE) -> list[Frame]:
    """Files ``gt.json`` and ``pred.json`` of ten frames, and the ground truth.

    Frame 4 has no prediction, the predictions of frame 5 overlap, and each of the others has a box without a mask.
    """
    rng = np.random.default_rng(seed)
    aliases = {"car": "other vehicle", "pedestrian": "person", "bus": "bus"} if seed % 2 else {"car": "van"}
    truth, predicted = [], []
    for i in rng.permutation(10):
        bitmask = random_bitmask(rng, _CLASSES, size)
        labels = labels_of(bitmask, "ins_seg", None, aliases if rng.random() < 0.5 else {})
        truth.append(Frame(f"{i}.jpg", size=image_size(bitmask), labels=labels or None))
        if i == 4:
            continue
        found = labels_of(shaken(rng, bitmask, 8), "ins_seg", rng, aliases if rng.random() < 0.2 else {})
        if i == 5:
            # Overlap of two classes; the frame's predictions are then dropped.
            found += [Label(id="x", category="train", score=0.5, rle=run_lengths(np.ones(size)))] * 2
        predicted.append(Frame(f"{i}.jpg", labels=[*found, Label(id="box", category="car", score=0.4)]))
    predicted.append(Frame("extra.jpg", labels=[]))
    write_frames(truth, root / "gt.json")
    write_frames(predicted, root / "pred.json")
    return truth


def write_panoptic_bitmasks(root: Path, seed: int) -> None:
    """Folders ``gt`` of nine bitmasks and ``pred`` without the fifth."""
    rng = np.random.default_rng(seed)
    last = Bitmask(np.zeros(SIZE, np.int32), np.array([5]), np.array([35]), np.zeros(1, np.uint8))
    last.instances[-5:] = 1
    for i in range(9):
        truth = random_bitmask(rng, 36)
        predicted = shaken(rng, truth, 40)
        write_bitmask(truth, root / f"gt/{i}.png")
        if i != 4:
            # The toolkit fails on a prediction without segments.
            write_bitmask(predicted if len(predicted.ids) else last, root / f"pred/{i}.png")


def write_panoptic_run_lengths(root: Path, seed: int) -> None:
    """Files ``gt.json`` and ``pred.json`` of ten frames.

    Each has a label of another task in the ground truth; frame 4 has no prediction, those of frame 5 overlap, and
    frame 6 has a prediction without a mask.
    """
    rng = np.random.default_rng(seed)
    truth, predicted = [], []
    for i in rng.permutation(10):
        bitmask = random_bitmask(rng, 36)
        while not len(bitmask.ids) or (bitmask.attributes & 3).all():  # the toolkit fails on these
            bitmask = random_bitmask(rng, 36)
        labels = labels_of(bitmask, "pan_seg")
        if rng.random() < 0.5:
            # Things of the ground truth may overlap.
            labels.append(Label(id="77", category="car", rle=run_lengths(np.ones(SIZE))))
        # Labels of another task: the toolkit drops them.
        labels.append(Label(id="78", category="van", rle=run_lengths(np.ones(SIZE))))
        truth.append(Frame(f"{i}.jpg", size=image_size(bitmask), labels=labels))
        found = labels_of(shaken(rng, bitmask, 40), "pan_seg")
        if i == 4 or not any(not label.is_crowd for label in found):
            continue
        if i == 5:
            found.append(Label(id="1", category="car", rle=run_lengths(np.ones(SIZE))))
        if i == 6:
            found = [Label(id="1", category="car")]
        predicted.append(Frame(f"{i}.jpg", labels=found))
    predicted.append(Frame("extra.jpg", labels=[]))
    write_frames(truth, root / "gt.json")
    write_frames(predicted, root / "pred.json")
