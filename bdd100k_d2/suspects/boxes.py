"""Suspects among labelled boxes: what the detections of one or more models say, put together and ranked."""

from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np

from ..evaluation.files.detection import MatchedBoxes
from ..evaluation.metrics.detection import Detections
from .box_evidence import BoxEvidence, box_evidence, suppress
from .label_places import LabelledBoxes
from .rates import suspicion, together
from .records import (
    CLASS,
    MISSING,
    PHANTOM,
    PLACEMENT,
    SAME_PLACE,
    SUSPECT_KINDS,
    Corners,
    LabelChange,
    Suspect,
    box_overlap,
    likeliest,
)


class Candidates(NamedTuple):
    """Places that no label is at, as columns; ``rate`` is NaN where no model disagrees."""

    frame: np.ndarray
    category: np.ndarray
    box: np.ndarray
    score: np.ndarray
    rate: np.ndarray


def box_suspects(
    runs: Sequence[MatchedBoxes], labels: LabelledBoxes, prior: float, most: int, asked: Collection[str] = SUSPECT_KINDS
) -> list[Suspect]:
    """The ``most`` likely wrong boxes of a label file by the detections of several models, the ``runs``.

    A label is of one of the kinds that are ``asked`` for at most: the likeliest.
    """
    first = runs[0]
    num_frames, num_classes = len(first.names), len(first.task.names)
    evidence = [box_evidence(first.truth, first.flags, run.detections, num_frames, num_classes) for run in runs]
    kinds = (
        (PHANTOM, together([one.phantom for one in evidence])),
        (CLASS, _together_by_class(evidence)),
        (PLACEMENT, together([one.placement for one in evidence])),
    )
    scores = np.stack([suspicion(rate, prior) * (kind in asked) for kind, rate in kinds])
    kind, score = scores.argmax(axis=0), scores.max(axis=0)
    make = _Maker(first, labels, evidence)
    suspects = [
        make.of_label(int(i), kinds[kind[i]][0], float(score[i]), float(kinds[kind[i]][1][i]))
        for i in likeliest(score, most)
        if score[i] > 0
    ]
    if MISSING not in asked:
        return suspects
    missing = _missing_by_all(evidence)
    score = suspicion(missing.rate, prior)
    return suspects + [make.missing(missing, int(i), float(score[i])) for i in likeliest(score, most)]


def _best_model(rates: Sequence[np.ndarray]) -> np.ndarray:
    """(N,) int64, the model that most disagrees with each label."""
    return np.argmin(np.nan_to_num(np.stack(rates), nan=2.0), axis=0)


def _together_by_class(evidence: Sequence[BoxEvidence]) -> np.ndarray:
    """As `together`, where a model that sees a third class does not support the one that most disagrees."""
    best = _best_model([one.other_class for one in evidence])
    seen = np.stack([_category(one.detections, one.other_detection) for one in evidence])
    agreed = seen[best, np.arange(len(best))]
    return together(
        [np.where(category == agreed, one.other_class, np.nan) for one, category in zip(evidence, seen, strict=True)]
    )


def _category(detections: Detections, places: np.ndarray) -> np.ndarray:
    """(N,) int64 classes of detections; -1 where the place is -1."""
    return np.append(detections.category, -1)[places]


def _missing_by_all(evidence: Sequence[BoxEvidence]) -> Candidates:
    """What is on nothing by any model, each place once, with the rates of all models there."""
    parts = [
        (*(column[one.missing.detection] for column in one.detections), one.missing.rate, np.full(len(rate), model))
        for model, one in enumerate(evidence)
        for rate in (one.missing.rate,)
    ]
    frame, category, box, score, rate, model = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    if len(evidence) == 1:
        return Candidates(frame, category, box, score, rate)
    # The rarest observation stands first, whichever model made it.
    kept = suppress(Detections(frame, category, box, -rate), np.arange(len(rate)))
    rates = np.full((len(evidence), len(kept)), np.nan)
    rates[model[kept], np.arange(len(kept))] = rate[kept]
    for one in range(len(evidence)):
        _support(rates[one], (frame, category, box), kept, rate, np.flatnonzero(model == one))
    return Candidates(frame[kept], category[kept], box[kept], score[kept], together([*rates]))


def _support(
    rates: np.ndarray,
    columns: tuple[np.ndarray, np.ndarray, np.ndarray],
    kept: np.ndarray,
    rate: np.ndarray,
    of_model: np.ndarray,
) -> None:
    """Gives each place the rate of the model's own candidate of its class there, where it has one."""
    frame, category, box = columns
    by_key: dict[tuple[int, int], list[int]] = {}
    for i in of_model.tolist():
        by_key.setdefault((int(frame[i]), int(category[i])), []).append(i)
    for place in np.flatnonzero(np.isnan(rates)).tolist():
        i = kept[place]
        for other in by_key.get((int(frame[i]), int(category[i])), ()):
            if box_overlap(corners(box[i]), corners(box[other])) >= SAME_PLACE:
                rates[place] = np.fmin(rates[place], rate[other])


class _Maker:
    """Makes the records of the few labels that are shown."""

    def __init__(self, matched: MatchedBoxes, labels: LabelledBoxes, evidence: Sequence[BoxEvidence]) -> None:
        self._matched, self._labels, self._evidence = matched, labels, evidence
        self._by_class = _best_model([one.other_class for one in evidence])
        self._by_place = _best_model([one.placement for one in evidence])

    def of_label(self, i: int, kind: str, score: float, rate: float) -> Suspect:
        frame, place = self._labels.frames[i], self._labels.places[i]
        box, name = corners(self._matched.truth.box[i]), self._labels.class_names[self._matched.truth.category[i]]
        if kind == PHANTOM:
            evidence = f"No model finds this {name}; of labels like it that is so of {in_percent(rate)}."
            return Suspect(kind, score, evidence, LabelChange("remove", frame, place), box)
        if kind == CLASS:
            one = self._evidence[self._by_class[i]]
            d = one.other_detection[i]
            other = self._labels.class_names[one.detections.category[d]]
            evidence = (
                f"Labelled {name}, predicted {other} with a score of {one.detections.score[d]:.2f}; as sure of it, "
                f"{in_percent(rate)} of its detections are on another class."
            )
            change = LabelChange("rename", frame, place, category=other)
            return Suspect(kind, score, evidence, change, box, corners(one.detections.box[d]))
        one = self._evidence[self._by_place[i]]
        found = corners(one.detections.box[one.own_detection[i]])
        evidence = (
            f"The {name} is predicted at another place (IoU {one.iou[i]:.2f}, score "
            f"{one.detections.score[one.own_detection[i]]:.2f}); as far off are {in_percent(rate)} of labels like it."
        )
        return Suspect(kind, score, evidence, LabelChange("move", frame, place, box=found), box, found)

    def missing(self, candidates: Candidates, i: int, score: float) -> Suspect:
        name, box = self._labels.class_names[candidates.category[i]], corners(candidates.box[i])
        evidence = (
            f"A {name} is predicted with a score of {candidates.score[i]:.2f} where no label is; of detections as sure "
            f"of it {in_percent(float(candidates.rate[i]))} are on nothing."
        )
        change = LabelChange("add", self._matched.names[candidates.frame[i]], category=name, box=box)
        return Suspect(MISSING, score, evidence, change, model_box=box)


def corners(box: np.ndarray) -> Corners:
    """x1, y1, x2, y2, inclusive, to a tenth of a pixel, of x, y, width, height."""
    x, y, width, height = box.tolist()
    return round(x, 1), round(y, 1), round(x + width - 1, 1), round(y + height - 1, 1)


def in_percent(rate: float) -> str:
    """A share in words."""
    return f"{100 * rate:.1f} %"
