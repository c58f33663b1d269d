"""The ``config.yaml`` of a run folder: the values that a page shows, of the types that they have to be of."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ..data.register import base_of
from ..data.slices import check_slice_name
from ..errors import ConfigError, DataError
from ..yaml_file import read_yaml

_WHOLE = "whole config as Detectron2 dumps it is expected; run tools/train_net.py again to rewrite it."
# No training has so many iterations, and no batch so many images.
_MOST = 10**12


class RunConfig(NamedTuple):
    """What a page shows of a config; ``tests`` are the test sets, with the data sets whose frames they have."""

    model: str
    backbone: str
    trained_on: tuple[str, ...]
    tests: tuple[tuple[str, str], ...]
    max_iter: int
    batch: int
    learning_rate: float


def read_run_config(path: Path) -> RunConfig:
    """Reads a config as Detectron2 dumps it.

    Raises:
        DataError: the file is missing or no such config, a key is missing or of another type, there is no test set, or
            the name of one is none of a folder.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file; give the OUTPUT_DIR of a run of tools/train_net.py.")
    config = _Config(path)
    tests = config.names("DATASETS.TEST")
    if not tests:
        raise DataError(f"{path}: DATASETS.TEST names no data set, so there is nothing to report; set it and evaluate.")
    slices = config.slices()
    return RunConfig(
        config.text("MODEL.META_ARCHITECTURE"),
        config.backbone(),
        config.names("DATASETS.TRAIN"),
        tuple((name, _base(name, dict(slices))) for name in tests),
        config.whole("SOLVER.MAX_ITER"),
        config.whole("SOLVER.IMS_PER_BATCH"),
        config.number("SOLVER.BASE_LR"),
    )


class _Config:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._document = read_yaml(path)
        if not isinstance(self._document, dict):
            raise DataError(f"{path}: not a config of Detectron2; run tools/train_net.py again to rewrite it.")

    def _get(self, key: str) -> Any:  # noqa: ANN401, parsed YAML
        value = self._document
        for part in key.split("."):
            if not isinstance(value, dict) or part not in value:
                raise DataError(f"{self._path}: no key {key}; a {_WHOLE}")
            value = value[part]
        return value

    def _refused(self, key: str, wanted: str) -> DataError:
        # Without the value: a number may have too many digits for a message.
        return DataError(f"{self._path}: {key} is no {wanted}; a {_WHOLE}")

    def text(self, key: str) -> str:
        value = self._get(key)
        if not isinstance(value, str):
            raise self._refused(key, "text")
        return value

    def whole(self, key: str) -> int:
        value = self._get(key)
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _MOST:
            raise self._refused(key, f"whole number from 0 to {_MOST:,}")
        return value

    def number(self, key: str) -> float:
        value = self._get(key)
        if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= _MOST:
            raise self._refused(key, "number")
        return float(value)

    def names(self, key: str) -> tuple[str, ...]:
        """Of data sets; each becomes a folder's or stands on the page."""
        value = self._get(key)
        if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
            raise self._refused(key, "list of names")
        return tuple(value)

    def slices(self) -> list[tuple[str, str]]:
        """Names and bases of the slices that the config describes; [] where it is of a version without them."""
        rows = self._get("DATASETS").get("SLICES", [])
        if not isinstance(rows, list):
            raise self._refused("DATASETS.SLICES", "list of slices")
        for row in rows:
            if not isinstance(row, Mapping) or not all(isinstance(row.get(key), str) for key in ("name", "base")):
                raise self._refused("DATASETS.SLICES", "list of slices, each with a name and a base")
            try:
                check_slice_name(row["name"])
            except ConfigError as error:
                raise DataError(f"{self._path}: DATASETS.SLICES: {error}") from None
        return [(row["name"], row["base"]) for row in rows]

    def backbone(self) -> str:
        name = self.text("MODEL.BACKBONE.NAME").removeprefix("build_").removesuffix("_backbone")
        if name.startswith("timm_"):
            return f"{self.text('MODEL.TIMM.NAME')}, {name.removeprefix('timm_')}"
        return f"{name}, {self.whole('MODEL.RESNETS.DEPTH')} layers" if "resnet" in name else name


def _base(name: str, slices: dict[str, str]) -> str:
    """The data set whose frames ``name`` has, also where the config describes it as a slice."""
    while name in slices:
        name = slices.pop(name)
    return base_of(name)
