"""Trains or evaluates a model of ``configs/`` (Detectron2's arguments; --help lists them)."""

import argparse
from typing import Any

from bdd100k_d2.cli import command
from bdd100k_d2.parallel import spin_little


def main(args: argparse.Namespace) -> dict[str, Any] | None:
    """Runs in each process: evaluates with --eval-only and returns the scores, trains otherwise."""
    from detectron2.evaluation import verify_results
    from detectron2.utils import comm

    import bdd100k_d2
    from bdd100k_d2.checkpoint.loading import load_weights
    from bdd100k_d2.checkpoint.saving import TrainingCheckpointer
    from bdd100k_d2.engine.class_agreement import check_classes, check_evaluators
    from bdd100k_d2.engine.hooks.evaluation import PeriodicEvaluation
    from bdd100k_d2.engine.launch import setup

    cfg = setup(args)
    if args.eval_only:
        # Before the frames of a first data set are predicted.
        check_evaluators(cfg.DATASETS.TEST)
        classes = check_classes(cfg, (), cfg.DATASETS.TEST)
        model = bdd100k_d2.Trainer.build_model(cfg)
        # As in Detectron2's script, --resume takes the last checkpoint of the output folder, if there is one.
        if not args.resume or TrainingCheckpointer(model, cfg.OUTPUT_DIR, classes=classes).resume() is None:
            trained_for = cfg.MODEL.WEIGHTS_CLASSES
            load_weights(model, cfg.MODEL.WEIGHTS, exact=True, classes=classes, trained_for=trained_for)
        results = bdd100k_d2.Trainer.test(cfg, model)
        if cfg.TEST.AUG.ENABLED:
            results = {**results, **bdd100k_d2.Trainer.test_with_TTA(cfg, model)}
        if comm.is_main_process():
            verify_results(cfg, results)
        return results
    trainer = bdd100k_d2.Trainer(cfg)
    trainer.resume_or_load(resume=args.resume)
    if cfg.TEST.AUG.ENABLED:
        # After the last iteration.
        trainer.register_hooks([PeriodicEvaluation(0, lambda: trainer.test_with_TTA(trainer.cfg, trainer.model))])
    return trainer.train()


def _launch() -> None:
    # How threads wait has to be set before PyTorch is imported.
    spin_little()
    from bdd100k_d2.installation import needs_detectron2

    with needs_detectron2("tools/train_net.py"):
        from detectron2.engine import default_argument_parser

        from bdd100k_d2.engine.launch import launch

    launch(main, default_argument_parser().parse_args())


if __name__ == "__main__":
    with command(level=None):
        _launch()
