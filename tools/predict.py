"""Predicts images and videos: `python tools/predict.py --config-file F --input X --output DIR MODEL.WEIGHTS W`.

`--model model.onnx` in place of F and W runs an exported model, without Detectron2; without PyTorch too if it ends in
.onnx (onnxruntime) or .xml (OpenVINO), with it if in .torchscript or .pt2.

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


def _line(text: str) -> tuple[float, float, float, float]:
    try:
        x1, y1, x2, y2 = map(float, text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no line; give two points in pixels, as 0,520,1280,380") from None
    return x1, y1, x2, y2


def _parser() -> argparse.ArgumentParser:
    from bdd100k_d2.predict.slicing import OVERLAP

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    model = parser.add_mutually_exclusive_group(required=True)
    model.add_argument("--config-file", type=path, help="of the model")
    model.add_argument("--model", type=path, metavar="FILE", help="of tools/export.py; its ending tells what runs it")
    parser.add_argument("--input", required=True, type=filled, metavar="X", help="what to predict")
    parser.add_argument("--output", required=True, type=path, metavar="DIR", help="folder of the results")
    parser.add_argument("--overlay", action="store_true", help="draw the results on each image, into DIR/overlays")
    parser.add_argument(
        "--score-thr", type=share, help="write and draw objects from this score on (default: write all, draw from 0.3)"
    )
    parser.add_argument("--classes", type=_names, metavar="A,B", help='only these, as "car,traffic light"')
    parser.add_argument(
        "--track", action="store_true", help="number the objects of videos, and of folders of their frames"
    )
    parser.add_argument(
        "--count-line",
        type=_line,
        metavar="X1,Y1,X2,Y2",
        help="with --track: count what passes this line, in pixels (--count-line=-1,... for one that begins outside)",
    )
    parser.add_argument("--limit", type=positive, help="stop after so many frames")
    parser.add_argument("--resume", action="store_true", help="go on with the run whose results are in DIR")
    parser.add_argument("--overwrite", action="store_true", help="replace the results of the run that is in DIR")
    parser.add_argument(
        "--batch-size", type=positive, help="frames per step of the model (default: 1, or what the file was made for)"
    )
    parser.add_argument("--amp", action="store_true", help="mixed precision: faster, results differ a little")
    parser.add_argument(
        "--slices",
        metavar="CxR",
        help="find small objects in magnified slices of each frame too: columns by rows, as 2x1 (det and ins_seg)",
    )
    parser.add_argument("--slice-overlap", type=share, metavar="SHARE", help=f"of two slices (default: {OVERLAP})")
    parser.add_argument("--threads", type=positive, help="of the CPU, to compute with (default: one per core)")
    parser.add_argument("--task", help="of a --model that does not say it, as det")
    parser.add_argument(
        "--class-names", type=_names, metavar="A,B", help="of a --model that does not say them (default: BDD100K's)"
    )
    parser.add_argument("opts", nargs="*", metavar="KEY VALUE", help="keys and values that change the config")
    return parser


def _predict(args: argparse.Namespace) -> int:
    import bdd100k_d2
    from bdd100k_d2.predict.inputs import find_input
    from bdd100k_d2.predict.model_file import told_task
    from bdd100k_d2.predict.run import PredictionRun
    from bdd100k_d2.predict.slicing import OVERLAP, parse_slices

    source = find_input(args.input, args.output)
    overlap = OVERLAP if args.slice_overlap is None else args.slice_overlap
    slices = None if args.slices is None else parse_slices(args.slices, overlap)
    settings = {"batch_size": args.batch_size, "amp": args.amp, "threads": args.threads, "slices": slices}
    predictor = None
    if args.model is None:
        model = bdd100k_d2.load_config(args.config_file, args.opts)
    else:
        # Opening a file takes a moment, and tells what it is of; building the model of a config takes long.
        predictor = bdd100k_d2.Predictor(args.model, task=told_task(args.task, args.class_names), **settings)
        model = predictor.identity
    run = PredictionRun(
        model,
        source,
        args.output,
        min_score=args.score_thr,
        classes=args.classes,
        overlay=args.overlay,
        limit=args.limit,
        resume=args.resume,
        overwrite=args.overwrite,
        slices=slices,
        track=args.track,
        count_line=args.count_line,
    )
    summary = run.run(predictor or bdd100k_d2.Predictor(model, **settings))
    say(summary.text())
    return SOME_UNREADABLE if summary.unreadable else 0


def main() -> int:
    """Parses the command line, predicts, and prints what was done."""
    with command(interrupted="stopped; --resume goes on from here"):
        parser = _parser()
        args = parser.parse_intermixed_args()
        if args.model is not None and args.opts:
            parser.error(f"{args.opts[0]}: a --model has no config whose keys could be changed")
        if args.model is None and (args.task or args.class_names):
            parser.error("--task and --class-names are of a --model; a config says both itself")
        if args.slice_overlap is not None and args.slices is None:
            parser.error("--slice-overlap is of --slices; give these too")
        # Of Detectron2 only warnings.
        logging.getLogger("bdd100k_d2").setLevel(logging.INFO)
        # Before PyTorch is imported.
        spin_little()
        return _predict(args)


if __name__ == "__main__":
    sys.exit(main())
