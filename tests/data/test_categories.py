from importlib.resources import files

import pytest

from bdd100k_d2.data import categories


def test_table_sizes() -> None:
    assert {task: len(table) for task, table in categories.TASKS.items()} == {"det": 10, "sem_seg": 19, "drivable": 3}


@pytest.mark.parametrize("task", categories.TASKS)
def test_names_and_colors_are_unique(task: str) -> None:
    assert len(set(categories.names(task))) == len(categories.TASKS[task])
    assert len(set(categories.colors(task))) == len(categories.TASKS[task])


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
    assert config["ignored_mapping"] == categories.IGNORED
    leaves = [
        leaf["name"]
        for category in config["scalabel"]["categories"]
        for leaf in category.get("subcategories", [category])
    ]
    assert leaves == categories.names("det")


def test_segmentation_tables_equal_the_toolkits() -> None:
    label = pytest.importorskip("bdd100k.label.label", reason="pip install -e .[toolkit]")
    official = sorted((one for one in label.labels if one.trainId != 255), key=lambda one: one.trainId)
    assert [one.name for one in official] == categories.names("sem_seg")
    assert [one.color for one in official] == categories.colors("sem_seg")
    assert [one.name for one in label.drivables] == categories.names("drivable")
