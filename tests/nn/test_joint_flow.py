"""Flows of rows of which variables may be missing: their inverses, and determinants."""

import torch

from latentode.nn import JointFlow


def bent(size=3, told_size=2, scale=0.4):
    """Give a flow that moves, in double precision."""
    torch.manual_seed(0)
    flow = JointFlow(size, told_size, 8).double().eval()
    for p in flow.parameters():
        torch.nn.init.normal_(p, std=scale)
    return flow


FLOW = bent()
X, TOLD = torch.randn(6, 3).double(), torch.randn(6, 2).double()
THERE = torch.tensor([[1, 1, 1], [1, 0, 1], [0, 1, 0]] * 2).bool()


@torch.no_grad()
def test_back_and_forth_is_where_one_was():
    z = FLOW.back(X, TOLD, THERE).z
    assert (z - X)[THERE].abs().mean() > 0.05
    torch.testing.assert_close(FLOW(z, TOLD, THERE), X, rtol=0, atol=1e-4)


def test_determinants_are_those_of_the_jacobian():
    for i, there in enumerate(THERE):
        row = slice(i, i + 1)
        jacobian = torch.autograd.functional.jacobian(
            lambda x, row=row: FLOW.back(x, TOLD[row], THERE[row]).z[0], X[row]
        )[:, 0]
        own = jacobian[there][:, there]
        exact = torch.linalg.slogdet(own).logabsdet
        log_det = FLOW.back(X, TOLD, THERE).log_det[i]
        torch.testing.assert_close(log_det, exact, rtol=0, atol=1e-4)


@torch.no_grad()
def test_a_variable_that_is_not_there_stays_and_none_else_feels_it():
    other = torch.where(THERE, X, X + 5)
    for carried in (FLOW, lambda *args: FLOW.back(*args).z):
        assert torch.equal(carried(X, TOLD, THERE)[~THERE], X[~THERE])
        moved = carried(other, TOLD, THERE)
        assert torch.equal(moved[THERE], carried(X, TOLD, THERE)[THERE])


@torch.no_grad()
def test_points_of_a_row_are_carried_as_they_are_alone():
    many = FLOW(X.expand(4, 6, 3).transpose(0, 1), TOLD, THERE)
    torch.testing.assert_close(many, FLOW(X, TOLD, THERE)[:, None].expand(-1, 4, -1))


@torch.no_grad()
def test_training_knows_the_error_of_its_few_steps():
    rough, n = bent(scale=1.5), 400
    x, told = 2 * torch.randn(n, 3).double(), torch.randn(n, 2).double()
    there = torch.ones(n, 3, dtype=torch.bool)
    exact = rough.back(x, told, there)
    few = rough.train().back(x, told, there)
    off = few.log_det - exact.log_det
    assert off.abs().mean() > 0.02
    assert (off <= few.error + 0.05).double().mean() > 0.9
    assert off.mean() < few.error.mean()


def test_no_row_is_no_reason_to_fail():
    none = torch.zeros(0, 3).double()
    assert FLOW.back(none, torch.zeros(0, 2).double(), none.bool()).z.shape == (0, 3)
    assert FLOW(none, torch.zeros(0, 2).double(), none.bool()).shape == (0, 3)
