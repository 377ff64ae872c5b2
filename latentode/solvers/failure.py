"""Why samples cannot be solved, in words."""

import torch
from torch import Tensor

from latentode.solvers.course import Course, Position, Tried
from latentode.solvers.problem import Options, Problem, is_iterated
from latentode.solvers.solution import SolverError

# Why a sample cannot start.
NOT_FINITE_AT_START = "the vector field is not finite at the start. Check it there"
# Why a step of a size that was given cannot be taken.
NOT_FINITE = "the state is not finite there. Take a shorter step_size, or a method with tolerances"


def without(
    failing: dict[int, SolverError],
    position: Position,
    failures: dict[int, SolverError],
    options: Options,
) -> Position:
    """Let the samples that fail rest where they stand, or raise the first one's error."""
    if failing and not options.forgiving:
        raise next(iter(failing.values()))
    failures.update(failing)
    dt = position.dt.clone()
    dt[list(failing)] = 0.0
    return position._replace(dt=dt)


def check_start(problem: Problem, s: Tensor, k: Tensor) -> None:
    """Raise if the field k (B, D) at the start, s (B,), is not finite for some sample."""
    bad = ~k.isfinite().all(dim=1)
    if bool(bad.any()):
        raise failure(
            NOT_FINITE_AT_START,
            s=s,
            sample=int(bad.nonzero()[0]),
            problem=problem,
        )


def cannot_go_on(problem: Problem, tried: Tried) -> Tensor:
    """Say which samples (B,) were rejected, and have no step to try next that would move them."""
    s, dt = tried.before.s, tried.next_dt
    rejected = ~tried.accepted & (tried.dt > 0)
    if problem.options.step_size is not None:
        return rejected
    moves = (s + dt > s) & (dt > torch.finfo(dt.dtype).tiny)
    least = problem.options.min_step
    return rejected & ~(moves & (tried.dt > least) if least > 0 else moves)


def stuck(problem: Problem, s: Tensor, failing: Tensor, ratio: Tensor) -> dict[int, SolverError]:
    """Say why the samples that are ``failing`` (B,) cannot go on from s, after that ratio."""
    return {
        sample: failure(_why_stuck(problem, ratio, sample), s=s, sample=sample, problem=problem)
        for sample in failing.nonzero()[:, 0].tolist()
    }


def _why_stuck(problem: Problem, ratio: Tensor, sample: int) -> str:
    size, least = problem.options.step_size, problem.options.min_step
    if size is not None and is_iterated(problem.method):
        return (
            f"Newton's method finds no solution for a step of step_size={size[sample]:.6g}, "
            "which is too long for it. Take a shorter step_size, or leave it out, so that the "
            "tolerances choose"
        )
    if size is not None:
        return NOT_FINITE
    if not bool(ratio[sample].isfinite()):
        return (
            "the vector field or the state is not finite there, however short the step. "
            "Check the field near that time and state"
        )
    if least > 0:
        return (
            f"a step of min_step={least:g} is not accurate enough. Lower min_step, or "
            "loosen rtol and atol"
        )
    return (
        "its steps shrank to nothing, as where a solution grows without bound or jumps. "
        "Check the field near that time, or loosen rtol and atol"
    )


def too_many_steps(problem: Problem, position: Position, course: Course) -> dict[int, SolverError]:
    """Say which samples have not arrived after as many steps as are allowed."""
    errors, late = {}, position.dt > 0
    for sample in late.nonzero()[:, 0].tolist():
        end = float(problem.clock.time(course.s_end)[sample].detach())
        errors[sample] = failure(
            f"max_steps={problem.options.max_steps} steps do not reach its end at t={end:.6g} "
            f"({int(late.sum())} of {len(late)} samples are late). Raise max_steps, loosen rtol "
            "and atol, take a longer step_size, or, if the equation is stiff, method=kvaerno5",
            s=position.s,
            sample=sample,
            problem=problem,
        )
    return errors


def failure(cause: str, *, s: Tensor, sample: int, problem: Problem) -> SolverError:
    """Name the sample, the time it had reached, the method and the cause."""
    t = float(problem.clock.time(s)[sample].detach())
    name = problem.method.name
    message = f"{name} cannot solve sample {sample} of {len(s)} past t={t:.6g}: {cause}."
    return SolverError(message, sample=sample, t=t)
