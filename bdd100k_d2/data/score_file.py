"""The file of the scores of predicted bitmasks: ``[{"name", "labels": [{"index" or "id", "score"}]}]``."""

import math
from collections import Counter
from pathlib import Path

import msgspec
import numpy as np

from ..errors import DataError, shown
from .diagnosis import DocumentPart, are_objects, diagnose
from .image_names import image_stem, is_image_name
from .json_file import JSON_ERRORS, read_json

InstanceScores = tuple[np.ndarray, np.ndarray]
"""Annotation ids (E,) int64 and their scores (E,) float64, by descending score; ties keep the order of the file."""


# Digits that a number of 64 bits has room for.
_LONGEST_ID = 18


class ScoredInstance(msgspec.Struct, gc=False):
    """The score (0 to 1) of the instance that has the annotation id ``index`` in the bitmask of its frame."""

    index: int
    score: float


class ScoredFrame(msgspec.Struct):
    """A frame of ``score.json``, by the name of its image."""

    name: str
    labels: list[ScoredInstance]


class _Score(msgspec.Struct, gc=False):
    score: float | None = None
    index: str | int | None = None
    id: str | int | None = None


class _Frame(msgspec.Struct):
    name: str
    labels: list[_Score] | None = None


def read_score_file(path: Path) -> dict[str, InstanceScores]:
    """Reads the scores of each frame, by the file name of its bitmask (``.png``).

    Raises:
        DataError: a file that cannot be read, a frame twice or not named after an image, an annotation id twice or
            none, or a score that is missing, NaN or infinite.
    """
    content = read_json(path, "score file", "check the path")
    try:
        frames = msgspec.json.decode(content, type=list[_Frame])
    except JSON_ERRORS as error:
        raise DataError(f"{path}: {diagnose(content, error, _parts)}") from error
    scores: dict[str, InstanceScores] = {}
    for frame in frames:
        if not is_image_name(frame.name):
            raise DataError(f"{path}: the frame '{shown(frame.name)}' is not named after an image, .png or .jpg.")
        name = f"{image_stem(frame.name)}.png"
        if name in scores:
            raise DataError(f"{path}: frame {shown(frame.name)} stands twice; remove one of the two.")
        scores[name] = _ranked(frame, path)
    return scores


def rank(ids: np.ndarray, scores: InstanceScores | None, path: Path | None, score_file: Path) -> InstanceScores:
    """Ranks the instances of a bitmask by descending score: (N,) indices into ``ids``, and (N,) their scores.

    ``ids`` (N,) are their annotation ids, ascending; ``scores`` are None where the score file does not have the frame.
    Scores of annotation ids that have no pixel are left out, as by the toolkit.

    Raises:
        DataError: an instance without a score.
    """
    if scores is None:
        scores = np.zeros(0, np.int64), np.zeros(0)
    without = ~np.isin(ids, scores[0])
    if without.any():
        raise DataError(
            f"{path}: annotation id {ids[without.argmax()]} has no score in {score_file}; "
            "each instance of a predicted bitmask needs one."
        )
    drawn = np.isin(scores[0], ids)
    return np.searchsorted(ids, scores[0][drawn]), scores[1][drawn]


def _ranked(frame: _Frame, path: Path) -> InstanceScores:
    ids: list[int] = []
    for number, label in enumerate(frame.labels or ()):
        where = f"{path}: frame {shown(frame.name)}, label number {number}"
        annotation_id = label.id if label.index is None else label.index
        text = str(annotation_id).removeprefix("-")
        # Python reads more as a number, and as a large one.
        if not (text.isascii() and text.isdecimal() and len(text) < _LONGEST_ID):
            raise DataError(
                f"{where}: {shown(repr(annotation_id))} is no annotation id; each label has the one of its instance in "
                'the bitmask as "index".'
            )
        ids.append(int(str(annotation_id)))
        if label.score is None or not math.isfinite(label.score):
            raise DataError(
                f"{where}: annotation id {annotation_id} has no score; write a finite number between 0 and 1."
            )
    if len(set(ids)) < len(ids):
        twice = next(i for i, count in Counter(ids).items() if count > 1)
        raise DataError(f"{path}: frame {shown(frame.name)} scores annotation id {twice} twice; remove one of the two.")
    scores = np.array([label.score for label in frame.labels or ()], float)
    order = np.argsort(-scores, kind="stable")
    return np.array(ids, np.int64)[order], scores[order]


def _parts(document: object) -> list[DocumentPart] | None:
    if not are_objects(document):
        return None
    return [
        DocumentPart(f"frame {shown(item.get('name', f'number {i}'))}", item, _Frame) for i, item in enumerate(document)
    ]
