"""``open_ins_seg``: the oracles, the official toolkit on random files, and bad files."""

import json
import logging
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.random_files import write_instance_bitmasks, write_instance_run_lengths, write_many_instances
from support.random_masks import SIZE, image_size, run_lengths, toolkit_frames, write_bitmask

from bdd100k_d2.data.bitmasks import Bitmask, read_bitmask
from bdd100k_d2.data.convert.convert import convert
from bdd100k_d2.data.convert.source import SourceOptions
from bdd100k_d2.data.labels import RLE, Frame, ImageSize, Label, write_frames
from bdd100k_d2.errors import DataError
from bdd100k_d2.evaluation.files import pairs
from bdd100k_d2.evaluation.files.evaluate import evaluate_files
from bdd100k_d2.evaluation.files.instances import open_ins_seg
from bdd100k_d2.evaluation.toolkit_format import ToolkitScores, summary
from bdd100k_d2.tasks import TASKS

# 300 instances of a frame, of two pixels each.
MANY = np.arange(1200).reshape(30, 40) // 2 % 300

TOOLKIT = {"reason": "the official toolkit is not installed: pip install -e .[toolkit]"}


def assert_equal(ours: ToolkitScores, theirs: dict[str, Any]) -> None:
    assert list(ours) == list(theirs)
    for metric, (classes, overall) in ours.items():
        assert list(classes) == list(theirs[metric][0])
        assert classes == pytest.approx(theirs[metric][0], abs=1e-9, rel=0, nan_ok=True), metric
        assert overall == pytest.approx(theirs[metric][1], abs=1e-9, rel=0, nan_ok=True), metric


def test_the_run_length_oracle(oracles: Path) -> None:
    expected = json.loads((oracles / "expected.json").read_text())["ins_seg_rle"]
    scores = open_ins_seg(oracles / expected["gt"], oracles / expected["pred"], None, 1).toolkit_scores()
    assert summary(scores) == pytest.approx(expected["scores"], abs=1e-9, rel=0)
    classes = {name: value for name, value in scores["AP"][0].items() if not np.isnan(value)}
    assert classes == pytest.approx(expected["AP_per_class"], abs=1e-9, rel=0)


def test_the_run_length_oracle_without_predictions(oracles: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = oracles / "ins_seg_rle"
    matched = open_ins_seg(folder / "ins_seg_rle_sample.json", folder / "ins_seg_preds_empty.json", None, 1)
    present = {"pedestrian", "rider", "car", "truck", "bicycle"}
    for classes, overall in matched.toolkit_scores().values():
        assert {name for name, value in classes.items() if value == 0} == present
        assert overall == {"OVERALL": 0}
    assert "1 labels have no mask (rle) and are left out" in caplog.text


def test_bitmasks_are_matched_by_their_stems(oracles: Path, tmp_path: Path) -> None:
    folder = oracles / "ins_seg_bitmask"
    for side in ("gt", "pred"):
        (tmp_path / side).mkdir()
        for path in (folder / side).glob("*.png"):
            shutil.copy(path, tmp_path / side / f"{path.stem}.PNG")
    expected = open_ins_seg(folder / "gt", folder / "pred", folder / "pred.json", 1).toolkit_scores()
    for truth, predicted in ((folder, tmp_path), (tmp_path, folder), (tmp_path, tmp_path)):
        matched = open_ins_seg(truth / "gt", predicted / "pred", folder / "pred.json", 1)
        assert_equal(matched.toolkit_scores(), expected)


def test_the_bitmask_oracle(oracles: Path) -> None:
    expected = json.loads((oracles / "expected.json").read_text())["ins_seg_bitmask"]
    paths = [oracles / expected[key] for key in ("gt", "pred", "score_file")]
    matched = open_ins_seg(*paths, 1)
    scores = {metric: value for metric, value in summary(matched.toolkit_scores()).items() if not np.isnan(value)}
    assert scores == pytest.approx(expected["scores"], abs=1e-9, rel=0)
    classes = {name: value for name, value in matched.toolkit_scores()["AP"][0].items() if not np.isnan(value)}
    assert classes == pytest.approx(expected["AP_per_class"], abs=1e-9, rel=0)
    assert matched.names == ["a.png"]
    assert matched.extra_metrics() == {}


def toolkit_scores(root: Path) -> dict[str, Any]:
    from bdd100k.common.utils import list_files, load_bdd100k_config
    from bdd100k.eval.ins_seg import evaluate_ins_seg

    files = [list_files(str(root / folder), ".png", with_prefix=True) for folder in ("gt", "pred")]
    config = load_bdd100k_config("ins_seg").scalabel
    return evaluate_ins_seg(*files, str(root / "score.json"), config, nproc=1, with_logs=False).dict()


@pytest.mark.parametrize("seed", range(8))
def test_random_bitmasks_equal_the_toolkit(tmp_path: Path, seed: int) -> None:
    pytest.importorskip("bdd100k", **TOOLKIT)
    write_instance_bitmasks(tmp_path, seed, most=4 if seed < 2 else 10)
    matched = open_ins_seg(tmp_path / "gt", tmp_path / "pred", tmp_path / "score.json", 1)
    assert_equal(matched.toolkit_scores(), toolkit_scores(tmp_path))


def hundreds(ids: np.ndarray) -> Bitmask:
    """A bitmask of as many instances of ten pixels, of the eight classes in turn."""
    instances = np.arange(1, len(ids) + 1, dtype=np.int32).repeat(10).reshape(len(ids), 10)
    return Bitmask(instances, ids, (ids % 8 + 1).astype(np.int32), np.zeros(len(ids), np.uint8))


def test_hundreds_of_instances_of_any_ids_are_scored(tmp_path: Path) -> None:
    truth, found = hundreds(np.arange(1, 301)), hundreds(np.arange(65236, 65536))
    found = found._replace(categories=truth.categories)
    write_bitmask(truth, tmp_path / "gt/a.png")
    write_bitmask(found, tmp_path / "pred/a.png")
    labels = [{"index": int(i), "score": 1 - n / 1000} for n, i in enumerate(found.ids)]
    (tmp_path / "score.json").write_text(json.dumps([{"name": "a.png", "labels": labels}]))
    matched = open_ins_seg(tmp_path / "gt", tmp_path / "pred", tmp_path / "score.json", 1)
    assert summary(matched.toolkit_scores())["AP"] == pytest.approx(100)
    (counted,) = matched.counted
    assert counted.positives[:, 0].sum() == 300


def test_more_instances_than_can_be_compared_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pairs, "_MOST_PAIRS", 899)
    for folder in ("gt", "pred"):
        write_bitmask(hundreds(np.arange(1, 31)), tmp_path / f"{folder}/a.png")
    (tmp_path / "score.json").write_text('[{"name": "a.png"}]')
    wrong = r"pred/a\.png: 30 instances, its ground truth .*gt/a\.png has 30; no more than 899 pairs of them"
    with pytest.raises(DataError, match=wrong):
        open_ins_seg(tmp_path / "gt", tmp_path / "pred", tmp_path / "score.json", 1)


def test_large_bitmasks_equal_the_toolkit(tmp_path: Path) -> None:
    """Areas of all ranges, and at their limits."""
    pytest.importorskip("bdd100k", **TOOLKIT)
    write_instance_bitmasks(tmp_path, 20, frames=12, size=(260, 300))
    matched = open_ins_seg(tmp_path / "gt", tmp_path / "pred", tmp_path / "score.json", 2)
    theirs = toolkit_scores(tmp_path)
    assert not np.isnan([theirs[metric][1]["OVERALL"] for metric in ("APs", "APm", "APl")]).any()
    assert_equal(matched.toolkit_scores(), theirs)


def test_more_than_a_hundred_predictions_of_a_class_equal_the_toolkit(tmp_path: Path) -> None:
    pytest.importorskip("bdd100k", **TOOLKIT)
    write_many_instances(tmp_path)
    matched = open_ins_seg(tmp_path / "gt", tmp_path / "pred", tmp_path / "score.json", 1)
    assert_equal(matched.toolkit_scores(), toolkit_scores(tmp_path))
    assert 0 < summary(matched.toolkit_scores())["AR100"] < 100


def test_nested_folders_equal_the_toolkit(tmp_path: Path) -> None:
    """In folders, the paths' order and not the names' decides between equal scores."""
    pytest.importorskip("bdd100k", **TOOLKIT)
    write_instance_bitmasks(tmp_path, 3)
    for folder in ("gt", "pred"):
        for i, file in enumerate(sorted((tmp_path / folder).iterdir())):
            (tmp_path / folder / f"{9 - i}").mkdir()
            file.rename(tmp_path / folder / f"{9 - i}" / file.name)
    matched = open_ins_seg(tmp_path / "gt", tmp_path / "pred", tmp_path / "score.json", 1)
    assert_equal(matched.toolkit_scores(), toolkit_scores(tmp_path))


def test_slices_of_bitmasks_equal_problems_of_their_own(tmp_path: Path) -> None:
    write_instance_bitmasks(tmp_path, 5)
    matched = open_ins_seg(tmp_path / "gt", tmp_path / "pred", tmp_path / "score.json", 2)
    chosen = np.arange(9) % 2 == 0
    for name, taken in zip(matched.names, chosen, strict=True):
        if not taken:
            (tmp_path / "gt" / name).unlink()
    alone = open_ins_seg(tmp_path / "gt", tmp_path / "pred", tmp_path / "score.json", 1)
    assert_equal(matched.toolkit_scores(chosen), alone.toolkit_scores())
    assert matched.toolkit_scores() != alone.toolkit_scores()


def test_missing_bitmasks_are_empty_and_extra_ones_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_instance_bitmasks(tmp_path, 6)
    (tmp_path / "gt/0.png").rename(tmp_path / "pred/other.png")
    listed = json.loads((tmp_path / "score.json").read_text())
    listed[0] = {"name": "unused.png", "labels": None}
    (tmp_path / "score.json").write_text(json.dumps(listed))
    write_bitmask(Bitmask(np.zeros(SIZE, np.int32), *[np.zeros(0, np.uint8)] * 3), tmp_path / "pred/-1.png")
    with_empty = open_ins_seg(tmp_path / "gt", tmp_path / "pred", tmp_path / "score.json", 1).toolkit_scores()
    (tmp_path / "pred/-1.png").unlink()
    caplog.clear()
    without = open_ins_seg(tmp_path / "gt", tmp_path / "pred", tmp_path / "score.json", 1).toolkit_scores()
    assert_equal(without, with_empty)
    messages = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(messages) == 4
    assert "1 of 8 frames have no prediction and count as empty; the first is -1.png" in messages[0]
    assert "2 predicted frames are not in the ground truth and are left out; the first is 0.png" in messages[1]
    assert "no frame is named as BDD100K's; its ids are scored as BDD100K's 8 classes" in messages[2]
    assert "2 frames have scores but no bitmask" in messages[3]
    assert "the first is -1.png" in messages[3]


@pytest.mark.parametrize("seed", range(5))
def test_random_run_lengths_equal_the_toolkit(tmp_path: Path, seed: int, caplog: pytest.LogCaptureFixture) -> None:
    pytest.importorskip("bdd100k", **TOOLKIT)
    from scalabel.eval.ins_seg import evaluate_ins_seg

    truth = write_instance_run_lengths(tmp_path, seed, (150, 170) if seed == 0 else SIZE)
    gts, config = toolkit_frames(tmp_path / "gt.json", "ins_seg")
    theirs = evaluate_ins_seg(gts, toolkit_frames(tmp_path / "pred.json", "ins_seg")[0], config, nproc=1).dict()
    caplog.clear()
    matched = open_ins_seg(tmp_path / "gt.json", tmp_path / "pred.json", None, 1 + seed % 2)
    assert matched.names == sorted(frame.name for frame in truth)
    assert_equal(matched.toolkit_scores(), theirs)
    assert "in 1 frames predicted masks overlap" in caplog.text
    assert "The first is 5.jpg" in caplog.text
    assert "10 labels have no mask" not in caplog.text
    assert "9 labels have no mask (rle) and are left out" in caplog.text
    # A slice is the matched of its frames.
    chosen = np.array([name < "5" for name in matched.names])
    write_frames([frame for frame in truth if frame.name < "5"], tmp_path / "slice.json")
    assert_equal(
        matched.toolkit_scores(chosen),
        open_ins_seg(tmp_path / "slice.json", tmp_path / "pred.json", None, 1).toolkit_scores(),
    )


def open_labels(tmp_path: Path, truth: list[Frame], predicted: list[Frame]) -> ToolkitScores:
    write_frames(truth, tmp_path / "gt.json")
    write_frames(predicted, tmp_path / "pred.json")
    return open_ins_seg(tmp_path / "gt.json", tmp_path / "pred.json", None, 1).toolkit_scores()


def test_bad_labels_are_named(tmp_path: Path) -> None:
    whole = run_lengths(np.ones((720, 1280)))
    good = Label(id="1", category="car", score=0.5, rle=whole)
    truth = [Frame("a.jpg", labels=[good])]
    assert open_labels(tmp_path, truth, truth)["AP"][1] == {"OVERALL": pytest.approx(100)}
    for changes, message in (
        ({"category": "traffic light"}, r"label 1: unknown category 'traffic light'. Known are pedestrian"),
        ({"category": "boat", "rle": None}, "label 1: unknown category 'boat'"),
        ({"category": None}, "label 1: unknown category None"),
        ({"score": None}, r"label 1 \(car\) has no score"),
        ({"rle": run_lengths(np.ones((700, 1280)))}, r"label 1 \(car\): the mask has 700x1280 pixels.* 720x1280"),
        ({"rle": RLE("00", (720, 1280))}, r"label 1 \(car\): the run lengths add up to 0 pixels"),
    ):
        label = Label(**({key: getattr(good, key) for key in ("id", "category", "score", "rle")} | changes))
        with pytest.raises(DataError, match=rf"pred.json: frame a.jpg, {message}"):
            open_labels(tmp_path, truth, [Frame("a.jpg", labels=[label])])
    with pytest.raises(DataError, match=r"gt.json: frame a.jpg, label 1 \(car\): the mask has 720x1280.* 8x8"):
        open_labels(tmp_path, [Frame("a.jpg", size=image_size(_tiny()), labels=[good])], truth)
    with pytest.raises(DataError, match="gt.json: no label has a mask in run lengths"):
        open_labels(tmp_path, [Frame("a.jpg", labels=[Label(id="1", category="car")])], truth)


def _tiny() -> Bitmask:
    instances = np.zeros((8, 8), np.int32)
    instances[2:5] = 1
    return Bitmask(instances, np.array([7]), np.array([3]), np.zeros(1, np.uint8))


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """A frame with one car, predicted as it is."""
    for folder in ("gt", "pred"):
        write_bitmask(_tiny(), tmp_path / folder / "a.png")
    (tmp_path / "score.json").write_text('[{"name": "a.jpg", "labels": [{"id": "7", "score": 1}]}]')
    return tmp_path


def open_tiny(root: Path) -> ToolkitScores:
    return open_ins_seg(root / "gt", root / "pred", root / "score.json", 1).toolkit_scores()


def test_ids_may_be_text(tiny: Path) -> None:
    assert open_tiny(tiny)["AP"] == [
        pytest.approx({name: 100 if name == "car" else np.nan for name in TASKS["ins_seg"].names}, nan_ok=True),
        {"OVERALL": pytest.approx(100)},
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "the file is empty"),
        ('[{"name": "a.jpg", "labels": [{"index"', "cut off"),
        ('{"a.jpg": 1}', "not a label file"),
        ('[{"name": "a.jpg", "labels": [{"index": 7, "score": NaN}]}]', "frame a.jpg.* holds a number that is NaN"),
        ('[{"name": "a.jpg", "labels": [{"index": 7, "score": "high"}]}]', "frame a.jpg: Expected `float"),
        ('[{"name": "a.jpg", "labels": [{"index": 7}]}]', "frame a.jpg, label number 0: annotation id 7 has no score"),
        ('[{"name": "a.jpg", "labels": [{"score": 1}]}]', "frame a.jpg, label number 0: None is no annotation id"),
        ('[{"name": "a.jpg", "labels": [{"id": "x", "score": 1}]}]', "label number 0: 'x' is no annotation id"),
        (
            '[{"name": "a.jpg", "labels": [{"id": 7, "score": 1}, {"index": 7, "score": 0}]}]',
            "frame a.jpg scores annotation id 7 twice",
        ),
        ('[{"name": "a.jpg"}, {"name": "a.png"}]', "frame a.png stands twice"),
        ('[{"name": "a.jpg", "labels": [{"id": "1_0", "score": 1}]}]', "'1_0' is no annotation id"),
        ('[{"name": "a.jpg", "labels": [{"id": "\u0663", "score": 1}]}]', "is no annotation id"),
        (
            f'[{{"name": "a.jpg", "labels": [{{"id": "{"9" * 5000}", "score": 1}}]}}]',
            "'9{90,}...9{90,}' is no annotation",
        ),
        ('[{"name": "a\\u001b.jpg", "labels": [{"id": "x", "score": 1}]}]', r"frame a.x1b.jpg, label number 0"),
        ('[{"name": "a\\u001b.jpg", "labels": 7}]', r"frame a.x1b.jpg: Expected `array"),
        ('[{"name": "a"}]', "the frame 'a' is not named after an image"),
    ],
)
def test_bad_score_files_are_named(tiny: Path, content: str, message: str) -> None:
    (tiny / "score.json").write_text(content)
    with pytest.raises(DataError, match=f"score.json: .*{message}"):
        open_tiny(tiny)


@pytest.mark.parametrize("content", ["[]", '[{"name": "a.jpg", "labels": [{"index": 8, "score": 1}]}]'])
def test_an_instance_without_a_score_is_named(tiny: Path, content: str) -> None:
    (tiny / "score.json").write_text(content)
    with pytest.raises(DataError, match=r"pred/a.png: annotation id 7 has no score in .*score.json"):
        open_tiny(tiny)


def test_bad_bitmasks_are_named(tiny: Path) -> None:
    mask = _tiny()
    for changed, message in (
        (mask._replace(instances=mask.instances[:6]), r"pred/a.png: the bitmask has 6x8 pixels, .*gt/a.png has 8x8"),
        (
            mask._replace(categories=np.array([9])),
            r"pred/a.png: .* ids \[9\]; 1 to 8 .*\(annotation id 7 has 9\)",
        ),
    ):
        write_bitmask(changed, tiny / "pred/a.png")
        with pytest.raises(DataError, match=message):
            open_tiny(tiny)
    (tiny / "pred/a.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"pred/a.png: the bitmask is an empty file"):
        open_tiny(tiny)


def test_bad_folders_are_named(tiny: Path) -> None:
    with pytest.raises(DataError, match="pred: predicted bitmasks need the file of their scores"):
        open_ins_seg(tiny / "gt", tiny / "pred", None, 1)
    with pytest.raises(DataError, match=r"score.json: this is no folder of bitmasks, but .*gt is"):
        open_ins_seg(tiny / "gt", tiny / "score.json", None, 1)
    with pytest.raises(DataError, match=r"score.json: this is no folder of bitmasks, but .*pred is"):
        open_ins_seg(tiny / "score.json", tiny / "pred", None, 1)
    with pytest.raises(DataError, match="absent: no such file or folder"):
        open_ins_seg(tiny / "absent", tiny / "pred", None, 1)
    (tiny / "empty").mkdir()
    with pytest.raises(DataError, match=r"empty: no .png and no .json file in the folder"):
        open_ins_seg(tiny / "gt", tiny / "empty", None, 1)
    write_bitmask(_tiny(), tiny / "other/b.png")
    with pytest.raises(DataError, match=r"other: none of the 1 predicted frames is in .*gt"):
        open_ins_seg(tiny / "gt", tiny / "other", tiny / "score.json", 1)
    write_bitmask(_tiny(), tiny / "pred/nested/a.png")
    with pytest.raises(
        DataError, match=r"pred: frame nested__a.png may be a.png of .*gt, as images of one name are told apart by"
    ):
        open_tiny(tiny)


def many_labels(scores: bool = False) -> list[Label]:
    names = TASKS["ins_seg"].names
    return [
        Label(str(i), names[i % len(names)], 0.5 + i / 1000 if scores else None, rle=run_lengths(i == MANY))
        for i in range(300)
    ]


@pytest.mark.parametrize("task", ("ins_seg", "pan_seg", "sem_seg"))
def test_a_frame_of_three_hundred_masks(tmp_path: Path, task: str) -> None:
    write_frames([Frame("a.jpg", size=ImageSize(40, 30), labels=many_labels())], tmp_path / "gt.json")
    write_frames([Frame("a.jpg", size=ImageSize(40, 30), labels=many_labels(True))], tmp_path / "pred.json")
    found = evaluate_files(task, tmp_path / "gt.json", tmp_path / "pred.json", workers=1)
    assert list(next(iter(found.official.values()))[-1].values()) == pytest.approx([100])
    if task == "ins_seg":
        convert(tmp_path / "gt.json", tmp_path / "coco.json", "coco", options=SourceOptions("ins_seg"))
        assert len(json.loads((tmp_path / "coco.json").read_text())["annotations"]) == 300
        convert(tmp_path / "gt.json", tmp_path / "masks", "masks", options=SourceOptions("ins_seg"))
        back = read_bitmask(next((tmp_path / "masks").glob("*.png")))
        assert len(back.ids) == 300


def test_a_bitmask_of_three_hundred_instances(tmp_path: Path) -> None:
    ids = np.arange(1, 301)
    many = Bitmask(MANY.astype(np.int32) + 1, ids, 1 + ids % 8, np.zeros(300, int))
    for folder in ("gt", "pred"):
        write_bitmask(many, tmp_path / folder / "a.png")
    labels = [{"index": int(i), "score": float(1 - i / 1000)} for i in ids]
    (tmp_path / "score.json").write_text(json.dumps([{"name": "a.png", "labels": labels}]))
    for task, score_file in (("ins_seg", tmp_path / "score.json"), ("pan_seg", None)):
        found = evaluate_files(task, tmp_path / "gt", tmp_path / "pred", score_file=score_file, workers=1)
        assert next(iter(found.official.values()))[-1] == {"OVERALL": pytest.approx(100)}
