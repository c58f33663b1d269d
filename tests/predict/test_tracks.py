"""Runs with tracking: ids in files and pictures, counts, what is refused, and that a run that goes on has the same."""

import json
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from detectron2.config import CfgNode
from detectron2.structures import Boxes, Instances
from support.prediction_models import Scripted, detector, write_damaged_video, write_video
from torch import tensor

from bdd100k_d2.data.videos import read_videos
from bdd100k_d2.errors import ConfigError, OutputError
from bdd100k_d2.predict.inputs import InputImages, InputVideo, find_input
from bdd100k_d2.predict.predictor import Prediction
from bdd100k_d2.predict.run import PredictionRun, Summary
from bdd100k_d2.predict.tracks import videos_of


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("weights")


@pytest.fixture
def det(weights: Path) -> CfgNode:
    return detector(weights)


class Moving(Scripted):
    """Finds a car that goes right and is as bright, and a sign that stands."""

    def _predict(self, batch: list[tuple[object, np.ndarray]]) -> Iterator[Prediction]:
        for prediction in super()._predict(batch):
            found = Instances(prediction.image.shape[:2])
            left = float(prediction.image.mean()) / 4
            found.pred_boxes = Boxes(tensor([[left, 10.0, left + 60.5, 70.25], [5.0, 5, 20, 20]]))
            found.scores, found.pred_classes = tensor([0.9, 0.8]), tensor([2, 9])
            yield prediction._replace(output={"instances": found})


def run(cfg: CfgNode, source: Path, folder: Path, batch: int = 1, **options: object) -> Summary:
    options = {"track": True} | options
    return PredictionRun(cfg, find_input(str(source), folder), folder, **options).run(Moving(batch))


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def write_frames_of_videos(root: Path, frames: int = 12) -> Path:
    """Two videos as folders of frames that grow brighter, named alike and without leading zeros."""
    for video in ("a", "b"):
        (root / video).mkdir(parents=True)
        for i in range(frames):
            cv2.imwrite(str(root / video / f"{i}.png"), np.full((96, 160, 3), 20 + 12 * i, np.uint8))
    return root


def test_folders_of_frames_are_videos(det: CfgNode, tmp_path: Path) -> None:
    source = write_frames_of_videos(tmp_path / "in")
    summary = run(det, source, tmp_path / "out", overlay=True, count_line=(55, 0, 55, 96))
    names = ["det.json", "box_track.json", "track_counts.json", "overlays"]
    assert [path.name for path in summary.files] == names
    videos = read_videos(tmp_path / "out/box_track.json")
    assert list(videos) == ["a", "b"]
    for frames in videos.values():
        assert [(frame.name, frame.frameIndex) for frame in frames] == [(f"{i}.png", i) for i in range(12)]
        assert [[(label.id, label.category, label.score) for label in frame.labels] for frame in frames] == [
            [("1", "car", pytest.approx(0.9))]
        ] * 12
    # The middle of the box begins at 35.25 and comes to 68.25; from 61.2 on it is clear of the line.
    counts = {
        "frames": 12,
        "objects": {"car": 1},
        "line": [55.0, 0.0, 55.0, 96.0],
        "left_to_right": {},
        "right_to_left": {"car": 1},
    }
    assert json.loads((tmp_path / "out/track_counts.json").read_text()) == {"a": counts, "b": counts}
    overlays = sorted((tmp_path / "out/overlays").iterdir())
    assert len(overlays) == 24
    drawn = cv2.imread(str(tmp_path / "out/overlays/a__11.jpg"))
    assert drawn.shape[1] == 160 and drawn.shape[0] > 96
    # The line, white, and the car's box.
    assert (drawn[80:96, 55] > 200).all()


def test_a_video_is_drawn_with_numbers_once(det: CfgNode, tmp_path: Path) -> None:
    video = write_video(tmp_path / "street.mp4", 9)
    files = run(det, video, tmp_path / "out").files
    assert [path.name for path in files] == ["det.json", "box_track.json", "track_counts.json", "street.mp4"]
    reader = cv2.VideoCapture(str(tmp_path / "out/street.mp4"))
    assert reader.get(cv2.CAP_PROP_FRAME_COUNT) == 9
    (frames,) = read_videos(tmp_path / "out/box_track.json").values()
    assert [(frame.name, frame.videoName) for frame in frames][:2] == [
        ("street-0000001.jpg", "street"),
        ("street-0000002.jpg", "street"),
    ]
    assert all(len(frame.labels) == 1 for frame in frames)


@pytest.mark.parametrize("batch", [1, 4])
@pytest.mark.parametrize("kind", ["video", "frames"])
def test_a_run_that_goes_on_has_the_same_numbers(det: CfgNode, tmp_path: Path, kind: str, batch: int) -> None:
    video = write_video(tmp_path / "street.mp4", 12)
    source = video if kind == "video" else write_frames_of_videos(tmp_path / "in")
    options = {"overlay": True, "batch": batch, "count_line": (55, 0, 55, 96)}
    run(det, source, tmp_path / "whole", **options)
    for limit in (5, 9, None):
        run(det, source, tmp_path / "parts", limit=limit, resume=True, **options)
    whole, parts = contents(tmp_path / "whole"), contents(tmp_path / "parts")
    assert whole.keys() == parts.keys()
    assert all(whole[name] == parts[name] for name in whole if not name.endswith((".jsonl", ".mp4")))
    with pytest.raises(ConfigError, match="the run had track True, now it is False; go on with the same"):
        run(det, source, tmp_path / "parts", resume=True, **options | {"track": False, "count_line": None})
    with pytest.raises(ConfigError, match="the run had count_line"):
        run(det, source, tmp_path / "parts", resume=True, **options | {"count_line": None})


def test_a_frame_that_cannot_be_read_is_time_that_goes_by(det: CfgNode, tmp_path: Path) -> None:
    video = write_damaged_video(tmp_path / "street.avi", 12, {4, 5})
    summary = run(det, video, tmp_path / "out")
    (frames,) = read_videos(tmp_path / "out/box_track.json").values()
    assert len(summary.unreadable) == 2
    assert [frame.frameIndex for frame in frames] == [0, 1, 2, 3, 6, 7, 8, 9, 10, 11]
    assert {label.id for frame in frames for label in frame.labels} == {"1"}


def test_frames_are_in_the_order_of_their_numbers() -> None:
    names = ["a/10.jpg", "a/9.jpg", "a/x2.jpg", "b/a/1.jpg", "a/x10.jpg", "a/010.jpg"]
    source = InputImages({name.replace("/", "__"): Path("/data") / name for name in names})
    found = videos_of(source, source.paths)
    assert {video: [(frame.name, frame.index) for frame in frames] for video, frames in found.items()} == {
        "a": [("9.jpg", 0), ("010.jpg", 1), ("10.jpg", 2), ("x2.jpg", 3), ("x10.jpg", 4)],
        "b__a": [("1.jpg", 0)],
    }


@pytest.mark.parametrize(
    ("names", "told", "warned"),
    [
        ({"a": ("1.jpg", "2.jpg"), "b": ("f-01-5.jpg", "f-02-7.jpg", "f-10-9.jpg")}, "2 videos of 5 frames", None),
        ({"val": ("b1c66a42-6f7d68ca.jpg",)}, "1 video of 1 frame", None),
        (
            {"a": ("1.jpg", "2.jpg"), "val": ("b1c66a42-6f7d68ca.jpg", "b1c81faa-3df17267.jpg")},
            "2 videos of 4 frames",
            "in 1 video the names differ in more than a number, as b1c66a42-6f7d68ca.jpg and b1c81faa-3df17267.jpg in "
            "val; are they frames of one film each?",
        ),
        # Two films in one folder.
        ({"a": ("x-1.jpg", "x-2.jpg", "y-1.jpg")}, "1 video of 3 frames", "as x-1.jpg and y-1.jpg in a;"),
    ],
)
def test_what_is_taken_for_videos_is_told(
    det: CfgNode,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    names: dict[str, tuple[str, ...]],
    told: str,
    warned: str | None,
) -> None:
    caplog.set_level("INFO", "bdd100k_d2.predict.tracks")
    paths = [Path("/data") / folder / name for folder, of in names.items() for name in of]
    source = InputImages({f"{path.parent.name}__{path.name}": path for path in paths})
    PredictionRun(det, source, tmp_path / "out", track=True)
    assert caplog.messages[0] == f"--track: each folder is a video; {told}."
    assert [record.levelname for record in caplog.records] == ["INFO", *(["WARNING"] if warned else [])]
    assert warned is None or warned in caplog.messages[1]


def test_what_is_refused(det: CfgNode, weights: Path, tmp_path: Path) -> None:
    video = write_video(tmp_path / "street.mp4", 2)
    with pytest.raises(ConfigError, match="--track: a camera does not show again what was; record a video"):
        PredictionRun(det, InputVideo(0, "camera0"), tmp_path / "out", track=True)
    with pytest.raises(ConfigError, match="--track: ins_seg has no boxes to follow; track with a model of det"):
        run(detector(weights, "ins_seg"), video, tmp_path / "out")
    with pytest.raises(ConfigError, match="--count-line counts objects with numbers; give --track with it"):
        run(det, video, tmp_path / "out", track=False, count_line=(0, 0, 1, 1))
    for line in ((5, 5, 5, 5), (0, 0, float("nan"), 1)):
        with pytest.raises(ConfigError, match="--count-line .* is no line; give two points in pixels"):
            run(det, video, tmp_path / "out", count_line=line)


def test_what_an_earlier_run_left_is_replaced_only_if_it_is_its_own(det: CfgNode, tmp_path: Path) -> None:
    video = write_video(tmp_path / "street.mp4", 3)
    run(det, video, tmp_path / "out")
    run(det, video, tmp_path / "out", track=False, overwrite=True)
    assert sorted(contents(tmp_path / "out")) == ["det.json", "frames.jsonl", "street.mp4"]
    (tmp_path / "out/box_track.json").write_text("mine")
    with pytest.raises(OutputError, match="box_track.json is there, but not of the run that frames.jsonl tells of"):
        run(det, video, tmp_path / "out", overwrite=True)
    (tmp_path / "other").mkdir()
    (tmp_path / "other/track_counts.json").write_text("mine")
    with pytest.raises(OutputError, match="track_counts.json is there, but no frames.jsonl"):
        run(det, video, tmp_path / "other")
