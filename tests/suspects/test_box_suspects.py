"""Planted errors of boxes are the first suspects, each with the change that mends it."""

from collections import Counter
from pathlib import Path

import pytest
from support.suspect_sets import FREE, PLACES, detected_frames, sound_frames, write_suspect_set

from bdd100k_d2.data.labels import Box2D, Frame, Label, write_frames
from bdd100k_d2.errors import ConfigError, DataError
from bdd100k_d2.suspects.find import SuspectOptions, find_suspects

QUICK = SuspectOptions(workers=1)


def test_each_planted_error_is_found_with_its_remedy(tmp_path: Path) -> None:
    files = write_suspect_set(tmp_path)
    found = find_suspects("det", files.truth, [files.predicted], None, QUICK)
    first = {one.kind: one for one in found.suspects[:4]}
    assert set(first) == {"missing label", "phantom", "class", "placement"}
    added, removed = first["missing label"].change, first["phantom"].change
    assert (added.frame, added.action, added.category) == ("003.jpg", "add", "car")
    assert max(abs(one - other) for one, other in zip(added.box, PLACES[0], strict=True)) <= 1
    assert (removed.frame, removed.action, removed.label.place, removed.label.id) == ("005.jpg", "remove", 4, "9")
    renamed, moved = first["class"].change, first["placement"].change
    assert (renamed.frame, renamed.label.place, renamed.category) == ("007.jpg", 0, "car")
    assert (moved.frame, moved.action, moved.label.place) == ("009.jpg", "move", 2)
    assert max(abs(one - other) for one, other in zip(moved.box, PLACES[2], strict=True)) <= 1
    assert all(0.3 < one.score <= 1 for one in first.values())
    # Nothing else is as likely.
    assert all(one.score < 0.2 for one in found.suspects[4:])
    assert found.num_frames == 60 and found.boxes["005.jpg"][4] == ("truck", tuple(map(float, FREE)))


def test_sound_labels_have_no_likely_suspects(tmp_path: Path) -> None:
    write_frames(sound_frames(), tmp_path / "truth.json")
    write_frames(detected_frames(), tmp_path / "run.json")
    found = find_suspects("det", tmp_path / "truth.json", [tmp_path / "run.json"], None, QUICK)
    assert all(one.score < 0.2 for one in found.suspects)


def test_a_second_model_supports_or_acquits(tmp_path: Path) -> None:
    files = write_suspect_set(tmp_path)
    alone = find_suspects("det", files.truth, [files.predicted], None, QUICK).suspects
    write_frames(detected_frames(seed=1), tmp_path / "second.json")
    both = find_suspects("det", files.truth, [files.predicted, tmp_path / "second.json"], None, QUICK).suspects
    assert {one.kind for one in both[:4]} == {"missing label", "phantom", "class", "placement"}
    # Each place that both find is a suspect once.
    assert sum(one.change.frame == "003.jpg" and one.kind == "missing label" for one in both) == 1
    frames = detected_frames(seed=1)
    del frames[3].labels[0]
    frames[5].labels.append(Label("9", "truck", 0.9, box2d=Box2D(*map(float, FREE))))
    write_frames(frames, tmp_path / "second.json")
    split = find_suspects("det", files.truth, [files.predicted, tmp_path / "second.json"], None, QUICK).suspects

    def score(suspects: list, kind: str, frame: str) -> float:
        return max((one.score for one in suspects if (one.kind, one.change.frame) == (kind, frame)), default=0.0)

    assert score(split, "missing label", "003.jpg") < score(alone, "missing label", "003.jpg")
    assert score(split, "phantom", "005.jpg") < score(alone, "phantom", "005.jpg")


def test_crowds_and_frames_without_detections_have_no_phantoms(tmp_path: Path) -> None:
    files = write_suspect_set(tmp_path)
    frames = sound_frames()
    frames[5].labels.append(Label("9", "other vehicle", box2d=Box2D(*map(float, FREE))))
    write_frames(frames, files.truth)
    found = detected_frames()
    found[11].labels = []
    write_frames(found, files.predicted)
    suspects = find_suspects("det", files.truth, [files.predicted], None, QUICK).suspects
    assert not [one for one in suspects if one.kind == "phantom" and one.change.frame in ("005.jpg", "011.jpg")]


def test_a_class_is_named_as_the_file_names_it(tmp_path: Path) -> None:
    files = write_suspect_set(tmp_path)
    text = files.truth.read_text().replace('"pedestrian"', '"person"')
    files.truth.write_text(text)
    frames = detected_frames()
    frames[20].labels.append(Label("9", "pedestrian", 0.99, box2d=Box2D(*map(float, FREE))))
    write_frames(frames, files.predicted)
    suspects = find_suspects("det", files.truth, [files.predicted], None, QUICK).suspects
    (added,) = [one for one in suspects if one.change.frame == "020.jpg" and one.kind == "missing label"]
    assert added.change.category == "person"


def test_only_the_kinds_and_the_number_that_are_asked_for(tmp_path: Path) -> None:
    files = write_suspect_set(tmp_path)
    for kinds in (("phantom", "class"), ("placement",), ("missing label",)):
        options = SuspectOptions(len(kinds), kinds, workers=1)
        suspects = find_suspects("det", files.truth, [files.predicted], None, options).suspects
        assert Counter(one.kind for one in suspects) == dict.fromkeys(kinds, 1)


def test_own_classes(tmp_path: Path) -> None:
    files = write_suspect_set(tmp_path)
    options = SuspectOptions(classes=("truck", "car"), workers=1)
    suspects = find_suspects("det", files.truth, [files.predicted], None, options).suspects
    assert {one.change.category for one in suspects} <= {None, "car", "truck"}
    (renamed,) = [one for one in suspects if one.kind == "class"]
    assert renamed.change.label.place == 0
    # The place is that in the file, where labels of other classes are left out.
    (removed,) = [one for one in suspects if one.kind == "phantom" and one.change.frame == "005.jpg"]
    assert removed.change.label.place == 4


def test_bad_inputs_are_refused(tmp_path: Path) -> None:
    files = write_suspect_set(tmp_path)
    with pytest.raises(ConfigError, match="no predictions are given"):
        find_suspects("det", files.truth, [], None, QUICK)
    with pytest.raises(ConfigError, match="a prior of 0 is no share"):
        find_suspects("det", files.truth, [files.predicted], None, QUICK._replace(prior=0.0))
    with pytest.raises(ConfigError, match="no suspects of ins_seg"):
        find_suspects("ins_seg", files.truth, [files.predicted], None, QUICK)
    with pytest.raises(DataError, match="none of the 60 predicted frames"):
        write_frames([Frame(f"x{frame.name}", labels=frame.labels) for frame in detected_frames()], files.predicted)
        find_suspects("det", files.truth, [files.predicted], None, QUICK)
    with pytest.raises(DataError, match="has no score"):
        find_suspects("det", files.truth, [files.truth], None, QUICK)
    with pytest.raises(DataError, match="no such folder"):
        find_suspects("det", files.truth, [files.predicted], tmp_path / "nowhere", QUICK)
