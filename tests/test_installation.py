"""What needs more than is installed says so; other modules that are missing are not taken for that."""

import importlib

import pytest

from bdd100k_d2.errors import MissingRuntimeError
from bdd100k_d2.installation import needs_detectron2


def test_what_is_missing_is_named() -> None:
    message = "^this needs PyTorch and Detectron2, and no_such_library is not installed; install them with: pip"
    with pytest.raises(MissingRuntimeError, match=message), needs_detectron2("this"):
        importlib.import_module("no_such_library")


def test_a_module_of_the_package_that_is_missing_is_a_mistake() -> None:
    with pytest.raises(ModuleNotFoundError) as caught, needs_detectron2("this"):
        importlib.import_module("bdd100k_d2.no_such_module")
    assert not isinstance(caught.value, MissingRuntimeError)


def test_other_errors_stay_what_they_are() -> None:
    with pytest.raises(ValueError, match="^something$"), needs_detectron2("this"):
        raise ValueError("something")
