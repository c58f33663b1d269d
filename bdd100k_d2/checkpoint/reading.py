"""Reading files of weights, whoever wrote them, without running what they carry."""

import pickle
import re
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..errors import WeightsError
from .pickles import ALLOWED, RefusedError, load_arrays, with_arrays

# What torch.load and pickle raise for files that are cut off or are no checkpoints.
DAMAGED = (
    pickle.UnpicklingError,
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    ImportError,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
)
# PyTorch keeps the text of a refusal, not its type.
_WANTS = str(RefusedError("")).strip()
_AGAIN = "Fetch or write it again."
# The files of PyTorch before 1.6 begin with this number, pickled.
_LEGACY = pickle.dumps(0x1950A86A20F9469CFC6C, protocol=2)[:14]


def check_file(path: str | Path, name: str) -> None:
    """Raises a `WeightsError`, which calls the file ``name``, unless ``path`` is a file."""
    if Path(path).is_dir():
        raise WeightsError(f"{name}: a folder, not a file of weights; give the file in it.")
    if not Path(path).is_file():
        raise WeightsError(f"{name}: no such file of weights; check the path.")


def read_checkpoint(path: str | Path, name: str | None = None) -> dict[str, Any]:
    """Reads a checkpoint of PyTorch (zip or legacy), safetensors or a pickled dictionary of arrays, told by content.

    Only tensors, arrays, plain values and the types of `pickles.ALLOWED` are made. Messages call the file ``name``
    (default: ``path``).

    Raises:
        WeightsError: the file does not exist, holds no weights, is damaged, or wants to run code, which is named.
    """
    path = Path(path)
    name = name or str(path)
    check_file(path, name)
    try:
        with path.open("rb") as file:
            head = file.read(512)
        if not head:
            raise WeightsError(f"{name}: an empty file, not weights. {_AGAIN}")
        if head.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"<"):
            raise WeightsError(
                f"{name}: a web page, not weights; the link that it came from is dead or wants a login. "
                "Fetch the file by hand, from another address."
            )
        if head.startswith((b"PK", _LEGACY)):
            content = _load(path)
        elif head[8:9] == b"{":
            content = _load_safetensors(path, name)
        else:
            content = load_arrays(path)
    except RefusedError as error:
        raise WeightsError(
            f"{name}: refused, because reading it would run {error.what}, which weights do not need. If you trust who "
            "made the file, load it where it was made and save the tensors alone: "
            "torch.save({'state_dict': ...}, 'weights.pth')."
        ) from error
    except WeightsError:
        raise
    except DAMAGED as error:
        raise WeightsError(f"{name}: not a checkpoint, or a damaged one ({reason(error)}). {_AGAIN}") from error
    if not isinstance(content, dict):
        raise WeightsError(f"{name}: not a checkpoint; it holds a {type(content).__name__}, not tensors by name.")
    return content


def tensors_of(content: Mapping[str, Any]) -> Mapping[str, Any]:
    """The tensors by name inside the content of a checkpoint, where the frameworks put them; else the content."""
    for key in ("model", "state_dict"):
        found = content.get(key)
        if isinstance(found, Mapping):
            return found
    return content


def reason(error: Exception) -> str:
    """The first line of what ``error`` says, or its type; of PyTorch's long advice the cause alone."""
    text = str(error).rpartition("WeightsUnpickler error:")[2].strip()
    return text.splitlines()[0] if text else type(error).__name__


def _load_safetensors(path: Path, name: str) -> dict[str, Tensor]:
    # Eight bytes of length, and a header in JSON.
    try:
        from safetensors import SafetensorError
        from safetensors.torch import load_file
    except ModuleNotFoundError as error:
        missing = "is written by safetensors, which is not installed: pip install safetensors."
        raise WeightsError(f"{name}: {missing}") from error
    try:
        return load_file(path)
    except SafetensorError as error:
        what = f"not a file of safetensors, or a damaged one ({reason(error)})"
        raise WeightsError(f"{name}: {what}. {_AGAIN}") from error


def _load(path: Path) -> Any:  # noqa: ANN401, what the file holds
    allowed: list[Any] = [(value, name) for name, value in ALLOWED.items()]
    try:
        with torch.serialization.safe_globals(allowed):
            return with_arrays(torch.load(path, map_location="cpu", weights_only=True))
    except pickle.UnpicklingError as error:
        found = re.search(rf"(?:GLOBAL|{_WANTS}) (\S+)", str(error))
        if found is None:
            raise
        # PyTorch leaves out the module of Python's own functions.
        raise RefusedError(found[1] if "." in found[1] else f"builtins.{found[1]}") from error
