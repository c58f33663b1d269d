"""``open_pan_seg``: the oracles, the official toolkit on random files, and bad files."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.random_files import labels_of, write_panoptic_bitmasks, write_panoptic_run_lengths
from support.random_masks import image_size, run_lengths, toolkit_frames, write_bitmask

from bdd100k_d2.data.bitmasks import Bitmask
from bdd100k_d2.data.labels import Frame, Label, LabelAttributes, write_frames
from bdd100k_d2.errors import DataError
from bdd100k_d2.evaluation.files.panoptic import open_pan_seg
from bdd100k_d2.evaluation.toolkit_format import ToolkitScores

TOOLKIT = {"reason": "the official toolkit is not installed: pip install -e .[toolkit]"}


def assert_equal(ours: ToolkitScores, theirs: dict[str, Any]) -> None:
    assert list(ours) == list(theirs)
    for metric, groups in ours.items():
        assert [list(group) for group in groups] == [list(group) for group in theirs[metric]]
        for mine, other in zip(groups, theirs[metric], strict=True):
            assert mine == pytest.approx(other, abs=1e-9, rel=0), metric


def overall(scores: ToolkitScores) -> dict[str, float]:
    return {metric: groups[2]["OVERALL"] for metric, groups in scores.items()}


def test_hundreds_of_segments_of_any_ids_are_scored(tmp_path: Path) -> None:
    """The official tool fails on more than a hundred."""
    instances = np.arange(1, 301, dtype=np.int32).repeat(10).reshape(300, 10)
    ids, nothing = np.arange(65236, 65536), np.zeros(300, np.uint8)
    bitmask = Bitmask(instances, ids, np.full(300, 34), nothing)
    write_bitmask(bitmask, tmp_path / "gt/a.png")
    write_bitmask(bitmask._replace(ids=np.arange(31, 331)), tmp_path / "pred/a.png")
    scores = open_pan_seg(tmp_path / "gt", tmp_path / "pred", 1).toolkit_scores()
    assert overall(scores)["PQ"] == 100


def test_the_oracle(oracles: Path) -> None:
    expected = json.loads((oracles / "expected.json").read_text())["pan_seg_rle"]
    scores = open_pan_seg(oracles / expected["gt"], oracles / expected["pred"], 1).toolkit_scores()
    found = overall(scores) | {f"PQ/{group}": scores["PQ"][1][group] for group in ("STUFF", "THING")}
    assert {metric: found[metric] for metric in expected["scores"]} == pytest.approx(
        expected["scores"], abs=1e-9, rel=0
    )
    assert scores["NUM"][1:] == [{"STUFF": 12, "THING": 3}, {"OVERALL": 15}]


def test_the_oracle_with_a_frame_not_predicted(oracles: Path, caplog: pytest.LogCaptureFixture) -> None:
    expected = json.loads((oracles / "expected.json").read_text())["pan_seg_rle"]
    missing = expected["missing_prediction_frame"]
    matched = open_pan_seg(oracles / missing["gt"], oracles / expected["pred"], 2)
    assert overall(matched.toolkit_scores())["PQ"] == pytest.approx(missing["PQ"], abs=1e-9, rel=0)
    assert "1 of 2 frames have no prediction and count as empty" in caplog.text
    # The slice of the other frame is the first oracle.
    chosen = np.array([name == "aa190499-9af0e58b.jpg" for name in matched.names])
    assert overall(matched.toolkit_scores(chosen))["PQ"] == pytest.approx(expected["scores"]["PQ"], abs=1e-9, rel=0)
    assert matched.extra_metrics() == {}


def test_the_oracle_without_predictions(oracles: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = oracles / "pan_seg_rle"
    scores = open_pan_seg(folder / "pan_seg_sample.json", folder / "pan_seg_preds_empty.json", 1).toolkit_scores()
    assert overall(scores) == {"PQ": 0, "SQ": 0, "RQ": 0, "NUM": 15}
    assert "32 labels have no mask (rle) and are left out" in caplog.text


@pytest.mark.parametrize("seed", range(6))
def test_random_bitmasks_equal_the_toolkit(tmp_path: Path, seed: int) -> None:
    pytest.importorskip("bdd100k", **TOOLKIT)
    from bdd100k.common.utils import list_files
    from bdd100k.eval.pan_seg import evaluate_pan_seg

    write_panoptic_bitmasks(tmp_path, seed)
    files = [list_files(str(tmp_path / folder), ".png", with_prefix=True) for folder in ("gt", "pred")]
    theirs = evaluate_pan_seg(*files, nproc=1, with_logs=False).dict()
    ours = open_pan_seg(tmp_path / "gt", tmp_path / "pred", 1 + seed % 2).toolkit_scores()
    assert_equal(ours, theirs)
    assert 0 < ours["PQ"][2]["OVERALL"] < 100


@pytest.mark.parametrize("seed", range(6))
def test_random_run_lengths_equal_the_toolkit(tmp_path: Path, seed: int, caplog: pytest.LogCaptureFixture) -> None:
    pytest.importorskip("bdd100k", **TOOLKIT)
    from scalabel.eval.pan_seg import evaluate_pan_seg

    write_panoptic_run_lengths(tmp_path, seed)
    gts, config = toolkit_frames(tmp_path / "gt.json", "pan_seg")
    theirs = evaluate_pan_seg(gts, toolkit_frames(tmp_path / "pred.json", "pan_seg")[0], config, nproc=1).dict()
    caplog.clear()
    ours = open_pan_seg(tmp_path / "gt.json", tmp_path / "pred.json", 1).toolkit_scores()
    assert_equal(ours, theirs)
    assert 0 < ours["PQ"][2]["OVERALL"] < 100
    assert "gt.json: 10 labels of categories that pan_seg does not have are left out: van (10)" in caplog.text
    assert "in 1 frames predicted masks overlap" in caplog.text
    assert "The first is 5.jpg" in caplog.text


def tiny(category: int = 35) -> Bitmask:
    instances = np.zeros((8, 8), np.int32)
    instances[2:5] = 1
    return Bitmask(instances, np.array([7]), np.array([category]), np.zeros(1, np.uint8))


def test_a_prediction_without_segments_misses_all(tmp_path: Path) -> None:
    write_bitmask(tiny(), tmp_path / "gt/a.png")
    write_bitmask(Bitmask(np.zeros((8, 8), np.int32), *[np.zeros(0, np.uint8)] * 3), tmp_path / "pred/a.png")
    scores = open_pan_seg(tmp_path / "gt", tmp_path / "pred", 1).toolkit_scores()
    assert overall(scores) == {"PQ": 0, "SQ": 0, "RQ": 0, "N": 1}
    assert scores["N"][0]["car"] == 1


def test_ids_of_predictions_need_not_be_numbers(tmp_path: Path) -> None:
    """The toolkit fails on these, and on a prediction of crowds only."""
    size = image_size(tiny())
    car = Label(id="car-1", category="car", rle=run_lengths(tiny().instances))
    crowd = Label(id="c", category="car", rle=car.rle, attributes=LabelAttributes(crowd=True))
    write_frames([Frame("a.jpg", size=size, labels=[car]), Frame("b.jpg", size=size)], tmp_path / "gt.json")
    write_frames([Frame("a.jpg", labels=[car]), Frame("b.jpg", labels=[crowd])], tmp_path / "pred.json")
    scores = open_pan_seg(tmp_path / "gt.json", tmp_path / "pred.json", 1).toolkit_scores()
    assert overall(scores) == {"PQ": 100, "SQ": 100, "RQ": 100, "NUM": 1}


def test_bad_bitmasks_are_named(tmp_path: Path) -> None:
    write_bitmask(tiny(), tmp_path / "gt/a.png")
    write_bitmask(tiny(41), tmp_path / "pred/a.png")
    with pytest.raises(DataError, match=r"pred/a.png: .* ids \[41\]; 1 to 40 are allowed \(annotation id 7 has 41\)"):
        open_pan_seg(tmp_path / "gt", tmp_path / "pred", 1)
    write_bitmask(tiny()._replace(instances=tiny().instances[:, :6]), tmp_path / "pred/a.png")
    with pytest.raises(DataError, match=r"pred/a.png: the bitmask has 8x6 pixels, its ground truth .*gt/a.png has 8x8"):
        open_pan_seg(tmp_path / "gt", tmp_path / "pred", 2)


def test_bad_labels_are_named(tmp_path: Path) -> None:
    write_bitmask(tiny(), tmp_path / "gt/a.png")
    truth = [Frame("a.jpg", size=image_size(tiny()), labels=labels_of(tiny(), "pan_seg"))]
    write_frames(truth, tmp_path / "gt.json")
    for label, message in (
        (Label(id="3", category="boat"), "label 3: unknown category 'boat'. Known are dynamic"),
        (Label(id="3", category="car", rle=run_lengths(np.ones((8, 9)))), r"label 3 .car.: the mask has 8x9 .* 8x8"),
    ):
        write_frames([Frame("a.jpg", labels=[label])], tmp_path / "pred.json")
        with pytest.raises(DataError, match=f"pred.json: frame a.jpg, {message}"):
            open_pan_seg(tmp_path / "gt.json", tmp_path / "pred.json", 1)
    with pytest.raises(DataError, match=r"pred.json: this is no folder of bitmasks, but .*gt is"):
        open_pan_seg(tmp_path / "gt", tmp_path / "pred.json", 1)
    write_frames([Frame("b.jpg", labels=[])], tmp_path / "pred.json")
    with pytest.raises(DataError, match="pred.json: none of the 1 predicted frames is in .*gt.json"):
        open_pan_seg(tmp_path / "gt.json", tmp_path / "pred.json", 1)


def test_polygons_are_named(real_root: Path) -> None:
    polygons = real_root / "bdd100k/labels/pan_seg/polygons"
    with pytest.raises(DataError, match=r"polygons: no label has a mask in run lengths .rle.; give"):
        open_pan_seg(polygons, polygons, 1)


def test_real_labels_against_themselves(real_root: Path) -> None:
    rles = real_root / "bdd100k/labels/pan_seg/rles"
    scores = open_pan_seg(rles, rles, 1).toolkit_scores()
    assert 0 < scores["PQ"][2]["OVERALL"] <= 100
