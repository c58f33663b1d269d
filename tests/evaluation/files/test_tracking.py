"""Files of tracking: forms, what is matched, and every bad file with its message."""

import json
import logging
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from benchmarks.compare import largest_difference
from support.commands import run_tool
from support.random_tracks import random_videos

from bdd100k_d2.data.labels import Frame, write_frames
from bdd100k_d2.errors import ConfigError, DataError
from bdd100k_d2.evaluation.files.evaluate import evaluate_files
from bdd100k_d2.evaluation.files.tracking import open_box_track
from bdd100k_d2.evaluation.toolkit_format import summary


def label(track: object, x: float, category: str = "car", **fields: object) -> dict[str, Any]:
    box = {"x1": x, "y1": 10, "x2": x + 29, "y2": 39}
    return {"id": track, "category": category, "box2d": box, **fields}


def frame(index: int, *labels: dict[str, Any], video: str = "v", **fields: object) -> dict[str, Any]:
    name = f"{video}-{index + 1:07d}.jpg"
    return {"name": name, "videoName": video, "frameIndex": index, "labels": [*labels], **fields}


TRUTH = [frame(i, label("a", 5 * i), label("b", 300 - 5 * i, "pedestrian")) for i in range(6)]


def write(content: object, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


def scores(truth: object, predicted: object, folder: Path) -> dict[str, float]:
    paths = write(truth, folder / "gt.json"), write(predicted, folder / "pred.json")
    return summary(evaluate_files("box_track", *paths).official)


def test_what_is_all_right(tmp_path: Path) -> None:
    found = scores(TRUTH, {"frames": TRUTH[::-1], "groups": None, "config": None}, tmp_path)
    assert (found["MOTA"], found["IDF1"], found["MOTP"], found["MT"], found["IDSw"]) == (100, 100, 100, 2, 0)
    # The mean is over eight classes, as officially.
    assert found["mMOTA"] == 25


def test_a_folder_with_a_file_for_each_video_is_one_file(tmp_path: Path) -> None:
    truth, found = random_videos(3)
    folders = []
    for side, frames in (("gt", truth), ("pred", found)):
        write_frames(frames, tmp_path / f"{side}.json")
        folders.append(tmp_path / side / "val")
        for video in ("v0", "v1", "v2"):
            write_frames([one for one in frames if one.videoName == video], folders[-1] / f"{video}.json")
    whole = evaluate_files("box_track", tmp_path / "gt.json", tmp_path / "pred.json").official
    for truth_path in (folders[0], tmp_path / "gt"):
        assert largest_difference(evaluate_files("box_track", truth_path, folders[1]).official, whole) == 0
    assert 0 < summary(whole)["MOTA"] < 100


def test_videos_may_have_frames_of_equal_names(tmp_path: Path) -> None:
    truth = [one | {"videoName": video, "name": f"{i}.jpg"} for video in "vw" for i, one in enumerate(TRUTH)]
    found = scores(truth, truth[2:], tmp_path)
    assert (found["FN"], found["MOTA"]) == (4, pytest.approx(100 * 20 / 24))


def test_ids_are_numbers_or_words(tmp_path: Path) -> None:
    ids = {"a": [1, "01", "1", 1, "001", "1"], "b": ["x", "x", "x", "x", "x", "x"]}
    found = [
        one | {"labels": [each | {"id": ids[each["id"]][i]} for each in one["labels"]]} for i, one in enumerate(TRUTH)
    ]
    assert scores(TRUTH, found, tmp_path)["IDSw"] == 0
    assert scores(found, TRUTH, tmp_path)["IDF1"] == 100


def test_crowds_ignored_classes_and_those_of_other_tasks(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    extra = [label("c", 100, attributes={"crowd": True}), label("d", 200, "trailer"), label("e", 600, "traffic sign")]
    truth = [one | {"labels": [*one["labels"], *extra]} for one in TRUTH]
    # On a crowd and on an ignored region, twice; marked as ignored; and a sign, which is scored in no video.
    own = [label(7, 100), label(8, 201, "bus"), label(8, 102), label(9, 400, "trailer"), label(9, 600, "traffic sign")]
    found = [one | {"labels": [*one["labels"], *own]} for one in TRUTH]
    assert scores(truth, found, tmp_path)["MOTA"] == 100
    messages = [record.getMessage().partition(": ")[2] for record in caplog.records]
    assert messages == [
        "6 labels of other classes are left out: traffic sign (6).",
        "6 labels of other classes are left out: traffic sign (6).",
        "6 predictions are crowds or ignored, and are left out.",
    ]


def test_missing_and_other_frames_are_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    truth = [*TRUTH, *(one | {"videoName": "w"} for one in TRUTH)]
    found = [*TRUTH[:4], frame(9, label("a", 5)), frame(0, video="x")]
    assert scores(truth, found, tmp_path)["FN"] == 2 * 8
    messages = [record.getMessage().partition(": ")[2] for record in caplog.records]
    assert messages == [
        "8 of 12 frames have no prediction and count as empty; the first is frame 4 of video v.",
        "2 predicted frames are not in the ground truth and are left out; the first is of video v, frame 9.",
    ]


def test_predictions_without_a_box_are_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    found = [one | {"labels": [*one["labels"], {"id": "z", "category": "car", "poly2d": []}]} for one in TRUTH]
    assert scores(TRUTH, found, tmp_path)["MOTA"] == 100
    assert "6 predictions have no box (box2d) and are left out." in caplog.text
    caplog.clear()
    assert scores(TRUTH, [one | {"labels": []} for one in TRUTH], tmp_path)["FN"] == 12
    assert "no frame has a prediction, so everything counts as missed." in caplog.text
    assert scores([one | {"labels": [each | {"score": 1} for each in one["labels"]]} for one in TRUTH], TRUTH, tmp_path)
    assert "the ground truth has scores; are ground truth and predictions swapped?" in caplog.text


def test_own_classes(tmp_path: Path) -> None:
    def renamed(frames: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return json.loads(json.dumps(frames).replace("pedestrian", "tram").replace('"car"', '"kart"'))

    paths = write(renamed(TRUTH), tmp_path / "gt.json"), write(renamed(TRUTH), tmp_path / "pred.json")
    with pytest.raises(DataError, match=r"gt.json: frame v-0000001.jpg, label a: unknown category 'kart'. Known are "):
        evaluate_files("box_track", *paths)
    found = evaluate_files("box_track", *paths, classes=["tram", "kart", "bus"])
    assert found.official["IDF1"][0] == pytest.approx({"tram": 100, "kart": 100, "bus": np.nan}, nan_ok=True)
    assert list(found.official["IDF1"][1]) == ["AVERAGE", "OVERALL"]
    assert "These are not the official scores" in found.text()


def test_slices_are_scored_as_videos_of_their_own(tmp_path: Path) -> None:
    truth, found = random_videos(5)
    for one in truth:
        one.attributes = {"weather": "rainy" if one.frameIndex % 3 else "clear"}
    for side, frames in (("gt", truth), ("pred", found)):
        write_frames(frames, tmp_path / f"{side}.json")
        write_frames([one for one in frames if one.frameIndex % 3], tmp_path / f"rainy_{side}.json")
    slices = evaluate_files("box_track", tmp_path / "gt.json", tmp_path / "pred.json", by="weather").slices
    (rainy,) = (row for row in slices["weather"].rows if row.value == "rainy")
    alone = evaluate_files("box_track", tmp_path / "rainy_gt.json", tmp_path / "rainy_pred.json").official
    assert summary(rainy.scores) == summary(alone)
    with pytest.raises(ConfigError, match="box_track cannot be scored by 'occluded', but by weather, scene, timeofday"):
        evaluate_files("box_track", tmp_path / "gt.json", tmp_path / "pred.json", by="occluded")


def changed(index: int, **fields: object) -> list[dict[str, Any]]:
    return [one | fields if i == index else one for i, one in enumerate(TRUTH)]


BAD = {
    "no video": (changed(2, videoName=None), r"frame v-0000003.jpg is in no video; tracking labels have"),
    "a number for a video": (changed(2, videoName=7), r"a video is called '7'; rename it"),
    "no index": (changed(2, frameIndex=None), r"frame v-0000003.jpg of video v has the frameIndex None; number the"),
    "an index in words": (changed(2, frameIndex="2"), r"has the frameIndex 2; number the frames of each video"),
    "an index twice": (changed(2, frameIndex=1), r"v-0000003.jpg has the frameIndex 1 in video v, as frame v-0000002"),
    "a name twice": (changed(2, name="v-0000001.jpg"), r"frame v-0000001.jpg stands twice in video v; remove one"),
    "a name not shown": (changed(2, name="a\nb"), r"a frame is called 'a\\nb'; rename it"),
    "no id": (changed(2, labels=[label(None, 5)]), r"frame v-0000003.jpg: a car has no id; give an object the same"),
    "an id twice": (changed(2, labels=[label("a", 5), label("a", 9)]), r"has the id a of class car twice; in a frame"),
    "a class": (changed(2, labels=[label("a", 5, "cart")]), r"frame v-0000003.jpg, label a: unknown category 'cart'"),
    "nothing": ([], r"no frame in it; give labels of videos"),
    "key frames": ([{"name": "v.jpg", "labels": [label("a", 5)]}], r"frame v.jpg is in no video"),
}


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("side", ["gt", "pred"])
def test_bad_files(name: str, side: str, tmp_path: Path) -> None:
    content, message = BAD[name]
    files = {"gt": TRUTH, "pred": TRUTH} | {side: content}
    paths = [write(content, tmp_path / f"{name}.json") for name, content in files.items()]
    with pytest.raises(DataError, match=rf"{re.escape(str(tmp_path / side))}.json: .*{message}"):
        open_box_track(*paths)


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (
            [one | {"frameIndex": one["frameIndex"] + 1} for one in TRUTH],
            r"frame v-0000001.jpg of video v has the frameIndex 1, in the ground truth .*gt.json 0; number the frames",
        ),
        (
            [one | {"videoName": "w"} for one in TRUTH],
            r"not one of its frames is in .*gt.json \(videos w against v\); videos are matched by videoName",
        ),
        (changed(1, size={"width": 640, "height": 360}), r"frame v-0000002.jpg has 360x640 pixels, in the ground"),
        (
            [one | {"labels": [{"id": "a", "category": "car", "poly2d": []}]} for one in TRUTH],
            r'not one of the 6 predictions has "box2d", but poly2d',
        ),
    ],
)
def test_predictions_that_do_not_fit(found: object, message: str, tmp_path: Path) -> None:
    truth = [one | {"size": {"width": 1280, "height": 720}} for one in TRUTH]
    with pytest.raises(DataError, match=message):
        open_box_track(write(truth, tmp_path / "gt.json"), write(found, tmp_path / "pred.json"))


def test_ground_truth_without_boxes(tmp_path: Path) -> None:
    truth = [one | {"labels": [{"id": "a", "category": "car"}]} for one in TRUTH]
    with pytest.raises(DataError, match=r"gt.json: not one of the 6 labels has a box"):
        open_box_track(write(truth, tmp_path / "gt.json"), write(TRUTH, tmp_path / "pred.json"))


def test_the_real_format(real_root: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    labels = real_root / "bdd100k/labels/box_track_20"
    for split, frames in (("train", 6), ("val", 202)):
        matched, _ = open_box_track(labels / split, labels / split)
        found = summary(matched.toolkit_scores())
        assert len(matched.names) == frames
        assert (found["MOTA"], found["IDF1"]) == (100, 100)


def test_the_command(tmp_path: Path) -> None:
    paths = write(TRUTH, tmp_path / "gt.json"), write(TRUTH[:5], tmp_path / "pred.json")
    done = run_tool("evaluate", "box_track", "--gt", paths[0], "--pred", paths[1], "--out", tmp_path / "s.json")
    assert done.returncode == 0, done.stderr
    assert "MOTA 83.3333, MOTP 100.0000, IDF1 90.9091, FP 0, FN 2, IDSw 0" in done.stdout
    assert summary(json.loads((tmp_path / "s.json").read_text()))["MOTA"] == pytest.approx(100 * 10 / 12)
    done = run_tool("evaluate", "box_track", "--check-submission", paths[1])
    assert done.returncode == 2 and "--check-submission is there for det, sem_seg" in done.stderr


def test_a_frame_without_labels_is_one(tmp_path: Path) -> None:
    write_frames([Frame("a.jpg", "v", frameIndex=0), *TRUTH[1:]], tmp_path / "gt.json")
    matched, _ = open_box_track(tmp_path / "gt.json", tmp_path / "gt.json")
    assert matched.names[0] == "a.jpg" and len(matched.names) == 6
