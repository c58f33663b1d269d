"""Model and data sets of other classes are refused before anything is computed."""

import json
import logging
import runpy
from collections.abc import Iterator
from pathlib import Path

import pytest
from detectron2.config import CfgNode
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.data.datasets import register_coco_instances
from detectron2.engine import default_argument_parser
from detectron2.modeling import META_ARCH_REGISTRY, GeneralizedRCNN

import bdd100k_d2
from bdd100k_d2.data.slices import register_slice
from bdd100k_d2.engine import launch
from bdd100k_d2.engine.class_agreement import check_classes, check_evaluators
from bdd100k_d2.errors import ConfigError, DataError
from bdd100k_d2.tasks import TASKS

DET = TASKS["det"].names


_STUFF = (
    *("MODEL.SEM_SEG_HEAD.NUM_CLASSES", 31),
    *("DATASETS.TRAIN", ("bdd100k_pan_seg_train",)),
    *("DATASETS.TEST", ("bdd100k_pan_seg_val",)),
)


@pytest.fixture(autouse=True)
def registered(tiny_root: Path) -> Iterator[None]:
    bdd100k_d2.register_all(tiny_root)
    before = set(DatasetCatalog.list()), set(MetadataCatalog.list())
    yield
    for catalog, names in zip((DatasetCatalog, MetadataCatalog), before, strict=True):
        for name in set(catalog.list()) - names:
            catalog.remove(name)


def register(name: str, classes: list[str], kind: str = "bdd100k_det", category_id: int = 0) -> None:
    one = {"bbox": [0, 0, 5, 5], "bbox_mode": 1, "category_id": category_id}
    DatasetCatalog.register(name, lambda: [{"file_name": "a.jpg", "image_id": "a.jpg", "annotations": [one]}])
    MetadataCatalog.get(name).set(evaluator_type=kind, thing_classes=classes)


def config(name: str, *keys: object) -> CfgNode:
    if name == "pan_seg":
        # None is shipped.
        keys = ("MODEL.META_ARCHITECTURE", "PanopticFPN", "MODEL.ROI_HEADS.NUM_CLASSES", 10, *_STUFF, *keys)
        name = "ins_seg/mask_rcnn_R_50_FPN_1x"
    cfg = bdd100k_d2.get_config(name)
    cfg.merge_from_list(["MODEL.DEVICE", "cpu", *keys])
    return cfg


@pytest.mark.parametrize("number", [1, 3, 9, 20, 80])
def test_another_number_of_classes_is_refused(number: int) -> None:
    cfg = config("det/faster_rcnn_R_50_FPN_1x", "MODEL.ROI_HEADS.NUM_CLASSES", number)
    message = (
        rf"^MODEL\.ROI_HEADS\.NUM_CLASSES is {number}, but bdd100k_det_train has 10 classes \({', '.join(DET)}\)\. "
        r"Set MODEL\.ROI_HEADS\.NUM_CLASSES to 10, or name data sets of the model's classes\.$"
    )
    # Before the model is built: its first use of the config would be that.
    with pytest.raises(ConfigError, match=message):
        bdd100k_d2.Trainer(cfg)
    with pytest.raises(ConfigError, match=message.replace("det_train", "det_val")):
        bdd100k_d2.Trainer.test(cfg, None)


@pytest.mark.parametrize(
    ("name", "key", "number", "listed"),
    [
        ("det/retinanet_R_50_FPN_1x", "MODEL.RETINANET.NUM_CLASSES", 10, "pedestrian"),
        ("det/atss_R_50_FPN_1x", "MODEL.RETINANET.NUM_CLASSES", 10, "pedestrian"),
        ("det/cascade_rcnn_R_50_FPN_1x", "MODEL.ROI_HEADS.NUM_CLASSES", 10, "pedestrian"),
        ("ins_seg/mask_rcnn_R_50_FPN_1x", "MODEL.ROI_HEADS.NUM_CLASSES", 8, "pedestrian"),
        ("sem_seg/semantic_fpn_R_50_40k", "MODEL.SEM_SEG_HEAD.NUM_CLASSES", 19, "road"),
        ("drivable/pointrend_R_50_40k", "MODEL.SEM_SEG_HEAD.NUM_CLASSES", 3, "direct"),
        ("drivable/semantic_fpn_R_50_40k", "MODEL.SEM_SEG_HEAD.NUM_CLASSES", 3, "direct"),
        ("pan_seg", "MODEL.ROI_HEADS.NUM_CLASSES", 10, "person"),
        ("pan_seg", "MODEL.SEM_SEG_HEAD.NUM_CLASSES", 31, "things"),
    ],
)
def test_each_model_has_its_key(name: str, key: str, number: int, listed: str) -> None:
    sets = config(name).DATASETS
    check_classes(config(name), sets.TRAIN, sets.TEST)
    with pytest.raises(
        ConfigError, match=rf"^{key} is 54, but .* has {number} classes \({listed},.*Set {key} to {number}"
    ):
        check_classes(config(name, key, 54), sets.TRAIN, sets.TEST)


def test_the_names_of_a_models_classes_are_those_of_its_data() -> None:
    pan_seg = TASKS["pan_seg"].names
    for name, expected in (
        ("det/retinanet_R_50_FPN_1x", {"thing_classes": DET}),
        ("drivable/semantic_fpn_R_50_40k", {"stuff_classes": TASKS["drivable"].names}),
        ("pan_seg", {"thing_classes": pan_seg[30:], "stuff_classes": ("things", *pan_seg[:30])}),
    ):
        cfg = config(name)
        assert check_classes(cfg, cfg.DATASETS.TRAIN, cfg.DATASETS.TEST) == expected
        assert check_classes(cfg, (), ()) == {}
    # Of panoptic segmentation a detector has the things alone.
    cfg = config("det/faster_rcnn_R_50_FPN_1x", "MODEL.ROI_HEADS.NUM_CLASSES", 10)
    assert check_classes(cfg, ("bdd100k_pan_seg_train",), ()) == {"thing_classes": pan_seg[30:]}
    assert check_classes(config("det/faster_rcnn_R_50_FPN_1x", "MODEL.META_ARCHITECTURE", "Mine"), (), ("a",)) == {}


def test_a_model_that_inherits_is_compared_as_its_parent(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a class too few the objects of the last one would be background."""
    monkeypatch.setitem(META_ARCH_REGISTRY._obj_map, "MyRCNN", type("MyRCNN", (GeneralizedRCNN,), {}))
    keys = "MODEL.META_ARCHITECTURE", "MyRCNN", "MODEL.ROI_HEADS.NUM_CLASSES"
    cfg = config("det/faster_rcnn_R_50_FPN_1x", *keys, 10)
    assert check_classes(cfg, cfg.DATASETS.TRAIN, cfg.DATASETS.TEST) == {"thing_classes": DET}
    with pytest.raises(ConfigError, match=r"^MODEL\.ROI_HEADS\.NUM_CLASSES is 9, but bdd100k_det_train has 10 classes"):
        bdd100k_d2.Trainer(config("det/faster_rcnn_R_50_FPN_1x", *keys, 9))
    cfg = config("ins_seg/mask_rcnn_R_50_FPN_1x", *keys, 8)
    assert check_classes(cfg, cfg.DATASETS.TRAIN, cfg.DATASETS.TEST) == {"thing_classes": TASKS["ins_seg"].names}


def test_metadata_without_a_data_set_counts_too() -> None:
    """A script that predicts gives a name nothing else."""
    MetadataCatalog.get("names_only").set(thing_classes=["a", "b"])
    with pytest.raises(ConfigError, match=r"NUM_CLASSES is 10, but names_only has 2 classes \(a, b\)\."):
        check_classes(config("det/faster_rcnn_R_50_FPN_1x"), (), ("names_only",))


def test_of_panoptic_stuff_the_first_is_explained() -> None:
    cfg = config("pan_seg", "MODEL.SEM_SEG_HEAD.NUM_CLASSES", 30)
    with pytest.raises(
        ConfigError, match=r"sky\), of which|and 11 more\), of which the first stands for all things\. Set"
    ):
        check_classes(cfg, cfg.DATASETS.TRAIN, ())


def test_data_sets_of_a_run_have_the_same_classes() -> None:
    register("three", ["car", "bus", "truck"])
    register("renamed", [*DET[:2], "auto", *DET[3:]])
    cfg = config("det/faster_rcnn_R_50_FPN_1x")
    with pytest.raises(
        ConfigError,
        match=r"^bdd100k_det_train and three have other classes: 10 \(pedestrian, .*\) and 3 \(car, bus, truck\)\. Reg",
    ):
        check_classes(cfg, ("bdd100k_det_train", "three"), ())
    message = "^bdd100k_det_val and renamed have other classes: class 2 is 'car' in the first and 'auto' in the second"
    with pytest.raises(ConfigError, match=message):
        check_classes(cfg, (), ("bdd100k_det_val", "renamed"))
    with pytest.raises(ConfigError, match="^bdd100k_det_train and renamed have other"):
        check_classes(cfg, ("bdd100k_det_train",), ("renamed",))
    # A slice has the classes of what it is of; what is not registered is said elsewhere.
    check_classes(cfg, ("bdd100k_det_train", "unknown"), ("bdd100k_det_val_night", "bdd100k_det_val"))
    assert "unknown" not in MetadataCatalog.list()


def test_data_sets_of_another_task_are_refused() -> None:
    for name, trained, evaluated in (
        ("det/faster_rcnn_R_50_FPN_1x", ("bdd100k_sem_seg_train",), ()),
        ("sem_seg/semantic_fpn_R_50_40k", (), ("bdd100k_det_val",)),
        ("pan_seg", ("bdd100k_det_train",), ()),
        # Of boxes alone there are no segments to be scored.
        ("det/faster_rcnn_R_50_FPN_1x", (), ("bdd100k_pan_seg_val",)),
    ):
        with pytest.raises(
            ConfigError, match="is a data set of .*, which a model of MODEL.META_ARCHITECTURE .* not for"
        ):
            check_classes(config(name), trained, evaluated)
    # A model that is not known is left alone.
    cfg = config("det/faster_rcnn_R_50_FPN_1x", "MODEL.META_ARCHITECTURE", "Mine")
    check_classes(cfg, ("bdd100k_sem_seg_train",), ("bdd100k_det_val",))


def test_a_coco_file_is_read_for_its_classes(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(
        '{"images": [{"id": 1, "file_name": "a.jpg", "height": 5, "width": 5}], "categories": [{"id": 4, "name": "x"}],'
        '"annotations": [{"id": 1, "image_id": 1, "category_id": 4, "bbox": [0, 0, 3, 3], "iscrowd": 0, "area": 9}]}'
    )
    register_coco_instances("theirs", {}, str(tmp_path / "a.json"), str(tmp_path))
    cfg = config("det/faster_rcnn_R_50_FPN_1x")
    with pytest.raises(ConfigError, match=r"NUM_CLASSES is 10, but theirs has 1 classes \(x\)\. Set"):
        check_classes(cfg, ("theirs",), ())
    # So is that of a slice, also where nobody has read it before.
    for catalog in (DatasetCatalog, MetadataCatalog):
        catalog.remove("theirs")
    register_coco_instances("theirs", {}, str(tmp_path / "a.json"), str(tmp_path))
    register_slice("some", "theirs", first=1)
    with pytest.raises(ConfigError, match=r"NUM_CLASSES is 10, but some has 1 classes \(x\)\. Set"):
        check_classes(cfg, ("some",), ())


def test_what_cannot_be_scored_is_refused_at_the_start(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    register("balloons", ["balloon"], "coco")
    check_evaluators(("bdd100k_det_val", "balloons"))
    assert [record.message for record in caplog.records if "scored by" in record.message] == [
        "balloons is no data set of BDD100K's tasks; it is scored by Detectron2's COCOEvaluator."
    ]
    register("odd", ["balloon"], "mine")
    cfg = config("det/faster_rcnn_R_50_FPN_1x", "MODEL.ROI_HEADS.NUM_CLASSES", 1)
    cfg.DATASETS.TRAIN, cfg.DATASETS.TEST = ("balloons",), ("odd",)
    with pytest.raises(ConfigError, match="no evaluator for odd: of type 'mine'"):
        bdd100k_d2.Trainer(cfg)
    # Its category is no class: the first evaluation would say so.
    register("unnumbered", ["x"], category_id=4)
    with pytest.raises(DataError, match=r"unnumbered: frame a.jpg: annotations\[0\]: category_id 4 is no class"):
        check_evaluators(("unnumbered",))


def test_instances_are_not_scored_without_masks() -> None:
    for name, keys in (
        ("ins_seg/mask_rcnn_R_50_FPN_1x", ("MODEL.MASK_ON", False)),
        ("det/retinanet_R_50_FPN_1x", ("MODEL.RETINANET.NUM_CLASSES", 8)),
    ):
        cfg = config(name, *keys)
        with pytest.raises(ConfigError, match=r"^bdd100k_ins_seg_val is .* gives no masks to be scored; choose"):
            check_classes(cfg, (), ("bdd100k_ins_seg_val",))
        # Boxes may be trained on it.
        check_classes(cfg, ("bdd100k_ins_seg_train",), ())


def test_masks_are_not_trained_on_boxes(tmp_path: Path) -> None:
    cfg = config("ins_seg/mask_rcnn_R_50_FPN_1x", "MODEL.ROI_HEADS.NUM_CLASSES", 10)
    register_slice("few", "bdd100k_det_train", first=1)
    for name in ("bdd100k_det_train", "few"):
        with pytest.raises(
            ConfigError, match=f"^{name}: its labels are boxes without masks, .*on a data set with masks.$"
        ):
            check_classes(cfg, (name,), ())
    # Its boxes can be scored.
    check_classes(cfg, (), ("bdd100k_det_val",))
    check_classes(config("det/faster_rcnn_R_50_FPN_1x"), ("bdd100k_det_train",), ())
    frames = [{"name": "a.jpg", "labels": []}]
    (tmp_path / "a.json").write_text(json.dumps(frames))
    bdd100k_d2.register_dataset("mine", tmp_path / "a.json", tmp_path, classes=[*DET])
    with pytest.raises(ConfigError, match="^mine: its .* or register it with task: ins_seg if its labels have masks.$"):
        check_classes(cfg, ("mine",), ())
    # Records of others may have masks beside the boxes.
    register("theirs", [*DET])
    check_classes(cfg, ("theirs",), ())


def test_eval_only_looks_for_evaluators_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before weights are read, and frames of other test sets are predicted."""
    register("odd", [*DET], "mine")
    main = runpy.run_path(str(Path(__file__).parents[2] / "tools/train_net.py"))["main"]
    keys = ("DATASETS.TEST", ("bdd100k_det_val", "odd"), "MODEL.WEIGHTS", "/none.pkl")
    monkeypatch.setattr(launch, "setup", lambda args: config("det/faster_rcnn_R_50_FPN_1x", *keys))
    with pytest.raises(ConfigError, match="no evaluator for odd: of type 'mine'"):
        main(default_argument_parser().parse_args(["--eval-only"]))
