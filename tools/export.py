"""Writes a model as a file that runs without Detectron2: `export.py --config-file F --to onnx --out P MODEL.WEIGHTS W`.

The file takes images as they are read, (N, H, W, 3) uint8, RGB. What it gives, and how Python and C++ run it, is in
P.README.txt. `tools/predict.py --model P` predicts with it.

`export.py --check P --config-file F MODEL.WEIGHTS W` predicts frames of the config's test set with P and with the
config's model, and prints the official scores of both. Exit status: 0, or 1 if P loses more than 0.01
points (of --fp16 and --int8: 1.0), or was made from other weights.
"""

import argparse
import logging
import sys

from bdd100k_d2.cli import command, filled, path, positive, say
from bdd100k_d2.parallel import spin_little
from bdd100k_d2.tasks import SPLITS

DYNAMIC = "dynamic"


def _size(text: str) -> tuple[int, int] | None:
    if text == DYNAMIC:
        return None
    height, found, width = text.partition("x")
    if not found:
        raise argparse.ArgumentTypeError(f"{text} is neither a size such as 720x1280, height and width, nor {DYNAMIC}")
    return positive(height), positive(width)


def _batch(text: str) -> int | None:
    return None if text == DYNAMIC else positive(text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config-file", required=True, type=path, help="of the model")
    parser.add_argument("--to", metavar="FORMAT", help="onnx, openvino, torchscript or torch-export")
    parser.add_argument("--out", type=path, metavar="P", help="the file to write")
    parser.add_argument(
        "--size",
        type=_size,
        default=argparse.SUPPRESS,
        metavar="HxW",
        help="of the images, or dynamic (default: 720x1280)",
    )
    parser.add_argument(
        "--batch",
        type=_batch,
        default=argparse.SUPPRESS,
        metavar="N",
        help="images at a time, or dynamic (default: 1)",
    )
    parser.add_argument("--opset", type=positive, metavar="N", help="of ONNX (default: PyTorch's choice)")
    parser.add_argument("--fp16", action="store_true", help="of openvino: weights of half the size")
    parser.add_argument("--int8", action="store_true", help="of onnx and openvino: layers in 8 bits, by --calibrate")
    parser.add_argument(
        "--calibrate", type=filled, metavar="X", help="with --int8: images, as a folder, a pattern or a list"
    )
    parser.add_argument(
        "--limit", type=positive, help="so many frames of --check (default: all), or of --calibrate (default: 300)"
    )
    parser.add_argument(
        "--keep-float",
        action="append",
        default=[],
        metavar="PART",
        help="with --int8: a part of the model that stays in float, as roi_heads.box_predictor (repeatable)",
    )
    parser.add_argument("--check", type=path, metavar="P", help="a model file, to compare with the config's model")
    parser.add_argument("--split", choices=SPLITS, help="of BDD100K for --check (default: the config's test set)")
    parser.add_argument("--overwrite", action="store_true", help="replace P where it exists")
    parser.add_argument("opts", nargs="*", metavar="KEY VALUE", help="keys and values that change the config")
    return parser


def _check(args: argparse.Namespace) -> int:
    import bdd100k_d2
    from bdd100k_d2.installation import needs_detectron2

    with needs_detectron2("tools/export.py"):
        from bdd100k_d2.export.check import check_export

    # Of the evaluators the table of both alone.
    logging.getLogger("bdd100k_d2.evaluation").setLevel(logging.WARNING)
    cfg = bdd100k_d2.load_config(args.config_file, args.opts)
    check = check_export(args.check, cfg, split=args.split, limit=args.limit, config=args.config_file)
    say(check.text())
    return 0 if check.is_good else 1


def _export(args: argparse.Namespace) -> None:
    import bdd100k_d2
    from bdd100k_d2.installation import needs_detectron2

    with needs_detectron2("tools/export.py"):
        from bdd100k_d2.export.calibration import Calibration
        from bdd100k_d2.export.run import export_model

    graph = export_model(
        bdd100k_d2.load_config(args.config_file, args.opts),
        args.to,
        args.out,
        # None is any, and not given neither of them.
        **{name: value for name, value in vars(args).items() if name in ("size", "batch")},
        opset=args.opset,
        half=args.fp16,
        int8=Calibration(args.calibrate, args.limit or 300, tuple(args.keep_float)) if args.int8 else None,
        config=args.config_file,
        overwrite=args.overwrite,
    )
    say(f"{args.out}: written; it gives {', '.join(graph.outputs)}.")


def _is_of_export(name: str, value: object) -> bool:
    """Whether an argument was given that nothing but an export uses."""
    # These are there where they were given alone.
    if name in ("size", "batch"):
        return True
    return name in ("to", "out", "opset", "fp16", "int8", "calibrate", "keep_float", "overwrite") and bool(value)


def _checked(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """The arguments; ends the command where they do not go together."""
    args = parser.parse_intermixed_args()
    if args.check is None:
        if args.to is None or args.out is None:
            parser.error("give --to and --out, or --check")
        if args.int8 != (args.calibrate is not None):
            parser.error("--int8 and --calibrate belong together")
        if args.split is not None:
            parser.error("--split belongs to --check")
        if not args.int8 and (args.limit is not None or args.keep_float):
            parser.error("--limit and --keep-float belong to --int8")
    elif given := [f"--{name.replace('_', '-')}" for name, value in vars(args).items() if _is_of_export(name, value)]:
        parser.error(f"{', '.join(given)}: --check goes with --split and --limit alone")
    return args


def main() -> int:
    """Parses the command line; exports, or compares what was exported, and prints what it did."""
    with command():
        args = _checked(_parser())
        logging.getLogger("bdd100k_d2").setLevel(logging.INFO)
        # Before PyTorch is imported.
        spin_little()
        if args.check is not None:
            return _check(args)
        _export(args)
    return 0


if __name__ == "__main__":
    sys.exit(main())
