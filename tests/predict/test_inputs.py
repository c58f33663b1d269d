import logging
from pathlib import Path

import pytest

from bdd100k_d2.errors import DataError
from bdd100k_d2.predict.inputs import InputImages, InputVideo, find_input


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def names(found: InputImages | InputVideo) -> list[str]:
    assert isinstance(found, InputImages)
    return list(found.paths)


def test_an_image(tmp_path: Path) -> None:
    touch(tmp_path / "Street.JPG")
    assert find_input(str(tmp_path / "Street.JPG")) == InputImages({"Street.JPG": tmp_path / "Street.JPG"})


def test_a_folder_with_those_in_it_in_order_of_their_paths(tmp_path: Path) -> None:
    touch(tmp_path / "b" / "2.png", tmp_path / "a.jpg", tmp_path / "c" / "d" / "1.webp", tmp_path / "notes.md")
    touch(tmp_path / ".hidden.jpg", tmp_path / ".cache" / "x.jpg")
    assert names(find_input(str(tmp_path))) == ["a.jpg", "2.png", "1.webp"]
    with pytest.raises(DataError, match="no image matches"):
        find_input(str(tmp_path / ".h*"))


def test_the_output_folder_is_no_input(tmp_path: Path) -> None:
    touch(tmp_path / "a.jpg", tmp_path / "out" / "overlays" / "a.jpg")
    assert names(find_input(str(tmp_path), tmp_path / "out")) == ["a.jpg"]
    assert names(find_input(str(tmp_path / "**" / "*.jpg"), tmp_path / "out")) == ["a.jpg"]


def test_results_are_no_input_where_the_output_is_the_input(tmp_path: Path) -> None:
    touch(tmp_path / "a.jpg", *(tmp_path / name / "a.png" for name in ("masks", "bitmasks", "overlays")))
    touch(tmp_path / "more" / "masks" / "b.png")
    for text in (tmp_path, tmp_path / "**" / "*.*g"):
        assert names(find_input(str(text), tmp_path)) == ["a.jpg", "b.png"]


def test_images_of_one_name_are_named_by_their_folders(tmp_path: Path) -> None:
    touch(tmp_path / "a" / "x.jpg", tmp_path / "b" / "c" / "x.jpg", tmp_path / "b" / "y.jpg")
    assert find_input(str(tmp_path)).paths == {
        "a__x.jpg": tmp_path / "a" / "x.jpg",
        "b__c__x.jpg": tmp_path / "b" / "c" / "x.jpg",
        "y.jpg": tmp_path / "b" / "y.jpg",
    }


def test_names_that_differ_in_their_endings_alone_would_have_one_mask(tmp_path: Path) -> None:
    touch(tmp_path / "a" / "x.jpg", tmp_path / "b" / "x.png")
    assert names(find_input(str(tmp_path))) == ["a__x.jpg", "b__x.png"]
    touch(tmp_path / "a" / "x.png")
    with pytest.raises(DataError, match=r"a/x.jpg and .*a/x.png: the results of both would be called a__x; rename one"):
        find_input(str(tmp_path))


def test_a_name_that_another_image_has_already(tmp_path: Path) -> None:
    touch(tmp_path / "a" / "x.jpg", tmp_path / "b" / "x.jpg", tmp_path / "a__x.jpg")
    with pytest.raises(DataError, match="would be called a__x"):
        find_input(str(tmp_path))


def test_a_pattern(tmp_path: Path) -> None:
    touch(tmp_path / "a1.jpg", tmp_path / "a2.jpg", tmp_path / "b.jpg", tmp_path / "a3.txt", tmp_path / "d" / "a4.jpg")
    assert names(find_input(str(tmp_path / "a*"))) == ["a1.jpg", "a2.jpg"]
    assert names(find_input(str(tmp_path / "**" / "a*.jpg"))) == ["a1.jpg", "a2.jpg", "a4.jpg"]


def test_a_list(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    touch(tmp_path / "in" / "a.jpg", tmp_path / "b.jpg")
    (tmp_path / "list.txt").write_text(f"# mine\n{tmp_path / 'b.jpg'}\n\n  in/a.jpg \nin/gone.jpg\nin/a.jpg\n")
    with caplog.at_level(logging.WARNING):
        found = find_input(str(tmp_path / "list.txt"))
    # In the order of the list, relative to its folder; what is not there shows when it is read.
    assert found.paths == {
        "b.jpg": tmp_path / "b.jpg",
        "a.jpg": tmp_path / "in" / "a.jpg",
        "gone.jpg": tmp_path / "in" / "gone.jpg",
    }
    assert "list.txt: 1 paths that stand there again are left out" in caplog.text


def test_a_video_and_a_camera(tmp_path: Path) -> None:
    touch(tmp_path / "drive.MP4")
    video = find_input(str(tmp_path / "drive.MP4"))
    assert video == InputVideo(tmp_path / "drive.MP4", "drive") and not video.is_camera
    assert video.frame_name(0) == "drive-0000001.jpg"
    assert find_input("2") == InputVideo(2, "camera2") and find_input("2").is_camera


def test_a_folder_named_as_a_number_is_no_camera(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path / "0" / "a.jpg")
    monkeypatch.chdir(tmp_path)
    assert names(find_input("0")) == ["a.jpg"]


def test_videos_in_a_folder_are_left_out_with_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    touch(tmp_path / "a.jpg", tmp_path / "b.mov", tmp_path / "c.mp4")
    with caplog.at_level(logging.WARNING):
        assert names(find_input(str(tmp_path))) == ["a.jpg"]
    assert "2 videos are left out" in caplog.text


def test_inputs_that_are_none(tmp_path: Path) -> None:
    touch(tmp_path / "videos" / "a.mp4", tmp_path / "data.csv")
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty.txt").write_text("# nothing\n")
    (tmp_path / "binary.txt").write_bytes(b"\xff\xd8\xff")
    (tmp_path / "nul.txt").write_bytes(b"a.jpg\nb\0.jpg\n")
    (tmp_path / "long.txt").write_text("x" * 100_000)
    (tmp_path / "home.txt").write_text("~nobody-of-here/a.jpg")
    (tmp_path / "root.txt").write_text("a.jpg\n/")
    (tmp_path / "up.txt").write_text("..")
    for text in ("", " ", "a\0b", "x" * 300, "~nobody-of-here/a.jpg"):
        with pytest.raises(DataError, match="--input holds '.*', which is no path"):
            find_input(text)
    for text, message in (
        ("gone.jpg", "gone.jpg: no such image, folder, video or list; give a path"),
        ("empty", "empty: no image in the folder or in those below it; give another one"),
        ("videos", "videos: no image in the folder .* videos are predicted one by one"),
        ("*.png", r"\*.png: no image matches; put the pattern in quotes"),
        ("empty.txt", "empty.txt: no path in the list; write one a line"),
        ("binary.txt", "binary.txt: the list cannot be read .* it is a text file"),
        ("nul.txt", r"nul.txt: the list holds 'b.x00.jpg', which is no path; give another one"),
        ("long.txt", r"long.txt: the list holds 'x+\.\.\.x+', which is no path; give another one"),
        ("home.txt", r"home.txt: the list holds '~nobody-of-here/a.jpg', which is no path \("),
        ("root.txt", r"root.txt: the list holds '/', which is no path of an image"),
        ("up.txt", r"up.txt: the list holds '.*/\.\.', which is no path of an image"),
        ("data.csv", "data.csv: neither an image, a video nor a list by its ending; known are .avi, .bmp"),
    ):
        with pytest.raises(DataError, match=message):
            find_input(str(tmp_path / text))


def test_a_list_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_bytes(b"\xef\xbb\xbfa.jpg\nb.jpg\n")
    assert names(find_input(str(tmp_path / "list.txt"))) == ["a.jpg", "b.jpg"]
