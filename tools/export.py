"""Writes a model as a file that runs without Detectron2: `export.py --config-file F --to onnx --out P MODEL.WEIGHTS W`.

The file takes images as they are read, (N, H, W, 3) uint8, RGB. What it gives, and how Python and C++ run it, is in
P.README.txt. `tools/predict.py --model P` predicts with it.
"""

import argparse
import logging
import sys

from bdd100k_d2.cli import command, path, positive, say
from bdd100k_d2.parallel import spin_little

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
    parser.add_argument("--to", required=True, metavar="FORMAT", help="onnx, openvino, torchscript or torch-export")
    parser.add_argument("--out", required=True, type=path, metavar="P", help="the file to write")
    parser.add_argument(
        "--size", type=_size, default=(720, 1280), metavar="HxW", help="of the images, or dynamic (default: 720x1280)"
    )
    parser.add_argument(
        "--batch", type=_batch, default=1, metavar="N", help="images at a time, or dynamic (default: 1)"
    )
    parser.add_argument("--opset", type=positive, metavar="N", help="of ONNX (default: PyTorch's choice)")
    parser.add_argument("--overwrite", action="store_true", help="replace P where it exists")
    parser.add_argument("opts", nargs="*", metavar="KEY VALUE", help="keys and values that change the config")
    return parser


def _export(args: argparse.Namespace) -> None:
    import bdd100k_d2
    from bdd100k_d2.export.run import export_model

    graph = export_model(
        bdd100k_d2.load_config(args.config_file, args.opts),
        args.to,
        args.out,
        size=args.size,
        batch=args.batch,
        opset=args.opset,
        config=args.config_file,
        overwrite=args.overwrite,
    )
    say(f"{args.out}: written; it gives {', '.join(graph.outputs)}.")


def main() -> None:
    """Parses the command line, exports, and prints what was written."""
    with command():
        args = _parser().parse_intermixed_args()
        logging.getLogger("bdd100k_d2").setLevel(logging.INFO)
        # Before PyTorch is imported.
        spin_little()
        _export(args)


if __name__ == "__main__":
    sys.exit(main())
