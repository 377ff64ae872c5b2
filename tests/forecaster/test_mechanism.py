"""A mechanism is solved and learned in the units of the frame, whatever these are."""

import copy

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from torch import nn

from latentode import LatentODEForecaster, LatentODEWarning, ModelFileError
from latentode.nn import Mechanism

CLEARANCE, VOLUME = 2.0, 8.0  # litres per hour for 70 kg, litres
COLUMNS = {"known_cols": "rate", "static_cols": "weight", "target_cols": "conc"}
SMALL = COLUMNS | {
    "max_epochs": 2,
    "hidden_size": 8,
    "verbose": 0,
    "random_state": 0,
    "refit": False,
    "val_fraction": 0.0,
}


class Infusion(Mechanism):
    """One compartment, with a clearance in proportion to weight, and of each patient's own."""

    def __init__(self, *, time_unit=1.0, clearance=1.0, volume=4.0, spread=0.2):
        super().__init__()
        self.time_unit = time_unit
        self.log_clearance = nn.Parameter(torch.tensor(clearance).log())
        self.log_volume = nn.Parameter(torch.tensor(volume).log())
        self.spread = nn.Parameter(torch.tensor(spread))

    def start(self, e, given):
        own = torch.exp(self.log_clearance + self.spread * e[:, 0])
        clearance = own * given["weight"] / 70
        return torch.stack([torch.zeros_like(clearance), clearance], dim=-1)

    def forward(self, t, z, given):
        amount, clearance = z.unbind(-1)
        rate = given["rate"] - clearance * amount / self.log_volume.exp()
        return torch.stack([rate, torch.zeros_like(rate)], dim=-1)

    def observe(self, t, z, given):
        return z[..., :1] / self.log_volume.exp()


def exact(t, weight, rate, stop):
    """Give the concentration of an infusion from 0 to stop."""
    clearance = CLEARANCE * weight / 70
    k = clearance / VOLUME
    rising = rate / clearance * -np.expm1(-k * np.minimum(t, stop))
    return rising * np.exp(-k * np.maximum(t - stop, 0))


def simulated(n_series, *, noise=0.0, n_rows=8):
    rng, rows = np.random.default_rng(0), []
    for s in range(n_series):
        weight, rate, stop = rng.uniform(50, 100), rng.uniform(10, 40), rng.uniform(2, 5)
        for t in [0.0, *np.sort(rng.uniform(0.2, 12, n_rows))]:
            error = 1 + noise * rng.standard_normal()
            row = {"conc": exact(t, weight, rate, stop) * error, "rate": rate * (t < stop)}
            rows.append({"id": s, "time": t, "weight": weight} | row)
        rows.append({"id": s, "time": stop, "weight": weight, "conc": np.nan, "rate": 0.0})
    return pd.DataFrame(rows)


def after(*times, ids=range(8)):
    """Give rows to ask about after the end of all infusions."""
    rows = [{"id": s, "time": t, "rate": 0.0} for s in ids for t in times]
    return pd.DataFrame(rows)


def in_days(df):
    return df.assign(time=df.time / 24)


def as_stamps(df):
    return df.assign(time=pd.Timestamp("2024-03-01") + pd.to_timedelta(df.time, "h"))


@pytest.fixture(scope="module")
def patients():
    return simulated(8)


@pytest.fixture(scope="module")
def fitted(patients):
    return LatentODEForecaster(vector_field=Infusion(), **SMALL).fit(patients)


def test_the_true_mechanism_tells_the_exact_solution_in_the_units_of_the_frame(patients):
    truth = Infusion(clearance=CLEARANCE, volume=VOLUME, spread=0.0)
    fixed = SMALL | {"learning_rate": 1e-12, "rtol": 1e-6, "atol": 1e-6}
    model = LatentODEForecaster(vector_field=truth, **fixed).fit(patients)
    seen = patients.dropna()
    told = model.predict(seen[["id", "time"]]).conc
    np.testing.assert_allclose(told, seen.conc, atol=2e-5)
    late = model.predict(after(100.0))  # many spans later: time runs on as it did
    assert (late.conc.abs() < 1e-5).all()


@pytest.mark.slow
def test_what_was_simulated_with_is_learned():
    df = simulated(24, noise=0.05)
    more = {"max_epochs": 150, "learning_rate": 0.03, "objective": "elbo"}
    model = LatentODEForecaster(vector_field=Infusion(), **SMALL | more).fit(df)
    learned = model.vector_field_
    assert learned.log_clearance.exp().item() == pytest.approx(CLEARANCE, rel=0.03)
    assert learned.log_volume.exp().item() == pytest.approx(VOLUME, rel=0.03)
    assert model.module_.decoder.proportional.item() == pytest.approx(0.05, abs=0.02)


def test_the_unit_of_time_does_not_matter_when_it_is_told(patients, fitted):
    days, stamps = in_days(patients), as_stamps(patients)
    asked = after(13.0, 20.0)
    expected = fitted.predict(asked).conc
    for df, unit, as_time in ((days, 1 / 24, in_days), (stamps, "1h", as_stamps)):
        model = LatentODEForecaster(vector_field=Infusion(time_unit=unit), **SMALL).fit(df)
        np.testing.assert_allclose(
            model.predict(as_time(asked)).conc, expected, rtol=1e-3, atol=1e-4
        )
        for name, p in model.vector_field_.named_parameters():
            torch.testing.assert_close(p, fitted.vector_field_.get_parameter(name))


def test_the_unit_of_a_known_covariate_does_not_matter_when_it_is_told(patients, fitted):
    class Grams(Infusion):
        def forward(self, t, z, given):
            return super().forward(t, z, {"rate": 1000 * given["rate"]})

    df = patients.assign(rate=patients.rate / 1000)
    model = LatentODEForecaster(vector_field=Grams(), **SMALL).fit(df)
    asked = after(13.0, 20.0)
    told, expected = (m.predict(asked).conc for m in (model, fitted))
    np.testing.assert_allclose(told, expected, rtol=1e-3, atol=1e-4)


def test_a_mechanism_of_dates_needs_a_unit(patients):
    df = as_stamps(patients)
    with pytest.raises(ValueError, match=r"time_unit=1.0 has no unit.\nFix: time_unit = '1.0D'"):
        LatentODEForecaster(vector_field=Infusion(), **SMALL).fit(df)


def test_what_is_learned_is_read_and_what_was_handed_in_stays(fitted):
    given, learned = fitted.vector_field, fitted.vector_field_
    assert isinstance(learned, Infusion)
    for name, p in given.named_parameters():
        assert not torch.equal(p, learned.get_parameter(name))
    assert (given.log_clearance == 0).all()
    assert f"log_volume={learned.log_volume.item():.4g}" in fitted.summary()
    assert fitted.module_.decoder.additive.shape == (1,)


def test_a_state_is_told_in_the_units_of_the_mechanism(fitted, patients):
    asked = after(9.0)
    conc = fitted.latent(asked).z0 / fitted.vector_field_.log_volume.exp().item()
    np.testing.assert_allclose(conc, fitted.predict(asked).conc, rtol=1e-6)


def test_forecasts_are_those_of_a_distribution(fitted):
    told = fitted.predict_quantiles(after(9.0, ids=[0]), [0.1, 0.5, 0.9])
    assert (told["conc_q0.1"] < told["conc_q0.5"]).all()
    assert (told["conc_q0.5"] < told["conc_q0.9"]).all()
    assert np.isfinite(fitted.sample(after(9.0, ids=[0]), n=4, random_state=0).conc).all()


def test_tails_may_be_heavier(patients):
    once = SMALL | {"max_epochs": 1, "likelihood": "student-t"}
    model = LatentODEForecaster(vector_field=Infusion(), **once).fit(patients)
    assert model.module_.decoder.raw_df.shape == (1,)
    assert np.isfinite(model.predict(after(9.0)).conc).all()


def test_new_patients_need_no_fit(fitted, patients):
    new = simulated(10).query("id > 7")
    asked = after(13.0, ids=[8, 9])
    told = fitted.predict(asked, context=new)
    assert np.isfinite(told.conc).all()
    again = copy.deepcopy(fitted).update(new).predict(asked)
    np.testing.assert_allclose(again.conc, told.conc, rtol=1e-6)


def test_it_is_cloned_and_fitted_alike(fitted, patients):
    again = clone(fitted).fit(patients)
    pd.testing.assert_frame_equal(again.predict(after(9.0)), fitted.predict(after(9.0)))


def test_a_warm_start_takes_new_scales(fitted, patients):
    model = copy.deepcopy(fitted).set_params(warm_start=True)
    model.fit(patients.assign(conc=10 * patients.conc))
    scaler, field = model.scaler_, model.module_.vector_field
    assert field.std.item() == pytest.approx(scaler.std[0], rel=1e-6)


def test_saved_and_loaded_with_a_mechanism_it_is_the_same(fitted, patients, tmp_path):
    fitted.save(tmp_path / "m.lode")
    fresh = Infusion()
    again = LatentODEForecaster.load(tmp_path / "m.lode", vector_field=fresh)
    pd.testing.assert_frame_equal(
        again.predict(after(9.0)), fitted.predict(after(9.0)), rtol=0, atol=0
    )
    assert again.vector_field is fresh
    assert (fresh.log_clearance == 0).all()
    before = (tmp_path / "m.lode").read_bytes()
    again.save(tmp_path / "m.lode")
    assert (tmp_path / "m.lode").read_bytes() == before
    assert again.partial_fit(patients.assign(time=patients.time + 20), epochs=1)


def test_a_file_asks_for_the_mechanism_that_it_needs(fitted, tmp_path):
    fitted.save(tmp_path / "m.lode")
    with pytest.raises(ModelFileError) as missing:
        LatentODEForecaster.load(tmp_path / "m.lode")
    assert str(missing.value) == (
        "m.lode was fitted with vector_field=Infusion(...), of which a file holds the weights and "
        "no code; no module was given to load it with.\nFix: model = "
        "latentode.LatentODEForecaster.load('m.lode', vector_field=Infusion(...))  # made as for "
        "fit"
    )
    with pytest.raises(ModelFileError, match="Linear was given to load it with"):
        LatentODEForecaster.load(tmp_path / "m.lode", vector_field=nn.Linear(1, 1))


def test_a_mechanism_with_other_sizes_is_refused(fitted, tmp_path):
    fitted.save(tmp_path / "m.lode")
    other = Infusion()
    other.log_volume = nn.Parameter(torch.zeros(3))
    with pytest.raises(ModelFileError, match=r"log_volume is of shape \(3,\) in one[\s\S]*in fit"):
        LatentODEForecaster.load(tmp_path / "m.lode", vector_field=other)


def test_late_starts_are_warned_of(patients):
    df = patients.assign(conc=patients.conc.where(patients.time > 0))
    with pytest.warns(LatentODEWarning, match="acts on 8 of 8 series before their first obs"):
        LatentODEForecaster(vector_field=Infusion(), **SMALL).fit(df)


class Wrong(Infusion):
    def __init__(self, method, answer):
        super().__init__()
        self.method, self.answer = method, answer

    def start(self, e, given):
        return self.answer if self.method == "start" else super().start(e, given)

    def forward(self, t, z, given):
        return self.answer if self.method == "forward" else super().forward(t, z, given)

    def observe(self, t, z, given):
        return self.answer if self.method == "observe" else super().observe(t, z, given)


@pytest.mark.parametrize("method", ["start", "forward", "observe"])
def test_a_wrong_shape_is_an_error_that_names_the_method(method, patients):
    model = LatentODEForecaster(vector_field=Wrong(method, torch.zeros(3)), **SMALL)
    with pytest.raises(ValueError, match=rf"Wrong.{method} must give a tensor of shape"):
        model.fit(patients)


@pytest.mark.parametrize(
    ("parameter", "value", "message"),
    [
        ("objective", "interpolation", "a mechanism starts once"),
        ("likelihood", "quantiles", "likelihood"),
    ],
)
def test_what_does_not_go_with_a_mechanism_is_refused(parameter, value, message, patients):
    model = LatentODEForecaster(vector_field=Infusion(), **SMALL | {parameter: value})
    with pytest.raises(ValueError, match=message):
        model.fit(patients)
