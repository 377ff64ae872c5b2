"""What was chosen for each protocol, on its validation part, and what is left out to compare."""

from forecast_models import Recipe

from latentode.models import ShiftConsistency

ICU = Recipe(
    latent_size=24,
    dropout=0.2,
    field="bounded",
    head="variable",
    corrections=3,
    around=(8.0, 8.0),
    loss="huber",
    balance=0.5,
    n_epochs=6,
    learning_rate=1e-3,
    observation_dropout=0.1,
)
ICU_HOURLY = ICU._replace(
    loss="mse", balance=None, corrections=4, around=(20.0, 8.0), n_epochs=25, learning_rate=1.5e-3
)
HOPPER_AHEAD = Recipe(
    latent_size=64,
    hidden_size=128,
    reader="gru-both",
    n_heads=4,
    field_size=128,
    speed=5.0,
    rule=None,
    loss="mse",
    balance=0.0,
    n_epochs=30,
    learning_rate=6e-3,
    weight_decay=1e-5,
    max_asked=40,
)
HOPPER_BETWEEN = Recipe(
    latent_size=32,
    hidden_size=128,
    reader="gru-both",
    anchor="rows",
    field_size=64,
    speed=4.0,
    head="mlp",
    rule="interpolating",
    loss="mse",
    balance=0.0,
    n_epochs=30,
    learning_rate=6e-3,
    weight_decay=1e-5,
    context_weight=1.0,
    max_asked=30,
)
PERIODIC = Recipe(
    latent_size=10,
    hidden_size=32,
    reader="gru-backward",
    anchor="start",
    n_frequencies=8,
    n_heads=4,
    summaries=False,
    field="oscillators",
    head="mlp",
    head_size=32,
    rule=None,
    loss="mse",
    n_epochs=100,
    batch_size=50,
    learning_rate=1e-2,
    weight_decay=1e-5,
    context_weight=1.0,
)
ODE_BANK = Recipe(
    latent_size=32,
    reader="gru-both",
    n_heads=4,
    field_size=128,
    speed=5.0,
    loss="mse",
    n_epochs=60,
    learning_rate=6e-3,
    weight_decay=1e-4,
)
LIVER = Recipe(
    dropout=0.3,
    field="bounded",
    random_cut=True,
    n_epochs=60,
    batch_size=64,
    learning_rate=5e-3,
    weight_decay=1e-2,
    averaging=0.0,
    observation_dropout=0.1,
)
SPIRALS = Recipe(
    latent_size=8,
    hidden_size=64,
    reader="gru-backward",
    anchor="start",
    n_at_once=5,
    summaries=False,
    head="mlp",
    head_size=32,
    rule=None,
    loss="mse",
    penalties=(ShiftConsistency(0.1, far=0.5),),
    n_epochs=300,
    learning_rate=1e-2,
    weight_decay=1e-5,
    context_weight=1.0,
)

# By how the names of protocols begin.
RECIPES: dict[str, Recipe] = {
    "icu-hourly": ICU_HOURLY,
    "icu": ICU,
    "hopper/extrapolation": HOPPER_AHEAD,
    "hopper/interpolation": HOPPER_BETWEEN,
    "periodic": PERIODIC,
    "ode-bank": ODE_BANK,
    "ice-core": LIVER._replace(n_epochs=100),
    "liver": LIVER,
    "spirals": SPIRALS,
}


def recipe_for(name: str) -> Recipe:
    """Give the recipe of a protocol."""
    return next(recipe for start, recipe in RECIPES.items() if name.startswith(start))


def ablations(recipe: Recipe) -> dict[str, Recipe]:
    """Give the recipe, and the same without one part after the other."""
    without = {
        "latent ODE": recipe,
        "one Euler step": recipe._replace(field="euler"),
        "GRU step, no ODE": recipe._replace(field="gru"),
    }
    if recipe.anchor == "start":
        # See latentode.models.RNN; an epoch of it takes a third of the time.
        without["RNN"] = recipe._replace(
            reader="gru", anchor="end", field="gru", penalties=(), n_epochs=3 * recipe.n_epochs
        )
    if recipe.rule is not None:
        without["no rule"] = recipe._replace(rule=None, corrections=0)
    if recipe.corrections:
        without["no corrections"] = recipe._replace(corrections=0)
    if recipe.penalties:
        without["no penalties"] = recipe._replace(penalties=())
    return without
