"""Tracking scores: by hand, against the published oracle, and against the official toolkit where it is installed."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from benchmarks.compare import largest_difference
from support.random_tracks import random_videos

from bdd100k_d2.data.labels import Frame, write_frames
from bdd100k_d2.evaluation.files.evaluate import evaluate_files
from bdd100k_d2.evaluation.files.tracking import open_box_track
from bdd100k_d2.evaluation.metrics.tracking import (
    TRACKING_COUNTS,
    TRACKING_SCORES,
    IgnoredRegions,
    TrackCounts,
    TrackedBoxes,
    count_tracks,
    tracking_scores,
)
from bdd100k_d2.evaluation.toolkit_format import ToolkitScores, summary, table

NOTHING = IgnoredRegions(np.empty(0, np.int64), np.empty((0, 4)))


def tracks(*rows: tuple[int, int, float]) -> TrackedBoxes:
    """Boxes of 10 x 10 pixels of class 0: (frame, track, x)."""
    frame, track, x = (np.array(column) for column in zip(*rows, strict=True)) if rows else [np.empty(0, int)] * 3
    box = np.column_stack([x, np.zeros(len(x)), np.full((len(x), 2), 10)]).astype(np.float64)
    return TrackedBoxes(frame, np.zeros(len(x), np.int64), track, box)


def counted(truth: TrackedBoxes, found: TrackedBoxes, ignored: IgnoredRegions = NOTHING) -> dict[str, float]:
    counts = count_tracks(truth, ignored, found, 1)
    return {name: float(column[0]) for name, column in zip(TrackCounts._fields, counts, strict=True)}


STRAIGHT = [(i, 1, 2 * i) for i in range(10)]


def test_what_is_all_right() -> None:
    counts = counted(tracks(*STRAIGHT), tracks(*STRAIGHT))
    wanted = {"objects": 10, "predictions": 10, "matched": 10, "tracked": 1, "identified": 10}
    assert counts == dict.fromkeys(counts, 0) | wanted
    scores = tracking_scores([count_tracks(tracks(*STRAIGHT), NOTHING, tracks(*STRAIGHT), 1)], [])
    assert {name: scores[name].tolist() for name in (*TRACKING_SCORES, *TRACKING_COUNTS)} == {
        **{name: [100, 100, 100] for name in ("MOTA", "MOTP", "IDF1")},
        **{name: [0, 0, 0] for name in ("FP", "FN", "IDSw", "PT", "ML", "FM")},
        "MT": [1, 1, 1],
    }


def test_a_switch_a_gap_and_a_false_one() -> None:
    # Found as 7 in frames 0 to 2, lost in 3 and 4, then found as 8; a false one in frame 9.
    found = tracks(*[(i, 7 if i < 3 else 8, 2 * i) for i in range(10) if i not in (3, 4)], (9, 9, 500))
    counts = counted(tracks(*STRAIGHT), found)
    assert counts == {
        "objects": 10,
        "predictions": 9,
        "matched": 8,
        "distance": 0,
        "switches": 1,
        "fragments": 1,
        "tracked": 1,
        "partly": 0,
        "lost": 0,
        "identified": 5,
    }
    scores = tracking_scores([count_tracks(tracks(*STRAIGHT), NOTHING, found, 1)], [])
    assert scores["MOTA"][0] == pytest.approx(100 * (1 - (2 + 1 + 1) / 10))
    assert scores["IDF1"][0] == pytest.approx(100 * 2 * 5 / (10 + 9))


def test_an_object_keeps_its_prediction_while_another_comes_nearer() -> None:
    # Both are within the threshold of the object; the second is nearer in frame 1, and is false there.
    truth = tracks((0, 1, 0), (1, 1, 0))
    found = tracks((0, 7, 1), (1, 7, 3), (1, 8, 0))
    counts = counted(truth, found)
    assert counts["switches"] == 0 and counts["matched"] == 2 and counts["predictions"] == 3
    assert counts["distance"] == pytest.approx((1 - 9 / 11) + (1 - 7 / 13))


def test_what_lies_in_an_ignored_region_is_not_wrong() -> None:
    truth = tracks((0, 1, 0))
    # On the object, in the region by more than half, by half, and by less.
    found = tracks((0, 1, 0), (0, 2, 104), (0, 3, 105), (0, 4, 106))
    region = IgnoredRegions(np.array([0, 1]), np.array([[0.0, 0, 110, 10], [0, 0, 500, 500]]))
    counts = counted(truth, found, region)
    assert (counts["predictions"], counts["matched"]) == (3, 1)
    assert counted(truth, found)["predictions"] == 4
    # A region of another frame has no part.
    assert counted(truth, found, IgnoredRegions(*(column[1:] for column in region)))["predictions"] == 4


@pytest.mark.parametrize("sides", [((), ()), (STRAIGHT, ()), ((), STRAIGHT)])
def test_nothing_on_a_side(sides: tuple[Sequence[tuple[int, int, float]], ...]) -> None:
    truth, found = (tracks(*side) for side in sides)
    scores = tracking_scores([count_tracks(truth, NOTHING, found, 1)], [])
    mota, motp, idf1 = (scores[name] for name in ("MOTA", "MOTP", "IDF1"))
    assert np.isnan(motp[[0, 2]]).all() and motp[1] == 0
    assert scores["FN"][0] == len(sides[0]) and scores["FP"][0] == len(sides[1])
    assert [mota[1], idf1[1]] == [0, 0]
    if sides[0]:
        assert mota[0] == idf1[0] == 0 and scores["ML"][0] == 1
    elif sides[1]:
        assert mota[0] == -np.inf and idf1[0] == 0
    else:
        assert np.isnan(mota[0]) and np.isnan(idf1[0])


def test_the_oracle(oracles: Path) -> None:
    expected = json.loads((oracles / "expected.json").read_text())["box_track"]
    matched, _ = open_box_track(oracles / expected["gt"], oracles / expected["pred"])
    scores = summary(matched.toolkit_scores())
    means = {name: expected["scores"].pop(name) for name in ("MOTP", "mMOTP")}
    assert {name: scores.pop(name) for name in means} == pytest.approx(means, abs=1e-6, rel=0)
    assert scores == pytest.approx(expected["scores"], abs=1e-9, rel=0)
    # What was published is of boxes in single precision; scalabel 0.3.1 itself has the double one.
    sides = (matched.truth, matched.predicted)
    single = [side._replace(objects=_in_single_precision(side.objects)) for side in sides]
    scores = summary(replace(matched, truth=single[0], predicted=single[1]).toolkit_scores())
    assert {name: scores[name] for name in means} == pytest.approx(means, abs=1e-9, rel=0)


def _in_single_precision(boxes: TrackedBoxes) -> TrackedBoxes:
    return boxes._replace(box=boxes.box.astype(np.float32).astype(np.float64))


def toolkit_scores(truth: Path, predicted: Path) -> tuple[ToolkitScores, str]:
    from bdd100k.common.utils import load_bdd100k_config
    from bdd100k.label.to_scalabel import bdd100k_to_scalabel
    from scalabel.eval.mot import acc_single_video_mot, evaluate_track
    from scalabel.label.io import group_and_sort, load

    config = load_bdd100k_config("box_track")
    sides = [group_and_sort(bdd100k_to_scalabel(load(str(path)).frames, config)) for path in (truth, predicted)]
    result = evaluate_track(acc_single_video_mot, *sides, config.scalabel, nproc=1)
    return result.dict(), result.table().strip("\n")


@pytest.fixture
def toolkit(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("bdd100k", reason="the official toolkit is not installed: pip install -e .[toolkit]")
    # motmetrics 1.4 calls what NumPy 2 no longer has.
    monkeypatch.setattr(np, "asfarray", lambda array: np.asarray(array, np.float64), raising=False)


def written(truth: list[Frame], found: list[Frame], folder: Path) -> tuple[Path, Path]:
    write_frames(truth, folder / "gt.json")
    write_frames(found, folder / "pred.json")
    return folder / "gt.json", folder / "pred.json"


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_random_problems_equal_the_toolkit(seed: int, tmp_path: Path, toolkit: None) -> None:
    paths = written(*random_videos(seed, 2), tmp_path)
    theirs, official_table = toolkit_scores(*paths)
    ours = evaluate_files("box_track", *paths)
    assert list(ours.official) == list(theirs)
    assert largest_difference(theirs, ours.official) <= 1e-9
    assert [[*map(list, value)] for value in ours.official.values() if isinstance(value, list)] == [
        [*map(list, value)] for value in theirs.values() if isinstance(value, list)
    ]
    assert table(ours.official) == official_table
    assert all(0 < summary(theirs)[name] < 100 for name in ("MOTA", "IDF1", "MOTP"))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_without_predictions_it_equals_the_toolkit(tmp_path: Path, toolkit: None) -> None:
    truth, found = random_videos(7, 1)
    for frame in found:
        frame.labels = []
    paths = written(truth, found, tmp_path)
    assert largest_difference(toolkit_scores(*paths)[0], evaluate_files("box_track", *paths).official) <= 1e-9
