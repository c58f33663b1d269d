"""Reading YAML: plain values, and an error of one line for whatever else a file holds."""

from pathlib import Path

import pytest

from bdd100k_d2.errors import DataError
from bdd100k_d2.yaml_file import read_yaml

BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 10)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)


def test_a_document_is_read_with_a_byte_order_mark_and_an_anchor(tmp_path: Path) -> None:
    path = tmp_path / "data.yaml"
    path.write_text("\ufeffnames: &n [car, bus]\nagain: *n\n", encoding="utf-8")
    assert read_yaml(path) == {"names": ["car", "bus"], "again": ["car", "bus"]}
    path.write_text("")
    assert read_yaml(path) is None


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (BOMB.encode(), "its aliases amount to more than 100,000 values"),
        (b"a: &a [*a]\n", "an alias stands inside of what it stands for"),
        (b"a: 2001-99-99\n", "no usable YAML (month must be in 1..12)"),
        (b"a: !!int abc\n", "no usable YAML (invalid literal for int"),
        (b"a: !!int ''\n", "no usable YAML (string index out of range)"),
        (b"a: !!bool maybe\n", "no usable YAML ('maybe')"),
        (b"a: !!python/object/apply:os.system [ls]\n", "no usable YAML (could not determine a constructor"),
        (b"? [a, b]\n: {c: d}\n? {e: f}\n: 1\n", "no usable YAML (while constructing a mapping"),
        (b"[" * 5000, "it is nested too deeply"),
        (b"a: b: c\n", "no usable YAML (mapping values are not allowed here"),
        (b"a: 1\n--- \nb: 2\n", "no usable YAML (expected a single document"),
        (b"a: \x1b[31m\n", "no usable YAML (unacceptable character"),
        (b"\xe9\n", "not a text file in UTF-8; save it as one."),
        (b"#" * ((1 << 20) + 1), "larger than 1 MiB"),
    ],
)
def test_a_bad_document_is_one_line(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "data.yaml"
    path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        read_yaml(path)
    text = str(caught.value)
    assert text.startswith(f"{path}: ")
    assert message in text
    assert "\n" not in text


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none.yaml: cannot be read \(No such file or directory\)"):
        read_yaml(tmp_path / "none.yaml")
