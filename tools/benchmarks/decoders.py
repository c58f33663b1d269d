"""JPEG files read to the array that a mapper wants, by each library that can."""

import importlib
import importlib.util
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import cv2
import numpy as np

from .evaluate import machine, named
from .problem import draw_images, find_images

_AT_MOST = 64


class Decoder(NamedTuple):
    """What a decoder took.

    Attributes:
        name: of the library and the way it is called.
        milliseconds: for an image from the disk's cache to an array (3, H, W), RGB: the median of the rounds' means.
        difference: the largest of a pixel to what Detectron2 reads.
    """

    name: str
    milliseconds: float
    difference: int


class DecoderReport(NamedTuple):
    """All that was measured, and where."""

    machine: dict[str, str]
    images: int
    decoders: list[Decoder]

    def text(self) -> str:
        """A Markdown table with the machine above it."""
        lines = [
            ", ".join(f"{name} {value}" for name, value in self.machine.items()),
            "",
            "| decoder | ms per image | largest difference |",
            "|---|--:|--:|",
        ]
        lines += [f"| {one.name} | {one.milliseconds:.2f} | {one.difference} |" for one in self.decoders]
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """The same as numbers."""
        return named(self)


def run_decoder_benchmark(repeat: int = 5, images: Path | None = None) -> DecoderReport:
    """Measures the decoders in turn, on one core.

    Args:
        repeat: rounds over the images.
        images: a folder of JPEG files, of which 64 are read; without it some are drawn.

    Raises:
        DataError: the folder holds no JPEG file.
    """
    with tempfile.TemporaryDirectory(prefix="benchmark") as name:
        paths = find_images(images) if images else draw_images(Path(name, "drawn"))
        paths = paths[:_AT_MOST]
        cv2.setNumThreads(1)
        readers = _readers()
        rounds: dict[str, list[float]] = {name: [] for name in readers}
        for _ in range(repeat):
            for reader, times in rounds.items():
                times.append(_time(readers[reader], paths))
        expected, *_ = readers.values()
        decoders = [
            Decoder(reader, 1000 * median(times), max(_difference(readers[reader], expected, path) for path in paths))
            for reader, times in rounds.items()
        ]
        packages = ["pillow", "opencv-python-headless", "torchvision", *_SIMPLEJPEG]
        return DecoderReport(machine(*packages), len(paths), decoders)


_SIMPLEJPEG = ["simplejpeg"] if importlib.util.find_spec("simplejpeg") else []


def _readers() -> dict[str, Callable[[Path], np.ndarray]]:
    import torch
    from detectron2.data.detection_utils import read_image
    from torchvision.io import ImageReadMode, decode_jpeg

    from bdd100k_d2.data.images import load_image

    def by_torchvision(path: Path) -> np.ndarray:
        content = torch.from_numpy(np.fromfile(path, np.uint8))
        return decode_jpeg(content, ImageReadMode.RGB, apply_exif_orientation=True).numpy()

    readers = {
        "Detectron2 (Pillow)": lambda path: _channels_first(read_image(str(path), "RGB")),
        "this package (OpenCV)": lambda path: _channels_first(load_image(path, "RGB")),
        "OpenCV alone": lambda path: _channels_first(cv2.imread(str(path))[..., ::-1]),
        "torchvision": by_torchvision,
    }
    if _SIMPLEJPEG:
        # Compared where it is installed; nothing needs it.
        simplejpeg = importlib.import_module("simplejpeg")
        readers["simplejpeg"] = lambda path: _channels_first(simplejpeg.decode_jpeg(path.read_bytes(), "RGB"))
    return readers


def _channels_first(image: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(image.transpose(2, 0, 1))


def _time(reader: Callable[[Path], np.ndarray], paths: Sequence[Path]) -> float:
    start = time.perf_counter()
    for path in paths:
        reader(path)
    return (time.perf_counter() - start) / len(paths)


def _difference(reader: Callable[[Path], np.ndarray], expected: Callable[[Path], np.ndarray], path: Path) -> int:
    return int(np.abs(reader(path).astype(np.int16) - expected(path)).max())
