"""YOLO text files: there and back, and what is wrong with files."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image
from support.conversion_cases import SIZE, random_det_frames, random_regions, rle_of, run, sized, through, write

from bdd100k_d2.data.categories import DET_CLASSES
from bdd100k_d2.data.labels import Box2D, Frame, ImageSize, Label, LabelAttributes
from bdd100k_d2.data.vintages import read_labels
from bdd100k_d2.errors import ConfigError, DataError, OutputError
from bdd100k_d2.tasks import TASKS


@pytest.mark.parametrize("seed", range(6))
def test_boxes_come_back(tmp_path: Path, seed: int) -> None:
    frames = random_det_frames(np.random.default_rng(seed), 20, scores=seed % 2 == 1)
    back = through(write(tmp_path, frames), tmp_path, "yolo", size=SIZE)
    assert [frame.name for frame in back] == sorted(frame.name for frame in frames)
    by_name = {frame.name: frame for frame in back}
    total = 0
    for frame in frames:
        kept = [
            label
            for label in frame.labels or ()
            if label.box2d is not None and not (label.is_crowd or DET_CLASSES[label.category].ignored)
        ]
        found = by_name[frame.name].labels
        assert len(found) == len(kept)
        for ours, theirs in zip(kept, found, strict=True):
            assert theirs.category == TASKS["det"].names[DET_CLASSES[ours.category].index]
            assert theirs.score == (None if ours.score is None else pytest.approx(ours.score, abs=1e-8))
            for side in ("x1", "y1", "x2", "y2"):
                assert getattr(theirs.box2d, side) == pytest.approx(getattr(ours.box2d, side), abs=2e-5)
        total += len(found)
    assert total > 15


def test_the_files_are_what_trainers_read(tmp_path: Path) -> None:
    """Inclusive corners (0, 0) to (639, 359) are the upper left quarter of the image."""
    frames = [
        Frame(
            "a.jpg",
            size=SIZE,
            labels=[Label("1", "car", box2d=Box2D(0, 0, 639, 359)), Label("2", "rider", box2d=Box2D(8, 9, 8, 9))],
        ),
        Frame("b.jpg", size=SIZE, labels=[Label("3", "bike", 0.25, box2d=Box2D(1, 1, 640, 1))]),
        Frame("c.jpg", size=SIZE),
    ]
    source = write(tmp_path, frames)
    assert run(source, tmp_path / "yolo", "yolo").path == tmp_path / "yolo/labels/val"
    texts = {path.name: path.read_text() for path in (tmp_path / "yolo/labels/val").iterdir()}
    assert texts == {
        "a.txt": "2 0.25000000 0.25000000 0.50000000 0.50000000\n"
        "1 0.00664062500000 0.01319444444444 0.00078125 0.00138888888889\n",
        "b.txt": "7 0.25078125 0.00208333333333 0.50000000 0.00138888888889 0.25000000\n",
        "c.txt": "",
    }
    run(source, tmp_path / "yolo", "yolo", split="train")
    document = yaml.safe_load((tmp_path / "yolo/data.yaml").read_text())
    assert document == {"train": "images/train", "val": "images/val", "names": dict(enumerate(TASKS["det"].names))}


@pytest.mark.parametrize(("width", "height"), ((1280, 720), (1920, 1080), (99, 1333)))
def test_corners_come_back_as_they_were(tmp_path: Path, width: int, height: int) -> None:
    """To the last bit, so that overlaps that are exactly a threshold stay so."""
    rng = np.random.default_rng(width)
    corners = [np.sort(rng.integers(0, side, (400, 2)), axis=1) for side in (width, height)]
    parts = rng.integers(0, 10**6, (200, 4)) / 10**6
    labels = []
    for i, ((x1, x2), (y1, y2)) in enumerate(zip(*(one.tolist() for one in corners), strict=True)):
        more = parts[i // 2].tolist() if i % 2 and x2 < width - 2 and y2 < height - 2 else [0.0] * 4
        box = (round(one + part, 6) for one, part in zip((x1, y1, x2 + 1, y2 + 1), more, strict=True))
        labels.append(Label(str(i), "car", rng.random(), box2d=Box2D(*(float(side) for side in box))))
        labels[-1].box2d.x2 = round(min(labels[-1].box2d.x2, width) - 1, 6)
        labels[-1].box2d.y2 = round(min(labels[-1].box2d.y2, height) - 1, 6)
    size = ImageSize(width, height)
    (back,) = through(write(tmp_path, [sized(*labels, size=size)]), tmp_path, "yolo", size=size)
    assert [label.box2d for label in back.labels] == [label.box2d for label in labels]
    assert [label.score for label in back.labels] == pytest.approx([label.score for label in labels], rel=0, abs=1e-14)


ENDINGS = ("a0.jpeg", "a1.JPG", "a2.bmp", "a3.webp", "a4.tif", "a5.Tiff", "a6.png", "a7")


def test_labels_are_named_after_images_of_every_ending(tmp_path: Path) -> None:
    frames = [sized(Label("1", "car", box2d=Box2D(0, 0, 9, 9)), name=name) for name in ENDINGS]
    run(write(tmp_path, frames), tmp_path / "yolo", "yolo", split="val")
    found = sorted(path.name for path in (tmp_path / "yolo/labels/val").iterdir())
    assert found == [f"a{i}.txt" for i in range(len(ENDINGS))]
    (tmp_path / "images").mkdir()
    for name in ENDINGS[:-1]:
        Image.new("RGB", (80, 40)).save(tmp_path / "images" / name, "PNG")
    (tmp_path / "yolo/labels/val/a7.txt").unlink()
    run(tmp_path / "yolo", tmp_path / "s.json", "scalabel", images=tmp_path / "images")
    assert [frame.name for frame in read_labels(tmp_path / "s.json").frames] == [*ENDINGS[:-1]]


def test_boxes_are_cut_off_at_the_edges(tmp_path: Path) -> None:
    labels = [Label("1", "car", box2d=Box2D(-10, -5, 1280, 730)), Label("2", "car", box2d=Box2D(0, 0, 1279, 719))]
    done = run(write(tmp_path, [sized(*labels)]), tmp_path / "yolo", "yolo")
    line = "2 0.50000000 0.50000000 1.00000000 1.00000000\n"
    assert (tmp_path / "yolo/labels/val/a.txt").read_text() == 2 * line
    assert done.dropped["boxes reach out of their image and are cut off at its edges"] == 1


def test_what_yolo_does_not_hold_is_counted(tmp_path: Path) -> None:
    box = Box2D(0, 0, 9, 9)
    labels = [
        Label("1", "car", None, LabelAttributes(truncated=True), box, rle_of(np.ones((720, 1280)))),
        Label(None, "car", None, LabelAttributes(crowd=True), box),
        Label(None, "trailer", box2d=box),
        Label(None, "lane"),
    ]
    done = run(write(tmp_path, [Frame("a.jpg", timestamp=1, labels=labels)]), tmp_path / "yolo", "yolo")
    assert done.dropped == {
        "crowds and ignored labels are left out: they would be trained on as plain objects": 2,
        "labels of ignored classes (other person, other vehicle, trailer) become crowds of the nearest class": 1,
        "labels whose id is not kept": 1,
        "labels whose mask is not kept, only its box": 1,
        "labels whose attributes (occluded, truncated, traffic light colour) are not kept": 1,
        "labels without a box are left out": 1,
        "frames whose video, index or timestamp are not kept": 1,
    }


def yolo(tmp_path: Path, text: str = "1 0.5 0.5 0.25 0.25\n", classes: str | None = "car\nrider\n") -> Path:
    folder = tmp_path / "yolo"
    folder.mkdir()
    (folder / "a.txt").write_text(text)
    if classes is not None:
        (folder / "classes.txt").write_text(classes)
    return folder


def test_sizes_and_names_of_images_are_read(tmp_path: Path) -> None:
    folder = yolo(tmp_path, "1 0.5 0.5 0.25 0.5\n\n0 0.5 0.5 1 1 0.75\n")
    (tmp_path / "images").mkdir()
    Image.new("RGB", (80, 40)).save(tmp_path / "images/a.png")
    run(folder, tmp_path / "s.json", "scalabel", images=tmp_path / "images")
    (frame,) = read_labels(tmp_path / "s.json").frames
    assert (frame.name, frame.size) == ("a.png", ImageSize(80, 40))
    assert [(one.id, one.category, one.score, one.box2d) for one in frame.labels] == [
        ("0", "rider", None, Box2D(30, 10, 49, 29)),
        ("1", "car", 0.75, Box2D(0, 0, 79, 39)),
    ]


@pytest.mark.parametrize("form", ("names: [car, rider]", "names: {0: car, 1: rider}"))
def test_names_of_a_data_file(tmp_path: Path, form: str) -> None:
    folder = yolo(tmp_path, classes=None)
    (tmp_path / "data.yaml").write_text(form)
    run(folder, tmp_path / "s.json", "scalabel", size=SIZE)
    assert read_labels(tmp_path / "s.json").frames[0].labels[0].category == "rider"


BAD = {
    "four fields": ("1 0.5 0.5 0.25", "a.txt: frame a.jpg, line 1: has 4 fields; a box has five"),
    "a polygon": ("0 0 0 1 1\n1 0 0 0 1 1 1", "a.txt: frame a.jpg, line 2: has 7 fields; a box has five"),
    "no number": ("1 0.5 x 0.25 0.25", "line 1: '1 0.5 x 0.25 0.25' are not a class number and fractions; mend"),
    "a class that is none": (
        "2 0.5 0.5 0.25 0.25",
        "line 1: class 2, but there are 2 classes, 0 to 1; check --classes",
    ),
    "a negative class": ("-1 0.5 0.5 0.25 0.25", "line 1: class -1, but there are 2 classes"),
    "pixels": ("1 640 360 20 30", "line 1: 640 360 20 30 are not all fractions of the image, 0 to 1; divide pixels"),
    "not a number": ("1 0.5 nan 0.25 0.25", "line 1: 0.5 nan 0.25 0.25 are not all fractions"),
    "a huge exponent": ("1 0.5 0.5 0.25 1e400", "line 1: 0.5 0.5 0.25 1e400 are not all fractions"),
    "a little too far out": ("1 0.5 0.5 1.0011 0.5", "line 1: 0.5 0.5 1.0011 0.5 are not all fractions"),
    "a negative width": ("1 0.5 0.5 -0.0005 0.5", "line 1: 0.5 0.5 -0.0005 0.5 are not all fractions"),
    "a score of 1.0005": ("1 0.5 0.5 0.5 0.5 1.0005", "line 1: 0.5 0.5 0.5 0.5 1.0005 are not all fractions"),
    "a class between two": ("0.5 0.5 0.5 0.5 0.5", "line 1: class 0.5, but there are 2 classes"),
    "a class of many digits": (
        f"{'1' * 5000} 0.5 0.5 0.5 0.5",
        f"line 1: class {'1' * 98}...{'1' * 98}, but there are 2 classes",
    ),
    "an endless class": ("inf 0.5 0.5 0.5 0.5", "line 1: class inf, but there are 2 classes"),
    "a number with a stroke": ("1_0 0.5 0.5 0.5 0.5", "line 1: '1_0 0.5 0.5 0.5 0.5' are not a class number"),
    "NUL": ("1 0.5 0.5 0.5 0.5\0", r"line 1: '1 0.5 0.5 0.5 0.5\x00' are not a class number"),
    "codes for a terminal": ("1 \x1b[2J 0.5 0.5 0.5", r"line 1: '1 \x1b[2J 0.5 0.5 0.5' are not a class number"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_lines(tmp_path: Path, case: str) -> None:
    text, message = BAD[case]
    with pytest.raises(DataError, match=re.escape(message)):
        run(yolo(tmp_path, text), tmp_path / "coco.json", "coco", size=SIZE)
    assert not (tmp_path / "coco.json").exists()


BAD_FILES = {
    "UTF-16": ("1 0.5 0.5 0.25 0.25\n".encode("utf-16"), "a.txt: no text in UTF-8; save it in that encoding"),
    "Latin-1": (b"1 0.5 0.5 0.25 0.25 # gr\xf6\xdfer\n", "a.txt: no text in UTF-8"),
    "a line of 20 MB": (b"1" * 20_000_000, "a.txt: larger than 16,777,216 bytes, which no such file is"),
    "a million fields": (b"1 " * 1_000_000, "a.txt: frame a.jpg, line 1: has 1000000 fields"),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_files_that_are_no_labels(tmp_path: Path, case: str) -> None:
    content, message = BAD_FILES[case]
    folder = yolo(tmp_path)
    (folder / "a.txt").write_bytes(content)
    with pytest.raises(DataError, match=re.escape(message)):
        run(folder, tmp_path / "coco.json", "coco", size=SIZE)


GOOD = {
    "a byte-order mark and CRLF": (b"\xef\xbb\xbf1 0.5 0.5 0.5 0.5\r\n\r\n", Box2D(320, 180, 959, 539), 0),
    "a class number of a table": (b"1.0 0.5 0.5 0.5 0.5", Box2D(320, 180, 959, 539), 0),
    "blanks and tabs": (b"  1\t0.5  0.5 0.5\t0.5  \n", Box2D(320, 180, 959, 539), 0),
    "rounded to six digits": (b"1 0.500000 0.5 1.000001 1.000001\n", Box2D(0, 0, 1279, 719), 1),
    "up to 0.1 % too wide": (b"1 0.5 0.5 1.001 0.5\n", Box2D(0, 180, 1279, 539), 1),
    "a centre outside": (b"1 1.0005 -0.0005 0.1 0.1\n", Box2D(1216.64, 0, 1279, 34.64), 1),
    "edges a bit outside": (b"1 0.9005 0.5 0.2 0.5\n", Box2D(1024.64, 180, 1279, 539), 1),
    "rounded edges": (b"1 0.900001 0.5 0.2 0.5\n", Box2D(1024.00128, 180, 1279, 539), 0),
    "edges far outside": (b"1 0.95 0.5 0.2 0.5\n", Box2D(1088, 180, 1343, 539), 0),
}


@pytest.mark.parametrize("case", GOOD)
def test_lines_of_other_tools(tmp_path: Path, case: str) -> None:
    content, box, cut = GOOD[case]
    folder = yolo(tmp_path)
    (folder / "a.txt").write_bytes(content)
    done = run(folder, tmp_path / "s.json", "scalabel", size=SIZE)
    kind = "boxes have fractions up to 0.1 % outside of 0 to 1 and are cut off at the edges of their image"
    assert done.dropped == ({kind: cut} if cut else {})
    ((label,),) = (frame.labels for frame in read_labels(tmp_path / "s.json").frames)
    assert label.category == "rider"
    for side in ("x1", "y1", "x2", "y2"):
        assert getattr(label.box2d, side) == pytest.approx(getattr(box, side), abs=1e-9)


NAMES_OF_CLASSES = {
    "a mark and CRLF": ("classes.txt", b"\xef\xbb\xbfcar\r\nrider\r\n\r\n", None),
    "old line ends": ("classes.txt", b"car\rrider", None),
    "obj.names": ("obj.names", b"car\nrider\n", None),
    "data.yml": ("data.yml", b"names:\n- car\n- rider\n", None),
    "a mark": ("data.yaml", b"\xef\xbb\xbfnames: [car, rider]\r\nnc: 2\r\n", None),
    "numbers as text": ("data.yaml", b"names: {'1': rider, \"0\": car}", None),
    "an empty line": ("classes.txt", b"car\n\nrider\n", "line 2 is empty; remove it, each line is a class"),
    "UTF-16": ("classes.txt", "car\nrider".encode("utf-16"), "no text in UTF-8; save it in that encoding"),
    "a gap": ("data.yaml", b"names: {0: car, 2: rider}", "no names of classes that count from 0"),
    "a number twice": ("data.yaml", b"names: {0: car, '0': rider, 1: bus}", "no names of classes that count from 0"),
    "another number of them": ("data.yaml", b"names: [car, rider]\nnc: 3", "nc is 3, but there are 2 names"),
    "no words": ("data.yaml", b"names: [car, no]", "no names of classes that count from 0"),
    "a date that is none": ("data.yaml", b"names: [car, 2001-99-99]", "no usable YAML"),
    "a huge file": ("data.yaml", b"#" * (1 << 21), "larger than 1 MiB"),
}


@pytest.mark.parametrize("case", NAMES_OF_CLASSES)
def test_files_of_the_classes(tmp_path: Path, case: str) -> None:
    name, content, message = NAMES_OF_CLASSES[case]
    folder = yolo(tmp_path, classes=None)
    (folder / name).write_bytes(content)
    if message is None:
        run(folder, tmp_path / "s.json", "scalabel", size=SIZE)
        assert read_labels(tmp_path / "s.json").frames[0].labels[0].category == "rider"
    else:
        with pytest.raises(DataError, match=re.escape(f"{name}: {message}")):
            run(folder, tmp_path / "s.json", "scalabel", size=SIZE)


def test_two_files_of_classes_that_differ(tmp_path: Path) -> None:
    folder = yolo(tmp_path)
    (tmp_path / "data.yaml").write_text("names: [rider, car]")
    message = f"{folder}/classes.txt and {tmp_path}/data.yaml name different classes; give .* --classes"
    with pytest.raises(DataError, match=message):
        run(folder, tmp_path / "s.json", "scalabel", size=SIZE)
    run(folder, tmp_path / "s.json", "scalabel", size=SIZE, classes=tmp_path / "data.yaml")
    assert read_labels(tmp_path / "s.json").frames[0].labels[0].category == "car"
    # One that is the same, and what has no names of classes.
    for text in ("names: {0: car, 1: rider}", "port: 80"):
        (tmp_path / "data.yaml").write_text(text)
        assert run(folder, tmp_path / "s.json", "scalabel", size=SIZE, overwrite=True).labels == 1


@pytest.mark.parametrize("stem", ("classes", "README.1", ".a", ""))
def test_frames_whose_label_files_no_reader_would_take(tmp_path: Path, stem: str) -> None:
    source = write(tmp_path, [sized(Label("1", "car", box2d=Box2D(0, 0, 1, 1)), name=f"{stem}.jpg")])
    with pytest.raises(DataError, match=rf"frame {re.escape(stem)}.jpg.*; rename"):
        run(source, tmp_path / "yolo", "yolo", split="val")


def test_line_ends_and_the_mark_of_a_data_file_stay(tmp_path: Path) -> None:
    (tmp_path / "yolo").mkdir()
    text = b"\xef\xbb\xbf# mine\r\nnames: [%s]\r\n" % ", ".join(TASKS["det"].names).encode()
    (tmp_path / "yolo/data.yaml").write_bytes(text)
    run(one_box(tmp_path), tmp_path / "yolo", "yolo", split="val")
    assert (tmp_path / "yolo/data.yaml").read_bytes() == text + b"val: images/val\n"


def test_without_a_size(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"fractions of the image's size, which the labels do not hold; give --images"):
        run(yolo(tmp_path), tmp_path / "coco.json", "coco")
    (tmp_path / "images").mkdir()
    with pytest.raises(DataError, match=r"a.txt: .*images has no image of this name; check --images"):
        run(tmp_path / "yolo", tmp_path / "coco.json", "coco", images=tmp_path / "images")
    (tmp_path / "images/a.jpg").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"a.jpg: the image cannot be read .*; mend it, or give --size"):
        run(tmp_path / "yolo", tmp_path / "coco.json", "coco", images=tmp_path / "images")
    with pytest.raises(DataError, match=r"nowhere: no such folder of images; check --images"):
        run(tmp_path / "yolo", tmp_path / "coco.json", "coco", images=tmp_path / "nowhere")


def test_a_coco_frame_without_a_size(tmp_path: Path) -> None:
    (tmp_path / "c.json").write_text(
        '{"images": [{"id": 1, "file_name": "a.jpg"}], "categories": [{"id": 1, "name": "car"}],'
        ' "annotations": [{"image_id": 1, "category_id": 1, "bbox": [0, 0, 640, 360]}]}'
    )
    with pytest.raises(
        DataError, match=r"c.json: frame a.jpg does not state its size; give --images with .* or --size"
    ):
        run(tmp_path / "c.json", tmp_path / "yolo", "yolo")
    assert not (tmp_path / "yolo/labels/train").exists()
    run(tmp_path / "c.json", tmp_path / "yolo", "yolo", size=SIZE)
    assert (tmp_path / "yolo/labels/train/a.txt").read_text() == "2 0.25000000 0.25000000 0.50000000 0.50000000\n"


@pytest.mark.parametrize(
    ("name", "message"),
    (
        ("../a.jpg", "frame '../a.jpg' is not a plain file name"),
        ("..", "frame '..' is not a plain file name"),
        ("a\\b.jpg", "is not a plain file name"),
        ("a.png", "frames a.jpg and a.png would have the same file a; rename one of them"),
    ),
)
def test_names_that_cannot_be_files(tmp_path: Path, name: str, message: str) -> None:
    frames = [sized(Label("1", "car", box2d=Box2D(0, 0, 1, 1))), sized(name=name)]
    with pytest.raises(DataError, match=re.escape(message)):
        run(write(tmp_path, frames), tmp_path / "yolo", "yolo")
    assert list((tmp_path / "yolo/labels").iterdir()) == []


def test_a_box_outside_of_its_image_is_left_out(tmp_path: Path) -> None:
    boxes = [Box2D(1300, 5, 1310, 9), Box2D(3, -9, 8, -1), Box2D(-5, 0, -1, 9), Box2D(1279, 719, 1290, 730)]
    frame = sized(*(Label(None, "car", box2d=box) for box in boxes))
    done = run(write(tmp_path, [frame]), tmp_path / "yolo", "yolo", split="train")
    assert done.dropped == {
        "boxes outside of their image are left out": 3,
        "boxes reach out of their image and are cut off at its edges": 1,
    }
    assert (tmp_path / "yolo/labels/train/a.txt").read_text().count("\n") == 1


def test_a_box_without_area_is_left_out(tmp_path: Path) -> None:
    folder = yolo(tmp_path, "1 0.5 0.5 0 0.25\n0 0.5 0.5 0.25 0.25\n")
    done = run(folder, tmp_path / "coco.json", "coco", size=SIZE)
    assert done.labels == 1 and done.dropped == {"boxes without an area are left out": 1}


def test_what_else_a_label_without_area_holds_is_kept(tmp_path: Path) -> None:
    polygon = '"poly2d": [{"vertices": [[0, 0], [5, 0], [5, 5]], "types": "LLL", "closed": true}]'
    label = '{"id": "1", "category": "car", "box2d": {"x1": 5, "y1": 5, "x2": 3, "y2": 9}'
    (tmp_path / "in.json").write_text(f'[{{"name": "a.jpg", "labels": [{label}}}, {label}, {polygon}}}]}}]')
    done = run(tmp_path / "in.json", tmp_path / "out.json", "scalabel")
    assert done.dropped == {"boxes without an area are left out": 2}
    (frame,) = json.loads((tmp_path / "out.json").read_text())
    assert [one.keys() for one in frame["labels"]] == [{"id", "category", "poly2d"}]


def test_regions_have_no_boxes(tmp_path: Path) -> None:
    road = Label("1", "road", rle=rle_of(np.ones((36, 64), bool)))
    source = write(tmp_path, [Frame("a.jpg", size=ImageSize(64, 36), labels=[road])])
    with pytest.raises(DataError, match=r"no label has a box, so yolo would be empty; .* Take det_20, or rles/"):
        run(source, tmp_path / "yolo", "yolo")


def test_boxes_around_run_lengths_are_those_around_bitmasks(tmp_path: Path) -> None:
    regions = random_regions(np.random.default_rng(0), 36, 64, 6)
    ids = np.unique(regions).tolist()
    labels = [Label(str(k + 1), TASKS["ins_seg"].names[k % 8], rle=rle_of(regions == k)) for k in ids]
    nothing = Label("99", "car", rle=rle_of(np.zeros((36, 64), bool)))
    source = write(tmp_path, [Frame("a.jpg", size=ImageSize(64, 36), labels=[*labels, nothing])])
    done = run(source, tmp_path / "direct", "yolo", split="train")
    assert done.dropped["boxes without an area are left out"] == 1
    run(source, tmp_path / "bitmasks", "masks", task="ins_seg")
    run(tmp_path / "bitmasks", tmp_path / "yolo", "yolo", split="train", task="ins_seg")
    text = (tmp_path / "direct/labels/train/a.txt").read_text()
    assert text == (tmp_path / "yolo/labels/train/a.txt").read_text() and text.count("\n") == len(ids) > 2


def test_classes_that_cannot_be_read(tmp_path: Path) -> None:
    folder = yolo(tmp_path, classes=None)
    with pytest.raises(
        DataError, match=r"no data.yaml or classes.txt beside or above the labels; give it with --classes"
    ):
        run(folder, tmp_path / "s.json", "scalabel", size=SIZE)
    for text in ("names: 5", "[]", "names: {1: car}", "{"):
        (tmp_path / "data.yaml").write_text(text)
        with pytest.raises(DataError, match=r"data.yaml: (no names of classes|no usable YAML)"):
            run(folder, tmp_path / "s.json", "scalabel", size=SIZE)


def test_splits_of_a_data_set(tmp_path: Path) -> None:
    source = write(tmp_path, [sized(Label("1", "car", box2d=Box2D(0, 0, 1, 1)))])
    for split in ("train", "val"):
        run(source, tmp_path / "yolo", "yolo", split=split)
    for name in (".trash/a.txt", "train/._a.txt"):
        (tmp_path / "yolo/labels" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "yolo/labels" / name).touch()
    with pytest.raises(DataError, match=r"labels: holds the splits train, val; give one with --split"):
        run(tmp_path / "yolo", tmp_path / "s.json", "scalabel", size=SIZE)
    assert run(tmp_path / "yolo", tmp_path / "s.json", "scalabel", size=SIZE, split="val").frames == 1
    with pytest.raises(OutputError, match=r"data.yaml: has other classes than these labels"):
        run(source, tmp_path / "yolo", "yolo", split="test", task="ins_seg")
    assert sorted(path.name for path in (tmp_path / "yolo/labels").iterdir()) == [".trash", "train", "val"]
    with pytest.raises(DataError, match=r"nowhere: no such file or folder"):
        run(tmp_path / "nowhere", tmp_path / "t.json", "scalabel", kind="yolo", size=SIZE)
    with pytest.raises(ConfigError, match=r"'../x' is no name of a split"):
        run(source, tmp_path / "yolo", "yolo", split="../x")


def one_box(folder: Path) -> Path:
    return write(folder, [sized(Label("1", "car", box2d=Box2D(0, 0, 1, 1)))])


def everything(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("text", ["names: [cat, dog]\n", "names: 5\n"])
def test_labels_stay_where_the_classes_are_others(tmp_path: Path, text: str) -> None:
    root = tmp_path / "yolo"
    (root / "labels/val").mkdir(parents=True)
    (root / "labels/val/mine.txt").write_text("0 0.5 0.5 0.5 0.5\n")
    (root / "data.yaml").write_text(text)
    before = everything(root)
    with pytest.raises((OutputError, DataError), match=r"data.yaml: (has other classes|no names of classes)"):
        run(one_box(tmp_path), root, "yolo", split="val", overwrite=True)
    assert everything(root) == before


MINE = "# my own\npath: /data/yolo\ntrain: elsewhere/train  # moved\nnames: [{}]\ndownload: https://example.org".format(
    ", ".join(TASKS["det"].names)
)


@pytest.mark.parametrize(
    ("split", "overwrite", "added"), (("train", False, ""), ("train", True, ""), ("val", False, "\nval: images/val\n"))
)
def test_a_data_file_of_ones_own_keeps_what_it_says(tmp_path: Path, split: str, overwrite: bool, added: str) -> None:
    root = tmp_path / "yolo"
    root.mkdir()
    (root / "data.yaml").write_text(MINE)
    run(one_box(tmp_path), root, "yolo", split=split, overwrite=overwrite)
    assert (root / "data.yaml").read_text() == MINE + added
    assert (root / "labels" / split / "a.txt").exists()
    expected = {"path", "train", "names", "download", split}
    assert set(yaml.safe_load((root / "data.yaml").read_text())) == expected


@pytest.mark.parametrize("form", ["{{names: [{}]}}\n", "names: [{}]\n...\n"])
def test_a_data_file_that_no_line_can_be_added_to(tmp_path: Path, caplog: pytest.LogCaptureFixture, form: str) -> None:
    text = form.format(", ".join(TASKS["det"].names))
    (tmp_path / "yolo").mkdir()
    (tmp_path / "yolo/data.yaml").write_text(text)
    run(one_box(tmp_path), tmp_path / "yolo", "yolo", split="val")
    assert (tmp_path / "yolo/data.yaml").read_text() == text
    assert "data.yaml: names no split val, and none could be added; add val: images/val" in caplog.text


def test_the_names_of_classes_beside_the_labels_stay(tmp_path: Path) -> None:
    run(one_box(tmp_path), tmp_path / "yolo", "yolo", split="val")
    (tmp_path / "yolo/labels/val/classes.txt").write_text("car\n")
    before = everything(tmp_path / "yolo")
    with pytest.raises(OutputError, match=r"val: holds classes.txt, which no conversion wrote, so it is not replaced"):
        run(one_box(tmp_path), tmp_path / "yolo", "yolo", split="val", overwrite=True)
    assert everything(tmp_path / "yolo") == before
