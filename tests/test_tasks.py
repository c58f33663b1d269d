"""Every task is in every dict of functions, and what a sixth one takes: a record, a loader and a painter."""

from dataclasses import FrozenInstanceError
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from support.frames import write_image

from bdd100k_d2.data.categories import DRIVABLE, IGNORE_LABEL, SEM_SEG, Category
from bdd100k_d2.data.check.dataset import check_dataset
from bdd100k_d2.data.check.statistics import Statistics
from bdd100k_d2.data.datasets import load_masks
from bdd100k_d2.data.masks import read_mask
from bdd100k_d2.data.register import LOADERS, register_all
from bdd100k_d2.drawing.dataset_images import PAINTERS, write_dataset_images
from bdd100k_d2.drawing.overlay import Classes, draw_classes
from bdd100k_d2.evaluation.evaluators import EVALUATORS
from bdd100k_d2.evaluation.files.evaluate import OPENERS
from bdd100k_d2.evaluation.submission.check import CHECKS
from bdd100k_d2.tasks import NO_SUCH_VALUE, SCORED_TASKS, SPLITS, TASKS, SplitCounts, Task

DICTS: dict[str, dict[str, Any]] = {
    "loaders": LOADERS,
    "painters": PAINTERS,
    "openers of files to score": OPENERS,
    "checks of a submission": CHECKS,
    "evaluators": EVALUATORS,
}


@pytest.mark.parametrize("name", DICTS)
def test_every_task_is_in_every_dict(name: str) -> None:
    assert list(DICTS[name]) == list(SCORED_TASKS if DICTS[name] is OPENERS else TASKS)


def test_a_record_is_what_its_form_says() -> None:
    for name, task in TASKS.items():
        assert task.name == name and tuple(task.counts) == SPLITS
        assert (task.form == "masks") == bool(task.class_of_value)
        assert (task.form == "boxes") == (task.result_folder is None)
        assert task.has_scores == (task.result_list is not None)
        assert set(task.plotted) <= {metric.mean_title for metric in task.metrics}
    with pytest.raises(FrozenInstanceError):
        TASKS["det"].title = "another"
    with pytest.raises(TypeError):
        TASKS["det"].counts["val"] = SplitCounts(1, 1)


@pytest.mark.parametrize(("name", "categories"), [("sem_seg", SEM_SEG), ("drivable", DRIVABLE)])
def test_masks_hold_ids_or_the_label_that_is_ignored(name: str, categories: tuple[Category, ...]) -> None:
    values = TASKS[name].class_of_value
    assert len(values) == 256 and values[: len(categories)] == tuple(range(len(categories)))
    assert values[IGNORE_LABEL] == IGNORE_LABEL and set(values[len(categories) : IGNORE_LABEL]) == {NO_SUCH_VALUE}


LANES = tuple(
    Category(name, color, False)
    for name, color in {
        "crosswalk": (219, 94, 86),
        "double other": (219, 194, 86),
        "double white": (145, 219, 86),
        "double yellow": (86, 219, 127),
        "road curb": (86, 211, 219),
        "single other": (86, 111, 219),
        "single white": (160, 86, 219),
        "single yellow": (219, 86, 178),
    }.items()
)
# A byte of fields: bits 0 to 2 are the category, bit 3 is the background, 4 the style, 5 the direction; 6 and 7 are 0.
BACKGROUND, DASHED, VERTICAL = 1 << 3, 1 << 4, 1 << 5


def lane_class(value: int) -> int:
    """The class that a pixel of a lane mask stands for."""
    if value >= 1 << 6:
        return NO_SUCH_VALUE
    return IGNORE_LABEL if value & BACKGROUND else value & 7


LANE_MARK = Task(
    "lane_mark",
    "Lane marking",
    LANES,
    "masks",
    images="images/100k/{split}",
    labels="labels/lane/masks/{split}",
    counts={"train": SplitCounts(3, 3), "val": SplitCounts(3, 3), "test": SplitCounts(3, None)},
    metrics=(),
    plotted=(),
    class_of_value=tuple(map(lane_class, range(256))),
)


def paint_lanes(image: np.ndarray, record: dict[str, Any], metadata: object) -> np.ndarray:
    """Classes in their colours."""
    ids = np.array(LANE_MARK.class_of_value, np.int16)[read_mask(record["sem_seg_file_name"])].astype(np.uint8)
    return draw_classes(image, ids, Classes(LANE_MARK.names, LANE_MARK.colors))


@pytest.fixture
def lane_root(tiny_root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A root with masks of lanes, and the draft of a sixth task: one record, one loader and one painter."""
    monkeypatch.setitem(TASKS, "lane_mark", LANE_MARK)
    monkeypatch.setitem(LOADERS, "lane_mark", load_masks)
    monkeypatch.setitem(PAINTERS, "lane_mark", paint_lanes)
    for split in SPLITS:
        for i in range(3):
            write_image(tiny_root / f"bdd100k/images/100k/{split}/{split}{i}.jpg", 720, 1280, seed=i)
    for split in ("train", "val"):
        folder = tiny_root / "bdd100k/labels/lane/masks" / split
        folder.mkdir(parents=True)
        for i in range(3):
            mask = np.full((720, 1280), BACKGROUND, np.uint8)
            mask[300:700, 600:640] = 6 | DASHED
            mask[300:700, 900 : 940 + i] = 7 | VERTICAL
            cv2.imwrite(str(folder / f"{split}{i}.png"), mask)
    return tiny_root


def test_a_sixth_task_is_registered_and_loaded(lane_root: Path) -> None:
    from detectron2.data import DatasetCatalog, MetadataCatalog

    register_all(lane_root)
    try:
        records = DatasetCatalog.get("bdd100k_lane_mark_val")
        metadata = MetadataCatalog.get("bdd100k_lane_mark_val")
        assert [record["image_id"] for record in records] == ["val0.jpg", "val1.jpg", "val2.jpg"]
        assert tuple(metadata.stuff_classes) == LANE_MARK.names and metadata.evaluator_type == "bdd100k_lane_mark"
        assert len(DatasetCatalog.get("bdd100k_lane_mark_test")) == 3
        assert "bdd100k_lane_mark_val_night" in DatasetCatalog.list()
    finally:
        forget_lanes()


def forget_lanes() -> None:
    """Takes the draft's data sets out of the catalogs again, for the other tests."""
    from detectron2.data import DatasetCatalog, MetadataCatalog

    for catalog in (DatasetCatalog, MetadataCatalog):
        for name in [name for name in catalog.list() if name.startswith("bdd100k_lane_mark")]:
            catalog.remove(name)


def test_a_sixth_task_is_checked_by_its_record_alone(lane_root: Path) -> None:
    statistics = Statistics()
    report = check_dataset(lane_root, ["lane_mark"], workers=1, statistics=statistics)
    assert report.findings == []
    (pixels,) = [content for key, content in statistics.content.items() if key == ("lane_mark", "val")]
    assert dict(zip(LANE_MARK.names, pixels.tolist(), strict=True)) == dict.fromkeys(LANE_MARK.names, 0) | {
        "single white": 3 * 400 * 40,
        "single yellow": 400 * (40 + 41 + 42),
    }
    path = lane_root / "bdd100k/labels/lane/masks/val/val1.png"
    cv2.imwrite(str(path), np.full((720, 1280), 1 << 6, np.uint8))
    (finding,) = check_dataset(lane_root, ["lane_mark"], workers=1).findings
    assert finding.kind == "bad mask ids" and "val1.png" in finding.examples[0] and "64" in finding.examples[0]


def test_a_sixth_task_is_drawn(lane_root: Path, tmp_path: Path) -> None:
    register_all(lane_root)
    try:
        paths = write_dataset_images("bdd100k_lane_mark_val", tmp_path / "drawn")
    finally:
        forget_lanes()
    plain = cv2.imread(str(lane_root / "bdd100k/images/100k/val/val0.jpg"))
    drawn = cv2.imread(str(paths[0]))[:720]
    assert len(paths) == 3
    # Half image, half colour inside of a lane; the image itself beside it.
    np.testing.assert_allclose(
        drawn[350:650, 605:635], plain[350:650, 605:635] / 2 + np.array(LANES[6].color[::-1]) / 2, atol=2
    )
    np.testing.assert_array_equal(drawn[:250], plain[:250])
