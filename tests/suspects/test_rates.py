"""How rare an observation is, and how likely a label is wrong by that."""

import numpy as np
import pytest

from bdd100k_d2.suspects.rates import rate_at, rate_of, suspicion, together


def test_suspicion_is_bayes_rule_where_the_rate_is_high() -> None:
    score = suspicion(np.array([0.0, 0.05, 5.0, np.nan]), 0.05)
    assert score[0] == 1.0 and score[1] == pytest.approx(np.sqrt(0.5)) and score[3] == 0.0
    assert score[2] == pytest.approx(0.01, rel=1e-3)


def test_a_model_that_agrees_speaks_against_one_that_does_not() -> None:
    one, other = np.array([0.01, 0.04, np.nan]), np.array([np.nan, 0.01, np.nan])
    np.testing.assert_allclose(together([one, other]), [0.1, 0.02, np.nan])


def test_the_rate_falls_with_the_value_and_is_of_the_group() -> None:
    rng = np.random.default_rng(0)
    value = rng.uniform(0, 1, 4000)
    group = rng.integers(0, 2, 4000)
    # The second group is wrong half as often.
    is_wrong = rng.uniform(0, 1, 4000) < (1 - value) / (1 + group)
    rate = rate_at(value, is_wrong, group, 2)
    for one, most in ((0, 1.0), (1, 0.5)):
        order = np.argsort(value[group == one])
        of_group = rate[group == one][order]
        assert (np.diff(of_group) <= 1e-12).all()
        np.testing.assert_allclose(of_group[[100, 1000, 1900]], most * np.array([0.95, 0.5, 0.05]), atol=0.12)
    assert (rate > 0).all()


def test_a_group_of_few_has_the_rate_of_all() -> None:
    observed = np.array([[True]] * 10 + [[False]] * 90 + [[True]])
    group = np.array([0] * 100 + [1])
    rate = rate_of(observed, [group])
    pooled = 11.5 / 102
    np.testing.assert_allclose(rate[:100, 0], (10 + 10 * pooled) / 110)
    np.testing.assert_allclose(rate[100, 0], (1 + 10 * pooled) / 11)


def test_nothing_has_no_rate() -> None:
    nothing = np.zeros(0)
    assert len(rate_at(nothing, nothing.astype(bool), nothing.astype(int), 3)) == 0
    assert rate_of(np.zeros((0, 2), bool), [nothing.astype(int)]).shape == (0, 2)
