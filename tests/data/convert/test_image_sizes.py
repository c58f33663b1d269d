"""Which size of an image counts, and when none is taken."""

import json
import re
from pathlib import Path

import pytest
from PIL import Image
from support.conversion_cases import SIZE, run, sized, write

from bdd100k_d2.data.labels import Box2D, Frame, FrameAttributes, ImageSize, Label
from bdd100k_d2.errors import ConfigError, DataError

# The middle of an image of 1920x1080, half as wide and high.
MIDDLE = Box2D(480, 270, 1439, 809)
HALF = "2 0.50000000 0.50000000 0.50000000 0.50000000\n"


def car(box: Box2D = MIDDLE) -> Label:
    return Label("1", "car", box2d=box)


def image(path: Path, width: int = 1920, height: int = 1080) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("1", (width, height)).save(path)
    return path.parent


def coco(folder: Path, **size: int) -> Path:
    document = {
        "images": [{"id": 1, "file_name": "a.jpg", **size}],
        "categories": [{"id": 1, "name": "car"}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [480, 270, 960, 540]}],
    }
    (folder / "c.json").write_text(json.dumps(document))
    return folder / "c.json"


def sources(folder: Path, stated: bool) -> dict[str, Path]:
    """A frame of 1920x1080 in two formats."""
    frame = sized(car(), size=ImageSize(1920, 1080)) if stated else Frame("a.jpg", labels=[car()])
    return {
        "scalabel": write(folder, [frame], "s.json"),
        "coco": coco(folder, **({"width": 1920, "height": 1080} if stated else {})),
    }


def written_size(path: Path) -> tuple[int, int]:
    (found,) = json.loads(path.read_text())["images"]
    return found["width"], found["height"]


@pytest.mark.parametrize("kind", ("scalabel", "coco"))
@pytest.mark.parametrize("option", ("images", "size", "both"))
def test_the_size_that_the_labels_state_comes_first(tmp_path: Path, kind: str, option: str) -> None:
    options = {"images": image(tmp_path / "images/a.png", 640, 360), "size": ImageSize(99, 99)}
    options = options if option == "both" else {option: options[option]}
    source = sources(tmp_path, stated=True)[kind]
    run(source, tmp_path / "yolo", "yolo", split="val", **options)
    assert (tmp_path / "yolo/labels/val/a.txt").read_text() == HALF
    run(source, tmp_path / "out.json", "coco", **options)
    assert written_size(tmp_path / "out.json") == (1920, 1080)


@pytest.mark.parametrize("kind", ("scalabel", "coco"))
def test_then_the_size_of_the_image(tmp_path: Path, kind: str) -> None:
    images = image(tmp_path / "images/night/a.png")
    source = sources(tmp_path, stated=False)[kind]
    for size in (None, ImageSize(99, 99)):
        run(source, tmp_path / "yolo", "yolo", split="val", images=images.parent, size=size, overwrite=True)
        assert (tmp_path / "yolo/labels/val/a.txt").read_text() == HALF
        run(source, tmp_path / "out.json", "coco", images=images.parent, size=size, overwrite=True)
        assert written_size(tmp_path / "out.json") == (1920, 1080)


@pytest.mark.parametrize("kind", ("scalabel", "coco"))
def test_then_the_size_that_is_told(tmp_path: Path, kind: str) -> None:
    source = sources(tmp_path, stated=False)[kind]
    (tmp_path / "images").mkdir()
    for options in ({}, {"images": tmp_path / "images"}):
        run(source, tmp_path / "y", "yolo", split="val", size=ImageSize(1920, 1080), overwrite=True, **options)
        assert (tmp_path / "y/labels/val/a.txt").read_text() == HALF


def test_the_images_of_yolo_come_before_the_size_that_is_told(tmp_path: Path) -> None:
    """Both where the images lie beside the labels and where they are given."""
    labels = tmp_path / "y/labels"
    labels.mkdir(parents=True)
    for stem in "abc":
        (labels / f"{stem}.txt").write_text("0 0.5 0.5 0.5 0.5\n")
    (tmp_path / "y/classes.txt").write_text("car\n")
    image(tmp_path / "y/images/a.png")
    (tmp_path / "y/images/b.png").write_bytes(b"no image")
    for options in ({}, {"images": tmp_path / "y/images"}):
        run(tmp_path / "y", tmp_path / "out.json", "coco", size=ImageSize(640, 360), overwrite=True, **options)
        found = json.loads((tmp_path / "out.json").read_text())["images"]
        assert [(one["width"], one["height"]) for one in found] == [(1920, 1080), (640, 360), (640, 360)]
    with pytest.raises(DataError, match=r"b.png: the image cannot be read .*; mend it, or give --size"):
        run(tmp_path / "y", tmp_path / "out.json", "coco", overwrite=True)


def test_an_image_that_is_missing_or_no_image(tmp_path: Path) -> None:
    source = sources(tmp_path, stated=False)["scalabel"]
    (tmp_path / "images").mkdir()
    with pytest.raises(DataError, match=r"s.json: frame a.jpg: .*images has no image of this name; check --images"):
        run(source, tmp_path / "out.json", "coco", images=tmp_path / "images")
    (tmp_path / "images/a.jpg").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n")
    with pytest.raises(DataError, match=r"a.jpg: the image cannot be read .*PostScript.*mend it, or give --size"):
        run(source, tmp_path / "out.json", "coco", images=tmp_path / "images")
    for folder in ("night", "day"):
        image(tmp_path / f"images/{folder}/a.png")
    (tmp_path / "images/a.jpg").unlink()
    with pytest.raises(DataError, match=r"day/a.png and .*night/a.png are images of one name"):
        run(source, tmp_path / "out.json", "coco", images=tmp_path / "images")
    with pytest.raises(DataError, match=r"nothere: no such folder of images; check --images"):
        run(source, tmp_path / "out.json", "coco", images=tmp_path / "nothere")
    assert not (tmp_path / "out.json").exists()


OFFICIAL = (
    Frame("b1c66a42-6f7d68ca.jpg"),
    Frame("b1c66a42-6f7d68ca-0000012.jpg"),
    Frame("a.jpg", "b1c66a42-6f7d68ca"),
)


@pytest.mark.parametrize("frame", OFFICIAL, ids=range(len(OFFICIAL)))
@pytest.mark.parametrize("to", ("yolo", "coco"))
def test_the_size_of_official_frames_is_known(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, frame: Frame, to: str
) -> None:
    labels = [car(Box2D(320, 180, 959, 539))]
    frames = [Frame("00000000-ffffffff.jpg"), Frame(frame.name, frame.videoName, frame.attributes, labels=labels)]
    run(write(tmp_path, frames), tmp_path / ("y" if to == "yolo" else "c.json"), to)
    if to == "yolo":
        (file,) = (tmp_path / "y/labels/val").glob(f"{Path(frame.name).stem}.txt")
        assert file.read_text() == HALF
    # Of what is named so there is no doubt.
    assert not caplog.records


def test_no_size_is_taken_of_others(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    found = sources(tmp_path, stated=False)
    found["a video"] = write(tmp_path, [Frame("a.jpg", "my video", FrameAttributes(), labels=[car()])], "v.json")
    # Others have attributes of these names too, and frames beside BDD100K's.
    found["weather"] = write(tmp_path, [Frame("a.jpg", attributes=FrameAttributes("clear"), labels=[car()])], "w.json")
    found["beside"] = write(tmp_path, [Frame("a.jpg", labels=[car()]), Frame("00000000-ffffffff.jpg")], "b.json")
    kinds = ("scalabel", "a video", "weather", "beside", "coco")
    for kind, to in (*((kind, "yolo") for kind in kinds), ("coco", "coco")):
        target = tmp_path / ("y" if to == "yolo" else "out.json")
        message = f"{found[kind]}: frame a.jpg does not state its size; give --images with the folder of the images, or"
        with pytest.raises(DataError, match=re.escape(message)):
            run(found[kind], target, to)
        assert not (tmp_path / "y/labels/train").exists() and not (tmp_path / "out.json").exists()
    with pytest.raises(DataError, match=r"frame a.jpg does not state its size; give --images"):
        run(write(tmp_path, [Frame("a.jpg", labels=[])]), tmp_path / "out", "masks", task="ins_seg")
    # No number of COCO depends on it but the size itself, which the toolkit writes too.
    run(write(tmp_path, [Frame("a.jpg", labels=[car(Box2D(0, 0, 9, 9))])]), tmp_path / "out.json", "coco")
    assert written_size(tmp_path / "out.json") == (1280, 720)
    assert "1 frames do not state their size; 1280x720" in caplog.text


@pytest.mark.parametrize("box", (Box2D(0, 0, 1281, 10), Box2D(0, 0, 10, 720.5)))
@pytest.mark.parametrize("to", ("yolo", "coco"))
def test_a_box_beyond_the_size_that_would_be_taken(tmp_path: Path, box: Box2D, to: str) -> None:
    source = write(tmp_path, [Frame("b1c66a42-6f7d68ca.jpg", labels=[car(box)])])
    target = tmp_path / ("y" if to == "yolo" else "c.json")
    message = (
        "label 1: the box reaches to .*, so the image is not one of BDD100K's 1280x720, and its size is not stated"
    )
    with pytest.raises(DataError, match=message):
        run(source, target, to)
    run(source, target, to, size=SIZE)


def test_masks_state_their_size(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    image(tmp_path / "masks/a.png", 20, 10)
    Image.new("L", (20, 10), 3).save(tmp_path / "masks/a.png")
    run(tmp_path / "masks", tmp_path / "s.json", "scalabel")
    (frame,) = json.loads((tmp_path / "s.json").read_text())
    del frame["size"]
    (tmp_path / "s.json").write_text(json.dumps([frame]))
    run(tmp_path / "s.json", tmp_path / "c.json", "coco", task="sem_seg")
    assert written_size(tmp_path / "c.json") == (20, 10) and not caplog.records


@pytest.mark.parametrize("size", (ImageSize(0, 720), ImageSize(-5, 720), ImageSize(100_000, 100_000)))
def test_sizes_that_no_image_has(tmp_path: Path, size: ImageSize) -> None:
    for frame, options in ((sized(car(), size=size), {}), (Frame("a.jpg", labels=[car()]), {"size": size})):
        source = write(tmp_path, [frame])
        for to, target in (("yolo", "y"), ("coco", "c.json")):
            with pytest.raises(DataError, match=rf"frame a.jpg.* is {size.width}x{size.height} pixels"):
                run(source, tmp_path / target, to, **options)


def test_the_official_labels_need_no_option(real_root: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for to in ("coco", "yolo"):
        target = tmp_path / ("y" if to == "yolo" else "c.json")
        assert run(real_root / "bdd100k/labels/det_20/det_val.json", target, to).frames > 0
        assert caplog.messages == []


IDLE = {
    "classes": ("yolo", "scalabel", "yolo", "--classes names the classes of YOLO labels, the source is scalabel"),
    "images": ("images", "scalabel", "scalabel", "--images is not used from scalabel to Scalabel"),
    "size": (SIZE, "coco", "scalabel", "--size is not used from coco to Scalabel"),
    "split": ("val", "scalabel", "coco", "--split is of YOLO, not of scalabel or coco"),
    "image_ids": ("ids", "coco", "scalabel", "--image-ids is for COCO results, the source is coco"),
    "score_file": ("scores", "scalabel", "coco", "--score-file is for bitmasks, the source is scalabel"),
    "polygons": (False, "scalabel", "scalabel", "--segmentation is of COCO, not of scalabel"),
}


@pytest.mark.parametrize("option", IDLE)
def test_options_that_do_nothing_are_refused(tmp_path: Path, option: str) -> None:
    value, kind, to, message = IDLE[option]
    source = sources(tmp_path, stated=True)[kind]
    path = Path(value) if isinstance(value, str) and option != "split" else value
    target = tmp_path / ("y" if to == "yolo" else "out.json")
    with pytest.raises(ConfigError, match=rf"{re.escape(message)}.*; leave it out"):
        run(source, target, to, **{option: path})
    assert not target.exists()


def test_options_of_masks_and_of_boxes(tmp_path: Path) -> None:
    image(tmp_path / "masks/a.png", 20, 10)
    Image.new("L", (20, 10), 3).save(tmp_path / "masks/a.png")
    with pytest.raises(ConfigError, match=r"--size is not used, because masks have a size of their own"):
        run(tmp_path / "masks", tmp_path / "out.json", "coco", size=SIZE)
    with pytest.raises(ConfigError, match=r"--segmentation is of masks, det has boxes; leave it out"):
        run(sources(tmp_path, stated=True)["scalabel"], tmp_path / "out.json", "coco", polygons=True)
    assert not (tmp_path / "out.json").exists()
