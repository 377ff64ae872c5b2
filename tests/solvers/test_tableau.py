"""The coefficients satisfy the equations that define the order of a method."""

import itertools
from fractions import Fraction
from functools import lru_cache
from math import prod

import pytest

from latentode.solvers import METHODS

# Decimal coefficients, as Tsitouras published his, are exact to their last digit only.
ROUNDING = Fraction(1, 10**13)
# An order less than the method's costs nothing: its errors do not add up over the steps.
DENSE_ORDER = {"rk4": 3, "dopri5": 4, "tsit5": 4, "kvaerno5": 4}
PAIRS = [name for name, tableau in METHODS.items() if tableau.error]


@lru_cache
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


def stage_weights(tree, a):
    """Give the elementary weight of the tree at every stage (Hairer, Norsett, Wanner I, II.2)."""
    branches = [stage_weights(branch, a) for branch in tree]
    sums = [
        [sum(x * w for x, w in zip(row, weights, strict=False)) for row in a]
        for weights in branches
    ]
    return [prod((s[i] for s in sums), start=Fraction(1)) for i in range(len(a))]


def residual(b, tree, a, exact):
    return sum(x * w for x, w in zip(b, stage_weights(tree, a), strict=False)) - exact


def test_there_are_as_many_trees_as_the_books_say():
    assert [len(trees(n)) for n in range(1, 6)] == [1, 1, 2, 4, 9]


@pytest.mark.parametrize("tableau", METHODS.values(), ids=METHODS)
def test_a_method_has_its_order(tableau):
    for n in range(1, tableau.order + 1):
        for tree in trees(n):
            exact = Fraction(1, density(tree))
            assert abs(residual(tableau.a[-1], tree, tableau.a, exact)) < ROUNDING


@pytest.mark.parametrize("tableau", METHODS.values(), ids=METHODS)
def test_a_method_has_no_higher_order_than_it_says(tableau):
    n = tableau.order + 1
    residuals = [residual(tableau.a[-1], x, tableau.a, Fraction(1, density(x))) for x in trees(n)]
    assert max(map(abs, residuals)) > 1e-6


@pytest.mark.parametrize("name", PAIRS)
def test_the_error_estimate_vanishes_up_to_one_order_less(name):
    tableau = METHODS[name]
    for n in range(1, tableau.order):
        for tree in trees(n):
            assert abs(residual(tableau.error, tree, tableau.a, 0)) < ROUNDING
    highest = [residual(tableau.error, tree, tableau.a, 0) for tree in trees(tableau.order)]
    assert max(map(abs, highest)) > 1e-6


@pytest.mark.parametrize("tableau", METHODS.values(), ids=METHODS)
@pytest.mark.parametrize("theta", [Fraction(1, 3), Fraction(7, 10)])
def test_the_dense_output_has_its_order(tableau, theta):
    b = [sum(w * theta ** (p + 1) for p, w in enumerate(row)) for row in tableau.dense]
    for n in range(1, DENSE_ORDER.get(tableau.name, tableau.order) + 1):
        for tree in trees(n):
            exact = theta**n / density(tree)
            assert abs(residual(b, tree, tableau.a, exact)) < ROUNDING


@pytest.mark.parametrize("tableau", METHODS.values(), ids=METHODS)
def test_the_dense_output_ends_where_the_step_ends(tableau):
    ends = [sum(row) for row in tableau.dense]
    result = (*tableau.a[-1], 0)[: len(ends)]  # an explicit last stage has no weight of its own
    assert max(abs(x - y) for x, y in zip(ends, result, strict=True)) < ROUNDING


@pytest.mark.parametrize("tableau", METHODS.values(), ids=METHODS)
def test_nodes_are_the_sums_of_their_rows(tableau):
    for c, row in zip(tableau.c, tableau.a, strict=True):
        assert abs(c - sum(row)) < ROUNDING
