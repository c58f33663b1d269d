"""Planted errors of other kinds than boxes: times of day, regions of masks, and boxes that masks tell of."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import cv2
import msgspec
import numpy as np
from pycocotools import mask as coco_mask

from bdd100k_d2.data.categories import IGNORE_LABEL
from bdd100k_d2.data.labels import Frame, write_frames
from bdd100k_d2.data.masks import list_masks, read_mask
from bdd100k_d2.data.rle import check_rle
from bdd100k_d2.evaluation.prediction_files import write_mask
from bdd100k_d2.suspects.find import SuspectOptions, find_suspects
from bdd100k_d2.suspects.records import MASK, MASK_REGION, TIME_OF_DAY_TAG, Suspect
from bdd100k_d2.tasks import TASKS

_LEAST_AREA = 1000
_OTHER_TIME = {"daytime": "night", "night": "daytime"}


class FoundOfKind(NamedTuple):
    """Of one kind the planted errors, the suspects that count, how many of these are right, and by chance."""

    kind: str
    planted: int
    first: int
    right: int
    found: int
    chance: float


class KindReport(NamedTuple):
    """One row for each kind and seed."""

    rows: list[FoundOfKind]

    def text(self) -> str:
        """A Markdown table of the sums over the seeds."""
        lines = ["| kind | planted | suspects | precision | recall | chance |", "|---|--:|--:|--:|--:|--:|"]
        for kind in dict.fromkeys(row.kind for row in self.rows):
            rows = [row for row in self.rows if row.kind == kind]
            planted, first, right, found = (sum(row[i] for row in rows) for i in range(1, 5))
            chance = np.mean([row.chance for row in rows])
            cells = [
                f"{100 * right / max(first, 1):.0f} %",
                f"{100 * found / max(planted, 1):.0f} %",
                f"{100 * chance:.0f} %",
            ]
            lines.append(f"| {kind} | {planted:,} | {first:,} | {' | '.join(cells)} |")
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """The same as numbers."""
        return {"rows": [row._asdict() for row in self.rows]}


def plant_times(
    frames: Sequence[Frame],
    share: float,
    seed: int,
    truth: Path,
    options: SuspectOptions,
    predicted: Path,
    images: Path,
) -> FoundOfKind:
    """Tags some frames of day and night as the other, and looks for them."""
    frames = msgspec.json.decode(msgspec.json.encode(list(frames)), type=list[Frame])
    tagged = [one for one in frames if one.attributes is not None and one.attributes.timeofday in _OTHER_TIME]
    chosen = np.random.default_rng(seed).permutation(len(tagged))[: round(share * len(tagged))]
    wrong = {tagged[i].name for i in chosen.tolist()}
    for one in tagged:
        if one.name in wrong and one.attributes is not None:
            one.attributes.timeofday = _OTHER_TIME[one.attributes.timeofday or ""]
    write_frames(frames, truth)
    suspects = find_suspects("det", truth, [predicted], images, options._replace(kinds=(TIME_OF_DAY_TAG,))).suspects
    right = {one.change.frame for one in suspects} & wrong
    return FoundOfKind(TIME_OF_DAY_TAG, len(wrong), len(suspects), len(right), len(right), len(wrong) / len(tagged))


def boxes_by_masks(planted: Any, truth: Path, options: SuspectOptions, predicted: Path, masks: Path) -> FoundOfKind:  # noqa: ANN401, planted labels
    """Looks for planted errors of boxes by sound masks of the same frames."""
    from .suspects import Guess, is_about

    write_frames(planted.frames, truth)
    suspects = find_suspects("det", truth, [predicted], None, options._replace(kinds=(MASK,), masks=masks)).suspects
    found: set[int] = set()
    right = 0
    for one in suspects:
        guess = Guess(one.change.frame, -1 if one.change.label is None else one.change.label.place, one.model_box)
        about = [i for i, error in enumerate(planted.errors) if error.frame == guess.frame and is_about(guess, error)]
        right += bool(about)
        found.update(about)
    return FoundOfKind(
        MASK, len(planted.errors), len(suspects), right, len(found), len(planted.errors) / planted.num_labels
    )


def run_region_benchmark(
    truth: Path, predicted: Path, share: float, first: int, seeds: int, frames: int | None
) -> KindReport:
    """Relabels segments of sound masks of sem_seg as another class, and looks for them by predicted masks."""
    rows = []
    masks = dict(list(list_masks(truth, below=True).items())[:frames])
    there = list_masks(predicted, below=True)
    for seed in range(seeds):
        with TemporaryDirectory() as place:
            labels, found = Path(place, "labels"), Path(place, "predicted")
            found.mkdir()
            for name in masks:
                shutil.copyfile(there[name], found / f"{name}.png")
            wrong, total = _plant_regions(masks, share, seed, labels)
            suspects = find_suspects("sem_seg", labels, [found], None, SuspectOptions(first)).suspects
            hits = [_hits(one, wrong) for one in suspects]
            right, all_hits = sum(bool(one) for one in hits), {i for one in hits for i in one}
            rows.append(FoundOfKind(MASK_REGION, len(wrong), len(suspects), right, len(all_hits), len(wrong) / total))
    return KindReport(rows)


def _plant_regions(masks: dict[str, Path], share: float, seed: int, out: Path) -> tuple[list[tuple[str, Any]], int]:
    """Writes masks with wrong segments; returns these, as run lengths with their frames, and the number of all."""
    rng, num_classes = np.random.default_rng(seed), TASKS["sem_seg"].num_classes
    wrong, total = [], 0
    for name, path in masks.items():
        mask = read_mask(path)
        new = mask.copy()
        for class_id in [one for one in np.unique(mask).tolist() if one != IGNORE_LABEL]:
            of_class = (mask == class_id).view(np.uint8)
            count, places, stats, _ = cv2.connectedComponentsWithStats(of_class, connectivity=4)
            for k in range(1, count):
                if stats[k, cv2.CC_STAT_AREA] >= _LEAST_AREA:
                    total += 1
                    if rng.random() < share:
                        new[places == k] = rng.choice([one for one in range(num_classes) if one != class_id])
                        wrong.append((name, coco_mask.encode(np.asfortranarray(places == k).view(np.uint8))))
        write_mask(new, out / f"{name}.png")
    return wrong, total


def _hits(suspect: Suspect, wrong: Sequence[tuple[str, Any]]) -> list[int]:
    """The wrong segments that hold half of a suspect's region or more."""
    region = suspect.change.region
    if region is None:
        return []
    found = check_rle(region, region.size, suspect.change.frame)
    return [
        i
        for i, (name, segment) in enumerate(wrong)
        if name == suspect.change.frame
        and 2 * coco_mask.area(coco_mask.merge([found, segment], intersect=True)) > coco_mask.area(found)
    ]
