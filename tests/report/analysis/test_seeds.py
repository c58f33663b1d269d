import math
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
    assert "36.6 ± 1.0" in page and "45.1 ± 0.7" in page and "+8.5" in page
    alone = write_runs_page(folders[:1], tmp_path / "alone", tiny_root, max_frames=1).read_text(encoding="utf-8")
    assert "Runs together" not in alone
