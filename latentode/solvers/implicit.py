"""One diagonally implicit Runge-Kutta step, for stiff equations."""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from latentode.solvers.control import Tolerance, rms
from latentode.solvers.explicit import Field, Method, Step, advance, errors_of, powers_of

# Newton's method is exact to this part of what the step may be off; it gives up after so many.
_NEWTON_TOLERANCE = 1e-3
_NEWTON_ITERATIONS = 12
# The same with a new Jacobian for every iteration, and how often its step is halved.
_DAMPED_ITERATIONS, _HALVINGS = 50, 12


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
    *,
    can_be_shorter: bool = True,
) -> Step:
    """Take one step of a method some of whose stages are implicit.

    Each such stage is solved by Newton's method with the Jacobian at the start of the step, sample
    by sample: one that has converged is left alone. A sample that does not converge gets stages
    that are not finite, so that its step is taken again shorter. If it cannot be shorter, the
    Jacobian is taken anew in each iteration, and the iteration damped, before it is given up.

    Arguments and result are those of `explicit_step`, and the tolerance of the step.

    References
    ----------
    Hairer and Wanner (1996), Solving Ordinary Differential Equations II, sections IV.6 and IV.8.
    Deuflhard (2011), Newton Methods for Nonlinear Problems, section 3.3, for the damping.
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
        equation = _Equation(field, t, known, size, tolerance)
        found = _newton(equation, known + size * k, jacobian)
        if not can_be_shorter and bool(found.waiting.any()):
            found = _damped_newton(equation, y.detach(), found)
        evals = evals + found.n_evals
        y1 = found.y.masked_fill(found.waiting[:, None], torch.nan)
        if torch.is_grad_enabled():
            y1 = _with_graph(field, t, known, size, y1)
        # Not from the field, which would blow the last error of Newton's method up again.
        increments.append((y1 - known) / row[i])
    resting = (dt == 0)[:, None]
    k1 = torch.where(resting, k, increments[-1] / h.masked_fill(resting, 1.0))
    stages = torch.stack(increments)
    return Step(y1, k1, powers_of(method, stages), errors_of(method, stages), evals)


class _Equation(NamedTuple):
    """The equation ``y = known + size f(t, y)`` of a stage, of shape (B, D)."""

    field: Field
    t: Tensor
    known: Tensor
    size: Tensor
    tolerance: Tolerance

    def residual(self, y: Tensor) -> Tensor:
        """Give by how much y is off."""
        return self.known + self.size * self.field(self.t, y) - y

    def length(self, change: Tensor, y: Tensor) -> Tensor:
        """Give the size (B,) of a change of y, as a multiple of what is tolerated."""
        scale = self.tolerance.atol + self.tolerance.rtol * y.abs()
        return rms(change / scale)


class _Found(NamedTuple):
    """What Newton's method has found.

    Attributes
    ----------
    y : Tensor of shape (B, D)
        Solution.
    waiting : Tensor of shape (B,), dtype=torch.bool
        For which samples it is none yet.
    is_near : Tensor of shape (B,), dtype=torch.bool
        For which of them the iteration was on its way to one.
    n_evals : Tensor of shape (B,)
        Evaluations of the field.
    """

    y: Tensor
    waiting: Tensor
    is_near: Tensor
    n_evals: Tensor


@torch.no_grad()
def _newton(equation: _Equation, y: Tensor, jacobian: Tensor) -> _Found:
    """Solve the equation from a guess y (B, D) with one Jacobian."""
    matrices = _factorise(jacobian, equation.size)
    waiting = torch.ones_like(equation.t, dtype=torch.bool)
    n_evals = torch.zeros_like(equation.t, dtype=torch.long)
    first = off = rms(y)
    for n in range(_NEWTON_ITERATIONS):
        n_evals = n_evals + waiting
        change = matrices.solve(equation.residual(y))
        y = torch.where(waiting[:, None], y + change, y)
        off = equation.length(change, y)
        first = off if n == 0 else first
        waiting = waiting & ~(off <= _NEWTON_TOLERANCE)
        if not bool(waiting.any()):
            break
    return _Found(y, waiting, off < 0.1 * first, n_evals)


@torch.no_grad()
def _damped_newton(equation: _Equation, start: Tensor, found: _Found) -> _Found:
    """Go on for the samples that wait, with a new Jacobian each time.

    A sample that was not on its way to a solution starts anew, from ``start`` (B, D). A step that
    does not lead nearer to the solution is halved until it does.
    """
    y = torch.where((found.waiting & ~found.is_near)[:, None], start, found.y)
    waiting, n_evals = found.waiting, found.n_evals
    before: Tensor | float = torch.inf
    for _ in range(_DAMPED_ITERATIONS):
        matrices = _factorise(jacobian_of(equation.field, equation.t, y), equation.size)
        change = matrices.solve(equation.residual(y))
        n_evals = n_evals + 2 * waiting
        off = equation.length(change, y)
        part, n_tried = _damping(equation, matrices, y, change, waiting)
        n_evals = n_evals + n_tried
        y = torch.where((waiting & (part > 0))[:, None], y + part[:, None] * change, y)
        # Where the tolerance is beyond the rounding of the field, changes cease to shrink.
        is_rounding = (off <= 1) & (off > 0.1 * before)
        is_solved = (part == 1) & ((off <= _NEWTON_TOLERANCE) | is_rounding)
        waiting, before = waiting & ~is_solved, off
        if not bool((waiting & (part > 0)).any()):
            break
    return _Found(y, waiting, found.is_near, n_evals)


def _damping(
    equation: _Equation, matrices: _Matrices, y: Tensor, change: Tensor, waiting: Tensor
) -> tuple[Tensor, Tensor]:
    """Give the part of a change to take, 0 for none, and the evaluations that told, (B,).

    By the natural monotonicity test, whose answer does not depend on the scales of the equations.
    """
    off = equation.length(change, y)
    part, n_evals = torch.ones_like(off), torch.zeros_like(waiting, dtype=torch.long)
    too_long = waiting & ~(off <= 1)  # a change that is small is not to be doubted
    for _ in range(_HALVINGS):
        if not bool(too_long.any()):
            return part, n_evals
        trial = y + part[:, None] * change
        left = equation.length(matrices.solve(equation.residual(trial)), y)
        n_evals = n_evals + too_long
        too_long = too_long & ~(left <= (1 - part / 2) * off)
        part = torch.where(too_long, part / 2, part)
    return part.masked_fill(too_long, 0.0), n_evals


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
