"""Trains or evaluates a model of ``configs/`` (Detectron2's arguments; --help lists them)."""

import argparse
import sys
from typing import Any

from detectron2.engine import default_argument_parser, launch
from detectron2.evaluation import verify_results

import bdd100k_d2
from bdd100k_d2.checkpoint.loading import load_weights
from bdd100k_d2.engine.setup import setup
from bdd100k_d2.errors import BDD100KError


def main(args: argparse.Namespace) -> dict[str, Any] | None:
    """Runs in each process: evaluates with --eval-only, trains otherwise; returns the scores."""
    cfg = setup(args)
    if args.eval_only:
        model = bdd100k_d2.Trainer.build_model(cfg)
        load_weights(model, cfg.MODEL.WEIGHTS, exact=True)
        results = bdd100k_d2.Trainer.test(cfg, model)
        if cfg.TEST.EXPECTED_RESULTS:
            verify_results(cfg, results)
        return results
    trainer = bdd100k_d2.Trainer(cfg)
    trainer.resume_or_load(resume=args.resume)
    return trainer.train()


if __name__ == "__main__":
    args = default_argument_parser().parse_args()
    try:
        launch(
            main,
            args.num_gpus,
            num_machines=args.num_machines,
            machine_rank=args.machine_rank,
            dist_url=args.dist_url,
            args=(args,),
        )
    except BDD100KError as error:
        sys.exit(f"error: {error}")
