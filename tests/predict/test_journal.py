import os
import tracemalloc
from contextlib import suppress
from pathlib import Path
from random import Random

import msgspec
import pytest

from bdd100k_d2.errors import BDD100KError, ConfigError, DataError, OutputError
from bdd100k_d2.predict.journal import (
    FILE_NAME,
    Entry,
    FileStamp,
    FrameLine,
    Journal,
    RunSettings,
    read_lines,
    read_settings,
    whole_batches,
)

SETTINGS = RunSettings("det", "images", None, "abc", "w.pth", None, None, False, 1, False)
SOURCE = ("/in/a.jpg", 9, 1)
LINE = FrameLine("a.jpg", SOURCE, (720, 1280), [(1.1, 2.0, 3.5, 4.25)], [2], [0.1 + 0.2])


def opened(
    folder: Path, resume: bool = True, settings: RunSettings = SETTINGS, source: FileStamp | None = SOURCE
) -> Journal:
    return Journal(folder, settings, resume, {"a.jpg": source} if source else {})


def lines(journal: Journal) -> dict[str, FrameLine]:
    return {name: journal.line(name) for name in journal.entries}


def write(folder: Path, *lines: FrameLine) -> bytes:
    with opened(folder, resume=False) as journal:
        journal.begin()
        for line in lines:
            journal.append(line)
    return (folder / FILE_NAME).read_bytes()


def test_lines_come_back_to_the_last_digit_and_later_ones_replace_earlier_ones(tmp_path: Path) -> None:
    write(tmp_path, FrameLine("b.jpg", error="damaged"), LINE, FrameLine("b.jpg", None, (9, 16), [], [], []))
    with opened(tmp_path) as journal:
        assert lines(journal) == {"a.jpg": LINE, "b.jpg": FrameLine("b.jpg", None, (9, 16), [], [], [])}


def test_the_settings_are_written_as_every_release_has_written_them(tmp_path: Path) -> None:
    settings = RunSettings("det", "/in/a.mp4, 9 bytes, 1", "a.mp4", "abc", "w.pth", None, ["car"], False, 1, False)
    with opened(tmp_path, resume=False, settings=settings) as journal:
        journal.begin()
    assert (tmp_path / FILE_NAME).read_bytes() == (
        b'{"task":"det","input":"/in/a.mp4, 9 bytes, 1","film":"a.mp4","config":"abc","weights":"w.pth",'
        b'"score_thr":null,"classes":["car"],"overlay":false,"batch_size":1,"amp":false}\n'
    )
    with opened(tmp_path, settings=settings) as journal:
        assert journal.entries == {}


def test_a_run_that_was_killed_while_it_wrote_goes_on_before_that_line(tmp_path: Path) -> None:
    whole = write(tmp_path, LINE, LINE)
    ends = [i + 1 for i, byte in enumerate(whole) if byte == ord("\n")]
    other = FrameLine("b.jpg", None, (9, 16), [], [], [])
    for cut in (*range(ends[0], len(whole), 17), *(end + i for end in ends[1:] for i in (-1, 0)), ends[0]):
        (tmp_path / FILE_NAME).write_bytes(whole[:cut])
        with opened(tmp_path) as journal:
            assert lines(journal) == ({"a.jpg": LINE} if cut >= ends[1] else {})
            journal.append(other)
        with opened(tmp_path) as journal:
            assert journal.line("b.jpg") == other


def test_without_resume_a_record_begins_anew(tmp_path: Path) -> None:
    write(tmp_path, LINE)
    with opened(tmp_path, resume=False) as journal:
        journal.begin()
        assert journal.entries == {}
    assert (tmp_path / FILE_NAME).read_bytes().count(b"\n") == 1


@pytest.mark.parametrize("source", [None, ("/other/a.jpg", 9, 1), ("/in/a.jpg", 8, 1), ("/in/a.jpg", 9, 2)])
def test_other_images_are_refused_and_the_record_stays(tmp_path: Path, source: FileStamp | None) -> None:
    content = write(tmp_path, LINE, FrameLine("gone.jpg", error="damaged"))
    with pytest.raises(ConfigError, match=r"1 of the images .* not in the input, .* or have changed, as a.jpg"):
        opened(tmp_path, source=source)
    assert (tmp_path / FILE_NAME).read_bytes() == content


def test_boxes_are_not_kept_in_memory(tmp_path: Path) -> None:
    columns = ([(1.5, 2.5, 3.5, 4.5)] * 100, [2] * 100, [0.123456789] * 100)
    with opened(tmp_path, resume=False) as journal:
        journal.begin()
        tracemalloc.start()
        for i in range(500):
            journal.append(FrameLine(f"{i}.jpg", None, (720, 1280), *([*column] for column in columns)))
        kept = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
    # A frame of 100 boxes takes some 10 KB as Python's numbers.
    assert kept / 500 < 1000


def test_other_settings_are_refused(tmp_path: Path) -> None:
    write(tmp_path, LINE)
    other = RunSettings("det", "images", None, "abc", "w.pth", 0.5, None, False, 1, False)
    with pytest.raises(
        ConfigError, match=r"frames.jsonl: the run had score_thr None, now it is 0.5; go on with the same"
    ):
        opened(tmp_path, settings=other)


OF_NO_TASK = msgspec.json.encode(msgspec.structs.replace(SETTINGS, task="weather")) + b"\n"


@pytest.mark.parametrize("content", [b"", b"[]\n", b'{"task": 1}\n', b"\xff\xfe\n", OF_NO_TASK])
def test_what_is_no_record_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE_NAME).write_bytes(content)
    with pytest.raises(DataError, match="frames.jsonl: not the record of a run"):
        opened(tmp_path)


HEAD = msgspec.json.encode(SETTINGS) + b"\n"
DEEP = b'{"x":' + b"[" * 100_000 + b"\n"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b'{"name":"../../a.jpg","size":[9,16]}', "no plain name"),
        (b'{"name":"/etc/passwd","error":"x"}', "no plain name"),
        (b'{"name":"a\\u0000.jpg","error":"x"}', "no plain name"),
        (b'{"name":"","error":"x"}', "no plain name"),
        (b'{"name":"a\xe9.jpg","error":"x"}', "utf-8|UTF-8"),
        (b'{"name":"a.jpg"}', "neither a size nor an error"),
        (b'{"name":"a.jpg","size":[-9,16]}', "-9 x 16 pixels"),
        (b'{"name":"a.jpg","size":[9]}', "Expected `array` of length 2"),
        (b'{"name":"a.jpg","size":[9,16],"corners":[[1,2,3,4]],"classes":[2],"scores":[]}', "1 boxes, 1 classes and 0"),
        (
            b'{"name":"a.jpg","size":[9,16],"corners":[[1,2,3,4]],"classes":[99],"scores":[1]}',
            "a class that det has",
        ),
        (
            b'{"name":"a.jpg","size":[9,16],"corners":[[1,2,3,4]],"classes":[-1],"scores":[1]}',
            "a class that det has",
        ),
        (b'{"name":"a.jpg","size":[9,16],"scores":[1e999]}', "out of range"),
        (b'{"name":"a.jpg","size":[9,%s]}' % (b"9" * 5000), "out of range"),
        (b"null", "Expected `object`"),
        (DEEP[:-1], "recursion|depth"),
    ],
)
def test_a_damaged_line_is_refused_by_its_number(tmp_path: Path, line: bytes, message: str) -> None:
    (tmp_path / FILE_NAME).write_bytes(HEAD + line + b"\n")
    with pytest.raises(DataError, match=rf"frames.jsonl: not the record of a run \(line 2: .*({message})"):
        opened(tmp_path)


@pytest.mark.parametrize("video", ["../a.mp4", "/tmp/a.mp4", "a.jpg", "", ".."])
def test_a_record_whose_video_leads_elsewhere_is_refused(tmp_path: Path, video: str) -> None:
    content = msgspec.json.encode(msgspec.structs.replace(SETTINGS, video=video)) + b"\n"
    (tmp_path / FILE_NAME).write_bytes(content)
    with pytest.raises(DataError, match="frames.jsonl: not the record of a run"):
        opened(tmp_path)


def test_whatever_is_changed_in_a_record_it_is_read_or_refused(tmp_path: Path) -> None:
    whole = write(tmp_path, LINE, FrameLine("b.jpg", error="damaged"), LINE)
    random = Random(0)
    for _ in range(1500):
        content = bytearray(whole)
        for _ in range(random.randint(1, 3)):
            place = random.randrange(len(content))
            content[place : place + random.choice((0, 1, 1, 9))] = random.choice((b"", b"\xff", b"[", b"9", b'"', b"-"))
        (tmp_path / FILE_NAME).write_bytes(content)
        with suppress(BDD100KError), opened(tmp_path) as journal:
            assert {*lines(journal)} <= {line.name for line, _ in read_lines(tmp_path / FILE_NAME)}


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="frames.jsonl: cannot be written .* choose another"):
        opened(tmp_path / "file", resume=False).begin()


def done(*sizes: int | None) -> dict[str, Entry]:
    """Frames "0", "1", ... of these heights; None for one that cannot be read."""
    return {str(i): Entry(None if size is None else (size, 9), 0, 0) for i, size in enumerate(sizes)}


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


@pytest.mark.parametrize("kind", ["hard link", "link"])
def test_a_record_that_has_another_name_is_copied_before_it_grows(tmp_path: Path, kind: str) -> None:
    whole = write(tmp_path / "copy", LINE) + b"{cut off"
    (tmp_path / "copy" / FILE_NAME).write_bytes(whole)
    (tmp_path / "mine").mkdir()
    if kind == "link":
        (tmp_path / "copy" / FILE_NAME).rename(tmp_path / "copy/mine.txt")
        (tmp_path / "copy" / FILE_NAME).symlink_to("mine.txt")
        other = tmp_path / "copy/mine.txt"
    else:
        other = tmp_path / "mine" / FILE_NAME
        os.link(tmp_path / "copy" / FILE_NAME, other)
    with opened(tmp_path / "copy") as journal:
        journal.append(FrameLine("b.jpg", error="damaged"))
        assert lines(journal) == {"a.jpg": LINE, "b.jpg": FrameLine("b.jpg", error="damaged")}
    assert other.read_bytes() == whole
    assert not (tmp_path / "copy" / FILE_NAME).is_symlink()
    assert [line.name for line, _ in read_lines(tmp_path / "copy" / FILE_NAME)] == ["a.jpg", "b.jpg"]


@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_a_record_that_is_no_file_is_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / FILE_NAME
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero")
    with pytest.raises(DataError, match=r"frames\.jsonl: not the record of a run \(line 1: .*it is no file\)"):
        read_settings(path)
