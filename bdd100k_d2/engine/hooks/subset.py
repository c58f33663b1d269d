"""The same few records of a test set at every evaluation."""

from collections.abc import Sequence
from typing import Any

from detectron2.data import DatasetCatalog

from ...errors import ConfigError


def fixed_subset(dataset_names: Sequence[str], count: int, key: str, labelled: bool = False) -> list[dict[str, Any]]:
    """At most ``count`` records of the first test set, at equal distances, the first and the last included.

    Args:
        dataset_names: ``DATASETS.TEST``.
        count: at least 1.
        key: of the config, for the messages.
        labelled: take only records that have something to train with.

    Raises:
        ConfigError: there is no test set, or no record in it is labelled.
    """
    if not dataset_names:
        raise ConfigError(f"{key} needs a test set, but DATASETS.TEST is empty; name one or set {key} to 0.")
    records = DatasetCatalog.get(dataset_names[0])
    if labelled:
        records = [record for record in records if is_labelled(record)]
        if not records:
            raise ConfigError(f"{key} needs labels, but {dataset_names[0]} has none; set {key} to 0.")
    if len(records) <= count:
        return records
    last = len(records) - 1
    # Rounded in integers, so that the choice is the same everywhere.
    return [records[i * last // max(count - 1, 1)] for i in range(count)]


def is_labelled(record: dict[str, Any]) -> bool:
    """Whether a dataset dict has a box that counts, or a mask."""
    boxes = any(not one.get("iscrowd", 0) for one in record.get("annotations", ()))
    return boxes or "sem_seg_file_name" in record
