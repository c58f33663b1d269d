"""A few iterations of a training, in a process of its own: ``python -m benchmarks.training``."""

import argparse
import json
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any


def measure_training(
    kind: str, config: str, root: Path, weights: Path, out: Path, warmup: int, iterations: int, keys: Sequence[str]
) -> dict[str, Any]:
    """Trains by a shipped config on the training set of ``root``.

    Args:
        kind: "ours", or "stock" for Detectron2's `DefaultTrainer` with its own loader.
        config: as `get_config` takes it.
        root: holds ``bdd100k/``.
        weights: to start from.
        out: folder of the run.
        warmup: iterations that are not measured.
        iterations: that are.
        keys: config keys and values in turn.

    Returns:
        ``seconds`` of each iteration with the wait for its data; ``losses`` of one batch, always the same, before the
        first; ``gpu_memory``, bytes at the most, None on the CPU.
    """
    # Each costs seconds, and the package's benchmarks are light to import.
    import torch
    from detectron2.engine import DefaultTrainer, HookBase
    from detectron2.utils.events import EventStorage

    from bdd100k_d2 import Trainer, get_config, register_all
    from bdd100k_d2.data.loader import build_train_loader

    register_all(root)
    cfg = get_config(config)
    cfg.MODEL.WEIGHTS, cfg.OUTPUT_DIR, cfg.DATASETS.TEST, cfg.SEED = str(weights), str(out), (), 0
    # Weights that were drawn do not bear the recipes' rates; and Detectron2 does not know all of the schedules.
    cfg.SOLVER.BASE_LR, cfg.SOLVER.LR_SCHEDULER_NAME, cfg.SOLVER.WARMUP_FACTOR = 1e-5, "WarmupMultiStepLR", 1.0
    cfg.SOLVER.REFERENCE_WORLD_SIZE, cfg.TEST.EVAL_PERIOD = 0, 0
    # After one more, which saves a checkpoint and is not measured.
    cfg.SOLVER.MAX_ITER = cfg.SOLVER.CHECKPOINT_PERIOD = warmup + iterations + 1
    cfg.merge_from_list(list(keys))
    out.mkdir(parents=True, exist_ok=True)
    torch.backends.cudnn.allow_tf32, torch.backends.cudnn.benchmark = cfg.CUDNN_ALLOW_TF32, cfg.CUDNN_BENCHMARK
    trainer = (Trainer if kind == "ours" else DefaultTrainer)(cfg)
    trainer.resume_or_load(resume=False)
    on_gpu = next(trainer.model.parameters()).is_cuda

    batch = next(iter(build_train_loader(cfg, seed=0)))
    torch.manual_seed(0)
    amp = on_gpu and hasattr(trainer._trainer, "grad_scaler")
    with EventStorage(), torch.no_grad(), torch.autocast("cuda", enabled=amp):
        losses = {name: value.item() for name, value in trainer.model(batch).items()}

    class Clock(HookBase):
        times = [time.perf_counter()]  # noqa: RUF012, of the only one

        def after_step(self) -> None:
            if on_gpu:
                torch.cuda.synchronize()
            self.times.append(time.perf_counter())

    trainer.register_hooks([Clock()])
    trainer.train()
    ends = Clock.times[warmup : warmup + iterations + 1]
    return {
        "seconds": [after - before for before, after in pairwise(ends)],
        "losses": losses,
        "gpu_memory": torch.cuda.max_memory_allocated() if on_gpu else None,
    }


def main() -> None:
    """Measures what the command line says and prints it as JSON, after what Detectron2 prints."""
    parser = argparse.ArgumentParser()
    parser.add_argument("kind", choices=("ours", "stock"))
    parser.add_argument("config")
    parser.add_argument("root", type=Path)
    parser.add_argument("weights", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("warmup", type=int)
    parser.add_argument("iterations", type=int)
    parser.add_argument("keys", nargs="*")
    print(json.dumps(measure_training(**vars(parser.parse_args()))))


if __name__ == "__main__":
    main()
