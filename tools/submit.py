"""Makes the file for the evaluation server and checks it.

`python tools/submit.py det --config-file F MODEL.WEIGHTS W --split test --out submission.json` predicts all images of
the test split; the other tasks take --out submission.zip. Exit status 1 if the file is not sound.
"""

import argparse
import sys

from bdd100k_d2.cli import command, path, positive, say
from bdd100k_d2.inside import refuse_overwriting
from bdd100k_d2.parallel import spin_little
from bdd100k_d2.tasks import TASKS


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", choices=TASKS)
    parser.add_argument("--config-file", required=True, type=path, help="of a model of the task")
    parser.add_argument("--out", required=True, type=path, help="the file: .json for det, .zip for the others")
    parser.add_argument("--split", default="test", choices=("train", "val", "test"), help="(default: test)")
    parser.add_argument("--root", type=path, help="holds bdd100k/ (default: $DETECTRON2_DATASETS, else datasets)")
    parser.add_argument("--resume", action="store_true", help="go on with the frames beside --out")
    parser.add_argument("--overwrite", action="store_true", help="replace the frames beside --out, and predict anew")
    parser.add_argument("--batch-size", type=positive, default=1, help="frames per step of the model (default: 1)")
    parser.add_argument("--amp", action="store_true", help="mixed precision: faster, results differ a little")
    parser.add_argument("opts", nargs="*", metavar="KEY VALUE", help="keys and values that change the config")
    return parser


def _submit(args: argparse.Namespace) -> int:
    import bdd100k_d2
    from bdd100k_d2.evaluation.submission import describe_defects
    from bdd100k_d2.predict.submission_run import SubmissionRun

    cfg = bdd100k_d2.load_config(args.config_file, args.opts)
    refuse_overwriting(args.out, [args.config_file])
    run = SubmissionRun(cfg, args.task, args.out, args.split, args.root, args.resume, args.overwrite)
    findings, summary = run.run(bdd100k_d2.Predictor(cfg, batch_size=args.batch_size, amp=args.amp))
    say(summary.text())
    if findings:
        say(f"{args.out} is not sound:\n{describe_defects(findings)}")
        return 1
    say(f"{args.out}: complete and well formed, {summary.frames:,} frames of {args.task} {args.split}.")
    return 0


def main() -> int:
    """Parses the command line, predicts and checks."""
    with command(interrupted="stopped; --resume goes on from here"):
        # Keys and values may stand among the options, as in the example.
        args = _parser().parse_intermixed_args()
        # Before PyTorch is imported.
        spin_little()
        return _submit(args)


if __name__ == "__main__":
    sys.exit(main())
