import json
from pathlib import Path

import msgspec
import pytest
from support.frames import make_frame

from bdd100k_d2.data.labels import RLE, Box2D, FrameAttributes, ImageSize, Label, LabelAttributes, write_frames
from bdd100k_d2.data.vintages import Vintage, read_labels
from bdd100k_d2.errors import DataError

BOX = {"x1": 1, "y1": 2.5, "x2": 3, "y2": 4}
MASK = {"counts": "04", "size": [2, 2]}
WHOLE = {"counts": [0, 15360], "size": [96, 160]}
LANE = {"id": 1, "category": "lane", "poly2d": [{"vertices": [[0, 0]], "types": "L", "closed": False}]}
FIRST_RELEASE = {
    "name": "0a0a0b1a-7c39d841",
    "attributes": {"weather": "clear", "scene": "highway", "timeofday": "night"},
    "frames": [
        {
            "timestamp": 10000,
            "objects": [
                {"category": "person", "id": 0, "attributes": {"occluded": True}, "box2d": BOX},
                {"category": "lane/single white", "id": 1, "poly2d": [[1, 2, "L"]]},
            ],
        }
    ],
}
COCO = {
    "categories": [{"id": 3, "name": "car", "supercategory": "vehicle"}, {"id": 7, "name": "motorcycle"}],
    "images": [
        {"id": 5, "file_name": "b.jpg", "width": 160, "height": 96, "attributes": {"weather": "rainy"}},
        {"id": 4, "file_name": "video/a.jpg", "width": 160, "height": 96, "attributes": None},
    ],
    "annotations": [
        {"id": 1, "image_id": 4, "category_id": 7, "bbox": [1, 2.5, 3, 2.5], "iscrowd": 1, "area": 7.5},
        {
            "id": 2,
            "image_id": 4,
            "category_id": 3,
            "segmentation": {"counts": [0, 15360], "size": [96, 160]},
            "score": 0.25,
            "scalabel_id": "x",
        },
    ],
}


def frame(name: str, *labels: dict, **fields: object) -> dict:
    return {"name": name, "labels": [{"id": i} | label for i, label in enumerate(labels)]} | fields


def box(category: str, lamp: str | None = None, **fields: object) -> dict:
    return {"category": category, "box2d": BOX, "attributes": {"trafficLightColor": lamp}} | fields


def write(path: Path, document: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return path


@pytest.mark.parametrize(
    ("path", "vintage", "frames", "boxes"),
    [
        ("labels/det_20/det_train.json", Vintage.DET_20, 4, 33),
        ("labels/det_20/det_val.json", Vintage.DET_20, 1, 34),
        ("labels/det_20", Vintage.DET_20, 5, 67),
        ("labels_2018/bdd100k_labels_images_train.json", Vintage.LISTS_2018, 2, 26),
        ("labels_2018/bdd100k_labels_images_val.json", Vintage.LISTS_2018, 2, 41),
        ("labels_2018/100k/train/0a0a0b1a-7c39d841.json", Vintage.PER_IMAGE_2018, 1, 7),
        ("labels_2018/100k/train", Vintage.PER_IMAGE_2018, 4, 54),
        ("labels/box_track_20/train/00091078-875c1f73.json", Vintage.TRACKING, 6, 70),
        ("labels/box_track_20/val", Vintage.TRACKING, 202, 3241),
        ("labels/box_track_20", Vintage.TRACKING, 208, 3311),
        ("labels/seg_track_20/rles/train", Vintage.TRACKING, 6, 87),
        ("labels/ins_seg/rles", Vintage.SCALABEL, 2, 38),
        ("labels/pan_seg/rles/pan_seg_train.json", Vintage.SCALABEL, 1, 0),
        ("labels/pan_seg/polygons/a054ee22-00000000.json", Vintage.SCALABEL, 1, 0),
        ("labels/sem_seg/rles/sem_seg_train.json", Vintage.SCALABEL, 2, 0),
    ],
)
def test_real_files(real_root: Path, path: str, vintage: Vintage, frames: int, boxes: int) -> None:
    found = read_labels(real_root / "bdd100k" / path)
    assert found.vintage is vintage
    assert len(found.frames) == frames
    assert sum(label.box2d is not None for one in found.frames for label in one.labels or ()) == boxes


def test_real_oracles(oracles: Path) -> None:
    expected = {
        "det/gt.json": Vintage.TRACKING,
        "det/pred.json": Vintage.SCALABEL,
        "det/pred_empty.json": Vintage.SCALABEL,
    }
    assert {name: read_labels(oracles / name).vintage for name in expected} == expected
    for folder in ("ins_seg_rle", "pan_seg_rle", "sem_seg"):
        for path in (oracles / folder).glob("*.json"):
            assert read_labels(path).vintage is Vintage.SCALABEL, path


def test_the_real_first_release_becomes_frames(real_root: Path) -> None:
    folder = real_root / "bdd100k/labels_2018/100k/train"
    found = read_labels(folder)
    assert [one.name for one in found.frames] == sorted(f"{path.stem}.jpg" for path in folder.iterdir())
    car = found.frames[1].labels[0]
    assert found.frames[1].name == "0a0a0b1a-7c39d841.jpg" and found.frames[1].timestamp == 10000
    assert car.category == "car" and car.box2d == Box2D(555.647397, 304.228432, 574.015906, 316.474104)
    assert msgspec.to_builtins(car.attributes) == {"occluded": True, "truncated": False, "trafficLightColor": "none"}


def test_real_attributes_with_capitals_are_read(real_root: Path) -> None:
    found = read_labels(real_root / "bdd100k/labels/box_track_20/train/00091078-875c1f73.json")
    attributes = [label.attributes for one in found.frames for label in one.labels]
    assert sum(one.occluded for one in attributes) == 46 and sum(one.truncated for one in attributes) == 5
    assert sum(one.occluded is False for one in attributes) == 24


@pytest.mark.parametrize(
    ("frames", "vintage"),
    [
        ([frame("a.jpg", box("car")), frame("b.jpg", box("other vehicle"))], Vintage.DET_20),
        ([frame("a.jpg", box("pedestrian"), videoName="a", frameIndex=0)], Vintage.DET_20),
        ([frame("a", box("pedestrian"), videoName="a", frameIndex=0)], Vintage.DET_20),
        ([frame("a.jpg", box("car", "NA"))], Vintage.DET_20),
        ([frame("a.jpg", box("car", "none")), frame("b.jpg", box("traffic light", "red"))], Vintage.LISTS_2018),
        ([frame("a.jpg", box("car")), frame("b.jpg", box("motor"))], Vintage.LISTS_2018),
        ([frame("a.jpg", LANE, box("car"))], Vintage.LISTS_2018),
        ([frame("v-0000001.jpg", box("pedestrian"), videoName="v", frameIndex=0)], Vintage.TRACKING),
        ([frame("a.jpg"), frame("v-0000002.jpg", videoName="v")], Vintage.TRACKING),
        ([frame("a.jpg", box("car"))], Vintage.SCALABEL),
        ([frame("a.jpg", box("car", "red"))], Vintage.SCALABEL),
        ([frame("a.jpg", box("motor"), box("pedestrian"))], Vintage.SCALABEL),
        ([frame("a.jpg", box("pedestrian", score=0.5))], Vintage.SCALABEL),
        ([frame("a.jpg", box("pedestrian", rle=MASK))], Vintage.SCALABEL),
        ([frame("a.jpg", {"category": "person"})], Vintage.SCALABEL),
        ([{"name": "a.jpg", "labels": None}, {"name": "b.jpg"}], Vintage.SCALABEL),
        ([], Vintage.SCALABEL),
    ],
)
@pytest.mark.parametrize("as_dataset", [False, True])
def test_the_content_tells_the_vintage(tmp_path: Path, frames: list, vintage: Vintage, as_dataset: bool) -> None:
    document = {"frames": frames, "groups": None, "config": None} if as_dataset else frames
    found = read_labels(write(tmp_path / "bdd100k_labels_images_val.json", document))
    assert found.vintage is vintage
    assert [one.name for one in found.frames] == [one["name"] for one in frames]


@pytest.mark.parametrize("as_dataset", [False, True])
def test_tracking_attributes_with_capitals(tmp_path: Path, as_dataset: bool) -> None:
    attributes = {"Occluded": True, "Truncated": False, "crowd": True}
    frames = [frame("v-0000001.jpg", box("car") | {"attributes": attributes}, videoName="v")]
    found = read_labels(write(tmp_path / "v.json", {"frames": frames} if as_dataset else frames))
    attributes = msgspec.to_builtins(found.frames[0].labels[0].attributes)
    assert attributes == {"occluded": True, "truncated": False, "crowd": True}


def test_the_first_release_becomes_a_frame(tmp_path: Path) -> None:
    (only,), vintage = read_labels(write(tmp_path / "det_val.json", FIRST_RELEASE))
    assert vintage is Vintage.PER_IMAGE_2018
    assert only.name == "0a0a0b1a-7c39d841.jpg" and only.timestamp == 10000
    assert only.attributes == FrameAttributes("clear", "highway", "night")
    person, lane = only.labels
    assert person.box2d == Box2D(1, 2.5, 3, 4) and person.attributes.occluded
    assert lane.category == "lane/single white" and lane.box2d is None


def test_the_name_of_the_first_release_may_have_its_ending(tmp_path: Path) -> None:
    for name, image in (("a0.jpg", "a0.jpg"), ("a1.PNG", "a1.PNG"), ("a2", "a2.jpg")):
        (only,), _ = read_labels(write(tmp_path / "a.json", FIRST_RELEASE | {"name": name}))
        assert only.name == image


def test_coco_becomes_frames(tmp_path: Path) -> None:
    (b, a), vintage = read_labels(write(tmp_path / "det_val.json", COCO))
    assert vintage is Vintage.COCO
    assert (b.name, b.labels, b.attributes) == ("b.jpg", [], FrameAttributes(weather="rainy"))
    assert (a.name, a.size, a.attributes) == ("a.jpg", ImageSize(160, 96), None)
    assert a.labels == [
        Label(1, "motorcycle", attributes=LabelAttributes(crowd=True, ignored=True), box2d=Box2D(1, 2.5, 3, 4)),
        Label("x", "car", score=0.25, box2d=Box2D(0, 0, 159, 95), rle=RLE("0PP?", (96, 160))),
    ]


def test_coco_of_the_toolkit_gives_the_same_boxes(tmp_path: Path) -> None:
    pytest.importorskip("bdd100k", reason="the official toolkit is not installed: pip install -e .[toolkit]")
    from bdd100k.common.utils import load_bdd100k_config
    from scalabel.label.io import load
    from scalabel.label.to_coco import scalabel2coco_detection

    frames = [
        make_frame("a.jpg", ("car", 10.25, 20, 60.1, 70), ("rider", 0, 0, 0, 0), attributes=FrameAttributes("foggy")),
        make_frame("b.jpg"),
        make_frame("c.jpg", ("traffic sign", 1 / 3, 2 / 3, 100.7, 90.9)),
    ]
    frames[0].labels[1].attributes = LabelAttributes(crowd=True)
    write_frames(frames, tmp_path / "scalabel.json")
    config = load_bdd100k_config("det").scalabel
    coco = scalabel2coco_detection(load(str(tmp_path / "scalabel.json"), nprocs=1).frames, config)
    found = read_labels(write(tmp_path / "coco.json", coco))
    assert found.vintage is Vintage.COCO
    for one, other in zip(frames, found.frames, strict=True):
        assert (one.name, one.attributes) == (other.name, other.attributes)
        for label, same in zip(one.labels, other.labels, strict=True):
            assert (label.id, label.category, label.is_crowd) == (same.id, same.category, same.is_crowd)
            corners = [same.box2d.x1, same.box2d.y1, same.box2d.x2, same.box2d.y2]
            box = label.box2d
            assert corners == pytest.approx([box.x1, box.y1, box.x2, box.y2], rel=0, abs=1e-9)


def test_a_folder_is_read_in_the_order_of_its_paths(tmp_path: Path) -> None:
    write(tmp_path / "c.json", [frame("1.jpg", box("car"))])
    write(tmp_path / "a.json", [frame("3.jpg", box("bicycle")), frame("2.jpg")])
    write(tmp_path / "._a.json", "\0\0macOS writes these into zip files")
    write(tmp_path / "readme.txt", "no labels")
    # The toolkit does not look into folders in the folder.
    write(tmp_path / "b/z.json", [frame("4.jpg")])
    found = read_labels(tmp_path)
    assert [one.name for one in found.frames] == ["3.jpg", "2.jpg", "1.jpg"]
    assert found.vintage is Vintage.DET_20


def test_folders_in_a_folder_are_read_where_it_has_no_files(tmp_path: Path) -> None:
    write(tmp_path / "b/z.json", [frame("4.jpg")])
    write(tmp_path / "a/z.json", [frame("5.jpg")])
    assert [one.name for one in read_labels(tmp_path).frames] == ["5.jpg", "4.jpg"]


def test_a_folder_of_two_vintages(tmp_path: Path) -> None:
    write(tmp_path / "a.json", [frame("1.jpg", box("bicycle"))])
    write(tmp_path / "b.json", [frame("2.jpg", box("car"))])
    write(tmp_path / "c.json", FIRST_RELEASE)
    with pytest.raises(DataError, match=r"two vintages, .*a.json is det_20 and .*c.json is 2018 per-image; keep each"):
        read_labels(tmp_path)


def test_a_frame_in_two_files(tmp_path: Path) -> None:
    write(tmp_path / "a.json", [frame("1.jpg")])
    write(tmp_path / "b.json", [frame("2.jpg"), frame("1.jpg")])
    with pytest.raises(DataError, match=r"b.json: frame 1.jpg is also in .*a.json; remove one"):
        read_labels(tmp_path)


def test_a_folder_without_labels(tmp_path: Path) -> None:
    write(tmp_path / "a.txt", "")
    with pytest.raises(DataError, match=f"{tmp_path}: no .json file in the folder or in the folders in it"):
        read_labels(tmp_path)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="labels.json: the label file cannot be read .*datasets/README.md"):
        read_labels(tmp_path / "labels.json")


def coco_with(**changes: object) -> dict:
    annotation = COCO["annotations"][0] | changes
    return COCO | {"annotations": [annotation]}


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ("", "the file is empty"),
        (json.dumps(COCO)[:-40], "the JSON is cut off after"),
        (json.dumps(FIRST_RELEASE)[:-10], "the JSON is cut off after"),
        (json.dumps([frame("a.jpg", box("car"))])[:-9], "the JSON is cut off after"),
        ("x1,y1\n" * 20, "not valid JSON"),
        ({"shapes": []}, "not a label file: a list of Scalabel frames"),
        ([{"image_id": 3, "category_id": 1, "bbox": [1, 2, 3, 4], "score": 0.5}], "COCO results, one object per box"),
        ("PK\x03\x04", "a zip; unpack it"),
        (json.dumps([frame("a.jpg")])[:-1] + ",]", "not valid JSON"),
        (json.dumps([frame("a.jpg")]) + " x", "not valid JSON .Extra data"),
        ([frame("a.jpg"), frame("a.jpg")], "frame a.jpg stands twice"),
        (
            COCO | {"images": [{"id": i, "file_name": "4/b.jpg"} for i in (4, 5)]},
            "frame b.jpg stands twice",
        ),
        (
            [frame("a.jpg", box("car", score=float("nan")))],
            "frame a.jpg, label .* holds a number that is NaN",
        ),
        (
            {"frames": [frame("a.jpg", box("car", score=float("inf")))]},
            "frame a.jpg, label .* holds a number",
        ),
        (FIRST_RELEASE | {"frames": [{"objects": [box("car", score=float("nan"))]}]}, "0a0a0b1a-7c39d841.jpg .*NaN"),
        (coco_with(score=float("nan")), "frame video/a.jpg, annotation 1 holds a number that is NaN"),
        (coco_with(bbox=[1, 2, 3]), "frame video/a.jpg, annotation 1: .*length 4"),
        (coco_with(segmentation=[[1, 2, 3, 4, 5]]), "frame a.jpg, annotation 1: a polygon has an x and a y for each"),
        (coco_with(segmentation={"counts": 1}), "frame video/a.jpg, annotation 1: .*segmentation"),
        (coco_with(image_id=6), "annotation 1 is of image id 6, but no image has that id"),
        (coco_with(category_id=1), "a.jpg, annotation 1: no category has the id 1; there are 3 car, 7 motorcycle"),
        (COCO | {"images": COCO["images"] + COCO["images"][:1]}, "frames b.jpg and b.jpg have the same image id 5"),
        ({"images": COCO["images"], "categories": []}, 'no "annotations"; a COCO file of labels has images'),
        (FIRST_RELEASE | {"frames": []}, "frame 0a0a0b1a-7c39d841.jpg: .*length 1"),
        (FIRST_RELEASE | {"frames": [{"objects": [box("car") | {"box2d": {"x1": 1}}]}]}, "0a0a0b1a-7c39d841.jpg: .*y1"),
    ],
)
def test_bad_files_are_named_with_the_reason(tmp_path: Path, document: object, message: str) -> None:
    path = write(tmp_path / "labels.json", document)
    for place in (path, tmp_path):
        with pytest.raises(DataError, match=message) as error:
            read_labels(place)
        assert str(error.value).startswith(f"{path}: ")
