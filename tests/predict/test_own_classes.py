"""Predictions of models with other classes than BDD100K's: names, numbers and colours are those of the data set."""

import json
import logging
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from detectron2.config import CfgNode
from detectron2.data import MetadataCatalog
from detectron2.structures import Boxes, Instances
from support.frames import write_image
from support.prediction_models import detector, saved, write_video
from support.small_models import small_config

import bdd100k_d2
from bdd100k_d2.data.bitmasks import read_bitmask
from bdd100k_d2.errors import ConfigError, DataError
from bdd100k_d2.predict.config_task import task_of
from bdd100k_d2.predict.inputs import find_input
from bdd100k_d2.predict.journal import read_settings
from bdd100k_d2.predict.predictor import Prediction, Predictor
from bdd100k_d2.predict.run import PredictionRun
from bdd100k_d2.predict.submission_run import SubmissionRun
from bdd100k_d2.tasks import TASKS

HEIGHT, WIDTH = 96, 160
THREE = ["car", "traffic light", "traffic sign"]
AddSet = Callable[..., str]


@pytest.fixture
def add_set() -> Iterator[AddSet]:
    """Gives a name metadata, as whoever registers a data set does; its files are not on the disk."""
    names = []

    def add(evaluator_type: str | None = "bdd100k_det", name: str = "mine_val", **fields: object) -> str:
        if name in MetadataCatalog.list():
            MetadataCatalog.remove(name)
        kind = {} if evaluator_type is None else {"evaluator_type": evaluator_type}
        MetadataCatalog.get(name).set(**kind, **fields)
        names.append(name)
        return name

    yield add
    for name in {*names} & {*MetadataCatalog.list()}:
        MetadataCatalog.remove(name)


@pytest.fixture
def image(tmp_path: Path) -> Path:
    write_image(tmp_path / "in" / "a.jpg", HEIGHT, WIDTH)
    return tmp_path / "in" / "a.jpg"


class Gives:
    """A predictor that gives the same output for every frame."""

    amp, batch_size = False, 1

    def __init__(self, output: dict[str, Any]) -> None:
        self.output = output

    def stream(self, frames: Iterable[Any], on_error: object) -> Iterator[Prediction]:
        for frame in frames:
            pixels = frame if isinstance(frame, np.ndarray) else cv2.imread(str(frame))
            yield Prediction(frame, pixels[..., ::-1], self.output)


def objects(*classes: int, masks: bool = False) -> dict[str, Any]:
    """One object of each class, from the left to the right, 20 pixels wide, of falling scores."""
    found = Instances((HEIGHT, WIDTH))
    found.pred_boxes = Boxes(torch.tensor([[30.0 * i, 10, 30 * i + 20, 40] for i in range(len(classes))]))
    found.pred_classes = torch.tensor(classes)
    found.scores = torch.tensor([0.875 - i / 8 for i in range(len(classes))])
    if masks:
        found.pred_masks = torch.zeros(len(classes), HEIGHT, WIDTH, dtype=torch.bool)
        for i in range(len(classes)):
            found.pred_masks[i, 10:40, 30 * i : 30 * i + 20] = True
    return {"instances": found}


def segments(*classes: tuple[bool, int]) -> dict[str, Any]:
    """One segment for each pair of whether it is a thing, and its class, as columns of 20 pixels."""
    found = torch.zeros(HEIGHT, WIDTH, dtype=torch.int32)
    infos = []
    for i, (is_thing, k) in enumerate(classes):
        found[:, 20 * i : 20 * i + 20] = i + 1
        infos.append({"id": i + 1, "isthing": is_thing, "category_id": k})
    return {"panoptic_seg": (found, infos)}


def config(name: str, architecture: str = "GeneralizedRCNN", has_masks: bool = False) -> CfgNode:
    cfg = bdd100k_d2.get_config("sample/faster_rcnn_R_18_FPN")
    cfg.MODEL.META_ARCHITECTURE, cfg.MODEL.MASK_ON, cfg.MODEL.WEIGHTS = architecture, has_masks, ""
    cfg.DATASETS.TEST = (name,)
    return cfg


def run(cfg: CfgNode, source: Path, folder: Path, output: dict[str, Any], **options: object) -> dict[str, Any]:
    PredictionRun(cfg, find_input(str(source), folder), folder, **options).run(Gives(output))
    lists = [folder / name for name in ("det.json", "score.json") if (folder / name).exists()]
    return json.loads(lists[0].read_bytes()) if lists else {}


def test_a_detector_of_three_classes_writes_their_names(add_set: AddSet, image: Path, tmp_path: Path) -> None:
    cfg = config(add_set(thing_classes=THREE))
    (frame,) = run(cfg, image, tmp_path / "out", objects(2, 0, 1))
    assert [(label["category"], label["score"], label["box2d"]["x1"]) for label in frame["labels"]] == [
        ("traffic sign", 0.875, 0),
        ("car", 0.75, 30),
        ("traffic light", 0.625, 60),
    ]
    (frame,) = run(cfg, image, tmp_path / "cars", objects(2, 0, 1), classes=("car",))
    assert [label["category"] for label in frame["labels"]] == ["car"]
    with pytest.raises(ConfigError, match="--classes: det has no class 'bus'; there are car, traffic light, traffic s"):
        run(cfg, image, tmp_path / "buses", objects(), classes=("bus",))


def test_a_real_model_of_three_classes(add_set: AddSet, image: Path, tmp_path: Path) -> None:
    cfg = detector(tmp_path / "weights")
    cfg.MODEL.ROI_HEADS.NUM_CLASSES = 3
    cfg.DATASETS.TEST = (add_set(thing_classes=THREE),)
    predictor = Predictor(saved(cfg, tmp_path / "weights"))
    assert predictor.metadata.thing_classes == THREE
    PredictionRun(cfg, find_input(str(image), tmp_path / "out"), tmp_path / "out").run(predictor)
    (frame,) = json.loads((tmp_path / "out/det.json").read_bytes())
    assert {label["category"] for label in frame["labels"]} <= {*THREE} and len(frame["labels"]) == 12


def test_colours_are_those_of_the_data_set_or_of_bdd100ks_class_of_the_name(
    add_set: AddSet, image: Path, tmp_path: Path
) -> None:
    lime, car = (100, 250, 20), (30, 170, 255)
    # The ten colours are left over from the metadata that was copied.
    for colors, expected in ((None, car), ([(1, 2, 3)] * 10, car), ([lime, (9, 9, 9), (250, 0, 0)], lime)):
        fields = {} if colors is None else {"thing_colors": colors}
        folder = tmp_path / str(expected[0] + (colors is None))
        run(config(add_set(thing_classes=THREE, **fields)), image, folder, objects(0), overlay=True)
        drawn = cv2.imread(str(folder / "overlays/a.jpg"))[..., ::-1].astype(int)
        # Of a line of two pixels a JPEG keeps the hue; under the image the swatch is plain.
        assert abs(drawn[HEIGHT + 12, 8 + 6] - expected).max() < 25


def test_masks_of_two_own_classes(add_set: AddSet, image: Path, tmp_path: Path) -> None:
    cfg = config(add_set("bdd100k_sem_seg", stuff_classes=["other", "rail"]), "SemanticFPN")
    logits = torch.zeros(2, HEIGHT, WIDTH)
    logits[1, :, 40:] = 1
    run(cfg, image, tmp_path / "out", {"sem_seg": logits})
    mask = cv2.imread(str(tmp_path / "out/masks/a.png"), cv2.IMREAD_UNCHANGED)
    assert (mask[:, :40] == 0).all() and (mask[:, 40:] == 1).all()
    run(cfg, image, tmp_path / "rail", {"sem_seg": logits}, classes=("rail",))
    mask = cv2.imread(str(tmp_path / "rail/masks/a.png"), cv2.IMREAD_UNCHANGED)
    assert (mask[:, :40] == 255).all() and (mask[:, 40:] == 1).all()
    with pytest.raises(
        ConfigError, match="the model gives 19 classes, but DATASETS.TEST .* of 2 classes: other, rail;"
    ):
        run(cfg, image, tmp_path / "wrong", {"sem_seg": torch.zeros(19, HEIGHT, WIDTH)})
    assert not (tmp_path / "wrong/masks").exists()


def test_bitmasks_of_own_classes(add_set: AddSet, image: Path, tmp_path: Path) -> None:
    cfg = config(add_set("bdd100k_ins_seg", thing_classes=["tram", "deer", "cone"]), has_masks=True)
    (frame,) = run(cfg, image, tmp_path / "out", objects(2, 0, masks=True))
    bitmask = read_bitmask(tmp_path / "out/bitmasks/a.png")
    assert (bitmask.ids.tolist(), bitmask.categories.tolist()) == ([1, 2], [3, 1])
    assert [label["score"] for label in frame["labels"]] == [0.875, 0.75]


def test_panoptic_bitmasks_of_own_classes(add_set: AddSet, image: Path, tmp_path: Path) -> None:
    fields = {"thing_classes": ["tram", "deer"], "stuff_classes": ["things", "rail", "meadow"]}
    cfg = config(add_set("bdd100k_pan_seg", **fields), "PanopticFPN")
    assert task_of(cfg).names == ("rail", "meadow", "tram", "deer")
    output = segments((True, 1), (False, 2), (True, 0), (False, 1))
    run(cfg, image, tmp_path / "out", output)
    bitmask = read_bitmask(tmp_path / "out/bitmasks/a.png")
    categories = dict(zip(bitmask.ids.tolist(), bitmask.categories.tolist(), strict=True))
    assert categories == {3: 4, 2: 2, 4: 3, 1: 1}
    run(cfg, image, tmp_path / "deer", output, classes=("deer",))
    assert read_bitmask(tmp_path / "deer/bitmasks/a.png").categories.tolist() == [4]
    with pytest.raises(ConfigError, match="the model gives class 2, but .* of 4 classes: rail, meadow, tram, deer"):
        run(cfg, image, tmp_path / "wrong", segments((True, 2)))


def test_a_class_beyond_the_names_ends_the_run_at_the_first_frame(add_set: AddSet, image: Path, tmp_path: Path) -> None:
    cfg, out = config(add_set(thing_classes=THREE)), tmp_path / "out"
    run(cfg, image, out, objects(1))
    before = (out / "det.json").read_bytes()
    message = r"gives class 79 \(counted from 0\), but DATASETS.TEST begins with a set of 3 classes: car, traffic light"
    with pytest.raises(ConfigError, match=message):
        run(cfg, image, out, objects(79), overwrite=True)
    assert (out / "det.json").read_bytes() == before


def test_a_run_goes_on_with_its_classes_alone(
    add_set: AddSet, image: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    out, cfg = tmp_path / "out", config(add_set(thing_classes=THREE))
    with caplog.at_level(logging.INFO):
        run(cfg, image, out, objects(1))
    assert "The classes are car, traffic light, traffic sign, not BDD100K's of det: no submission." in caplog.text
    head = json.loads((out / "frames.jsonl").read_bytes().splitlines()[0])
    assert head["task"] == "det" and [name for name, _, _ in head["categories"]] == THREE
    before = (out / "det.json").read_bytes()
    add_set(thing_classes=["bus", "car"])
    refusal = r"frames.jsonl: the run had the classes car, traffic light, traffic sign, now they are bus, car; go on"
    with pytest.raises(ConfigError, match=refusal):
        run(cfg, image, out, objects(1), resume=True)
    with pytest.raises(ConfigError, match=r"the run had the classes car, .*, now they are pedestrian, rider, "):
        run(config("bdd100k_det_val"), image, out, objects(1), resume=True)
    add_set(thing_classes=THREE, thing_colors=[(1, 2, 3), (4, 5, 6), (7, 8, 9)])
    with pytest.raises(ConfigError, match="the run had other colours of its classes; go on with the same"):
        run(cfg, image, out, objects(1), resume=True)
    add_set(thing_classes=THREE)
    run(cfg, image, out, objects(1), resume=True)
    assert (out / "det.json").read_bytes() == before


def test_what_was_predicted_is_drawn_again_by_the_record_alone(add_set: AddSet, tmp_path: Path) -> None:
    video, out = write_video(tmp_path / "drive.mp4", 3), tmp_path / "out"
    run(config(add_set(thing_classes=THREE)), video, out, objects(1))
    task = read_settings(out / "frames.jsonl").task_with_classes
    assert task.names == (*THREE,) and task.colors == ((30, 170, 255), (255, 215, 40), (90, 225, 70))
    assert not task.is_official and task.result_list == "det.json"


def test_the_head_of_official_classes_is_as_in_every_release(image: Path, tmp_path: Path) -> None:
    cfg = config("bdd100k_det_val")
    run(cfg, image, tmp_path / "out", objects(2))
    assert "categories" not in json.loads((tmp_path / "out/frames.jsonl").read_bytes().splitlines()[0])
    assert read_settings(tmp_path / "out/frames.jsonl").task_with_classes is TASKS["det"]


@pytest.mark.parametrize(
    "head", [b'[["car",[0,0,256],true]]', b'[["car",[0,-1,0],true]]', b'[["car",[0,0],true]]', b"3"]
)
def test_a_record_with_classes_that_are_none_is_refused(head: bytes, image: Path, tmp_path: Path) -> None:
    run(config("bdd100k_det_val"), image, tmp_path / "out", objects(2))
    path = tmp_path / "out/frames.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"amp":false', b'"amp":false,"categories":' + head, 1))
    with pytest.raises(DataError, match="frames.jsonl: not the record of a run"):
        read_settings(path)


def test_a_coco_detector_writes_cocos_names(image: Path, tmp_path: Path) -> None:
    (frame,) = run(config("coco_2017_val"), image, tmp_path / "out", objects(79, 2))
    assert [label["category"] for label in frame["labels"]] == ["toothbrush", "car"]
    (frame,) = run(config("coco_2017_val", has_masks=True), image, tmp_path / "masks", objects(79, 2, masks=True))
    assert read_bitmask(tmp_path / "masks/bitmasks/a.png").categories.tolist() == [80, 3]


def test_a_coco_panoptic_model_has_things_above_all_stuff(image: Path, tmp_path: Path) -> None:
    cfg = config("coco_2017_val_panoptic_separated", "PanopticFPN")
    run(cfg, image, tmp_path / "out", segments((False, 53), (True, 0), (False, 1)), overlay=True)
    bitmask = read_bitmask(tmp_path / "out/bitmasks/a.png")
    categories = dict(zip(bitmask.ids.tolist(), bitmask.categories.tolist(), strict=True))
    assert categories == {53: 53, 54: 54, 1: 1}
    names = read_settings(tmp_path / "out/frames.jsonl").task_with_classes.names
    assert (names[0], names[52], names[53]) == ("banner", "rug", "person") and len(names) == 53 + 80


def test_classes_of_bdd100ks_names_are_its_own() -> None:
    # Cityscapes has the classes of semantic segmentation.
    assert task_of(config("cityscapes_fine_sem_seg_val", "SemanticSegmentor")) is TASKS["sem_seg"]


def test_the_model_tells_the_task_of_a_set_that_tells_none(add_set: AddSet) -> None:
    name = add_set(None, thing_classes=["tram"], stuff_classes=["things", "rail"])
    found = [
        task_of(config(name, *model))
        for model in (
            ("GeneralizedRCNN",),
            ("GeneralizedRCNN", True),
            ("RetinaNet",),
            ("BDD100KRetinaNet",),
            ("ATSS",),
            ("SemanticFPN",),
            ("PanopticFPN", True),
        )
    ]
    assert [(task.name, task.names) for task in found] == [
        ("det", ("tram",)),
        ("ins_seg", ("tram",)),
        ("det", ("tram",)),
        ("det", ("tram",)),
        ("det", ("tram",)),
        ("sem_seg", ("things", "rail")),
        ("pan_seg", ("rail", "tram")),
    ]


def test_what_has_no_task_or_no_classes_is_refused(add_set: AddSet) -> None:
    def refused(cfg: CfgNode, message: str) -> None:
        with pytest.raises(ConfigError, match=message):
            task_of(cfg)

    empty = config("bdd100k_det_val")
    empty.DATASETS.TEST = ()
    refused(empty, "DATASETS.TEST is empty and tells no task; name a data set such as bdd100k_det_val")
    refused(
        config(add_set(None, thing_classes=["tram"]), "MyOwnNet"),
        "begins with 'mine_val', which tells no task, and neither does MODEL.META_ARCHITECTURE MyOwnNet; set the evalu",
    )
    nameless = "begins with '{}', whose metadata has no {}, so that the results of {} would have no names; describe the"
    refused(config("never_registered"), nameless.format("never_registered", "thing_classes", "det"))
    MetadataCatalog.remove("never_registered")
    refused(config(add_set("bdd100k_ins_seg")), nameless.format("mine_val", "thing_classes", "ins_seg"))
    refused(config(add_set(), "SemanticFPN"), nameless.format("mine_val", "thing_classes", "det"))
    refused(
        config(add_set(None, thing_classes=["tram"]), "PanopticFPN"),
        nameless.format("mine_val", "stuff_classes", "pan_seg"),
    )
    refused(config(add_set(thing_classes=["car", "bus", "car"])), "'mine_val' of DATASETS.TEST: car stands twice among")
    many = [f"class {i}" for i in range(256)]
    assert task_of(config(add_set(thing_classes=many))).num_classes == 256
    refused(
        config(add_set("bdd100k_sem_seg", stuff_classes=many)),
        "'mine_val' of DATASETS.TEST: 256 classes; the masks of sem_seg hold 255 at most, give fewer",
    )


def test_the_server_takes_no_own_classes(add_set: AddSet, tmp_path: Path) -> None:
    cfg = config(add_set(thing_classes=THREE))
    message = (
        "the server takes BDD100K's classes of det, all of them and no others, but the first set of DATASETS.TEST has "
        "car, traffic light, traffic sign; tools/predict.py predicts those."
    )
    with pytest.raises(ConfigError, match=message):
        SubmissionRun(cfg, "det", tmp_path / "out.json", root=tmp_path)
    assert not [*tmp_path.iterdir()]


def test_a_slice_has_the_classes_of_its_base(tiny_root: Path) -> None:
    cfg = small_config(tiny_root, "DATASETS.TEST", ("bdd100k_sem_seg_val_night",))
    assert task_of(cfg) is TASKS["sem_seg"]
