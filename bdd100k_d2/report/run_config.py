"""The ``config.yaml`` of a run folder: the values that a page shows, of the types that they have to be of."""

import json
from pathlib import Path
from typing import Annotated, NamedTuple

import msgspec
from msgspec import Meta

from ..data.register import base_of
from ..data.slices import check_dataset_name
from ..errors import ConfigError, DataError, shown
from ..yaml_file import read_yaml

# No training has so many iterations, no batch so many images, and no model so many layers.
_MOST = 10**12
_Whole = Annotated[int, Meta(ge=0, le=_MOST)]
_Rate = Annotated[float, Meta(ge=-float(_MOST), le=float(_MOST))]
# Of a data set it becomes a folder's, and of a model it stands on the page.
_Name = Annotated[str, Meta(max_length=255)]
# What differs between runs of one recipe.
_OF_A_RUN = ("OUTPUT_DIR", "SEED")


class _Backbone(msgspec.Struct, rename="upper"):
    name: _Name


class _Timm(msgspec.Struct, rename="upper"):
    name: _Name = ""


class _ResNets(msgspec.Struct, rename="upper"):
    depth: _Whole = 0


class _Model(msgspec.Struct, rename="upper"):
    meta_architecture: _Name
    backbone: _Backbone
    resnets: _ResNets = msgspec.field(default_factory=_ResNets)
    timm: _Timm = msgspec.field(default_factory=_Timm)


class _Slice(msgspec.Struct):
    name: _Name
    base: _Name


class OwnData(msgspec.Struct):
    """A data set of ``DATASETS.OWN``; there ``{split}`` in a path stands for train, val and test."""

    name: _Name
    labels: str
    images: str | None = None
    task: str = "det"
    classes: tuple[str, ...] | None = None
    colors: tuple[tuple[int, int, int], ...] | None = None


class _Datasets(msgspec.Struct, rename="upper"):
    train: tuple[_Name, ...]
    test: tuple[_Name, ...]
    # A config of an earlier version has none.
    slices: tuple[_Slice, ...] = ()
    own: tuple[OwnData, ...] = ()


class _Solver(msgspec.Struct, rename="upper"):
    max_iter: _Whole
    ims_per_batch: _Whole
    base_lr: _Rate


class _Document(msgspec.Struct, rename="upper"):
    model: _Model
    datasets: _Datasets
    solver: _Solver


class RunConfig(NamedTuple):
    """What a page shows of a config.

    ``tests`` are the test sets, with the data sets whose frames they have; ``own`` are those of the user. ``recipe`` is
    the whole config as text, without seed and folder: of runs that differ in nothing else it is the same. ``seed`` is
    None where none is given.
    """

    model: str
    backbone: str
    trained_on: tuple[str, ...]
    tests: tuple[tuple[str, str], ...]
    own: tuple[OwnData, ...]
    max_iter: int
    batch: int
    learning_rate: float
    recipe: str
    seed: int | None


def read_run_config(path: Path) -> RunConfig:
    """Reads a config as Detectron2 dumps it.

    Raises:
        DataError: the file is missing or no such config, a key is missing or of another type, there is no test set, or
            the name of one is none of a folder.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file; give the OUTPUT_DIR of a run of tools/train_net.py.")
    try:
        content = read_yaml(path)
        document = msgspec.convert(content, _Document)
        for one in document.datasets.slices:
            check_dataset_name(one.name, "slice")
    except (msgspec.ValidationError, UnicodeEncodeError, ConfigError) as error:
        reason = str(error).replace("`$.", "`")
        raise DataError(
            f"{path}: no config as Detectron2 dumps it ({shown(reason)}); run tools/train_net.py again to rewrite it."
        ) from error
    model, datasets, solver = document.model, document.datasets, document.solver
    if not datasets.test:
        raise DataError(f"{path}: DATASETS.TEST names no data set, so there is nothing to report; set it and evaluate.")
    bases = {one.name: one.base for one in datasets.slices}
    tests = tuple((name, _base(name, dict(bases))) for name in datasets.test)
    return RunConfig(
        model.meta_architecture,
        _backbone(model),
        datasets.train,
        tests,
        datasets.own,
        solver.max_iter,
        solver.ims_per_batch,
        solver.base_lr,
        json.dumps({key: value for key, value in content.items() if key not in _OF_A_RUN}, sort_keys=True, default=str),
        _seed(content.get("SEED")),
    )


def _seed(value: object) -> int | None:
    # Detectron2's -1 stands for any.
    return value if type(value) is int and value >= 0 else None


def _backbone(model: _Model) -> str:
    name = model.backbone.name.removeprefix("build_").removesuffix("_backbone")
    if name.startswith("timm_"):
        return f"{model.timm.name}, {name.removeprefix('timm_')}"
    return f"{name}, {model.resnets.depth} layers" if "resnet" in name else name


def _base(name: str, slices: dict[str, str]) -> str:
    """The data set whose frames ``name`` has, also where the config describes it as a slice."""
    while name in slices:
        name = slices.pop(name)
    return base_of(name)
