"""The formats of exported models: what ``--to`` calls each, how its files end, and what runs them."""

from typing import NamedTuple


class ModelFormat(NamedTuple):
    """A format of model files.

    Attributes:
        name: as ``--to`` of tools/export.py takes it.
        ending: of its files, by which they are known.
        packages: what runs them, by the names that pip installs and Python imports.
    """

    name: str
    ending: str
    packages: tuple[str, ...]

    @property
    def pip_line(self) -> str:
        """The command that installs what runs its files."""
        return f"pip install {' '.join(self.packages)}"


ONNX = ModelFormat("onnx", ".onnx", ("onnxruntime",))
OPENVINO = ModelFormat("openvino", ".xml", ("openvino",))
TORCHSCRIPT = ModelFormat("torchscript", ".torchscript", ("torch", "torchvision"))
TORCH_EXPORT = ModelFormat("torch-export", ".pt2", ("torch", "torchvision"))

FORMATS = (ONNX, OPENVINO, TORCHSCRIPT, TORCH_EXPORT)

BY_ENDING = {one.ending: one for one in FORMATS}
BY_NAME = {one.name: one for one in FORMATS}
