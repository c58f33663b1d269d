"""What images that are picked to be labelled show, beside as many that are drawn at random."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from bdd100k_d2.evaluation.files.detection import open_det
from bdd100k_d2.report.analysis.error_types import classify
from bdd100k_d2.report.analysis.matching import match
from bdd100k_d2.suspects.pick import FeaturesOf, pick_images

_DRAWS = 1000
# Fewer than one in thirty labels.
_RARE = 1 / 30
_CONFIDENT = 0.3


class PickReport(NamedTuple):
    """Of so many images the mean of each count per image: of those that are picked, and drawn with their spread."""

    number: int
    images: int
    rows: list[tuple[str, float, float, float]]

    def text(self) -> str:
        """A Markdown table."""
        lines = [
            f"{self.number:,} of {self.images:,} images, per image",
            "",
            "| | picked | at random |",
            "|---|--:|--:|",
        ]
        lines += [
            f"| {what} | {picked:.2f} | {mean:.2f} \N{PLUS-MINUS SIGN} {spread:.2f} |"
            for what, picked, mean, spread in self.rows
        ]
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """The same as numbers."""
        return self._asdict()


def run_pick_benchmark(
    truth: Path,
    predicted: Path,
    number: int,
    images: Path | None = None,
    features_of: FeaturesOf | None = None,
) -> PickReport:
    """Picks images as `pick_images` does, and counts in their labels, which the choice has not seen."""
    matched = open_det(truth, predicted, 1).matched
    num_frames, num_classes = len(matched.names), len(matched.task.names)
    matches = match(matched.truth, matched.detections, num_frames, num_classes)
    missed = classify(matches).missed(matches, _CONFIDENT)
    category, frame = matched.truth.category, matched.truth.frame
    counts = np.bincount(category, minlength=num_classes)
    rare = (counts < _RARE * counts.sum())[category]
    classes = np.zeros((num_frames, num_classes))
    classes[frame, category] = 1
    per_image = {
        "objects": np.bincount(frame, minlength=num_frames),
        "objects of rare classes": np.bincount(frame[rare], minlength=num_frames),
        "objects that the model misses": np.bincount(frame[missed], minlength=num_frames),
        "classes": classes.sum(axis=1),
    }
    places = {name: place for place, name in enumerate(matched.names)}
    picked = np.array(
        [places[one.name] for one in pick_images(predicted, number, workers=1, images=images, features_of=features_of)]
    )
    rng = np.random.default_rng(0)
    drawn = [rng.permutation(num_frames)[:number] for _ in range(_DRAWS)]
    rows = []
    for what, values in per_image.items():
        means = [values[one].mean() for one in drawn]
        rows.append((what, float(values[picked].mean()), float(np.mean(means)), float(np.std(means))))
    return PickReport(number, num_frames, rows)
