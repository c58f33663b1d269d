"""Predicts images and videos: `python tools/predict.py --config-file F --input X --output DIR MODEL.WEIGHTS W`.

X is an image, a folder (those in it too), a pattern in quotes, a text file with one path per line, a video, or the
number of a camera. DIR gets the results in the official format, with --overlay images, and of a video an annotated
one. Exit status: 0, or 3 if all is done but for frames that cannot be read.
"""

import argparse
import logging
import sys

from bdd100k_d2.cli import command, filled, path, positive, say, share
from bdd100k_d2.parallel import spin_little

SOME_UNREADABLE = 3


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(","))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config-file", required=True, type=path, help="of the model")
    parser.add_argument("--input", required=True, type=filled, metavar="X", help="what to predict")
    parser.add_argument("--output", required=True, type=path, metavar="DIR", help="folder of the results")
    parser.add_argument("--overlay", action="store_true", help="draw the results on each image, into DIR/overlays")
    parser.add_argument(
        "--score-thr", type=share, help="write and draw objects from this score on (default: write all, draw from 0.3)"
    )
    parser.add_argument("--classes", type=_names, metavar="A,B", help='only these, as "car,traffic light"')
    parser.add_argument("--limit", type=positive, help="stop after so many frames")
    parser.add_argument("--resume", action="store_true", help="go on with the run whose results are in DIR")
    parser.add_argument("--overwrite", action="store_true", help="replace the results of the run that is in DIR")
    parser.add_argument("--batch-size", type=positive, default=1, help="frames per step of the model (default: 1)")
    parser.add_argument("--amp", action="store_true", help="mixed precision: faster, results differ a little")
    parser.add_argument("opts", nargs="*", metavar="KEY VALUE", help="keys and values that change the config")
    return parser


def _predict(args: argparse.Namespace) -> int:
    import bdd100k_d2
    from bdd100k_d2.predict.inputs import find_input
    from bdd100k_d2.predict.run import PredictionRun

    source = find_input(args.input, args.output)
    cfg = bdd100k_d2.load_config(args.config_file, args.opts)
    run = PredictionRun(
        cfg,
        source,
        args.output,
        min_score=args.score_thr,
        classes=args.classes,
        overlay=args.overlay,
        limit=args.limit,
        resume=args.resume,
        overwrite=args.overwrite,
    )
    summary = run.run(bdd100k_d2.Predictor(cfg, batch_size=args.batch_size, amp=args.amp))
    say(summary.text())
    return SOME_UNREADABLE if summary.unreadable else 0


def main() -> int:
    """Parses the command line, predicts, and prints what was done."""
    with command(interrupted="stopped; --resume goes on from here"):
        args = _parser().parse_intermixed_args()
        # Of Detectron2 only warnings.
        logging.getLogger("bdd100k_d2").setLevel(logging.INFO)
        # Before PyTorch is imported.
        spin_little()
        return _predict(args)


if __name__ == "__main__":
    sys.exit(main())
