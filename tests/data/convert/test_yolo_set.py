"""Which frames a YOLO data set has, in the layouts that tools write."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from PIL import Image
from support.conversion_cases import SIZE, run

from bdd100k_d2.data.convert.source import source_kind
from bdd100k_d2.data.convert.yolo_lists import is_image_list
from bdd100k_d2.data.vintages import read_labels
from bdd100k_d2.errors import ConfigError, DataError, OutputError

LINE = "1 0.5 0.5 0.25 0.25\n"
NAMES = "names: [car, rider]\n"


def lay(root: Path, *files: str) -> Path:
    """Makes images, and label files of one line."""
    for name in files:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".txt":
            path.write_text(LINE)
        else:
            Image.new("1", (80, 40)).save(path)
    return root


def put(root: Path, contents: Mapping[str, str | bytes]) -> None:
    for name, content in contents.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())


def frames_of(source: Path, **options: object) -> dict[str, int]:
    """The number of labels of each frame, by name."""
    with TemporaryDirectory() as folder:
        target = Path(folder, "out.json")
        run(source, target, "scalabel", **options)
        frames = read_labels(target).frames
    return {frame.name: len(frame.labels) for frame in frames}


def test_images_without_a_label_file_are_frames(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    root = lay(tmp_path / "y", "labels/train/a.txt", "labels/train/b.txt", *(f"images/train/{i}.jpg" for i in "abc"))
    put(root, {"data.yaml": NAMES})
    expected = {"a.jpg": 1, "b.jpg": 1, "c.jpg": 0}
    assert frames_of(root) == expected
    assert "y: 1 images have no label file; they are frames without labels." in caplog.text
    assert frames_of(root / "labels/train") == frames_of(root / "labels") == expected
    for images in ("images", "images/train", "."):
        assert frames_of(root, images=root / images) == expected
    assert frames_of(root / "labels/train", split="train") == expected


def test_images_in_one_folder_are_of_the_split_that_labels_them(tmp_path: Path) -> None:
    root = lay(tmp_path / "y", "labels/train/a.txt", "labels/val/b.txt", *(f"pictures/{i}.jpg" for i in "abc"))
    put(root, {"data.yaml": NAMES})
    assert frames_of(root, split="train", images=root / "pictures") == {"a.jpg": 1, "c.jpg": 0}
    assert frames_of(root, split="val", images=root / "pictures") == {"b.jpg": 1, "c.jpg": 0}


def test_labels_lie_in_folders(tmp_path: Path) -> None:
    root = lay(tmp_path / "y", "labels/train/b.txt", "labels/train/v1/a.txt", "labels/train/v1/deep/c.txt")
    put(root, {"classes.txt": "car\nrider\n"})
    expected = {"a.jpg": 1, "b.jpg": 1, "c.jpg": 1}
    assert frames_of(root, size=SIZE) == frames_of(root, split="train", size=SIZE) == expected
    assert frames_of(root / "labels/train", size=SIZE) == expected
    lay(root, "images/train/v1/a.png", "images/train/v2/d.png")
    assert frames_of(root, size=SIZE) == {"a.png": 1, "b.jpg": 1, "c.jpg": 1, "d.png": 0}
    lay(root, "labels/train/v2/a.txt")
    both = {"v1__a.png": 1, "v2__a.jpg": 1}
    assert frames_of(root, size=SIZE) == {"b.jpg": 1, "c.jpg": 1, "d.png": 0} | both


def test_roboflow(tmp_path: Path) -> None:
    sets = ("train", "valid")
    root = lay(
        tmp_path / "y", *(f"{one}/{kind}" for one in sets for kind in ("images/a.rf.01.jpg", "labels/a.rf.01.txt"))
    )
    put(root, {"README.dataset.txt": "words", "README.roboflow.txt": "some words", "data.yaml": NAMES})
    for split in ("train", "valid", "val"):
        assert frames_of(root, split=split) == {"a.rf.01.jpg": 1}
    assert frames_of(root / "valid") == frames_of(root / "valid/labels") == {"a.rf.01.jpg": 1}
    with pytest.raises(DataError, match=r"y: holds the splits train, valid; give one with --split"):
        frames_of(root)
    with pytest.raises(DataError, match=r"y: has no split test; there are train, valid"):
        frames_of(root, split="test")
    assert run(root / "valid", tmp_path / "again", "yolo", task="det").path == tmp_path / "again/labels/val"


def test_darknet(tmp_path: Path) -> None:
    root = lay(tmp_path / "y", "a.jpg", "a.txt", "b.jpg", "b.txt", "c.jpg")
    put(root, {"obj.names": "car\nrider\n", "train.txt": "/data/y/a.jpg\n\ndata/obj/c.jpg\r\n"})
    assert frames_of(root) == {"a.jpg": 1, "b.jpg": 1, "c.jpg": 0}
    assert frames_of(root, split="train") == frames_of(root / "train.txt") == {"a.jpg": 1, "c.jpg": 0}
    put(root, {"valid.txt": b"\xef\xbb\xbf./b.jpg"})
    assert frames_of(root, split="val") == frames_of(root / "valid.txt") == {"b.jpg": 1}
    with pytest.raises(DataError, match=r"y: holds the splits train, valid; give one with --split"):
        frames_of(root)
    with pytest.raises(DataError, match=r"train.txt: is a list of the split train, not of val; give another --split"):
        frames_of(root / "train.txt", split="val")
    done = run(root / "valid.txt", tmp_path / "again", "yolo")
    assert done.path == tmp_path / "again/labels/val"


def test_png_images_beside_labels_are_no_masks(tmp_path: Path) -> None:
    root = lay(tmp_path / "y", "a.png", "b.png", "a.txt")
    put(root, {"classes.txt": "car\nrider\n"})
    assert source_kind(root) == "yolo" and frames_of(root) == {"a.png": 1, "b.png": 0}


LISTS = {
    "words": ("images/a.jpg\nnothing\n", "line 2: nothing is no path of an image; mend the list"),
    "missing": ("images/a.jpg\nimages/z.jpg\n", "line 2: neither the image images/z.jpg nor its labels are there"),
    "NUL": ("images/a.jpg\nb\0.jpg\n", r"line 2: b\\x00.jpg is no path of an image"),
}


def test_a_line_that_stands_again_counts_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    root = lay(tmp_path / "y", "labels/a.txt", "images/a.jpg", "labels/b.txt")
    lines = ["images/a.jpg", "images/b.jpg", "./images/a.jpg", f"{root}/images/a.jpg"]
    put(root, {"train.txt": "\n".join(lines), "classes.txt": "car\nrider\n"})
    assert frames_of(root / "train.txt", size=SIZE) == {"a.jpg": 1, "b.jpg": 1}
    assert "train.txt: 2 images are named again, and count once; the first is" in caplog.text


@pytest.mark.parametrize("path", ("path: D:\\data\\mine\n", "path: ..\\y\n", ""))
def test_a_data_file_of_windows(tmp_path: Path, path: str) -> None:
    root = lay(tmp_path / "y", "labels/train/a.txt", "images/train/a.jpg", "labels/val/b.txt", "images/val/b.jpg")
    put(root, {"data.yaml": f"{path}train: images\\train\nval: ..\\images\\val\n{NAMES}"})
    assert frames_of(root / "data.yaml", split="train") == {"a.jpg": 1}
    assert frames_of(root / "data.yaml", split="val") == {"b.jpg": 1}


def test_a_folder_of_images_alone(tmp_path: Path) -> None:
    root = lay(tmp_path / "y", "images/val/a.jpg", "others/b.jpg")
    with pytest.raises(DataError, match=r"others: images and no labels; give that of their labels, or the data.yaml"):
        source_kind(root / "others")
    lay(root, "labels/val/a.txt")
    with pytest.raises(DataError, match=r"val: images and no labels; give .*y/labels/val, or the data.yaml"):
        source_kind(root / "images/val")


@pytest.mark.parametrize("case", LISTS)
def test_lists_that_cannot_be_used(tmp_path: Path, case: str) -> None:
    text, message = LISTS[case]
    root = lay(tmp_path / "y", "labels/a.txt", "images/a.jpg", "other/a.jpg")
    put(root, {"train.txt": text, "classes.txt": "car\nrider\n"})
    with pytest.raises(DataError, match=message):
        frames_of(root / "train.txt")


def test_a_list_that_was_found_does_not_lead_out_of_its_folder(tmp_path: Path) -> None:
    lay(tmp_path / "other", "labels/z.txt", "images/z.jpg")
    root = lay(tmp_path / "y", "a.txt", "a.jpg")
    text = f"a.jpg\n{tmp_path}/other/images/z.jpg\n../other/images/z.jpg\n"
    put(root, {"train.txt": text, "classes.txt": "car\nrider\n"})
    with pytest.raises(DataError, match="line 2: neither the image .*other/images/z.jpg nor its labels are there"):
        frames_of(root, split="train")
    put(root, {"train.txt": text.replace("../other/images/z.jpg\n", "")})
    assert frames_of(root / "train.txt") == {"a.jpg": 1, "z.jpg": 1}


def test_a_list_among_the_labels(tmp_path: Path) -> None:
    root = lay(tmp_path / "y", "labels/a.txt")
    put(root, {"labels/train.txt": "images/a.jpg\n", "classes.txt": "car\nrider\n"})
    for source in (root, root / "labels", root / "labels/train.txt"):
        assert frames_of(source, size=SIZE) == {"a.jpg": 1}


def test_label_studio(tmp_path: Path) -> None:
    root = lay(tmp_path / "y", "images/a.jpg", "labels/a.txt")
    put(root, {"classes.txt": b"\xef\xbb\xbfcar\r\nrider\r\n\r\n", "notes.json": '{"categories": [{"id": 0}]}'})
    assert source_kind(root) == "yolo" and frames_of(root) == {"a.jpg": 1}
    put(root, {"more.json": "[]"})
    with pytest.raises(ConfigError, match=r"y: holds .json files and YOLO labels; say which with --from scalabel or"):
        frames_of(root)


def test_text_files_that_are_no_labels(tmp_path: Path) -> None:
    root = lay(tmp_path / "y", "labels/a.txt")
    texts = ("README.txt", "readme.roboflow.TXT", "classes.txt", "predefined_classes.txt", "._a.txt", ".hidden/b.txt")
    put(root, {f"labels/{name}": "car\nrider\n" for name in texts})
    assert frames_of(root, size=SIZE) == {"a.jpg": 1}
    put(root, {"labels/notes.txt": "some words of mine\n"})
    with pytest.raises(DataError, match=r"notes.txt: frame notes.jpg, line 1: has 4 fields"):
        frames_of(root, size=SIZE)


DATA = {
    "as Ultralytics": ("path: .\ntrain: images/train\nval: images/val\n", ("images/{}/{}.jpg", "labels/{}/{}.txt")),
    "labels alone": ("train: images/train\nval: images/val\n", ("labels/{}/{}.txt",)),
    "as Roboflow": ("train: ../train/images\nval: ../val/images\n", ("{}/images/{}.jpg", "{}/labels/{}.txt")),
    "whole folders": ("train: train\nval: val\n", ("{}/images/{}.jpg", "{}/labels/{}.txt")),
    "beside the images": ("train: train\nval: val\n", ("{}/{}.jpg", "{}/{}.txt")),
    "of another machine": (
        "path: /data/y\ntrain: images/train\nval: images/val\n",
        ("images/{}/{}.jpg", "labels/{}/{}.txt"),
    ),
    "lists": ("train: train.txt\nval: [val.txt]\n", ("images/{}/{}.jpg", "labels/{}/{}.txt")),
}


@pytest.mark.parametrize("form", DATA)
def test_a_data_file_says_where_a_split_is(tmp_path: Path, form: str) -> None:
    text, files = DATA[form]
    root = lay(
        tmp_path / "y", *(one.format(split, name) for one in files for split, name in (("train", "a"), ("val", "b")))
    )
    put(root, {"bdd.yaml": text + NAMES})
    if form == "lists":
        put(root, {"train.txt": "./images/train/a.jpg\n", "val.txt": "./images/val/b.jpg\n"})
    assert source_kind(root / "bdd.yaml") == "yolo"
    for split, name in (("train", "a.jpg"), ("val", "b.jpg"), ("valid", "b.jpg")):
        assert frames_of(root / "bdd.yaml", split=split, size=SIZE) == {name: 1}
    with pytest.raises(DataError, match=r"bdd.yaml: names the splits train, val; give one with --split"):
        frames_of(root / "bdd.yaml", size=SIZE)


def test_a_data_file_with_other_places(tmp_path: Path) -> None:
    lay(tmp_path / "elsewhere", "images/n/c.jpg", "labels/n/c.txt", "images/m/d.jpg")
    root = tmp_path / "y"
    places = [f"{tmp_path}/elsewhere/images/n", "../elsewhere/images/m"]
    put(root, {"data.yaml": f"train: {places}\nval: images/val\n{NAMES}"})
    assert frames_of(root / "data.yaml") == {"c.jpg": 1, "d.jpg": 0}
    with pytest.raises(
        DataError, match=r"data.yaml: names no folder of the split val that is there, but train: .*, val: "
    ):
        frames_of(root / "data.yaml", split="val")
    put(root, {"data.yaml": f"train: {[*places, 'nothere']}\n{NAMES}"})
    with pytest.raises(DataError, match=r"data.yaml: train names nothere, which is not there; mend or remove it"):
        frames_of(root / "data.yaml")


DATA_FILES = {
    "train: a\n": "no names of classes, so it is no data.yaml of YOLO",
    "[]": "no names of classes, so it is no data.yaml of YOLO",
    "names: [a": "no usable YAML",
    NAMES: "names no folder of a split that is there, but no splits",
    f"train: 5\n{NAMES}": "train is 5; write the path of a folder, or a list of such",
    f'train: "a\\0b"\n{NAMES}': r"train is a\\x00b; write the path of a folder",
    f"train: {'x' * 5000}\n{NAMES}": "cannot be read (File name too long)",
    "a: &a [1]\n"
    + "".join(f"{chr(98 + i)}: &{chr(98 + i)} [{', '.join(9 * ['*' + chr(97 + i)])}]\n" for i in range(9)): (
        "its aliases amount to more than"
    ),
}


@pytest.mark.parametrize("text", DATA_FILES, ids=range(len(DATA_FILES)))
def test_data_files_that_cannot_be_used(tmp_path: Path, text: str) -> None:
    put(tmp_path, {"data.yaml": text})
    with pytest.raises(DataError, match=re.escape(DATA_FILES[text]).replace(r"\\\\", r"\\")):
        run(tmp_path / "data.yaml", tmp_path / "out.json", "scalabel", size=SIZE)


def test_several_folders_are_splits(tmp_path: Path) -> None:
    root = lay(tmp_path / "y", "labels/train/a.txt", "labels/fold2/b.txt")
    put(root, {"data.yaml": NAMES})
    with pytest.raises(DataError, match=r"labels: holds the splits fold2, train; give one with --split"):
        frames_of(root, size=SIZE)
    assert frames_of(root, split="fold2", size=SIZE) == {"b.jpg": 1}
    lay(root, "labels/c.txt")
    with pytest.raises(DataError, match=r"labels: holds labels beside the splits train; give one with --split"):
        frames_of(root, size=SIZE)
    assert frames_of(root, split="training", size=SIZE) == {"a.jpg": 1}


def test_a_split_that_tells_nothing_apart_is_refused(tmp_path: Path) -> None:
    root = lay(tmp_path / "y", "a.txt")
    put(root, {"classes.txt": "car\nrider\n"})
    with pytest.raises(ConfigError, match=r"y: has no splits of which --split could choose one; leave it out"):
        frames_of(root, split="val", size=SIZE)
    done = run(root, tmp_path / "again", "yolo", split="val", size=SIZE)
    assert done.path == tmp_path / "again/labels/val"


def test_what_is_read_is_not_overwritten(tmp_path: Path) -> None:
    root = lay(tmp_path / "y", "labels/train/a.txt", "images/train/a.png")
    put(root, {"data.yaml": f"train: images/train\n{NAMES}"})
    for source in (root / "data.yaml", root / "labels/train"):
        with pytest.raises(OutputError, match=r"would overwrite what is to be read"):
            run(source, root, "yolo", split="train", overwrite=True)
    with pytest.raises(OutputError, match=r"would overwrite what is to be read, .*data.yaml"):
        run(root / "labels/train", root, "yolo", split="val", classes=root / "data.yaml")
    with pytest.raises(OutputError, match=r"would overwrite what is to be read, .*images/train"):
        run(root / "data.yaml", root / "images/train", "masks", overwrite=True)
    assert (root / "labels/train/a.txt").read_text() == LINE and (root / "images/train/a.png").exists()


def test_links(tmp_path: Path) -> None:
    lay(tmp_path / "store", "a.txt", "night/b.txt")
    root = tmp_path / "y"
    (root / "labels").mkdir(parents=True)
    (root / "labels/train").symlink_to(tmp_path / "store")
    (tmp_path / "store/loop").symlink_to(tmp_path / "store")
    (tmp_path / "store/itself").symlink_to(tmp_path / "store/itself")
    put(root, {"data.yaml": NAMES})
    assert frames_of(root, size=SIZE) == {"a.jpg": 1, "b.jpg": 1}
    (tmp_path / "store/c.txt").symlink_to(tmp_path / "nothere")
    with pytest.raises(DataError, match=r"c.txt: no file that can be read; mend the link or remove it"):
        frames_of(root, size=SIZE)
    (tmp_path / "store/c.txt").unlink()
    os.mkfifo(tmp_path / "store/c.txt")
    with pytest.raises(DataError, match=r"c.txt: no file that can be read"):
        frames_of(root, size=SIZE)
    os.mkfifo(tmp_path / "train.txt")
    assert not is_image_list(tmp_path / "train.txt")


def test_a_folder_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = lay(tmp_path / "y", "labels/train/a.txt", "labels/train/night/b.txt")
    put(root, {"data.yaml": NAMES})
    scan = os.scandir

    def refuse(path: str | Path) -> object:
        if Path(path).name == "night":
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(DataError, match=r"night: cannot be read \(Permission denied\); check that path"):
        run(root, tmp_path / "out.json", "scalabel", size=SIZE)


@pytest.mark.parametrize("name", ("a\nb", "a\x1b[2Jb", "a\u202eb", "a\udcffb"))
def test_names_that_do_not_print(tmp_path: Path, name: str) -> None:
    root = lay(tmp_path / "y", f"{name}.txt")
    put(root, {"classes.txt": "car\nrider\n"})
    with pytest.raises(DataError, match=r"y: 'a\\.*b.jpg' is no name of an image; rename its files"):
        frames_of(root, size=SIZE)
    Image.new("L", (8, 8), 18).save(tmp_path / "y" / f"{name}.png")
    (root / f"{name}.txt").unlink()
    with pytest.raises(DataError, match="a frame is called 'a.*b.jpg'; the name of an image has"):
        run(root, tmp_path / "masks.json", "scalabel", kind="masks")


def test_the_frames_of_both(tmp_path: Path) -> None:
    """A label file names its image also with the ending."""
    root = lay(tmp_path / "y", "labels/a.jpg.txt", "images/a.jpg")
    put(root, {"data.yaml": NAMES})
    assert frames_of(root) == {"a.jpg": 1}
    lay(root, "labels/a.txt")
    with pytest.raises(DataError, match=r"are of the same frame a; rename or remove one of the two"):
        frames_of(root)
