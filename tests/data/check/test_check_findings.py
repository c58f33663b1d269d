"""Every kind of finding is made by a damage, is counted and named; a sound data set has none."""

import os
import shutil
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import cv2
import msgspec
import numpy as np
import pytest
from PIL import Image
from pycocotools.mask import encode
from support import check_roots as roots

from bdd100k_d2.data.bitmasks import Bitmask, encode_bitmask
from bdd100k_d2.data.categories import IGNORE_LABEL, Category
from bdd100k_d2.data.check import dataset
from bdd100k_d2.data.check.dataset import check_dataset
from bdd100k_d2.data.check.official import IMAGES_WITHOUT_MASK
from bdd100k_d2.data.check.report import EXAMPLES, FINDING_KINDS, Finding, Severity
from bdd100k_d2.data.check.statistics import Statistics
from bdd100k_d2.data.datasets import MASKS_WITHOUT_IMAGE
from bdd100k_d2.data.labels import RLE, FrameAttributes, ImageSize, Label, write_frames
from bdd100k_d2.data.register import all_splits, locate
from bdd100k_d2.errors import DataError
from bdd100k_d2.tasks import NO_SUCH_VALUE, SPLITS, TASKS, SplitCounts, Task


@pytest.fixture(scope="session")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return roots.make_sound_root(tmp_path_factory.mktemp("sound"))


@pytest.fixture
def root(sound: Path, tmp_path: Path) -> Path:
    shutil.copytree(sound, tmp_path / "root")
    return tmp_path / "root"


def test_a_sound_data_set_has_no_finding(sound: Path) -> None:
    report = check_dataset(sound, released=roots.RELEASED, workers=2)
    assert report.findings == [] and not report.breaks_training
    assert [facts.name for facts in report.datasets] == [row.name for row in all_splits()]
    det, test = report.datasets[0], report.datasets[2]
    assert (det.pictures, det.frames, det.objects, det.vintage) == (3, 3, 9, "det_20")
    assert (test.pictures, test.frames, test.labels) == (3, None, None)
    objects = {facts.name: facts.objects for facts in report.datasets}
    assert (objects["bdd100k_ins_seg_val"], objects["bdd100k_sem_seg_val"]) == (6, None)
    assert check_dataset(sound, fast=True, released=roots.RELEASED).findings == []


def rewrite(root: Path, change: Callable[[str], str]) -> None:
    path = roots.labels_path(root)
    path.write_text(change(path.read_text()))


def write_run_lengths(root: Path, *labels: Label) -> None:
    """In place of the bitmasks of ins_seg."""
    shutil.rmtree(root / "bdd100k/labels/ins_seg/bitmasks")
    for split in ("train", "val"):
        frames = [msgspec.structs.replace(frame, labels=[RUN]) for frame in roots.read(root, split)]
        frames[1].labels += labels
        path = root / f"bdd100k/labels/ins_seg/rles/ins_seg_{split}.json"
        path.parent.mkdir(exist_ok=True)
        write_frames(frames, path)


RUN = Label(
    "0", "car", rle=RLE(encode(np.asfortranarray(np.eye(720, 1280, dtype=np.uint8)))["counts"].decode(), (720, 1280))
)


def bitmask_of_category(path: Path, category: int) -> None:
    instances = np.zeros((720, 1280), np.int32)
    instances[:5] = 1
    pixels = encode_bitmask(Bitmask(instances, np.array([1]), np.array([category]), np.zeros(1, np.uint8)))
    cv2.imwrite(str(path), pixels[..., [2, 1, 0, 3]])


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


PNG_OF_10_GB = (
    b"\x89PNG\r\n\x1a\n"
    + chunk(b"IHDR", struct.pack(">IIBBBBB", 100_000, 100_000, 8, 0, 0, 0, 0))
    + chunk(b"IDAT", zlib.compress(b"0"))
    + chunk(b"IEND", b"")
)


def write_eps(path: Path) -> None:
    Image.new("RGB", (9, 9)).save(path, "EPS")


def write_tiff(path: Path) -> None:
    Image.fromarray(np.zeros((720, 1280), np.float32)).save(path, "TIFF")


def damage_png(path: Path) -> None:
    """An image, as a PNG file, with another byte of the checksum of its pixels."""
    with Image.open(path) as image:
        image.save(path, "PNG")
    content = bytearray(path.read_bytes())
    content[-13] ^= 1
    path.write_bytes(content)


def link_of_bytes(path: Path) -> None:
    """A name that is no text, and more than one line."""
    os.link(path, os.fsencode(path.parent) + b"/\xff\n.jpg")


def dangling(path: Path) -> None:
    path.unlink()
    path.symlink_to("nowhere")


def rename_mask(root: Path, name: str) -> None:
    roots.mask(root).rename(roots.mask(root, name=name))


def lists_of_2018(root: Path, **changes: object) -> None:
    """The same labels with the names of 2018, and one frame changed."""
    frames = roots.read(root)
    for frame in frames:
        frame.labels = [
            msgspec.structs.replace(label, category={"pedestrian": "person"}.get(label.category, label.category))
            for label in frame.labels
            if label.category != "other vehicle"
        ]
    frames[1] = msgspec.structs.replace(frames[1], **changes)
    write_frames(frames, root / "bdd100k/labels/bdd100k_labels_images_train.json")


def of_2018(root: Path) -> None:
    rewrite(root, lambda text: text.replace("pedestrian", "person").replace("other vehicle", "car"))


# The kind, the task, whether reading images is needed, the damage, and what has to be named.
CASES = [
    ("image without labels", "det", False, lambda r: link_of_bytes(roots.image(r)), r"\udcff\n.jpg"),
    ("no images", "det", False, lambda r: shutil.rmtree(roots.image(r).parent), "bdd100k_det_train"),
    ("no labels", "det", False, lambda r: roots.labels_path(r, "val").unlink(), "bdd100k_det_val"),
    ("unusable label file", "det", False, lambda r: roots.cut(roots.labels_path(r)), "the JSON is cut off"),
    ("unusable label file", "det", False, lambda r: rewrite(r, lambda t: t.replace("train2", "train1")), "train1.jpg"),
    ("bad frame name", "det", False, lambda r: roots.change_frame(r, name="../x.jpg"), "'../x.jpg'"),
    ("missing image", "det", False, lambda r: roots.image(r).unlink(), "train1.jpg"),
    ("unreadable image", "det", False, lambda r: roots.image(r).write_bytes(b""), "train1.jpg: an empty file"),
    ("unreadable image", "det", False, lambda r: dangling(roots.image(r)), "train1.jpg: a link that leads nowhere"),
    ("unreadable image", "det", True, lambda r: roots.cut(roots.image(r)), "train1.jpg: image file is truncated"),
    ("unreadable image", "det", True, lambda r: roots.image(r).write_text("<html>"), "train1.jpg: it is a HTML file"),
    ("unreadable image", "det", True, lambda r: write_eps(roots.image(r)), "train1.jpg: it is a PostScript file"),
    ("unreadable image", "det", True, lambda r: write_tiff(roots.image(r)), "holds floating point numbers"),
    (
        "unreadable image",
        "det",
        True,
        lambda r: roots.image(r).write_bytes(PNG_OF_10_GB),
        "train1.jpg: the image is 100000x100000 pixels, more than 100,000,000 in all",
    ),
    (
        "damaged image",
        "det",
        True,
        lambda r: damage_png(roots.image(r)),
        "train1.jpg: the checksum of its IDAT chunk is wrong",
    ),
    ("damaged image", "det", True, lambda r: roots.damage_jpeg(roots.image(r)), "train1.jpg: Corrupt JPEG data"),
    (
        "bytes after the image's end",
        "det",
        True,
        lambda r: roots.append(roots.image(r), b"<html>" + bytes(9)),
        "train1.jpg: 6 bytes",
    ),
    ("damaged image", "det", True, lambda r: roots.cut_end(roots.image(r)), "train1.jpg: cut off"),
    (
        "damaged image",
        "det",
        True,
        lambda r: (roots.damage_jpeg(roots.image(r)), roots.append(roots.image(r), b"more")),
        "train1.jpg: Corrupt JPEG data",
    ),
    ("image of another size", "det", True, lambda r: roots.resize(roots.image(r), 640, 360), "640x360, not 1280x"),
    ("unknown category", "det", False, lambda r: roots.add_box(r, "bycicle", 1, 2, 30, 40), "(bycicle): (1, 2) to"),
    (
        "label without a box",
        "det",
        False,
        lambda r: roots.change_frame(r, labels=[*roots.read(r)[1].labels, Label("7", "car")]),
        "train1.jpg, label 7 (car)",
    ),
    ("degenerate box", "det", False, lambda r: roots.add_box(r, "car", 50, 2, 30, 40), "train1.jpg, label new (car)"),
    ("box outside of the image", "det", False, lambda r: roots.add_box(r, "car", 1290, 2, 1300, 40), "(1290, 2)"),
    ("box beyond the border", "det", False, lambda r: roots.add_box(r, "car", 1200, 2, 1300, 40), "to (1300, 40)"),
    ("duplicate box", "det", False, lambda r: roots.add_box(r, "car", 100, 200, 300, 400), "label new (car)"),
    ("box of two classes", "det", False, lambda r: roots.add_box(r, "bus", 100, 200, 300, 400), "train1.jpg, label"),
    ("small box", "det", False, lambda r: roots.add_box(r, "car", 10, 20, 11, 60), "(10, 20) to (11, 60)"),
    ("not det_20", "det", False, of_2018, "vintage 2018"),
    (
        "unknown attribute value",
        "det",
        False,
        lambda r: roots.change_frame(r, attributes=FrameAttributes("sunny", "highway", "night")),
        "train1.jpg: weather 'sunny'",
    ),
    ("frame without attributes", "det", False, lambda r: roots.change_frame(r, attributes=None), "train1.jpg"),
    ("frame without objects", "det", False, lambda r: roots.change_frame(r, labels=None), "train1.jpg"),
    (
        "vintages disagree",
        "det",
        False,
        lambda r: lists_of_2018(r, labels=[roots.label("0", "bus", 100, 200, 300, 390)], attributes=None),
        "of 3 images in both: 4 boxes only in det_20, 0 only in 2018, 1 of another class, 1 images with other",
    ),
    ("unusable label file, not trained on", "det", False, lambda r: cut_list_of_2018(r), "the JSON is cut off"),
    (
        "frame in two splits",
        "det",
        False,
        lambda r: roots.copy(roots.image(r), roots.image(r, "val0.jpg").with_name("train1.jpg")),
        "train1.jpg, also in train",
    ),
    (
        "image without labels",
        "det",
        False,
        lambda r: roots.copy(roots.image(r), roots.image(r).with_name("train9.jpg")),
        "train9.jpg",
    ),
    ("incomplete", "det", False, lambda r: roots.image(r, "test1.jpg").unlink(), "2 images, released 3"),
    (
        "more than released",
        "det",
        False,
        lambda r: roots.copy(roots.image(r), roots.image(r, "test1.jpg").with_name("test9.jpg")),
        "4 images, released 3",
    ),
    (
        "unreadable image, not trained on",
        "det",
        True,
        lambda r: roots.cut(roots.image(r, "test1.jpg")),
        "test1.jpg",
    ),
    (
        "image of another size, not trained on",
        "det",
        True,
        lambda r: roots.resize(roots.image(r, "test1.jpg"), 640, 360),
        "test1.jpg: 640x360",
    ),
    (
        "image of another size",
        "sem_seg",
        True,
        lambda r: roots.resize(roots.image(r, folder="10k"), 64, 36),
        "64x36",
    ),
    ("unreadable mask", "sem_seg", False, lambda r: roots.mask(r).write_bytes(b""), "train1.png: an empty file"),
    ("unreadable mask", "sem_seg", True, lambda r: roots.cut(roots.mask(r)), "train1.png: the mask cannot be read"),
    ("unreadable mask", "sem_seg", True, lambda r: damage_png(roots.mask(r)), "the checksum of its IDAT chunk is"),
    ("unreadable mask", "sem_seg", True, lambda r: write_eps(roots.mask(r)), "it is a PostScript file"),
    (
        "unreadable mask",
        "sem_seg",
        True,
        lambda r: roots.copy(roots.image(r, folder="10k"), roots.mask(r)),
        "train1.png: the mask cannot be read (it is a JPEG file)",
    ),
    (
        "unreadable mask",
        "sem_seg",
        True,
        lambda r: roots.mask(r).write_bytes(PNG_OF_10_GB),
        "train1.png: the image is 100000x100000 pixels",
    ),
    (
        "unreadable mask",
        "sem_seg",
        True,
        lambda r: cv2.imwrite(str(roots.mask(r)), np.zeros((720, 1280, 3), np.uint8)),
        "this image is RGB of 8 bits",
    ),
    (
        "bad mask ids",
        "sem_seg",
        True,
        lambda r: roots.write_ids(roots.mask(r), 19, 40),
        "the mask holds the ids [19, 40]",
    ),
    ("bad mask ids", "drivable", True, lambda r: roots.write_ids(roots.mask(r, "drivable"), 3), "the ids [3]"),
    ("bad mask ids", "drivable", False, lambda r: rename_drivable(r), "a drivable map of 2018 has other ids"),
    ("mask of another size", "sem_seg", True, lambda r: roots.resize(roots.mask(r), 640, 360), "640x360, its image"),
    ("mask without any label", "sem_seg", True, lambda r: roots.write_ids(roots.mask(r), *[255] * 720), "train1.png"),
    ("mask without image", "sem_seg", False, lambda r: roots.image(r, folder="10k").unlink(), "train1"),
    ("image without mask", "sem_seg", False, lambda r: roots.mask(r).unlink(), "train1"),
    ("mask without image, as released", "sem_seg", False, lambda r: released_mask(r), min(MASKS_WITHOUT_IMAGE)),
    ("image without mask, as released", "sem_seg", False, lambda r: released_image(r), min(IMAGES_WITHOUT_MASK)),
    (
        "two masks of a frame",
        "sem_seg",
        False,
        lambda r: roots.copy(roots.mask(r), roots.mask(r, name="train1_train_id.png")),
        "train1.png and train1_train_id.png",
    ),
    ("bad mask ids", "ins_seg", True, lambda r: bitmask_of_category(roots.mask(r, "ins_seg"), 9), "category ids [9]"),
    ("bad mask ids", "pan_seg", True, lambda r: bitmask_of_category(roots.mask(r, "pan_seg"), 41), "1 to 40"),
    (
        "unreadable mask",
        "ins_seg",
        True,
        lambda r: roots.copy(roots.mask(r), roots.mask(r, "ins_seg")),
        "this image is grey of 8 bits",
    ),
    (
        "mask of another size",
        "pan_seg",
        True,
        lambda r: roots.resize(roots.mask(r, "pan_seg"), 64, 36),
        "train1.png: 64x36",
    ),
    (
        "bad run lengths",
        "ins_seg",
        False,
        lambda r: write_run_lengths(r, Label("7", "car", rle=RLE("00", (720, 1280)))),
        "frame train1.jpg, label 7: the run lengths add up to",
    ),
    (
        "unknown category",
        "ins_seg",
        False,
        lambda r: write_run_lengths(r, msgspec.structs.replace(RUN, id="7", category="traffic sign")),
        "label 7: unknown category 'traffic sign'",
    ),
    (
        "labels without a mask",
        "ins_seg",
        False,
        lambda r: write_run_lengths(r, Label("7", "car")),
        "train1.jpg, label 7",
    ),
]


def cut_list_of_2018(root: Path) -> None:
    lists_of_2018(root)
    roots.cut(root / "bdd100k/labels/bdd100k_labels_images_train.json")


def rename_drivable(root: Path) -> None:
    roots.mask(root, "drivable").rename(roots.mask(root, "drivable", "train1_drivable_id.png"))


def released_mask(root: Path) -> None:
    roots.copy(roots.mask(root), roots.mask(root, name=f"{min(MASKS_WITHOUT_IMAGE)}.png"))


def released_image(root: Path) -> None:
    name = f"{min(IMAGES_WITHOUT_MASK)}.jpg"
    roots.copy(roots.image(root, folder="10k"), roots.image(root, folder="10k").with_name(name))


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[0]}-{case[1]}")
def test_a_damage_is_found_and_named(root: Path, case: tuple) -> None:
    kind, task, reads, damage, named = case
    damage(root)
    report = check_dataset(root, [task], fast=not reads, workers=1, released=roots.RELEASED)
    found = [finding for finding in report.findings if finding.kind == kind]
    assert len(found) >= 1, report.text()
    assert any(named in example for finding in found for example in finding.examples), report.text()
    assert all(finding.severity is FINDING_KINDS[kind].severity and finding.remedy for finding in found)
    # What breaks training, and nothing else, is an error; what a damage drags along is less than it.
    assert report.breaks_training == any(f.severity is Severity.BREAKS for f in report.findings)
    if FINDING_KINDS[kind].severity is not Severity.BREAKS:
        assert not report.breaks_training, report.text()
    assert kind in report.text() and named in report.text()


def test_every_kind_is_tested() -> None:
    elsewhere = {"split that cannot be used", "other counts than released", "image without labels, as released"}
    assert {case[0] for case in CASES} | elsewhere == set(FINDING_KINDS)


def breaking_by_loading(root: Path, task: str) -> bool:
    """Whether the loader refuses the training data."""
    from bdd100k_d2.data.register import _load

    try:
        _load(locate(f"bdd100k_{task}_train", root).present())
        _load(locate(f"bdd100k_{task}_val", root).present())
    except DataError:
        return True
    return False


@pytest.mark.parametrize("case", [case for case in CASES if not case[2]], ids=lambda case: f"{case[0]}-{case[1]}")
def test_what_breaks_training_is_what_the_loader_refuses(root: Path, case: tuple) -> None:
    kind, task, _, damage, _ = case
    damage(root)
    # Empty files are found when their turn comes to be read, which is after the loader's work.
    later = {"unreadable image", "unreadable mask"}
    refused = breaking_by_loading(root, task)
    report = check_dataset(root, [task], fast=True, released=roots.RELEASED)
    assert report.breaks_training == (refused or kind in later), report.text()


def test_findings_are_counted_and_few_are_named(root: Path) -> None:
    frames = roots.read(root)
    for i in range(40):
        frames[i % 3].labels.append(roots.label(f"{i}", "car", 10 + i, 20, 5, 60))
    write_frames(frames, roots.labels_path(root))
    (finding,) = check_dataset(root, ["det"], fast=True, released=roots.RELEASED).findings
    assert isinstance(finding, Finding)
    assert (finding.kind, finding.count, len(finding.examples)) == ("degenerate box", 40, EXAMPLES)


def test_sizes_are_those_that_the_labels_have(root: Path) -> None:
    """An image of another size trains where its labels say that size."""
    roots.resize(roots.image(root), 640, 360)
    kept = [roots.label("0", "car", 1, 2, 300, 300), roots.label("1", "pedestrian", 1, 2, 30, 40)]
    roots.change_frame(root, size=ImageSize(640, 360), labels=kept)
    assert check_dataset(root, ["det"], released=roots.RELEASED).findings == []
    add = roots.read(root)[1].labels
    roots.change_frame(root, labels=[*add, roots.label("2", "car", 500, 2, 900, 40)])
    (finding,) = check_dataset(root, ["det"], released=roots.RELEASED).findings
    assert finding.kind == "box beyond the border"


def test_the_137_images_without_labels_are_known(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dataset, "IMAGES_WITHOUT_LABELS", 2)
    for name in ("train8.jpg", "train9.jpg"):
        roots.copy(roots.image(root), roots.image(root).with_name(name))
    released = {"det": roots.RELEASED["det"] | {"train": SplitCounts(5, 3)}}
    (finding,) = check_dataset(root, ["det"], fast=True, released=released).findings
    assert (finding.kind, finding.count) == ("image without labels, as released", 2)
    assert finding.severity is Severity.NOTE


def test_other_counts_than_released(root: Path) -> None:
    """Of a val set of the released size the attributes are compared with the released ones."""
    frames = [msgspec.structs.replace(roots.read(root)[0], name=f"{i}.jpg") for i in range(10_000)]
    write_frames(frames, roots.labels_path(root, "val"))
    report = check_dataset(root, ["det"], fast=True)
    (finding,) = (finding for finding in report.findings if finding.kind == "other counts than released")
    assert finding.examples[0] == "weather clear: 10,000, released 5,346" and finding.count == 18
    assert finding.severity is Severity.WARNING


def test_tasks_that_are_not_there_are_no_finding(root: Path) -> None:
    shutil.rmtree(root / "bdd100k/labels/drivable")
    assert check_dataset(root, fast=True, released=roots.RELEASED).findings == []
    report = check_dataset(root, ["drivable"], fast=True, released=roots.RELEASED)
    assert [finding.kind for finding in report.findings] == ["no labels", "no labels"]


@pytest.mark.parametrize("kind", ["labels", "images"])
@pytest.mark.parametrize("gone", ["train", "val"])
def test_a_split_that_nobody_asked_for_breaks_nothing(root: Path, gone: str, kind: str) -> None:
    """Who has the validation data alone evaluates."""
    place = roots.labels_path(root, gone)
    if kind == "labels":
        place.unlink()
    else:
        place = roots.image(root, f"{gone}1.jpg").parent
        shutil.rmtree(place)
    (finding,) = (
        found for found in check_dataset(root, fast=True, released=roots.RELEASED).findings if "det_" in str(found)
    )
    assert (finding.kind, finding.place) == ("split that cannot be used", str(place))
    assert finding.examples[0] == f"bdd100k_det_{gone}" and finding.severity is Severity.WARNING
    (finding,) = check_dataset(root, ["det"], fast=True, released=roots.RELEASED).findings
    assert (finding.kind, finding.severity) == (f"no {kind}", Severity.BREAKS)


def test_labels_without_any_image_break_training(root: Path) -> None:
    for split in ("train", "val"):
        shutil.rmtree(roots.image(root, f"{split}1.jpg").parent)
    for tasks in ([], ["det"]):
        report = check_dataset(root, tasks, fast=True, released=roots.RELEASED)
        found = [finding for finding in report.findings if "det_" in str(finding)]
        assert [finding.kind for finding in found] == ["no images"] * 2 and report.breaks_training


@pytest.mark.parametrize("content", [bytes(1), bytes(700)])
def test_padding_is_no_damage(root: Path, content: bytes) -> None:
    roots.append(roots.image(root), content)
    assert check_dataset(root, ["det"], workers=1, released=roots.RELEASED).findings == []


def test_what_breaks_nothing_is_reported_in_a_line_a_place(root: Path) -> None:
    for i in range(7):
        roots.copy(roots.image(root), roots.image(root).with_name(f"more{i}.jpg"))
    report = check_dataset(root, ["det"], fast=True, released=roots.RELEASED)
    (line,) = (line for line in report.text().split("\n") if "more0" in line)
    assert line == "    bdd100k/labels/det_20/det_train.json: 7, such as more0.jpg; more1.jpg"
    assert "more2" not in report.text()
    assert ["more4.jpg"] in [finding.examples[-1:] for finding in report.findings]


def test_no_data_at_all(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no folder bdd100k in it; give the folder that holds it"):
        check_dataset(tmp_path)
    with pytest.raises(DataError, match="no task 'detection'; there are det, sem_seg"):
        check_dataset(tmp_path, ["detection"])


@pytest.mark.parametrize("with_wrong_values", [False, True])
def test_masks_whose_values_are_no_training_ids_are_checked_by_the_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, with_wrong_values: bool
) -> None:
    """Values 8 and 9 are the first class, 16 the second, 255 is ignored; no mask has another one."""
    values = {8: 0, 9: 0, 16: 1, IGNORE_LABEL: IGNORE_LABEL}
    task = Task(
        "lane_mark",
        "Lane marking",
        (Category("crosswalk", (255, 0, 0), False), Category("road curb", (0, 255, 0), False)),
        "masks",
        images="images/lanes/{split}",
        labels="labels/lane_mark/masks/{split}",
        counts={split: SplitCounts(2, 2) for split in SPLITS},
        metrics=(),
        plotted=(),
        class_of_value=tuple(values.get(value, NO_SUCH_VALUE) for value in range(256)),
    )
    monkeypatch.setitem(TASKS, "lane_mark", task)
    base = tmp_path / "bdd100k"
    mask = np.full((720, 1280), 255, np.uint8)
    mask[:10], mask[10:12], mask[12] = 8, 9, 16
    for split in ("train", "val"):
        for folder in (task.images, task.labels):
            (base / folder.format(split=split)).mkdir(parents=True)
        for name in (f"{split}_a", f"{split}_b"):
            cv2.imwrite(str(base / task.images.format(split=split) / f"{name}.jpg"), np.zeros((720, 1280, 3), np.uint8))
            cv2.imwrite(str(base / task.labels.format(split=split) / f"{name}.png"), mask)
    if with_wrong_values:
        mask[:1, :2] = 0, 254
        cv2.imwrite(str(base / task.labels.format(split="val") / "val_b.png"), mask)
    statistics = Statistics()
    report = check_dataset(tmp_path, ["lane_mark"], workers=2, statistics=statistics)
    assert [facts.name for facts in report.datasets] == [f"bdd100k_lane_mark_{split}" for split in SPLITS]
    assert statistics.content["lane_mark", "train"].tolist() == [2 * 12 * 1280, 2 * 1280]
    found = [finding for finding in report.findings if finding.kind != "incomplete"]
    if not with_wrong_values:
        assert found == []
        return
    (finding,) = found
    assert (finding.kind, finding.place) == ("bad mask ids", str(base / task.labels.format(split="val")))
    assert finding.examples[0].startswith("val_b.png: the mask holds the ids [0, 254]; 8 to 9, 16 and 255 are allowed.")
