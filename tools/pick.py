"""Picks images to label next: `python tools/pick.py --pred det.json --images DIR --pick 100 --out list.txt`.

det.json are detections of unlabelled images, as `tools/predict.py` writes them. list.txt has the images of which the
model is unsure, that show rare classes and that differ from one another, one per line: `tools/predict.py --input` takes
it, and so does `register_slice(..., names="list.txt")`. With `--config-file F MODEL.WEIGHTS W` features of that model
tell how images differ, else what was predicted in them.
"""

import argparse
import json
from typing import TYPE_CHECKING

from bdd100k_d2.cli import command, path, positive, say, workers
from bdd100k_d2.parallel import keep_freed_memory

if TYPE_CHECKING:
    from bdd100k_d2.suspects.pick import FeaturesOf


def _parser() -> argparse.ArgumentParser:
    from bdd100k_d2.evaluation.own_classes import CLASSES_HELP

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pred", required=True, type=path, help="detections: label file or folder, or COCO results")
    parser.add_argument("--pick", required=True, type=positive, metavar="N", help="so many images")
    parser.add_argument("--out", required=True, type=path, help="the list to write")
    parser.add_argument(
        "--images", type=path, help="folder of the images, for their sizes and paths (default: the list has names)"
    )
    parser.add_argument(
        "--labelled", nargs="+", default=(), type=path, help="label files: these images are not picked, nor such ones"
    )
    parser.add_argument("--json", type=path, metavar="FILE", help="also write why each was picked")
    parser.add_argument("--image-ids", type=path, help="COCO file of the image ids of COCO results")
    parser.add_argument("--classes", metavar="FILE|A,B,C", help=CLASSES_HELP)
    parser.add_argument("--config-file", type=path, help="of a detector, whose features tell how images differ")
    parser.add_argument(
        "--labelled-images", type=path, help="with it, folder of the images of --labelled (default: that of --images)"
    )
    parser.add_argument("--workers", type=workers, help="processes (default: all cores)")
    parser.add_argument("opts", nargs="*", metavar="KEY VALUE", help="keys and values that change the config")
    return parser


def _pick(args: argparse.Namespace) -> None:
    from bdd100k_d2.atomic import write_atomic
    from bdd100k_d2.evaluation.own_classes import class_names, task_of_classes
    from bdd100k_d2.suspects.pick import check_new_files, pick_images, write_list

    keep_freed_memory()
    read = [one for one in (args.pred, args.image_ids, *args.labelled) if one is not None]
    images = [one for one in (args.images, args.labelled_images) if one is not None]
    check_new_files([one for one in (args.out, args.json) if one is not None], [*read, *images])
    task = task_of_classes("det", None if args.classes is None else class_names(args.classes))
    picked = pick_images(
        args.pred,
        args.pick,
        args.labelled,
        task,
        args.image_ids,
        args.workers,
        args.images,
        _features(args),
        args.labelled_images,
    )
    write_list(picked, args.out, args.images, read)
    if args.json is not None:
        write_atomic(args.json, json.dumps([one._asdict() for one in picked], indent=1) + "\n")
    say(f"{len(picked):,} images")
    say(args.out)


def _features(args: argparse.Namespace) -> "FeaturesOf | None":
    if args.config_file is None:
        return None
    import bdd100k_d2
    from bdd100k_d2.predict.image_features import ImageFeatures

    return ImageFeatures(bdd100k_d2.load_config(args.config_file, args.opts))


def main() -> None:
    """Parses the command line, picks images and writes the list."""
    with command():
        parser = _parser()
        args = parser.parse_args()
        if args.config_file is None and (args.opts or args.labelled_images):
            parser.error("keys of a config and --labelled-images are for --config-file, which is not given")
        if args.config_file is not None and args.images is None:
            parser.error("--config-file: features of a model are of images; give their folder with --images")
        _pick(args)


if __name__ == "__main__":
    main()
