"""Converts weights of mmdet, mmseg, Vis4D, torchvision or timm to Detectron2: `convert_weights.py SRC DST`.

`--to mmdet` writes names that mmdet 3.x loads, and for a Semantic FPN those of mmseg.
"""

import argparse

from bdd100k_d2.cli import command, filled, path, say


def _convert() -> None:
    from bdd100k_d2.installation import needs_detectron2

    with needs_detectron2("tools/convert_weights.py"):
        from bdd100k_d2.checkpoint.convert import LAYOUTS, convert_file
        from bdd100k_d2.checkpoint.published import local_path

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "source", type=filled, metavar="SRC", help="checkpoint to read: a file, or a name such as bdd100k://det/..."
    )
    parser.add_argument("destination", type=path, metavar="DST", help="checkpoint to write, a .pth file")
    parser.add_argument("--to", choices=LAYOUTS, default=LAYOUTS[0], help="whose names to write (default: detectron2)")
    parser.add_argument("--overwrite", action="store_true", help="replace DST where it exists")
    args = parser.parse_args()
    converted = convert_file(local_path(args.source), args.destination, to=args.to, overwrite=args.overwrite)
    say(f"{args.source}: {converted.describe()}\n{args.destination}: written for {args.to}")


def main() -> None:
    """Parses the command line, converts, and prints what the source was taken for and what became of its tensors."""
    with command():
        _convert()


if __name__ == "__main__":
    main()
