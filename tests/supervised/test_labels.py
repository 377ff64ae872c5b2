"""Labels of series are read in any form, and those that cannot be are named."""

import pandas as pd
import polars as pl
import pytest

from latentode import FrameError, SeriesClassifier
from latentode.data import infer_schema
from latentode.supervised.labels import in_order, read_labels
from tests.supervised.trends import SMALL

FORMS = {
    "mapping": lambda y, df: y.to_dict(),
    "shuffled": lambda y, df: y.sample(frac=1, random_state=0),
    "category": lambda y, df: y.astype("category"),
    "frame": lambda y, df: y.rename_axis("id").reset_index(),
    "polars": lambda y, df: pl.DataFrame({"id": y.index.tolist(), "kind": y.tolist()}),
    "rows": lambda y, df: y[df.id].to_numpy(),
    "list of rows": lambda y, df: y[df.id].tolist(),
    "Series of rows": lambda y, df: y[df.id].set_axis(df.index),
    "some rows": lambda y, df: y[df.id].set_axis(df.index).where(~df.id.duplicated()),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_them_is_the_same(form, df, labels):
    schema = infer_schema(df)
    ids = sorted(set(df.id))
    found = in_order(read_labels(FORMS[form](labels, df), df, schema), ids, schema)
    assert found.tolist() == labels.tolist()


@pytest.mark.parametrize(
    ("spoil", "code", "message"),
    [
        (lambda y: y[y.index > 1], "E-LABEL-MISSING", "2 of 40 series have no .*: 0, 1"),
        (lambda y: y.where(y.index != 7), "E-LABEL-MISSING", "1 of 40 .* label in y: 7"),
        (lambda y: {**y, 77: "rises"}, "E-LABEL-EXTRA", "1 label of 41 .*: 77"),
        (lambda y: pd.concat([y, y[[3]]]), "E-LABEL-DUP", "1 label of 41 .*: 3"),
        (lambda y: dict.fromkeys(y.index, "x"), "E-LABEL-ONE", "all 40 .* x, as 0, 1, 2:"),
        (lambda y: y.to_numpy(), "E-LABEL-LENGTH", "y has 40 labels, and df has"),
        (lambda y: "b", "E-LABEL-VARIES", "of series 0"),
        (lambda y: "died", "E-LABEL-COL", "no column 'died'"),
        (lambda y: y.index.to_series() / 7, "E-LABEL-TYPE", "40 different ones as 0.0"),
        (lambda y: y.where(y == "rises", 3), "E-LABEL-TYPE", "types int and str"),
    ],
)
def test_those_that_cannot_be_used_are_named(spoil, code, message, df, labels):
    with pytest.raises(FrameError, match=message) as caught:
        SeriesClassifier(**SMALL).fit(df, spoil(labels))
    assert caught.value.code == code


def test_an_index_that_could_be_rows_or_series_is_refused(df):
    first = df.groupby("id", as_index=False).first()[::-1].reset_index(drop=True)
    y = pd.Series(["x", "y"] * 20)
    with pytest.raises(FrameError, match="could be by row or by series") as caught:
        SeriesClassifier(**SMALL).fit(first, y)
    assert caught.value.code == "E-LABEL-AMBIG"
