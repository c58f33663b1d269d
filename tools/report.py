"""Writes an HTML page about results: `python tools/report.py det --gt G --pred P --images I --out DIR`.

`runs` shows what trainings left behind: `python tools/report.py runs output/demo/det output/demo/sem_seg --out DIR`.
"""

import argparse
from pathlib import Path

from bdd100k_d2.cli import command, count, path, say, share, workers
from bdd100k_d2.parallel import keep_freed_memory
from bdd100k_d2.tasks import TASKS, Task


def _runs(args: argparse.Namespace) -> Path:
    from bdd100k_d2.report.page import write_runs_page

    return write_runs_page(args.folders, args.out, args.root, args.score_thr, args.frames)


def _results(args: argparse.Namespace) -> Path:
    from bdd100k_d2.evaluation.own_classes import class_names
    from bdd100k_d2.report.results.page import PageOptions, write_results_page

    keep_freed_memory()
    options = PageOptions(
        args.score_thr,
        args.frames,
        args.frames_each,
        args.bootstrap,
        args.attributes,
        args.workers,
        args.image_ids,
        None if args.classes is None else class_names(args.classes),
        args.score_file,
        args.baseline_score_file,
    )
    return write_results_page(args.task, args.gt, args.pred, args.out, args.images, args.baseline, options)


def _add_results(commands: argparse._SubParsersAction, task: Task) -> None:
    from bdd100k_d2.evaluation.own_classes import CLASSES_HELP
    from bdd100k_d2.report.analysis.differences import DRAWS
    from bdd100k_d2.report.analysis.resampling import ROUNDS

    parser = commands.add_parser(task.name, help=f"{task.title}: scores, errors and the worst frames")
    has_boxes = task.form == "boxes"
    labels = "label file or folder" if has_boxes else f"folder of {task.form}, or label files with run lengths"
    parser.add_argument("--gt", required=True, type=path, help=f"ground truth: {labels}")
    parser.add_argument("--pred", required=True, type=path, help="predictions, in the same forms")
    parser.add_argument("--classes", metavar="FILE|A,B,C", help=CLASSES_HELP)
    parser.add_argument("--out", required=True, type=path, help="folder of the page")
    parser.add_argument("--baseline", type=path, metavar="PRED", help="predictions of another run, to compare with")
    parser.add_argument(
        "--bootstrap",
        type=count,
        metavar="ROUNDS",
        help=f"of the intervals; 0 for none (default: {ROUNDS}, of the differences to a baseline {DRAWS:,})",
    )
    parser.add_argument("--workers", type=workers, help="processes or threads (default: all cores)")
    if task.form == "bitmasks":
        parser.set_defaults(images=None, frames=0, frames_each=0)
    else:
        parser.add_argument("--images", type=path, help="folder of the images, as images/100k/val")
        parser.add_argument("--frames", type=count, default=60, help="worst frames in the gallery (default: 60)")
        parser.add_argument(
            "--frames-each",
            type=count,
            default=4,
            metavar="N",
            help="and so many of each class, error type and slice (default: 4)",
        )
    if has_boxes:
        parser.add_argument(
            "--score-thr", type=share, default=0.3, help="count and draw detections from this score (default: 0.3)"
        )
        parser.add_argument(
            "--image-ids",
            type=path,
            help="COCO file of the image ids and categories of COCO results, if --gt is not COCO",
        )
        parser.set_defaults(attributes=None)
    else:
        parser.add_argument("--attributes", type=path, help="label file with the frames' attributes")
        parser.set_defaults(score_thr=0.3, image_ids=None)
    if task.form == "bitmasks" and task.has_scores:
        parser.add_argument("--image-ids", type=path, help="COCO file of the image ids and categories of COCO results")
        parser.add_argument("--score-file", type=path, help="scores of predicted bitmasks")
        parser.add_argument("--baseline-score-file", type=path, help="scores of the bitmasks of --baseline")
    else:
        parser.set_defaults(score_file=None, baseline_score_file=None)
    parser.set_defaults(run=_results, task=task.name)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    for task in TASKS.values():
        _add_results(commands, task)
    runs = commands.add_parser("runs", help="scores, curves, ground truth beside prediction")
    runs.add_argument("folders", nargs="+", type=path, metavar="RUN", help="OUTPUT_DIR of a run of tools/train_net.py")
    runs.add_argument("--out", required=True, type=path, help="folder of the page")
    runs.add_argument("--root", type=path, help="holds bdd100k/ (default: $DETECTRON2_DATASETS, else datasets)")
    runs.add_argument("--score-thr", type=share, default=0.3, help="draw detections from this score (default: 0.3)")
    runs.add_argument("--frames", type=count, default=16, help="frames to show of a test set (default: 16)")
    runs.set_defaults(run=_runs)
    return parser


def main() -> None:
    """Parses the command line, writes the page and prints its path."""
    with command():
        args = _parser().parse_args()
        say(args.run(args))


if __name__ == "__main__":
    main()
