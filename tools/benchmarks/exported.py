"""One way to run a model on a few images, in a process of its own: ``python -m benchmarks.exported``.

What a model file is run by imports neither PyTorch nor Detectron2, so that memory and start are those of its runtime.
"""

import argparse
import json
import os
import time
from collections.abc import Iterator
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np

COMPARED = 4
"""Images whose results are kept to be compared."""


def measure_exported(
    kind: str, config: str, weights: Path, file: Path, images: Path, out: Path, warmup: int, frames: int, amp: bool
) -> dict[str, float]:
    """Predicts images from the disk into the memory, one at a time.

    Args:
        kind: "stock" for Detectron2's `DefaultPredictor`, "ours" for the config's model, "file" for a model file.
        config: as `get_config` takes it; of "stock" and "ours".
        weights: of the config's model.
        file: the model file.
        images: folder of image files, taken in turn.
        out: file for the results of the first images, see `compact_output`.
        warmup: frames that are not measured.
        frames: that are.
        amp: of "ours" and "file".

    Returns:
        ``images_per_second``, and ``start``: seconds from the start of the process to the first result.
    """
    paths = islice(cycle(sorted(images.iterdir())), warmup + frames)
    outputs = _stock(config, weights, paths) if kind == "stock" else _ours(kind, config, weights, file, amp, paths)
    results: dict[str, np.ndarray] = {}
    first = begin = 0.0
    for number, output in enumerate(outputs):
        if not number:
            first = _age()
        if number < COMPARED:
            results |= {f"{number}_{name}": value for name, value in compact_output(output).items()}
        if number + 1 == warmup:
            begin = time.perf_counter()
    seconds = time.perf_counter() - begin
    np.savez(out, **results)
    return {"images_per_second": frames / seconds, "start": first}


def _age() -> float:
    """Seconds since the system started this process."""
    # The fields after the name, which may hold anything; the 22nd of all is the start in ticks.
    ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
    return time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")


def compact_output(output: dict[str, Any]) -> dict[str, np.ndarray]:
    """What is compared of a result of any kind: the boxes with classes and scores, or the class of each pixel."""
    from bdd100k_d2.evaluation.prediction_files import class_ids, object_columns

    if "instances" in output:
        boxes, classes, scores = object_columns(output["instances"])
        return {"boxes": boxes, "scores": scores, "classes": classes}
    return {"ids": class_ids(output["sem_seg"])}


def _stock(config: str, weights: Path, paths: Iterator[Path]) -> Iterator[dict[str, Any]]:
    from detectron2.data.detection_utils import read_image
    from detectron2.engine import DefaultPredictor

    from bdd100k_d2 import get_config

    cfg = get_config(config)
    cfg.MODEL.WEIGHTS = str(weights)
    predictor = DefaultPredictor(cfg)
    for path in paths:
        yield {name: value.to("cpu") for name, value in predictor(read_image(str(path), "BGR")).items()}


def _ours(
    kind: str, config: str, weights: Path, file: Path, amp: bool, paths: Iterator[Path]
) -> Iterator[dict[str, Any]]:
    from bdd100k_d2 import Predictor

    source: Any = file
    if kind == "ours":
        from bdd100k_d2 import get_config

        source = get_config(config)
        source.MODEL.WEIGHTS = str(weights)
    for prediction in Predictor(source, amp=amp).stream(paths):
        yield prediction.output


def main() -> None:
    """Measures what the command line says and prints it as JSON, after what Detectron2 prints."""
    parser = argparse.ArgumentParser()
    parser.add_argument("kind", choices=("stock", "ours", "file"))
    parser.add_argument("config")
    for name in ("weights", "file", "images", "out"):
        parser.add_argument(name, type=Path)
    for name in ("warmup", "frames"):
        parser.add_argument(name, type=int)
    parser.add_argument("amp", type=lambda text: text == "True")
    print(json.dumps(measure_exported(**vars(parser.parse_args()))))


if __name__ == "__main__":
    main()
