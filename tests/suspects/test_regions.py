"""Wrong regions of masks are the first suspects, and are repainted in a copy."""

import json
from pathlib import Path

import cv2
import msgspec
import numpy as np
import pytest

from bdd100k_d2.data.masks import read_mask
from bdd100k_d2.errors import DataError, OutputError
from bdd100k_d2.suspects.correct import apply_decisions
from bdd100k_d2.suspects.decisions import Decision, Decisions, label_source
from bdd100k_d2.suspects.find import SuspectOptions, find_suspects
from bdd100k_d2.suspects.records import Suspect
from bdd100k_d2.tasks import TASKS

TASK = TASKS["sem_seg"]
IDS = {name: i for i, name in enumerate(TASK.names)}
QUICK = SuspectOptions(workers=1)


def write_masks(folder: Path) -> tuple[Path, Path]:
    """Thirty frames of sky, building and road; the model misses the borders; in two a labelled region is wrong."""
    truth, predicted = folder / "truth", folder / "run"
    truth.mkdir()
    predicted.mkdir()
    rng = np.random.default_rng(0)
    for i in range(30):
        mask = np.full((240, 320), IDS["sky"], np.uint8)
        mask[80:] = IDS["building"]
        mask[160:] = IDS["road"]
        found = np.roll(mask, int(rng.integers(-6, 7)), axis=0)
        found[:10], found[-10:] = IDS["sky"], IDS["road"]
        if i == 4:
            mask[170:230, 100:200] = IDS["sidewalk"]
        if i == 8:
            mask[90:150, :] = 255
            mask[10:60, 40:140] = IDS["wall"]
        cv2.imwrite(str(truth / f"{i:02d}.png"), mask)
        cv2.imwrite(str(predicted / f"{i:02d}.png"), found)
    return truth, predicted


def decide(path: Path, truth: Path, suspects: list[Suspect]) -> Path:
    decisions = [Decision("accept", one.kind, one.score, one.change) for one in suspects]
    found = Decisions("bdd100k_d2 decisions 1", "sem_seg", label_source(truth), decisions)
    path.write_bytes(msgspec.json.encode(found))
    return path


def test_wrong_regions_come_first(tmp_path: Path) -> None:
    truth, predicted = write_masks(tmp_path)
    found = find_suspects("sem_seg", truth, [predicted], None, QUICK)
    first = {one.change.frame: one for one in found.suspects[:2]}
    assert set(first) == {"04", "08"}
    assert (first["04"].change.old, first["04"].change.category) == ("sidewalk", "road")
    assert first["04"].label_box == (100, 170, 199, 229)
    assert (first["08"].change.old, first["08"].change.category) == ("wall", "sky")
    assert first["08"].label_box == (40, 10, 139, 59)
    assert "6,000 pixels are labelled sidewalk and predicted road" in first["04"].evidence
    # Along the borders a model is often wrong.
    assert all(4 * one.score < min(first["04"].score, first["08"].score) for one in found.suspects[2:])


def test_models_that_disagree_say_nothing(tmp_path: Path) -> None:
    truth, predicted = write_masks(tmp_path)
    other = tmp_path / "other"
    other.mkdir()
    for path in sorted(predicted.iterdir()):
        cv2.imwrite(str(other / path.name), read_mask((truth if path.stem == "04" else predicted) / path.name))
    found = find_suspects("sem_seg", truth, [predicted, other], None, QUICK)
    assert [one.change.frame for one in found.suspects[:1]] == ["08"]
    assert not [one for one in found.suspects if one.change.frame == "04"]


def test_accepted_regions_are_repainted_in_a_copy(tmp_path: Path) -> None:
    truth, predicted = write_masks(tmp_path)
    suspects = find_suspects("sem_seg", truth, [predicted], None, QUICK).suspects[:2]
    before = {path.name: path.read_bytes() for path in truth.iterdir()}
    decisions = decide(tmp_path / "decisions.json", truth, suspects)
    log = apply_decisions(TASK, truth, decisions, tmp_path / "corrected")
    assert {path.name: path.read_bytes() for path in truth.iterdir()} == before
    copied = {path.name: path.read_bytes() for path in (tmp_path / "corrected").iterdir()}
    assert {name for name in before if copied[name] != before[name]} == {"04.png", "08.png"} and len(copied) == 30
    old, new = (read_mask(folder / "04.png") for folder in (truth, tmp_path / "corrected"))
    assert (new[170:230, 100:200] == IDS["road"]).all() and np.count_nonzero(old != new) == 6000
    changes = json.loads(log.read_text())["changes"]
    entry = next(one for one in changes if one["frame"] == "04")
    assert (entry["before"], entry["after"], entry["pixels"]) == ("sidewalk", "road", 6000)
    with pytest.raises(OutputError, match="is there already"):
        apply_decisions(TASK, truth, decisions, tmp_path / "corrected")


def test_decisions_that_do_not_fit_masks_are_refused(tmp_path: Path) -> None:
    truth, predicted = write_masks(tmp_path)
    (one, *_) = find_suspects("sem_seg", truth, [predicted], None, QUICK).suspects
    out = tmp_path / "corrected"
    for fields, message in (
        ({"frame": "99"}, "no mask of frame 99"),
        ({"old": "fence"}, "is not all fence"),
        ({"category": "pudding"}, "names the class pudding"),
        ({"action": "add"}, "add is of boxes"),
    ):
        wrong = one._replace(change=msgspec.structs.replace(one.change, **fields))
        decisions = decide(tmp_path / "decisions.json", truth, [wrong])
        with pytest.raises(DataError, match=message):
            apply_decisions(TASK, truth, decisions, out)
        assert not out.exists()
