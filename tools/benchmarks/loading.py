"""What a training loader delivers and holds, in a process of its own: ``python -m benchmarks.loading``."""

import argparse
import json
import os
import statistics
import time
from itertools import islice
from pathlib import Path

from .process import memory_of

# Batches that are not measured: by then each worker has those ready that it may have ahead.
_FIRST = 4

# Batches at whose arrival the memory is looked at, after the speed was measured.
_LOOKS = 12


def measure_loader(
    kind: str, labels: Path, images: Path, workers: int, batch_size: int, batches: int
) -> dict[str, float]:
    """Reads batches as Faster R-CNN R-50-FPN trains with them, 720x1280.

    Args:
        kind: "ours", "strong" for ours with the zoo's strong augmentation, or "stock" for Detectron2's loader with its
            own mapper.
        labels: det_20 label file.
        images: folder of its images.
        workers: of the loader.
        batch_size: images of a batch.
        batches: to measure, after the first few.

    Returns:
        ``images_per_second``; and of this process and its workers, in bytes as the sum of their proportional shares
        (PSS), ``memory`` at the most, and the median of the ``anonymous`` part, which is not in files or shared memory.
    """
    # Each costs seconds, and the package's benchmarks are light to import.
    from detectron2.config import CfgNode
    from detectron2.data import DatasetCatalog, MetadataCatalog, build_detection_train_loader

    from bdd100k_d2 import get_config
    from bdd100k_d2.config import config_folder, read_config
    from bdd100k_d2.data.datasets import load_det
    from bdd100k_d2.data.loader import build_train_loader
    from bdd100k_d2.tasks import TASKS

    name = "bdd100k_benchmark"
    DatasetCatalog.register(name, lambda: load_det(labels, images))
    MetadataCatalog.get(name).thing_classes = TASKS["det"].names
    cfg = get_config("det/faster_rcnn_R_50_FPN_1x")
    cfg.DATASETS.TRAIN = (name,)
    cfg.DATALOADER.NUM_WORKERS = workers
    cfg.SOLVER.IMS_PER_BATCH = batch_size
    if kind == "strong":
        cfg.merge_from_other_cfg(CfgNode(read_config(config_folder() / "Base-Strong.yaml")))
    stream = iter(build_detection_train_loader(cfg) if kind == "stock" else build_train_loader(cfg, seed=0))
    for _ in islice(stream, _FIRST):
        pass
    start = time.perf_counter()
    for _ in islice(stream, batches):
        pass
    seconds = time.perf_counter() - start
    me, looks = os.getpid(), []
    for _ in islice(stream, _LOOKS):
        looks.append((memory_of(me), memory_of(me, "Pss_Anon")))
    memory, anonymous = zip(*looks, strict=True)
    return {
        "images_per_second": batches * batch_size / seconds,
        "memory": max(memory),
        "anonymous": statistics.median(anonymous),
    }


def main() -> None:
    """Measures what the command line says and prints it as JSON, after what Detectron2 prints."""
    parser = argparse.ArgumentParser()
    parser.add_argument("kind", choices=("ours", "strong", "stock"))
    parser.add_argument("labels", type=Path)
    parser.add_argument("images", type=Path)
    parser.add_argument("workers", type=int)
    parser.add_argument("batch_size", type=int)
    parser.add_argument("batches", type=int)
    print(json.dumps(measure_loader(**vars(parser.parse_args()))))


if __name__ == "__main__":
    main()
