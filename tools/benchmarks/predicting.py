"""Predictions for a few images, in a process of its own: ``python -m benchmarks.predicting``."""

import argparse
import json
import time
from collections.abc import Iterator, Sequence
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np

COMPARED = 4
"""Images whose results are kept to be compared."""


def measure_predicting(
    kind: str,
    config: str,
    images: Path,
    weights: Path,
    out: Path,
    warmup: int,
    frames: int,
    batch_size: int,
    amp: bool,
    fold: bool,
    keys: Sequence[str],
) -> dict[str, Any]:
    """Reads images and predicts by a shipped config.

    Args:
        kind: "ours", or "stock" for Detectron2's `DefaultPredictor`, image by image.
        config: as `get_config` takes it.
        images: folder of JPEG files, taken in turn.
        weights: of the model.
        out: file for the results of the first images, see `compact`.
        warmup: frames that are not measured; a multiple of the batch.
        frames: that are.
        batch_size: of ours.
        amp: of ours.
        fold: of ours.
        keys: config keys and values in turn.

    Returns:
        ``images_per_second``, and ``gpu_memory``, bytes at the most, None on the CPU.
    """
    # Each costs seconds, and the package's benchmarks are light to import.
    import torch

    from bdd100k_d2 import Predictor, get_config

    cfg = get_config(config)
    cfg.MODEL.WEIGHTS = str(weights)
    cfg.merge_from_list(list(keys))
    torch.backends.cudnn.allow_tf32, torch.backends.cudnn.benchmark = cfg.CUDNN_ALLOW_TF32, cfg.CUDNN_BENCHMARK
    # As many as there are images would fill the caches of the reader only.
    paths = islice(cycle(sorted(images.iterdir())), warmup + frames)
    if kind == "stock":
        outputs = _stock(cfg, paths)
    else:
        predictor = Predictor(cfg, batch_size=batch_size, amp=amp, fold=fold)
        outputs = (one.output for one in predictor.stream(paths))
    results, start = {}, 0.0
    for number, output in enumerate(outputs):
        if number < COMPARED:
            results |= {f"{number}_{name}": value for name, value in compact(output).items()}
        if number + 1 == warmup:
            start = time.perf_counter()
    seconds = time.perf_counter() - start
    np.savez(out, **results)
    on_gpu = torch.device(cfg.MODEL.DEVICE).type == "cuda"
    return {
        "images_per_second": frames / seconds,
        "gpu_memory": torch.cuda.max_memory_allocated() if on_gpu else None,
    }


def compact(output: dict[str, Any]) -> dict[str, np.ndarray]:
    """What is compared of a result: the boxes with classes and scores, or the class of each pixel."""
    if "instances" in output:
        found = output["instances"]
        return {
            "boxes": found.pred_boxes.tensor.float().numpy(),
            "scores": found.scores.float().numpy(),
            "classes": found.pred_classes.numpy(),
        }
    return {"ids": output["sem_seg"].argmax(dim=0).numpy().astype(np.uint8)}


def _stock(cfg: Any, paths: Iterator[Path]) -> Iterator[dict[str, Any]]:  # noqa: ANN401, a CfgNode
    from detectron2.data.detection_utils import read_image
    from detectron2.engine import DefaultPredictor

    predictor = DefaultPredictor(cfg)
    for path in paths:
        output = predictor(read_image(str(path), "BGR"))
        # What uses a result has to have it.
        yield {name: value.to("cpu") for name, value in output.items()}


def _flag(text: str) -> bool:
    return text == "True"


def main() -> None:
    """Measures what the command line says and prints it as JSON, after what Detectron2 prints."""
    parser = argparse.ArgumentParser()
    parser.add_argument("kind", choices=("ours", "stock"))
    parser.add_argument("config")
    parser.add_argument("images", type=Path)
    parser.add_argument("weights", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("warmup", type=int)
    parser.add_argument("frames", type=int)
    parser.add_argument("batch_size", type=int)
    parser.add_argument("amp", type=_flag)
    parser.add_argument("fold", type=_flag)
    parser.add_argument("keys", nargs="*")
    answer = measure_predicting(**vars(parser.parse_args()))
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
