from importlib.resources import files

import pytest

from bdd100k_d2.data import categories
from bdd100k_d2.tasks import TASKS


def test_table_sizes() -> None:
    sizes = {name: task.num_classes for name, task in TASKS.items()}
    assert sizes == {"det": 10, "sem_seg": 19, "drivable": 3, "ins_seg": 8, "pan_seg": 40}


@pytest.mark.parametrize("task", TASKS)
def test_names_are_unique(task: str) -> None:
    assert len(set(TASKS[task].names)) == TASKS[task].num_classes


# The official panoptic palette paints some classes alike (pole and polegroup).
@pytest.mark.parametrize("task", [task for task in TASKS if task != "pan_seg"])
def test_colors_are_unique(task: str) -> None:
    assert len(set(TASKS[task].colors)) == TASKS[task].num_classes


def test_every_detection_name_leads_to_its_class() -> None:
    assert categories.DET_CLASSES["bicycle"] == (7, False)
    assert categories.DET_CLASSES["bike"] == (7, False)
    assert categories.DET_CLASSES["motor"] == (6, False)
    assert categories.DET_CLASSES["person"] == (0, False)
    assert categories.DET_CLASSES["van"] == categories.DET_CLASSES["caravan"] == (2, False)
    assert categories.DET_CLASSES["trailer"] == (3, True)
    assert categories.DET_CLASSES["other vehicle"] == (2, True)
    assert categories.DET_CLASSES["other person"] == (0, True)
    assert len(categories.DET_CLASSES) == 10 + 5 + 3


def test_detection_names_equal_the_toolkits() -> None:
    pytest.importorskip("bdd100k", reason="the official toolkit is not installed: pip install -e .[toolkit]")
    tomllib = pytest.importorskip("tomllib", reason="Python 3.10 has no TOML parser")
    config = tomllib.loads((files("bdd100k") / "configs" / "det.toml").read_text())
    assert config["name_mapping"] == categories.ALIASES
    assert config["ignored_mapping"] == categories.IGNORED_CATEGORIES
    leaves = [
        leaf["name"]
        for category in config["scalabel"]["categories"]
        for leaf in category.get("subcategories", [category])
    ]
    assert tuple(leaves) == TASKS["det"].names


def test_segmentation_tables_equal_the_toolkits() -> None:
    label = pytest.importorskip("bdd100k.label.label", reason="pip install -e .[toolkit]")
    official = sorted((one for one in label.labels if one.trainId != 255), key=lambda one: one.trainId)
    assert tuple(one.name for one in official) == TASKS["sem_seg"].names
    assert tuple(one.color for one in official) == TASKS["sem_seg"].colors
    assert tuple(one.name for one in label.drivables) == TASKS["drivable"].names


def test_panoptic_table_equals_the_toolkits() -> None:
    label = pytest.importorskip("bdd100k.label.label", reason="pip install -e .[toolkit]")
    official = [one for one in label.labels if one.id > 0]
    assert [one.id for one in official] == list(range(1, 41))
    assert [(one.name, one.color, one.hasInstances) for one in official] == [*categories.PAN_SEG]
