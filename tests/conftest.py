"""Data that the tests make, and the real data where it is there."""

import logging
import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from support import ROOT
from support.frames import make_frame, write_image
from support.small_models import small_config

from bdd100k_d2.data.labels import Frame, FrameAttributes, ImageSize, write_frames

if TYPE_CHECKING:
    from detectron2.config import CfgNode

_LOGGERS = ("bdd100k_d2", "detectron2", "fvcore")

REAL_DATA = Path(os.environ.get("BDD100K_TEST_DATA") or ROOT.parent / "shared" / "data")


# Where the tests are started in the background, Ctrl-C is ignored, by them and by every command that they start.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def loggers_as_they_were() -> Iterator[None]:
    """Detectron2's `setup_logger`, which commands and trainers call, changes loggers for good, and but once."""
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    before = [(one, one.level, one.propagate, one.handlers[:]) for one in loggers]
    yield
    for one, level, propagate, handlers in before:
        one.setLevel(level)
        one.propagate = propagate
        one.handlers[:] = handlers
    if "detectron2.utils.logger" in sys.modules:
        sys.modules["detectron2.utils.logger"].setup_logger.cache_clear()


@pytest.fixture
def catalogs_as_they_were() -> Iterator[None]:
    """Takes out of Detectron2's catalogs what a test has registered."""
    from detectron2.data import DatasetCatalog, MetadataCatalog

    known = {*DatasetCatalog.list()}
    yield
    for name in {*DatasetCatalog.list()} - known:
        DatasetCatalog.remove(name)
        MetadataCatalog.remove(name)


@pytest.fixture(scope="session")
def real_root() -> Path:
    """A root that holds a part of the real BDD100K."""
    if not (REAL_DATA / "bdd100k").is_dir():
        pytest.skip(f"no real data at {REAL_DATA}; set BDD100K_TEST_DATA to a folder that holds bdd100k/")
    return REAL_DATA


@pytest.fixture(scope="session")
def oracles() -> Path:
    """Ground truth and predictions with the scores that the official toolkits publish for them."""
    if not (REAL_DATA / "oracles").is_dir():
        pytest.skip(f"no oracles at {REAL_DATA}/oracles; set BDD100K_TEST_DATA to a folder that holds oracles/")
    return REAL_DATA / "oracles"


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """A folder with two images of 1280x720, to measure with."""
    for i in range(2):
        write_image(tmp_path / "images" / f"{i}.jpg", 720, 1280, seed=i)
    return tmp_path / "images"


@pytest.fixture(scope="session")
def drawn_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `tiny_root` is a copy of: to be read only."""
    root = tmp_path_factory.mktemp("drawn")
    base = root / "bdd100k"
    for split in ("train", "val", "test"):
        names = [f"{split}{i}.jpg" for i in range(3)]
        for i, name in enumerate(names):
            write_image(base / "images/100k" / split / name, seed=i)
            write_image(base / "images/10k" / split / name, 720, 1280, seed=i)
        if split == "test":
            continue
        frames = [
            make_frame(
                names[0],
                ("car", 10, 20, 60, 70),
                ("pedestrian", 100, 30, 120, 80),
                attributes=FrameAttributes(weather="clear", scene="highway", timeofday="night"),
            ),
            make_frame(names[1], ("other vehicle", 5, 5, 50, 50), ("motor", 90, 40, 140, 90)),
            Frame(name=names[2], size=ImageSize(160, 96)),
        ]
        (base / "labels/det_20").mkdir(parents=True, exist_ok=True)
        write_frames(frames, base / f"labels/det_20/det_{split}.json")
        for task, classes in (("sem_seg", 19), ("drivable", 3)):
            folder = base / "labels" / task / "masks" / split
            folder.mkdir(parents=True)
            for i in range(3):
                ids = np.random.default_rng(i).integers(0, classes, (9, 16), np.uint8)
                ids[0, 0] = 255
                mask = cv2.resize(ids, (1280, 720), interpolation=cv2.INTER_NEAREST)
                cv2.imwrite(str(folder / f"{split}{i}.png"), mask)
    return root


@pytest.fixture
def tiny_root(drawn_root: Path, tmp_path: Path) -> Path:
    """A root with three frames of each split of det, and of sem_seg and drivable with 720p masks."""
    return shutil.copytree(drawn_root, tmp_path / "root")


@pytest.fixture
def small_cfg(tiny_root: Path, tmp_path: Path) -> "Callable[..., CfgNode]":
    """Makes the config of a small training on three images in ``tmp_path / "out"``."""
    return lambda *overrides: small_config(tiny_root, "OUTPUT_DIR", str(tmp_path / "out"), *overrides)
