import json
from pathlib import Path

import pytest

from bdd100k_d2.data.image_names import image_name, image_stem
from bdd100k_d2.data.labels import Box2D, Frame, FrameAttributes, Label, LabelAttributes, write_frames
from bdd100k_d2.data.vintages import read_labels
from bdd100k_d2.errors import DataError, OutputError

FRAME = {
    "name": "a.jpg",
    "attributes": {"weather": "snowy", "scene": "tunnel", "timeofday": "night", "unknown": 1},
    "timestamp": 10000,
    "labels": [
        {
            "id": 7,
            "category": "car",
            "attributes": {"occluded": True, "truncated": False, "trafficLightColor": "NA"},
            "box2d": {"x1": 1, "y1": 2.5, "x2": 3, "y2": 4},
            "poly2d": None,
        },
        {"id": "8", "category": "lane", "poly2d": [{"vertices": [[0, 0]], "types": "L", "closed": False}]},
    ],
}


def write(path: Path, document: object) -> Path:
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return path


@pytest.mark.parametrize("document", [[FRAME], {"frames": [FRAME], "groups": None, "config": {}}])
def test_reads_a_list_and_a_dataset(tmp_path: Path, document: object) -> None:
    (frame,) = read_labels(write(tmp_path / "labels.json", document)).frames
    assert frame.name == "a.jpg"
    assert frame.attributes == FrameAttributes("snowy", "tunnel", "night")
    car, lane = frame.labels
    assert car.id == 7 and lane.id == "8"
    assert car.box2d == Box2D(1.0, 2.5, 3.0, 4.0) and lane.box2d is None
    assert car.attributes == LabelAttributes(occluded=True, truncated=False, trafficLightColor="NA")


def test_labels_may_be_null_or_absent(tmp_path: Path) -> None:
    frames = read_labels(write(tmp_path / "labels.json", [{"name": "a.jpg", "labels": None}, {"name": "b.jpg"}])).frames
    assert [frame.labels for frame in frames] == [None, None]


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    frames = [
        Frame(name="a.jpg", labels=[Label(id="1", category="bus", score=0.1, box2d=Box2D(0.1, 0.2, 1 / 3, 5e-7))]),
        Frame(name="b.jpg", attributes=FrameAttributes(weather="foggy")),
    ]
    write_frames(frames, tmp_path / "new" / "labels.json")
    assert read_labels(tmp_path / "new" / "labels.json").frames == frames
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["labels.json"]


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ("", "the file is empty"),
        (json.dumps([FRAME])[:-40], "the JSON is cut off after"),
        (json.dumps([FRAME, FRAME])[: len(json.dumps([FRAME])) + 30], "the JSON is cut off after"),
        (json.dumps([FRAME]).partition("false")[0] + "fal", "the JSON is cut off after"),
        ("name,x1\nabc,3" + " ," * 9, "not valid JSON .* line 1"),
        ({"shapes": []}, "not a label file: a list of Scalabel frames"),
        ([1, 2], "not a label file: a list of Scalabel frames"),
        ([FRAME, FRAME], "frame a.jpg stands twice"),
        ([{"labels": []}], "frame number 0: .*missing required field `name`"),
        ([{"name": "a.jpg", "labels": [{"box2d": {"x1": "1", "y1": 0, "x2": 1, "y2": 1}}]}], "frame a.jpg: Expected"),
        (
            '[{"name": "a.jpg", "labels": [{"box2d": {"x1": NaN, "y1": 0, "x2": 1, "y2": 1}}]}]',
            "a.jpg, label number 0, holds .*NaN",
        ),
    ],
)
def test_bad_files_are_named_with_the_reason(tmp_path: Path, document: object, message: str) -> None:
    path = write(tmp_path / "labels.json", document)
    with pytest.raises(DataError, match=message) as error:
        read_labels(path)
    assert str(path) in str(error.value)


def test_an_image_in_place_of_labels(tmp_path: Path) -> None:
    (tmp_path / "labels.json").write_bytes(b"\xff\xd8\xff\xe0" + bytes(range(256)))
    with pytest.raises(DataError, match="not a JSON text file"):
        read_labels(tmp_path / "labels.json")


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="labels.json: the label file cannot be read .*datasets/README.md"):
        read_labels(tmp_path / "labels.json")


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot be written .*choose another output folder"):
        write_frames([], tmp_path / "file" / "labels.json")


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "labels.json"
    write_frames([Frame(name="old.jpg")], path)

    def broken() -> object:
        yield Frame(name="new.jpg")
        raise KeyError("no more frames")

    with pytest.raises(KeyError):
        write_frames(broken(), path)
    assert [frame.name for frame in read_labels(path).frames] == ["old.jpg"]
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("ending", ("bmp", "jpeg", "jpg", "png", "tif", "tiff", "webp"))
def test_an_image_has_one_stem_whatever_it_ends_in(ending: str) -> None:
    for name in (f"a0.{ending}", f"a0.{ending.upper()}", f"a0.{ending.title()}"):
        assert (image_stem(name), image_name(name)) == ("a0", name)


@pytest.mark.parametrize("name", ("a0", "0a0a0b1a-7c39d841", "v1.2", "a0.txt", "jpg", "a.jpg.zip", ""))
def test_what_ends_in_no_image_is_a_stem(name: str) -> None:
    assert (image_stem(name), image_name(name)) == (name, f"{name}.jpg")


def test_only_the_last_ending_is_that_of_the_image() -> None:
    assert (image_stem("a.b.jpg"), image_stem("a.jpg.png"), image_stem(".jpg")) == ("a.b", "a.jpg", "")
