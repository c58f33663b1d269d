"""Measures speed and memory: `python tools/benchmark.py evaluate` runs the official toolkit and this package.

Both score the same problems of BDD100K's size, made by seed; the first time, the toolkit is installed into the user's
cache folder. Takes some ten minutes; `--frames 200 --masks 200` a minute.
"""

import argparse
import json
import logging
import sys
from pathlib import Path

from bdd100k_d2.atomic import write_atomic
from bdd100k_d2.benchmark.evaluate import TRAIN_FRAMES, run_benchmark
from bdd100k_d2.errors import BDD100KError

EVALUATE = Path(__file__).with_name("evaluate.py")


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not positive")
    return value


def _evaluate(args: argparse.Namespace) -> bool:
    report = run_benchmark(
        [sys.executable, str(EVALUATE)],
        args.frames,
        args.masks,
        args.train_frames,
        args.processes,
        not args.skip_toolkit,
        args.repeat,
    )
    print(report.text())
    if args.out is not None:
        write_atomic(args.out, json.dumps(report.to_json(), indent=2))
    return report.exact()


def main() -> None:
    """Parses the command line, measures and prints a table; exit status 1 where scores differ."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    evaluate = commands.add_parser("evaluate", help="det, sem_seg, and reading the training labels")
    evaluate.add_argument("--frames", type=_positive, default=10_000, help="of det (default: 10000)")
    evaluate.add_argument("--masks", type=_positive, default=1_000, help="pairs of sem_seg (default: 1000)")
    evaluate.add_argument("--train-frames", type=_positive, default=TRAIN_FRAMES, help="to read (default: all 69863)")
    evaluate.add_argument(
        "--processes", type=_positive, nargs="+", default=(), help="of the toolkit (default: 1 and all cores)"
    )
    evaluate.add_argument("--skip-toolkit", action="store_true", help="measure this package alone")
    evaluate.add_argument("--repeat", type=_positive, default=3, help="runs of ours; their median counts (default: 3)")
    evaluate.add_argument("--out", type=Path, help="JSON file to write")
    evaluate.set_defaults(run=_evaluate)
    args = parser.parse_args()
    logging.basicConfig(format="%(message)s", level=logging.INFO)
    try:
        if not args.run(args):
            sys.exit("error: the scores of the two differ; the table shows by how much.")
    except BDD100KError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
