"""Which of the published weights lie in a folder, whole and of the model that their row says."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from detectron2.modeling import build_model
from torch import nn
from tqdm import tqdm

from .. import get_config
from ..checkpoint.loading import load_weights
from ..checkpoint.published import zoo_file
from ..errors import BDD100KError
from .local_files import WeightsFolder
from .table import PREFIX, ZooRow


@dataclass(frozen=True)
class LocalWeights:
    """What a folder has of a row's weights.

    Attributes:
        name: with ``bdd100k://``.
        path: the file; None where it is not there.
        checked: "md5" where the file is that of its md5, "read" where no md5 is known and all tensors were read.
        error: why the file cannot be used; empty where it can, or is not there.
    """

    name: str
    path: Path | None
    checked: str = ""
    error: str = ""


def check_folder(rows: Sequence[ZooRow], folder: str | Path) -> list[LocalWeights]:
    """Looks for the weights of ``rows`` below ``folder``, and loads each file into the model of its row.

    Raises `WeightsError` where there is no such folder.
    """
    weights = WeightsFolder(folder)
    model: tuple[str, nn.Module] | None = None
    found = []
    for row in tqdm([row for row in rows if row.weights], "checking", disable=not sys.stderr.isatty()):
        name = f"{PREFIX}{row.weights}"
        path = None
        try:
            file = zoo_file(row.weights or "")
            local = weights.find(Path(file.path).stem, file.short)
            if local is None:
                found.append(LocalWeights(name, None))
                continue
            path = local.path
            local.check()
            # Rows of one config follow each other.
            if model is None or model[0] != row.config:
                model = row.config, _build(row.config)
            load_weights(model[1], str(path), exact=True)
        except BDD100KError as error:
            found.append(LocalWeights(name, path, error=str(error)))
        else:
            found.append(LocalWeights(name, path, checked="md5" if local.md5 else "read"))
    return found


def local_table(found: Sequence[LocalWeights], folder: str | Path) -> str:
    """The files that are there as text in aligned columns, what is wrong with some, and the names of those missing."""
    there = [one for one in found if one.path is not None and not one.error]
    bad = [one for one in found if one.error]
    missing = [one.name for one in found if one.path is None and not one.error]
    width = max((len(one.name) for one in there), default=0)
    parts = [f"{folder}: {len(there)} of {len(found)} published weights are there, whole and of the right model."]
    if there:
        note = {"md5": "md5 agrees", "read": "every tensor fits; its md5 is not known"}
        parts.append("\n".join(f"{one.name:{width}}  {one.path} ({note[one.checked]})" for one in there))
    if bad:
        parts.append("Not usable:\n" + "\n".join(f"{one.name}: {one.error}" for one in bad))
    if missing:
        parts.append(f"Not there: {', '.join(missing)}.")
    return "\n\n".join(parts)


def _build(config: str) -> nn.Module:
    cfg = get_config(config)
    cfg.MODEL.DEVICE = "cpu"
    # Nothing is started from these values.
    with torch.random.fork_rng(devices=[]):
        model: nn.Module = build_model(cfg)
    return model
