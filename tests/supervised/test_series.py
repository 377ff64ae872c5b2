"""What users of whole series may rely on."""

import inspect
import pickle
import random

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, GroupKFold, cross_validate
from sklearn.utils import estimator_checks

from latentode import FrameError, LatentODEWarning, SeriesClassifier, SeriesRegressor
from latentode.data import scale_panel, to_panel
from latentode.models import Labelled, SeriesNet, Supervised, WholeSeriesDataModule
from latentode.supervised.ode_net import cross_entropy
from tests.supervised.trends import SMALL, make_trends

BOTH = {"classifier": SeriesClassifier, "regressor": SeriesRegressor}
LEARNING = {
    "latent_size": 4,
    "hidden_size": 8,
    "dropout": 0.1,
    "learning_rate": 0.03,
    "max_epochs": 12,
    "random_state": 0,
}


@pytest.fixture(params=BOTH)
def blank(request):
    return BOTH[request.param](**SMALL)


@pytest.fixture
def y(blank, labels):
    return labels if isinstance(blank, SeriesClassifier) else (labels == "rises") + 0.5


@pytest.fixture(scope="module")
def fitted(trends):
    """Give a fitted classifier; a test that changes it takes a copy."""
    return SeriesClassifier(**SMALL).fit(*trends)


def answers(model, df, **options):
    return getattr(model, "predict_proba", model.predict)(df, **options)


def assert_same(one, other, atol=0.0):
    np.testing.assert_allclose(one.to_numpy(), other.to_numpy(), rtol=0, atol=atol)
    assert one.index.equals(other.index)


class TestLearning:
    def test_classes_are_told_apart_and_as_likely_as_they_say(self):
        model = SeriesClassifier(**LEARNING).fit(*make_trends(150))
        scores = model.evaluate(*make_trends(150, seed=1))
        assert scores.auroc > 0.95
        assert scores.log_loss < 0.35
        assert scores.average_precision > 0.9
        assert scores.prevalence < 0.5

    def test_values_are_told_in_their_units(self):
        df, labels = make_trends(150)
        late, truth = make_trends(150, seed=1)
        model = SeriesRegressor(**LEARNING).fit(df, 1e6 + 1e3 * (labels == "rises"))
        scores = model.evaluate(late, 1e6 + 1e3 * (truth == "rises"))
        assert scores.r2 > 0.5
        assert 100 < scores.mae < scores.rmse < 400
        assert model.score(late, 1e6 + 1e3 * (truth == "rises")) == pytest.approx(scores.r2)

    def test_the_best_epoch_on_what_is_held_out_is_kept(self, df, labels):
        parameters = {**SMALL, "max_epochs": 40, "learning_rate": 0.1, "patience": 1}
        losses = SeriesClassifier(**parameters).fit(df, labels).history_.val_loss
        assert len(losses) == 40 or losses.argmin() == len(losses) - 3

    def test_nothing_is_held_out_where_nothing_is_to_be(self, df, labels):
        model = SeriesClassifier(**{**SMALL, "val_fraction": 0.0}).fit(df, labels)
        assert model.history_.columns.tolist() == ["epoch", "train_loss", "member"]

    def test_what_members_tell_is_averaged(self, df, labels):
        model = SeriesClassifier(**SMALL, n_members=3).fit(df, labels)
        whole, members = model.predict_proba(df), []
        for member in model.members_:
            model.members_ = torch.nn.ModuleList([member])
            members.append(model.predict_proba(df))
        assert_same(whole, sum(members) / 3, atol=1e-12)
        assert not np.allclose(members[0], members[1])
        assert model.history_.member.unique().tolist() == [0, 1, 2]


class TestWeights:
    def test_balanced_is_the_weight_that_makes_classes_equal(self, df, labels):
        n = labels.value_counts()
        by_hand = {label: len(labels) / (2 * n[label]) for label in n.index}
        told, again, plain = (
            SeriesClassifier(**SMALL, class_weight=w).fit(df, labels).predict_proba(df)
            for w in ("balanced", by_hand, None)
        )
        assert_same(told, again)
        assert told["rises"].mean() > plain["rises"].mean()

    def test_a_weight_of_two_is_a_series_that_is_there_twice(self, fitted, df):
        panel = scaled(fitted, df)
        codes = torch.tensor([0, 1, 1, 0, 1])
        twice = torch.tensor([0, 1, 1, 2, 2, 3, 4, 4])
        once = Labelled(torch.arange(5), codes, torch.tensor([1.0, 2, 2, 1, 2]) * 5 / 8)
        module = Supervised(fitted.members_[0], cross_entropy)
        weighted, repeated = (
            module.loss_of(WholeSeriesDataModule(panel, some).rows_of(some))
            for some in (once, Labelled(twice, codes[twice], torch.ones(8)))
        )
        torch.testing.assert_close(weighted, repeated)


class TestLabels:
    @pytest.mark.parametrize(
        "classes",
        [
            (0, 1),
            (np.int8(-3), np.int8(5)),
            ("a", "b"),
            (False, True),
            (1.0, 2.0),
            (pd.Timestamp("2024-01-01"), pd.Timestamp("2024-01-02")),
        ],
        ids=lambda pair: type(pair[0]).__name__,
    )
    def test_those_of_any_type_come_back(self, classes, df, labels):
        y = pd.Series([classes[label == "rises"] for label in labels])
        model = SeriesClassifier(**SMALL).fit(df, y)
        told = model.predict(df)
        assert set(told) <= {*classes}
        assert told.dtype == y.dtype
        assert model.predict_proba(df).columns.tolist() == [*classes]
        assert model.score(df, y) >= 0.4

    def test_there_may_be_three(self, df, labels):
        y = labels.where(labels.index % 3 > 0, "other")
        scores = SeriesClassifier(**SMALL).fit(df, y).evaluate(df, y)
        assert scores.prevalence == pytest.approx(1 / 3)
        assert 0 < scores.auroc < 1

    def test_a_column_of_them_is_not_read(self, df, labels, fitted):
        model = SeriesClassifier(**SMALL)
        for y in (labels, (labels == "rises") * 7):
            spread = df.assign(died=y[df.id].to_numpy())
            model.fit(spread, "died")
            assert model.schema_.feature_cols == ("a", "b")
            told = model.predict_proba(spread)
            assert_same(told, fitted.predict_proba(df))
            assert_same(told, model.predict_proba(df))

    def test_several_id_columns(self, df, labels, fitted):
        wide = df.assign(ward=df.id % 3).rename(columns={"id": "stay"})
        keys = pd.MultiIndex.from_arrays([labels.index % 3, labels.index], names=["ward", "stay"])
        model = SeriesClassifier(**SMALL, id_col=["ward", "stay"], feature_cols=["a", "b"])
        told = model.fit(wide, labels.set_axis(keys)).predict_proba(wide)
        assert told.index.names == ["ward", "stay"]
        assert told.shape == fitted.predict_proba(df).shape

    def test_a_number_that_is_none_is_named(self, df, labels):
        with pytest.raises(FrameError, match=r"1 of 40 labels .* inf of series 5"):
            SeriesRegressor(**SMALL).fit(df, labels.index.to_series().replace(5, np.inf))

    def test_one_that_was_not_there_in_fit_cannot_be_measured(self, fitted, df, labels):
        with pytest.raises(ValueError, match="the label 'new' was not there in fit"):
            fitted.evaluate(df, labels.replace("falls", "new"))
        with pytest.raises(ValueError, match=r"none of the .* series is of class 'falls'"):
            fitted.evaluate(df, labels.map(lambda _: "rises"))


class TestWhatMustNotMatter:
    def test_the_order_of_rows_and_of_labels(self, blank, df, y):
        told = answers(blank.fit(df, y), df)
        shuffled = df.sample(frac=1, random_state=1)
        again = answers(blank.fit(shuffled, y[::-1]), shuffled)
        assert again.index.tolist() == shuffled.id.unique().tolist()
        assert_same(again.loc[told.index], told)

    def test_the_other_series_asked(self, fitted, df):
        told = fitted.predict_proba(df)
        alone = pd.concat([fitted.predict_proba(df[df.id == key]) for key in (7, 3)])
        assert_same(alone, told.loc[[7, 3]], atol=1e-6)

    def test_the_name_of_a_series(self, fitted, df):
        new = fitted.predict_proba(df[df.id == 5].assign(id="new"))
        assert new.index.tolist() == ["new"]
        assert_same(new, fitted.predict_proba(df).loc[[5]].set_axis(["new"]), atol=1e-6)

    def test_when_a_series_was(self, fitted, df):
        assert_same(
            fitted.predict_proba(df.assign(time=df.time + 1024)),
            fitted.predict_proba(df),
            atol=1e-5,
        )

    def test_units_of_values_and_times_and_logarithms(self, blank, df, y):
        told = answers(blank.fit(df, y), df)
        other = df.assign(a=np.exp(df.a), b=1e4 + 1e-2 * df.b, time=60 * df.time)
        assert_same(answers(blank.fit(other, y), other), told, atol=1e-4)

    def test_times_may_be_dates(self, blank, df, y):
        stamps = pd.Timestamp("2024-01-01") + pd.to_timedelta(df.time.round(6), unit="s")
        dated = df.assign(time=stamps)
        assert_same(answers(blank.fit(dated, y), dated), answers(blank.fit(df, y), df), atol=1e-3)

    def test_rows_without_a_value(self, fitted, df):
        empty = pd.DataFrame({"id": [3, 3], "time": [6.9, 7.5]})
        assert_same(fitted.predict_proba(pd.concat([df, empty])), fitted.predict_proba(df))

    def test_the_library_of_the_frame(self, fitted, df):
        assert_same(
            fitted.predict_proba(pl.DataFrame(df.to_dict("list"))), fitted.predict_proba(df)
        )

    def test_nothing_global_is_touched_no_frame_changed_and_nothing_said(
        self, blank, df, y, capfd
    ):
        blank.set_params(random_state=None)
        copies = df.copy(deep=True), y.copy(deep=True)
        before = torch.get_rng_state(), numpy_state(), random.getstate()
        answers(blank.fit(df, y), df)
        assert torch.equal(torch.get_rng_state(), before[0])
        assert (numpy_state(), random.getstate()) == before[1:]
        assert capfd.readouterr() == ("", "")
        pd.testing.assert_frame_equal(df, copies[0])
        pd.testing.assert_series_equal(y, copies[1])

    def test_the_same_seed_gives_the_same_model_and_another_one_another(self, blank, df, y):
        told = answers(blank.fit(df, y), df)
        assert_same(answers(blank.fit(df, y), df), told)
        assert not np.array_equal(answers(blank.set_params(random_state=1).fit(df, y), df), told)


class TestFrames:
    def test_static_covariates_are_read_from_either_frame(self, df, labels):
        age = pd.DataFrame({"id": labels.index, "age": labels.index * 1.5, "sex": "f"})
        age.loc[::2, "sex"] = "m"
        model = SeriesClassifier(**SMALL, static_cols=["age", "sex"])
        told = model.fit(df, labels, static=age).predict_proba(df, static=age)
        joined = df.merge(age, on="id")
        assert_same(model.fit(joined, labels).predict_proba(joined), told)
        older = joined.assign(age=joined.age + 100)
        assert not np.allclose(model.predict_proba(older), told)

    def test_a_series_without_a_value_is_told(self, fitted):
        none = pd.DataFrame({"id": [1], "time": [0.0], "a": [np.nan], "b": [np.nan]})
        with pytest.warns(LatentODEWarning, match="nothing was observed of 1 of the 1 series"):
            told = fitted.predict_proba(none)
        assert told.sum(axis=1).item() == pytest.approx(1)

    def test_a_frame_that_is_refused_speaks_of_this_estimator(self, df, labels):
        with pytest.raises(FrameError) as caught:
            SeriesClassifier(**SMALL, feature_cols=["aa"]).fit(df, labels)
        assert "Fix: SeriesClassifier(feature_cols=['a'])" in str(caught.value)
        with pytest.raises(FrameError, match="E-TIME-DUP"):
            SeriesClassifier(**SMALL).fit(pd.concat([df, df.iloc[[7]]]), labels)


class TestScikitLearn:
    @pytest.mark.parametrize(
        "check",
        [
            "check_estimator_cloneable",
            "check_estimator_tags_renamed",
            "check_valid_tag_types",
            "check_estimator_repr",
            "check_no_attributes_set_in_init",
            "check_do_not_raise_errors_in_init_or_set_params",
            "check_mixin_order",
            "check_parameters_default_constructible",
            "check_get_params_invariance",
            "check_set_params",
            "check_requires_y_none",
            "check_estimators_unfitted",
        ],
    )
    def test_its_own_checks_pass(self, check, blank):
        getattr(estimator_checks, check)(type(blank).__name__, blank)

    def test_clone_copies_the_parameters_alone(self, blank, df, y):
        copy = clone(blank.fit(df, y))
        assert copy.get_params() == blank.get_params()
        with pytest.raises(NotFittedError):
            copy.predict(df)
        for method in (blank.fit, blank.score):
            assert list(inspect.signature(method).parameters)[1] == "y"

    def test_a_pickle_tells_the_same(self, fitted, df):
        again = pickle.loads(pickle.dumps(fitted))
        assert_same(again.predict_proba(df), fitted.predict_proba(df))

    def test_folds_of_series_and_a_search(self, blank, df, y):
        of_rows = y[df.id].to_numpy()
        options = {"groups": df.id, "cv": GroupKFold(2), "error_score": "raise"}
        assert np.isfinite(cross_validate(blank, df, of_rows, **options)["test_score"]).all()
        search = GridSearchCV(
            blank, {"latent_size": [2, 3]}, cv=GroupKFold(2), error_score="raise"
        )
        assert search.fit(df, of_rows, groups=df.id).best_params_["latent_size"] in {2, 3}

    @pytest.mark.parametrize(
        ("parameters", "message"),
        [
            ({"hidden_size": 0}, "hidden_size=0 must be a whole number"),
            ({"n_members": 0}, "n_members=0 must be a whole number"),
            ({"dropout": 1.0}, "dropout=1.0 must be at least 0 and less than 1"),
            ({"method": "rk4"}, "method=rk4 is not known: choose one of"),
            ({"random_state": -1}, "random_state=-1 must be a whole number"),
        ],
    )
    def test_parameters_that_cannot_be_used_are_refused(self, parameters, message, blank, df, y):
        with pytest.raises(ValueError, match=message):
            blank.set_params(**parameters).fit(df, y)

    def test_a_training_that_diverges_says_so(self, df, y, blank):
        blank.set_params(learning_rate=1e30, weight_decay=0.0, max_epochs=30)
        with pytest.raises(
            FloatingPointError, match=r"diverged in epoch \d+, batch \d+: .* Lower"
        ):
            blank.fit(df, y)


def test_a_network_starts_where_its_path_does(fitted):
    encoder = fitted.members_[0].encoder
    encoder = type(encoder)(2, 3, anchor="start")
    with pytest.raises(ValueError, match="anchor must be end"):
        SeriesNet(encoder, torch.nn.Identity(), 2, 2)


def numpy_state():
    return np.random.get_state()[1].tolist()  # noqa: NPY002  it is the old state that is looked at


def scaled(model, df):
    return scale_panel(to_panel(df, model.schema_), model.scaler_)
