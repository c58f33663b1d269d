"""The toolkit's table, summary and file, from literals and, where it is installed, from the toolkit itself."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bdd100k_d2.errors import OutputError
from bdd100k_d2.evaluation.metrics.coco_scores import METRICS
from bdd100k_d2.evaluation.toolkit_format import (
    ToolkitScores,
    official_detection,
    official_segmentation,
    summary,
    table,
    write_toolkit_scores,
)
from bdd100k_d2.tasks import TASKS

NAN = float("nan")
PANOPTIC: ToolkitScores = {
    "PQ": [{"road": 98.76, "car": 0.0}, {"STUFF": 98.76, "THING": 0.0}, {"OVERALL": 49.38}],
    "NUM": [{"road": 1, "car": 1}, {"STUFF": 1, "THING": 1}, {"OVERALL": 12}],
}


def test_the_table() -> None:
    scores = {
        "AP": [{"car": 12.34, "train": NAN}, {"OVERALL": 12.34}],
        "AP50": [{"car": 99.96, "train": NAN}, {"OVERALL": 99.96}],
        "pAcc": 3.0,
    }
    assert table(scores).splitlines() == [
        "          AP  AP50",
        "------------------",
        "car     12.3 100.0",
        "train     -     - ",
        "------------------",
        "OVERALL 12.3 100.0",
    ]


def test_the_table_of_groups_and_counts() -> None:
    assert table(PANOPTIC).splitlines() == [
        "          PQ  NUM",
        "-----------------",
        "road    98.8    1",
        "car      0.0    1",
        "-----------------",
        "STUFF   98.8    1",
        "THING    0.0    1",
        "-----------------",
        "OVERALL 49.4   12",
    ]


def test_the_summary() -> None:
    assert summary(PANOPTIC) == {
        "PQ/STUFF": 98.76,
        "PQ/THING": 0.0,
        "PQ": 49.38,
        "NUM/STUFF": 1,
        "NUM/THING": 1,
        "NUM": 12,
    }
    assert summary({"IoU": [{"road": 1.0}, {"AVERAGE": 2.0}], "pAcc": 3.0}) == {"mIoU": 2.0, "pAcc": 3.0}
    assert summary({"AP": [{"car": 1.0}, {"OVERALL": 2.0}]}) == {"AP": 2.0}


def random_scores(task: str, seed: int) -> ToolkitScores:
    """Scores from 0 to 100, a third of them absent; every second time whole columns are."""
    rng = np.random.default_rng(seed)

    def values(n: int) -> np.ndarray:
        numbers = rng.choice([0, 100, 5.05, 0.25], n) if rng.random() < 0.3 else rng.uniform(0, 100, n)
        return np.where(rng.random(n) < (1 if seed % 2 and rng.random() < 0.3 else 1 / 3), NAN, numbers)

    if task == "sem_seg":
        return official_segmentation(TASKS[task], rng.integers(0, 99, (19, 20)))
    if task == "pan_seg":
        groups = (TASKS[task].names, ("STUFF", "THING"), ("OVERALL",))
        count = [dict(zip(group, rng.integers(0, 10**seed, len(group)).tolist(), strict=True)) for group in groups]
        scores = {
            metric: [dict(zip(group, rng.uniform(0, 100, len(group)).tolist(), strict=True)) for group in groups]
            for metric in ("PQ", "SQ", "RQ")
        }
        return scores | {"N" if seed % 2 else "NUM": count}
    return official_detection({metric: values(len(TASKS[task].names) + 1) for metric in METRICS}, TASKS[task].names)


def toolkit_result(task: str, scores: ToolkitScores) -> Any:  # noqa: ANN401, the toolkit is not always there
    pytest.importorskip("bdd100k", reason="the official toolkit is not installed: pip install -e .[toolkit]")
    from bdd100k.eval import pan_seg as bitmasks
    from scalabel.eval import detect, pan_seg, sem_seg

    results = {"det": detect.DetResult, "ins_seg": detect.DetResult, "sem_seg": sem_seg.SegResult}
    panoptic = pan_seg.PanSegResult if "NUM" in scores else bitmasks.PanSegResult
    return results.get(task, panoptic)(**scores)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("task", ["det", "ins_seg", "sem_seg", "pan_seg"])
def test_the_toolkit_prints_and_writes_the_same(task: str, seed: int, tmp_path: Path) -> None:
    scores = random_scores(task, seed)
    result = toolkit_result(task, scores)
    assert f"\n{table(scores)}\n" == str(result)
    overall = {key: value for key, value in result.summary().items() if not key.startswith("AP/")}
    np.testing.assert_equal(summary(scores), overall)
    assert list(summary(scores)) == list(overall)
    write_toolkit_scores(scores, tmp_path / "ours.json")
    # As bdd100k.eval.run writes its --out-file.
    (tmp_path / "theirs.json").write_text(json.dumps(dict(result), indent=2))
    assert (tmp_path / "ours.json").read_bytes() == (tmp_path / "theirs.json").read_bytes()


def test_scores_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"scores.json: cannot be written"):
        write_toolkit_scores(PANOPTIC, tmp_path / "file" / "scores.json")
