"""Scores files with BDD100K's official numbers: `python tools/evaluate.py det --gt G --pred P --out FILE`."""

import argparse
import logging
import os
import sys
from pathlib import Path

from bdd100k_d2.cli import command, of_the_checkout, path, say, workers
from bdd100k_d2.inside import refuse_overwriting
from bdd100k_d2.parallel import keep_freed_memory
from bdd100k_d2.tasks import SPLITS, TASKS


def _scored_bitmasks() -> list[str]:
    """The tasks whose scores are in a file beside their bitmasks."""
    return [task.name for task in TASKS.values() if task.form == "bitmasks" and task.has_scores]


def _parser() -> argparse.ArgumentParser:
    from bdd100k_d2.evaluation.files.evaluate import OPENERS, RESULT_TASKS
    from bdd100k_d2.evaluation.files.slices import BOX_ATTRIBUTES, FRAME_ATTRIBUTES
    from bdd100k_d2.evaluation.own_classes import CLASSES_HELP

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("task", choices=OPENERS)
    parser.add_argument("--gt", type=path, help="label file or folder; for masks and bitmasks their folder")
    parser.add_argument("--pred", type=path, help="predictions, in the same forms")
    parser.add_argument(
        "--score-file", type=path, help=f"scores of predicted bitmasks ({', '.join(_scored_bitmasks())})"
    )
    parser.add_argument(
        "--image-ids",
        type=path,
        help=f"COCO file of the image ids and categories of --pred, if that is a list of COCO results "
        f"({', '.join(RESULT_TASKS)}) and --gt is not COCO; --to coco of tools/convert_labels.py writes one",
    )
    parser.add_argument("--classes", metavar="FILE|A,B,C", help=CLASSES_HELP)
    parser.add_argument("--out", type=path, help="JSON file of the scores, as bdd100k.eval.run --out-file writes it")
    parser.add_argument(
        "--by",
        action="append",
        default=[],
        choices=[*FRAME_ATTRIBUTES, *BOX_ATTRIBUTES],
        help="also score each value of an attribute on its own (repeatable)",
    )
    parser.add_argument("--attributes", type=path, help="label file with the frames' attributes, where --gt has none")
    parser.add_argument("--workers", type=workers, help="processes or threads (default: all cores)")
    parser.add_argument(
        "--toolkit", action="store_true", help="run the official toolkit too; the first time it is downloaded"
    )
    check = parser.add_argument_group("before an upload")
    check.add_argument("--check-submission", type=path, metavar="PATH", help="is this file, folder or zip complete?")
    check.add_argument("--split", default="test", choices=SPLITS, help="split that PATH is for (default: test)")
    check.add_argument("--root", type=path, help="holds bdd100k/ (default: $DETECTRON2_DATASETS or datasets)")
    return parser


def _score(args: argparse.Namespace) -> int:
    from bdd100k_d2.evaluation.files.evaluate import evaluate_files
    from bdd100k_d2.evaluation.own_classes import class_names
    from bdd100k_d2.evaluation.toolkit_format import write_toolkit_scores

    keep_freed_memory()
    if args.workers is not None:
        # hotcoco asks for it when its threads start, which is once.
        os.environ["RAYON_NUM_THREADS"] = str(args.workers)
    if args.toolkit:
        # Before the files are scored, which takes a while.
        with of_the_checkout("tools/benchmarks"):
            from benchmarks.compare import compare_with_toolkit
    classes = None if args.classes is None else class_names(args.classes)
    evaluation = evaluate_files(
        args.task,
        args.gt,
        args.pred,
        score_file=args.score_file,
        image_ids=args.image_ids,
        by=args.by,
        attributes=args.attributes,
        workers=args.workers,
        classes=classes,
    )
    try:
        if args.out is not None:
            write_toolkit_scores(evaluation.to_json(), args.out)
    finally:
        # What took so long is shown even where it cannot be written.
        say(evaluation.text())
    if not args.toolkit:
        return 0
    agrees, text = compare_with_toolkit(args.task, args.gt, args.pred, args.score_file, evaluation.official)
    say(f"\n{text}")
    return 0 if agrees else 1


def _check(args: argparse.Namespace) -> int:
    from bdd100k_d2.evaluation.submission import check_split_submission, describe_defects

    defects, frames = check_split_submission(args.task, args.check_submission, args.split, args.root)
    if defects:
        say(describe_defects(defects))
        return 1
    say(f"{args.check_submission}: complete and well formed, {frames:,} frames of {args.task} {args.split}.")
    return 0


def _class_file(classes: str | None) -> Path | None:
    return Path(classes) if classes is not None and Path(classes).is_file() else None


def _run() -> int:
    from bdd100k_d2.data.slices import FRAME_ATTRIBUTES
    from bdd100k_d2.evaluation.files.evaluate import RESULT_TASKS

    parser = _parser()
    args = parser.parse_args()
    if args.check_submission is not None and args.task not in TASKS:
        parser.error(f"--check-submission is there for {', '.join(TASKS)}")
    if args.check_submission is None and (args.gt is None or args.pred is None):
        parser.error("give --gt and --pred, or --check-submission")
    if args.score_file is not None and args.task not in _scored_bitmasks():
        parser.error(f"--score-file belongs to {' and '.join(_scored_bitmasks())}")
    if args.image_ids is not None and args.task not in RESULT_TASKS:
        parser.error(f"--image-ids belongs to {' and '.join(RESULT_TASKS)}")
    if args.attributes is not None and not {*args.by} & {*FRAME_ATTRIBUTES}:
        parser.error(f"--attributes belongs to --by {', '.join(FRAME_ATTRIBUTES)}")
    if args.classes is not None and args.check_submission is not None:
        parser.error("--check-submission is of BDD100K's classes; leave out --classes")
    if args.classes is not None and args.toolkit:
        parser.error("--toolkit has BDD100K's classes alone; leave out --classes")
    given = (args.gt, args.pred, args.score_file, args.image_ids, args.attributes, _class_file(args.classes))
    inputs = [one for one in given if one is not None]
    if args.out is not None:
        refuse_overwriting(args.out, inputs)
    return _score(args) if args.check_submission is None else _check(args)


def main() -> int:
    """Parses the command line, prints the scores or the findings; returns 1 for what is not sound or does not agree."""
    with command(level=logging.INFO):
        return _run()


if __name__ == "__main__":
    sys.exit(main())
