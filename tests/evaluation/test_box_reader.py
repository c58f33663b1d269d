import os
import signal
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
from support.conversion_cases import random_det_frames

from bdd100k_d2.data.labels import write_frames
from bdd100k_d2.errors import LostProcessError
from bdd100k_d2.evaluation import box_reader
from bdd100k_d2.evaluation.box_reader import BOX, CommonMemory


def _fill(memory: CommonMemory, start: int, value: int) -> None:
    memory.boxes(start, 3)["corners"] = [[value] * 4, [2] * 4, [3] * 4]


def test_what_a_forked_process_leaves_is_there_at_its_place() -> None:
    memory = CommonMemory(1000)
    for start, value in ((1, 7), (333, 8)):
        process = get_context("fork").Process(target=_fill, args=(memory, start, value))
        process.start()
        process.join()
        assert process.exitcode == 0
    assert memory.boxes(1, 3)["corners"].tolist() == [[7] * 4, [2] * 4, [3] * 4]
    assert memory.boxes(333, 1)["corners"].tolist() == [[8] * 4]
    assert memory.boxes(333, 1)["frame"].tolist() == [0]
    assert memory.boxes(1, 3).ctypes.data % 8 == memory.boxes(333, 1).ctypes.data % 8 == 0


def test_the_smallest_box_of_a_label_file_has_room() -> None:
    smallest = b'{"category":"bus","score":0,"box2d":{"x1":0,"y1":0,"x2":0,"y2":0}}'
    frame = b'{"name":"","labels":[' + smallest + b"]}"
    # Seven bytes at the most are passed over for the sake of alignment.
    assert BOX.itemsize < len(smallest) and BOX.itemsize + 7 < len(frame)
    assert CommonMemory(len(frame)).boxes(1, 1).nbytes == BOX.itemsize


def test_a_process_that_the_system_ends_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_frames(random_det_frames(np.random.default_rng(0), scores=True), tmp_path / "det.json")
    monkeypatch.setattr(box_reader, "_LARGE", 0)
    monkeypatch.setattr(box_reader, "_PART", 200)
    monkeypatch.setattr(box_reader, "_read_part", lambda *_: os.kill(os.getpid(), signal.SIGKILL))
    with (
        pytest.raises(LostProcessError, match="was ended by the system"),
        box_reader.reading_boxes(tmp_path / "det.json", 2) as boxes,
    ):
        boxes()
