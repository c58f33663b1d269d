"""Model files beside stock Detectron2 and the models that they were made from, on one machine and the same images."""

import json
import logging
import sys
import tempfile
from collections.abc import Collection, Sequence
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from bdd100k_d2.config import config_folder

from .evaluate import machine, named
from .models import CONFIGS, agreement, draw_weights
from .problem import draw_images, find_images
from .process import measure

logger = logging.getLogger(__name__)

# Which kinds compute in bfloat16 on this CPU when they may.
_IN_BFLOAT16 = """
from bdd100k_d2.engine.precision import has_fast_bfloat16
from bdd100k_d2.predict.openvino_session import import_openvino
has_openvino = "BF16" in import_openvino().Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
print(*["ours"] * has_fast_bfloat16(), *["file"] * has_openvino)
"""
_CALIBRATED = 300


class Way(NamedTuple):
    """A way to run a model.

    Attributes:
        name: in the table.
        kind: "stock", "ours" or "file".
        file: the name of the model file.
        options: of ``tools/export.py``, which makes it.
        amp: computed in bfloat16 where the CPU is faster for it.
    """

    name: str
    kind: str
    file: str = ""
    options: tuple[str, ...] = ()
    amp: bool = False


class Measured(NamedTuple):
    """What a way reached.

    Attributes:
        config: name of the config.
        way: name of the way.
        images_per_second: median of the runs, from files on the disk to results in memory.
        ratio: to stock Detectron2.
        memory: bytes of the process at the most.
        start: seconds from the start of the process to the first result, the least of the runs.
        size: bytes of the model file, or of the weights.
        agreement: the share of stock's boxes that it has too (the same class, IoU 0.9, score within 0.02), or of equal
            pixels.
        metric: the task's first score; None where there are no labels.
        score: its value in percent.
    """

    config: str
    way: str
    images_per_second: float
    ratio: float
    memory: int
    start: float
    size: int
    agreement: float
    metric: str | None
    score: float | None


class ExportReport(NamedTuple):
    """All that was measured, and where."""

    machine: dict[str, str]
    measured: list[Measured]

    def text(self) -> str:
        """A Markdown table with the machine above it."""
        lines = [
            ", ".join(f"{name} {value}" for name, value in self.machine.items()),
            "",
            "| model | run by | images/s | times stock | memory | start | file | equal results | score |",
            "|---|---|--:|--:|--:|--:|--:|--:|--:|",
        ]
        for one in self.measured:
            score = "-" if one.score is None else f"{one.metric} {one.score:.2f}"
            cells = [one.config, one.way, f"{one.images_per_second:.3g}", f"{one.ratio:.2f}"]
            cells += [f"{one.memory / 1e9:.2f} GB", f"{one.start:.2f} s", f"{one.size / 1e6:.1f} MB"]
            lines.append(f"| {' | '.join([*cells, f'{one.agreement:.1%}', score])} |")
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """The same as numbers: images per second, bytes, seconds, fractions, percent."""
        return named(self)


def export_ways(calibrate: Path, limit: int, in_bfloat16: Collection[str]) -> list[Way]:
    """What is compared; ``in_bfloat16`` names the kinds that compute in it where they may."""
    int8 = ("--int8", "--calibrate", str(calibrate), "--limit", str(limit))
    ways = [
        Way("stock `DefaultPredictor`", "stock"),
        Way("`Predictor`", "ours"),
        Way("`Predictor`, bfloat16", "ours", amp=True),
        Way("onnxruntime", "file", "float.onnx", ("--to", "onnx")),
        Way("onnxruntime, INT8", "file", "int8.onnx", ("--to", "onnx", *int8)),
        Way("OpenVINO", "file", "float.xml", ("--to", "openvino")),
        Way("OpenVINO, weights in float16", "file", "half.xml", ("--to", "openvino", "--fp16")),
        Way("OpenVINO, bfloat16", "file", "float.xml", ("--to", "openvino"), amp=True),
        Way("OpenVINO, INT8", "file", "int8.xml", ("--to", "openvino", *int8)),
        Way("OpenVINO, INT8, the rest in bfloat16", "file", "int8.xml", ("--to", "openvino", *int8), amp=True),
    ]
    return [way for way in ways if not way.amp or way.kind in in_bfloat16]


def run_export_benchmark(
    tool: Path,
    configs: Sequence[str] = CONFIGS,
    weights: Path | None = None,
    images: Path | None = None,
    calibrate: Path | None = None,
    limit: int = _CALIBRATED,
    frames: int = 8,
    repeat: int = 1,
    score: bool = False,
) -> ExportReport:
    """Exports models, and runs each in every way in a process of its own, in turn.

    Args:
        tool: the path of ``tools/export.py``.
        configs: of the models, as `get_config` takes them.
        weights: of the models; without them they are drawn by seed.
        images: a folder of JPEG files of 1280x720 to predict; without it some are drawn.
        calibrate: a folder of images to quantise with; without it those that are predicted.
        limit: so many of them at the most.
        frames: to measure, after two that are not.
        repeat: runs of each way; rates are medians.
        score: also score the first test set of each config in every way.

    Raises:
        DataError: the folder holds no JPEG file, or an export, a prediction or a scoring fails.
    """
    with tempfile.TemporaryDirectory(prefix="benchmark") as name:
        folder = Path(name)
        links = folder / "images"
        links.mkdir()
        for image in find_images(images) if images else draw_images(folder / "drawn"):
            (links / image.name).symlink_to(image.resolve())
        ways = export_ways(calibrate or links, limit, _call("-c", _IN_BFLOAT16).split())
        measured = []
        for config in configs:
            place = folder / config
            place.mkdir(parents=True)
            drawn = weights or draw_weights(config, place / "weights.pth")
            _export(tool, config, drawn, ways, place)
            measured += _measure(config, drawn, ways, place, (links, frames), repeat, score)
        return ExportReport(machine("torch", "onnxruntime", "openvino", "nncf"), measured)


def _export(tool: Path, config: str, weights: Path, ways: Sequence[Way], place: Path) -> None:
    for file, options in {way.file: way.options for way in ways if way.file}.items():
        out = ("--out", str(place / file))
        _call(
            str(tool),
            "--config-file",
            str(config_folder() / f"{config}.yaml"),
            *options,
            *out,
            "MODEL.WEIGHTS",
            str(weights),
        )


def _measure(
    config: str,
    weights: Path,
    ways: Sequence[Way],
    place: Path,
    problem: tuple[Path, int],
    repeat: int,
    score: bool,
) -> list[Measured]:
    images, frames = problem
    answers: dict[Way, list[dict[str, Any]]] = {way: [] for way in ways}
    for _ in range(repeat):
        for number, way in enumerate(ways):
            files = (weights, place / way.file, images, place / f"{number}.npz")
            answers[way].append(_run("exported", way.kind, config, *files, 2, frames, way.amp))
    measured: list[Measured] = []
    for number, (way, runs) in enumerate(answers.items()):
        rate = median(run["images_per_second"] for run in runs)
        scored: dict[str, Any] = {"metric": None, "score": None}
        if score:
            scored = _run("scoring", way.kind, config, weights, place / way.file, way.amp)
        measured.append(
            Measured(
                config,
                way.name,
                rate,
                rate / measured[0].images_per_second if measured else 1.0,
                max(run["memory"] for run in runs),
                min(run["start"] for run in runs),
                _size(place / way.file if way.file else weights),
                agreement(place / "0.npz", place / f"{number}.npz"),
                scored["metric"],
                scored["score"],
            )
        )
    return measured


def _size(file: Path) -> int:
    files = [file, *([file.with_suffix(".bin")] if file.suffix == ".xml" else [])]
    return sum(one.stat().st_size for one in files)


def _run(module: str, *arguments: object) -> dict[str, Any]:
    command = [sys.executable, "-m", f"benchmarks.{module}", *map(str, arguments)]
    logger.info("Running %s", " ".join(command))
    usage = measure(command)
    return {**json.loads(usage.output.splitlines()[-1]), "memory": usage.peak}


def _call(*arguments: str) -> str:
    logger.info("Running %s", " ".join(arguments).strip().replace("\n", "; "))
    return measure([sys.executable, *arguments]).output
