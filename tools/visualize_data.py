"""Draws ground truth: `python tools/visualize_data.py --dataset bdd100k_det_val --out DIR`.

With `--config-file F` NAME may be a data set that the config describes in DATASETS.OWN or DATASETS.SLICES. With
`--config-file F --source loader` it draws what the training loader yields, after augmentation.
"""

import argparse
from pathlib import Path

from bdd100k_d2.cli import command, count, path, refuse_inside_data, say


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", help="e.g. bdd100k_det_val, bdd100k_ins_seg_train, or one of the config's")
    parser.add_argument("--config-file", type=path, help="of a training: its samples, or its data sets")
    parser.add_argument(
        "--source", choices=("dataset", "loader"), default="dataset", help="ground truth, or the training's samples"
    )
    parser.add_argument("--out", required=True, type=path, help="folder of the images (PNG)")
    parser.add_argument(
        "--limit", type=count, default=50, help="frames, taken at equal distances, or first samples; 0: all (50)"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace images of the same names in --out")
    parser.add_argument("--root", type=path, help="holds bdd100k/ (default: $DETECTRON2_DATASETS, else datasets)")
    parser.add_argument("opts", nargs="*", metavar="KEY VALUE", help="keys and values that change the config")
    return parser


def _draw(args: argparse.Namespace) -> list[Path]:
    import bdd100k_d2
    from bdd100k_d2.data.own_dataset import register_config_datasets
    from bdd100k_d2.drawing.dataset_images import write_dataset_images, write_loader_images

    bdd100k_d2.register_all(args.root)
    cfg = None if args.config_file is None else bdd100k_d2.load_config(args.config_file, args.opts)
    if args.source == "loader":
        return write_loader_images(cfg, args.out, args.limit, args.overwrite)
    if cfg is not None:
        register_config_datasets(cfg)
    return write_dataset_images(args.dataset, args.out, args.limit or None, args.overwrite)


def _run() -> None:
    from bdd100k_d2.data.register import data_folder

    parser = _parser()
    args = parser.parse_intermixed_args()
    if args.source == "dataset" and (args.dataset is None or (args.opts and args.config_file is None)):
        parser.error("--source dataset takes --dataset, and keys and values only with --config-file")
    if args.source == "loader" and (args.config_file is None or args.dataset is not None or not args.limit):
        parser.error("--source loader takes --config-file, no --dataset, and a --limit: training never ends")
    refuse_inside_data(parser, data_folder(args.root), args.out)
    drawn = len(_draw(args))
    say(f"{drawn:,} {'image is' if drawn == 1 else 'images are'} in {args.out}")


def main() -> None:
    """Parses the command line, draws and prints the number of images and their folder."""
    with command():
        _run()


if __name__ == "__main__":
    main()
