"""Choose the defaults of the forecaster: the same recipes on the validation parts of many tasks.

Every recipe is trained for about as many steps on every task, with contexts cut at random, as the
forecaster does without knowing what it will be asked. The table gives the first measure of each
task, relative to that of the first recipe, and the geometric mean of these ratios.

    python examples/benchmarks/forecast_defaults.py --steps 600
    python examples/benchmarks/forecast_defaults.py --tasks liver/0 --recipes small wide
"""

import argparse
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import geometric_mean

import torch

# A script finds the files beside it; one that is run from a test does not.
sys.path.append(str(Path(__file__).parent))

from forecast_arguments import chosen, task_parser, tasks_of
from forecast_distributions import first_measure
from forecast_models import Recipe, fit, predict
from forecast_protocols import Folders
from forecast_tasks import Task
from solver_tables import Table, markdown, put_into_page

TASKS = (
    "liver/0",
    "ode-bank/lotka-volterra",
    "ode-bank/goodwin",
    "ice-core",
    "spirals/30",
    "hopper/extrapolation/30",
    "icu/42",
)
SMALL = Recipe(
    latent_size=8,
    hidden_size=32,
    n_hidden=0,
    dropout=0.3,
    field="bounded",
    field_size=32,
    random_cut=True,
    batch_size=64,
    learning_rate=1e-2,
    weight_decay=1e-2,
    averaging=0.0,
    observation_dropout=0.1,
    max_asked=64,
)
WIDE = SMALL._replace(latent_size=16, hidden_size=64, field_size=64, n_hidden=1)
RECIPES = {
    "small": SMALL,
    "wide": WIDE,
    "wide, averaged": WIDE._replace(averaging=0.99),
    "wide, averaged, plain": WIDE._replace(averaging=0.99, field="plain"),
    "wide, averaged, saturating": WIDE._replace(averaging=0.99, field="saturating"),
    "wide, averaged, saturating, corrections": WIDE._replace(
        averaging=0.99, field="saturating", corrections=1
    ),
}


def main(quick: bool = False, arguments: Sequence[str] = ()) -> None:
    asked = parse(
        ["--tasks", "liver/0", "--recipes", "small", "--steps", "4"] if quick else arguments
    )
    torch.set_num_threads(1)
    errors: dict[str, list[float]] = {label: [] for label in asked.recipes}
    names = []
    for name, task in tasks_of(chosen(asked.tasks), Folders(asked.data, asked.cache)):
        names.append(name)
        for label in asked.recipes:
            errors[label].append(error_of(task, RECIPES[label], asked.steps, asked.seed))
            print(f"{name}, {label}: {errors[label][-1]:.5g}", flush=True)
    if not names:
        return
    text = markdown(ratios_table(names, errors))
    print(f"\n{text}", flush=True)
    if asked.markdown is not None:
        put_into_page(asked.markdown, "defaults of the forecaster", text)


def ratios_table(names: Sequence[str], errors: dict[str, list[float]]) -> Table:
    """Give each recipe a row: its error on every task, as a multiple of the first recipe's."""
    first = next(iter(errors.values()))
    rows = []
    for label, values in errors.items():
        ratios = [value / reference for value, reference in zip(values, first, strict=True)]
        rows.append((label, *(f"{ratio:.3f}" for ratio in (*ratios, geometric_mean(ratios)))))
    return Table(("", *names, "geometric mean"), rows)


def error_of(task: Task, recipe: Recipe, n_steps: int, seed: int) -> float:
    """Train for about so many steps, and give the task's first measure on its validation part."""
    n_batches = max(math.ceil(task.train["series"].nunique() / recipe.batch_size), 4)
    n_epochs = max(round(n_steps / n_batches), 1)
    fitted = fit(task, recipe._replace(n_epochs=n_epochs), seed=seed)
    return first_measure(task, predict(fitted, task.val).mean)


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = task_parser(__doc__)
    parser.set_defaults(tasks=TASKS)
    parser.add_argument("--recipes", nargs="+", default=list(RECIPES), choices=list(RECIPES))
    parser.add_argument("--steps", type=int, default=600, help="training steps, about")
    parser.add_argument("--seed", type=int, default=0, help="seed of every training")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main(arguments=sys.argv[1:])
