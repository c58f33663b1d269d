"""The official score of one way to run a model, in a process of its own: ``python -m benchmarks.scoring``."""

import argparse
import json
from pathlib import Path
from typing import Any


def score_variant(kind: str, config: str, weights: Path, file: Path, amp: bool) -> dict[str, Any]:
    """Predicts the first test set of a config; arguments as of `exported.measure_exported`.

    Returns:
        ``metric``, the task's first, and ``score`` in percent; None where there are no labels.
    """
    from bdd100k_d2 import Predictor, get_config
    from bdd100k_d2.export.check import score_stream
    from bdd100k_d2.predict.config_task import task_of

    cfg = get_config(config)
    cfg.MODEL.WEIGHTS = str(weights)
    task = task_of(cfg)
    if kind == "stock":
        from detectron2.data.detection_utils import read_image
        from detectron2.engine import DefaultPredictor

        predictor = DefaultPredictor(cfg)
        scores = score_stream(cfg, lambda paths: (predictor(read_image(path, "BGR")) for path in paths))
    else:
        source: Any = cfg if kind == "ours" else file
        stream = Predictor(source, amp=amp).stream
        scores = score_stream(cfg, lambda paths: (one.output for one in stream(paths)))
    return {"metric": task.plotted[0], "score": scores.get(task.plotted[0])}


def main() -> None:
    """Scores what the command line says and prints it as JSON, after what Detectron2 prints."""
    parser = argparse.ArgumentParser()
    parser.add_argument("kind", choices=("stock", "ours", "file"))
    parser.add_argument("config")
    for name in ("weights", "file"):
        parser.add_argument(name, type=Path)
    parser.add_argument("amp", type=lambda text: text == "True")
    print(json.dumps(score_variant(**vars(parser.parse_args()))))


if __name__ == "__main__":
    main()
