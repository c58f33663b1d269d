"""Converts labels between Scalabel, COCO, YOLO and masks: `python tools/convert_labels.py SRC DST --to coco`."""

import argparse
import re
from typing import TYPE_CHECKING

from bdd100k_d2.cli import command, path, say
from bdd100k_d2.tasks import TASKS

if TYPE_CHECKING:
    from bdd100k_d2.data.labels import ImageSize


def _size(text: str) -> "ImageSize":
    from bdd100k_d2.data.labels import ImageSize

    found = re.fullmatch(r"([1-9]\d{0,8})x([1-9]\d{0,8})", text, re.ASCII)
    if found is None:
        raise argparse.ArgumentTypeError(f"{text} is no size; write width and height as 1280x720")
    return ImageSize(int(found.group(1)), int(found.group(2)))


def _parser() -> argparse.ArgumentParser:
    from bdd100k_d2.data.convert.convert import TARGET_KINDS
    from bdd100k_d2.data.convert.source import SOURCE_KINDS

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "source", type=path, metavar="SRC", help="label file, data.yaml of YOLO, or folder of label files or masks"
    )
    parser.add_argument(
        "target", type=path, metavar="DST", help=".json file; for masks a folder; for yolo the folder of the data set"
    )
    parser.add_argument("--to", required=True, choices=TARGET_KINDS, help="masks: bitmasks for ins_seg and pan_seg")
    parser.add_argument(
        "--from", dest="kind", choices=SOURCE_KINDS, help="what SRC holds (default: told by what is in it)"
    )
    parser.add_argument("--task", choices=TASKS, help="whose classes DST has (default: told by the labels)")
    parser.add_argument("--overwrite", action="store_true", help="replace DST if it exists")
    parser.add_argument("--segmentation", choices=("rle", "polygon"), help="how COCO holds masks (default: rle)")
    parser.add_argument("--images", type=path, help="folder of the images, for the sizes that the labels do not state")
    parser.add_argument("--size", type=_size, help="size of the images, as 1280x720, where nothing else says")
    parser.add_argument(
        "--image-ids", type=path, help="from COCO results: the COCO file of their image ids and categories"
    )
    parser.add_argument("--score-file", type=path, help="from bitmasks of predictions: the scores of their instances")
    yolo = parser.add_argument_group("YOLO")
    yolo.add_argument("--split", help="train, val or test (default: told by the name of SRC, else train)")
    yolo.add_argument("--classes", type=path, help="from yolo: data.yaml or a file with one class name per line")
    return parser


def _convert() -> None:
    from bdd100k_d2.data.convert.convert import convert
    from bdd100k_d2.data.convert.source_options import SourceOptions

    args = _parser().parse_args()
    options = SourceOptions(
        args.task, args.split, args.images, args.size, args.classes, args.image_ids, args.score_file
    )
    polygons = None if args.segmentation is None else args.segmentation == "polygon"
    done = convert(args.source, args.target, args.to, args.kind, options, polygons, args.overwrite)
    task = done.task or "unknown"
    say(f"{done.path}: {done.frames:,} frames with {done.labels:,} labels from {done.kind}, task {task}.")
    if done.dropped:
        say(f"What {args.to} does not hold of them:")
        for kind, count in done.dropped.items():
            say(f"  {count:,} {kind}")


def main() -> None:
    """Parses the command line, converts, and prints what was written and what DST cannot hold."""
    with command():
        _convert()


if __name__ == "__main__":
    main()
