"""What a backward pass by the discrete adjoint needs of a solve."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from latentode.solvers.attempt import take_step
from latentode.solvers.course import Position, Tried
from latentode.solvers.explicit import Method, workspace_for
from latentode.solvers.problem import Problem, is_pulled_by_hand
from latentode.solvers.pullback import Evaluation, evaluator
from latentode.solvers.solve import Answer, Task


class Plan(NamedTuple):
    """How to solve and to differentiate, and where to say what it cost.

    Attributes
    ----------
    task : Task
        What to solve.
    n_graphs : float
        Evaluations of the field whose graphs may be kept. If there are more, none are, and each
        step is taken again in the backward pass.
    checkpoint_every : int
        Of the steps that are taken again, the state of every so many is kept.
    twice : bool
        Whether the gradient may be differentiated again, by solving again with a graph.
    moving : bool
        Whether times have a gradient.
    first : Evaluation
        The field at the start.
    evals_backward : Tensor of shape (B,)
        Where to add up the evaluations of a backward pass.
    report : dict
        Gets the `Answer` of the solve, for what has no gradient.
    """

    task: Task
    n_graphs: float
    checkpoint_every: int
    twice: bool
    moving: bool
    first: Evaluation
    evals_backward: Tensor
    report: dict[str, Answer]


class Steps(NamedTuple):
    """The steps of a solve.

    Attributes
    ----------
    s0, dt, s1 : Tensor of shape (N, B)
        Start, size and end of each step; a sample rests in a step of size 0.
    accepted : Tensor of shape (N, B), dtype=torch.bool
        Which samples took the step.
    y0 : Tensor of shape (N, B, D)
        State at the start.
    k0 : Tensor of shape (N, B, D) or None
        Field there, where it is not what the field gives for that state.
    streak : Tensor of shape (N, B) or None
        Of a method that switches, how stiff the steps before were.
    """

    s0: Tensor
    dt: Tensor
    s1: Tensor
    accepted: Tensor
    y0: Tensor
    k0: Tensor | None
    streak: Tensor | None


class Record:
    """What a backward pass needs of a solve: its steps, and the graphs of their stages.

    Attributes
    ----------
    evaluate : callable
        It gives an Evaluation for times (B,) and states (B, D).
    graphs : list of lists of Evaluations, or None
        The stages of every step but the first; None if they are to be evaluated again.
    """

    def __init__(self, plan: Plan, problem: Problem, tensors: Sequence[Tensor]) -> None:
        self.evaluate = evaluator(problem.field, tensors, moving=plan.moving)
        self.graphs: list[list[Evaluation]] | None = [] if plan.n_graphs else None
        self._plan = plan
        self._problem = problem
        self._with_slopes = _keeps_slopes(problem)
        self._steps: list[tuple[Tensor, Tensor, Tensor, Tensor]] = []
        self._states: list[tuple[Tensor, Tensor] | None] = []
        self._streaks: list[Tensor | None] = []
        self._ratios: list[Tensor] = []
        self._fresh: list[Evaluation] = []
        self._n_graphs = 0
        method = problem.method
        self._n_evals = len(method.a) - 1 if isinstance(method, Method) else 0

    def field(self, t: Tensor, y: Tensor) -> Tensor:
        """Evaluate the field, and keep its graph while there is room."""
        if self.graphs is None:
            return self._problem.field(t, y)
        at = self.evaluate(t, y)
        self._fresh.append(at)
        return at.k.detach()

    def add(self, tried: Tried, after: Position) -> None:
        """Keep a step."""
        before, n = tried.before, len(self._steps)
        self._steps.append((before.s, tried.dt, after.s, tried.accepted))
        is_kept = n % self._plan.checkpoint_every == 0
        # Of methods whose slope is that of the state, one tensor is enough.
        slope = before.k if self._with_slopes or self._plan.checkpoint_every > 1 else before.y
        self._states.append((before.y, slope) if is_kept else None)
        self._streaks.append(before.streak)
        if self.graphs is None:
            return
        self._ratios.append(tried.ratio)
        # Before the first step, the field was evaluated to guess its size.
        self.graphs.append(self._fresh[-self._n_evals :])
        self._n_graphs += len(self.graphs[-1])
        self._fresh = []
        if self._n_graphs > self._plan.n_graphs:
            self.graphs = None

    def close(self) -> None:
        """Put the steps together, once they are all there."""
        # A graph that holds a number that is not finite gives zero times infinity, which is not
        # zero: of such a solve, the steps that were accepted are taken again.
        if self.graphs and not bool(torch.stack(self._ratios).isfinite().all()):
            self.graphs = None
        self._ratios = []
        if self._steps:
            self.s0, self.dt, self.s1, self.accepted = (
                torch.stack(column) for column in zip(*self._steps, strict=True)
            )

    @property
    def is_empty(self) -> bool:
        """Whether no step was taken."""
        return not self._steps

    def sections(self, end: Position) -> Iterator[tuple[range, Steps, Position]]:
        """Give the steps from the last to the first, as many at a time as one state is kept for.

        With each section comes the range of its rounds, and where it ended.
        """
        n_rounds, every = len(self._steps), self._plan.checkpoint_every
        size = every if every > 1 else max(n_rounds, 1)
        for first in reversed(range(0, n_rounds, size)):
            rounds = range(first, min(first + size, n_rounds))
            y0s, k0s = self._states_of(rounds)
            part = slice(rounds.start, rounds.stop)
            streaks = [x for x in self._streaks[part] if x is not None]
            steps = Steps(
                self.s0[part],
                self.dt[part],
                self.s1[part],
                self.accepted[part],
                y0s,
                k0s,
                torch.stack(streaks) if streaks else None,
            )
            yield rounds, steps, end
            end = end._replace(s=steps.s0[0], y=y0s[0], k=y0s[0] if k0s is None else k0s[0])

    def _states_of(self, rounds: range) -> tuple[Tensor, Tensor | None]:
        """Give the states at the start of some rounds, and the slopes if they are needed."""
        states = [self._states[n] for n in rounds]
        missing = [n for n, state in zip(rounds, states, strict=True) if state is None]
        if missing:
            with torch.no_grad():
                states = self._stepped_again(rounds)
        y0s, k0s = (torch.stack(part) for part in zip(*filter(None, states), strict=True))
        return y0s, k0s if self._with_slopes else None

    def _stepped_again(self, rounds: range) -> list[tuple[Tensor, Tensor] | None]:
        """Step through some rounds from the state that was kept, with the step sizes known."""
        kept = self._states[rounds.start]
        if kept is None:
            raise RuntimeError("the first state of a section is always kept")
        y, k = kept
        problem = self._problem
        if isinstance(problem.method, Method):
            problem = problem._replace(workspace=workspace_for(problem.method, y))
        states: list[tuple[Tensor, Tensor] | None] = [(y, k)]
        for n in rounds[:-1]:
            s0, dt = self.s0[n], self.dt[n]
            before = Position(s0, y, k, dt, torch.ones_like(s0), self._streaks[n])
            step = take_step(problem, before, self.dt[n])
            took = self.accepted[n][:, None]
            y, k = torch.where(took, step.y1, y), torch.where(took, step.k1, k)
            states.append((y, k))
            spent = self._plan.evals_backward
            spent += step.evals * (self.dt[n] > 0)
        return states


def _keeps_slopes(problem: Problem) -> bool:
    """Say whether the slope at the start of a step is not just the field there."""
    by_hand = is_pulled_by_hand(problem.method, problem.options)
    return not (by_hand or problem.options.has_jumps)


def aligned(steps: Steps, end: Position) -> Steps:
    """Leave out rejected steps, so that the n-th step of every sample is in row n.

    A sample that took fewer than the others rests at its end.
    """
    taken = steps.accepted & (steps.dt > 0)
    if bool(taken.all()):
        return steps
    number = taken.cumsum(dim=0) - 1
    n_steps = max(int(number[-1].max()) + 1, 1)
    i, sample = taken.nonzero(as_tuple=True)
    place = number[i, sample], sample

    def moved(values: Tensor, rest: Tensor) -> Tensor:
        rows = rest.expand(n_steps, *rest.shape).clone()
        rows[place] = values[i, sample]
        return rows

    return Steps(
        moved(steps.s0, end.s),
        moved(steps.dt, torch.zeros_like(end.s)),
        moved(steps.s1, end.s),
        torch.ones_like(taken[:n_steps]),
        moved(steps.y0, end.y),
        None if steps.k0 is None else moved(steps.k0, end.k),
        None if steps.streak is None else moved(steps.streak, torch.zeros_like(steps.streak[0])),
    )
