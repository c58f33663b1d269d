import numpy as np
import pytest

from bdd100k_d2.report.analysis.resampling import describe_bootstrap, estimates, resample


def test_a_mean_has_the_interval_of_statistics() -> None:
    values = np.random.default_rng(0).normal(50, 10, 400)
    low, high = resample(lambda weights: np.array([weights @ values / weights.sum()]), 400, 2000, 0)[:, 0]
    error = values.std() / 20
    assert low == pytest.approx(values.mean() - 1.96 * error, abs=0.1)
    assert high == pytest.approx(values.mean() + 1.96 * error, abs=0.1)


def test_every_draw_has_as_many_frames_as_there_are() -> None:
    seen = []
    resample(lambda weights: seen.append(weights) or np.zeros(1), 30, 20, 0)
    assert all(weights.sum() == 30 and (weights % 1 == 0).all() for weights in seen)
    assert len({weights.tobytes() for weights in seen}) == 20


def test_the_seed_decides_and_not_the_number_of_threads() -> None:
    def score(weights: np.ndarray) -> np.ndarray:
        return weights[:3]

    first = resample(score, 50, 40, 7)
    np.testing.assert_array_equal(first, resample(score, 50, 40, 7, workers=3))
    assert not np.array_equal(resample(lambda w: w @ np.arange(50.0)[:, None], 50, 40, 8), first[:, :1])


def test_draws_without_a_score_are_left_out() -> None:
    def score(weights: np.ndarray) -> np.ndarray:
        return np.array([np.nan, 5.0 if weights[0] else np.nan])

    ends = resample(score, 4, 50, 0)
    assert np.isnan(ends[:, 0]).all() and ends[:, 1].tolist() == [5.0, 5.0]


def test_no_rounds_leave_the_ends_open() -> None:
    ends = resample(lambda weights: weights[:2], 5, 0, 0)
    (first, second) = estimates(np.array([1.0, 2.0]), ends)
    assert (first.value, second.value) == (1, 2) and np.isnan([*first[1:], *second[1:]]).all()
    assert describe_bootstrap(0, 5) == "No intervals were computed."


def test_the_method_is_said() -> None:
    said = describe_bootstrap(500, 10_000)
    assert "500 times, 10,000 frames were drawn with replacement" in said
    assert "2.5 to the 97.5 percentile" in said and "seed 0" in said
