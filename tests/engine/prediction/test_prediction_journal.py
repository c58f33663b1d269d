from pathlib import Path

import pytest

from bdd100k_d2.engine.prediction.journal import FILE_NAME, FrameLine, Journal, Settings, whole_batches
from bdd100k_d2.errors import ConfigError, DataError, OutputError

SETTINGS = Settings("det", "/in", "abc", "w.pth", None, None, False, 1, False)
LINE = FrameLine("a.jpg", (720, 1280), [(1.1, 2.0, 3.5, 4.25)], [2], [0.1 + 0.2])


def write(folder: Path, *lines: FrameLine) -> bytes:
    with Journal(folder, SETTINGS, resume=False) as journal:
        for line in lines:
            journal.append(line)
    return (folder / FILE_NAME).read_bytes()


def test_lines_come_back_to_the_last_digit_and_later_ones_replace_earlier_ones(tmp_path: Path) -> None:
    write(tmp_path, FrameLine("b.jpg", error="damaged"), LINE, FrameLine("b.jpg", (9, 16), [], [], []))
    with Journal(tmp_path, SETTINGS, resume=True) as journal:
        assert journal.lines == {"a.jpg": LINE, "b.jpg": FrameLine("b.jpg", (9, 16), [], [], [])}


def test_a_run_that_was_killed_while_it_wrote_goes_on_before_that_line(tmp_path: Path) -> None:
    whole = write(tmp_path, LINE, LINE)
    ends = [i + 1 for i, byte in enumerate(whole) if byte == ord("\n")]
    other = FrameLine("b.jpg", (9, 16), [], [], [])
    for cut in (*range(0, len(whole), 17), *(end + i for end in ends for i in (-1, 0))):
        (tmp_path / FILE_NAME).write_bytes(whole[:cut])
        with Journal(tmp_path, SETTINGS, resume=True) as journal:
            assert journal.lines == ({"a.jpg": LINE} if cut >= ends[1] else {})
            journal.append(other)
        with Journal(tmp_path, SETTINGS, resume=True) as journal:
            assert journal.lines["b.jpg"] == other


def test_without_resume_a_record_begins_anew(tmp_path: Path) -> None:
    write(tmp_path, LINE)
    with Journal(tmp_path, SETTINGS, resume=False) as journal:
        assert journal.lines == {}
    assert (tmp_path / FILE_NAME).read_bytes().count(b"\n") == 1


def test_other_settings_are_refused(tmp_path: Path) -> None:
    write(tmp_path, LINE)
    other = Settings("det", "/in", "abc", "w.pth", 0.5, None, False, 1, False)
    with pytest.raises(
        ConfigError, match=r"frames.jsonl: the run had score_thr None, now it is 0.5; go on with the same"
    ):
        Journal(tmp_path, other, resume=True)


@pytest.mark.parametrize("content", [b"[]\n", b'{"task": 1}\n', b"\xff\xfe\n"])
def test_what_is_no_record_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE_NAME).write_bytes(content)
    with pytest.raises(DataError, match="frames.jsonl: not the record of a run"):
        Journal(tmp_path, SETTINGS, resume=True)


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="the output folder cannot be written .* choose another one"):
        Journal(tmp_path / "file", SETTINGS, resume=False)


def done(*sizes: int | None) -> dict[str, FrameLine]:
    """Frames "0", "1", ... of these heights; None for one that cannot be read."""
    return {
        str(i): FrameLine(str(i), error="damaged") if size is None else FrameLine(str(i), (size, 9))
        for i, size in enumerate(sizes)
    }


@pytest.mark.parametrize(
    ("sizes", "total", "batch_size", "expected"),
    [
        ((5, 5, 5), 9, 1, "012"),
        ((5, 5, 5), 9, 2, "01"),
        ((5, 5, 5), 3, 2, "012"),  # the last batch of the run was smaller
        ((5, None, 5, 5), 9, 2, "02"),  # what cannot be read takes no place in a batch
        ((5, 6, 6, 6), 9, 2, "012"),  # where the size changes a new batch begins
        ((), 9, 4, ""),
    ],
)
def test_batches_that_were_finished(sizes: tuple[int | None, ...], total: int, batch_size: int, expected: str) -> None:
    names = [str(i) for i in range(total)]
    assert whole_batches(done(*sizes), names, batch_size) == set(expected)
