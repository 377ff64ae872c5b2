"""Checks of arguments: what they let pass, and what they say of the rest."""

import math

import numpy as np
import pytest

from latentode.solvers.checks import (
    check_choice,
    check_not_negative,
    check_part,
    check_positive,
    check_share,
    check_whole,
)


def test_a_choice_may_be_any_of_the_words_of_a_table():
    check_choice("head", "mlp", {"linear": 1, "mlp": 2})


@pytest.mark.parametrize("value", ["deep", None, 3, ["mlp"]])
def test_any_other_is_refused_with_the_words(value):
    with pytest.raises(ValueError, match=r"is not known: choose one of linear, mlp\."):
        check_choice("head", value, {"linear": 1, "mlp": 2})


@pytest.mark.parametrize("value", [1, 7, np.int64(2)])
def test_counts_are_whole(value):
    check_whole("n", value)


@pytest.mark.parametrize("value", [0, -1, 1.5, 2.0, math.nan, True, "3", None])
def test_what_is_no_count_is_refused(value):
    with pytest.raises(ValueError, match=rf"n={value} must be a whole number of at least 1\."):
        check_whole("n", value)


def test_a_count_may_begin_elsewhere():
    check_whole("n", 0, least=0)
    with pytest.raises(ValueError, match="n=1 must be a whole number of at least 2"):
        check_whole("n", 1, least=2)


BOUNDS = {
    check_positive: ([1e-12, 1, np.float32(3)], [0, -1, math.inf]),
    check_not_negative: ([0, 0.5, 9], [-1e-12, math.inf]),
    check_share: ([0, 0.5, 1.0], [-0.1, 1.1]),
    check_part: ([0, 0.5, 0.999], [-0.1, 1]),
}


@pytest.mark.parametrize("check", BOUNDS)
def test_numbers_within_bounds_pass_and_no_others(check):
    good, bad = BOUNDS[check]
    for value in good:
        check("x", value)
    for value in (*bad, math.nan, "0.5", None, True):
        with pytest.raises(ValueError, match=rf"^x={value} must be a"):
            check("x", value)
    with pytest.raises(ValueError, match=r"must be (a|at least)"):
        check("x", math.nan)
