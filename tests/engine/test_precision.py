from collections.abc import Iterator

import pytest
import torch

from bdd100k_d2.engine import precision


@pytest.fixture(autouse=True)
def not_asked_before() -> Iterator[None]:
    precision.has_fast_bfloat16.cache_clear()
    yield
    precision.has_fast_bfloat16.cache_clear()


def cpu(monkeypatch: pytest.MonkeyPatch, capabilities: dict[str, bool] | None, *times: float) -> list[None]:
    """Lets PyTorch tell ``capabilities`` (None: an old one, which tells nothing) and a convolution take ``times``."""
    timed = []
    if capabilities is None:
        monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    else:
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)
    monkeypatch.setattr(precision, "_convolution_seconds", lambda: timed.append(None) or times)
    return timed


@pytest.mark.parametrize(
    ("capabilities", "fast"), [({"amx_bf16": True, "avx512_bf16": True}, True), ({"avx512_bf16": False}, False)]
)
def test_what_pytorch_tells_is_not_timed(
    monkeypatch: pytest.MonkeyPatch, capabilities: dict[str, bool], fast: bool
) -> None:
    timed = cpu(monkeypatch, capabilities)
    assert precision.has_fast_bfloat16() is fast
    assert not timed


@pytest.mark.parametrize("capabilities", [{"amx_bf16": False, "avx512_bf16": True}, {"sve_bf16": True}, None])
@pytest.mark.parametrize(("times", "fast"), [((2.0, 1.0), True), ((2.0, 1.9), False), ((1.0, 2.0), False)])
def test_the_rest_is_timed_once(
    monkeypatch: pytest.MonkeyPatch, capabilities: dict[str, bool] | None, times: tuple[float, float], fast: bool
) -> None:
    timed = cpu(monkeypatch, capabilities, *times)
    assert precision.has_fast_bfloat16() is fast
    assert precision.has_fast_bfloat16() is fast
    assert len(timed) == 1


def test_both_precisions_are_timed() -> None:
    single, half = precision._convolution_seconds()
    assert 0 < single < 10 and 0 < half < 10
