"""How many planted errors of labels stand among the first suspects: by this package, by cleanlab, and by chance."""

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np

from bdd100k_d2.data.labels import Frame, write_frames
from bdd100k_d2.data.vintages import read_labels
from bdd100k_d2.errors import DataError
from bdd100k_d2.suspects.find import SuspectOptions, find_suspects
from bdd100k_d2.suspects.records import CLASS, MISSING, PHANTOM, PLACEMENT, Corners, box_overlap
from bdd100k_d2.tasks import TASKS

from .planted_errors import KINDS, PlantedError, PlantedLabels, plant_errors
from .planted_frames import KindReport, boxes_by_masks, plant_times

_SCRIPT = Path(__file__).with_name("sources") / "cleanlab_scores.py"
_SIZE = (1280, 720)
_SAME_PLACE = 0.5
_KINDS = (MISSING, PHANTOM, CLASS, PLACEMENT)
# cleanlab's own limit of what is confident, and the lower one with which it does best here.
_LIMITS = (0.95, 0.5)


class Guess(NamedTuple):
    """A suspect of any method: of a label by its ``place`` in its frame, or -1 and the box of what is missing."""

    frame: str
    place: int
    box: Corners | None


class Found(NamedTuple):
    """Of the first guesses of a method: how many are right, and of the planted errors how many are found, by kind."""

    method: str
    right: float
    found: dict[str, float]

    @property
    def recall(self) -> float:
        """Of all planted errors."""
        return sum(self.found.values()) / len(self.found)


class SuspectReport(NamedTuple):
    """The mean over the seeds."""

    frames: int
    labels: int
    errors: int
    first: int
    seeds: int
    rows: list[Found]

    def text(self) -> str:
        """A Markdown table, with what was planted above it."""
        lines = [
            f"{self.frames:,} frames, {self.labels:,} labels, {self.errors:,} planted errors, the first {self.first:,} "
            f"suspects, mean of {self.seeds} seeds",
            "",
            f"| method | precision | recall | {' | '.join(KINDS)} |",
            "|---|--:|--:|" + "--:|" * len(KINDS),
        ]
        for row in self.rows:
            cells = [row.right, row.recall, *(row.found[kind] for kind in KINDS)]
            lines.append(f"| {row.method} | {' | '.join(f'{100 * cell:.0f} %' for cell in cells)} |")
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """The same as shares of 0 to 1."""
        return self._asdict() | {"rows": [row._asdict() for row in self.rows]}


def run_suspect_benchmark(
    truth: Path, predicted: Path, share: float, first: int, seeds: int, frames: int | None, cleanlab: str | None
) -> SuspectReport:
    """Plants errors into labels of det, and looks for them by predictions of a model that has seen neither.

    ``cleanlab`` is the Python of an environment that has it.
    """
    sound = sorted(read_labels(truth).frames, key=lambda frame: frame.name)[:frames]
    names = {frame.name for frame in sound}
    detections = [frame for frame in read_labels(predicted).frames if frame.name in names]
    if not detections:
        raise DataError(f"{predicted}: none of its frames is in {truth}; give predictions of these frames.")
    rows: dict[str, list[Found]] = {}
    for seed in range(seeds):
        planted = plant_errors(sound, share, seed, _SIZE)
        for method, guesses in _guesses(planted, detections, first, cleanlab, seed).items():
            rows.setdefault(method, []).append(_found(method, guesses, planted.errors))
    mean = [
        Found(
            method,
            float(np.mean([one.right for one in of_seeds])),
            {kind: float(np.mean([one.found[kind] for one in of_seeds])) for kind in KINDS},
        )
        for method, of_seeds in rows.items()
    ]
    return SuspectReport(len(sound), planted.num_labels, len(planted.errors), first, seeds, mean)


def run_kind_benchmark(
    truth: Path, predicted: Path, share: float, first: int, seeds: int, images: Path | None, masks: Path | None
) -> KindReport:
    """Plants wrong times of day, which images tell, and errors of boxes that masks of the same frames tell."""
    sound = sorted(read_labels(truth).frames, key=lambda frame: frame.name)
    options, rows = SuspectOptions(first, workers=1), []
    for seed in range(seeds):
        with TemporaryDirectory() as folder:
            labels = Path(folder, "labels.json")
            if images is not None:
                rows.append(plant_times(sound, share, seed, labels, options, predicted, images))
            if masks is not None:
                planted = plant_errors(sound, share, seed, _SIZE)
                rows.append(boxes_by_masks(planted, labels, options, predicted, masks))
    return KindReport(rows)


def _guesses(
    planted: PlantedLabels, detections: Sequence[Frame], first: int, cleanlab: str | None, seed: int
) -> dict[str, list[Guess]]:
    with TemporaryDirectory() as folder:
        labels, predicted = Path(folder, "labels.json"), Path(folder, "predicted.json")
        write_frames(planted.frames, labels)
        write_frames(detections, predicted)
        options = SuspectOptions(first, kinds=_KINDS, workers=1)
        suspects = find_suspects("det", labels, [predicted], None, options).suspects
        found = {
            "tools/suspects.py": [
                Guess(one.change.frame, -1 if one.change.label is None else one.change.label.place, one.model_box)
                for one in suspects
            ]
        }
        if cleanlab is not None:
            for limit in _LIMITS:
                name = f"cleanlab, confident from {limit:g}"
                found[name] = _by_cleanlab(cleanlab, planted.frames, detections, limit, Path(folder))[:first]
    rng = np.random.default_rng([seed, 1])
    all_labels = [(frame.name, place) for frame in planted.frames for place in range(len(frame.labels or ()))]
    chance = rng.permutation(len(all_labels))[:first]
    found["chance, of the labels"] = [Guess(*all_labels[i], None) for i in chance.tolist()]
    return found


def _by_cleanlab(
    python: str, frames: Sequence[Frame], detections: Sequence[Frame], limit: float, folder: Path
) -> list[Guess]:
    """The guesses of cleanlab's three scores of boxes, together in the order of the scores."""
    classes = TASKS["det"].label_classes
    by_name = {frame.name: frame for frame in detections}

    def columns(frame: Frame | None) -> list[list[float]]:
        labels = [] if frame is None else frame.labels or []
        return [
            [
                classes[one.category or ""].index,
                one.box2d.x1,
                one.box2d.y1,
                one.box2d.x2,
                one.box2d.y2,
                one.score or 0.0,
            ]
            for one in labels
            if one.box2d is not None
        ]

    content = {
        "num_classes": len(TASKS["det"].names),
        "limit": limit,
        "labels": [columns(frame) for frame in frames],
        "predictions": [columns(by_name.get(frame.name)) for frame in frames],
    }
    asked, answered = folder / "asked.json", folder / "answered.json"
    asked.write_text(json.dumps(content))
    subprocess.run([python, str(_SCRIPT), str(asked), str(answered)], check=True, stdout=sys.stderr)
    guesses = []
    for score, kind, frame, place, box in sorted(json.loads(answered.read_text())):
        name = frames[frame].name
        guesses.append((score, Guess(name, -1 if kind == "overlooked" else place, tuple(box) if box else None)))
    kept: dict[tuple[str, int, Corners | None], Guess] = {}
    for _, guess in guesses:
        # A label counts once, whatever is wrong with it.
        kept.setdefault((guess.frame, guess.place, guess.box if guess.place < 0 else None), guess)
    return list(kept.values())


def _found(method: str, guesses: Sequence[Guess], errors: Sequence[PlantedError]) -> Found:
    """A guess is right if it is about a wrong label, or at the place of a right box that no label has any more.

    Of several guesses about one error the first is right.
    """
    found: set[int] = set()
    for guess in guesses:
        for i, error in enumerate(errors):
            if i not in found and error.frame == guess.frame and is_about(guess, error):
                found.add(i)
                break
    total = Counter(error.kind for error in errors)
    hits = Counter(errors[i].kind for i in found)
    return Found(method, len(found) / max(len(guesses), 1), {kind: hits[kind] / max(total[kind], 1) for kind in KINDS})


def is_about(guess: Guess, error: PlantedError) -> bool:
    """Whether a guess is of the wrong label, or at the place of its right box."""
    if guess.place >= 0:
        return guess.place == error.place
    return guess.box is not None and error.box is not None and box_overlap(guess.box, error.box) >= _SAME_PLACE
