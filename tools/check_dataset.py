"""Are my data complete and sound? `python tools/check_dataset.py --root R [--json out.json]` checks a copy of BDD100K.

`--config-file F` checks the data sets that a config trains and tests with, `--labels L --images I` data of your own.
"""

import argparse
import sys
from typing import TYPE_CHECKING

from bdd100k_d2.cli import command, path, refuse_inside_data, say, workers
from bdd100k_d2.tasks import TASKS

if TYPE_CHECKING:
    from bdd100k_d2.data.check.report import Report
    from bdd100k_d2.data.check.statistics import Statistics

NOT_CHECKED = 2


def _parser() -> argparse.ArgumentParser:
    from bdd100k_d2.evaluation.own_classes import CLASSES_HELP

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=path, help="holds bdd100k/ (default: $DETECTRON2_DATASETS or datasets)")
    parser.add_argument(
        "--task", nargs="+", default=[], choices=TASKS, help="whose data have to be there (default: what is there)"
    )
    parser.add_argument("--json", type=path, metavar="FILE", help="also write the report as JSON")
    parser.add_argument("--fast", action="store_true", help="read no image: are they there, and not empty?")
    parser.add_argument("--stats", type=path, metavar="DIR", help="also draw what the labels hold")
    parser.add_argument("--workers", type=workers, help="processes that read images (default: all cores)")
    config = parser.add_argument_group("the data sets of a config")
    config.add_argument("--config-file", type=path, help="of a training: those of its DATASETS.TRAIN and DATASETS.TEST")
    config.add_argument("opts", nargs="*", metavar="KEY VALUE", help="keys and values that change the config")
    own = parser.add_argument_group("data of your own, in the forms of bdd100k_d2.register_dataset")
    own.add_argument("--labels", type=path, help="label file, folder, or data.yaml; {split} in it for train, val, test")
    own.add_argument("--images", type=path, help="folder of the images, maybe with {split}; YOLO knows its own")
    own.add_argument("--classes", metavar="FILE|A,B,C", help=CLASSES_HELP)
    own.add_argument("--things", metavar="A,B,C", help="of pan_seg, those of the classes that are countable")
    own.add_argument("--dataset", metavar="NAME", help="what to call it (default: own); --task is det unless given")
    return parser


def _check_arguments(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    if args.labels is None:
        for option in ("images", "classes", "things", "dataset"):
            if getattr(args, option) is not None:
                parser.error(f"--{option} belongs to --labels")
    elif args.config_file is not None or args.root is not None:
        parser.error("--labels stands alone: leave out --config-file and --root")
    elif len(args.task) > 1:
        parser.error("--labels are of one --task")
    if args.config_file is None and args.opts:
        parser.error("keys and values belong to --config-file")
    if args.config_file is not None and args.task:
        parser.error("--config-file says which data sets are checked; leave out --task")


def _register(args: argparse.Namespace) -> list[list[str]]:
    """Registers the data sets to check: their names, by split."""
    import bdd100k_d2
    from bdd100k_d2.evaluation.own_classes import class_names

    if args.config_file is not None:
        from bdd100k_d2.data.check.registered import config_datasets

        bdd100k_d2.register_all(args.root)
        return config_datasets(bdd100k_d2.load_config(args.config_file, args.opts))
    names = bdd100k_d2.register_dataset(
        args.dataset or "own",
        args.labels,
        args.images,
        task=args.task[0] if args.task else "det",
        classes=None if args.classes is None else class_names(args.classes),
        things=() if args.things is None else class_names(args.things),
    )
    return [[name] for name in names]


def _report(parser: argparse.ArgumentParser, args: argparse.Namespace, statistics: "Statistics") -> "Report":
    from bdd100k_d2.data.check.dataset import check_dataset
    from bdd100k_d2.data.check.registered import check_datasets, places_of
    from bdd100k_d2.data.register import data_folder

    if args.config_file is None and args.labels is None:
        refuse_inside_data(parser, data_folder(args.root), args.json, args.stats)
        return check_dataset(args.root, args.task, args.fast, args.workers, statistics=statistics)
    splits = _register(args)
    for place in places_of(splits):
        refuse_inside_data(parser, place, args.json, args.stats)
    return check_datasets(*splits, root=args.root, fast=args.fast, workers=args.workers, statistics=statistics)


def _check() -> int:
    from bdd100k_d2.data.check.report import write_report
    from bdd100k_d2.data.check.statistics import Statistics

    parser = _parser()
    args = parser.parse_intermixed_args()
    _check_arguments(parser, args)
    statistics = Statistics()
    report = _report(parser, args, statistics)
    if args.json is not None:
        write_report(report, args.json)
    lines = [report.text()]
    if args.stats is not None:
        from bdd100k_d2.data.check.plots import write_statistics

        lines.append(f"{len(write_statistics(statistics, args.stats))} files of statistics are in {args.stats}")
    say("\n".join(lines))
    return 1 if report.breaks_training else 0


def main() -> int:
    """Parses the command line and prints the report; returns 1 for what breaks training, 2 for a check that failed."""
    with command(failed=NOT_CHECKED):
        return _check()


if __name__ == "__main__":
    sys.exit(main())
