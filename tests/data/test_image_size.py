"""The limit of an image's size, and how it is raised."""

import pytest

from bdd100k_d2.data.image_size import check_image_size
from bdd100k_d2.errors import ConfigError, DataError, shown


@pytest.mark.parametrize(("height", "width"), [(720, 1280), (1, 1), (10_000, 10_000), (1, 100_000_000)])
def test_a_size_within_the_limit_passes(height: int, width: int) -> None:
    check_image_size(height, width, "a.png")


@pytest.mark.parametrize(("height", "width"), [(10_001, 10_000), (10**30, 10**30)])
def test_a_larger_one_is_refused_with_the_way_out(monkeypatch: pytest.MonkeyPatch, height: int, width: int) -> None:
    with pytest.raises(DataError) as caught:
        check_image_size(height, width, "a.png:")
    assert str(caught.value) == (
        f"a.png: is {width}x{height} pixels, more than 100,000,000 in all; if it is that large, set "
        "BDD100K_MAX_PIXELS to more."
    )
    monkeypatch.setenv("BDD100K_MAX_PIXELS", "100010000")
    check_image_size(10_001, 10_000, "a.png:")


@pytest.mark.parametrize(("height", "width"), [(0, 1280), (720, 0), (-1, -1)])
def test_a_size_of_nothing_is_refused(height: int, width: int) -> None:
    with pytest.raises(DataError, match=f"a.png: is {width}x{height} pixels; an image has one or more each way."):
        check_image_size(height, width, "a.png:")


@pytest.mark.parametrize("text", ["many", "0", "-1", "1e9", "9" * 30])
def test_a_limit_that_is_no_number_is_named(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("BDD100K_MAX_PIXELS", text)
    with pytest.raises(ConfigError, match="BDD100K_MAX_PIXELS is"):
        check_image_size(1, 1, "a.png:")


def test_text_of_a_file_is_shown_in_one_harmless_line() -> None:
    assert shown("street 1.jpg") == "street 1.jpg"
    assert shown("a\x1b[31mred\nb\u202ec\udc80\0.jpg") == r"a\x1b[31mred\nb\u202ec\udc80\x00.jpg"
    assert shown("Straße.jpg") == "Straße.jpg"
    assert shown("x" * 1000) == "x" * 98 + "..." + "x" * 98
    assert len(shown(list(range(1000)), 50)) <= 50
