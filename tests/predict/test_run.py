"""Prediction runs: their files, and that a run that was killed and goes on leaves the same."""

import json
import logging
import runpy
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from detectron2.config import CfgNode
from support import ROOT
from support.frames import BAD_IMAGES, write_bad_image, write_image
from support.prediction_models import (
    Scripted,
    config_file,
    detector,
    run_until_killed,
    saved,
    write_damaged_video,
    write_video,
)
from support.processes import in_processes, run_command, start_command
from support.small_models import small_config
from torch.multiprocessing import ProcessExitedException

import bdd100k_d2
from bdd100k_d2.errors import ConfigError, DataError, OutputError
from bdd100k_d2.evaluation.evaluators import EVALUATORS
from bdd100k_d2.predict import worker
from bdd100k_d2.predict.inputs import InputVideo, find_input
from bdd100k_d2.predict.predictor import Predictor
from bdd100k_d2.predict.run import PredictionRun, Summary
from bdd100k_d2.tasks import TASKS

TOOL = ROOT / "tools" / "predict.py"


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("weights")


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Five images of 160x96, in two folders."""
    for i in range(5):
        write_image(tmp_path / "in" / "ab"[i % 2] / f"{i}.jpg", seed=i)
    return tmp_path / "in"


@pytest.fixture
def det(weights: Path) -> CfgNode:
    return detector(weights)


def run(cfg: CfgNode, source: Path, folder: Path, predictor: object = None, **options: object) -> Summary:
    return PredictionRun(cfg, find_input(str(source), folder), folder, **options).run(predictor or Predictor(cfg))


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def evaluated(cfg: CfgNode, task: str, paths: Iterable[Path], folder: Path) -> dict[str, bytes]:
    """The files that the task's evaluator writes of the same images."""
    bdd100k_d2.register_all("/nowhere")
    predictor = Predictor(cfg)
    evaluator = EVALUATORS[task](f"bdd100k_{task}_test", folder)
    evaluator.reset()
    for path in paths:
        evaluator.process([{"image_id": path.name}], [predictor(path)])
    evaluator.evaluate()
    return {name: content for name, content in contents(folder).items() if not name.endswith(".zip")}


@pytest.mark.parametrize("task", ["det", "ins_seg"])
def test_the_files_are_those_of_the_evaluator(weights: Path, images: Path, tmp_path: Path, task: str) -> None:
    cfg = detector(weights, task)
    summary = run(cfg, images, tmp_path / "out")
    expected = evaluated(cfg, task, sorted(images.rglob("*.jpg"), key=lambda path: path.name), tmp_path / "expected")
    found = contents(tmp_path / "out")
    assert (summary.frames, summary.predicted, summary.unreadable) == (5, 5, {})
    found.pop("frames.jsonl")
    # Frames are in the order of their paths here, and their boxes numbered so.
    lists = [name for name in found if name.endswith(".json")]
    for name in lists:
        frames, wanted = ({one["name"]: one for one in json.loads(files.pop(name))} for files in (found, expected))
        assert list(frames) == ["0.jpg", "2.jpg", "4.jpg", "1.jpg", "3.jpg"]
        for label in (label for each in (frames, wanted) for one in each.values() for label in one["labels"]):
            label.pop("id", None)
        assert frames == wanted and any(one["labels"] for one in frames.values())
    assert found == expected and len(found) == (0 if task == "det" else 5)


def test_masks_are_those_of_the_evaluator(tiny_root: Path, images: Path, tmp_path: Path) -> None:
    cfg = saved(small_config(tiny_root, "DATASETS.TEST", ("bdd100k_sem_seg_val",)), tmp_path / "weights")
    run(cfg, images / "a", tmp_path / "out", overlay=True)
    found = contents(tmp_path / "out")
    expected = evaluated(cfg, "sem_seg", sorted((images / "a").glob("*.jpg")), tmp_path / "expected")
    assert {name: content for name, content in found.items() if name.startswith("masks")} == expected
    assert [name for name in found if "overlays" in name] == [f"overlays/{i}.jpg" for i in (0, 2, 4)]
    # Pixels of other classes than those that are wanted are of none.
    most = int(np.bincount(cv2.imread(str(tmp_path / "out/masks/0.png"), 0).ravel()).argmax())
    run(cfg, images / "a", tmp_path / "one", classes=(TASKS["sem_seg"].names[most],))
    every, one = (cv2.imread(str(tmp_path / folder / "masks/0.png"), 0) for folder in ("out", "one"))
    np.testing.assert_array_equal(one, np.where(every == most, most, 255))


def test_damaged_frames_of_a_video_are_named_and_the_others_predicted(
    det: CfgNode, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    video = write_damaged_video(tmp_path / "a.avi", 12, {4, 5})
    for options in ({}, {"resume": True}):
        summary = run(det, video, tmp_path / "out", Scripted(2), **options)
        assert (summary.frames, list(summary.unreadable)) == (10, ["a-0000005.jpg", "a-0000006.jpg"])
        assert "a.avi: frame 5 cannot be read; the video is damaged there." in caplog.text
    frames = json.loads((tmp_path / "out/det.json").read_bytes())
    assert [frame["frameIndex"] for frame in frames] == [0, 1, 2, 3, 6, 7, 8, 9, 10, 11]
    assert [frame["name"] for frame in frames[3:5]] == ["a-0000004.jpg", "a-0000007.jpg"]
    assert cv2.VideoCapture(str(tmp_path / "out/a.mp4")).get(cv2.CAP_PROP_FRAME_COUNT) == 10


@pytest.mark.parametrize(("frames", "unreadable"), [(59, 0), (45, 15)])
def test_a_video_that_ends_early_is_told_of(
    det: CfgNode, tmp_path: Path, caplog: pytest.LogCaptureFixture, frames: int, unreadable: int
) -> None:
    video = write_damaged_video(tmp_path / "a.avi", 60, set(range(frames, 60)))
    summary = run(det, video, tmp_path / "out", Scripted())
    assert (summary.frames, len(summary.unreadable)) == (frames, unreadable)
    assert f"a.avi: 60 frames by its header, but it ends after {frames}; is it cut off?" in caplog.text


def test_a_video_that_promises_many_frames_fills_no_memory(
    det: CfgNode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(worker, "_MOST_MISSING", 30)
    video = write_damaged_video(tmp_path / "a.avi", 20, set())
    content = bytearray(video.read_bytes())
    for kind, place in ((b"avih", 16), (b"strh", 32)):
        start = content.index(kind) + 8 + place
        content[start : start + 4] = (1000).to_bytes(4, "little")
    video.write_bytes(content)
    summary = run(det, video, tmp_path / "out", Scripted())
    assert (summary.frames, len(summary.unreadable)) == (20, 30)
    assert "a.avi: 1000 frames by its header, but it ends after 20; is it cut off?" in caplog.text


def test_scores_and_classes_select(det: CfgNode, images: Path, tmp_path: Path) -> None:
    run(det, images, tmp_path / "all")
    labels = [label for frame in json.loads((tmp_path / "all/det.json").read_bytes()) for label in frame["labels"]]
    least = sorted(label["score"] for label in labels)[len(labels) // 2]
    category = labels[0]["category"]
    run(det, images, tmp_path / "some", min_score=least, classes=(category,))
    some = [label for frame in json.loads((tmp_path / "some/det.json").read_bytes()) for label in frame["labels"]]
    kept = [label for label in labels if label["score"] >= least and label["category"] == category]
    assert [(one["score"], one["box2d"]) for one in some] == [(one["score"], one["box2d"]) for one in kept] and kept
    assert [one["id"] for one in some] == [str(i) for i in range(len(some))]


def test_a_limit_takes_nothing_from_a_run_that_goes_on(det: CfgNode, images: Path, tmp_path: Path) -> None:
    for source in (images, write_video(tmp_path / "drive.mp4", 6)):
        folder = tmp_path / source.stem
        run(det, source, folder, Scripted(), overlay=True)
        whole = contents(folder)
        summary = run(det, source, folder, Scripted(), overlay=True, resume=True, limit=2)
        assert summary.predicted == 0 and contents(folder) == whole


def test_another_config_is_refused_in_words(det: CfgNode, images: Path, tmp_path: Path) -> None:
    run(det, images, tmp_path / "out", Scripted(), limit=2)
    det.OUTPUT_DIR = str(tmp_path / "elsewhere")
    assert run(det, images, tmp_path / "out", Scripted(), limit=2, resume=True).predicted == 0
    det.TEST.DETECTIONS_PER_IMAGE = 5
    with pytest.raises(ConfigError, match=r"frames\.jsonl: the run had another config; go on with the same, or start"):
        run(det, images, tmp_path / "out", Scripted(), resume=True)


def test_a_slice_of_the_config_tells_the_task(det: CfgNode, images: Path, tmp_path: Path) -> None:
    det.DATASETS.SLICES = [{"name": "dark", "base": "bdd100k_det_val", "timeofday": "night"}]
    det.DATASETS.TEST = ("dark",)
    assert run(det, images, tmp_path / "out", Scripted(), limit=1).files == [tmp_path / "out/det.json"]


def test_limit_takes_the_first(det: CfgNode, images: Path, tmp_path: Path) -> None:
    assert run(det, images, tmp_path / "out", Scripted(), limit=2).frames == 2
    assert [frame["name"] for frame in json.loads((tmp_path / "out/det.json").read_bytes())] == ["0.jpg", "2.jpg"]


def test_images_that_pillow_or_the_resize_fails_on_are_left_out(det: CfgNode, images: Path, tmp_path: Path) -> None:
    for kind in BAD_IMAGES:
        write_bad_image(images / "a" / f"{kind}.jpg", kind)
    summary = run(det, images / "a", tmp_path / "out")
    assert summary.frames == 3 and set(summary.unreadable) == {f"{kind}.jpg" for kind in BAD_IMAGES}


def test_unreadable_images_are_named_and_left_out(
    det: CfgNode, images: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (images / "a" / "2.jpg").write_bytes(b"no image")
    (images / "b" / "9.jpg").write_bytes(b"")
    with caplog.at_level(logging.WARNING):
        summary = run(det, images, tmp_path / "out")
    assert list(summary.unreadable) == ["2.jpg", "9.jpg"] and summary.frames == 4
    assert "2.jpg: the image cannot be read" in caplog.text
    assert "2 frames could not be read, and no file has results of them" in summary.text()
    assert [frame["name"] for frame in json.loads((tmp_path / "out/det.json").read_bytes())] == [
        "0.jpg",
        "4.jpg",
        "1.jpg",
        "3.jpg",
    ]
    # Once mended, they are predicted by a run that goes on.
    write_image(images / "a" / "2.jpg", seed=2)
    (images / "b" / "9.jpg").unlink()
    again = run(det, images, tmp_path / "out", resume=True)
    assert (again.frames, again.predicted, again.unreadable) == (5, 1, {})
    run(det, images, tmp_path / "whole")
    assert (tmp_path / "out/det.json").read_bytes() == (tmp_path / "whole/det.json").read_bytes()


def killed(cfg: CfgNode, source: Path, folder: Path, batch_size: int, after: int) -> None:
    """A run in another process, which has to die of SIGKILL when its record has ``after`` frames."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with pytest.raises(ProcessExitedException, match="SIGKILL"):
        in_processes(1, run_until_killed, config_file(cfg, folder.parent), source, folder, batch_size, after)


@pytest.mark.parametrize(("task", "batch_size", "after"), [("det", 1, 3), ("ins_seg", 2, 3)])
def test_a_run_that_was_killed_leaves_the_same_files_when_it_goes_on(
    weights: Path, images: Path, tmp_path: Path, task: str, batch_size: int, after: int
) -> None:
    cfg = detector(weights, task)
    run(cfg, images, tmp_path / "whole", Scripted(batch_size), overlay=True)
    killed(cfg, images, tmp_path / "out", batch_size, after)
    left = contents(tmp_path / "out")
    assert left["frames.jsonl"].count(b"\n") == 1 + after and "det.json" not in left
    predictor = Scripted(batch_size)
    summary = run(cfg, images, tmp_path / "out", predictor, overlay=True, resume=True)
    assert (summary.frames, summary.predicted) == (5, 5 - after // batch_size * batch_size)
    found, expected = contents(tmp_path / "out"), contents(tmp_path / "whole")
    # The record has the frames of a batch that was begun twice.
    found.pop("frames.jsonl"), expected.pop("frames.jsonl")
    assert found == expected and len(found) == (6 if task == "det" else 11)


def test_a_video_that_was_killed_is_the_same_when_it_goes_on(weights: Path, tmp_path: Path) -> None:
    batch_size, video = 3, write_video(tmp_path / "drive.mp4", 12)
    cfg = detector(weights, "ins_seg")
    run(cfg, video, tmp_path / "whole", Scripted(batch_size), overlay=True)
    killed(cfg, video, tmp_path / "out", batch_size, 7)
    assert (tmp_path / "out/.drive.partial.mp4").exists() and not (tmp_path / "out/drive.mp4").exists()
    summary = run(cfg, video, tmp_path / "out", Scripted(batch_size), overlay=True, resume=True)
    assert (summary.frames, summary.predicted) == (12, 12 - 7 // batch_size * batch_size)
    found, expected = contents(tmp_path / "out"), contents(tmp_path / "whole")
    found.pop("frames.jsonl"), expected.pop("frames.jsonl")
    assert found == expected
    capture = cv2.VideoCapture(str(tmp_path / "out/drive.mp4"))
    assert capture.get(cv2.CAP_PROP_FPS) == 12.5 and capture.get(cv2.CAP_PROP_FRAME_COUNT) == 12


def test_frames_of_a_video_are_named_as_in_bdd100k(det: CfgNode, tmp_path: Path) -> None:
    summary = run(det, write_video(tmp_path / "drive.mp4", 4), tmp_path / "out", Scripted(), limit=3)
    frames = json.loads((tmp_path / "out/det.json").read_bytes())
    assert [(one["name"], one["videoName"], one["frameIndex"]) for one in frames] == [
        (f"drive-000000{i + 1}.jpg", "drive", i) for i in range(3)
    ]
    assert summary.files == [tmp_path / "out/det.json", tmp_path / "out/drive.mp4"] and not summary.unreadable
    drawn = cv2.VideoCapture(str(tmp_path / "out/drive.mp4")).read()[1]
    assert drawn.shape[1] == 160 and drawn.shape[0] > 96  # with the legend


def test_a_video_that_is_cut_off_is_told(det: CfgNode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    video = write_video(tmp_path / "drive.mp4", 5, rate=2.0)
    from bdd100k_d2.predict import worker

    class Longer(worker.VideoReader):
        def __init__(self, source: Path) -> None:
            super().__init__(source)
            self.num_frames = 9

    monkeypatch.setattr(worker, "VideoReader", Longer)
    summary = run(det, video, tmp_path / "out", Scripted())
    assert summary.frames == 5 and list(summary.unreadable) == [f"drive-000000{i}.jpg" for i in (6, 7, 8, 9)]
    assert "9 frames by its header, but it ends after 5; is it cut off?" in summary.unreadable["drive-0000006.jpg"]


def test_a_cameras_video_ends_when_the_user_interrupts(
    det: CfgNode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bdd100k_d2.predict import worker

    class Camera(worker.VideoReader):
        def __init__(self, source: int) -> None:
            assert source == 0
            super().__init__(write_video(tmp_path / "live.mp4", 6))

        def frames(self) -> Iterator[np.ndarray]:
            for i, frame in enumerate(super().frames()):
                if i == 4:
                    raise KeyboardInterrupt
                yield frame

    monkeypatch.setattr(worker, "VideoReader", Camera)
    summary = PredictionRun(det, InputVideo(0, "camera0"), tmp_path / "out").run(Scripted())
    assert (summary.frames, summary.unreadable) == (4, {}) and (tmp_path / "out/camera0.mp4").exists()
    with pytest.raises(ConfigError, match="--resume: a camera does not show again what was"):
        PredictionRun(det, InputVideo(0, "camera0"), tmp_path / "out", resume=True)


def test_earlier_results_stay_unless_the_user_says_so(det: CfgNode, images: Path, tmp_path: Path) -> None:
    run(det, images, tmp_path / "out", Scripted(), overlay=True)
    before = contents(tmp_path / "out")
    with pytest.raises(OutputError, match="earlier run are there; give --resume .* --overwrite to replace them"):
        run(det, images, tmp_path / "out", Scripted(), limit=1)
    with pytest.raises(ConfigError, match="give one of the two"):
        run(det, images, tmp_path / "out", Scripted(), resume=True, overwrite=True)
    assert contents(tmp_path / "out") == before


def test_overwriting_removes_what_the_record_names_and_nothing_else(det: CfgNode, images: Path, tmp_path: Path) -> None:
    run(det, images, tmp_path / "out", Scripted(), overlay=True)
    for mine in ("notes.txt", "overlays/mine.jpg", "overlays/0.png", "masks/0.png"):
        (tmp_path / "out" / mine).parent.mkdir(exist_ok=True)
        (tmp_path / "out" / mine).write_text("mine")
    run(det, images, tmp_path / "out", Scripted(), limit=1, overwrite=True)
    assert sorted(contents(tmp_path / "out")) == [
        "det.json",
        "frames.jsonl",
        "masks/0.png",
        "notes.txt",
        "overlays/0.png",
        "overlays/mine.jpg",
    ]


@pytest.mark.parametrize("options", [{}, {"resume": True}, {"overwrite": True}])
def test_a_file_that_is_called_as_the_record_is_none(
    det: CfgNode, images: Path, tmp_path: Path, options: dict[str, bool]
) -> None:
    (tmp_path / "out" / "masks").mkdir(parents=True)
    (tmp_path / "out" / "masks" / "mine.png").write_text("mine")
    (tmp_path / "out" / "frames.jsonl").write_text('{"my": 1}\n')
    before = contents(tmp_path / "out")
    with pytest.raises(DataError, match="frames.jsonl: not the record of a run .* choose another output folder"):
        run(det, images, tmp_path / "out", Scripted(), **options)
    assert contents(tmp_path / "out") == before


@pytest.mark.parametrize("linked", [False, True])
def test_a_video_is_not_replaced_by_its_annotated_one(det: CfgNode, tmp_path: Path, linked: bool) -> None:
    video = write_video(tmp_path / "a.mp4", 3)
    out = tmp_path
    if linked:
        out = tmp_path / "out"
        out.mkdir()
        (out / "a.mp4").symlink_to(video)
    before = video.read_bytes()
    for options in ({}, {"resume": True}, {"overwrite": True}):
        with pytest.raises(OutputError, match="a.mp4: would overwrite or lie in .*a.mp4, which is only read"):
            run(det, video, out, Scripted(), **options)
    assert video.read_bytes() == before and not (out / "frames.jsonl").exists()


def test_another_video_of_that_name_is_not_replaced(det: CfgNode, images: Path, tmp_path: Path) -> None:
    video, out = write_video(tmp_path / "a.mp4", 3), tmp_path / "out"
    out.mkdir()
    (out / "a.mp4").write_text("mine")
    with pytest.raises(OutputError, match="a.mp4 is there, but no frames.jsonl"):
        run(det, video, out, Scripted())
    (out / "a.mp4").unlink()
    run(det, images, out, Scripted())
    (out / "a.mp4").write_text("mine")
    with pytest.raises(OutputError, match="a.mp4 is there, but not of the run that frames.jsonl tells of"):
        run(det, video, out, Scripted(), overwrite=True)
    assert (out / "a.mp4").read_text() == "mine" and (out / "det.json").exists()
    # That of a run is replaced.
    (out / "a.mp4").unlink()
    run(det, video, out, Scripted(), overwrite=True)
    assert run(det, video, out, Scripted(), overwrite=True, limit=2).frames == 2


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"film":null', b'"film":"../mine.mp4"'),
        (b'"film":null', b'"film":"%s"'),
        (b'"name":"0.jpg"', b'"name":"../mine.jpg"'),
        (b'"name":"0.jpg"', b'"name":"%s"'),
    ],
)
def test_a_poisoned_record_removes_nothing(det: CfgNode, images: Path, tmp_path: Path, old: bytes, new: bytes) -> None:
    out = tmp_path / "out"
    run(det, images, out, Scripted(), overlay=True)
    mine = [tmp_path / "mine.mp4", tmp_path / "mine.jpg", out / "mine.jpg"]
    for path in mine:
        path.write_text("mine")
    record = out / "frames.jsonl"
    new = new.replace(b"%s", bytes(mine[0]))
    assert old in record.read_bytes()
    record.write_bytes(record.read_bytes().replace(old, new))
    before = contents(tmp_path)
    for options in ({"overwrite": True}, {"resume": True}):
        with pytest.raises(DataError, match="frames.jsonl: not the record of a run"):
            run(det, images, out, Scripted(), overlay=True, **options)
    assert contents(tmp_path) == before


@pytest.mark.parametrize("name", ["overlays", "det.json", "frames.jsonl"])
@pytest.mark.parametrize("option", ["resume", "overwrite"])
def test_nothing_is_written_or_removed_through_a_link(
    det: CfgNode, images: Path, tmp_path: Path, name: str, option: str
) -> None:
    out = tmp_path / "out"
    run(det, images, out, Scripted(), overlay=True)
    (out / name).rename(tmp_path / name)
    (out / name).symlink_to(tmp_path / name)
    before = contents(tmp_path)
    with pytest.raises(
        DataError, match=f"{name}: a link leads out of .*; replace it by what it leads to, or choose another"
    ):
        run(det, images, out, Scripted(), overlay=True, **{option: True})
    assert contents(tmp_path) == before


def test_a_run_goes_on_with_a_name_that_has_a_backslash(det: CfgNode, tmp_path: Path) -> None:
    write_image(tmp_path / "in/a\\b.jpg")
    run(det, tmp_path / "in", tmp_path / "out", Scripted())
    assert run(det, tmp_path / "in", tmp_path / "out", Scripted(), resume=True).predicted == 0


def test_the_second_of_two_runs_is_refused(det: CfgNode, images: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    first, second = (PredictionRun(det, find_input(str(images), out), out) for _ in range(2))
    first.run(Scripted())
    before = contents(out)
    with pytest.raises(OutputError, match="the results of an earlier run are there"):
        second.run(Scripted())
    assert contents(out) == before and ".bdd100k_d2.lock" not in before


def test_a_run_beside_another_process_is_refused(det: CfgNode, images: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    mine = PredictionRun(det, find_input(str(images), out), out)
    code = f"import pathlib, sys; from bdd100k_d2.lock import locked\nwith locked(pathlib.Path({str(out)!r})):"
    command = [sys.executable, "-c", f"{code} print('x', flush=True); sys.stdin.read()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT) as other:
        other.stdout.readline()
        for start in (lambda: mine.run(Scripted()), lambda: run(det, images, out, Scripted(), overwrite=True)):
            with pytest.raises(OutputError, match="out: another process is writing there; wait for its end, stop it"):
                start()
        other.communicate(b"")
    assert mine.run(Scripted()).frames == 5


def test_images_are_not_replaced_by_results(det: CfgNode, tmp_path: Path) -> None:
    write_image(tmp_path / "overlays" / "a.jpg")
    with pytest.raises(OutputError, match="overlays: images of the input are where results go"):
        run(det, tmp_path / "overlays" / "a.jpg", tmp_path, Scripted())


def test_what_cannot_be_predicted_leaves_earlier_results(
    det: CfgNode, tiny_root: Path, images: Path, tmp_path: Path
) -> None:
    run(det, images, tmp_path / "out", Scripted(), overlay=True)
    before = contents(tmp_path / "out")
    (tmp_path / "bad.mp4").write_bytes(b"no video")
    with pytest.raises(DataError, match="bad.mp4: cannot be opened"):
        run(det, tmp_path / "bad.mp4", tmp_path / "out", Scripted(), overwrite=True)
    # Also where what cannot be read comes before the model's first result.
    (images / "a" / "0.jpg").write_bytes(b"no image")
    masks = small_config(tiny_root, "DATASETS.TEST", ("bdd100k_sem_seg_val",))
    with pytest.raises(ConfigError, match="DATASETS.TEST is of sem_seg, but the model gives instances"):
        run(masks, images, tmp_path / "out", Scripted(), overwrite=True)
    assert contents(tmp_path / "out") == before


def test_going_on_wants_the_same_images(det: CfgNode, images: Path, tmp_path: Path) -> None:
    lists = []
    for i, two in enumerate(("a/0.jpg\nb/1.jpg", "a/0.jpg\nc/1.jpg")):
        lists.append(images / f"{i}.txt")
        lists[i].write_text(two)
    write_image(images / "c" / "1.jpg", seed=9)
    run(det, lists[0], tmp_path / "out", Scripted())
    before = contents(tmp_path / "out")
    with pytest.raises(ConfigError, match="1 of the images .* as 1.jpg; go on with the same images"):
        run(det, lists[1], tmp_path / "out", Scripted(), resume=True)
    # Names that become longer would leave the files of the shorter ones.
    lists[1].write_text("a/0.jpg\nb/1.jpg\nc/1.jpg")
    with pytest.raises(ConfigError, match="have other names there"):
        run(det, lists[1], tmp_path / "out", Scripted(), resume=True)
    assert contents(tmp_path / "out") == before


def test_going_on_takes_images_that_came(det: CfgNode, images: Path, tmp_path: Path) -> None:
    run(det, images, tmp_path / "out", Scripted())
    write_image(images / "Earlier" / "new.jpg", seed=7)
    summary = run(det, images, tmp_path / "out", Scripted(), resume=True)
    assert (summary.frames, summary.predicted) == (6, 1)
    run(det, images, tmp_path / "whole", Scripted())
    assert (tmp_path / "out/det.json").read_bytes() == (tmp_path / "whole/det.json").read_bytes()


def test_going_on_wants_the_same_video(det: CfgNode, tmp_path: Path) -> None:
    video = write_video(tmp_path / "a.mp4", 3)
    run(det, video, tmp_path / "out", Scripted())
    write_video(video, 4)
    with pytest.raises(ConfigError, match="the run had input .*a.mp4, .* bytes"):
        run(det, video, tmp_path / "out", Scripted(), resume=True)


def test_results_that_no_run_wrote_stay(det: CfgNode, images: Path, tmp_path: Path) -> None:
    (tmp_path / "masks").mkdir()
    with pytest.raises(OutputError, match="masks is there, but no frames.jsonl, .* choose another output folder"):
        run(det, images, tmp_path, Scripted())


def test_what_cannot_be_asked_for(det: CfgNode, tiny_root: Path, images: Path, tmp_path: Path) -> None:
    source = find_input(str(images))
    for options, message in (
        (
            {"overwrite": True, "classes": ("car", "lorry")},
            "--classes: det has no class 'lorry'; there are pedestrian, rider, car",
        ),
        ({"resume": True, "min_score": 0.5}, "the run had score_thr None, now it is 0.5"),
    ):
        run(det, images, tmp_path / "out", Scripted(), limit=1, overwrite=True)
        with pytest.raises(ConfigError, match=message):
            PredictionRun(det, source, tmp_path / "out", **options).run(Scripted())
    masks = small_config(tiny_root, "DATASETS.TEST", ("bdd100k_sem_seg_val",))
    with pytest.raises(ConfigError, match="--score-thr: sem_seg has no scores; they belong to det and ins_seg"):
        PredictionRun(masks, source, tmp_path / "masks", min_score=0.5)
    with pytest.raises(
        ConfigError, match="DATASETS.TEST is of sem_seg, but the model gives instances; take a config of sem_seg"
    ):
        PredictionRun(masks, source, tmp_path / "masks").run(Scripted())
    for test_sets, message in (((), "DATASETS.TEST is empty"), (("coco_2017_val",), "no stuff_classes")):
        masks.DATASETS.TEST = test_sets
        with pytest.raises(ConfigError, match=message):
            PredictionRun(masks, source, tmp_path / "masks")
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="the output folder cannot be written .* choose another one"):
        PredictionRun(det, source, tmp_path / "file" / "out")


def command(cfg: CfgNode, folder: Path, source: object, *arguments: object) -> list[str]:
    parts = [TOOL, "--config-file", config_file(cfg, folder), "--input", source, *arguments]
    return [str(part) for part in parts]


def test_the_command_on_the_real_images(
    det: CfgNode,
    real_root: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    images = real_root / "bdd100k" / "images" / "100k" / "test"
    (tmp_path / "list.txt").write_text("\n".join(map(str, [*sorted(images.glob("*.jpg"))[:3], tmp_path / "gone.jpg"])))
    arguments = ("--output", tmp_path / "out", "--overlay", "MODEL.ROI_HEADS.SCORE_THRESH_TEST", "0.01")
    monkeypatch.setattr(sys, "argv", command(det, tmp_path, tmp_path / "list.txt", *arguments))
    with pytest.raises(SystemExit) as exit_status:
        runpy.run_path(str(TOOL), run_name="__main__")
    assert exit_status.value.code == 3
    printed = capsys.readouterr()
    assert "3 frames (3 now" in printed.out and "1 frame could not be read" in printed.out
    assert "gone.jpg: the image cannot be read" in caplog.text and "frame/s" not in printed.err
    assert len(json.loads((tmp_path / "out/det.json").read_bytes())) == 3
    overlays = sorted((tmp_path / "out/overlays").iterdir())
    assert [cv2.imread(str(path)).shape for path in overlays] == [(744, 1280, 3)] * 3


def test_what_the_command_refuses(
    det: CfgNode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_image(tmp_path / "a.jpg")
    start = command(det, tmp_path, tmp_path / "a.jpg", "--output", tmp_path / "out")
    for arguments, message in (
        (("--classes", "car,lorry"), "error: --classes: det has no class 'lorry'"),
        (("--input", str(tmp_path / "gone")), "gone: no such image, folder, video or list"),
        (("MODEL.WEIGHTS", str(tmp_path / "gone.pth")), "gone.pth"),
        (("--score-thr", "2"), 2),
        (("--limit", "0"), 2),
    ):
        monkeypatch.setattr(sys, "argv", [*start, *arguments])
        with pytest.raises(SystemExit) as exit_status:
            runpy.run_path(str(TOOL), run_name="__main__")
        code = exit_status.value.code
        assert code == message if isinstance(message, int) else message in str(code)


@pytest.mark.slow
def test_the_command_killed_and_resumed(det: CfgNode, tmp_path: Path) -> None:
    video = write_video(tmp_path / "drive.mp4", 120)
    start = command(det, tmp_path, video, "--batch-size", 2, "--output")
    assert run_command(*start, tmp_path / "whole").returncode == 0
    process = start_command(*start, tmp_path / "out", stdout=tmp_path / "printed")
    record = tmp_path / "out" / "frames.jsonl"
    while process.is_alive() and (not record.exists() or record.read_bytes().count(b"\n") < 20):
        time.sleep(0.01)
    process.kill()
    process.join()
    assert process.exitcode == -signal.SIGKILL, (tmp_path / "printed").read_text()
    assert run_command(*start, tmp_path / "out", "--resume").returncode == 0
    found, expected = contents(tmp_path / "out"), contents(tmp_path / "whole")
    assert found.pop("frames.jsonl") and expected.pop("frames.jsonl") and found == expected
