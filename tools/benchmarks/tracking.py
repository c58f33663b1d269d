"""The tracker beside one of a library, on the same detections: official scores, and time a frame."""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from bdd100k_d2.data.labels import Box2D, Frame, Label, write_frames
from bdd100k_d2.data.videos import read_videos
from bdd100k_d2.data.vintages import read_labels
from bdd100k_d2.errors import OutputError
from bdd100k_d2.evaluation.files.evaluate import evaluate_files
from bdd100k_d2.evaluation.toolkit_format import summary
from bdd100k_d2.tasks import SCORED_TASKS
from bdd100k_d2.tracking.byte_track import ByteTracker, TrackerSettings

from .evaluate import machine, named

_NAMES = SCORED_TASKS["box_track"].names
_SHOWN = ("MOTA", "IDF1", "mMOTA", "mIDF1", "FP", "FN", "IDSw")
# (sure, new) of ours, and of the library what it calls the same.
_THRESHOLDS = ((0.6, 0.7), (0.5, 0.6))
_CONFUSED = {2: 3, 3: 4, 4: 3}

Detections = dict[str, list[dict[str, list[Any]]]]
"""By video: of each frame the ``boxes`` (N, 4) x1, y1, x2, y2, ``scores`` and ``classes``."""


class TrackerScores(NamedTuple):
    """A tracker with its thresholds, some official scores, and the processor's milliseconds a frame."""

    name: str
    scores: dict[str, float]
    milliseconds: float


class TrackingReport(NamedTuple):
    """All that was measured, and where."""

    machine: dict[str, str]
    frames: int
    trackers: list[TrackerScores]

    def text(self) -> str:
        """A Markdown table with the machine above it."""
        lines = [", ".join(f"{name} {value}" for name, value in self.machine.items()) + f", {self.frames:,} frames", ""]
        lines += [f"| tracker | {' | '.join(_SHOWN)} | ms a frame |", f"|---|{'--:|' * (len(_SHOWN) + 1)}"]
        for one in self.trackers:
            cells = [
                f"{one.scores[name]:.1f}" if name not in ("FP", "FN", "IDSw") else str(one.scores[name])
                for name in _SHOWN
            ]
            lines.append(f"| {one.name} | {' | '.join(cells)} | {one.milliseconds:.2f} |")
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """The same as numbers."""
        return named(self)


def run_tracking_benchmark(
    films: int, frames: int, seed: int, labels: Path | None, found: Path | None, library: Path | None
) -> TrackingReport:
    """Tracks in ``films`` that are drawn, or of ``labels``, what was ``found`` there, or is made of the labels by seed.

    ``library`` is the Python of an environment with the package trackers.

    Raises:
        OutputError: the library fails; the message ends with what it says.
    """
    with tempfile.TemporaryDirectory(prefix="benchmark") as name:
        folder = Path(name)
        if labels is None:
            labels = _draw(films, frames, seed, folder)
        videos = read_videos(labels)
        detections = _simulated(videos, seed) if found is None else _read(videos, found)
        results = [
            _scored(f"ours, {sure} and {new}", _ours(detections, sure, new), videos, labels, folder)
            for sure, new in _THRESHOLDS
        ]
        for one, numbers in _of_library(detections, library) if library is not None else ():
            results.append(_scored(one, numbers, videos, labels, folder))
    return TrackingReport(machine("numpy", "scipy"), sum(map(len, videos.values())), results)


def _draw(films: int, frames: int, seed: int, folder: Path) -> Path:
    """Draws films below ``folder``; returns the folder of their labels."""
    script = Path(__file__).parents[2] / "datasets" / "make_sample.py"
    counts = {"films": films, "film-frames": frames, "seed": seed, "train": 0, "val": 0, "test": 0}
    arguments = [str(part) for name, value in counts.items() for part in (f"--{name}", value)]
    command = [sys.executable, str(script), "--out", str(folder), *arguments]
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    return folder / "bdd100k/labels/box_track_20/val"


def _simulated(videos: dict[str, list[Frame]], seed: int) -> Detections:
    """What a sound detector finds: it misses what is small or hidden, takes one for another, and sees what is not."""
    random = np.random.default_rng(seed)
    found: Detections = {}
    for video, frames in videos.items():
        for frame in frames:
            rows = []
            for label in frame.labels or ():
                box, k = label.box2d, _NAMES.index(label.category)
                size = np.array([box.x2 - box.x1 + 1, box.y2 - box.y1 + 1] * 2)
                is_hard = bool(label.attributes and label.attributes.occluded) or size.min() < 16
                if random.random() < (0.25 if is_hard else 0.05):
                    continue
                corners = np.array([box.x1, box.y1, box.x2 + 1, box.y2 + 1]) + random.normal(0, 0.04, 4) * size
                score = float(np.clip(random.normal(0.55 if is_hard else 0.85, 0.15), 0.06, 0.99))
                rows.append((corners.tolist(), score, _CONFUSED.get(k, k) if random.random() < 0.03 else k))
            for _ in range(random.poisson(1.5)):
                x, y, width = random.uniform(0, 1200), random.uniform(250, 500), random.uniform(15, 120)
                corners = [x, y, x + width, y + width * random.uniform(0.6, 1.5)]
                rows.append((corners, float(random.beta(1.5, 4)), int(random.choice([0, 2, 2, 3]))))
            found.setdefault(video, []).append(_columns(rows))
    return found


def _read(videos: dict[str, list[Frame]], path: Path) -> Detections:
    """Those of a ``det.json`` of `tools/predict.py`, by the frames' names."""
    by_name = {frame.name: frame.labels or () for frame in read_labels(path).frames}
    found: Detections = {}
    for video, frames in videos.items():
        for frame in frames:
            labels = [label for label in by_name.get(frame.name, ()) if label.category in _NAMES and label.box2d]
            rows = [
                ([box.x1, box.y1, box.x2 + 1, box.y2 + 1], label.score, _NAMES.index(label.category))
                for label in labels
                for box in [label.box2d]
            ]
            found.setdefault(video, []).append(_columns(rows))
    return found


def _columns(rows: Sequence[tuple[list[float], float, int]]) -> dict[str, list[Any]]:
    return dict(
        zip(("boxes", "scores", "classes"), map(list, zip(*rows, strict=True)) if rows else ([], [], []), strict=True)
    )


_Tracked = tuple[Detections, float]
"""Detections with ``ids`` for all, -1 for none, and the processor's seconds."""


def _ours(detections: Detections, sure: float, new: float) -> _Tracked:
    tracked: Detections = {}
    seconds = 0.0
    for video, frames in detections.items():
        tracker = ByteTracker(TrackerSettings(sure=sure, new=new))
        for frame in frames:
            columns = [np.array(frame[name]) for name in ("boxes", "scores", "classes")]
            start = time.process_time()
            numbers = tracker.update(*columns)
            seconds += time.process_time() - start
            ids = np.where(numbers > 0, numbers, -1).tolist()
            tracked.setdefault(video, []).append(frame | {"ids": ids})
    return tracked, seconds


def _of_library(detections: Detections, python: Path) -> Iterator[tuple[str, _Tracked]]:
    script = Path(__file__).with_name("sources") / "tracking_library.py"
    with tempfile.TemporaryDirectory() as name:
        source, target = Path(name, "found.json"), Path(name, "tracked.json")
        source.write_text(json.dumps([detections, _THRESHOLDS]))
        command = [str(python), "-I", str(script), str(source), str(target)]
        done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False)
        if done.returncode:
            raise OutputError(f"{python}: the package trackers fails there; it says:\n{done.stderr[-2000:]}")
        for one, tracked, seconds in json.loads(target.read_text()):
            yield one, (tracked, seconds)


def _scored(name: str, result: _Tracked, videos: dict[str, list[Frame]], labels: Path, folder: Path) -> TrackerScores:
    tracked, seconds = result
    frames = []
    for video, rows in tracked.items():
        for truth, row in zip(videos[video], rows, strict=True):
            objects = zip(row["boxes"], row["scores"], row["classes"], row["ids"], strict=True)
            found = [
                Label(str(number), _NAMES[k], score, box2d=Box2D(x1, y1, x2 - 1, y2 - 1))
                for (x1, y1, x2, y2), score, k, number in objects
                if number >= 0
            ]
            frames.append(Frame(truth.name, video, frameIndex=truth.frameIndex, labels=found))
    write_frames(frames, folder / "box_track.json")
    scores = summary(evaluate_files("box_track", labels, folder / "box_track.json").official)
    return TrackerScores(name, {key: scores[key] for key in _SHOWN}, 1000 * seconds / len(frames))
