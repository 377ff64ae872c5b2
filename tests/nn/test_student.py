"""Student's t distribution has the distribution function of its density."""

import math

import pytest
import torch
from torch.distributions import Cauchy, Normal

from latentode.nn.student import Student

DF = torch.tensor([2.1, 3.0, 7.0, 30.0, 200.0], dtype=torch.float64)[:, None]
X = torch.tensor([-200.0, -5.0, -1.0, -0.01, 0.0, 0.3, 4.0, 40.0], dtype=torch.float64)


def student(df):
    return Student(df, torch.zeros_like(df), torch.ones_like(df))


def test_its_distribution_function_is_the_integral_of_its_density():
    x = torch.linspace(-3, 5, 20_001, dtype=torch.float64)
    for df in DF:
        p = student(df)
        integral = torch.trapezoid(p.log_prob(x).exp(), x)
        ends = p.cdf(x[[0, -1]])
        torch.testing.assert_close(ends[1] - ends[0], integral, rtol=1e-7, atol=0)


def test_it_is_known_for_one_and_for_two_degrees_of_freedom():
    torch.testing.assert_close(student(torch.ones(1).double()).cdf(X), Cauchy(0.0, 1.0).cdf(X))
    two = 0.5 + X / (2 * torch.sqrt(2 + X.square()))
    torch.testing.assert_close(student(torch.full((1,), 2.0).double()).cdf(X), two)


def test_many_degrees_of_freedom_are_normal():
    normal = Normal(0.0, 1.0).cdf(X)
    many = student(torch.tensor([1e7], dtype=torch.float64))
    torch.testing.assert_close(many.cdf(X), normal, rtol=0, atol=1e-7)


def test_its_tails_keep_their_digits():
    p = student(DF)
    torch.testing.assert_close(p.cdf(-X.abs()), 1 - p.cdf(X.abs()), rtol=0, atol=1e-15)
    # The tail falls as t^-df.
    far = torch.tensor([-1e4, -1e5], dtype=torch.float64)
    tail = student(DF[1]).cdf(far)
    assert tail[0] / tail[1] == pytest.approx(10.0**3, rel=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_quantile_undoes_the_distribution_function(dtype):
    level = torch.tensor([1e-5, 0.01, 0.3, 0.5, 0.95, 0.9999], dtype=dtype)
    df = DF.to(dtype)
    p = Student(df, torch.full_like(df, 3.0), torch.full_like(df, 0.5))
    tolerance = 1e-4 if dtype == torch.float32 else 1e-9
    torch.testing.assert_close(p.cdf(p.icdf(level)), level.expand(5, -1), rtol=tolerance, atol=0)


def test_a_location_and_a_scale_move_it():
    p = Student(torch.tensor(4.0), torch.tensor(10.0), torch.tensor(2.0))
    q = Student(torch.tensor(4.0), torch.tensor(0.0), torch.tensor(1.0))
    level = torch.tensor(0.9)
    assert float(p.icdf(level)) == pytest.approx(10 + 2 * float(q.icdf(level)), rel=1e-5)
    assert math.isclose(float(p.cdf(torch.tensor(10.0))), 0.5)
