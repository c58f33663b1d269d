"""A small, sound data set of every task, and ways to damage it."""

import shutil
from pathlib import Path

import cv2
import msgspec
import numpy as np

from bdd100k_d2.data.bitmasks import Bitmask, encode_bitmask
from bdd100k_d2.data.check.official import SplitCounts
from bdd100k_d2.data.labels import Box2D, Frame, FrameAttributes, Label, LabelAttributes, write_frames
from bdd100k_d2.data.vintages import read_labels

COUNT = 3
RELEASED = {
    task: {"train": SplitCounts(COUNT, COUNT), "val": SplitCounts(COUNT, COUNT), "test": SplitCounts(COUNT, None)}
    for task in ("det", "sem_seg", "drivable", "ins_seg", "pan_seg")
}


def stem(split: str, i: int) -> str:
    return f"{split}{i}"


def make_sound_root(root: Path) -> Path:
    base = root / "bdd100k"
    image = cv2.resize(np.random.default_rng(0).integers(0, 256, (9, 16, 3), np.uint8), (1280, 720))
    for folder in ("100k", "10k"):
        for split in ("train", "val", "test"):
            (base / "images" / folder / split).mkdir(parents=True)
            for i in range(COUNT):
                cv2.imwrite(str(base / "images" / folder / split / f"{stem(split, i)}.jpg"), image)
    instances = np.zeros((720, 1280), np.int32)
    instances[100:200, 100:300], instances[300:400, 100:300] = 1, 2
    bitmask = encode_bitmask(Bitmask(instances, np.array([1, 2]), np.array([3, 4]), np.zeros(2, np.uint8)))
    for split in ("train", "val"):
        for task, pixels in (("sem_seg", 5), ("drivable", 1)):
            folder = base / "labels" / task / "masks" / split
            folder.mkdir(parents=True)
            for i in range(COUNT):
                cv2.imwrite(str(folder / f"{stem(split, i)}.png"), np.full((720, 1280), pixels, np.uint8))
        for task in ("ins_seg", "pan_seg"):
            folder = base / "labels" / task / "bitmasks" / split
            folder.mkdir(parents=True)
            for i in range(COUNT):
                # OpenCV writes the channels in the order blue, green, red, alpha.
                cv2.imwrite(str(folder / f"{stem(split, i)}.png"), bitmask[..., [2, 1, 0, 3]])
        (base / "labels/det_20").mkdir(parents=True, exist_ok=True)
        write_frames(
            [
                Frame(
                    f"{stem(split, i)}.jpg",
                    attributes=FrameAttributes("clear", "highway", "night"),
                    labels=[
                        label("0", "car", 100, 200, 300, 400),
                        label("1", "pedestrian", 10.5, 20, 60, 90),
                        label("2", "other vehicle", 900, 0, 1279, 719),
                    ],
                )
                for i in range(COUNT)
            ],
            labels_path(root, split),
        )
    return root


def label(name: str, category: str, *corners: float) -> Label:
    return Label(name, category, None, LabelAttributes(occluded=False), Box2D(*corners))


def labels_path(root: Path, split: str = "train") -> Path:
    return root / f"bdd100k/labels/det_20/det_{split}.json"


def read(root: Path, split: str = "train") -> list[Frame]:
    return read_labels(labels_path(root, split)).frames


def change_frame(root: Path, **fields: object) -> None:
    """Changes the second training frame."""
    first, second, third = read(root)
    write_frames([first, msgspec.structs.replace(second, **fields), third], labels_path(root))


def add_box(root: Path, category: str, *corners: float) -> None:
    change_frame(root, labels=[*read(root)[1].labels, label("new", category, *corners)])


def image(root: Path, name: str = "train1.jpg", folder: str = "100k") -> Path:
    return root / "bdd100k/images" / folder / name.rstrip("0123456789.jpg") / name


def mask(root: Path, task: str = "sem_seg", name: str = "train1.png") -> Path:
    kind = "bitmasks" if task in ("ins_seg", "pan_seg") else "masks"
    return root / "bdd100k/labels" / task / kind / "train" / name


def damage_jpeg(path: Path) -> None:
    """Zeros in the middle: it decodes, to other pixels."""
    content = bytearray(path.read_bytes())
    middle = len(content) * 2 // 3
    content[middle : middle + 200] = bytes(200)
    path.write_bytes(content)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def cut_end(path: Path) -> None:
    """Of a JPEG only the end marker is lost, to zeros."""
    path.write_bytes(path.read_bytes()[:-2] + bytes(100))


def append(path: Path, content: bytes) -> None:
    path.write_bytes(path.read_bytes() + content)


def resize(path: Path, width: int, height: int) -> None:
    pixels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    cv2.imwrite(str(path), cv2.resize(pixels, (width, height), interpolation=cv2.INTER_NEAREST))


def write_ids(path: Path, *ids: int) -> None:
    pixels = np.zeros((720, 1280), np.uint8)
    pixels[: len(ids)] = np.array(ids, np.uint8)[:, None]
    cv2.imwrite(str(path), pixels)


def copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(source, target)
