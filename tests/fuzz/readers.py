"""The readers of the package, each with small sound files and a call that reads them."""

import hashlib
import io
import json
import zipfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple

import cv2
import msgspec
import numpy as np
import yaml
from fuzz.mutations import (
    Form,
    json_file,
    json_lines,
    other_picture,
    png_file,
    text_file,
    zip_file,
)
from PIL import Image

from bdd100k_d2.data.bitmasks import Bitmask, encode_bitmask
from bdd100k_d2.data.labels import ImageSize

SHAPE = (48, 64)


class Reader(NamedTuple):
    """Files by their names, those of them that are changed and how, and what reads them.

    ``read`` takes their folder and returns how many labels it found, None where labels are not counted. ``cases`` is
    how many the suite tries.
    """

    files: Mapping[str, bytes]
    changed: Mapping[str, Form]
    read: Callable[[Path], int | None]
    cases: int = 150


def _json(document: object) -> bytes:
    return json.dumps(document).encode()


def _box(category: str, x: float, score: float | None = None) -> dict[str, object]:
    label = {"id": f"{category}{x}", "category": category, "box2d": {"x1": x, "y1": 10.0, "x2": x + 20, "y2": 30.0}}
    return label if score is None else label | {"score": score}


def _boxes(*names: str, score: float | None = None, **fields: object) -> list[dict[str, object]]:
    return [
        {"name": name, **fields, "labels": [_box("car", 5.5, score), _box("pedestrian", 20, score)]} for name in names
    ]


DET = _boxes("a.jpg", "b.jpg", attributes={"weather": "clear", "scene": "highway", "timeofday": "night"})
FOUND = _boxes("a.jpg", "b.jpg", score=0.75)
DECISIONS = {
    "format": "bdd100k_d2 decisions 1",
    "task": "det",
    "labels": {"path": "gt.json", "sha256": hashlib.sha256(_json(DET)).hexdigest()},
    "decisions": [
        {"verdict": "accept", "kind": "class", "score": 0.5, "change": {"frame": "a.jpg", **change}}
        for change in (
            {"action": "set_time", "timeofday": "daytime", "old": "night"},
            {"action": "rename", "label": {"place": 0, "id": "car5.5", "category": "car"}, "category": "bus"},
            {"action": "add", "category": "bus", "box": [1.0, 2.0, 3.5, 4.0]},
        )
    ],
}
LIST_2018 = [
    {
        "name": "a.jpg",
        "attributes": {"weather": "clear", "scene": "highway", "timeofday": "night"},
        "timestamp": 10000,
        "labels": [
            {**_box("motor", 5), "manualShape": True, "attributes": {"occluded": False, "trafficLightColor": "none"}},
            {"category": "lane", "id": 3, "poly2d": [{"vertices": [[1, 2], [3, 4]], "types": "LL", "closed": False}]},
        ],
    }
]
TRACKING = [
    {
        **frame,
        "videoName": "v",
        "frameIndex": i,
        "labels": [{**one, "attributes": {"Occluded": False, "Crowd": True}} for one in frame["labels"]],
    }
    for i, frame in enumerate(_boxes("v-0000001.jpg", "v-0000002.jpg"))
]
FIRST_RELEASE = {
    "name": "a",
    "attributes": {"weather": "clear", "scene": "highway", "timeofday": "night"},
    "frames": [{"timestamp": 10000, "objects": [{"id": 0, **_box("car", 5)}, {"id": 1, **_box("bike", 20)}]}],
}
COCO = {
    "images": [{"id": i + 1, "file_name": f"{name}.jpg", "width": 1280, "height": 720} for i, name in enumerate("ab")],
    "categories": [{"id": i + 1, "name": name} for i, name in enumerate(("pedestrian", "rider", "car"))],
    "annotations": [
        {"id": 1, "image_id": 1, "category_id": 3, "bbox": [5, 10, 21, 21], "area": 441, "iscrowd": 0, "ignore": 0},
        {"id": 2, "image_id": 2, "category_id": 1, "bbox": [9.5, 9.5, 4, 8], "area": 32, "iscrowd": 1},
        {
            "id": 3,
            "image_id": 2,
            "category_id": 1,
            "bbox": [1, 1, 3, 3],
            "area": 9,
            "iscrowd": 0,
            "segmentation": [[1, 1, 4, 1, 4, 4, 1, 4]],
        },
        {
            "id": 4,
            "image_id": 1,
            "category_id": 1,
            "bbox": [0, 0, 1, 2],
            "area": 2,
            "iscrowd": 1,
            "segmentation": {"size": [720, 1280], "counts": [0, 2, 921598]},
        },
    ],
}
COCO_RESULTS = [
    {"image_id": 1, "category_id": 3, "bbox": [5, 10, 21, 21], "score": 0.9},
    {"image_id": 2, "category_id": 1, "bbox": [9.5, 9.5, 4, 8], "score": 0.5},
]


def _run_lengths(categories: list[str], score: float | None = None) -> list[dict[str, object]]:
    from support.random_masks import run_lengths

    frames = []
    for name in "ab":
        labels = []
        for i, category in enumerate(categories):
            mask = np.zeros(SHAPE, bool)
            mask[4 * i : 4 * i + 4, 3:40] = True
            label = {"id": str(i), "category": category, "rle": msgspec.to_builtins(run_lengths(mask))}
            labels.append(label if score is None else label | {"score": score})
        frames.append({"name": f"{name}.jpg", "size": {"width": SHAPE[1], "height": SHAPE[0]}, "labels": labels})
    return frames


def _png(pixels: np.ndarray) -> bytes:
    made = io.BytesIO()
    Image.fromarray(pixels).save(made, "png")
    return made.getvalue()


def _mask(classes: int) -> bytes:
    return _png(np.arange(SHAPE[0] * SHAPE[1]).reshape(SHAPE).astype(np.uint8) // 200 % classes)


def _bitmask(classes: int) -> bytes:
    instances = np.zeros(SHAPE, np.int32)
    instances[5:20, 5:30], instances[25:40, 5:30] = 1, 2
    return _png(encode_bitmask(Bitmask(instances, np.array([1, 2]), np.array([1, classes]), np.zeros(2, np.uint8))))


def _pair(truth: Mapping[str, bytes], predicted: Mapping[str, bytes]) -> dict[str, bytes]:
    return {
        f"{folder}/{name}": data for folder, of in (("gt", truth), ("pred", predicted)) for name, data in of.items()
    }


def _count(folder: Path, name: str) -> int:
    from bdd100k_d2.data.vintages import read_labels

    return sum(len(frame.labels or ()) for frame in read_labels(folder / name).frames)


def _labels(document: object, name: str = "labels.json", form: Form = json_file) -> Reader:
    read = partial(_count, name=name.partition("/")[0])
    return Reader({name: _json(document)}, {name: form}, read, 250)


def _detections(folder: Path) -> int:
    from bdd100k_d2.evaluation.box_reader import reading_boxes
    from bdd100k_d2.evaluation.files.evaluate import evaluate_files

    evaluate_files("det", folder / "gt.json", folder / "pred.json", workers=1)
    with reading_boxes(folder / "pred.json") as boxes:
        return len(boxes().frame)


def _evaluate(folder: Path, task: str, truth: str = "gt", predicted: str = "pred", scores: str | None = None) -> None:
    from bdd100k_d2.evaluation.files.evaluate import evaluate_files

    score_file = None if scores is None else folder / scores
    evaluate_files(task, folder / truth, folder / predicted, score_file=score_file, workers=1).text()


def _convert(folder: Path, source: str, to: str, count: bool = True, **options: object) -> int | None:
    from bdd100k_d2.data.convert.convert import SourceOptions, convert

    target = folder / "out" if to == "masks" or to == "yolo" else folder / "out.json"
    done = convert(folder / source, target, to, options=SourceOptions(**options))
    return done.labels if count else None


def _picture(folder: Path) -> None:
    from bdd100k_d2.data.images import load_image

    load_image(folder / "a.jpg", "BGR")


def _config(folder: Path) -> None:
    import bdd100k_d2

    bdd100k_d2.load_config(folder / "config.yaml")


def _submission(folder: Path, task: str, name: str) -> None:
    from bdd100k_d2.evaluation.submission.check import check_submission
    from bdd100k_d2.evaluation.submission.members import describe_defects

    describe_defects(check_submission(task, folder / name, ["a.jpg", "b.jpg"], SHAPE))


def _archive(members: Mapping[str, bytes]) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return made.getvalue()


def _journal(folder: Path) -> None:
    from bdd100k_d2.predict.journal import read_lines, read_settings
    from bdd100k_d2.predict.outputs import remove_results

    read_settings(folder / "frames.jsonl")
    list(read_lines(folder / "frames.jsonl"))
    remove_results(folder)


def _run(folder: Path) -> None:
    from bdd100k_d2.report.run import read_run

    run = read_run(folder, folder)
    if run.history is not None:
        _ = [run.history.series(name) for name in run.history.names()], run.history.seconds, run.history.iterations


_SETTINGS = {
    "task": "det",
    "input": "images",
    "film": None,
    "config": "c",
    "weights": "w",
    "score_thr": None,
    "classes": ["car"],
    "overlay": True,
    "batch_size": 1,
    "amp": False,
    "categories": [["tram", [1, 2, 3], True], ["cow", [4, 5, 6], True], ["car", [7, 8, 9], True]],
}
_LINES = [
    {
        "name": "a.jpg",
        "source": ["/a.jpg", 9, 9],
        "size": [9, 9],
        "corners": [[1, 2, 3, 4]],
        "classes": [2],
        "scores": [1],
    },
    {"name": "b.jpg", "error": "cut off"},
]
_MODEL = {
    "META_ARCHITECTURE": "GeneralizedRCNN",
    "BACKBONE": {"NAME": "build_resnet_fpn_backbone"},
    "RESNETS": {"DEPTH": 18},
}
_RUN_CONFIG = {
    "MODEL": _MODEL,
    "DATASETS": {
        "TRAIN": ["bdd100k_det_train"],
        "TEST": ["night"],
        "SLICES": [{"name": "night", "base": "bdd100k_det_val", "timeofday": "night"}],
    },
    "SOLVER": {"MAX_ITER": 100, "IMS_PER_BATCH": 4, "BASE_LR": 0.02},
}
_RUN = {
    "config.yaml": yaml.safe_dump(_RUN_CONFIG).encode(),
    "metrics.json": b"".join(
        _json({"iteration": i, "total_loss": 1 / i, "loss_cls": 0.5, "time": 0.5, "bbox/AP": 1.5}) + b"\n"
        for i in (19, 39, 59)
    ),
    "inference/scores.json": _json(
        {"AP": [{"car": 1.5, "bus": None}, {"OVERALL": 1.5}], "AP50": [{"car": 2}, {"OVERALL": 2}]}
    ),
    "inference/det.json": _json(FOUND),
    "bdd100k/images/100k/val/a.jpg": b"",
    "bdd100k/labels/det_20/det_val.json": _json(DET),
}
_CONFIG = b"""_BASE_: base.yaml
MODEL:
  META_ARCHITECTURE: GeneralizedRCNN
  MASK_ON: False
DATASETS:
  TRAIN: ("bdd100k_det_train",)
  TEST: ("bdd100k_det_val",)
SOLVER:
  BASE_LR: 0.02
  STEPS: (60, 80)
"""
_DATA_YAML = b"path: .\ntrain: images/train\nval: images/val\nnc: 3\nnames:\n  0: pedestrian\n  1: rider\n  2: car\n"
_YOLO = {
    "in/data.yaml": _DATA_YAML,
    "in/labels/train/a.txt": b"2 0.5 0.5 0.25 0.25\n0 0.1 0.9 0.05 0.0625\n",
    "in/labels/train/b.txt": b"1 0.25 0.5 0.125 0.5 0.875\n",
}
_TASKS = ("sem_seg", "drivable", "ins_seg", "pan_seg")


def _decisions(folder: Path) -> None:
    from bdd100k_d2.suspects.correct import apply_decisions
    from bdd100k_d2.tasks import TASKS

    for old in folder.glob("corrected*"):
        old.unlink()
    apply_decisions(TASKS["det"], folder / "gt.json", folder / "decisions.json", folder / "corrected.json")


def readers() -> dict[str, Reader]:
    """Each reader by its name."""
    picture = np.random.default_rng(0).integers(0, 256, (*SHAPE, 3), np.uint8)
    sem_seg, instances = ["road", "sky", "car"], ["pedestrian", "car"]
    masks = {"a.png": _mask(19), "b.png": _mask(19)}
    bitmasks = {"a.png": _bitmask(8), "b.png": _bitmask(8)}
    scores = [{"name": f"{name}.jpg", "labels": [{"index": i, "score": 0.5} for i in (1, 2)]} for name in "ab"]
    found = {
        "scalabel list": _labels(DET),
        "config first": _labels({"config": {"imageSize": {"width": 1280, "height": 720}}, "frames": DET}),
        "per image": _labels(FIRST_RELEASE, "labels/a.json"),
        "2018 list": _labels(LIST_2018),
        "tracking": _labels(TRACKING),
        "run lengths": _labels(_run_lengths(sem_seg)),
        "coco": _labels(COCO),
        "detections": Reader(
            {"gt.json": _json(DET), "pred.json": _json(FOUND)}, {"pred.json": json_file}, _detections, 120
        ),
        "ground truth of det": Reader(
            {"gt.json": _json(DET), "pred.json": _json(FOUND)},
            {"gt.json": json_file},
            partial(_evaluate, task="det", truth="gt.json", predicted="pred.json"),
            120,
        ),
        "coco results": Reader(
            {"gt.json": _json(COCO), "pred.json": _json(COCO_RESULTS)},
            {"pred.json": json_file},
            partial(_evaluate, task="det", truth="gt.json", predicted="pred.json"),
            120,
        ),
        "masks": Reader(
            _pair(masks, masks), {"gt/a.png": png_file, "pred/a.png": png_file}, partial(_evaluate, task="sem_seg")
        ),
        "bitmasks": Reader(
            {**_pair(bitmasks, bitmasks), "scores.json": _json(scores)},
            {"gt/a.png": png_file, "pred/a.png": png_file, "scores.json": json_file},
            partial(_evaluate, task="ins_seg", scores="scores.json"),
        ),
        "panoptic bitmasks": Reader(
            _pair(bitmasks, bitmasks),
            {"gt/a.png": png_file, "pred/a.png": png_file},
            partial(_evaluate, task="pan_seg"),
        ),
        "image": Reader({"a.jpg": cv2.imencode(".jpg", picture)[1].tobytes()}, {"a.jpg": other_picture}, _picture),
        "yolo": Reader(
            _YOLO,
            {"in/labels/train/a.txt": text_file, "in/data.yaml": text_file},
            partial(_convert, source="in", to="coco", split="train", size=_size()),
        ),
        "config": Reader(
            {"config.yaml": _CONFIG, "base.yaml": b"VERSION: 2\n"}, {"config.yaml": text_file}, _config, 80
        ),
        "submission of det": Reader(
            {"det.json": _json(FOUND)}, {"det.json": json_file}, partial(_submission, task="det", name="det.json")
        ),
        "submission of sem_seg": Reader(
            {"masks.zip": _archive(masks)},
            {"masks.zip": zip_file},
            partial(_submission, task="sem_seg", name="masks.zip"),
        ),
        "submission of ins_seg": Reader(
            {"i.zip": _archive({"score.json": _json(scores), **{f"bitmasks/{k}": v for k, v in bitmasks.items()}})},
            {"i.zip": zip_file},
            partial(_submission, task="ins_seg", name="i.zip"),
        ),
        "decisions": Reader(
            {"gt.json": _json(DET), "decisions.json": _json(DECISIONS)}, {"decisions.json": json_file}, _decisions
        ),
        "frames.jsonl": Reader(
            {"frames.jsonl": b"\n".join(map(_json, (_SETTINGS, *_LINES))) + b"\n"},
            {"frames.jsonl": json_lines},
            _journal,
        ),
        "run folder": Reader(
            _RUN, {"config.yaml": text_file, "metrics.json": json_lines, "inference/scores.json": json_file}, _run
        ),
    }
    for task, names in (("sem_seg", sem_seg), ("ins_seg", instances), ("pan_seg", instances)):
        truth, lengths = _json(_run_lengths(names)), _json(_run_lengths(names, 0.5))
        found[f"run lengths of {task}"] = Reader(
            {"gt.json": truth, "pred.json": lengths},
            {"gt.json": json_file, "pred.json": json_file},
            partial(_evaluate, task=task, truth="gt.json", predicted="pred.json"),
            80,
        )
    for to, document in (("scalabel", LIST_2018), ("coco", DET), ("yolo", DET), ("masks", _run_lengths(sem_seg))):
        options = {"size": ImageSize(1280, 720)} if to == "yolo" else {}
        found[f"scalabel to {to}"] = Reader(
            {"in.json": _json(document)},
            {"in.json": json_file},
            partial(_convert, source="in.json", to=to, **options),
            100,
        )
    found["coco to scalabel"] = Reader(
        {"in.json": _json(COCO)}, {"in.json": json_file}, partial(_convert, source="in.json", to="scalabel"), 100
    )
    found["masks to scalabel"] = Reader(
        {f"in/{name}": data for name, data in masks.items()},
        {"in/a.png": png_file},
        partial(_convert, source="in", to="scalabel", task="sem_seg", count=False),
        80,
    )
    return found


def _size() -> object:
    from bdd100k_d2.data.labels import ImageSize

    return ImageSize(1280, 720)
