"""One diagonally implicit Runge-Kutta step, for stiff equations."""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from latentode.solvers.control import Tolerance
from latentode.solvers.explicit import Field, Method, Step, advance, errors_of, powers_of

# Newton's method is exact to this part of what the step may be off; it gives up after so many.
_NEWTON_TOLERANCE = 1e-3
_NEWTON_ITERATIONS = 12


class _Matrices(NamedTuple):
    """LU factors of ``I - h gamma df/dy`` for every sample, as torch gives them."""

    lu: Tensor
    pivots: Tensor

    def solve(self, y: Tensor) -> Tensor:
        return torch.linalg.lu_solve(self.lu, self.pivots, y[..., None]).squeeze(-1)


class _SolveAsConstant(torch.autograd.Function):
    """Solve with matrices that are not differentiated: right for gradients, not for second ones.

    The backward pass of an implicit stage is one such solve, transposed, by the implicit function
    theorem.
    """

    @staticmethod
    def forward(ctx: Any, lu: Tensor, pivots: Tensor, y: Tensor) -> Tensor:  # noqa: ANN401
        ctx.save_for_backward(lu, pivots)
        return _Matrices(lu, pivots).solve(y)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[None, None, Tensor]:  # noqa: ANN401
        if torch.is_grad_enabled():
            raise RuntimeError("implicit methods have no second derivative: use an explicit one.")
        lu, pivots = ctx.saved_tensors
        solved = torch.linalg.lu_solve(lu, pivots, grad[..., None], adjoint=True)
        return None, None, solved.squeeze(-1)


def implicit_step(
    field: Field,
    method: Method,
    ts: Tensor,
    dt: Tensor,
    y: Tensor,
    k: Tensor,
    tolerance: Tolerance,
) -> Step:
    """Take one step of a method some of whose stages are implicit.

    Each such stage is solved by Newton's method with the Jacobian at the start of the step, sample
    by sample: one that has converged is left alone. A sample that does not converge gets stages
    that are not finite, so that its step is taken again shorter.

    Arguments and result are those of `explicit_step`, and the tolerance of the step.

    References
    ----------
    Hairer and Wanner (1996), Solving Ordinary Differential Equations II, sections IV.6 and IV.8.
    """
    h = dt[:, None].to(y.dtype)
    jacobian = jacobian_of(field, ts[0], y)
    increments = [h * k]
    evals = torch.ones_like(dt, dtype=torch.long)
    for i, (t, row) in enumerate(zip(ts[1:], method.a[1:], strict=True), start=1):
        known = advance(y, row[:i], torch.stack(increments))
        if len(row) == i:
            y1 = known
            increments.append(h * field(t, y1))
            evals = evals + 1
            continue
        size = h * row[i]
        y1, n_evals = _newton(field, t, known, size, size * k, jacobian, tolerance)
        evals = evals + n_evals
        if torch.is_grad_enabled():
            y1 = _with_graph(field, t, known, size, y1)
        # Not from the field, which would blow the last error of Newton's method up again.
        increments.append((y1 - known) / row[i])
    resting = (dt == 0)[:, None]
    k1 = torch.where(resting, k, increments[-1] / h.masked_fill(resting, 1.0))
    stages = torch.stack(increments)
    return Step(y1, k1, powers_of(method, stages), errors_of(method, stages), evals)


def _newton(
    field: Field,
    t: Tensor,
    known: Tensor,
    size: Tensor,
    guess: Tensor,
    jacobian: Tensor,
    tolerance: Tolerance,
) -> tuple[Tensor, Tensor]:
    """Solve ``y = known + size f(t, y)``, of shape (B, D), and count the evaluations (B,)."""
    with torch.no_grad():
        matrices = _factorise(jacobian, size)
        y = known + guess
        waiting = torch.ones_like(t, dtype=torch.bool)
        n_evals = torch.zeros_like(t, dtype=torch.long)
        for _ in range(_NEWTON_ITERATIONS):
            n_evals = n_evals + waiting
            change = matrices.solve(known + size * field(t, y) - y)
            y = torch.where(waiting[:, None], y + change, y)
            scale = tolerance.atol + tolerance.rtol * y.abs()
            off = (change.abs() / scale).square().mean(dim=1).sqrt()
            waiting = waiting & ~(off <= _NEWTON_TOLERANCE)
            if not bool(waiting.any()):
                break
        return y.masked_fill(waiting[:, None], torch.nan), n_evals


def _with_graph(field: Field, t: Tensor, known: Tensor, size: Tensor, y: Tensor) -> Tensor:
    """Give the solution y of a stage the gradient of the equation that it solves."""
    y = y.detach()
    lu, pivots = _factorise(jacobian_of(field, t, y), size)
    residual = known + size * field(t, y) - y
    off: Tensor = _SolveAsConstant.apply(lu, pivots, residual)
    return y + off


def _factorise(jacobian: Tensor, size: Tensor) -> _Matrices:
    identity = torch.eye(jacobian.shape[-1], dtype=jacobian.dtype, device=jacobian.device)
    lu, pivots, _ = torch.linalg.lu_factor_ex(identity - size[..., None] * jacobian)
    return _Matrices(lu, pivots)


def jacobian_of(field: Field, t: Tensor, y: Tensor) -> Tensor:
    """Give df/dy of every sample, of shape (B, D, D), at times t (B,) and states y (B, D).

    Row by row, by a product with the transposed Jacobian for all samples at once: the samples may
    differ in what the field does with them.
    """
    with torch.enable_grad():
        y = y.detach().requires_grad_()
        k = field(t.detach(), y)
    jacobian = y.new_zeros(*y.shape, y.shape[1])
    if not k.requires_grad:
        return jacobian
    for d in range(y.shape[1]):
        cotangent = torch.zeros_like(k)
        cotangent[:, d] = 1.0
        (row,) = torch.autograd.grad(
            k, y, cotangent, retain_graph=True, allow_unused=True, materialize_grads=True
        )
        jacobian[:, d] = row
    return jacobian
