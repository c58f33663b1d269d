"""Predictions and scores -> the official toolkit's files, and its table of scores."""

import json
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from PIL import Image

from ..atomic import atomic_path, write_atomic
from ..data.labels import Box2D, Frame, Label
from .metrics.segmentation import SegmentationScores

Official = dict[str, Any]
"""Scores as ``bdd100k.eval.run --out-file`` writes them: for each metric a list of ``{class: percent}`` and
``{"OVERALL" or "AVERAGE": percent}``, or a number."""


def detection_frame(
    name: str, boxes: np.ndarray, scores: np.ndarray, classes: np.ndarray, names: Sequence[str], first_id: int = 0
) -> Frame:
    """A frame of predictions in the official format.

    Args:
        name: the picture's file name.
        boxes: (N, 4) x1, y1, x2, y2 in pixels, exclusive, as Detectron2 predicts them; stored inclusive (x2 - 1).
        scores: (N,) 0 to 1.
        classes: (N,) class indices into ``names``.
        names: of the classes.
        first_id: the id of the first label; the others count on.
    """
    labels = [
        Label(id=str(first_id + i), category=names[k], score=score, box2d=Box2D(x1, y1, x2 - 1, y2 - 1))
        for i, ((x1, y1, x2, y2), score, k) in enumerate(
            zip(boxes.tolist(), scores.tolist(), classes.tolist(), strict=True)
        )
    ]
    return Frame(name=name, labels=labels)


def write_detections(frames: Iterable[Frame], path: str | os.PathLike[str]) -> None:
    """Writes ``det.json`` frame by frame, whole or not at all.

    Raises:
        OutputError: ``path`` cannot be written.
    """
    encoder = msgspec.json.Encoder()
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        separator = b"["
        for frame in frames:
            file.write(separator + encoder.encode(frame))
            separator = b",\n"
        file.write(b"]" if separator != b"[" else b"[]")


def write_mask(mask: np.ndarray, path: str | os.PathLike[str]) -> None:
    """Writes class ids (H, W) uint8 as a single-channel PNG, whole or not at all.

    Raises:
        OutputError: ``path`` cannot be written.
    """
    with atomic_path(path) as temporary:
        Image.fromarray(mask).save(temporary, format="PNG")


def write_scores(scores: Official, path: str | os.PathLike[str]) -> None:
    """Writes scores as the toolkit does; an absent class is the token NaN, as there.

    Raises:
        OutputError: ``path`` cannot be written.
    """
    write_atomic(path, json.dumps(scores, indent=2) + "\n")


def official_detection(scores: Mapping[str, np.ndarray], names: Sequence[str]) -> Official:
    """The official form of what ``detection_scores`` returns."""
    return {
        metric: [dict(zip(names, values[:-1].tolist(), strict=True)), {"OVERALL": float(values[-1])}]
        for metric, values in scores.items()
    }


def official_segmentation(scores: SegmentationScores, names: Sequence[str]) -> Official:
    """The official form of segmentation scores; "Acc" is the precision, as in the toolkit."""
    return {
        "IoU": [dict(zip(names, scores.iou.tolist(), strict=True)), {"AVERAGE": scores.mean(scores.iou)}],
        "Acc": [dict(zip(names, scores.precision.tolist(), strict=True)), {"AVERAGE": scores.mean(scores.precision)}],
        "fIoU": scores.frequency_iou,
        "pAcc": scores.pixel_accuracy,
    }


def summary(scores: Official) -> dict[str, float]:
    """The overall value of each metric; the averages over classes of "IoU" and "Acc" are "mIoU" and "mAcc"."""
    flat = {}
    for metric, value in scores.items():
        if not isinstance(value, list):
            flat[metric] = value
        elif "AVERAGE" in value[-1]:
            flat[f"m{metric}"] = value[-1]["AVERAGE"]
        else:
            flat[metric] = value[-1]["OVERALL"]
    return flat


def table(scores: Official) -> str:
    """The toolkit's table: a row a class and one overall, a column a metric, one decimal, "-" for absent."""
    columns = {metric: value for metric, value in scores.items() if isinstance(value, list)}
    first = next(iter(columns.values()))
    rows = [list(group) for group in first]
    width = max(len(name) for group in rows for name in group)
    header = " " * width + "".join(f"{metric:>7}" for metric in columns)
    lines = [header]
    for index, group in enumerate(rows):
        lines.append("-" * len(header))
        for name in group:
            values = (column[index][name] for column in columns.values())
            lines.append(f"{name:>{width}}" + "".join(f"{'-' if math.isnan(v) else f'{v:.1f}':>7}" for v in values))
    return "\n".join(lines)


def mask_path(folder: str | os.PathLike[str], image_name: str) -> Path:
    """Where the mask of a picture goes: the same stem, ``.png``."""
    return Path(folder) / f"{Path(image_name).stem}.png"
