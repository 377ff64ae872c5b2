"""Tables have one column of a name, and names that clash are told with a way out."""

import numpy as np
import pandas as pd
import pytest

from latentode import FrameError, LastValue, LatentODEForecaster

SMALL = {"max_epochs": 1, "latent_size": 2, "hidden_size": 4, "verbose": 0, "random_state": 0}


@pytest.fixture(scope="module")
def df():
    rng = np.random.default_rng(0)
    return pd.DataFrame({
        "id": np.repeat(["a", "b"], 6),
        "time": np.tile(np.arange(6.0), 2),
        "y": rng.normal(size=12),
    })


CLASHES = {
    "y_std": ("id", lambda model, _: model.predict(9.0, return_std=True)),
    "y_q0.1": ("time", lambda model, _: model.predict_quantiles(9.0, [0.1])),
    "y_lower": ("id", lambda model, _: model.predict_interval(9.0)),
    "target": ("id", lambda model, _: model.predict(9.0, format="long")),
    "value": ("time", lambda model, _: model.predict(9.0, format="long")),
    "quantile": ("id", lambda model, _: model.predict_quantiles(9.0, format="long")),
    "std": ("id", lambda model, _: model.predict(9.0, return_std=True, format="long")),
    "cutoff": ("time", lambda model, df: model.historical_forecasts(df, horizon=1.0)),
    "draw": ("id", lambda model, _: model.sample(9.0, 2)),
    "z0": ("time", lambda model, _: model.latent(9.0)),
}


def fitted(name, df):
    columns = {"id_col": df.columns[0], "time_col": df.columns[1], "target_cols": "y"}
    kind, settings = (LatentODEForecaster, SMALL) if name in {"draw", "z0"} else (LastValue, {})
    return kind(**columns, **settings).fit(df)


@pytest.mark.parametrize("name", CLASHES)
def test_a_name_of_yours_that_is_one_of_ours_is_refused_with_a_fix_that_works(name, df):
    role, tell = CLASHES[name]
    clashing = df.rename(columns={role: name})
    with pytest.raises(FrameError, match=f"two columns called '{name}'") as error:
        tell(fitted(name, clashing), clashing)
    assert error.value.code == "E-COLS-DUP"
    scope = {"df": clashing, "model": fitted(name, clashing)}
    exec(error.value.fix, scope)
    out = tell(fitted(name, scope["df"]), scope["df"])
    assert name in out and out.columns.is_unique


def test_a_target_named_as_what_is_told_of_another_is_refused(df):
    model = LastValue(target_cols=["y", "y_std"]).fit(df.assign(y_std=1.0 * df.index))
    assert model.predict(9.0).columns.tolist() == ["id", "time", "y", "y_std"]
    with pytest.raises(FrameError, match="two columns called 'y_std'"):
        model.predict(9.0, return_std=True)
