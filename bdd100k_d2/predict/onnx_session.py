"""ONNX files, run by onnxruntime."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime

from ..errors import ConfigError, WeightsError, shown
from ..parallel import cores
from .model_card import CARD_KEY

_ERRORS_ALONE = 3


class OnnxSession:
    """An ONNX graph on the CPU; see `model_file.Session`."""

    def __init__(self, path: Path, threads: int | None, amp: bool) -> None:
        if amp:
            raise ConfigError(
                f"{path}: onnxruntime computes in the precision of the file; leave --amp out, or export for OpenVINO."
            )
        onnxruntime.disable_telemetry_events()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or cores()
        options.log_severity_level = _ERRORS_ALONE
        # Waiting threads would take the cores from those that read the next images and write results.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        # Its exceptions have no class in common but this.
        except Exception as error:
            raise WeightsError(
                f"{path}: onnxruntime {onnxruntime.__version__} cannot load it ({shown(error)}); is it a whole ONNX "
                "file? Copy it again, or export the model again."
            ) from error
        inputs = self._session.get_inputs()
        if len(inputs) != 1:
            names = ", ".join(one.name for one in inputs)
            raise ConfigError(f"{path}: has the inputs {shown(names)}; a model takes images, and nothing else.")
        self._input = inputs[0].name
        self.input_type: str | None = inputs[0].type.removeprefix("tensor(").removesuffix(")")
        self.input_shape = tuple(one if isinstance(one, int) else None for one in inputs[0].shape)
        self.outputs: tuple[str, ...] | None = tuple(one.name for one in self._session.get_outputs())
        self.card: str | None = self._session.get_modelmeta().custom_metadata_map.get(CARD_KEY)

    def run(self, images: np.ndarray, names: Sequence[str]) -> list[np.ndarray]:
        """As `model_file.Session` says."""
        found: list[np.ndarray] = self._session.run(list(names), {self._input: images})
        return found
