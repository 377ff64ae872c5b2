"""Series of two kinds."""

import pytest

from tests.supervised.trends import make_trends


@pytest.fixture(scope="session")
def trends():
    return make_trends()


@pytest.fixture
def df(trends):
    return trends[0]


@pytest.fixture
def labels(trends):
    return trends[1]
