"""The process that runs diffrax for solver_diffrax.py; not to be run by hand."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
from solver_equations import EQUATIONS
from solver_timing import Timing, timed
from solver_worker import Request, serve

Field = Callable[[jax.Array, jax.Array, list[jax.Array]], jax.Array]
METHODS = {"dopri5": diffrax.Dopri5, "kvaerno5": diffrax.Kvaerno5}
# The fewer steps are allowed, the fewer checkpoints are kept; the neural field takes some 20.
MAX_STEPS = {"perceptron": 256}


def perceptron(t: jax.Array, y: jax.Array, parameters: list[jax.Array]) -> jax.Array:
    """Give the same as `solver_problems.Perceptron`."""
    weights, biases = parameters[::2], parameters[1::2]
    for weight, bias in zip(weights[:-1], biases[:-1], strict=True):
        y = jnp.tanh(y @ weight.T + bias)
    return y @ weights[-1].T + biases[-1]


def equation(name: str, t: jax.Array, y: jax.Array, parameters: list[jax.Array]) -> jax.Array:
    """Give the same as `solver_problems.Equation`."""
    (rates,) = parameters
    return jnp.stack(EQUATIONS[name](jnp.moveaxis(y, -1, 0), jnp.moveaxis(rates, -1, 0)), -1)


def field_of(request: Request) -> Field:
    name = request["equation"]
    return perceptron if name == "perceptron" else functools.partial(equation, name)


def solve_one(
    request: Request, y0: jax.Array, parameters: list[jax.Array], ts: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Give states at times ts (T,), the times first, and the number of steps."""
    solution = diffrax.diffeqsolve(
        diffrax.ODETerm(field_of(request)),
        METHODS[request["method"]](),
        ts[0],
        ts[-1],
        None,
        y0,
        args=parameters,
        saveat=diffrax.SaveAt(ts=ts),
        stepsize_controller=diffrax.PIDController(rtol=request["rtol"], atol=request["atol"]),
        max_steps=MAX_STEPS.get(request["equation"], 16384),
    )
    return solution.ys, solution.stats["num_steps"]


def solve_batch(
    request: Request, y0: jax.Array, parameters: list[jax.Array], ts: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Give states (B, T, D), and the most steps that a sample took."""
    one = functools.partial(solve_one, request)
    if request["joint"]:
        ys, n_steps = one(y0, parameters, ts)
        return ys.swapaxes(0, 1), n_steps
    shared = request["equation"] == "perceptron"
    axes = (0, None if shared else 0, 0 if ts.ndim == 2 else None)
    ys, n_steps = jax.vmap(one, in_axes=axes)(y0, parameters, ts)
    return ys, n_steps.max()


def program(request: Request) -> Callable[..., tuple[list[jax.Array], jax.Array]]:
    """Give what is to be compiled: of y0, parameters, ts and target to values and steps."""

    def states(
        y0: jax.Array, parameters: list[jax.Array], ts: jax.Array, target: jax.Array
    ) -> tuple[list[jax.Array], jax.Array]:
        ys, n_steps = solve_batch(request, y0, parameters, ts)
        return [ys], n_steps

    def loss(
        y0: jax.Array, parameters: list[jax.Array], ts: jax.Array, target: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        (ys,), n_steps = states(y0, parameters, ts, target)
        return jnp.square(ys - target).mean(), n_steps

    def gradients(*arrays: Any) -> tuple[list[jax.Array], jax.Array]:  # noqa: ANN401
        (adj_y0, adj_parameters), n_steps = jax.grad(loss, (0, 1), has_aux=True)(*arrays)
        return [adj_y0, *adj_parameters], n_steps

    return gradients if request["differentiated"] else states


def prepare(request: Request) -> tuple[Callable[[], Timing], dict[str, Any]]:
    """Compile a solve, and leave what it computes in a file."""
    folder = Path(request["folder"])
    with np.load(folder / "problem.npz") as file:
        arrays = {name: jnp.asarray(file[name]) for name in file.files}
    y0, ts, target = (arrays.pop(name) for name in ("y0", "ts", "target"))
    parameters = [arrays[name] for name in sorted(arrays)]
    compiled = jax.jit(program(request))

    def run() -> tuple[list[jax.Array], jax.Array]:
        return jax.block_until_ready(compiled(y0, parameters, ts, target))

    values, n_steps = run()
    numbered = {f"{i:02d}": np.asarray(value) for i, value in enumerate(values)}
    np.savez(folder / "values.npz", **numbered)
    answer = {"n_steps": int(n_steps), "n_evals": evaluations(request, int(n_steps))}
    return lambda: timed(run), answer


def evaluations(request: Request, n_steps: int) -> int | None:
    """Count the evaluations of the forward solve: 2 before the first step, 6 in every step."""
    return 6 * n_steps + 2 if request["method"] == "dopri5" else None


if __name__ == "__main__":
    serve(prepare)
