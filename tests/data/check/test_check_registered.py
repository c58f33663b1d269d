"""The check of data sets by their names: slices, those of a config, plots of them, and the command."""

import json
from pathlib import Path
from subprocess import CompletedProcess

import cv2
import pytest
from detectron2.config import CfgNode
from detectron2.data import DatasetCatalog
from PIL import Image
from support import check_roots as roots
from support.commands import run_tool
from support.own_data import (
    CLASSES,
    SPLIT_FILES,
    SPLIT_IMAGES,
    SPLIT_MASKS,
    Json,
    add,
    change,
    check,
    image,
    make_coco,
    make_masks,
    make_scalabel,
    mask,
    register,
    write_ids,
)

from bdd100k_d2.config import load_config
from bdd100k_d2.data.check.plots import write_statistics
from bdd100k_d2.data.check.registered import check_datasets, config_datasets, places_of
from bdd100k_d2.data.check.report import Severity
from bdd100k_d2.data.check.statistics import Statistics
from bdd100k_d2.data.coco_panoptic import register_coco_panoptic
from bdd100k_d2.data.own_dataset import register_dataset
from bdd100k_d2.data.register import register_all
from bdd100k_d2.data.slices import register_slice
from bdd100k_d2.errors import ConfigError

pytestmark = pytest.mark.usefixtures("catalogs_as_they_were", "one_pool")


# Slices, and the data sets of a config


def test_of_a_slice_its_frames_are_checked_and_of_labels_that_are_named_twice_each_once(tmp_path: Path) -> None:
    make_coco(tmp_path)
    register(tmp_path, "coco")
    register_slice("first", "own_train", first=1)
    register_slice("last", "own_train", names=["b"])
    add(tmp_path, 1, 2, 2, 14, image=1)
    report = check_datasets(["first"], ["own_val"], fast=True)
    assert report.findings == [] and [one.frames for one in report.datasets] == [1, 1], report.text()
    statistics = Statistics()
    report = check_datasets(["own_train"], ["own_val", "last"], fast=True, statistics=statistics)
    found = {finding.kind: finding for finding in report.findings}
    assert found.keys() == {"small box", "frame in two splits"} and found["small box"].count == 1
    assert found["frame in two splits"].examples == ["b.png of last, also in own_train"]
    assert [(one.name, one.frames, one.objects) for one in report.datasets] == [
        ("own_train", 2, 5),
        ("own_val", 1, 2),
        ("last", 1, 3),
    ]
    assert statistics.to_json()["det"]["last"]["boxes"] == {"car": 2, "tram": 1}


def test_a_slice_of_labels_that_cannot_be_loaded_has_no_numbers(tmp_path: Path) -> None:
    make_coco(tmp_path)
    register(tmp_path, "coco")
    register_slice("first", "own_train", first=1)
    add(tmp_path, 120, 2, 13, 14, image=1)
    statistics = Statistics()
    report = check_datasets(["first"], ["own_val"], fast=True, statistics=statistics)
    (finding,) = report.findings
    assert (finding.kind, finding.count) == ("box outside of the image", 1)
    row = report.datasets[0]
    assert (row.name, row.pictures, row.frames, row.objects) == ("first", 0, None, None)
    assert {*statistics.boxes} == {"own_val"}


def test_a_slice_without_a_frame_cannot_be_loaded(tmp_path: Path) -> None:
    make_scalabel(tmp_path)
    register(tmp_path, "scalabel")
    register_slice("day", "own_train", timeofday="daytime")
    (finding,) = check_datasets(["day"], ["own_val"], fast=True).findings
    assert finding.kind == "data set that cannot be loaded" and "no frame has timeofday daytime" in finding.examples[0]


def test_what_nothing_else_finds_loading_does(tmp_path: Path) -> None:
    """Without classes of one's own a label of another class is refused, and not left out."""
    make_scalabel(tmp_path)
    register_dataset("own", tmp_path / SPLIT_FILES, tmp_path / SPLIT_IMAGES)
    report = check_datasets(["own_train"], ["own_val"], fast=True)
    found = [(one.kind, one.examples) for one in report.findings if one.kind == "label of another class"]
    assert found == [("label of another class", ["tram: 2"]), ("label of another class", ["tram: 1"])]
    first, second = (one for one in report.findings if one.kind == "data set that cannot be loaded")
    assert "own_train: frame a.png, label 50: unknown category 'tram'" in first.examples[0]
    assert second.examples[0].startswith("own_val: ") and report.breaks_training


def test_masks_in_folders_below_and_images_of_other_endings(tmp_path: Path) -> None:
    make_masks(tmp_path)
    with Image.open(image(tmp_path)) as opened:
        opened.save(image(tmp_path).with_name("b.BMP"))
    image(tmp_path).unlink()
    (mask(tmp_path).parent / "more").mkdir()
    mask(tmp_path).rename(mask(tmp_path).parent / "more/b.png")
    report = check(tmp_path, "sem_seg", fast=False)
    assert report.findings == [] and report.datasets[0].pictures == 2, report.text()


def test_images_of_all_splits_in_one_folder_are_all_used(tmp_path: Path) -> None:
    make_coco(tmp_path)
    register(tmp_path, "coco", images="images")
    assert check_datasets(["own_train"], ["own_val"], fast=True).findings == []
    (finding,) = check_datasets(["own_train"], fast=True).findings
    assert (finding.kind, finding.examples) == ("image without labels", ["val/c.png"])


def test_the_data_sets_of_a_config_are_checked_those_of_bdd100k_too(tmp_path: Path) -> None:
    make_coco(tmp_path)
    roots.make_sound_root(tmp_path / "root")
    own = {"name": "own", "labels": str(tmp_path / SPLIT_FILES), "images": str(tmp_path / SPLIT_IMAGES)}
    config = {
        "DATASETS": {
            "OWN": [own | {"classes": CLASSES}],
            "SLICES": [{"name": "some", "base": "own_train", "first": 1}],
            "TRAIN": ["bdd100k_det_train", "some"],
            "TEST": ["own_val", "bdd100k_det_val_night"],
        }
    }
    (tmp_path / "own.yaml").write_text(json.dumps(config))
    roots.add_box(tmp_path / "root", "car", 50, 2, 30, 40)
    image(tmp_path, "c.png", "val").write_bytes(roots.image(tmp_path / "root").read_bytes())
    register_all(tmp_path / "root")
    try:
        splits = config_datasets(load_config(tmp_path / "own.yaml"))
        assert splits == [["bdd100k_det_train", "some"], ["own_val", "bdd100k_det_val_night"]]
        statistics = Statistics()
        report = check_datasets(*splits, root=tmp_path / "root", workers=1, statistics=statistics)
    finally:
        register_all()
    names = ["bdd100k_det_train", "bdd100k_det_val", "some", "own_val"]
    assert [one.name for one in report.datasets] == names
    kinds = {finding.kind: finding for finding in report.findings}
    assert kinds["degenerate box"].place == str(roots.labels_path(tmp_path / "root"))
    assert "incomplete" in kinds and "image of another size" in kinds
    # The images of the root are one.
    leaks = {one.place: one.examples for one in report.findings if one.kind == "frame in two splits"}
    assert leaks[str(tmp_path / "images/val")] == ["c.png of own_val, also in bdd100k_det_train as train0.jpg"]
    assert {*statistics.boxes} == {*names}
    # What breaks training stands first, whosever data it is.
    severities = [finding.severity for finding in report.findings]
    assert severities == sorted(severities, key=list(Severity).index)


def test_names_of_no_data_set_and_those_that_others_registered(tmp_path: Path) -> None:
    make_coco(tmp_path)
    register(tmp_path, "coco")
    with pytest.raises(ConfigError, match="no data set 'own_vall' is registered; .* Did you mean own_val?"):
        check_datasets(["own_train"], ["own_vall"])
    DatasetCatalog.register("other", list)
    (finding,) = check_datasets(["own_train"], ["other"], fast=True).findings
    assert (finding.kind, finding.examples) == ("data set that is not checked", ["other"])
    with pytest.raises(ConfigError, match="no data set in DATASETS.TRAIN or DATASETS.TEST"):
        config_datasets(load_config_of(tmp_path, {"DATASETS": {"TRAIN": [], "TEST": []}}))


def test_a_data_set_in_coco_s_panoptic_form_is_not_checked_and_not_written_over(tmp_path: Path) -> None:
    make_coco(tmp_path)
    register(tmp_path, "coco")
    category = {"id": 1, "name": "road", "isthing": 0}
    labels = tmp_path / "panoptic/val.json"
    (tmp_path / "panoptic/val").mkdir(parents=True)
    labels.write_text(json.dumps({"images": [], "annotations": [], "categories": [category]}))
    register_coco_panoptic("segments", labels, tmp_path / SPLIT_IMAGES.format(split="val"))
    register_slice("some_segments", "segments", first=1)
    attributes = tmp_path / "attributes.json"
    attributes.write_text("[]")
    register_slice("day", "own_val", attributes, timeofday="daytime")
    report = check_datasets(["own_train"], ["own_val", "segments", "some_segments"], fast=True)
    (finding,) = report.findings
    assert (finding.kind, finding.examples) == ("data set that is not checked", ["segments", "some_segments"])
    assert finding.remedy == "Known are BDD100K's data sets and those of register_dataset or DATASETS.OWN."
    assert [one.name for one in report.datasets] == ["own_train", "own_val"] and not report.breaks_training
    assert {labels, labels.with_suffix(""), attributes} <= {*places_of([["segments"], ["day"]])}


def load_config_of(folder: Path, content: Json) -> CfgNode:
    (folder / "some.yaml").write_text(json.dumps(content))
    return load_config(folder / "some.yaml")


def test_labels_that_are_gone_when_a_config_is_checked(tmp_path: Path) -> None:
    own = {"name": "own", "labels": str(tmp_path / "no.json"), "images": str(tmp_path), "classes": CLASSES}
    cfg = load_config_of(tmp_path, {"DATASETS": {"OWN": [own], "TRAIN": ["own"], "TEST": []}})
    (finding,) = check_datasets(*config_datasets(cfg), fast=True).findings
    assert (finding.kind, finding.place) == ("no labels", str(tmp_path / "no.json"))


# Plots, and the command


def test_plots_have_the_names_of_the_data_sets_and_a_page_for_each_set_of_classes(tmp_path: Path) -> None:
    make_coco(tmp_path)
    statistics = Statistics()
    check(tmp_path, "coco", statistics=statistics)
    paths = write_statistics(statistics, tmp_path / "stats")
    names = {"statistics.json", "boxes_per_class.png", "box_sizes.png", "box_positions.png", "boxes_per_frame.png"}
    assert {path.name for path in paths} == names
    register_dataset("more", tmp_path / "val.json", tmp_path / "images/val", classes=["tram"])
    check_datasets(["own_train"], ["more"], fast=True, statistics=statistics)
    names |= {"boxes_per_class_own_train.png", "boxes_per_class_more.png"} - {"boxes_per_class.png"}
    paths = write_statistics(statistics, tmp_path / "stats2")
    assert {path.name for path in paths} == names - {"boxes_per_class.png"}
    assert all(cv2.imread(str(path)).std() > 8 for path in paths[1:])


def test_of_more_classes_than_a_legend_has_room_for_the_sizes_have_one_colour(tmp_path: Path) -> None:
    colors = {}
    for count in (14, 15):
        make_coco(tmp_path / str(count))
        names = [
            {"id": 7, "name": "car"},
            {"id": 3, "name": "tram"},
            *({"id": 20 + i, "name": f"{i}"} for i in range(13)),
        ]
        change(tmp_path / str(count), lambda document, names=names: document.update(categories=names))
        classes = [one["name"] for one in names][:count]
        register_dataset("own", tmp_path / f"{count}/train.json", tmp_path / f"{count}/images/train", classes=classes)
        statistics = Statistics()
        check_datasets(["own"], fast=True, statistics=statistics)
        write_statistics(statistics, tmp_path / f"stats{count}")
        pixels = cv2.imread(str(tmp_path / f"stats{count}/box_sizes.png")).reshape(-1, 3)
        colors[count] = {*map(tuple, pixels.tolist())}
    assert (0xA8, 0x63, 0x25) in colors[15] and (0xA8, 0x63, 0x25) not in colors[14]


def run(*arguments: object) -> CompletedProcess[str]:
    return run_tool("check_dataset", *arguments, "--workers", "1")


def test_the_command_checks_data_of_one_s_own(tmp_path: Path) -> None:
    make_coco(tmp_path)
    own = ["--labels", tmp_path / SPLIT_FILES, "--images", tmp_path / SPLIT_IMAGES, "--classes", "car,tram"]
    done = run(*own, "--json", tmp_path / "report.json", "--stats", tmp_path / "stats", "--dataset", "streets")
    assert done.returncode == 0 and "Nothing was found." in done.stdout, done.stdout + done.stderr
    assert "streets_train" in done.stdout and "5 files of statistics" in done.stdout
    add(tmp_path, 120, 2, 13, 14)
    done = run(*own, "--fast", "--json", tmp_path / "report.json")
    assert done.returncode == 1 and "box outside of the image" in done.stdout
    assert json.loads((tmp_path / "report.json").read_text())["breaks_training"] is True
    done = run(*own, "--json", tmp_path / "images/train/report.json")
    assert done.returncode == 2 and "lies in the data, which is only read" in done.stderr
    done = run(*own, "--json", tmp_path / "train.json")
    assert done.returncode == 2 and "lies in the data, which is only read" in done.stderr
    done = run("--labels", tmp_path / "no.json", "--images", tmp_path)
    assert done.returncode == 2 and done.stderr.startswith("error: ") and "no labels at" in done.stderr


def test_the_command_checks_the_data_sets_of_a_config(tmp_path: Path) -> None:
    make_masks(tmp_path)
    own = {"name": "own", "labels": str(tmp_path / SPLIT_MASKS), "images": str(tmp_path / SPLIT_IMAGES)}
    own |= {"task": "sem_seg", "classes": CLASSES}
    (tmp_path / "own.yaml").write_text(
        json.dumps({"DATASETS": {"OWN": [own], "TRAIN": ["own_train"], "TEST": ["own_val"]}})
    )
    done = run("--config-file", tmp_path / "own.yaml")
    assert done.returncode == 0 and "Nothing was found." in done.stdout, done.stdout + done.stderr
    write_ids(tmp_path, 2)
    done = run("--config-file", tmp_path / "own.yaml")
    assert done.returncode == 1 and "b.png: the mask holds the ids [2]" in done.stdout
    done = run("--config-file", tmp_path / "own.yaml", "DATASETS.TRAIN", "('own_val',)")
    assert done.returncode == 0 and "frame in two splits: 1" in done.stdout


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--images", "i"], "--images belongs to --labels"),
        (["--classes", "a,b"], "--classes belongs to --labels"),
        (["--labels", "l", "--root", "r"], "--labels stands alone"),
        (["--labels", "l", "--config-file", "c"], "--labels stands alone"),
        (["--labels", "l", "--task", "det", "sem_seg"], "--labels are of one --task"),
        (["--config-file", "c", "--task", "det"], "leave out --task"),
        (["SOLVER.MAX_ITER", "3"], "belong to --config-file"),
    ],
)
def test_options_that_do_not_go_together(options: list[str], message: str) -> None:
    done = run(*options)
    assert done.returncode == 2 and message in done.stderr
