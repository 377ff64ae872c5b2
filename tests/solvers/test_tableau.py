"""The coefficients satisfy the equations that define the order of a method."""

import itertools
from fractions import Fraction
from functools import cache
from math import prod

import pytest

from latentode.solvers.methods import TABLEAUS

# Decimal coefficients, as Tsitouras published his, are exact to their last digit only.
ROUNDING = Fraction(1, 10**13)
# An order less than the method's costs nothing: its errors do not add up over the steps.
DENSE_ORDER = {"rk4": 3, "dopri5": 4, "tsit5": 4, "dop853": 7, "kvaerno5": 4}
# Up to which order the error estimate vanishes, where this is not one less than the method's: any
# that sees no error in a constant field vanishes up to order 1.
ERROR_ORDER = {"euler": 1, "dop853": 5, "implicit_euler": 1}
EVERY_METHOD = pytest.mark.parametrize("tableau", TABLEAUS.values(), ids=TABLEAUS)


@cache
def trees(order):
    """Give the rooted trees with this many nodes, each a sorted tuple of its branches."""
    if order == 1:
        return [()]
    found = set()
    for sizes in partitions(order - 1):
        for branches in itertools.product(*(trees(size) for size in sizes)):
            found.add(tuple(sorted(branches)))
    return sorted(found)


def partitions(n, largest=None):
    if n == 0:
        yield ()
    for first in range(min(n, largest or n), 0, -1):
        yield from ((first, *rest) for rest in partitions(n - first, first))


def size(tree):
    return 1 + sum(map(size, tree))


def density(tree):
    return size(tree) * prod(map(density, tree))


@cache
def stage_weights(tree, name):
    """Give the elementary weight of the tree at every stage (Hairer, Norsett, Wanner I, II.2)."""
    rows = TABLEAUS[name].a + TABLEAUS[name].extra
    branches = [stage_weights(branch, name) for branch in tree]
    sums = [
        [sum(x * w for x, w in zip(row, weights, strict=False) if x) for row in rows]
        for weights in branches
    ]
    return [prod((s[i] for s in sums), start=Fraction(1)) for i in range(len(rows))]


def worst(b, tableau, order, theta):
    """Give the largest residual of the conditions of this order on a state at ``t + theta h``."""
    residuals = [
        sum(x * w for x, w in zip(b, stage_weights(tree, tableau.name), strict=False) if x)
        - Fraction(theta) ** order / density(tree)
        for tree in trees(order)
    ]
    return max(map(abs, residuals))


def test_there_are_as_many_trees_as_the_books_say():
    assert [len(trees(n)) for n in range(1, 10)] == [1, 1, 2, 4, 9, 20, 48, 115, 286]


@EVERY_METHOD
def test_every_stage_has_its_coefficients(tableau):
    n_stages = len(tableau.c)
    assert len(tableau.a) == n_stages
    assert tableau.error is None or len(tableau.error) == n_stages
    assert [len(row) for row in tableau.extra] == [n_stages + e for e in range(len(tableau.extra))]
    assert len(tableau.extra_c) == len(tableau.extra)
    assert len(tableau.dense) == n_stages + len(tableau.extra)


@EVERY_METHOD
def test_the_last_stage_is_at_the_end_of_the_step(tableau):
    assert tableau.c[-1] == 1


@EVERY_METHOD
def test_a_method_has_its_order(tableau):
    for n in range(1, tableau.order + 1):
        assert worst(tableau.a[-1], tableau, n, theta=1) < ROUNDING


@EVERY_METHOD
def test_a_method_has_no_higher_order_than_it_says(tableau):
    assert worst(tableau.a[-1], tableau, tableau.order + 1, theta=1) > 1e-6


@pytest.mark.parametrize(
    "tableau", [t for t in TABLEAUS.values() if t.error], ids=lambda t: t.name
)
def test_the_error_estimate_vanishes_up_to_its_order_and_no_further(tableau):
    order = ERROR_ORDER.get(tableau.name, tableau.order - 1)
    for n in range(1, order + 1):
        assert worst(tableau.error, tableau, n, theta=0) < ROUNDING
    assert worst(tableau.error, tableau, order + 1, theta=0) > 1e-6


def test_the_lower_error_estimate_of_dop853_vanishes_up_to_order_3_and_no_further():
    tableau = TABLEAUS["dop853"]
    for n in range(1, 4):
        assert worst(tableau.error_low, tableau, n, theta=0) < ROUNDING
    assert worst(tableau.error_low, tableau, 4, theta=0) > 1e-6


@EVERY_METHOD
@pytest.mark.parametrize("theta", [Fraction(1, 9), Fraction(1, 3), Fraction(7, 10)])
def test_the_dense_output_has_its_order(tableau, theta):
    b = [sum(w * theta ** (p + 1) for p, w in enumerate(row)) for row in tableau.dense]
    for n in range(1, DENSE_ORDER.get(tableau.name, tableau.order) + 1):
        assert worst(b, tableau, n, theta) < ROUNDING


@EVERY_METHOD
def test_the_dense_output_ends_where_the_step_ends(tableau):
    ends = [sum(row) for row in tableau.dense]
    # An explicit last stage has no weight of its own in the result, nor do the extra ones.
    result = [*tableau.a[-1], *[0] * (len(ends) - len(tableau.a[-1]))]
    assert max(abs(x - y) for x, y in zip(ends, result, strict=True)) < ROUNDING


@EVERY_METHOD
def test_nodes_are_the_sums_of_their_rows(tableau):
    nodes, rows = tableau.c + tableau.extra_c, tableau.a + tableau.extra
    for c, row in zip(nodes, rows, strict=True):
        assert abs(c - sum(row)) < ROUNDING
