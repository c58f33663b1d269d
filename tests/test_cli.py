from argparse import ArgumentTypeError
from collections.abc import Callable

import pytest

from bdd100k_d2.cli import count, positive, share


def test_numbers_are_read() -> None:
    assert (count("0"), count("12"), positive("1"), share("0"), share("0.25"), share("1")) == (0, 12, 1, 0.0, 0.25, 1.0)


@pytest.mark.parametrize(
    ("kind", "text", "message"),
    [
        (count, "-1", "-1 is negative"),
        (count, "1.5", "1.5 is no whole number"),
        (positive, "0", "0 is not positive"),
        (positive, "many", "many is no whole number"),
        (share, "1.01", "1.01 is not between 0 and 1"),
        (share, "nan", "nan is not between 0 and 1"),
        (share, "half", "half is no number"),
    ],
)
def test_other_texts_are_refused(kind: Callable[[str], float], text: str, message: str) -> None:
    with pytest.raises(ArgumentTypeError, match=f"^{message}$"):
        kind(text)
