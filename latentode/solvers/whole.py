"""Many rounds of steps as one compiled graph, with the loop inside it."""

import warnings
from typing import NamedTuple

import torch
from torch import Tensor

from latentode.solvers.attempt import lean, next_round
from latentode.solvers.compiled import compiled, compiling, not_built, not_captured
from latentode.solvers.course import Course, Position
from latentode.solvers.dense import Piece, first_at, read_off, rows_at
from latentode.solvers.explicit import Method
from latentode.solvers.failure import cannot_go_on, stuck, too_many_steps, without
from latentode.solvers.loop import Outcome
from latentode.solvers.problem import Problem
from latentode.solvers.solution import SolverError
from latentode.solvers.tally import Counts

try:
    from torch._higher_order_ops.while_loop import while_loop
except ImportError:  # it is private to torch, and may move
    HAS_LOOPS = False
else:
    HAS_LOOPS = True

# Bytes of steps kept before the states asked for within them are read off, and of how many rounds.
_HELD, _LEAST_HELD, _MOST_HELD = 2**21, 4, 256
# Code of the fields of which the compiler makes no loop: to find out takes a second each time.
_REFUSED = set[object]()


class Block(NamedTuple):
    """What a loop of some rounds leaves.

    Attributes
    ----------
    n_rounds : Tensor of shape ()
        How many there were.
    position : Position
        Where the samples stand.
    ys : Tensor of shape (B, T, D)
        States at the times asked for, as far as they were reached.
    tried, accepted : Tensor of shape (B,)
        Steps.
    failing : Tensor of shape (B,), dtype=torch.bool
        Which samples cannot go on. There are none but in the last round.
    ratio : Tensor of shape (B,)
        Error ratio of the step tried last.
    """

    n_rounds: Tensor
    position: Position
    ys: Tensor
    tried: Tensor
    accepted: Tensor
    failing: Tensor
    ratio: Tensor


def marches_in_blocks(problem: Problem) -> bool:
    """Say whether `march_in_blocks` is for such a problem."""
    options = problem.options
    return (
        HAS_LOOPS
        and options.compiled
        and not options.has_jumps
        and isinstance(problem.method, Method)
        and problem.clock.t0.device.type == "cpu"
    )


def march_in_blocks(
    problem: Problem, position: Position, course: Course, s: Tensor, ys: Tensor, f: object
) -> tuple[Outcome, Tensor] | None:
    """Do what `march` does without a graph, with a compiled loop of many rounds at a time.

    The compiler makes a loop of fewer fields than it makes a round of: of none that uses two views
    of one tensor, or changes something outside. If it fails otherwise, as another version of torch
    may, there is a warning.

    Parameters
    ----------
    problem : Problem
        What to solve and how.
    position : Position
        Where to start from.
    course : Course
        Where each sample may stop.
    s : Tensor of shape (B, T)
        Times asked for, since the start.
    ys : Tensor of shape (B, T, D)
        The states at the start.
    f : callable
        The field as the user gave it, by which one that cannot be compiled is known again.

    Returns
    -------
    Outcome, Tensor of shape (B, T, D)
        Where every sample stands, and what it cost; and the states at the times asked for, where
        they were reached. None of both if the compiler makes no loop of the field.

    Raises
    ------
    SolverError
        As by `march`.
    """
    if _code_of(f) in _REFUSED:
        return None
    options, size = problem.options, _size(problem, ys)
    dt = position.dt.where(position.s < course.line, 0.0)
    position = _laid_out(position._replace(dt=dt))
    tried = accepted = torch.zeros_like(dt, dtype=torch.long)
    failures, n_rounds = dict[int, SolverError](), 0
    rounds = compiled(_rounds, problem.method.name, in_cpp=True)
    with compiling():
        while bool(position.dt.any()):
            if n_rounds == options.max_steps:
                failing = too_many_steps(problem, position, course)
                position = without(failing, position, failures, options)
                break
            most = torch.tensor(min(size, options.max_steps - n_rounds))
            try:
                block = rounds(lean(problem), position, course, s, ys, most, size)
            except (*not_captured(), not_built()) as error:
                _refuse(f, error)
                return None
            n, position, ys = int(block.n_rounds), block.position, block.ys
            n_rounds, tried = n_rounds + n, tried + block.tried
            accepted = accepted + block.accepted
            if bool(block.failing.any()):
                failing = stuck(problem, position.s, block.failing, block.ratio)
                position = without(failing, position, failures, options)
    evals = (len(_method(problem).coefficients.a) - 1) * tried
    return Outcome(position, Counts(tried, accepted, evals), failures), ys


def _refuse(f: object, error: Exception) -> None:
    _REFUSED.add(_code_of(f))
    if isinstance(error, not_built()):
        warnings.warn(
            f"compile=True: torch {torch.__version__} makes no loop of the steps, which are "
            f"compiled one by one: the same numbers, later. The compiler says: {error}",
            RuntimeWarning,
            stacklevel=2,
        )


def _code_of(f: object) -> object:
    f = getattr(f, "forward", f)
    return getattr(getattr(f, "__func__", f), "__code__", type(f))


def _size(problem: Problem, ys: Tensor) -> int:
    """Give the most rounds of a loop: memory is constant, or less than that of the answer."""
    n_powers, n_bytes = _n_powers(problem), ys[:, 0].numel() * ys.element_size()
    held = max(_HELD // max(n_powers * n_bytes, 1), ys.shape[1] // n_powers)
    return min(max(held, _LEAST_HELD), _MOST_HELD)


def _n_powers(problem: Problem) -> int:
    return len(_method(problem).coefficients.dense)


def _method(problem: Problem) -> Method:
    if not isinstance(problem.method, Method):
        raise TypeError(f"a loop is not compiled for method={problem.method.name}")
    return problem.method


def _laid_out(position: Position) -> Position:
    """Lay tensors out as those that a loop hands on are, none of them another under two names."""
    s, y, k, dt, ratio, _ = position
    return Position(
        *(x.clone(memory_format=torch.contiguous_format) for x in (s, y, k, dt, ratio))
    )


def _rounds(
    problem: Problem,
    position: Position,
    course: Course,
    s: Tensor,
    ys: Tensor,
    most: Tensor,
    size: int,
) -> Block:
    """Take one step after another until all samples have arrived, or one cannot go on."""
    y, dt = position.y, position.dt
    # Where the pieces end lies as it is searched: the compiler would not turn it round.
    kept = Piece(
        s0=dt.new_empty(size, len(dt)),
        dt=dt.new_empty(size, len(dt)),
        s1=dt.new_full((len(dt), size), torch.inf),
        y0=y.new_empty(size, *y.shape),
        powers=y.new_empty(_n_powers(problem), size, *y.shape),
    )

    def goes_on(n: Tensor, failing: Tensor, *rest: Tensor) -> Tensor:
        return (n < most) & (Position(*rest[3:]).dt > 0).any() & ~failing.any()

    def go(
        n: Tensor, _: Tensor, __: Tensor, tried: Tensor, accepted: Tensor, *at: Tensor
    ) -> tuple[Tensor, ...]:
        step, after = next_round(problem, Position(*at), course)
        piece = Piece(at[0], step.dt, after.s, at[1], step.step.powers)
        for rows, row, axis in zip(kept, piece, (0, 0, 1, 0, 1), strict=True):
            rows.index_copy_(axis, n[None], row.unsqueeze(axis))
        moving = step.dt > 0
        tried, accepted = tried + moving, accepted + (moving & step.accepted)
        # No two results may be the same tensor, as the ratio is where all sizes are given.
        ratio = step.ratio.clone()
        return n + 1, cannot_go_on(problem, step), ratio, tried, accepted, *after[:5]

    none = [torch.zeros_like(dt, dtype=torch.long) for _ in range(2)]
    begin = torch.zeros((), dtype=torch.long), dt < 0, position.ratio.clone(), *none
    n, failing, ratio, tried, accepted, *at = while_loop(goes_on, go, (*begin, *position[:5]))
    after = Position(*at)
    until = after.s.where(after.s < course.line, torch.inf)
    wanted = (s > position.s[:, None]) & (s <= until[:, None])
    rows = rows_at(torch.minimum(first_at(s, kept.s1), n - 1))
    states, _ = read_off(kept, s.flatten(), rows.flatten())
    ys = torch.where(wanted[..., None], states.view_as(ys), ys)
    return Block(n, after, ys, tried, accepted, failing, ratio)
