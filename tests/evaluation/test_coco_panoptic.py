"""Panoptic data sets in COCO's form: written, registered, read and scored by Detectron2."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.data import detection_utils as utils
from detectron2.data.datasets.coco_panoptic import load_coco_panoptic_json, register_coco_panoptic
from detectron2.evaluation import COCOPanopticEvaluator
from hotcoco.panoptic import pq_compute
from support.bitmask_sets import write_bitmasks

import bdd100k_d2
from bdd100k_d2.data.bitmasks import CROWD, Bitmask, encode_bitmask, read_bitmask
from bdd100k_d2.data.coco_panoptic import segment_colors
from bdd100k_d2.data.convert.convert import convert
from bdd100k_d2.data.convert.source_options import SourceOptions
from bdd100k_d2.data.own_dataset import register_dataset
from bdd100k_d2.data.panoptic_png import read_panoptic_png
from bdd100k_d2.data.register import register_all
from bdd100k_d2.data.slices import register_slice
from bdd100k_d2.errors import ConfigError, DataError, OutputError
from bdd100k_d2.evaluation.evaluators import build_evaluator, evaluator_classes
from bdd100k_d2.evaluation.prediction_files import write_mask

NAME, OWN = "bdd100k_pan_seg_val", "own_panoptic"


@pytest.fixture(autouse=True)
def root(tiny_root: Path) -> Iterator[Path]:
    """Three frames; in the first an "unlabeled" segment and a crowd of cars."""
    write_bitmasks(tiny_root, "pan_seg", [7, 35, 33])
    first = tiny_root / "bdd100k/labels/pan_seg/bitmasks/val/val0.png"
    bitmask = read_bitmask(first)
    other = bitmask._replace(ids=np.array([5, 300, 65535]), categories=np.array([0, 7, 35]))
    write_mask(encode_bitmask(other._replace(attributes=np.array([0, 0, CROWD], np.uint8))), first)
    register_all(tiny_root)
    yield tiny_root
    for catalog in (DatasetCatalog, MetadataCatalog):
        for name in {OWN, "coco", "few"} & {*catalog.list()}:
            catalog.remove(name)


def pixel_ids(record: dict[str, Any]) -> np.ndarray:
    """As Mask2Former's mappers read them."""
    return utils.read_image(record["pan_seg_file_name"], "RGB").astype(int) @ [1, 256, 65536]


def segments_of(bitmask: Bitmask) -> dict[int, np.ndarray]:
    return {int(one): bitmask.instances == i for i, one in enumerate(bitmask.ids, 1) if bitmask.categories[i - 1]}


def test_the_files_are_the_bitmasks(root: Path, tmp_path: Path) -> None:
    path = bdd100k_d2.write_coco_panoptic(NAME, tmp_path / "val.json")
    document = json.loads(path.read_text())
    assert document["images"][2] == {"id": 3, "file_name": "val2.jpg", "height": 720, "width": 1280}
    assert document["categories"][34] == {"id": 35, "name": "car", "isthing": 1, "color": [0, 0, 142]}
    assert document["annotations"][0]["segments_info"] == [
        {"id": 300, "category_id": 7, "iscrowd": 0, "area": 150 * 490, "bbox": [10, 205, 490, 150]},
        {"id": 65535, "category_id": 35, "iscrowd": 1, "area": 150 * 590, "bbox": [10, 405, 590, 150]},
    ]
    bdd100k_d2.register_coco_panoptic("coco", path, root / "bdd100k/images/10k/val")
    records = DatasetCatalog.get("coco")
    assert [Path(one["file_name"]).name for one in records] == ["val0.jpg", "val1.jpg", "val2.jpg"]
    for record, own in zip(records, DatasetCatalog.get(NAME), strict=True):
        expected = segments_of(read_bitmask(own["bitmask_file_name"]))
        found = pixel_ids(record)
        assert {*np.unique(found).tolist()} == {0, *expected}
        for segment in record["segments_info"]:
            np.testing.assert_array_equal(found == segment["id"], expected[segment["id"]])
            kind = "thing_classes" if segment["isthing"] else "stuff_classes"
            name = MetadataCatalog.get("coco").get(kind)[segment["category_id"]]
            assert (name, segment["isthing"]) in {("road", False), ("car", True), ("bicycle", True)}
            assert segment["category_id"] == MetadataCatalog.get("coco").thing_classes.index(name)


def test_large_ids_are_written_as_they_are_read(tmp_path: Path) -> None:
    """Of data of others in COCO's form, or of run lengths, ids go on behind those that bitmasks have."""
    ids = np.array([65535, 65536, 70000, 131077])
    colors = segment_colors(Bitmask(np.array([[0, 1, 2, 3, 4]]), ids, np.ones(4, int), np.zeros(4, np.uint8)))
    assert colors.tolist() == [[[0, 0, 0], [255, 255, 0], [0, 0, 1], [112, 17, 1], [5, 0, 2]]]
    write_mask(colors, tmp_path / "a.png")
    assert read_panoptic_png(str(tmp_path / "a.png")).ids.tolist() == ids.tolist()


def test_results_of_an_evaluation_go_with_the_file(tmp_path: Path) -> None:
    """By another implementation of panopticapi's score; of what is predicted perfectly the crowd is not asked for."""
    path = bdd100k_d2.write_coco_panoptic(NAME, tmp_path / "val.json")
    cfg = bdd100k_d2.get_config("det/faster_rcnn_R_50_FPN_1x")
    cfg.TEST.COCO_RESULTS = True
    evaluator = build_evaluator(cfg, NAME, tmp_path / "found")
    evaluator.reset()
    for record in DatasetCatalog.get(NAME):
        evaluator.process([record], [perfect(record, read_bitmask(record["bitmask_file_name"]))])
    evaluator.evaluate()
    found = tmp_path / "found/coco_panoptic_results.json"
    scores = pq_compute(str(path), str(found), pred_folder=str(tmp_path / "found/panoptic"))
    assert (scores["All"]["pq"], scores["All"]["n"]) == (1, 3)


def perfect(record: dict[str, Any], bitmask: Bitmask) -> dict[str, Any]:
    """What a Panoptic FPN gives that has learned a record's segments."""
    kinds = {one["id"]: one for one in record["segments_info"] if not one["iscrowd"]}
    numbers = {one: i for i, one in enumerate(kinds, 1)}
    of_pixel = np.array([0, *(numbers.get(one, 0) for one in bitmask.ids.tolist())])
    keys = "category_id", "isthing"
    infos = [{"id": i} | {key: kinds[one][key] for key in keys} for one, i in numbers.items()]
    return {"panoptic_seg": (torch.from_numpy(of_pixel[bitmask.instances]), infos)}


@pytest.fixture(params=["hotcoco", "panopticapi"])
def panopticapi(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Detectron2 imports panopticapi, which is not on every machine: hotcoco's score of that signature is the same."""
    if request.param == "panopticapi":
        pytest.importorskip("panopticapi", reason="panopticapi is not installed")
        return
    modules = {name: ModuleType(name) for name in ("panopticapi", "panopticapi.utils", "panopticapi.evaluation")}
    modules["panopticapi.utils"].id2rgb = lambda ids: np.stack(
        [ids >> bits & 255 for bits in (0, 8, 16)], axis=2
    ).astype(np.uint8)
    modules["panopticapi.evaluation"].pq_compute = pq_compute
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)


@pytest.mark.usefixtures("panopticapi")
@pytest.mark.parametrize("classes", ["one list", "things and stuff"])
def test_detectron2_reads_and_scores_it(classes: str, root: Path, tmp_path: Path) -> None:
    """Registered here, for models as Mask2Former; and by Detectron2 with our metadata, for its Panoptic FPN."""
    path, images = bdd100k_d2.write_coco_panoptic(NAME, tmp_path / "val.json"), root / "bdd100k/images/10k/val"
    if classes == "one list":
        bdd100k_d2.register_coco_panoptic("coco", path, images)
    else:
        keys = ("thing_classes", "stuff_classes", "thing_dataset_id_to_contiguous_id")
        own = MetadataCatalog.get(NAME).as_dict()
        metadata = {key: own[key] for key in (*keys, "stuff_dataset_id_to_contiguous_id")}
        register_coco_panoptic("coco", metadata, str(images), str(path.with_suffix("")), str(path))
    assert evaluator_classes("coco") == (COCOPanopticEvaluator,)
    metadata = MetadataCatalog.get("coco")
    records = DatasetCatalog.get("coco")
    theirs = load_coco_panoptic_json(str(path), str(images), str(path.with_suffix("")), metadata.as_dict())
    for record, their in zip(records, theirs, strict=True):
        assert {key: record[key] for key in their} == their
    evaluator = COCOPanopticEvaluator("coco", str(tmp_path / "out"))
    evaluator.reset()
    for record, own in zip(records, DatasetCatalog.get(NAME), strict=True):
        evaluator.process([record], [perfect(record, read_bitmask(own["bitmask_file_name"]))])
    scores = evaluator.evaluate()["panoptic_seg"]
    assert [scores[key] for key in ("PQ", "SQ", "RQ", "PQ_th", "PQ_st")] == pytest.approx([100] * 5)


def test_own_classes_and_slices(root: Path, tmp_path: Path) -> None:
    labels, images = root / "bdd100k/labels/pan_seg/bitmasks/val", root / "bdd100k/images/10k"
    for i in range(3):
        bitmask = read_bitmask(labels / f"val{i}.png")
        own = bitmask._replace(categories=np.array([1, 2, 3]), attributes=np.zeros(3, np.uint8))
        write_mask(encode_bitmask(own), labels / f"val{i}.png")
    register_dataset(OWN, labels, images, task="pan_seg", classes=["floor", "cat", "dog"], things=["cat", "dog"])
    register_slice("few", OWN, first=2)
    path = bdd100k_d2.write_coco_panoptic("few", tmp_path / "few.json")
    document = json.loads(path.read_text())
    assert [(one["id"], one["name"], one["isthing"]) for one in document["categories"]] == [
        *((1, "floor", 0), (2, "cat", 1), (3, "dog", 1))
    ]
    # The folder of the images has others in it.
    assert [one["file_name"] for one in document["images"]] == ["val/val0.jpg", "val/val1.jpg"]
    bdd100k_d2.register_coco_panoptic("coco", path, images)
    for record in DatasetCatalog.get("coco"):
        assert Path(record["file_name"]).parent == images / "val"
        kinds = [(one["category_id"], one["isthing"], one["area"] > 0) for one in record["segments_info"]]
        assert kinds == [(0, False, True), (1, True, True), (2, True, True)]


def test_run_lengths_are_painted(root: Path, tmp_path: Path) -> None:
    """Ids count the segments, categories stay; a pixel is of the same class as in the bitmask that was converted."""
    labels = root / "bdd100k/labels/pan_seg/bitmasks/val"
    convert(labels, tmp_path / "pan.json", "scalabel", options=SourceOptions(task="pan_seg"))
    register_dataset(OWN, tmp_path / "pan.json", root / "bdd100k/images/10k/val", task="pan_seg")
    path = bdd100k_d2.write_coco_panoptic(OWN, tmp_path / "coco.json")
    for one in json.loads(path.read_text())["annotations"]:
        record = {"pan_seg_file_name": str(tmp_path / "coco" / one["file_name"])}
        classes = {0: 0} | {segment["id"]: segment["category_id"] for segment in one["segments_info"]}
        expected = read_bitmask(labels / one["file_name"])
        found = np.vectorize(classes.__getitem__)(pixel_ids(record))
        np.testing.assert_array_equal(found, np.append(0, expected.categories)[expected.instances])


def test_what_is_refused(root: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write, register = bdd100k_d2.write_coco_panoptic, bdd100k_d2.register_coco_panoptic
    with pytest.raises(ConfigError, match="bdd100k_pan_seg_test: has no labels that could be written; choose another"):
        write("bdd100k_pan_seg_test", tmp_path / "test.json")
    with pytest.raises(ConfigError, match="bdd100k_det_val is no data set of pan_seg"):
        write("bdd100k_det_val", tmp_path / "det.json")
    with pytest.raises(OutputError, match="give a path that ends in .json"):
        write(NAME, tmp_path / "val")
    with pytest.raises(OutputError, match="would overwrite or lie in .*val, which is only read"):
        write(NAME, root / "bdd100k/labels/pan_seg/bitmasks/val/coco.json")
    path = write(NAME, tmp_path / "val.json")
    with pytest.raises(OutputError, match="val.json: exists; remove it, or give another place"):
        write(NAME, path)
    images = root / "bdd100k/images/10k/val"
    with pytest.raises(ConfigError, match=f"data set {NAME}: one of that name is registered; choose another name"):
        register(NAME, path, images)
    with pytest.raises(DataError, match="no panoptic labels in COCO's form: .*; give others"):
        register("coco", root / "bdd100k/labels/det_20/det_val.json", images)
    register("coco", path, images)
    document = json.loads(path.read_text())
    for part, key, value, message in (
        ("annotations", "image_id", 9, "val0.png: has the image_id 9, which is of no image; mend it"),
        ("annotations", "file_name", "../val0.png", "'../val0.png' is no plain name of a file or folder"),
        ("annotations", "file_name", "other.png", "there is no file .*val/other.png; check the folders"),
        ("images", "file_name", "other.jpg", "there is no file .*other.jpg; check the folders"),
        ("categories", "id", 99, "7 is the id of no category; mend it"),
    ):
        changed = json.loads(path.read_text())
        changed[part][6 if part == "categories" else 0][key] = value
        path.write_text(json.dumps(changed))
        with pytest.raises(DataError, match=message):
            DatasetCatalog.get("coco")
        path.write_text(json.dumps(document))
    assert not caplog.messages
    path.write_text(json.dumps(document | {"annotations": document["annotations"][1:2]}))
    assert [one["image_id"] for one in DatasetCatalog.get("coco")] == [2]
    message = "val.json: 2 of 3 images have no annotation, so they are left out; the first is val0.jpg."
    assert [one.removeprefix(f"{tmp_path}/") for one in caplog.messages] == [message]
    path.write_text(json.dumps(document | {"annotations": []}))
    with pytest.raises(DataError, match="has no annotations, so the data set is empty"):
        DatasetCatalog.get("coco")
    path.write_text(json.dumps(document | {"categories": []}))
    with pytest.raises(DataError, match="has no categories; write them into it"):
        register("coco", path, images)
