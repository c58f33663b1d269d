"""Every task is in every dict of functions, and what a sixth one takes: a record, a loader and a painter."""

from dataclasses import FrozenInstanceError
from typing import Any

import pytest

from bdd100k_d2.data.categories import DRIVABLE, IGNORE_LABEL, SEM_SEG, Category
from bdd100k_d2.data.register import LOADERS
from bdd100k_d2.tasks import NO_SUCH_VALUE, SPLITS, TASKS, SplitCounts

DICTS: dict[str, dict[str, Any]] = {"loaders": LOADERS}


@pytest.mark.parametrize("name", DICTS)
def test_every_task_is_in_every_dict(name: str) -> None:
    assert list(DICTS[name]) == list(TASKS)


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
