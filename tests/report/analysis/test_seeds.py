import json
import math
import shutil
from pathlib import Path

import pytest
from support.run_folders import DET_SCORES, write_det_run

from bdd100k_d2.report.analysis.seeds import difference_of_means, seed_tables, spread
from bdd100k_d2.report.page import write_runs_page
from bdd100k_d2.report.run import read_run


def shifted(by: float) -> dict:
    return {
        metric: [{name: value + by for name, value in classes.items()}, {"OVERALL": overall["OVERALL"] + by}]
        for metric, (classes, overall) in DET_SCORES.items()
    }


@pytest.fixture
def folders(tiny_root: Path, tmp_path: Path) -> list[Path]:
    """Three seeds of one recipe, and two of one with another learning rate."""
    made = []
    for i, (by, rate, seed) in enumerate([(0, 0.02, 1), (1, 0.02, 2), (2, 0.02, 3), (9, 0.01, 1), (10, 0.01, 2)]):
        folder = write_det_run(tmp_path / f"run{i}", scores=shifted(by))
        config = folder / "config.yaml"
        text = config.read_text().replace("BASE_LR: 0.02", f"BASE_LR: {rate}")
        config.write_text(f"{text}SEED: {seed}\nOUTPUT_DIR: {folder}\n")
        made.append(folder)
    return made


def test_the_spread_of_runs() -> None:
    one = spread([30.0, 31.0, 32.0])
    # Student's 97.5 % quantile of 2 degrees of freedom is 4.303.
    assert (one.mean, one.deviation) == (31.0, 1.0)
    assert one.high - 31 == pytest.approx(4.303 / 3**0.5) == pytest.approx(31 - one.low)
    alone = spread([30.0])
    assert alone.mean == 30.0 and all(map(math.isnan, alone[2:]))


def test_the_difference_of_means_is_welchs() -> None:
    run, baseline = spread([10.0, 12.0, 11.0, 13.0]), spread([1.0, 1.5, 2.0])
    # scipy.stats.ttest_ind([10, 12, 11, 13], [1, 1.5, 2], equal_var=False).confidence_interval(0.95)
    value, low, high = difference_of_means(run, baseline)
    assert (value, low, high) == pytest.approx((10.0, 8.0510, 11.9490), abs=0.005)
    assert difference_of_means(run, spread([1.0])) is None


def test_runs_of_one_recipe_stand_together(folders: list[Path], tiny_root: Path) -> None:
    (table,) = seed_tables([read_run(folder, tiny_root) for folder in folders])
    assert table.dataset == "bdd100k_det_val"
    first, second = table.groups
    assert (first.names, second.names) == (("run0", "run1", "run2"), ("run3", "run4"))
    assert first.scores["AP", ""].mean == pytest.approx(36.58) and not first.differences
    assert second.differences["AP", ""][0] == pytest.approx(8.5)
    assert second.scores["AP", "car"].values == pytest.approx((71.5, 72.5))
    assert ("AP", "train") not in first.scores


def test_the_page_shows_mean_and_spread(folders: list[Path], tiny_root: Path, tmp_path: Path) -> None:
    page = write_runs_page(folders, tmp_path / "page", tiny_root, max_frames=1).read_text(encoding="utf-8")
    assert "36.6 ± 1.0" in page and '<span>45.1 ± 0.7</span><span class="change' in page.replace("\n", "")
    assert "+8.5" in page
    alone = write_runs_page(folders[:1], tmp_path / "alone", tiny_root, max_frames=1).read_text(encoding="utf-8")
    assert "Runs together" not in alone


def test_runs_that_are_all_alike_have_no_interval() -> None:
    alike, other = spread([20.8, 20.8, 20.8]), spread([30.1, 30.1, 30.1])
    assert alike.deviation == 0 and math.isnan(alike.low) and math.isnan(alike.high)
    assert difference_of_means(other, alike) is None
    assert difference_of_means(other, spread([20.0, 21.0])) == pytest.approx((9.6, 9.6 - 6.353, 9.6 + 6.353))


def test_a_training_counts_once(
    folders: list[Path], tiny_root: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for folder, name in zip(folders, "abcde", strict=True):
        (folder / "run.json").write_text(json.dumps([{"run": "before", "seed": 1}, {"run": name}]))
    copy = tmp_path / "copied"
    shutil.copytree(folders[0], copy)
    link = tmp_path / "link"
    link.symlink_to(folders[1])
    given = [*folders, copy, folders[0], link]
    page = write_runs_page(given, tmp_path / "page", tiny_root, max_frames=1).read_text(encoding="utf-8")
    assert "36.6 ± 1.0" in page and page.count('<section class="run" id="run-') == 6
    assert caplog.messages == [
        f"{folders[0]}: given before, as {folders[0]}; it is shown and counted once.",
        f"{link}: given before, as {folders[1]}; it is shown and counted once.",
        f"{copy}: the same training as {folders[0]} (run.json); it counts once.",
    ]
    (table,) = seed_tables([read_run(folder, tiny_root) for folder in (folders[0], copy, folders[3])])
    assert [group.names for group in table.groups] == [("run0",), ("run3",)]


def test_runs_of_one_seed_are_warned_about(
    folders: list[Path], tiny_root: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A copy without a run.json is none that could be known."""
    copy = tmp_path / "copied"
    shutil.copytree(folders[0], copy)
    (copy / "run.json").write_text("{")
    (table,) = seed_tables([read_run(folder, tiny_root) for folder in (folders[0], copy)])
    assert table.groups[0].names == ("run0", "copied")
    told = "all of SEED 1, so their spread is none of seeds; train with others, and leave copies out."
    assert caplog.messages[1:] == [f"{folders[0]}, {copy}: {told}"]
    assert caplog.messages[0].startswith(f"{copy / 'run.json'}: unreadable (")
