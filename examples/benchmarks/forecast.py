"""Train our models on the protocols of forecasting, and print them beside rules and rivals.

Each model is trained anew for each seed, with the recipe of forecast_recipes.py, which was chosen
on validation parts; the weights are those of the epoch that is best on validation. Tables give
mean and standard deviation over the seeds. forecast_rivals_table.py says where data come from.

    python examples/benchmarks/forecast.py --tasks liver periodic
    python examples/benchmarks/forecast.py --tasks icu/42 --seeds 5 --data FOLDER
    python examples/benchmarks/forecast.py --tasks liver/0 --ablations
    python examples/benchmarks/forecast.py --tasks spirals --models "latent ODE" RNN
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import mean, stdev

import torch

# A script finds the files beside it; one that is run from a test does not.
sys.path.append(str(Path(__file__).parent))

import numpy as np
from forecast_arguments import chosen, task_parser, tasks_of
from forecast_distributions import Gaussian, best_rule, spread_scores, widening
from forecast_models import Recipe, fit, predict
from forecast_protocols import Folders
from forecast_recipes import ablations, recipe_for
from forecast_rivals_table import five_digits, rivals_table
from forecast_tasks import Part, Task, values_of
from solver_tables import Table, markdown, put_into_page


def main(quick: bool = False, arguments: Sequence[str] = ()) -> None:
    asked = parse(arguments)
    torch.set_num_threads(1)
    names = ["liver/0"] if quick else chosen(asked.tasks)
    for name, task in tasks_of(names, Folders(asked.data, asked.cache)):
        recipes = recipes_of(name, asked.models, quick=quick)
        part = task.test if asked.test else task.val
        text = markdown(models_table(task, part, recipes, asked.seeds))
        if asked.rivals:
            text += "\n\n" + markdown(rivals_table(task))
        where = "test" if asked.test else "validation"
        print(f"\n{name}, {where} part, {asked.seeds} seeds\n\n{text}", flush=True)
        if asked.markdown is not None:
            put_into_page(asked.markdown, f"forecasts of {name}", text)


def recipes_of(name: str, models: Sequence[str], *, quick: bool) -> dict[str, Recipe]:
    """Give the recipe of a task and its ablations, those whose names begin as asked."""
    recipe = recipe_for(name)
    if quick:
        recipe = recipe._replace(n_epochs=1)
    return {k: each for k, each in ablations(recipe).items() if k.startswith(tuple(models))}


def models_table(task: Task, part: Part, recipes: dict[str, Recipe], n_seeds: int) -> Table:
    """Give the best rule and each recipe a row: measures on a part, and seconds to train.

    Intervals are widened as validation asks; the measures are means over the seeds.
    """
    columns = ("", *measures_of(task, part), "CRPS", "90 % cover", "widened", "CPU seconds")
    rows = [rule_row(task, part)]
    rows += [row_of(task, part, label, recipe, n_seeds) for label, recipe in recipes.items()]
    return Table(columns, rows)


def rule_row(task: Task, part: Part) -> tuple[str, ...]:
    """Give the best naive rule's row."""
    name, val, p = best_rule(task, part)
    return (name, *map(five_digits, scores(task, part, p, val)), "")


def measures_of(task: Task, part: Part) -> list[str]:
    """Name the measures of a protocol, as they are for a forecast of 0."""
    return list(task.metrics(np.zeros_like(values_of(part.asked, task.features)), part))


def row_of(task: Task, part: Part, label: str, recipe: Recipe, n_seeds: int) -> tuple[str, ...]:
    """Train with every seed, and give mean and standard deviation of all measures."""
    runs = []
    for seed in range(n_seeds):
        fitted = fit(task, recipe, seed=seed)
        val = predict(fitted, task.val)
        p = val if part is task.val else predict(fitted, part)
        runs.append([*scores(task, part, p, val), fitted.seconds])
        print(
            f"{task.name} {label} seed {seed}: {' '.join(map(five_digits, runs[-1]))}", flush=True
        )
    return (label, *(with_spread(values) for values in zip(*runs, strict=True)))


def scores(task: Task, part: Part, p: Gaussian, val: Gaussian) -> list[float]:
    """Give the measures of the protocol, and how good the spread is."""
    factor = widening(val, task.val, task.features)
    return [*task.metrics(p.mean, part).values(), *spread_scores(p, part, factor, task.features)]


def with_spread(values: Sequence[float]) -> str:
    if len(values) == 1:
        return five_digits(values[0])
    return f"{five_digits(mean(values))} ± {five_digits(stdev(values))}"


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = task_parser(__doc__)
    parser.add_argument("--seeds", type=int, default=1, help="how many trainings of each")
    parser.add_argument("--test", action="store_true", help="measure the test part")
    parser.add_argument(
        "--models", nargs="+", default=["latent ODE"], help="how names of rows begin, '' for all"
    )
    parser.add_argument(
        "--ablations", dest="models", action="store_const", const=[""], help="train all of them"
    )
    parser.add_argument("--rivals", action="store_true", help="print rules and rivals too")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main(arguments=sys.argv[1:])
