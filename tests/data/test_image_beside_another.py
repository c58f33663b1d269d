"""Own data with several images of one stem in a folder: the one that the labels name is taken, else none."""

import json
import logging
import unicodedata
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from detectron2.data import DatasetCatalog
from PIL import Image

from bdd100k_d2.data.check.registered import check_datasets
from bdd100k_d2.data.convert.convert import convert
from bdd100k_d2.data.convert.image_sizes import ImagesBelow
from bdd100k_d2.data.convert.source_options import SourceOptions
from bdd100k_d2.data.own_dataset import register_dataset
from bdd100k_d2.errors import ConfigError, DataError
from bdd100k_d2.evaluation.prediction_files import write_mask
from bdd100k_d2.report.analysis.frames import find_images

HEIGHT, WIDTH = 48, 64
Writer = Callable[..., Path]


pytestmark = pytest.mark.usefixtures("catalogs_as_they_were")


def write_images(folder: Path, *names: str, width: int = WIDTH) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (width, HEIGHT), (9, 99, 199)).save(folder / name)
    return folder


def write_coco(path: Path, *names: str) -> Path:
    document = {
        "images": [{"id": i, "file_name": name} for i, name in enumerate(names)],
        "annotations": [
            {"id": i, "image_id": i, "category_id": 1, "bbox": [1 + i, 1, 9, 9]} for i in range(len(names))
        ],
        "categories": [{"id": 1, "name": "car"}],
    }
    path.write_text(json.dumps(document))
    return path


def write_scalabel(path: Path, *names: str) -> Path:
    box = {"x1": 1, "y1": 1, "x2": 9, "y2": 9}
    labels = [{"id": "1", "category": "car", "box2d": box}]
    path.write_text(json.dumps([{"name": name, "labels": labels} for name in names]))
    return path


def files(name: str) -> list[str]:
    return [Path(record["file_name"]).name for record in DatasetCatalog.get(name)]


@pytest.mark.parametrize("write", [write_coco, write_scalabel])
@pytest.mark.parametrize(
    ("named", "there", "taken"),
    [
        ("a.jpeg", ["a.jpeg", "a.png"], "a.jpeg"),
        ("a.png", ["a.jpg", "a.png"], "a.png"),
        ("a.jpg", ["a.JPG", "a.png"], "a.JPG"),
        ("a.JPG", ["a.JPG", "a.jpg"], "a.JPG"),
        ("in/a.jpg", ["a.png", "deep/a.jpg"], "a.jpg"),
        ("a.png", ["a.jpg"], "a.jpg"),
        ("a.png", ["a.png", "deep/a.png"], "a.png"),
    ],
)
def test_the_image_that_labels_name(tmp_path: Path, write: Writer, named: str, there: list[str], taken: str) -> None:
    write_images(tmp_path / "images", *there)
    register_dataset("pets", write(tmp_path / "l.json", named), tmp_path / "images", classes=["car"])
    assert files("pets") == [taken]
    report = check_datasets(["pets"], fast=True, workers=1)
    kinds = {finding.kind for finding in report.findings}
    assert kinds == ({"image without labels"} if len(there) > 1 else set()), report.text()


def test_an_image_of_another_ending_is_taken_only_where_there_is_one(tmp_path: Path) -> None:
    write_images(tmp_path / "images", "a.png", "a.webp")
    register_dataset("pets", write_coco(tmp_path / "l.json", "a.jpg"), tmp_path / "images")
    message = r"images/a.png and .*images/a.webp are images of one name, which the labels do not tell apart; give a"
    with pytest.raises(DataError, match=message):
        DatasetCatalog.get("pets")
    (finding, *_) = check_datasets(["pets"], fast=True, workers=1).findings
    assert finding.kind == "two images of a frame"
    with pytest.raises(DataError, match=message):
        options = SourceOptions(images=tmp_path / "images")
        convert(tmp_path / "l.json", tmp_path / "o.json", "coco", options=options)
    with pytest.raises(DataError, match=message):
        find_images(["a.jpg"], tmp_path / "images")
    assert find_images(["a.webp"], tmp_path / "images") == [tmp_path / "images/a.webp"]


def test_sizes_of_a_conversion_are_of_the_image_that_is_named(tmp_path: Path) -> None:
    write_images(tmp_path / "images", "a.png", width=100)
    write_images(tmp_path / "images", "a.jpeg")
    source = write_scalabel(tmp_path / "l.json", "a.jpeg")
    convert(source, tmp_path / "o.json", "coco", options=SourceOptions(images=tmp_path / "images"))
    (image,) = json.loads((tmp_path / "o.json").read_text())["images"]
    assert (image["width"], image["height"]) == (WIDTH, HEIGHT)


@pytest.mark.parametrize("write", [write_coco, write_scalabel])
def test_frames_that_differ_in_their_endings_alone_are_refused(tmp_path: Path, write: Writer) -> None:
    write_images(tmp_path / "images", "a.jpg", "a.png")
    register_dataset("pets", write(tmp_path / "l.json", "a.png", "a.jpg"), tmp_path / "images", classes=["car"])
    message = r"l.json: frames a.png and a.jpg differ in their endings alone, which masks and results do not have; ren"
    with pytest.raises(DataError, match=message):
        DatasetCatalog.get("pets")
    assert "differ in their endings alone" in check_datasets(["pets"], fast=True, workers=1).text()


@pytest.mark.parametrize("ending", ["jpeg", "JPG", "jpg", "bmp", "webp"])
@pytest.mark.parametrize("above", [False, True])
def test_masks_are_no_images(tmp_path: Path, ending: str, above: bool, caplog: pytest.LogCaptureFixture) -> None:
    masks = tmp_path / ("data/masks" if above else "data")
    masks.mkdir(parents=True)
    for i in range(2):
        write_images(tmp_path / "data", f"s{i}.{ending}")
        write_mask(np.full((HEIGHT, WIDTH), i, np.uint8), masks / f"s{i}.png")
    (tmp_path / "link").symlink_to(tmp_path / "data")
    register_dataset("floors", masks, tmp_path / "link", task="sem_seg", classes=["floor", "wall"])
    with caplog.at_level(logging.WARNING):
        records = DatasetCatalog.get("floors")
    found = [(one["file_name"], one["sem_seg_file_name"], one["image_id"]) for one in records]
    names = [f"s{i}.{ending}" for i in range(2)]
    assert found == [(str(tmp_path / "link" / name), str(masks / f"{name[:2]}.png"), name) for name in names]
    assert "without a mask" not in caplog.text
    assert check_datasets(["floors"], fast=True, workers=1).findings == []
    # A mask does not stand for an image that is missing.
    (tmp_path / "data" / names[1]).unlink()
    register_dataset("floors", masks, tmp_path / "data", task="sem_seg", classes=["floor", "wall"])
    with pytest.raises(
        DataError, match=r"data: 1 of 2 images of the labels in .* are missing, the first is s1; every PNG file"
    ):
        DatasetCatalog.get("floors")
    assert find_images(["s1.jpg"], tmp_path / "data", [masks / "s1.png"]) == [None]


def test_a_mask_of_two_images_is_refused(tmp_path: Path) -> None:
    write_images(tmp_path / "images", "a.jpg", "a.webp")
    (tmp_path / "masks").mkdir()
    write_mask(np.zeros((HEIGHT, WIDTH), np.uint8), tmp_path / "masks/a.png")
    register_dataset("floors", tmp_path / "masks", tmp_path / "images", task="sem_seg", classes=["floor", "wall"])
    with pytest.raises(DataError, match=r"a.jpg and .*a.webp are images of one name"):
        DatasetCatalog.get("floors")
    # Some tools write the ending of the image before that of the mask.
    (tmp_path / "masks/a.png").rename(tmp_path / "masks/a.webp.png")
    assert files("floors") == ["a.webp"]
    write_mask(np.zeros((HEIGHT, WIDTH), np.uint8), tmp_path / "masks/a.jpg.png")
    assert DatasetCatalog.get("floors")[0]["image_id"] == "a.jpg"


def test_yolo(tmp_path: Path) -> None:
    write_images(tmp_path / "images/train", "a.jpeg", "a.png")
    labels = tmp_path / "labels/train"
    labels.mkdir(parents=True)
    (labels / "a.txt").write_text("0 .5 .5 .2 .2\n")
    (tmp_path / "data.yaml").write_text("train: images/train\nnames: [car]\n")
    with pytest.raises(DataError, match=r"train/a.jpeg and .*train/a.png are images of one name"):
        register_dataset("pets", tmp_path / "data.yaml")
    # As some tools write it: then the other is a frame without labels.
    (labels / "a.txt").rename(labels / "a.jpeg.txt")
    with pytest.raises(DataError, match=r"a.jpeg.txt and .*a.png are of the same frame a; rename or remove one"):
        register_dataset("pets", tmp_path / "data.yaml")
    (labels / "a.jpeg.txt").unlink()
    with pytest.raises(DataError, match=r"a.jpeg and .*a.png are of the same frame a; rename or remove one"):
        register_dataset("pets", tmp_path / "data.yaml")
    (tmp_path / "images/train/a.png").unlink()
    (labels / "a.jpeg.txt").write_text("0 .5 .5 .2 .2\n")
    register_dataset("pets", tmp_path / "data.yaml")
    assert files("pets_train") == ["a.jpeg"]
    # A list says which it is.
    (labels / "a.jpeg.txt").rename(labels / "a.txt")
    write_images(tmp_path / "images/train", "a.png")
    (tmp_path / "train.txt").write_text("./images/train/a.jpeg\n")
    (tmp_path / "data.yaml").write_text("train: train.txt\nnames: [car]\n")
    for images in (None, tmp_path / "images"):
        register_dataset("pets", tmp_path / "data.yaml", images)
        assert files("pets_train") == ["a.jpeg"]


def test_letters_with_accents_in_either_way_of_unicode(tmp_path: Path) -> None:
    both = ["NFC", "NFD"]
    for of_labels, of_files in (both, both[::-1]):
        root = tmp_path / of_labels
        named, there = (unicodedata.normalize(form, "ümg") for form in (of_labels, of_files))
        write_images(root / "images", f"{there}.jpg")
        register_dataset("pets", write_coco(root / "l.json", f"{named}.jpg"), root / "images")
        (record,) = DatasetCatalog.get("pets")
        assert record["file_name"] == str(root / f"images/{there}.jpg") and record["image_id"] == f"{named}.jpg"
        (root / "labels").mkdir()
        (root / f"labels/{named}.txt").write_text("0 .5 .5 .2 .2\n")
        register_dataset("yolo", root / "labels", root / "images", classes=["car"])
        (record,) = DatasetCatalog.get("yolo")
        assert record["file_name"] == str(root / f"images/{there}.jpg") and len(record["annotations"]) == 1
        # The exact one comes first.
        write_images(root / "images", f"{named}.jpg")
        assert ImagesBelow(root / "images").find(f"{named}.jpg") == root / f"images/{named}.jpg"
        assert ImagesBelow(root / "images").find(f"{there}.jpg") == root / f"images/{there}.jpg"


def test_sizes_of_frames_that_their_folders_tell_apart(tmp_path: Path) -> None:
    for i, name in enumerate(["a/0.jpg", "b/0.jpg", "0.jpg", "c/1.jpg"]):
        write_images(tmp_path / "images", name, width=WIDTH + i)
    for names, widths in (
        (["a/0.jpg", "b/0.jpg", "0.jpg"], [64, 65, 66]),
        (["in/a/0.jpg", "in/b/0.jpg"], [64, 65]),
        (["1.jpg", "c/1.jpg"], [67, 67]),
    ):
        options = SourceOptions(images=tmp_path / "images")
        convert(
            write_scalabel(tmp_path / "l.json", *names), tmp_path / "o.json", "coco", options=options, overwrite=True
        )
        found = json.loads((tmp_path / "o.json").read_text())["images"]
        assert [(one["file_name"], one["width"]) for one in found] == [*zip(names, widths, strict=True)]
    with pytest.raises(DataError, match=r"frame d/1.jpg: .*images has no image of this name"):
        convert(write_scalabel(tmp_path / "l.json", "d/1.jpg"), tmp_path / "p.json", "coco", options=options)


def test_masks_of_one_name_in_folders_are_converted(tmp_path: Path) -> None:
    for i, name in enumerate(["a/0", "b/0", "b/1"]):
        mask = np.full((HEIGHT, WIDTH), 255, np.uint8)
        mask[: 10 + i] = 12
        (tmp_path / "masks" / name).parent.mkdir(parents=True, exist_ok=True)
        write_mask(mask, tmp_path / f"masks/{name}.png")
    convert(tmp_path / "masks", tmp_path / "l.json", "scalabel", options=SourceOptions(task="sem_seg"))
    assert [one["name"] for one in json.loads((tmp_path / "l.json").read_text())] == ["a__0.jpg", "b__0.jpg", "1.jpg"]
    convert(tmp_path / "l.json", tmp_path / "again", "masks", options=SourceOptions(task="sem_seg"))
    for i, name in enumerate(["a__0", "b__0", "1"]):
        assert (np.asarray(Image.open(tmp_path / f"again/{name}.png")) == 12).sum() == (10 + i) * WIDTH


def test_classes_that_differ_in_blanks_alone(tmp_path: Path) -> None:
    write_images(tmp_path / "images", "a.jpg")
    document = json.loads(write_coco(tmp_path / "l.json", "a.jpg").read_text())
    document["categories"].append({"id": 2, "name": "car "})
    (tmp_path / "l.json").write_text(json.dumps(document))
    with pytest.raises(
        ConfigError, match=r"pets: the classes 'car' and 'car ' differ in blanks alone; write them alike"
    ):
        register_dataset("pets", tmp_path / "l.json", tmp_path / "images")
    register_dataset("pets", tmp_path / "l.json", tmp_path / "images", classes=["car"])
    assert len(DatasetCatalog.get("pets")[0]["annotations"]) == 1


def test_a_coco_file_for_each_video(tmp_path: Path) -> None:
    places = ["v1/0.jpg", "v1/1.jpg", "v2/0.jpg", "v2/2.jpg"]
    for i, name in enumerate(places):
        write_images(tmp_path / "images", name, width=WIDTH + i)
    (tmp_path / "labels").mkdir()
    write_coco(tmp_path / "labels/v1.json", *places[:2])
    write_coco(tmp_path / "labels/v2.json", *places[2:])
    register_dataset("pets", tmp_path / "labels", tmp_path / "images", classes=["car"])
    found = {one["image_id"]: (one["width"], one["annotations"][0]["bbox"][0]) for one in DatasetCatalog.get("pets")}
    assert found == {"v1__0.jpg": (64, 1), "1.jpg": (65, 2), "v2__0.jpg": (66, 1), "2.jpg": (67, 2)}
    assert check_datasets(["pets"], fast=True, workers=1).findings == []
    write_coco(tmp_path / "labels/v3.json", "v2/0.jpg")
    with pytest.raises(DataError, match=r"v3.json: frame v2__0.jpg is also in .*v2.json; remove one of the two"):
        DatasetCatalog.get("pets")
