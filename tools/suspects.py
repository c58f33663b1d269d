"""Finds labels that may be wrong: `python tools/suspects.py det --gt G --pred P --images I --out DIR` writes a page.

P are predictions of a model that was not trained on these labels; several may be given. The page takes decisions by
keyboard and saves them. `python tools/suspects.py det --gt G --apply decisions.json --out corrected.json` writes a
corrected copy of the labels (of masks a folder), and beside it what was changed. G is never written.
"""

import argparse

from bdd100k_d2.cli import command, path, positive, say, share, workers
from bdd100k_d2.parallel import keep_freed_memory
from bdd100k_d2.tasks import TASKS, Task

_OF_FINDING = ("images", "masks", "most", "prior", "image_ids", "workers")


def _find(args: argparse.Namespace) -> None:
    from bdd100k_d2.evaluation.own_classes import class_names
    from bdd100k_d2.suspects.find import SuspectOptions
    from bdd100k_d2.suspects.page import write_suspects_page

    keep_freed_memory()
    options = SuspectOptions(
        most=SuspectOptions().most if args.most is None else args.most,
        prior=SuspectOptions().prior if args.prior is None else args.prior,
        masks=args.masks,
        image_ids=args.image_ids,
        classes=None if args.classes is None else class_names(args.classes),
        workers=args.workers,
    )
    page, found = write_suspects_page(args.task, args.gt, args.pred, args.out, args.images, options)
    kinds = [one.kind for one in found.suspects]
    for kind in dict.fromkeys(kinds):
        say(f"{kind}: {kinds.count(kind):,}")
    for note in found.notes:
        say(note)
    say(page)


def _apply(args: argparse.Namespace) -> None:
    from bdd100k_d2.evaluation.own_classes import class_names, task_of_classes
    from bdd100k_d2.suspects.correct import apply_decisions

    task = task_of_classes(args.task, None if args.classes is None else class_names(args.classes))
    log = apply_decisions(task, args.gt, args.apply, args.out)
    say(args.out)
    say(log)


def _add_task(commands: argparse._SubParsersAction, task: Task) -> None:
    from bdd100k_d2.evaluation.own_classes import CLASSES_HELP
    from bdd100k_d2.suspects.rates import PRIOR

    parser = commands.add_parser(task.name, help=task.title)
    has_boxes = task.form == "boxes"
    labels = "label file" if has_boxes else "folder of masks"
    parser.add_argument("--gt", required=True, type=path, help=f"the labels: {labels}")
    parser.add_argument("--pred", nargs="+", type=path, help="predictions, in the same forms; of several models")
    parser.add_argument("--apply", type=path, metavar="DECISIONS", help="write a corrected copy of the labels")
    parser.add_argument("--images", type=path, help="folder of the images, as images/100k/val")
    parser.add_argument("--out", required=True, type=path, help="folder of the page; with --apply the corrected labels")
    parser.add_argument("--most", type=positive, help="suspects to show, the likeliest (default: 200)")
    parser.add_argument(
        "--prior",
        type=share,
        help=f"guess of the share of labels that are wrong in each way (default: {PRIOR})",
    )
    parser.add_argument("--classes", metavar="FILE|A,B,C", help=CLASSES_HELP)
    parser.add_argument("--workers", type=workers, help="processes or threads (default: all cores)")
    parser.set_defaults(task=task.name, masks=None, image_ids=None)
    if has_boxes:
        parser.add_argument("--masks", type=path, help="folder of sem_seg masks of the same frames, to compare with")
        parser.add_argument(
            "--image-ids",
            type=path,
            help="COCO file of the image ids and categories of COCO results, if --gt is not COCO",
        )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    for task in TASKS.values():
        if task.form != "bitmasks":
            _add_task(commands, task)
    return parser


def main() -> None:
    """Parses the command line, finds suspects or applies decisions, and prints what was written."""
    with command():
        parser = _parser()
        args = parser.parse_args()
        if (args.pred is None) == (args.apply is None):
            parser.error("give either --pred, to find suspects, or --apply, to correct labels")
        if args.apply is None:
            _find(args)
        else:
            unused = [one for one in _OF_FINDING if getattr(args, one) is not None]
            if unused:
                parser.error(f"--apply takes no --{unused[0].replace('_', '-')}, which is for finding suspects")
            _apply(args)


if __name__ == "__main__":
    main()
