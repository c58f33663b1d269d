"""Writes an HTML page about results: `python tools/report.py runs output/demo/det output/demo/sem_seg --out DIR`."""

import argparse
import logging
import sys
from pathlib import Path

from bdd100k_d2.errors import BDD100KError
from bdd100k_d2.report.page import write_runs_page


def _share(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 1")
    return value


def _count(text: str) -> int:
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"{text} is negative")
    return value


def _runs(args: argparse.Namespace) -> Path:
    return write_runs_page(args.folders, args.out, args.root, args.score_thr, args.frames)


def main() -> None:
    """Parses the command line, writes the page and prints its path."""
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(required=True)
    runs = commands.add_parser("runs", help="scores, curves, ground truth beside prediction")
    runs.add_argument("folders", nargs="+", type=Path, metavar="RUN", help="OUTPUT_DIR of a run of tools/train_net.py")
    runs.add_argument("--out", required=True, type=Path, help="folder of the page")
    runs.add_argument("--root", type=Path, help="holds bdd100k/ (default: $DETECTRON2_DATASETS, else datasets)")
    runs.add_argument("--score-thr", type=_share, default=0.3, help="draw detections from this score (default: 0.3)")
    runs.add_argument("--frames", type=_count, default=16, help="frames to show of a test set (default: 16)")
    runs.set_defaults(run=_runs)
    args = parser.parse_args()
    logging.basicConfig(format="%(levelname)s: %(message)s")
    try:
        print(args.run(args))
    except BDD100KError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
