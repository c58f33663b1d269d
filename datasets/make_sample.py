"""Draws the sample data set: street scenes in BDD100K's folder layout, with exact labels."""

import argparse
import os
import sys
from pathlib import Path

from bdd100k_d2.cli import command, count, of_the_checkout, path, say, workers


def _make() -> int:
    with of_the_checkout("datasets/streets"):
        from streets import make_sample
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--out", type=path, default=Path("datasets/sample"), help="the data root to write")
    parser.add_argument("--train", type=count, default=64, help="training frames, of 100k and of 10k each")
    parser.add_argument("--val", type=count, default=16, help="validation frames")
    parser.add_argument("--test", type=count, default=4, help="test frames, images only")
    parser.add_argument("--films", type=count, default=0, help="films of a moving camera, with the objects' ids")
    parser.add_argument("--film-frames", type=count, default=60, help="frames of each film, ten a second")
    parser.add_argument("--seed", type=count, default=0)
    parser.add_argument("--workers", type=workers, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("--force", action="store_true", help="replace a sample data set made with other arguments")
    args = parser.parse_args()
    counts = args.train, args.val, args.test
    drawn = make_sample(args.out, *counts, args.seed, args.force, args.workers, args.films, args.film_frames)
    say(f"{args.out}: {'drawn' if drawn else 'already there'}; use it with DETECTRON2_DATASETS={args.out}")
    return 0


def main() -> int:
    with command():
        return _make()


if __name__ == "__main__":
    sys.exit(main())
