"""Records that a model cannot be trained on are refused by name, id and key, before the first iteration."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from detectron2.config import CfgNode
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.modeling import META_ARCH_REGISTRY, GeneralizedRCNN, PanopticFPN, RetinaNet, SemanticSegmentor

import bdd100k_d2
from bdd100k_d2.data.loader import build_train_loader
from bdd100k_d2.data.training_records import heads_of, training_records
from bdd100k_d2.errors import ConfigError, DataError

MODELS = [
    ("det/faster_rcnn_R_50_FPN_1x", "MODEL.ROI_HEADS.NUM_CLASSES"),
    ("det/cascade_rcnn_R_50_FPN_1x", "MODEL.ROI_HEADS.NUM_CLASSES"),
    ("det/retinanet_R_50_FPN_1x", "MODEL.RETINANET.NUM_CLASSES"),
]
MASK_RCNN = "ins_seg/mask_rcnn_R_50_FPN_1x"
Add = Callable[..., str]


@pytest.fixture
def add() -> Iterator[Add]:
    names = []

    def register(name: str, *annotations: list[dict], **metadata: object) -> str:
        """A data set with an image for each list of annotations."""
        box = {"bbox": [0, 0, 5, 5], "bbox_mode": 1, "iscrowd": 0, "category_id": 0}
        records = [
            {
                "file_name": f"{name}{i}.jpg",
                "image_id": i,
                "height": 9,
                "width": 9,
                "annotations": [box | x for x in one],
            }
            for i, one in enumerate(annotations)
        ]
        DatasetCatalog.register(name, lambda: records)
        MetadataCatalog.get(name).set(**metadata)
        names.append(name)
        return name

    yield register
    for name in names:
        DatasetCatalog.remove(name)
        MetadataCatalog.remove(name)


def ids(*numbers: object) -> list[dict]:
    return [{"category_id": number} for number in numbers]


def config(model: str, *names: str, **keys: object) -> CfgNode:
    cfg = bdd100k_d2.get_config(model)
    cfg.MODEL.DEVICE, cfg.DATASETS.TRAIN, cfg.DATASETS.TEST = "cpu", names, ()
    cfg.merge_from_list([part for key, value in keys.items() for part in (key.replace("__", "."), value)])
    return cfg


@pytest.mark.parametrize(("model", "key"), MODELS)
@pytest.mark.parametrize("wrong", [3, 4, 10, -1, np.int64(3), None, 1.5, "a", [0]])
def test_an_id_that_is_no_class_of_the_model(add: Add, model: str, key: str, wrong: object) -> None:
    names = add("sound", ids(0, 2)), add("mine", ids(0, 1), ids(2, wrong, 1))
    cfg = config(model, *names)
    cfg.merge_from_list([key, 3])
    message = (
        rf"^mine: mine1\.jpg: an annotation has the category_id {re.escape(repr(wrong))}, but {key} is 3, which "
        r"means the ids 0 to 2\. Number the classes of the data set from 0, and set that to how many they are\.$"
    )
    with pytest.raises(ConfigError, match=message):
        build_train_loader(cfg, 0)


def test_one_class_too_few_does_not_train(add: Add, tmp_path: Path) -> None:
    cfg = config(MODELS[0][0], add("mine", ids(0, 9)), MODEL__ROI_HEADS__NUM_CLASSES=9, OUTPUT_DIR=str(tmp_path))
    with pytest.raises(
        ConfigError, match=r"^mine: mine0\.jpg: .* category_id 9, but MODEL\.ROI_HEADS\.NUM_CLASSES is 9"
    ):
        bdd100k_d2.Trainer(cfg)


def test_sound_ids_and_those_of_crowds_are_taken(add: Add) -> None:
    crowd = [{"category_id": 77, "iscrowd": 1}]
    name = add("mine", ids(0, 9), [*ids(np.int64(5)), *crowd], crowd)
    assert len(training_records(config(MODELS[0][0], name))) == 2
    assert len(training_records(config(MODELS[0][0], name, DATALOADER__FILTER_EMPTY_ANNOTATIONS=False))) == 3
    # Heads that are not known have no bound, and a model of stuff alone has none for things.
    other = add("others", ids(3, 80))
    for arch, kinds in (("Mine", set()), ("SemanticFPN", {"stuff_classes"})):
        cfg = config(MODELS[0][0], other, MODEL__META_ARCHITECTURE=arch)
        assert len(training_records(cfg)) == 1 and heads_of(cfg).keys() == kinds


def test_a_model_has_the_heads_and_masks_of_what_it_inherits_from(
    add: Add, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    mine = {"MyRCNN": GeneralizedRCNN, "MyPanoptic": PanopticFPN, "MyFPN": SemanticSegmentor, "MyNet": RetinaNet}
    for arch, kind in mine.items():
        monkeypatch.setitem(META_ARCH_REGISTRY._obj_map, arch, type(arch, (kind,), {}))
    rcnn, segmenter = "MODEL.ROI_HEADS.NUM_CLASSES", "MODEL.SEM_SEG_HEAD.NUM_CLASSES"
    heads = {
        "MyRCNN": {"thing_classes": rcnn},
        "MyPanoptic": {"thing_classes": rcnn, "stuff_classes": segmenter},
        "MyFPN": {"stuff_classes": segmenter},
        "MyNet": {"thing_classes": "MODEL.RETINANET.NUM_CLASSES"},
    }
    boxes = add("mine", ids(0, 9))
    for arch in mine:
        cfg = config(MODELS[0][0], boxes, MODEL__META_ARCHITECTURE=arch)
        assert heads_of(cfg) == heads[arch]
    cfg = config(MODELS[0][0], boxes, MODEL__META_ARCHITECTURE="MyRCNN", OUTPUT_DIR=str(tmp_path))
    cfg.MODEL.ROI_HEADS.NUM_CLASSES = 9
    with pytest.raises(ConfigError, match=r"^mine: mine0\.jpg: .* category_id 9, but MODEL\.ROI_HEADS"):
        bdd100k_d2.Trainer(cfg)
    with pytest.raises(ConfigError, match=r"^mine: its labels are boxes without masks, but MODEL\.MASK_ON is True"):
        training_records(config(MASK_RCNN, boxes, MODEL__META_ARCHITECTURE="MyRCNN"))


def test_metadata_that_names_fewer_classes_than_there_are(add: Add) -> None:
    name = add("mine", ids(0, 9), thing_classes=["a", "b", "c"])
    message = (
        r"^mine: mine0\.jpg: an annotation has the category_id 9, but the thing_classes of its metadata are 3, which"
    )
    for model in (MODELS[0][0], "sem_seg/semantic_fpn_R_50_40k"):
        with pytest.raises(ConfigError, match=message):
            training_records(config(model, name))


@pytest.mark.parametrize("wrong", ["a", [0], {}, -1, 3, np.array([1])])
def test_ids_that_end_detectron2_s_own_counting(add: Add, wrong: object) -> None:
    cfg = config(MODELS[0][0], add("mine", ids(0, 2), ids(wrong), thing_classes=["a", "b", "c"]))
    cfg.MODEL.ROI_HEADS.NUM_CLASSES = 3
    message = (
        rf"^mine: mine1\.jpg: an annotation has the category_id {re.escape(repr(wrong))}, but MODEL\..* is 3, which"
    )
    with pytest.raises(ConfigError, match=message):
        training_records(cfg)


@pytest.mark.parametrize("filters", [True, False])
def test_an_annotation_without_a_class(add: Add, filters: bool) -> None:
    name = add("mine", ids(0), ids(1), thing_classes=["a", "b", "c"])
    del DatasetCatalog.get(name)[1]["annotations"][0]["category_id"]
    cfg = config(MODELS[0][0], name, DATALOADER__FILTER_EMPTY_ANNOTATIONS=filters)
    with pytest.raises(ConfigError, match=r"^mine: mine1\.jpg: an annotation has the category_id None, but the"):
        training_records(cfg)


@pytest.mark.parametrize("filters", [True, False])
@pytest.mark.parametrize("others", [True, False])
def test_a_record_without_the_annotations_that_others_have(add: Add, filters: bool, others: bool) -> None:
    names = add("sound", ids(0), thing_classes=["a"]), add("mine", ids(0), ids(0), thing_classes=["a"])
    records = DatasetCatalog.get("mine")
    message = (
        r"^mine: mine1\.jpg: the record has no annotations, but others of DATASETS\.TRAIN have; give it an empty "
        r"list of them\.$"
    )
    cfg = config(MODELS[0][0], *names[not others :], DATALOADER__FILTER_EMPTY_ANNOTATIONS=filters)
    records[1]["annotations"] = None
    with pytest.raises(ConfigError, match=message):
        training_records(cfg)
    del records[1]["annotations"]
    with pytest.raises(ConfigError, match=message):
        training_records(cfg)
    records[1]["annotations"] = []
    assert len(training_records(cfg)) == len(names[not others :]) + (not filters)


def test_an_error_of_the_labels_stays_and_they_are_read_once(add: Add) -> None:
    reads = []

    def load() -> None:
        reads.append("mine")
        raise DataError("labels.json: cannot be read; mend it.")

    DatasetCatalog.remove(add("mine"))
    DatasetCatalog.register("mine", load)
    with pytest.raises(DataError, match=r"^labels\.json: cannot be read; mend it\.$"):
        training_records(config(MODELS[0][0], "mine"))
    assert reads == ["mine"]


def test_segments_of_stuff(add: Add) -> None:
    name = add("mine", ids(0))
    (record,) = DatasetCatalog.get(name)
    record["annotations"][0]["segmentation"] = [[0, 0, 5, 0, 5, 5]]
    thing, stuff = {"isthing": True, "category_id": 9}, {"isthing": False, "category_id": 3}
    record["segments_info"] = [thing, stuff]
    cfg = config(MASK_RCNN, name, MODEL__META_ARCHITECTURE="PanopticFPN", MODEL__SEM_SEG_HEAD__NUM_CLASSES=4)
    assert training_records(cfg) == [record]
    cfg.MODEL.SEM_SEG_HEAD.NUM_CLASSES = 3
    with pytest.raises(
        ConfigError,
        match=r"mine0\.jpg: a segment of stuff has the category_id 3, but MODEL\.SEM_SEG_HEAD\.NUM_CLASSES is 3",
    ):
        training_records(cfg)


def test_masks_that_are_not_there(add: Add) -> None:
    mask = {"segmentation": [[0, 0, 5, 0, 5, 5]]}
    boxes, mixed, masks = add("boxes", ids(0, 1)), add("mixed", [mask, {}]), add("masks", [mask], [mask])
    assert len(training_records(config(MASK_RCNN, masks))) == 2
    message = (
        r"^boxes: its labels are boxes without masks, but MODEL\.MASK_ON is True, which trains on masks; set it False, "
        r"or train on a data set with masks\.$"
    )
    for names in ((boxes,), (masks, boxes)):
        with pytest.raises(ConfigError, match=message):
            training_records(config(MASK_RCNN, *names))
    with pytest.raises(
        ConfigError, match=r"^mixed: mixed0\.jpg: an annotation has no segmentation, which MODEL\.MASK_ON"
    ):
        training_records(config(MASK_RCNN, mixed))
    assert len(training_records(config(MASK_RCNN, boxes, MODEL__MASK_ON=False))) == 1
    assert len(training_records(config(MODELS[2][0], boxes, MODEL__MASK_ON=True))) == 1


def test_no_frame_to_train_on(add: Add) -> None:
    crowds, empty, sound = add("crowds", [{"iscrowd": 1}], []), add("empty"), add("sound", ids(0), ids(1))
    with pytest.raises(
        ConfigError, match=r"^crowds: none of the 2 frames has an object to .*\.FILTER_EMPTY_ANNOTATIONS"
    ):
        training_records(config(MODELS[0][0], crowds))
    with pytest.raises(
        ConfigError, match=r"^sound: none of the 2 frames has keypoints, which MODEL\.KEYPOINT_ON trains"
    ):
        training_records(config(MODELS[0][0], sound, MODEL__KEYPOINT_ON=True))
    with pytest.raises(DataError, match=r"^empty: has no record, so there is nothing to train on; check its labels\.$"):
        training_records(config(MODELS[0][0], sound, empty))
    with pytest.raises(ConfigError, match=r"^DATASETS\.TRAIN is empty; name the data sets to train on\.$"):
        training_records(config(MODELS[0][0]))


def test_what_else_detectron2_refuses_stays_as_it_is(add: Add) -> None:
    with pytest.raises(AssertionError):
        training_records(config(MODELS[0][0], add("mine", ids(0)), MODEL__LOAD_PROPOSALS=True))
