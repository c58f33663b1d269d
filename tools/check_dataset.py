"""Is my copy of the data complete and sound? `python tools/check_dataset.py --root R [--json out.json]`."""

import argparse
import sys

from bdd100k_d2.cli import command, path, refuse_inside_data, say, workers
from bdd100k_d2.tasks import TASKS

NOT_CHECKED = 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=path, help="holds bdd100k/ (default: $DETECTRON2_DATASETS or datasets)")
    parser.add_argument(
        "--task", nargs="+", default=[], choices=TASKS, help="whose data have to be there (default: what is there)"
    )
    parser.add_argument("--json", type=path, metavar="FILE", help="also write the report as JSON")
    parser.add_argument("--fast", action="store_true", help="read no image: are they there, and not empty?")
    parser.add_argument("--stats", type=path, metavar="DIR", help="also draw what the labels hold")
    parser.add_argument("--workers", type=workers, help="processes that read images (default: all cores)")
    return parser


def _check() -> int:
    from bdd100k_d2.data.check.dataset import check_dataset
    from bdd100k_d2.data.check.report import write_report
    from bdd100k_d2.data.check.statistics import Statistics
    from bdd100k_d2.data.register import data_folder

    parser = _parser()
    args = parser.parse_args()
    refuse_inside_data(parser, data_folder(args.root), args.json, args.stats)
    statistics = Statistics()
    report = check_dataset(args.root, args.task, args.fast, args.workers, statistics=statistics)
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
