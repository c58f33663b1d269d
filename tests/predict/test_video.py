import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from support.prediction_models import write_damaged_video, write_video

from bdd100k_d2.errors import DataError, OutputError
from bdd100k_d2.predict.video import VideoReader, VideoWriter
from bdd100k_d2.predict.worker import ordered_pipeline


def read(path: Path) -> list[np.ndarray]:
    reader = VideoReader(path)
    frames = list(reader.frames())
    reader.close()
    return frames


def test_frames_rate_and_number_of_a_video(tmp_path: Path) -> None:
    reader = VideoReader(write_video(tmp_path / "a.mp4", 7))
    assert (reader.rate, reader.num_frames) == (12.5, 7)
    frames = list(reader.frames())
    assert len(frames) == 7 and frames[0].shape == (96, 160, 3)
    # The square moves by four pixels a frame.
    left = [int((frame[45].min(axis=1) > 200).argmax()) for frame in frames]
    assert all(abs(found - 4 * i) <= 2 for i, found in enumerate(left))


def test_frames_behind_damaged_ones_are_read(tmp_path: Path) -> None:
    path = write_damaged_video(tmp_path / "a.avi", 12, {4, 5, 11})
    frames = read(path)
    # Behind the last whole frame nothing tells damage from the end.
    assert [frame is None for frame in frames] == [i in (4, 5) for i in range(11)]
    assert [round(frame.mean() / 12) for frame in frames if frame is not None] == [0, 1, 2, 3, 6, 7, 8, 9, 10]


@pytest.fixture
def tell(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Makes videos say other things of themselves than they do."""
    capture = cv2.VideoCapture

    def change(said: dict[int, float]) -> None:
        def told(source: str) -> SimpleNamespace:
            video = capture(source)

            def get(key: int) -> float:
                return said.get(key, video.get(key))

            return SimpleNamespace(isOpened=video.isOpened, get=get, read=video.read, release=video.release)

        monkeypatch.setattr(cv2, "VideoCapture", told)

    return change


@pytest.mark.parametrize("rate", [0.0, float("nan"), float("inf"), -25.0, 90000.0, 1e-9])
def test_a_rate_that_cannot_be_counts_as_untold(
    tmp_path: Path, tell: Callable[..., None], caplog: pytest.LogCaptureFixture, rate: float
) -> None:
    path = write_video(tmp_path / "a.mp4", 3)
    tell({cv2.CAP_PROP_FPS: rate})
    assert VideoReader(path).rate == 30 and "a.mp4 tells no frame rate; it is taken for 30." in caplog.text


@pytest.mark.parametrize("count", [0.0, -9007199254740992.0, float("nan"), float("inf"), 2.0**31, 1e300])
def test_a_number_of_frames_that_cannot_be_counts_as_untold(
    tmp_path: Path, tell: Callable[..., None], caplog: pytest.LogCaptureFixture, count: float
) -> None:
    path = write_video(tmp_path / "a.mp4", 3)
    tell({cv2.CAP_PROP_FRAME_COUNT: count})
    reader = VideoReader(path)
    assert reader.num_frames is None and len(list(reader.frames())) == 3
    assert ("frames by its header are more than its bytes" in caplog.text) == (count > 1e9)


def test_frames_that_are_larger_than_images_may_be(tmp_path: Path, tell: Callable[..., None]) -> None:
    path = write_video(tmp_path / "a.mp4", 3)
    tell({cv2.CAP_PROP_FRAME_WIDTH: 60000.0, cv2.CAP_PROP_FRAME_HEIGHT: 60000.0})
    with pytest.raises(DataError, match="a.mp4: a frame is 60000x60000 pixels, more than 100,000,000 in all"):
        VideoReader(path)


@pytest.mark.parametrize("content", [b"", b"no video"])
def test_what_is_no_video_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.mp4").write_bytes(content)
    with pytest.raises(DataError, match="a.mp4: cannot be opened; is it a video, and whole"):
        VideoReader(tmp_path / "a.mp4")


def test_a_camera_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="camera 97: cannot be opened; is one connected"):
        VideoReader(97)


def test_a_video_of_odd_size_keeps_its_colors_and_rate(tmp_path: Path) -> None:
    image = np.zeros((45, 81, 3), np.uint8)
    image[..., 0] = 200
    with VideoWriter(tmp_path / "new" / "a.mp4", 29.97) as video:
        for _ in range(5):
            video.write(image)
        assert not (tmp_path / "new" / "a.mp4").exists()
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.mp4"]
    frames = read(tmp_path / "new" / "a.mp4")
    assert len(frames) == 5 and frames[0].shape == (46, 82, 3)
    assert abs(frames[0][20, 40].astype(int) - (0, 0, 200)).max() < 12  # BGR
    assert VideoReader(tmp_path / "new" / "a.mp4").rate == pytest.approx(29.97, abs=0.01)


def test_a_video_that_is_not_finished_is_none(tmp_path: Path) -> None:
    with pytest.raises(KeyError), VideoWriter(tmp_path / "a.mp4", 10) as video:
        video.write(np.zeros((32, 32, 3), np.uint8))
        raise KeyError
    assert list(tmp_path.iterdir()) == []


def test_a_video_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="file: cannot be made"):
        VideoWriter(tmp_path / "file" / "a.mp4", 10).write(np.zeros((32, 32, 3), np.uint8))
    (tmp_path / ".b.partial.mp4").mkdir()
    with pytest.raises(OutputError, match=r"\.b\.partial\.mp4: cannot be written \(Is a directory\)"):
        VideoWriter(tmp_path / "b.mp4", 10).write(np.zeros((32, 32, 3), np.uint8))


@pytest.mark.parametrize("kind", ["link", "hard link", "pipe"])
def test_what_has_the_name_of_an_unfinished_video_is_not_written_through(tmp_path: Path, kind: str) -> None:
    (tmp_path / "mine.mp4").write_bytes(b"mine")
    partial_path = tmp_path / ".a.partial.mp4"
    if kind == "pipe":
        os.mkfifo(partial_path)
    elif kind == "link":
        partial_path.symlink_to(tmp_path / "mine.mp4")
    else:
        os.link(tmp_path / "mine.mp4", partial_path)
    with VideoWriter(tmp_path / "a.mp4", 10) as video:
        video.write(np.zeros((32, 32, 3), np.uint8))
    assert (tmp_path / "mine.mp4").read_bytes() == b"mine" and len(read(tmp_path / "a.mp4")) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mp4", "mine.mp4"]


def test_a_colon_in_a_name_is_no_protocol(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_video(tmp_path / "cam1:front.mp4", 3)
    assert len(read(Path("cam1:front.mp4"))) == 3
    with VideoWriter(Path("out:1/a.mp4"), 10) as video:
        video.write(np.zeros((32, 32, 3), np.uint8))
    assert len(read(tmp_path / "out:1/a.mp4")) == 1


def test_frames_of_another_size_are_refused(tmp_path: Path) -> None:
    video = VideoWriter(tmp_path / "a.mp4", 10)
    video.write(np.zeros((32, 32, 3), np.uint8))
    with pytest.raises(DataError, match="frame 2 is 48x32, the first 32x32; cut the video"):
        video.write(np.zeros((32, 48, 3), np.uint8))


def test_frames_that_are_lost_are_noticed(tmp_path: Path) -> None:
    video = VideoWriter(tmp_path / "a.mp4", 10)
    video.write(np.zeros((32, 32, 3), np.uint8))
    # OpenCV drops frames without a word where the disk is full.
    video._writer = SimpleNamespace(write=lambda frame: None, release=video._writer.release)
    video.write(np.zeros((32, 32, 3), np.uint8))
    with pytest.raises(OutputError, match="1 of 2 frames are in the video"):
        video.__exit__(None, None, None)
    assert not (tmp_path / "a.mp4").exists()


def test_the_pipeline_keeps_in_order_and_holds_few(tmp_path: Path) -> None:
    import threading
    import time

    kept, alive, most, lock = [], 0, 0, threading.Lock()

    def make(item: int) -> int:
        nonlocal alive, most
        with lock:
            alive += 1
            most = max(most, alive)
        time.sleep(0.002 * (item % 3))
        return item

    def keep(item: int) -> None:
        nonlocal alive
        with lock:
            alive -= 1
        kept.append(item)

    with ordered_pipeline(keep) as put:
        for item in range(40):
            put(partial(make, item))
    assert kept == list(range(40)) and most <= 7


def test_what_fails_in_the_pipeline_reaches_the_caller() -> None:
    def keep(item: int) -> None:
        if item == 3:
            raise OutputError("disk full")

    with pytest.raises(OutputError, match="disk full"), ordered_pipeline(keep) as put:
        for item in range(40):
            put(lambda item=item: item)
    with pytest.raises(OutputError, match="disk full"), ordered_pipeline(keep) as put:
        for item in range(4):  # noticed at the end
            put(lambda item=item: item)
