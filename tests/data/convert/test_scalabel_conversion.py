"""Label files read in pieces: the same frames as when read at once, whatever the pieces."""

import json
from pathlib import Path

import msgspec
import numpy as np
import pytest
from support.conversion_cases import random_det_frames, run, write

from bdd100k_d2.data.convert import scalabel
from bdd100k_d2.data.convert.scalabel import read_scalabel
from bdd100k_d2.data.labels import Box2D, Frame, Label
from bdd100k_d2.data.vintages import read_labels
from bdd100k_d2.errors import DataError


@pytest.mark.parametrize("form", ("list", "dataset", "sorted keys", "labels with names"))
@pytest.mark.parametrize("seed", range(4))
def test_frames_equal_those_read_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int, form: str) -> None:
    path = write(tmp_path, random_det_frames(np.random.default_rng(seed), 30))
    frames = json.loads(path.read_text())
    if form == "dataset":
        path.write_text(json.dumps({"frames": frames, "config": {"categories": []}}))
    elif form == "sorted keys":
        path.write_text(json.dumps(frames, sort_keys=True))
    elif form == "labels with names":
        # As between frames, a name comes first.
        for frame in frames[20:]:
            frame["labels"] = [{"name": "x"} | label for label in frame.get("labels") or ()]
        path.write_text(json.dumps(frames))
    monkeypatch.setattr(scalabel, "_PART", 700)
    streamed = json.loads(msgspec.json.encode(list(read_scalabel(path))))
    for frame in streamed:
        for record in (frame, *(frame.get("labels") or ())):
            record.pop("rest", None)
    assert streamed == msgspec.to_builtins(read_labels(path).frames)


REAL = ("det_20/det_train.json", "box_track_20/train", "seg_track_20/rles/val", "ins_seg/rles/ins_seg_val.json")


@pytest.mark.parametrize("path", (*(f"labels/{one}" for one in REAL), "labels_2018/100k/train", "labels_2018"))
def test_real_files_come_back(real_root: Path, tmp_path: Path, path: str) -> None:
    source = real_root / "bdd100k" / path
    done = run(source, tmp_path / "out.json", "scalabel")
    expected = read_labels(source).frames
    assert read_labels(tmp_path / "out.json").frames == expected
    assert (done.frames, done.dropped) == (len(expected), {})


def test_polygons_are_kept_by_scalabel(tmp_path: Path) -> None:
    polygon = [{"vertices": [[0.5, 1], [2, 3.25]], "types": "LL", "closed": True}]
    labels = [
        {"id": "1", "category": "lane", "poly2d": polygon},
        {"id": "2", "category": "car", "box2d": {"x1": 1, "y1": 2, "x2": 3, "y2": 4}, "poly2d": None},
    ]
    (tmp_path / "in.json").write_text(json.dumps([{"name": "a.jpg", "labels": labels}]))
    run(tmp_path / "in.json", tmp_path / "out.json", "scalabel")
    ((frame,), _) = json.loads((tmp_path / "out.json").read_text()), None
    assert frame["labels"][0] == labels[0]
    assert "poly2d" not in frame["labels"][1]
    done = run(tmp_path / "in.json", tmp_path / "coco.json", "coco")
    assert done.dropped == {"labels without a box are left out": 1}


def good() -> list[Frame]:
    return [Frame("a.jpg", labels=[Label("1", "car", box2d=Box2D(0, 0, 1, 1))]), Frame("b.jpg")]


def test_bad_label_files(tmp_path: Path) -> None:
    text = write(tmp_path, good()).read_bytes()
    cases = {
        "the JSON is cut off after": text[:-4],
        "not valid JSON": text.replace(b":", b";", 1),
        "the file is empty; download or export it again": b"",
        "frame a.jpg: Expected `float`": text.replace(b'"x1":0', b'"x1":"0"'),
        "frame a.jpg stands twice; remove one of the two": text.replace(b"b.jpg", b"a.jpg"),
        "label 1: unknown category 'boat'; rename or remove it": text.replace(b'"car"', b'"boat"'),
        "label 1: has no category; add one": text.replace(b'"category":"car",', b""),
        r"the box \(0, 0\) to \(1e\+308, 1e\+308\) is not one of finite numbers": text.replace(
            b'"x2":1,"y2":1', b'"x2":1e308,"y2":1e308'
        ),
        "not a label file: a list of Scalabel frames or": b'{"a": 1}',
    }
    for message, content in cases.items():
        (tmp_path / "bad.json").write_bytes(content)
        for to, target in (("coco", "out.json"), ("yolo", "out")):
            with pytest.raises(DataError, match=f"bad.json: .*{message}"):
                run(tmp_path / "bad.json", tmp_path / target, to)
            assert not (tmp_path / target / "labels/train").exists() and not (tmp_path / "out.json").exists()
