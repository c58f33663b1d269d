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
            record.get("attributes", {}).pop("rest", None)
    assert streamed == msgspec.to_builtins(read_labels(path).frames)


REAL = ("det_20/det_train.json", "box_track_20/train", "seg_track_20/rles/val", "ins_seg/rles/ins_seg_val.json")


@pytest.mark.parametrize("path", (*(f"labels/{one}" for one in REAL), "labels_2018/100k/train", "labels_2018"))
def test_real_files_come_back(real_root: Path, tmp_path: Path, path: str) -> None:
    source = real_root / "bdd100k" / path
    done = run(source, tmp_path / "out.json", "scalabel")
    expected = read_labels(source).frames
    assert msgspec.to_builtins(read_labels(tmp_path / "out.json").frames) == msgspec.to_builtins(expected)
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
    assert frame["labels"] == labels
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


def test_a_long_id_is_shortened_in_messages(tmp_path: Path) -> None:
    frames = [Frame("a.jpg", labels=[Label("x" * 5000, None, box2d=Box2D(0, 0, 1, 1))])]
    for to, target in (("coco", "out.json"), ("yolo", "out")):
        with pytest.raises(DataError, match=r"label xxx.*\.\.\.xxx.*: has no category; add one") as error:
            run(write(tmp_path, frames), tmp_path / target, to)
        assert len(str(error.value)) < 1000


POLYGON = [{"vertices": [[0.5, 1], [2, 3.25]], "types": "LL", "closed": True}]
BOX = {"x1": 1.0, "y1": 2.0, "x2": 3.0, "y2": 4.0}
LABELS = [
    {
        "id": "1",
        "category": "lane",
        "attributes": {"laneDirection": "parallel", "laneTypes": "crosswalk", "own": [1, {"a": None}]},
        "poly2d": POLYGON,
        "manualShape": True,
        "manualAttributes": False,
    },
    {"id": 2, "category": "drivable area", "attributes": {"areaType": "direct"}, "poly2d": POLYGON, "index": 7},
    {
        "id": "3",
        "category": "car",
        "score": 0.5,
        "attributes": {"occluded": True, "truncated": False, "crowd": False, "speed": 1e-7},
        "box2d": BOX,
        "box3d": {"location": [1, 2, 3], "alpha": 123456789012345678901234567890},
        "my own": {"ä": "\u2028"},
    },
    {"id": "4", "category": "bus", "box2d": BOX},
]
FRAME = {
    "name": "a.jpg",
    "url": "http://x/a.jpg",
    "videoName": "a",
    "frameIndex": 3,
    "timestamp": 66.6,
    "attributes": {"weather": "clear", "sensor": "top"},
    "size": {"width": 1280, "height": 720},
    "intrinsics": {"focal": [1.5, 2.5]},
    "labels": LABELS,
}
BARE = {"name": "b.jpg", "labels": []}
CONFIG = {"imageSize": {"width": 640, "height": 480}, "categories": [{"name": "car"}]}
SIZED = BARE | {"size": CONFIG["imageSize"]}
FORMS = {
    "a list": ([FRAME, BARE], [FRAME, BARE]),
    "frames first": ({"frames": [FRAME, BARE], "config": CONFIG}, [FRAME, SIZED]),
    "config first": ({"config": CONFIG, "frames": [FRAME, BARE]}, [FRAME, SIZED]),
    "one frame": (FRAME, [FRAME]),
    "per image": (
        {
            "name": "a",
            "attributes": FRAME["attributes"],
            "frames": [
                {key: value for key, value in FRAME.items() if key not in ("name", "attributes", "labels")}
                | {"objects": LABELS}
            ],
        },
        [FRAME],
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_scalabel_comes_out_as_it_went_in(tmp_path: Path, form: str) -> None:
    document, expected = FORMS[form]
    (tmp_path / "in.json").write_text(json.dumps(document))
    done = run(tmp_path / "in.json", tmp_path / "out.json", "scalabel")
    assert json.loads((tmp_path / "out.json").read_text()) == expected
    lost = {scalabel.MORE_OF_FILE: 1} if form in ("frames first", "config first") else {}
    assert (done.dropped, done.labels) == (lost, 4)


@pytest.mark.parametrize("part", (1, 300, 8 << 20))
def test_pieces_with_and_without_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: int) -> None:
    plain = {"name": "p.jpg", "labels": [LABELS[3]]}
    frames = [one | {"name": f"{i}.jpg"} for i in range(4) for one in (plain, FRAME, BARE)]
    frames = [frame | {"name": f"{i}.jpg"} for i, frame in enumerate(frames)]
    (tmp_path / "in.json").write_text(json.dumps({"frames": frames, "config": CONFIG}))
    monkeypatch.setattr(scalabel, "_PART", part)
    run(tmp_path / "in.json", tmp_path / "out.json", "scalabel")
    expected = [{"size": CONFIG["imageSize"]} | frame for frame in frames]
    assert json.loads((tmp_path / "out.json").read_text()) == expected


def test_what_other_formats_do_not_hold_is_counted(tmp_path: Path) -> None:
    (tmp_path / "in.json").write_text(json.dumps([FRAME, SIZED]))
    for to, target in (("coco", "coco.json"), ("yolo", "yolo")):
        dropped = run(tmp_path / "in.json", tmp_path / target, to).dropped
        assert dropped["labels whose further attributes (area type, lane style, ...) are not kept"] == 1
        assert dropped["labels with more (box3d, ...) that is not kept"] == 1
        assert dropped["frames with more (url, sensor, further attributes, ...) that is not kept"] == 1


def test_usual_fields_are_read_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usual = {"index": 1, "manualShape": True, "manualAttributes": False, "box3d": None, "poly2d": None, "graph": None}
    lane = {"laneDirection": "parallel", "laneStyle": "solid", "laneTypes": "crosswalk", "areaType": None}
    labels = [LABELS[3] | usual, {"id": "1", "category": "lane", "poly2d": POLYGON, "attributes": lane}]
    frame = {"name": "a.jpg", "url": "", "sensor": 1, "resources": {}, "intrinsics": {}, "extrinsics": None}
    frame |= {"sequence": 1, "labels": labels}
    (tmp_path / "in.json").write_text(json.dumps([frame]))
    # Of each object the fields are looked for only where there are others.
    monkeypatch.setattr(scalabel, "_with_rest", None)
    run(tmp_path / "in.json", tmp_path / "out.json", "scalabel")
    assert json.loads((tmp_path / "out.json").read_text()) == [frame]
    dropped = run(tmp_path / "in.json", tmp_path / "coco.json", "coco").dropped
    assert dropped == {
        "frames with more (url, sensor, further attributes, ...) that is not kept": 1,
        "labels without a box are left out": 1,
    }
    monkeypatch.undo()
    (tmp_path / "in.json").write_text(json.dumps([frame | {"labels": [labels[0] | {"rest": {"own": 1}}]}]))
    run(tmp_path / "in.json", tmp_path / "out.json", "scalabel", overwrite=True)
    ((written,),) = [json.loads((tmp_path / "out.json").read_text())]
    assert written["labels"][0]["rest"] == {"own": 1}


REAL_2018 = ("labels_2018/bdd100k_labels_images_val.json", "labels_2018/bdd100k_labels_images_train.json")


@pytest.mark.parametrize("path", (*REAL_2018, "labels/box_track_20/train/00091078-875c1f73.json"))
def test_real_files_keep_every_field(real_root: Path, tmp_path: Path, path: str) -> None:
    run(real_root / "bdd100k" / path, tmp_path / "out.json", "scalabel")

    def told(value: object) -> object:
        """Without what says nothing; attributes in small letters."""
        if isinstance(value, dict):
            return {
                key.lower() if key in ("Occluded", "Truncated") else key: told(one)
                for key, one in value.items()
                if one is not None
            }
        return [told(one) for one in value] if isinstance(value, list) else value

    expected = told(json.loads((real_root / "bdd100k" / path).read_text()))
    assert told(json.loads((tmp_path / "out.json").read_text())) == expected


def test_what_is_not_utf_8_is_not_copied(tmp_path: Path) -> None:
    (tmp_path / "in.json").write_bytes(
        b'[{"name": "a.jpg", "labels": [], "x": "\xed"}, {"name": "b.jpg", "labels": []}]'
    )
    with pytest.raises(DataError, match="in.json: not UTF-8 .byte 0xed in line 1.; save the file as UTF-8"):
        run(tmp_path / "in.json", tmp_path / "out.json", "scalabel")


def test_attributes_in_the_wrong_place_of_the_first_release(tmp_path: Path) -> None:
    document = {"name": "a", "frames": [{"timestamp": 1, "attributes": [1], "objects": [LABELS[3]]}]}
    (tmp_path / "in.json").write_text(json.dumps(document))
    with pytest.raises(DataError, match="in.json: frame a: Expected `object . null`, got `array`"):
        run(tmp_path / "in.json", tmp_path / "out.json", "scalabel")


def test_the_size_that_a_file_states_is_that_of_its_frames(tmp_path: Path) -> None:
    size = {"width": 1920, "height": 1080}
    label = {"id": "0", "category": "car", "box2d": {"x1": 480, "y1": 270, "x2": 1439, "y2": 809}}
    frames = [{"name": "a.jpg", "labels": [label]}, {"name": "b.jpg", "size": {"width": 8, "height": 9}}]
    for number, document in enumerate(
        (
            {"config": {"imageSize": size, "categories": []}, "frames": frames},
            {"frames": frames, "groups": None, "config": {"imageSize": size}},
            {"frames": frames, "config": {"imageSize": None}},
        )
    ):
        (tmp_path / "in.json").write_text(json.dumps(document))
        a, b = read_labels(tmp_path / "in.json").frames
        assert (a.height_width, b.height_width) == ((1080, 1920) if number < 2 else (720, 1280), (9, 8))
        assert [frame.size for frame in read_scalabel(tmp_path / "in.json")] == [a.size, b.size]
    (tmp_path / "in.json").write_text(json.dumps({"config": {"imageSize": size}, "frames": frames[:1]}))
    run(tmp_path / "in.json", tmp_path / "y", "yolo")
    (text,) = (path.read_text() for path in tmp_path.glob("y/labels/*/*.txt"))
    assert text.split() == ["2", *["0.50000000"] * 4]
