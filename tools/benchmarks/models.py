"""Training and prediction beside stock Detectron2's, with the same config, weights and data."""

import json
import logging
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np

from bdd100k_d2.evaluation.prediction_files import mask_path, write_mask

from .evaluate import machine, named
from .predicting import COMPARED
from .problem import draw_images, draw_masks, find_images, make_labels
from .process import measure
from .variants import Variant, predicting_variants, training_variants

logger = logging.getLogger(__name__)

CONFIGS = ("det/faster_rcnn_R_50_FPN_1x", "sem_seg/semantic_fpn_R_50_40k")

_BOXES_PER_FRAME = 18.5

_WEIGHTS = (
    "import sys, torch, bdd100k_d2; from bdd100k_d2.engine.trainer import Trainer; torch.manual_seed(0);"
    "cfg = bdd100k_d2.get_config(sys.argv[1]); cfg.MODEL.WEIGHTS = '';"
    "torch.save({'model': Trainer.build_model(cfg).state_dict()}, sys.argv[2])"
)


class Speed(NamedTuple):
    """What a variant reached.

    Attributes:
        config: name of the config.
        variant: name of the variant.
        images_per_second: median of the runs.
        ratio: to the first variant of the config, which is stock Detectron2.
        memory: bytes at the most: of the GPU's allocator where there is one, else of the process.
        agreement: of a training the largest relative difference of a loss to stock's; of a prediction the share of
            stock's boxes that it has too (the same class, IoU 0.9, score within 0.02), or of equal pixels.
    """

    config: str
    variant: str
    images_per_second: float
    ratio: float
    memory: int
    agreement: float


class SpeedReport(NamedTuple):
    """All that was measured, and where."""

    machine: dict[str, str]
    kind: str
    speeds: list[Speed]

    def text(self) -> str:
        """A Markdown table with the machine above it."""
        agreement = "loss difference" if self.kind == "train" else "equal results"
        lines = [
            ", ".join(f"{name} {value}" for name, value in self.machine.items()),
            "",
            f"| model | variant | images/s | times stock | memory | {agreement} |",
            "|---|---|--:|--:|--:|--:|",
        ]
        for one in self.speeds:
            agreed = f"{one.agreement:.1e}" if self.kind == "train" else f"{one.agreement:.1%}"
            cells = [one.config, one.variant, f"{one.images_per_second:.3g}", f"{one.ratio:.2f}"]
            lines.append(f"| {' | '.join([*cells, f'{one.memory / 1e9:.2f} GB', agreed])} |")
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """The same as numbers: images per second, bytes, fractions."""
        return named(self)


def run_training_benchmark(
    configs: Sequence[str] = CONFIGS,
    batch_size: int | None = None,
    iterations: int | None = None,
    repeat: int = 1,
    levers: bool = False,
    images: Path | None = None,
    weights: Path | None = None,
    keys: Sequence[str] = (),
) -> SpeedReport:
    """Trains a few iterations in each variant, from the same weights and on the same data.

    Args:
        configs: of the models.
        batch_size: images of an iteration; without it 16 on a GPU and 2 on the CPU.
        iterations: to measure; without it 50 on a GPU and 4 on the CPU.
        repeat: runs of each variant, in turn.
        levers: measure each lever alone, too.
        images: a folder of JPEG files of 1280x720; without it some are drawn.
        weights: to start from; without them they are drawn by seed.
        keys: config keys and values in turn, for all variants.

    Raises:
        DataError: the folder holds no JPEG file, or a training fails.
    """
    on_gpu = _has_gpu()
    batch_size, iterations = batch_size or (16 if on_gpu else 2), iterations or (50 if on_gpu else 4)
    # Autotuning and compilation happen in the first.
    warmup = max(iterations // 5, 2)
    keys = ("SOLVER.IMS_PER_BATCH", str(batch_size), *keys)
    with tempfile.TemporaryDirectory(prefix="benchmark") as name:
        root = Path(name)
        shown = find_images(images) if images else draw_images(root / "drawn")
        _make_root(root, shown)
        speeds = []
        for config in configs:
            drawn = weights or draw_weights(config, root / "weights.pth")
            sizes = (warmup, iterations)
            commands = {
                one: ("training", one.kind, config, root, drawn, root / "out", *sizes, *keys, *one.keys)
                for one in training_variants(on_gpu, levers)
            }
            runs = _in_turn(commands, repeat)
            stock: dict[str, float] = {}
            rates = []
            for variant, answers in runs.items():
                losses = answers[0]["losses"]
                stock = stock or losses
                difference = max(abs(losses[name] - value) / max(abs(value), 1e-12) for name, value in stock.items())
                seconds = median(second for answer in answers for second in answer["seconds"])
                rates.append(batch_size / seconds)
                memory = max(answer["memory"] for answer in answers)
                speeds.append(Speed(config, variant.name, rates[-1], rates[-1] / rates[0], memory, difference))
        return SpeedReport(machine("torch", "torchvision"), "train", speeds)


def run_predicting_benchmark(
    configs: Sequence[str] = CONFIGS,
    batch_size: int | None = None,
    frames: int | None = None,
    repeat: int = 1,
    levers: bool = False,
    images: Path | None = None,
    weights: Path | None = None,
    keys: Sequence[str] = (),
) -> SpeedReport:
    """Predicts the same images in each variant, from files on the disk to results in the main memory.

    Args:
        configs: of the models.
        batch_size: of the variants with batches; without it 16 on a GPU and 4 on the CPU.
        frames: to measure; without it 512 on a GPU and 8 on the CPU.
        repeat: runs of each variant, in turn.
        levers: measure each lever alone, too.
        images: a folder of JPEG files; without it some are drawn.
        weights: of the models; without them they are drawn by seed.
        keys: config keys and values in turn, for all variants.

    Raises:
        DataError: the folder holds no JPEG file, or a prediction fails.
    """
    on_gpu = _has_gpu()
    batch_size, frames = batch_size or (16 if on_gpu else 4), frames or (512 if on_gpu else 8)
    with tempfile.TemporaryDirectory(prefix="benchmark") as name:
        folder = Path(name)
        shown = find_images(images) if images else draw_images(folder / "drawn")
        links = folder / "images"
        links.mkdir()
        for image in shown:
            (links / image.name).symlink_to(image)
        speeds = []
        for config in configs:
            drawn = weights or draw_weights(config, folder / "weights.pth")
            variants = predicting_variants(on_gpu, levers, batch_size)
            results = {one: folder / f"{number}.npz" for number, one in enumerate(variants)}
            commands = {}
            for one in variants:
                files, sizes = (links, drawn, results[one]), (batch_size, frames, one.batch_size)
                commands[one] = ("predicting", one.kind, config, *files, *sizes, one.amp, one.fold, *keys, *one.keys)
            runs = _in_turn(commands, repeat)
            rates = []
            for variant, answers in runs.items():
                rates.append(median(answer["images_per_second"] for answer in answers))
                memory = max(answer["memory"] for answer in answers)
                agreed = agreement(results[variants[0]], results[variant])
                speeds.append(Speed(config, variant.name, rates[-1], rates[-1] / rates[0], memory, agreed))
        return SpeedReport(machine("torch", "torchvision"), "predict", speeds)


def agreement(stock: Path, ours: Path) -> float:
    """The share of stock's boxes that ours have too, or of the pixels that are of the same class; see `Speed`."""
    expected, found = np.load(stock), np.load(ours)
    equal = total = 0
    for number in range(COMPARED):
        if f"{number}_ids" in expected:
            same = expected[f"{number}_ids"] == found[f"{number}_ids"]
            equal, total = equal + int(same.sum()), total + same.size
        elif f"{number}_boxes" in expected:
            theirs, mine = (
                tuple(file[f"{number}_{part}"] for part in ("boxes", "scores", "classes")) for file in (expected, found)
            )
            equal, total = equal + _matched(theirs, mine), total + len(theirs[0])
    return equal / total if total else 1.0


def _matched(
    expected: tuple[np.ndarray, np.ndarray, np.ndarray], found: tuple[np.ndarray, np.ndarray, np.ndarray]
) -> int:
    """How many of the expected boxes (N, 4), scores (N,), classes (N,) have their like among those found."""
    (boxes, scores, classes), (others, other_scores, other_classes) = expected, found
    if not len(boxes) or not len(others):
        return 0
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    shared = (high - low).clip(0).prod(axis=2)
    areas, other_areas = ((b[:, 2:] - b[:, :2]).prod(axis=1) for b in (boxes, others))
    iou = shared / np.maximum(areas[:, None] + other_areas[None] - shared, 1e-9)
    alike = (iou >= 0.9) & (classes[:, None] == other_classes[None])
    alike &= np.abs(scores[:, None] - other_scores[None]) <= 0.02
    return int(alike.any(axis=1).sum())


def _has_gpu() -> bool:
    import torch

    return torch.cuda.is_available()


def draw_weights(config: str, path: Path) -> Path:
    measure([sys.executable, "-c", _WEIGHTS, config, str(path)])
    return path


def _make_root(root: Path, shown: Sequence[Path]) -> None:
    """A training set of det and one of sem_seg with these images, where the official downloads put them."""
    base = root / "bdd100k"
    made, images = make_labels(root / "made", len(shown), round(len(shown) * _BOXES_PER_FRAME))
    labels = base / "labels/det_20/det_train.json"
    folders = base / "images/100k/train", base / "images/10k/train"
    for folder in (labels.parent, *folders):
        folder.mkdir(parents=True)
    made.rename(labels)
    for place, (image, source) in enumerate(zip(sorted(images.iterdir()), shown, strict=True)):
        for folder in folders:
            (folder / image.name).symlink_to(source)
        write_mask(draw_masks(place)[0], mask_path(base / "labels/sem_seg/masks/train", image.name))


def _in_turn(commands: Mapping[Variant, Sequence[object]], repeat: int) -> dict[Variant, list[dict[str, Any]]]:
    """The answers of each variant, one per round, so that what disturbs the machine does not hit one of them alone."""
    answers: dict[Variant, list[dict[str, Any]]] = {variant: [] for variant in commands}
    for _ in range(repeat):
        for variant, command in commands.items():
            answers[variant].append(_run(*command))
    return answers


def _run(module: str, *arguments: object) -> dict[str, Any]:
    command = [sys.executable, "-m", f"benchmarks.{module}", *map(str, arguments)]
    logger.info("Running %s", " ".join(command))
    usage = measure(command)
    answer = json.loads(usage.output.splitlines()[-1])
    return {**answer, "memory": answer["gpu_memory"] or usage.peak}
