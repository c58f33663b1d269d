"""The section on two runs, and its files, for every task."""

import csv
import io
import math
import re
from pathlib import Path

import pytest
from oracles.make_oracles import CASES, FOLDER

from bdd100k_d2.errors import ConfigError
from bdd100k_d2.evaluation.files.evaluate import evaluate_files
from bdd100k_d2.evaluation.toolkit_format import flat_scores
from bdd100k_d2.report.analysis.differences import ComparedPart, Comparison, Difference
from bdd100k_d2.report.comparison_files import as_csv, as_markdown
from bdd100k_d2.report.results.page import PageOptions, write_results_page
from bdd100k_d2.tasks import TASKS


def rows_of(page: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO((page.parent / "assets/comparison.csv").read_text())))


@pytest.mark.parametrize("name", ["det", "ins_seg", "ins_seg_rle", "sem_seg", "drivable", "pan_seg", "pan_seg_rle"])
def test_every_task_is_compared_with_the_official_scores(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    truth, predicted = FOLDER / case.truth, FOLDER / case.predicted
    scores = FOLDER / case.score_file if case.score_file else None
    # Against itself, for there is one prediction of each problem.
    options = PageOptions(bootstrap=3, workers=1, score_file=scores, baseline_score_file=scores)
    page = write_results_page(case.task, truth, predicted, tmp_path / "page", baseline=predicted, options=options)
    official = evaluate_files(case.task, truth, predicted, score_file=scores, workers=1)
    expected = flat_scores(official.official | official.extra_metrics)
    rows = [row for row in rows_of(page) if row["attribute"] == "all frames" and row["run"]]
    assert rows
    for row in rows:
        key = row["metric"], "" if row["class"] == "all classes" else row["class"]
        assert float(row["run"]) == pytest.approx(expected[key], abs=1e-6)
        assert row["baseline"] == row["run"] and row["verdict"] in ("equal", "unknown")
    text = page.read_text(encoding="utf-8")
    assert "Against the baseline" in text and 'href="assets/comparison.md"' in text
    assert ('id="frames"' in text) == (TASKS[case.task].form != "bitmasks")


def test_a_page_of_instances_stands_alone(tmp_path: Path) -> None:
    folder = FOLDER / "pan_seg"
    options = PageOptions(bootstrap=5, workers=1)
    page = write_results_page("pan_seg", folder / "gt", folder / "pred", tmp_path / "page", options=options)
    text = page.read_text(encoding="utf-8")
    assert "Against the baseline" not in text and not (tmp_path / "page/assets/comparison.csv").exists()
    first = re.search(r'<ul class="headline">.*?<span>(.*?)</span>', text, re.DOTALL)[1]
    assert first == "PQ"


def test_the_bitmasks_of_a_baseline_need_scores_of_their_own(tmp_path: Path) -> None:
    folder = FOLDER / "ins_seg"
    options = PageOptions(bootstrap=0, workers=1, score_file=folder / "score.json")
    with pytest.raises(ConfigError, match="need the file of their scores too; give it with --baseline-score-file"):
        paths = folder / "gt", folder / "pred", tmp_path / "page"
        write_results_page("ins_seg", *paths, baseline=folder / "pred", options=options)
    assert not (tmp_path / "page/index.html").exists()


def test_an_older_comparison_goes_with_its_page(tmp_path: Path) -> None:
    folder, out = FOLDER / "pan_seg", tmp_path / "page"
    options = PageOptions(bootstrap=0, workers=1)
    write_results_page("pan_seg", folder / "gt", folder / "pred", out, baseline=folder / "gt", options=options)
    assert "No intervals were computed" in (out / "index.html").read_text(encoding="utf-8")
    write_results_page("pan_seg", folder / "gt", folder / "pred", out, options=options)
    assert not [*out.glob("assets/*")]


def comparison() -> Comparison:
    overall = {"AP": Difference(31.25, 30.0, 0.5, 2.0), "AP50": Difference(50.0, 51.0, -2.5, 0.5)}
    unknown = Difference(math.nan, 3.0, math.nan, math.nan)
    classes = {"AP": {"car": overall["AP"], "=a|b": unknown}, "AP50": {"car": overall["AP50"], "=a|b": unknown}}
    part = ComparedPart("all frames", "", 1200, overall, classes)
    return Comparison(TASKS["det"], 1000, 1200, (part, part._replace(attribute="weather", value="rainy")))


def test_the_csv_has_every_difference() -> None:
    rows = list(csv.reader(io.StringIO(as_csv(comparison()))))
    assert rows[1] == [
        *("all frames", "", "1200", "all classes", "AP"),
        *("31.250000", "30.000000", "1.250000", "0.500000", "2.000000", "better"),
    ]
    assert len(rows) == 1 + 2 * 6
    # What a spreadsheet would take for a formula is a text.
    assert rows[4][3:] == ["'=a|b", "AP", "", "3.000000", "", "", "", "unknown"]


def test_the_markdown_has_a_table_of_slices_and_one_of_classes() -> None:
    lines = as_markdown(comparison()).splitlines()
    assert lines[2] == "| all frames | 1,200 | 31.2 | 30.0 | **+1.2 [+0.5, +2.0]** | 50.0 | 51.0 | -1.0 [-2.5, +0.5] |"
    assert lines[3].startswith("| weather: rainy | 1,200 |")
    assert "| =a\\|b | - | 3.0 | - |" in lines
    assert lines[-1].endswith("over 1,200 frames (1,000 draws). Bold: 0 is not in the interval.")
