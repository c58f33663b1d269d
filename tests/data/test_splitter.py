import json
from pathlib import Path

import pytest

from bdd100k_d2.data.splitter import read_part, split_frames

NASTY = [
    {"a": 'bracket ] brace } quote " backslash \\ },{"a":'},
    {"a": {"b\\": ['\\"', '"', "\\\\", "[{", "ä"], "c": {"d": [[], {}, [[1]]]}}},
    {"a": {}},
    {"a": '\\\\\\"]}'},
]


def parts_of(path: Path, size: int) -> list[bytes]:
    return [read_part(path, *part) for part in split_frames(path, size)]


@pytest.mark.parametrize("indent", (None, 1))
@pytest.mark.parametrize("wrapped", (False, True))
@pytest.mark.parametrize("size", (1, 30, 31, 47, 64, 10_000))
def test_frames_come_whole(tmp_path: Path, size: int, wrapped: bool, indent: int | None) -> None:
    document = {"frames": NASTY * 5, "config": {"x": [1]}} if wrapped else NASTY * 5
    path = tmp_path / "labels.json"
    path.write_text(json.dumps(document, indent=indent, ensure_ascii=False), encoding="utf-8")
    parts = [json.loads(part) for part in parts_of(path, size)]
    assert [frame for part in parts for frame in part] == NASTY * 5
    assert len(parts) == 1 if size == 10_000 else len(parts) > 5


def test_parts_have_about_the_size_that_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "labels.json"
    path.write_text(json.dumps([{"name": str(i)} for i in range(10_000)]))
    parts = parts_of(path, 1000)
    assert all(1000 < len(part) < 1030 for part in parts[:-1])


def test_an_empty_list(tmp_path: Path) -> None:
    path = tmp_path / "labels.json"
    for text in ("[]", " [ ] ", '{"frames": []}', ' { "frames":[ ], "config": [] } '):
        path.write_text(text)
        assert [json.loads(part) for part in parts_of(path, 5)] == [[]]


@pytest.mark.parametrize(
    "text",
    (
        *("", "5", '{"name": 1}', '[{"a": 1}', '[{"a": 1}, 5', '[{"a": 1}]]', '[{"a": 1} 7]', '[{}{"a": "]', "[{}] x"),
        *('{"frames": [{}]', '{"frames": [{}]} 5', '{"frames": [{}], "a"}', '{"config": 1, "frames": [{}]}'),
    ),
)
def test_what_is_no_list_of_frames_has_no_parts_or_bad_ones(tmp_path: Path, text: str) -> None:
    path = tmp_path / "labels.json"
    path.write_text(text)
    parts = parts_of(path, 5)
    for part in parts:
        with pytest.raises(json.JSONDecodeError):
            json.loads(part)
    assert len(parts) == (text in ('[{"a": 1}]]', '[{"a": 1} 7]', '[{}{"a": "]'))


def test_a_file_that_is_not_there_has_no_parts(tmp_path: Path) -> None:
    assert split_frames(tmp_path / "labels.json", 5) == []
