"""What tests of several models share."""

import pytest

from bdd100k_d2.modeling import deformable, roi_align


@pytest.fixture
def by_operators(monkeypatch: pytest.MonkeyPatch) -> None:
    """torchvision's operators in prediction too, as in what is exported, for numbers that are the same to the bit."""
    for module in (deformable, roi_align):
        monkeypatch.setattr(module, "takes_rows", lambda _: False)
