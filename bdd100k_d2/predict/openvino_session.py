"""OpenVINO's files, ``.xml`` with a ``.bin`` beside it."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from ..atomic import file_digest
from ..errors import ConfigError, WeightsError, shown
from ..parallel import cores
from .model_card import CARD_KEY

BIN_KEY = "bdd100k_d2_bin_sha256"
"""The key of the ``.xml``'s metadata that holds the digest of the ``.bin`` that was written with it."""

_TELEMETRY = "openvino_telemetry"


@contextmanager
def without_telemetry() -> Iterator[None]:
    """A context that imports OpenVINO or NNCF, which would tell their makers of it, without what they do that by."""
    before = sys.modules.get(_TELEMETRY)
    if before is None:
        # They take an import that fails for a package that is not installed.
        sys.modules[_TELEMETRY] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        if before is None:
            del sys.modules[_TELEMETRY]


def import_openvino() -> ModuleType:
    """OpenVINO, which tells nobody of its import."""
    with without_telemetry():
        import openvino
    return openvino


@cache
def openvino_core() -> Any:  # noqa: ANN401, openvino.Core
    """OpenVINO's `Core`, one for as long as the process lives.

    Its CPU plugin gives the thread that made it a stack for signals, and takes that away when it goes. After two that
    go in the order in which they came, or one that goes in another thread, the next signal with a handler, as Ctrl-C or
    the end of a subprocess, ends the process with a segmentation fault.
    """
    return import_openvino().Core()


class OpenVinoSession:
    """A graph that OpenVINO runs on the CPU; see `model_file.Session`."""

    def __init__(self, path: Path, threads: int | None, amp: bool) -> None:
        openvino = import_openvino()
        weights = path.with_suffix(".bin")
        if not weights.is_file():
            raise WeightsError(f"{weights}: is missing; it has the weights of {path.name}, copy both.")
        core = openvino_core()
        # Where the CPU has units for it, OpenVINO would compute in bfloat16 unasked.
        fast = amp and "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        settings = {
            "INFERENCE_NUM_THREADS": threads or cores(),
            "INFERENCE_PRECISION_HINT": "bf16" if fast else "f32",
            "PERFORMANCE_HINT": "LATENCY",
        }
        try:
            model = core.read_model(path)
            self._model = core.compile_model(model, "CPU", settings)
        except RuntimeError as error:
            raise WeightsError(
                f"{path}: OpenVINO {openvino.__version__} cannot load it ({shown(error)}); are it and its .bin whole? "
                "Copy both again, or export the model again."
            ) from error
        if model.has_rt_info(BIN_KEY) and model.get_rt_info(BIN_KEY).astype(str) != file_digest(weights):
            raise WeightsError(
                f"{weights}: is not the one that was written with {path.name}, or is damaged; copy both again, or "
                "export the model again."
            )
        if len(model.inputs) != 1:
            raise ConfigError(f"{path}: has {len(model.inputs)} inputs; a model takes images, and nothing else.")
        self.card: str | None = model.get_rt_info(CARD_KEY).astype(str) if model.has_rt_info(CARD_KEY) else None
        self.input_type: str | None = model.input(0).element_type.to_dtype().name
        shape = model.input(0).partial_shape
        self.input_shape = tuple(one.get_length() if one.is_static else None for one in shape)
        self._places: dict[str, Any] = {name: one for one in self._model.outputs for name in one.names}
        self.outputs: tuple[str, ...] | None = tuple(self._places)

    def run(self, images: np.ndarray, names: Sequence[str]) -> list[np.ndarray]:
        """As `model_file.Session` says."""
        found = self._model(images)
        return [found[self._places[name]] for name in names]
