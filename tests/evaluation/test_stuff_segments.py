"""All stuff of a class is one segment, whatever the ground truth is kept in: one prediction has one score."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from detectron2.data import DatasetCatalog, MetadataCatalog
from PIL import Image
from pycocotools.mask import decode, encode
from support.frames import write_image

import bdd100k_d2
from bdd100k_d2.data.bitmasks import Bitmask, read_bitmask
from bdd100k_d2.data.convert.convert import convert
from bdd100k_d2.data.convert.source_options import SourceOptions
from bdd100k_d2.data.instances import panoptic_ids
from bdd100k_d2.data.labels import RLE, Frame, ImageSize, Label, LabelAttributes, write_frames
from bdd100k_d2.data.register import register_all
from bdd100k_d2.data.slices import register_slice
from bdd100k_d2.data.stuff import crowds_beside, join_stuff, segments_of
from bdd100k_d2.evaluation.evaluators import BDD100KPanSegEvaluator
from bdd100k_d2.evaluation.evaluators.truth import frame_bitmask
from bdd100k_d2.evaluation.files.evaluate import evaluate_files
from bdd100k_d2.evaluation.toolkit_format import summary
from bdd100k_d2.tasks import TASKS

PAN_SEG = TASKS["pan_seg"]
NAMES = ["building", "road", "car", "truck"]
HEIGHT, WIDTH = 60, 90


pytestmark = pytest.mark.usefixtures("catalogs_as_they_were")


def label_of(number: int, name: str, pixels: np.ndarray, **attributes: bool) -> Label:
    found = encode(np.asfortranarray(pixels.astype(np.uint8)))
    given = LabelAttributes(**attributes) if attributes else None
    return Label(str(number), name, attributes=given, rle=RLE(found["counts"].decode(), tuple(found["size"])))


def frame_of(name: str, seed: int) -> Frame:
    """A frame whose squares of 15 pixels are labels each, of two classes of stuff and two of things."""
    names = np.random.default_rng(seed).choice(NAMES, HEIGHT // 15 * WIDTH // 15)
    labels = []
    for i, each in enumerate(names.tolist()):
        pixels = np.zeros((HEIGHT, WIDTH), bool)
        y, x = divmod(15 * i, WIDTH)
        pixels[15 * y : 15 * y + 14, x : x + 15] = True
        labels.append(label_of(i, each, pixels))
    return Frame(name, labels=labels, size=ImageSize(WIDTH, HEIGHT))


FRAMES = [frame_of(f"{stem}.jpg", seed) for seed, stem in enumerate("ab")]


def output_of(frame: Frame, shift: int = 0) -> dict[str, Any]:
    """A segment of each label, as a model might have them, ``shift`` pixels to the right."""
    ids = panoptic_ids(PAN_SEG)
    segments, infos = np.zeros((HEIGHT, WIDTH), np.int64), []
    for i, label in enumerate(frame.labels or (), 1):
        segments[np.roll(decode({"size": label.rle.size, "counts": label.rle.counts}), shift, 1) > 0] = i
        number = 1 + PAN_SEG.names.index(label.category)
        is_thing = number in ids.things
        infos.append({"id": i, "isthing": is_thing, "category_id": (ids.things if is_thing else ids.stuff)[number]})
    return {"panoptic_seg": (torch.from_numpy(segments), infos)}


def evaluated(dataset: str, folder: Path, shift: int) -> dict[str, float]:
    evaluator = BDD100KPanSegEvaluator(dataset, folder)
    evaluator.reset()
    for frame in FRAMES:
        evaluator.process([{"image_id": frame.name, "file_name": frame.name}], [output_of(frame, shift)])
    return evaluator.evaluate()["panoptic_seg"]


def write_coco(path: Path) -> None:
    document: dict[str, Any] = {"images": [], "annotations": []}
    document["categories"] = [{"id": i, "name": name} for i, name in enumerate(PAN_SEG.names, 1)]
    for number, frame in enumerate(FRAMES, 1):
        document["images"].append({"id": number, "file_name": frame.name, "height": HEIGHT, "width": WIDTH})
        document["annotations"] += [
            {
                "id": 100 * number + i,
                "image_id": number,
                "category_id": 1 + PAN_SEG.names.index(label.category),
                "segmentation": {"size": [HEIGHT, WIDTH], "counts": label.rle.counts},
                "iscrowd": 0,
            }
            for i, label in enumerate(frame.labels)
        ]
    path.write_text(json.dumps(document))


def register_coco_panoptic(folder: Path) -> None:
    """The frames in COCO's panoptic form, with a segment of each label."""
    records = []
    for frame in FRAMES:
        segments, infos = output_of(frame)["panoptic_seg"]
        colors = np.stack([segments.numpy(), np.zeros((HEIGHT, WIDTH)), np.zeros((HEIGHT, WIDTH))], axis=2)
        path = folder / frame.name.replace(".jpg", ".png")
        Image.fromarray(colors.astype(np.uint8)).save(path)
        records.append({"file_name": frame.name, "image_id": frame.name, "height": HEIGHT, "width": WIDTH})
        records[-1] |= {"segments_info": infos, "pan_seg_file_name": str(path)}
    register_copy("coco_panoptic", lambda: records)


def register_copy(name: str, load: Callable[[], list[dict[str, Any]]]) -> None:
    DatasetCatalog.register(name, load)
    fields = MetadataCatalog.get("bdd100k_pan_seg_val").as_dict()
    MetadataCatalog.get(name).set(**{key: value for key, value in fields.items() if key != "name"})


@pytest.mark.parametrize("shift", [0, 3])
def test_one_prediction_has_one_score(tmp_path: Path, shift: int) -> None:
    labels = tmp_path / "bdd100k/labels/pan_seg/rles/pan_seg_val.json"
    labels.parent.mkdir(parents=True)
    write_frames(FRAMES, labels)
    images = tmp_path / "bdd100k/images/10k/val"
    for frame in FRAMES:
        write_image(images / frame.name, HEIGHT, WIDTH)
    register_all(tmp_path)
    register_slice("part", "bdd100k_pan_seg_val", first=2)
    register_copy("copied", lambda: DatasetCatalog.get("bdd100k_pan_seg_val"))
    write_coco(tmp_path / "coco.json")
    bdd100k_d2.register_dataset("own_coco", tmp_path / "coco.json", images, task="pan_seg")
    bdd100k_d2.register_dataset("own_scalabel", labels, images, task="pan_seg")
    register_coco_panoptic(tmp_path)
    names = ("bdd100k_pan_seg_val", "part", "copied", "own_coco", "own_scalabel", "coco_panoptic")
    scores = {name: evaluated(name, tmp_path / "out" / name, shift) for name in names}
    first = scores["bdd100k_pan_seg_val"]
    assert first["N"] == 4 and (first["PQ"] == 100 if shift == 0 else 50 < first["PQ"] < 90)
    assert all(each == first for each in scores.values())
    # Files, by the official rules for bitmasks and for run lengths, which tests/oracles hold.
    options = SourceOptions(task="pan_seg")
    convert(labels, tmp_path / "truth", "masks", options=options)
    convert(tmp_path / "out/copied/bitmasks", tmp_path / "found.json", "scalabel", options=options)
    for truth, found in (("truth", "out/copied/bitmasks"), (str(labels), "found.json")):
        official = evaluate_files("pan_seg", tmp_path / truth, tmp_path / found, workers=1).official
        assert {key: value for key, value in summary(official).items() if key[:3] != "NUM"} == pytest.approx(
            {key: first[key] for key in summary(official) if key[:3] != "NUM"}, rel=1e-12
        )


def test_parts_of_stuff_that_overlap_have_lost_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """What the later lies on is of the same segment, also where it lies on all of the first."""
    first, whole = np.zeros((2, HEIGHT, WIDTH), bool)
    first[:20, :30] = whole[:40] = True
    frame = Frame("a.jpg", labels=[label_of(7, "sky", first, crowd=True), label_of(8, "sky", whole)])
    frame.size = ImageSize(WIDTH, HEIGHT)
    bitmask = frame_bitmask(frame, PAN_SEG, Path("labels.json"))
    assert (bitmask.instances > 0).sum() == whole.sum() and bitmask.ids.tolist() == [2]
    # A crowd is no part of the segment, and takes nothing from it.
    assert (bitmask.categories.tolist(), bitmask.attributes.tolist()) == ([30], [0])
    bitmask = frame_bitmask(Frame("a.jpg", labels=frame.labels[::-1], size=frame.size), PAN_SEG, Path("labels.json"))
    assert (bitmask.ids.tolist(), bitmask.attributes.tolist()) == ([1], [0])
    segments = [
        {"id": i, "isthing": False, "category_id": 30, "iscrowd": 0, "segmentation": vars_of(label)}
        for i, label in enumerate(frame.labels, 1)
    ]
    record = {"file_name": "a.jpg", "image_id": "a.jpg", "height": HEIGHT, "width": WIDTH, "segments_info": segments}
    register_copy("overlapping", lambda: [record])
    evaluator = BDD100KPanSegEvaluator("overlapping")
    evaluator.reset()
    evaluator.process([record], [output_of(Frame("a.jpg", labels=frame.labels[1:]))])
    scores = evaluator.evaluate()["panoptic_seg"]
    assert (scores["PQ"], scores["N"]) == (100, 1)
    assert "overlap smaller ones" not in caplog.text


@pytest.mark.parametrize("overlap", [0, 5])
@pytest.mark.parametrize("crowd_first", [True, False])
@pytest.mark.parametrize("mark", ["crowd", "ignored"])
def test_crowds_of_stuff_are_no_part_of_it_in_any_order(
    tmp_path: Path, mark: str, crowd_first: bool, overlap: int
) -> None:
    """Columns of road are a crowd, many others none, and these are predicted: nothing is missed, nor by a pixel."""
    crowd, plain, car = np.zeros((3, HEIGHT, WIDTH), bool)
    crowd[:, : 2 + overlap] = plain[:, 2:40] = car[:, 50:60] = True
    both = [label_of(7, "road", crowd, **{mark: True}), label_of(8, "road", plain)]
    frame = Frame("a.jpg", labels=[*(both if crowd_first else both[::-1]), label_of(9, "car", car)])
    frame.size = ImageSize(WIDTH, HEIGHT)
    labels = tmp_path / "bdd100k/labels/pan_seg/rles/pan_seg_val.json"
    labels.parent.mkdir(parents=True)
    write_frames([frame], labels)
    images = tmp_path / "bdd100k/images/10k/val"
    write_image(images / "a.jpg", HEIGHT, WIDTH)
    register_all(tmp_path)
    register_copy("copied", lambda: DatasetCatalog.get("bdd100k_pan_seg_val"))
    bdd100k_d2.register_dataset("own_scalabel", labels, images, task="pan_seg")
    infos = DatasetCatalog.get("copied")[0]["segments_info"]
    assert [(one["isthing"], one["iscrowd"]) for one in infos] == [
        (False, int(crowd_first)),
        (False, int(not crowd_first)),
        (True, 0),
    ]
    found = Frame("a.jpg", labels=[label_of(1, "road", plain), label_of(2, "car", car)], size=frame.size)
    expected = {"PQ": 100, "SQ": 100, "RQ": 100, "PQ/STUFF": 100, "PQ/THING": 100}
    for name in ("bdd100k_pan_seg_val", "copied", "own_scalabel"):
        evaluator = BDD100KPanSegEvaluator(name, tmp_path / "out" / name)
        evaluator.reset()
        evaluator.process([{"image_id": "a.jpg", "file_name": "a.jpg"}], [output_of(found)])
        scores = evaluator.evaluate()["panoptic_seg"]
        assert {key: scores[key] for key in expected} == expected and scores["N"] == 2
    options = SourceOptions(task="pan_seg")
    done = convert(labels, tmp_path / "truth", "masks", options=options)
    assert (
        done.dropped["crowds and ignored labels of stuff, of which their frame has others, are left out, as in scores"]
        == 1
    )
    written = read_bitmask(tmp_path / "truth/a.png")
    assert (written.instances > 0).sum() == plain.sum() + car.sum() and written.attributes.tolist() == [0, 0]
    write_frames([found], tmp_path / "found.json")
    for truth, predicted in (("truth", "out/copied/bitmasks"), (str(labels), "found.json")):
        official = summary(evaluate_files("pan_seg", tmp_path / truth, tmp_path / predicted, workers=1).official)
        assert {key: official[key] for key in expected} == expected


def vars_of(label: Label) -> dict[str, Any]:
    return {"size": [*label.rle.size], "counts": label.rle.counts}


def test_things_are_segments_of_their_own() -> None:
    sky, road, car = map(PAN_SEG.names.index, ("sky", "road", "car"))
    classes, plain = [sky, car, road, sky, car, -1, -1, road], [False] * 8
    assert segments_of(classes, plain, PAN_SEG) == [[0, 3], [1], [2, 7], [4], [5], [6]]
    crowds = [True, True, False, False, False, False, False, True]
    assert segments_of(classes, crowds, PAN_SEG) == [[0], [1], [2], [3], [4], [5], [6], [7]]
    assert crowds_beside(classes, crowds, PAN_SEG) == {0, 7} and crowds_beside(classes, plain, PAN_SEG) == set()
    assert segments_of([0, 0, 1], plain[:3], TASKS["ins_seg"]) == [[0], [1], [2]]
    assert segments_of([], [], PAN_SEG) == []
    columns = np.array([30, 31, 40]), np.array([sky + 1, car + 1, sky + 1]), np.array([4, 2, 8], np.uint8)
    joined = join_stuff(Bitmask(np.array([[0, 1, 2, 3]]), *columns), PAN_SEG)
    assert joined.instances.tolist() == [[0, 1, 2, 1]]
    assert (joined.ids.tolist(), joined.attributes.tolist()) == ([30, 31], [4, 2])
    empty = join_stuff(Bitmask(np.zeros((2, 2), np.int32), *(column[:0] for column in columns)), PAN_SEG)
    assert (empty.instances.tolist(), len(empty.ids)) == ([[0, 0], [0, 0]], 0)
