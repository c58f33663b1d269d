"""Measures speed and memory: `python tools/benchmark.py evaluate` runs the official toolkit and this package.

Both score the same problems of BDD100K's size, made by seed; the first time, the toolkit is installed into the user's
cache folder. Takes some ten minutes; `--frames 200 --masks 200` a minute.

`python tools/benchmark.py loader` loads training batches by Detectron2's own loader and by this package's. Takes some
five minutes; `--frames 1000 --batches 20 --repeat 1` one.

`python tools/benchmark.py decoders` reads JPEG files by each library that can.
`python tools/benchmark.py parts` draws frames, reads labels and imports the package, each by itself.

`python tools/benchmark.py train` and `predict` run the models by stock Detectron2 and by this package; `--levers` adds
what each lever does alone. Takes some ten minutes for both on a GPU, or on two cores of a CPU with `--levers` an hour.

`python tools/benchmark.py models --openmmlab ENV/bin/python` predicts by one model of each family of the zoo, beside
the framework that published it. Takes half an hour on two cores; `--family fcn_r50-d8` a minute.

`python tools/benchmark.py export` exports models and runs them by each runtime, beside stock Detectron2. Takes half an
hour on two cores; `--config sample/semantic_fpn_efficientnet_lite0 --weights W --score` some minutes, with scores.

`python tools/benchmark.py commands` runs the report, the check of the data and the conversions of labels on problems of
BDD100K's size. Takes some ten minutes; `--frames 200 --masks 20 --train-frames 1000` one.

`python tools/benchmark.py suspects --gt G --pred P --cleanlab ENV/bin/python` plants errors into sound labels and looks
for them, by this package and by cleanlab. Takes some minutes. `python tools/benchmark.py pick --gt G --pred P` counts
what images show that tools/pick.py picks.

`python tools/benchmark.py tracking --trackers ENV/bin/python` gives numbers to the objects of drawn films, beside the
package trackers. Takes two minutes.
"""

import argparse
import json
import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from bdd100k_d2.atomic import write_atomic
from bdd100k_d2.cli import command, count, of_the_checkout, path, positive, say, share
from bdd100k_d2.inside import refuse_overwriting

if TYPE_CHECKING:
    from benchmarks.commands import CommandReport
    from benchmarks.decoders import DecoderReport
    from benchmarks.evaluate import Report
    from benchmarks.export import ExportReport
    from benchmarks.loader import LoaderReport
    from benchmarks.models import SpeedReport
    from benchmarks.picking import PickReport
    from benchmarks.planted_frames import KindReport
    from benchmarks.suspects import SuspectReport
    from benchmarks.tracking import TrackingReport
    from benchmarks.zoo import ZooReport

EVALUATE = Path(__file__).with_name("evaluate.py")


def _evaluate(args: argparse.Namespace) -> bool:
    from benchmarks.evaluate import run_benchmark

    report = run_benchmark(
        [sys.executable, str(EVALUATE)],
        args.frames,
        args.masks,
        args.train_frames,
        args.processes,
        not args.skip_toolkit,
        args.repeat,
    )
    return _show(args, report) and report.exact()


def _loader(args: argparse.Namespace) -> bool:
    from benchmarks.loader import run_loader_benchmark

    sizes = (args.frames, args.workers, args.batch_size, args.batches)
    return _show(args, run_loader_benchmark(*sizes, args.repeat, args.pictures))


def _decoders(args: argparse.Namespace) -> bool:
    from benchmarks.decoders import run_decoder_benchmark

    return _show(args, run_decoder_benchmark(args.repeat, args.pictures))


def _parts(args: argparse.Namespace) -> bool:
    from benchmarks.parts import run_part_benchmark

    report = run_part_benchmark(args.frames, args.repeat)
    if args.out is not None:
        write_atomic(args.out, json.dumps(report.to_json(), indent=2))
    print(report.text())
    return True


def _train(args: argparse.Namespace) -> bool:
    from benchmarks.models import run_training_benchmark

    return _show(args, run_training_benchmark(*_shared(args), args.levers, args.pictures, args.weights, args.keys))


def _predict(args: argparse.Namespace) -> bool:
    from benchmarks.models import run_predicting_benchmark

    return _show(args, run_predicting_benchmark(*_shared(args), args.levers, args.pictures, args.weights, args.keys))


def _models(args: argparse.Namespace) -> bool:
    from benchmarks.zoo import run_zoo_benchmark

    return _show(args, run_zoo_benchmark(args.openmmlab, args.family, args.count, args.repeat))


def _export(args: argparse.Namespace) -> bool:
    from benchmarks.export import run_export_benchmark

    report = run_export_benchmark(
        Path(__file__).with_name("export.py"),
        args.config,
        args.weights,
        args.pictures,
        args.calibrate,
        args.limit,
        args.frames,
        args.repeat,
        args.score,
    )
    return _show(args, report)


def _commands(args: argparse.Namespace) -> bool:
    from benchmarks.commands import run_command_benchmark

    sizes = (args.frames, args.masks, args.train_frames)
    return _show(args, run_command_benchmark(Path(__file__).parent, *sizes, args.repeat, args.pictures))


def _suspects(args: argparse.Namespace) -> bool:
    from benchmarks.planted_frames import run_region_benchmark
    from benchmarks.suspects import run_kind_benchmark, run_suspect_benchmark

    sizes = (args.share, args.first, args.seeds)
    if args.gt.is_dir():
        return _show(args, run_region_benchmark(args.gt, args.pred, *sizes, args.frames))
    if args.images is not None or args.masks is not None:
        return _show(args, run_kind_benchmark(args.gt, args.pred, *sizes, args.images, args.masks))
    return _show(args, run_suspect_benchmark(args.gt, args.pred, *sizes, args.frames, args.cleanlab))


def _pick(args: argparse.Namespace) -> bool:
    from benchmarks.picking import run_pick_benchmark

    features_of = None
    if args.config_file is not None:
        import bdd100k_d2
        from bdd100k_d2.predict.image_features import ImageFeatures

        features_of = ImageFeatures(bdd100k_d2.load_config(args.config_file, args.opts))
    return _show(args, run_pick_benchmark(args.gt, args.pred, args.pick, args.images, features_of))


def _tracking(args: argparse.Namespace) -> bool:
    from benchmarks.tracking import run_tracking_benchmark

    sizes = (args.films, args.frames, args.seed)
    return _show(args, run_tracking_benchmark(*sizes, args.labels, args.detections, args.trackers))


def _shared(args: argparse.Namespace) -> tuple[list[str], int | None, int | None, int]:
    return args.config, args.batch_size, args.count, args.repeat


def _show(
    args: argparse.Namespace,
    report: "Report | CommandReport | DecoderReport | ExportReport | KindReport | LoaderReport | PickReport "
    "| SpeedReport | SuspectReport | TrackingReport | ZooReport",
) -> bool:
    if args.out is not None:
        write_atomic(args.out, json.dumps(report.to_json(), indent=2))
    say(report.text())
    return True


def _parser() -> argparse.ArgumentParser:
    with of_the_checkout("tools/benchmarks"):
        from benchmarks.evaluate import TRAIN_FRAMES
        from benchmarks.models import CONFIGS

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    evaluate = commands.add_parser("evaluate", help="det, sem_seg, and reading the training labels")
    evaluate.add_argument("--frames", type=positive, default=10_000, help="of det (default: 10000)")
    evaluate.add_argument("--masks", type=positive, default=1_000, help="pairs of sem_seg (default: 1000)")
    evaluate.add_argument("--train-frames", type=positive, default=TRAIN_FRAMES, help="to read (default: all 69863)")
    evaluate.add_argument(
        "--processes", type=positive, nargs="+", default=(), help="of the toolkit (default: 1 and all cores)"
    )
    evaluate.add_argument("--skip-toolkit", action="store_true", help="measure this package alone")
    evaluate.add_argument("--repeat", type=positive, default=3, help="runs of ours; their median counts (default: 3)")
    evaluate.add_argument("--out", type=path, help="JSON file to write")
    evaluate.set_defaults(run=_evaluate)
    loader = commands.add_parser("loader", help="training batches of det, beside Detectron2's own loader")
    loader.add_argument("--frames", type=positive, default=TRAIN_FRAMES, help="of the data set (default: all 69863)")
    loader.add_argument("--workers", type=positive, nargs="+", default=(4,), help="of the loader (default: 4)")
    loader.add_argument("--batch-size", type=positive, default=16, help="images of a batch (default: 16)")
    loader.add_argument("--batches", type=positive, default=60, help="of a run (default: 60)")
    loader.add_argument("--repeat", type=positive, default=3, help="runs of each; the median counts (default: 3)")
    loader.add_argument("--pictures", type=path, help="folder of JPEG files of 1280x720 (default: some are drawn)")
    loader.add_argument("--out", type=path, help="JSON file to write")
    loader.set_defaults(run=_loader)
    models = commands.add_parser("models", help="each family of the zoo beside mmdet or mmseg")
    models.add_argument("--openmmlab", type=path, required=True, help="Python of an environment with mmdet and mmseg")
    models.add_argument("--family", nargs="+", default=(), metavar="NAME", help="by their golden files (default: all)")
    models.add_argument("--count", type=positive, default=3, help="predictions of a run (default: 3)")
    models.add_argument("--repeat", type=positive, default=1, help="runs of each, in turn (default: 1)")
    models.add_argument("--out", type=path, help="JSON file to write")
    models.set_defaults(run=_models)
    decoders = commands.add_parser("decoders", help="reading a JPEG file, on one core")
    decoders.add_argument("--repeat", type=positive, default=5, help="rounds; the median counts (default: 5)")
    decoders.add_argument("--pictures", type=path, help="folder of JPEG files (default: some are drawn)")
    decoders.add_argument("--out", type=path, help="JSON file to write")
    decoders.set_defaults(run=_decoders)
    parts = commands.add_parser("parts", help="drawing a frame, reading labels, importing the package, on one core")
    parts.add_argument("--frames", type=positive, default=10_000, help="whose labels to read (default: 10000)")
    parts.add_argument("--repeat", type=positive, default=15, help="times; the median counts (default: 15)")
    parts.add_argument("--out", type=Path, help="JSON file to write")
    parts.set_defaults(run=_parts)
    for name, what, run in (("train", "iterations", _train), ("predict", "frames", _predict)):
        models = commands.add_parser(name, help=f"{name} beside stock Detectron2")
        models.add_argument("--config", nargs="+", default=CONFIGS, help=f"(default: {' '.join(CONFIGS)})")
        models.add_argument("--batch-size", type=positive, help="images (default: 16 on a GPU, few on the CPU)")
        models.add_argument(f"--{what}", type=positive, dest="count", help="to measure (default: few on the CPU)")
        models.add_argument("--repeat", type=positive, default=1, help="runs; the median counts (default: 1)")
        models.add_argument("--levers", action="store_true", help="measure each lever alone, too")
        models.add_argument("--pictures", type=path, help="folder of JPEG files of 1280x720 (default: some are drawn)")
        models.add_argument("--weights", type=path, help="of the model (default: drawn by seed)")
        models.add_argument("--keys", nargs="+", default=(), help="config keys and values in turn, for all variants")
        models.add_argument("--out", type=path, help="JSON file to write")
        models.set_defaults(run=run)
    tracking = commands.add_parser("tracking", help="numbers for objects of films, beside the package trackers")
    tracking.add_argument("--films", type=positive, default=6, help="to draw (default: 6)")
    tracking.add_argument("--frames", type=positive, default=60, help="of a film (default: 60)")
    tracking.add_argument("--seed", type=count, default=0, help="of films and detections (default: 0)")
    tracking.add_argument("--labels", type=path, help="in the tracking format, in place of films that are drawn")
    tracking.add_argument("--detections", type=path, help="det.json of tools/predict.py, of the frames of --labels")
    tracking.add_argument("--trackers", type=path, help="Python of an environment with the package trackers")
    tracking.add_argument("--out", type=path, help="JSON file to write")
    tracking.set_defaults(run=_tracking)
    export = commands.add_parser("export", help="model files by each runtime, beside stock Detectron2")
    export.add_argument("--config", nargs="+", default=CONFIGS, help=f"(default: {' '.join(CONFIGS)})")
    export.add_argument("--weights", type=path, help="of the model (default: drawn by seed)")
    export.add_argument("--pictures", type=path, help="folder of JPEG files of 1280x720 (default: some are drawn)")
    export.add_argument("--calibrate", type=path, help="folder of images to quantise with (default: the pictures)")
    export.add_argument("--limit", type=positive, default=300, help="of these images (default: 300)")
    export.add_argument("--frames", type=positive, default=8, help="to measure (default: 8)")
    export.add_argument("--repeat", type=positive, default=1, help="runs; the median counts (default: 1)")
    export.add_argument("--score", action="store_true", help="score the first test set of the config, too")
    export.add_argument("--out", type=path, help="JSON file to write")
    export.set_defaults(run=_export)
    tools = commands.add_parser("commands", help="report, check of the data, conversions of labels")
    tools.add_argument("--frames", type=positive, default=10_000, help="of det (default: 10000)")
    tools.add_argument("--masks", type=positive, default=1_000, help="pairs of sem_seg (default: 1000)")
    tools.add_argument("--train-frames", type=positive, default=TRAIN_FRAMES, help="to convert (default: all 69863)")
    tools.add_argument("--repeat", type=positive, default=1, help="runs; the median counts (default: 1)")
    tools.add_argument("--pictures", type=path, help="folder of JPEG files of 1280x720 (default: some are drawn)")
    tools.add_argument("--out", type=path, help="JSON file to write")
    tools.set_defaults(run=_commands)
    pick = commands.add_parser("pick", help="images that are picked to be labelled, beside random ones")
    pick.add_argument("--gt", type=path, required=True, help="labels of det, which the choice does not see")
    pick.add_argument("--pred", type=path, required=True, help="predictions of the same images")
    pick.add_argument("--pick", type=positive, default=50, help="so many images (default: 50)")
    pick.add_argument("--images", type=path, help="folder of the images, for features of a model")
    pick.add_argument("--config-file", type=path, help="of the model, by whose features images differ")
    pick.add_argument("--out", type=path, help="JSON file to write")
    pick.add_argument("opts", nargs="*", metavar="KEY VALUE", help="keys and values that change the config")
    pick.set_defaults(run=_pick)
    suspects = commands.add_parser("suspects", help="planted errors of labels, beside cleanlab")
    suspects.add_argument("--gt", type=path, required=True, help="sound labels of det, or masks of sem_seg")
    suspects.add_argument("--pred", type=path, required=True, help="predictions of a model not trained on them")
    suspects.add_argument("--images", type=path, help="plant times of day instead, which images tell")
    suspects.add_argument(
        "--masks", type=path, help="folder of sem_seg masks of these frames: find boxes by them alone"
    )
    suspects.add_argument("--cleanlab", metavar="PYTHON", help="of an environment with cleanlab (default: without it)")
    suspects.add_argument("--share", type=share, default=0.05, help="of the labels, for each kind (default: 0.05)")
    suspects.add_argument("--first", type=positive, default=100, help="suspects that count (default: 100)")
    suspects.add_argument("--frames", type=positive, help="the first by name (default: all)")
    suspects.add_argument("--seeds", type=positive, default=5, help="of the errors (default: 5)")
    suspects.add_argument("--out", type=path, help="JSON file to write")
    suspects.set_defaults(run=_suspects)
    return parser


def main() -> None:
    """Parses the command line, measures and prints a table; exit status 1 where scores differ."""
    logging.basicConfig(format="%(message)s", level=logging.INFO)
    with command(level=None):
        args = _parser().parse_args()
        weights = getattr(args, "weights", None)
        if args.out is not None and weights is not None:
            refuse_overwriting(args.out, [weights])
        if not args.run(args):
            sys.exit("error: the scores of the two differ; the table shows by how much.")


if __name__ == "__main__":
    main()
