"""One Rosenbrock step, for stiff equations: linearly implicit, so that nothing is iterated.

A step solves S linear systems with one matrix, from the exact Jacobian at its start. The sums of
the stages that it solves for, written U, are those of Hairer and Wanner (1996), Solving Ordinary
Differential Equations II, section IV.7, eq. (7.25).
"""

from fractions import Fraction
from typing import NamedTuple

import torch
from torch import Tensor

from latentode.solvers.explicit import Field, Step, advance
from latentode.solvers.tableau import Row, rows


class Rosenbrock(NamedTuple):
    """Coefficients of a Rosenbrock method with S stages.

    Stage i solves for ``U_i``, with J = df/dy and df/dt taken at the start of the step::

        (I / (h gamma) - J) U_i = f(t + c[i] h, y + sum_j a[i][j] U_j)
                                  + sum_j coupling[i][j] U_j / h + h d[i] df/dt

    The result of the step is ``y + sum_i m[i] U_i``. The last stage is at its end.

    Attributes
    ----------
    name : str
        What users call it.
    order : int
        The error after a fixed time shrinks as h to this power.
    gamma : Fraction
        Diagonal of the method.
    c : tuple of Fraction, length S
        Nodes.
    a, coupling : tuple of S tuples of Fraction
        Row i has i entries.
    d : tuple of Fraction, length S
        Weights of df/dt.
    m : tuple of Fraction, length S
        Weights of the result.
    error : tuple of Fraction, length S
        Weights of the difference to the embedded method.
    dense : tuple of S tuples of Fraction
        ``U_i`` has weight ``sum_p dense[i][p] theta^(p + 1)`` in the state at ``t + theta h``,
        for theta between 0 and 1.
    """

    name: str
    order: int
    gamma: Fraction
    c: Row
    a: tuple[Row, ...]
    coupling: tuple[Row, ...]
    d: Row
    m: Row
    error: Row
    dense: tuple[Row, ...]

    @property
    def is_implicit(self) -> bool:
        """Whether a stage depends on itself."""
        return True


class RosenbrockMethod(NamedTuple):
    """A Rosenbrock method as real tensors, as precise as a state and on its device.

    Attributes
    ----------
    name : str
        Name of the coefficients.
    order : int
        Order of the method.
    gamma : float
        Diagonal of the method.
    c : Tensor of shape (S,)
        Nodes, as precise as time is.
    a, coupling : tuple of S Tensors
        Row i has shape (i,).
    d, m : Tensor of shape (S,)
        Weights of df/dt, and of the result.
    errors : tuple of one Tensor of shape (S,)
        Weights of the error estimate.
    dense : Tensor of shape (Q, S)
        Weights of the powers theta, theta^2, ... in the state within a step.
    """

    name: str
    order: int
    gamma: float
    c: Tensor
    a: tuple[Tensor, ...]
    coupling: tuple[Tensor, ...]
    d: Tensor
    m: Tensor
    errors: tuple[Tensor, ...]
    dense: Tensor

    @property
    def error_order(self) -> int:
        """The error estimate grows as the step size to this power."""
        return self.order

    @property
    def is_implicit(self) -> bool:
        """Whether a stage depends on itself."""
        return True


def rosenbrock_method_for(
    coefficients: Rosenbrock, y: Tensor, time_dtype: torch.dtype
) -> RosenbrockMethod:
    """Convert the exact coefficients once for a whole solve of states like ``y``."""

    real = y.dtype.to_real()

    def tensor(row: Row, dtype: torch.dtype = real) -> Tensor:
        return torch.tensor([float(x) for x in row], dtype=dtype, device=y.device)

    return RosenbrockMethod(
        coefficients.name,
        coefficients.order,
        float(coefficients.gamma),
        tensor(coefficients.c, time_dtype),
        tuple(tensor(row) for row in coefficients.a),
        tuple(tensor(row) for row in coefficients.coupling),
        tensor(coefficients.d),
        tensor(coefficients.m),
        (tensor(coefficients.error),),
        torch.stack([tensor(row) for row in coefficients.dense], dim=1),
    )


def rosenbrock_step(
    field: Field,
    method: RosenbrockMethod,
    ts: Tensor,
    dt: Tensor,
    y: Tensor,
    k: Tensor,
    sign: Tensor | None = None,
) -> Step:
    """Take one step of a Rosenbrock method.

    Where gradients are on, the step is differentiable as often as the field is, less one: the
    Jacobian is part of the graph. A sample whose linear systems have no finite solution gets a
    state that is not finite, so that its step is taken again shorter.

    Parameters
    ----------
    field : callable
        dy/ds as a function of t (B,) and y (B, D); differentiable in both.
    method : RosenbrockMethod
        The method, with S stages.
    ts : Tensor of shape (S, B)
        Time of every stage.
    dt : Tensor of shape (B,)
        Size of each sample's step in s; 0 where a sample rests.
    y, k : Tensor of shape (B, D)
        State at the start of the step, and the field there.
    sign : Tensor of shape (B,), optional
        dt/ds: 1 where time runs forward, -1 where it runs backward; forward if not given.

    Returns
    -------
    Step
        The state after the step, and the polynomial across it.

    References
    ----------
    Hairer and Wanner (1996), Solving Ordinary Differential Equations II, eq. (IV.7.25).
    """
    if not y.is_complex():
        return _real_step(field, method, ts, dt, y, k, sign)
    # In real and imaginary parts a field has a Jacobian whether it is holomorphic or not.
    parts_of_field: Field = lambda t, parts: _parts(field(t, _complex(parts)))
    step = _real_step(parts_of_field, method, ts, dt, _parts(y), _parts(k), sign)
    return Step(
        y1=_complex(step.y1),
        k1=_complex(step.k1),
        powers=_complex(step.powers),
        errors=tuple(_complex(error) for error in step.errors),
        evals=step.evals,
        stiffness=step.stiffness,
    )


def _parts(z: Tensor) -> Tensor:
    """Give complex numbers (..., D) as real ones (..., 2 D)."""
    return torch.view_as_real(z.resolve_conj()).flatten(-2)


def _complex(parts: Tensor) -> Tensor:
    return torch.view_as_complex(parts.unflatten(-1, (-1, 2)).contiguous())


class _Linearised(NamedTuple):
    """The field as a linear one, from its derivatives at the start of a step.

    Attributes
    ----------
    lu, pivots : Tensor
        Factors of ``I - h gamma df/dy`` for every sample, as torch gives them.
    drift : Tensor of shape (B, D)
        ``h^2 df/ds`` at a fixed state.
    finite : Tensor of shape (B, 1), dtype=torch.bool
        Where the derivatives are finite, or not used.
    stiffness : Tensor of shape (B,)
        ``h`` times the largest sum of a row of df/dy, in size.
    """

    lu: Tensor
    pivots: Tensor
    drift: Tensor
    finite: Tensor
    stiffness: Tensor

    def solve(self, y: Tensor) -> Tensor:
        return torch.linalg.lu_solve(self.lu, self.pivots, y[..., None]).squeeze(-1)


def _real_step(
    field: Field,
    method: RosenbrockMethod,
    ts: Tensor,
    dt: Tensor,
    y: Tensor,
    k: Tensor,
    sign: Tensor | None,
) -> Step:
    """Solve for the stages, all equations times h gamma: a resting sample divides by nothing."""
    h, resting = dt[:, None].to(y.dtype), (dt == 0)[:, None]
    # What the field at the start has no gradient for, its derivatives have none for either.
    with_graph = torch.is_grad_enabled() and any(x.requires_grad for x in (ts, y, k))
    derivatives = _derivatives(field, ts[0], y, with_graph=with_graph)
    linear = _linearise(*derivatives, h, method.gamma, sign)
    stages = [linear.solve(method.gamma * (h * k + method.d[0] * linear.drift))]
    for i in range(1, len(method.c)):
        before = torch.stack(stages)
        known = h * field(ts[i], advance(y, method.a[i], before)) + method.d[i] * linear.drift
        stages.append(linear.solve(method.gamma * advance(known, method.coupling[i], before)))
    increments = torch.stack(stages)
    y1 = advance(y, method.m, increments).masked_fill(~linear.finite, torch.nan)
    k1 = torch.where(resting, k, field(ts[-1], y1))
    flat = increments.flatten(1)
    return Step(
        y1=y1,
        k1=k1,
        powers=torch.mm(method.dense, flat).view(-1, *y.shape),
        errors=tuple(torch.mv(flat.detach().t(), row).view(y.shape) for row in method.errors),
        evals=len(method.c) + 1,
        stiffness=linear.stiffness,
    )


def _linearise(
    jacobian: Tensor, slope: Tensor, h: Tensor, gamma: float, sign: Tensor | None
) -> _Linearised:
    """Factorise the matrices of steps of size h (B, 1) from df/dy and df/dt at their starts."""
    if sign is not None:
        slope = sign[:, None] * slope
    # Of a resting sample nothing may be used: what is not finite is not zero times zero.
    resting = h == 0
    jacobian = jacobian.masked_fill(resting[..., None], 0)
    slope = slope.to(h.dtype).masked_fill(resting, 0)
    identity = torch.eye(jacobian.shape[1], dtype=h.dtype, device=h.device)
    lu, pivots, _ = torch.linalg.lu_factor_ex(identity - (gamma * h)[..., None] * jacobian)
    # With an infinite Jacobian the stages may vanish, which must not pass for a solution.
    finite = jacobian.isfinite().flatten(1).all(dim=1) & slope.isfinite().all(dim=1)
    size = h[:, 0] * torch.linalg.matrix_norm(jacobian.detach(), ord=torch.inf)
    return _Linearised(lu, pivots, h.square() * slope, finite[:, None], size)


def _derivatives(field: Field, t: Tensor, y: Tensor, *, with_graph: bool) -> tuple[Tensor, Tensor]:
    """Give df/dy, of shape (B, D, D), and df/dt, of shape (B, D), at times t and states y.

    Row by row, by a product with the transposed Jacobian for all samples at once.
    """
    with torch.inference_mode(mode=False), torch.enable_grad():
        t, y = _as_input(t), _as_input(y)
        k = field(t, y)
    if not k.requires_grad:
        return y.new_zeros(*y.shape, y.shape[1]), torch.zeros_like(y)
    rows = [
        torch.autograd.grad(
            k,
            (y, t),
            cotangent.expand_as(k),
            retain_graph=True,
            create_graph=with_graph,
            allow_unused=True,
            materialize_grads=True,
        )
        for cotangent in torch.eye(y.shape[1], dtype=k.dtype, device=k.device)
    ]
    by_y, by_t = zip(*rows, strict=True)
    return torch.stack(by_y, dim=1), torch.stack(by_t, dim=1)


def _as_input(x: Tensor) -> Tensor:
    """Give x apart from what else is computed from it, as a field may keep the same tensor."""
    return x.view_as(x) if x.requires_grad else x.detach().clone().requires_grad_()


def _dense(m: Row, inner: tuple[Row, ...]) -> tuple[Row, ...]:
    """Give the weights of the powers of theta, stage by stage, from the form that is published.

    That is, with V_q the sum of the stages with weights ``inner[q]`` and y1 that with ``m``,
    ``(1 - theta) y0 + theta (y1 + (1 - theta) (V_0 + theta (V_1 + theta V_2)))``.
    """
    return tuple(
        tuple(v - before for v, before in zip((*vs, Fraction(0)), (-m_i, *vs), strict=True))
        for m_i, *vs in zip(m, *inner, strict=True)
    )


def _rodas5p() -> Rosenbrock:
    """Steinebach (2023), BIT 63, Rodas5P; the digits are those of its code in OrdinaryDiffEq.jl.

    Of order 5(4), stiffly accurate, with dense output of order 4.
    """
    a = rows("""
        3;
        2.849394379747939 0.45842242204463923;
        -6.954028509809101 2.489845061869568 -10.358996098473584;
        2.8029986275628964 0.5072464736228206 -0.3988312541770524 -0.04721187230404641;
        -7.502846399306121 2.561846144803919 -11.627539656261098 -0.18268767659942256
            0.030198172008377946
    """)
    coupling = rows("""
        -14.155112264123755;
        -17.97296035885952 -2.859693295451294;
        147.12150275711716 -1.41221402718213 71.68940251302358;
        165.43517024871676 -0.4592823456491126 42.90938336958603 -5.961986721573306;
        24.854864614690072 -3.0009227002832186 47.4931110020768 5.5814197821558125
            -0.6610691825249471;
        30.91273214028599 -3.1208243349937974 77.79954646070892 34.28646028294783
            -19.097331116725623 -28.087943162872662;
        37.80277123390563 -3.2571969029072276 112.26918849496327 66.9347231244047
            -40.06618937091002 -54.66780262877968 -9.48861652309627
    """)
    # The last states add one stage each, and the last stage is the error of the one before.
    (zero, one), last = (Fraction(0), Fraction(1)), a[-1]
    m = (*last, one, one, one)
    c, d, *inner = rows("""
        0 0.6358126895828704 0.4095798393397535 0.9769306725060716 0.4288403609558664 1 1 1;
        0.21193756319429014 -0.42387512638858027 -0.3384627126235924 1.8046452872882734
            2.325825639765069 0 0 0;
        25.948786856663858 -2.5579724845846235 10.433815404888879 -2.3679251022685204
            0.524948541321073 1.1241088310450404 0.4272876194431874 -0.17202221070155493;
        -9.91568850695171 -0.9689944594115154 3.0438037242978453 -24.495224566215796
            20.176138334709044 15.98066361424651 -6.789040303419874 -6.710236069923372;
        11.419903575922262 2.8879645146136994 72.92137995996029 80.12511834622643
            -52.072871366152654 -59.78993625266729 -0.15582684282751913 4.883087185713722
    """)
    return Rosenbrock(
        name="rodas5p",
        order=5,
        gamma=d[0],
        c=c,
        a=((), *a, (*last, one), (*last, one, one)),
        coupling=((), *coupling),
        d=d,
        m=m,
        error=(*(zero for _ in m[1:]), one),
        dense=_dense(m, tuple(inner)),
    )


RODAS5P = _rodas5p()
