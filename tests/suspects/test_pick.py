"""Images to label next: unsure, rare and different ones, in a list that predict.py and register_slice take."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from support.commands import run_tool
from support.frames import make_frame, write_image
from support.prediction_models import config_file, detector
from support.result_files import detected

import bdd100k_d2
from bdd100k_d2.data.labels import ImageSize, write_frames
from bdd100k_d2.data.selection import selection
from bdd100k_d2.errors import ConfigError, DataError, OutputError
from bdd100k_d2.predict.inputs import InputImages, find_input
from bdd100k_d2.suspects.pick import pick_images, write_list

LEFT, RIGHT = (100.0, 300.0, 199.0, 399.0), (1000.0, 300.0, 1099.0, 399.0)


def write_predictions(folder: Path) -> Path:
    """Sure cars but for an unsure one, a train, and a copy of the train's frame."""
    frames = [detected(f"{i}.jpg", ("car", 0.99, LEFT)) for i in range(6)]
    frames += [
        detected("unsure.jpg", ("car", 0.5, LEFT), ("car", 0.5, RIGHT)),
        detected("train.jpg", ("train", 0.7, RIGHT)),
        detected("train2.jpg", ("train", 0.7, RIGHT)),
    ]
    write_frames(frames, folder / "det.json")
    return folder / "det.json"


def test_the_unsure_and_the_rare_come_first_and_copies_last(tmp_path: Path) -> None:
    picked = pick_images(write_predictions(tmp_path), 9, workers=1)
    names = [one.name for one in picked]
    assert set(names[:2]) == {"unsure.jpg", "train.jpg"}
    assert len(set(names)) == 9 and names.index("train2.jpg") > 2
    by_name = {one.name: one for one in picked}
    assert by_name["unsure.jpg"].uncertainty == 1.0 and by_name["train.jpg"].rarity == 1.0
    assert by_name["train2.jpg"].distance == 0.0


def test_what_is_labelled_is_not_picked_nor_its_like(tmp_path: Path) -> None:
    predicted = write_predictions(tmp_path)
    write_frames([make_frame("train.jpg", ("train", *RIGHT))], tmp_path / "labels.json")
    names = [one.name for one in pick_images(predicted, 2, [tmp_path / "labels.json"], workers=1)]
    assert names[0] == "unsure.jpg" and "train.jpg" not in names
    with pytest.raises(DataError, match="8 of its 9 images are not labelled, and 9 are to be picked"):
        pick_images(predicted, 9, [tmp_path / "labels.json"], workers=1)
    with pytest.raises(ConfigError, match="0 images are none to pick"):
        pick_images(predicted, 0)


def test_predictions_without_scores_are_refused(tmp_path: Path) -> None:
    write_frames([make_frame("a.jpg", ("car", *LEFT))], tmp_path / "labels.json")
    with pytest.raises(DataError, match="has no score"):
        pick_images(tmp_path / "labels.json", 1, workers=1)


def test_the_list_is_an_input_of_predict_and_the_names_of_a_slice(tmp_path: Path) -> None:
    picked = pick_images(write_predictions(tmp_path), 2, workers=1)
    for one in picked:
        write_image(tmp_path / "data/images" / one.name)
    (tmp_path / "lists").mkdir()
    out = tmp_path / "lists/next.txt"
    write_list(picked, out, tmp_path / "data/images")
    assert out.read_text() == "".join(f"../data/images/{one.name}\n" for one in picked)
    found = find_input(str(out), tmp_path / "results")
    assert isinstance(found, InputImages)
    assert [path.resolve() for path in found.paths.values()] == [tmp_path / "data/images" / one.name for one in picked]
    records = [{"file_name": f"/elsewhere/{name}.jpg"} for name in ("0", "train", "unsure", "train2")]
    chosen = selection("slice", str(out), None, None, None, 0)
    assert {Path(one["file_name"]).name for one in chosen.named(records, "slice")} == {one.name for one in picked}
    (tmp_path / "data/images" / picked[1].name).unlink()
    with pytest.raises(OutputError, match="is there already"):
        write_list(picked, out, None)
    out.unlink()
    with pytest.raises(
        DataError, match=f"1 of 2 images are not there, the first is {picked[1].name}; give the folder that has them"
    ):
        write_list(picked, out, tmp_path / "data/images")
    with pytest.raises(OutputError, match="would overwrite"):
        write_list(picked, tmp_path / "det.json", None, [tmp_path / "det.json"])


def test_sizes_that_predictions_do_not_state_are_those_of_the_images(tmp_path: Path) -> None:
    corner, small = (0.0, 0.0, 30.0, 30.0), (100.0, 60.0, 150.0, 90.0)
    frames = [
        detected("a.jpg", ("car", 0.9, corner), ("car", 0.9, small)),
        detected("b.jpg", ("car", 0.6, small)),
        detected("c.jpg", ("bus", 0.7, corner)),
    ]
    write_frames([make_frame("d.jpg", ("car", *small))], tmp_path / "labels.json")
    labelled = [tmp_path / "labels.json"]
    for frame in frames:
        frame.size = ImageSize(160, 96)
        write_image(tmp_path / "images" / frame.name)
    write_frames(frames, tmp_path / "stated.json")
    for frame in frames:
        frame.size = None
    write_frames(frames, tmp_path / "unstated.json")
    stated = pick_images(tmp_path / "stated.json", 3, labelled, workers=1)
    unstated = tmp_path / "unstated.json"
    assert pick_images(unstated, 3, labelled, workers=1, images=tmp_path / "images") == stated
    # Taken for 1280x720, b has another distance to the labelled one, whose size is stated.
    assert next(one.distance for one in stated if one.name == "b.jpg") == pytest.approx(0.3188, abs=1e-4)
    assert pick_images(unstated, 3, labelled, workers=1) != stated


def test_the_list_and_why_are_two_new_files(tmp_path: Path) -> None:
    predicted = write_predictions(tmp_path)

    def refused(*words: object) -> str:
        run = run_tool("pick", "--pred", predicted, "--pick", 1, *words)
        assert run.returncode == 1, run.stderr
        return run.stderr

    assert "n.txt: is to be two files, the list and why; choose another place" in refused(
        "--out", tmp_path / "n.txt", "--json", tmp_path / f"../{tmp_path.name}/n.txt"
    )
    assert not (tmp_path / "n.txt").exists()
    (tmp_path / "why.json").write_text("mine")
    assert "why.json: is there already; choose a new place" in refused(
        "--out", tmp_path / "n.txt", "--json", tmp_path / "why.json"
    )
    assert (tmp_path / "why.json").read_text() == "mine" and not (tmp_path / "n.txt").exists()


def test_a_list_without_images_has_names(tmp_path: Path) -> None:
    picked = pick_images(write_predictions(tmp_path), 1, workers=1)
    write_list(picked, tmp_path / "next.txt", None)
    assert (tmp_path / "next.txt").read_text() == f"{picked[0].name}\n"
    assert json.loads(json.dumps(picked[0]._asdict()))["name"] == picked[0].name


def test_images_differ_by_features_of_a_model_where_it_is_asked_for(tmp_path: Path) -> None:
    names = [f"{i}.jpg" for i in range(4)]
    write_frames([detected(name, ("car", 0.5, LEFT)) for name in names], tmp_path / "det.json")
    write_frames([make_frame("known.jpg", ("car", *LEFT))], tmp_path / "labels.json")
    for folder, files in (("images", names), ("known", ["known.jpg"])):
        for name in files:
            write_image(tmp_path / folder / name)
    places = {"0.jpg": 0.0, "1.jpg": 3.0, "2.jpg": 3.0, "3.jpg": 1.0, "known.jpg": 0.0}

    def features_of(paths: Sequence[Path]) -> np.ndarray:
        return np.array([[places[path.name]] for path in paths], np.float32)

    picked = pick_images(
        tmp_path / "det.json",
        4,
        [tmp_path / "labels.json"],
        workers=1,
        images=tmp_path / "images",
        features_of=features_of,
        labelled_images=tmp_path / "known",
    )
    assert [(one.name, one.distance) for one in picked] == [
        ("1.jpg", 3.0),
        ("3.jpg", 1.0),
        ("0.jpg", 0.0),
        ("2.jpg", 0.0),
    ]
    with pytest.raises(
        DataError, match=r"images: 1 of 1 images are not there, the first is known.jpg; give the folder"
    ):
        pick_images(
            tmp_path / "det.json",
            1,
            [tmp_path / "labels.json"],
            workers=1,
            images=tmp_path / "images",
            features_of=features_of,
        )
    with pytest.raises(ConfigError, match="features of a model are of images; give their folder with --images"):
        pick_images(tmp_path / "det.json", 1, workers=1, features_of=features_of)


def test_the_command_takes_the_features_of_a_config(tiny_root: Path, tmp_path: Path) -> None:
    bdd100k_d2.register_all(tiny_root)
    config = config_file(detector(tmp_path), tmp_path)
    images = tiny_root / "bdd100k/images/100k/val"
    names = sorted(path.name for path in images.iterdir())
    write_frames([detected(name, ("car", 0.5, (10.0, 10.0, 40.0, 40.0))) for name in names], tmp_path / "det.json")
    words = ["--pred", tmp_path / "det.json", "--pick", 3, "--out", tmp_path / "next.txt"]
    more = ["--images", images, "--json", tmp_path / "why.json", "--config-file", config]
    run = run_tool("pick", *words, *more, env={"DETECTRON2_DATASETS": str(tiny_root)})
    assert run.returncode == 0, run.stderr
    distances = [one["distance"] for one in json.loads((tmp_path / "why.json").read_text())]
    # What is predicted in them is the same; what is seen is not.
    assert distances[0] == 0 and all(0 < one <= 2 for one in distances[1:])
    for refused, message in (
        (["--config-file", config], "give their folder with --images"),
        (["--images", images, "--labelled-images", images], "are for --config-file, which is not given"),
    ):
        run = run_tool("pick", *words, *refused)
        assert run.returncode == 2 and message in run.stderr
