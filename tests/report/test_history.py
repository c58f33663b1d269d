import json
import logging
from pathlib import Path

import pytest

from bdd100k_d2.errors import DataError
from bdd100k_d2.report.run import read_history


def write(path: Path, *records: dict) -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "metrics.json"


def test_series_iterations_and_time(log: Path) -> None:
    history = read_history(
        write(
            log,
            {"iteration": 19, "total_loss": 3.5, "time": 0.5, "lr": 0.01},
            {"iteration": 39, "total_loss": 2, "time": 0.25},
        )
    )
    at, values = history.series("total_loss")
    assert at.tolist() == [19, 39] and values.tolist() == [3.5, 2]
    assert history.series("lr")[0].tolist() == [19]
    assert history.names() == ["total_loss", "time", "lr"]
    assert history.iterations == 40
    assert history.seconds == 20 * 0.5 + 20 * 0.25


def test_scores_of_the_last_iteration_come_on_a_line_of_their_own(log: Path) -> None:
    history = read_history(write(log, {"iteration": 39, "total_loss": 2.0}, {"iteration": 39, "bbox/AP": 31.5}))
    assert history.series("total_loss")[1].tolist() == [2.0]
    assert history.series("bbox/AP")[1].tolist() == [31.5]


def test_after_a_restart_the_later_values_count(log: Path) -> None:
    lines = [{"iteration": i, "total_loss": 1.0} for i in (19, 39, 59, 79)]
    history = read_history(write(log, *lines, {"iteration": 49, "total_loss": 7.0}))
    assert history.series("total_loss")[0].tolist() == [19, 39, 49]
    assert history.series("total_loss")[1].tolist() == [1, 1, 7]


def test_a_line_that_was_cut_off_is_skipped_and_reported(log: Path, caplog: pytest.LogCaptureFixture) -> None:
    write(log, {"iteration": 19, "total_loss": 3.0}, {"iteration": 39, "total_loss": 2.0})
    log.write_text(log.read_text()[:-9])
    with caplog.at_level(logging.WARNING):
        assert read_history(log).series("total_loss")[1].tolist() == [3.0]
    assert f"{log}: line 2" in caplog.text


def test_values_that_are_no_finite_number_are_left_out(log: Path) -> None:
    log.write_text(
        '{"iteration": 19, "bbox/AP-train": NaN, "note": "x", "flag": true, "total_loss": 1.0}\n'
        '{"iteration": 39, "bbox/AP-train": Infinity}\n'
    )
    history = read_history(log)
    assert history.series("bbox/AP-train")[0].shape == (0,)
    assert history.names() == ["bbox/AP-train", "total_loss"]


def test_a_log_of_evaluations_alone_has_no_training(log: Path) -> None:
    history = read_history(write(log, {"iteration": 99, "bbox/AP": 30.0}))
    assert history.iterations == 0 and history.seconds == 0


@pytest.mark.parametrize(
    "line",
    [
        "[" * 100_000,
        '{"iteration": 29, "x": ' + "[" * 100_000,
        '{"iteration": ' + "9" * 5000 + "}",
        '{"iteration": 1e3, "total_loss": 9}',
        '{"iteration": NaN, "total_loss": 9}',
        '{"iteration": true, "total_loss": 9}',
        '{"iteration": "29", "total_loss": 9}',
        '{"iteration": -29, "total_loss": 9}',
        '{"iteration": 99999999999999999999, "total_loss": 9}',
        '{"iteration": null}',
        '[{"iteration": 29}]',
        '{"total_loss": 9}',
    ],
)
def test_a_line_that_is_no_record_is_skipped_and_counted(
    log: Path, line: str, caplog: pytest.LogCaptureFixture
) -> None:
    good = '{"iteration": 19, "total_loss": 3.0}\n'
    log.write_text(f"{good}{line}\n{line}\n")
    with caplog.at_level(logging.WARNING):
        history = read_history(log)
    assert (history.iterations, history.series("total_loss")[1].tolist()) == (20, [3.0])
    assert caplog.messages == [f"{log}: line 2 is not a complete record and is skipped, as are 1 more."]


def test_what_no_plot_can_show_is_left_out(log: Path) -> None:
    values = {"total_loss": 10**400, "a": [1], "b": {"c": 1}, "d": -1e300, "\x1b[31m": 1.0, "x" * 999: 1.0, "time": 0.5}
    history = read_history(write(log, {"iteration": 19, **values}))
    assert history.names() == ["d", "time"] and history.series("d")[1].tolist() == []


@pytest.mark.parametrize("content", [b"", b"no json\n", b'[1, 2]\n{"loss": 3}\n', b"\xff\xfe"])
def test_a_file_without_a_record_is_refused_by_name(log: Path, content: bytes) -> None:
    log.write_bytes(content)
    with pytest.raises(DataError, match=r"metrics\.json: .*train"):
        read_history(log)
