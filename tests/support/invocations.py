"""Every command with small sound inputs: what tests/test_commands.py walks. A new command gets its row here."""

import shutil
from functools import cache
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from fuzz.readers import (
    _RUN,
    _YOLO,
    COCO,
    DECISIONS,
    DET,
    FOUND,
    FOUND_TRACKS,
    TRACKING,
    _archive,
    _bitmask,
    _json,
    _mask,
    _run_lengths,
)
from support import ROOT

SHAPE = (48, 64)


class Invocation(NamedTuple):
    """A command line. ``{name}`` stands for an input, and ``{OUT}`` and an ending for what it writes.

    ``heavy`` commands import PyTorch. Those that take long or fetch are not run to their end: ``runs`` is False. What
    ``rewrites`` its output file, as the official tool does, takes one that is there. `make test` leaves ``slow`` ones
    out of its longest walks.
    """

    argv: tuple[str, ...]
    heavy: bool = False
    runs: bool = True
    rewrites: bool = False
    slow: bool = False

    @property
    def command(self) -> str:
        """The script or module."""
        return self.argv[1] if self.argv[0] == "-m" else self.argv[0]

    @property
    def inputs(self) -> list[str]:
        """The files and folders that it reads."""
        return [one[1:-1] for one in self.argv if one.startswith("{") and not one.startswith("{OUT")]

    def line(self, folder: Path, **replaced: str) -> list[str]:
        """The command line with paths in ``folder``; ``replaced`` are by the names of inputs, OUT of the output."""
        words = []
        for word in self.argv:
            name, found, ending = word.removeprefix("{").partition("}")
            if not (word.startswith("{") and found):
                words.append(str(ROOT / word) if word.endswith(".py") else word)
            else:
                words.append(replaced.get(name, str(folder / (name + ending))))
        return words


def _row(line: str, **fields: bool) -> Invocation:
    return Invocation(tuple(line.split()), **fields)


INVOCATIONS = (
    _row("tools/evaluate.py det --gt {gt.json} --pred {pred.json} --out {OUT}.json", rewrites=True),
    _row("tools/evaluate.py sem_seg --gt {masks} --pred {found} --by weather --attributes {gt.json}"),
    _row("tools/evaluate.py ins_seg --gt {bits} --pred {bits2} --score-file {scores.json} --workers 2"),
    _row("tools/evaluate.py pan_seg --gt {rle.json} --pred {rle2.json} --workers 2"),
    _row("tools/evaluate.py box_track --gt {tracks.json} --pred {tracks2.json}"),
    _row("tools/evaluate.py sem_seg --check-submission {masks.zip} --split val --root {root}"),
    _row("tools/check_dataset.py --root {root} --json {OUT}.json --workers 1", rewrites=True),
    _row(
        "tools/check_dataset.py --labels {coco.json} --images {images} --json {OUT}.json --workers 1",
        heavy=True,
        rewrites=True,
    ),
    _row("tools/convert_labels.py {gt.json} {OUT}.json --to coco"),
    _row("tools/convert_labels.py {coco.json} {OUT}.json --to scalabel"),
    _row("tools/convert_labels.py {yolo} {OUT}.json --to coco --size 1280x720 --split train"),
    _row("tools/convert_labels.py {gt.json} {OUT} --to yolo --size 1280x720"),
    _row("tools/convert_labels.py {rle.json} {OUT} --to masks --task ins_seg"),
    _row("tools/convert_labels.py {masks} {OUT}.json --to scalabel --task sem_seg"),
    _row(
        "tools/report.py det --gt {gt.json} --pred {pred.json} --images {images} --out {OUT} "
        "--bootstrap 0 --frames 1 --frames-each 0",
        slow=True,
    ),
    _row(
        "tools/report.py sem_seg --gt {masks} --pred {found} --images {images} --out {OUT} --bootstrap 0 --frames 1",
        slow=True,
    ),
    _row(
        "tools/report.py ins_seg --gt {bits} --pred {bits2} --score-file {scores.json} --baseline {bits2} "
        "--baseline-score-file {scores.json} --out {OUT} --bootstrap 0 --workers 2",
        slow=True,
    ),
    _row(
        "tools/suspects.py det --gt {gt.json} --pred {pred.json} --images {images} --masks {masks} --out {OUT}",
        slow=True,
    ),
    _row("tools/suspects.py sem_seg --gt {masks} --pred {found} --images {images} --out {OUT}", slow=True),
    _row("tools/suspects.py det --gt {gt.json} --apply {decisions.json} --out {OUT}.json"),
    _row("tools/pick.py --pred {pred.json} --images {images} --pick 1 --out {OUT}.txt"),
    _row("tools/report.py runs {run} --root {root} --out {OUT} --frames 1"),
    _row("tools/visualize_data.py --dataset bdd100k_det_val --root {root} --out {OUT}", heavy=True),
    _row("tools/convert_weights.py {weights.pth} {OUT}.pth", heavy=True, runs=False),
    _row("tools/predict.py --config-file {config.yaml} --input {images} --output {OUT}", heavy=True, runs=False),
    _row("tools/export.py --config-file {config.yaml} --to onnx --out {OUT}.onnx", heavy=True, runs=False),
    _row("tools/submit.py det --config-file {config.yaml} --root {root} --out {OUT}.json", heavy=True, runs=False),
    _row("tools/train_net.py --config-file {config.yaml} OUTPUT_DIR {OUT}", heavy=True, runs=False),
    _row("tools/benchmark.py decoders --repeat 1 --out {OUT}.json", heavy=True, runs=False),
    _row("tools/demo.py --data {OUT}.data --out {OUT}", runs=False),
    _row("tools/install_detectron2.py --wheel {OUT}", runs=False),
    _row("datasets/make_sample.py --out {OUT} --train 2 --val 1 --test 0 --workers 2", slow=True),
    _row("-m bdd100k_d2.doctor --root {root} --output {OUT}", heavy=True),
    _row("-m bdd100k_d2.zoo det"),
)


def commands() -> set[str]:
    """What a user can run: scripts with arguments, and modules of the package that are run by their name."""
    scripts = [path for folder in ("tools", "datasets") for path in (ROOT / folder).glob("*.py")]
    package = ROOT / "bdd100k_d2"
    found = {str(path.relative_to(ROOT)) for path in scripts if "__main__" in path.read_text()}
    for path in package.rglob("*.py"):
        if path.name == "__main__.py":
            found.add(f"bdd100k_d2.{path.parent.relative_to(package)}".replace("/", "."))
        elif '\nif __name__ == "__main__":' in path.read_text():
            found.add(f"bdd100k_d2.{path.relative_to(package).with_suffix('')}".replace("/", "."))
    return found


def write_inputs(folder: Path, instances: int = 2) -> None:
    """Writes the inputs of all; label files with masks have ``instances`` in each frame."""
    shutil.rmtree(folder, ignore_errors=True)
    for name, content in _files(instances).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


@cache
def _files(instances: int) -> dict[str, bytes]:
    categories = [("pedestrian", "car")[i % 2] for i in range(instances)]
    truth, found = (_run_lengths(categories, score) for score in (None, 0.5))
    masks = {f"{name}.png": _mask(19) for name in "ab"}
    bits = {f"{name}.png": _bitmask(8) for name in "ab"}
    scores = [{"name": f"{name}.jpg", "labels": [{"index": i, "score": 0.5} for i in (1, 2)]} for name in "ab"]
    picture = cv2.imencode(".jpg", np.random.default_rng(0).integers(0, 256, (*SHAPE, 3), np.uint8))[1].tobytes()
    files = {
        "gt.json": _json(DET),
        "pred.json": _json(FOUND),
        "coco.json": _json(COCO),
        "tracks.json": _json(TRACKING),
        "tracks2.json": _json(FOUND_TRACKS),
        "rle.json": _json(truth),
        "rle2.json": _json(found),
        "scores.json": _json(scores),
        "masks.zip": _archive(masks),
        "decisions.json": _json(DECISIONS),
        "config.yaml": b"_BASE_: no such config.yaml\n",
        "weights.pth": b"no checkpoint",
        **{f"yolo/{name.removeprefix('in/')}": content for name, content in _YOLO.items()},
        **{f"run/{name}": content for name, content in _RUN.items() if not name.startswith("bdd100k")},
        "root/bdd100k/labels/det_20/det_val.json": _json(DET),
    }
    for name, content in masks.items():
        files |= {f"{place}/{name}": content for place in ("masks", "found", "root/bdd100k/labels/sem_seg/masks/val")}
    for name, content in bits.items():
        files |= {f"{place}/{name}": content for place in ("bits", "bits2")}
    for name in ("a.jpg", "b.jpg"):
        places = ("images", "root/bdd100k/images/100k/val", "root/bdd100k/images/10k/val")
        files |= {f"{place}/{name}": picture for place in places}
    return files


def contents(folder: Path) -> dict[str, object]:
    """Everything in a folder by its path: the bytes of a file, or what kind of a thing it is."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else path.lstat().st_mode
        for path in sorted(folder.rglob("*"))
    }
