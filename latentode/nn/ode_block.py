"""A layer whose output is the solution of a differential equation, and one with a single step."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from latentode.nn.precision import widened
from latentode.solvers import Stats, odeint
from latentode.solvers.arguments import check_choices
from latentode.solvers.checks import check_positive, check_whole

Field = Callable[[Tensor, Tensor], Tensor]


class ODEBlock(nn.Module):
    """Carry a state through a vector field from depth 0 to a final depth.

    The continuous form of a stack of residual blocks: where those add ``f_i(y)`` one after the
    other, this solves ``dy/dt = f(t, y)``. Each sample takes its own steps, so its output does not
    depend on the others of the batch.

    Parameters
    ----------
    field : Module
        dy/dt as a function of t (B,) and y (B, ...), of the shape of y.
    depth : float, default=1.0
        The final depth T.
    learn_depth : bool, default=False
        Whether T is a parameter, which starts from ``depth``.
    augment : int, default=0
        Channels of zeros that are added to the state behind those of its first axis after the
        batch: what a flow cannot untangle in D dimensions, it can in more.
    method : str, default="tsit5"
        Solver; see `odeint`.
    rtol, atol : float, default=1e-3
        Its tolerances.
    step_size : float, optional
        Size of every step instead, in units of depth.
    adjoint : {"auto", "direct", "replay", "backsolve", "none"}, default="auto"
        How to differentiate it; "backsolve" needs memory for the final state alone.
    max_steps : int, default=1000
        Steps of one sample after which to give up: a layer that needs more has diverged.

    Attributes
    ----------
    depth : Tensor of shape ()
        The final depth, a parameter if it is learned.
    stats : Stats or None
        What the last solve cost, for each of its samples; None before the first. The count of its
        backward evaluations is filled in by the backward pass.

    References
    ----------
    Chen, Rubanova, Bettencourt and Duvenaud (2018), Neural Ordinary Differential Equations,
    section 3; Dupont, Doucet and Teh (2019), Augmented Neural ODEs, for ``augment``.

    Examples
    --------
    >>> import torch
    >>> block = ODEBlock(lambda t, y: -y, rtol=1e-6, atol=1e-6)
    >>> block(torch.tensor([[1.0], [2.0]]))[:, 0]
    tensor([0.3679, 0.7358])
    >>> block.stats.n_f_evals.tolist()
    [44, 44]
    """

    depth: Tensor

    def __init__(
        self,
        field: Field,
        *,
        depth: float = 1.0,
        learn_depth: bool = False,
        augment: int = 0,
        method: str = "tsit5",
        rtol: float = 1e-3,
        atol: float = 1e-3,
        step_size: float | None = None,
        adjoint: str = "auto",
        max_steps: int = 1000,
    ) -> None:
        super().__init__()
        if not callable(field):
            raise TypeError(f"field must be callable as field(t, y), not {type(field).__name__}.")
        check_choices(method, adjoint, has_step_size=step_size is not None, dense=False)
        check_positive("depth", depth)
        check_whole("augment", augment, least=0)
        self.field = field
        self.augment = augment
        self.method = method
        self.rtol = rtol
        self.atol = atol
        self.step_size = step_size
        self.adjoint = adjoint
        self.max_steps = max_steps
        end = torch.tensor(float(depth))
        if learn_depth:
            self.depth = nn.Parameter(end)
        else:
            self.register_buffer("depth", end)
        self.stats: Stats | None = None

    def forward(self, y: Tensor) -> Tensor:
        """Give the state (B, D + augment, ...) at the final depth, from y (B, D, ...) at 0."""
        solution = odeint(
            self.field,
            widened(self._augmented(y)),
            torch.stack([torch.zeros_like(self.depth), self.depth]),
            method=self.method,
            rtol=self.rtol,
            atol=self.atol,
            step_size=self.step_size,
            adjoint=self.adjoint,
            max_steps=self.max_steps,
        )
        self.stats = solution.stats
        end: Tensor = solution.ys[:, 1]
        return end

    def extra_repr(self) -> str:
        """Give what is not seen of the field, for ``print``."""
        steps = f"rtol={self.rtol}, atol={self.atol}"
        if self.step_size is not None:
            steps = f"step_size={self.step_size}"
        return f"depth={self.depth.item():.4g}, method={self.method}, {steps}"

    def _augmented(self, y: Tensor) -> Tensor:
        if self.augment == 0:
            return y
        if y.dim() < 2:
            raise ValueError(
                f"augment={self.augment} adds channels to a state of shape (B, D, ...), not to "
                f"one of shape {tuple(y.shape)}."
            )
        return torch.cat([y, y.new_zeros(len(y), self.augment, *y.shape[2:])], dim=1)


class ResidualBlock(nn.Module):
    """Add to a state what a field gives: one step of Euler's method, of size 1.

    What `ODEBlock` is the continuous form of, and is compared with.

    Parameters
    ----------
    field : Module
        What is added, as a function of t (B,) and y (B, ...), of the shape of y.
    t : float, default=0.0
        The depth that the field is told.

    Examples
    --------
    >>> import torch
    >>> ResidualBlock(lambda t, y: -y / 2)(torch.ones(1, 3))
    tensor([[0.5000, 0.5000, 0.5000]])
    """

    def __init__(self, field: Field, *, t: float = 0.0) -> None:
        super().__init__()
        self.field = field
        self.t = t

    def forward(self, y: Tensor) -> Tensor:
        """Give y + f(t, y), of the shape (B, ...) of y."""
        return y + self.field(y.new_full((len(y),), self.t), y)
