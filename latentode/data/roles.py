"""The columns of covariates: past, known ahead, static."""

from collections.abc import Hashable
from typing import NamedTuple

from latentode.data.columns import Schema, as_labels
from latentode.data.errors import FrameError, as_code, listed, nearest
from latentode.data.rows import Rows, place_of
from latentode.data.static import levels_of, open_static
from latentode.data.values import read_covariate, read_numbers
from latentode.nn.controls import HOLDS
from latentode.solvers.checks import check_choice


class Covariates(NamedTuple):
    """The columns named as covariates, of a frame and perhaps of another of the series."""

    past_cols: tuple[Hashable, ...]
    known_cols: tuple[Hashable, ...]
    static_cols: tuple[Hashable, ...]
    static: Rows | None
    """The frame with the static ones, if it is not the same."""

    @property
    def columns(self) -> set[Hashable]:
        """All columns that are no targets."""
        return {*self.past_cols, *self.known_cols, *self.static_cols}


def find_covariates(
    rows: Rows,
    ids: tuple[Hashable, ...],
    *,
    past_cols: object,
    known_cols: object,
    static_cols: object,
    static: object,
) -> Covariates:
    """Give the columns that were named as covariates; with a frame of the series, all of it."""
    past = _named(past_cols, "past_cols", rows)
    known = _named(known_cols, "known_cols", rows)
    if static is None:
        return Covariates(past, known, _named(static_cols, "static_cols", rows), None)
    of_series = open_static(static, ids)
    columns = [column for column in of_series.frame.columns if column not in ids]
    chosen = columns if static_cols is None else _named(static_cols, "static_cols", of_series)
    return Covariates(past, known, tuple(chosen), of_series)


def with_covariates(
    schema: Schema, rows: Rows, covariates: Covariates, known_interpolation: str
) -> Schema:
    """Add covariates to a schema, and what is to be learned of them.

    Raises
    ------
    FrameError
        If a column has two roles, or holds what it cannot hold.
    """
    check_choice("known_interpolation", known_interpolation, HOLDS)
    past, known, static, of_series = covariates
    _refuse_two_roles(schema, covariates)
    for column in past:
        read_numbers(rows.frame[column], place_of(rows, column, "past covariate", schema.id_cols))
    for column in known:
        place = place_of(rows, column, "known covariate", schema.id_cols)
        read_covariate(rows.frame[column], place)
    levels = levels_of(rows if of_series is None else of_series, static)
    return schema._replace(
        past_cols=past,
        known_cols=known,
        static_cols=static,
        static_levels=levels,
        known_interpolation=known_interpolation,
    )


def require_covariates(rows: Rows, schema: Schema) -> None:
    """Refuse rows of a later frame that lack a past or known covariate of fit."""
    wanted = [(column, "E-PAST-COL", "a past covariate") for column in schema.past_cols]
    wanted += [(column, "E-KNOWN-COL", "a known covariate") for column in schema.known_cols]
    columns = list(rows.frame.columns)
    for column, code, role in wanted:
        if column not in columns:
            raise FrameError(
                code,
                f"{rows.name} has no column {as_code(column)}, {role} in fit; it has "
                f"{listed(columns)}.",
                f"{rows.before}{rows.name}[{as_code(column)}] = float('nan')  # or its values",
            )


def _named(given: object, argument: str, rows: Rows) -> tuple[Hashable, ...]:
    """Give the columns that an argument names, each of which must be there."""
    columns = list(rows.frame.columns)
    named = as_labels(given, columns)
    for column in named:
        if column not in columns:
            near = nearest(column, columns)
            raise FrameError(
                f"E-{argument.partition('_')[0].upper()}-COL",
                f"{argument}: {rows.name} has no column {as_code(column)}; it has "
                f"{listed(columns)}.",
                f"LatentODEForecaster({argument}={'...' if near is None else as_code([near])})",
            )
    return named


def _refuse_two_roles(schema: Schema, covariates: Covariates) -> None:
    past, known, static, of_series = covariates
    roles = {
        "id_col": schema.id_cols,
        "time_col": (schema.time_col,),
        "target_cols": schema.target_cols,
        "past_cols": past,
        "known_cols": known,
        "static_cols": static if of_series is None else (),
        "noise_cols": tuple(column for column in schema.noise_cols if column is not None),
    }
    named = [(column, argument) for argument, some in roles.items() for column in some]
    columns = [column for column, _ in named]
    for column in dict.fromkeys(columns):
        arguments = [argument for other, argument in named if other == column]
        if len(arguments) > 1 and not {*arguments} <= {"id_col", "time_col", "target_cols"}:
            raise FrameError(
                "E-ROLE-DUP",
                f"column {as_code(column)} was given {len(arguments)} roles: "
                f"{', '.join(arguments)}.",
                f"leave it out of {arguments[-1]}  # each column once",
            )
