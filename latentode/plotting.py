"""Plots of forecasts beside what was observed; needs matplotlib, which is optional."""

from collections.abc import Iterable, Sequence
from math import ceil
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["plot_forecast"]

# From the palette of Okabe and Ito: apart for every kind of colour vision, and in grey.
_OBSERVED = "#333333"
_FORECAST = "#0072B2"
_LATER = "#D55E00"
_MAX_PANELS = 6
_PANELS_A_ROW = 3


def plot_forecast(
    history: pd.DataFrame,
    forecast: pd.DataFrame,
    *,
    id_col: str | Sequence[str],
    time_col: str,
    target: str | Sequence[str],
    bands: Sequence[tuple[str, str, str]] = (),
    truth: pd.DataFrame | None = None,
    ids: Iterable[object] | None = None,
    axes: "Sequence[Axes] | None" = None,
) -> "Figure":
    """Draw one panel a series: what was observed, the forecast with its bands, and the truth.

    With several targets, each has a row of panels.

    Nothing is shown and no state of matplotlib is changed: save the figure with
    ``figure.savefig("forecast.png")``, or end a notebook cell with it.

    Parameters
    ----------
    history : DataFrame
        What was observed, one row an observation; a vertical line marks its last one.
    forecast : DataFrame
        One row an instant that was asked, with the columns ``id_col``, ``time_col``, ``target``
        and those of ``bands``.
    id_col : str or sequence of str
        Column of the series, or those that tell them apart together; an empty list for one series.
    time_col : str
        Column of the time, numbers or datetimes.
    target : str or sequence of str
        Column of the value, or several.
    bands : sequence of (str, str, str), default ()
        Lower column, upper column and label of each interval of ``forecast``, in any order:
        ``[("y_q0.05", "y_q0.95", "90 %"), ("y_q0.25", "y_q0.75", "50 %")]``. The name of the
        target may be left open: ``("{target}_q0.05", "{target}_q0.95", "90 %")``.
    truth : DataFrame, optional
        What was observed later, drawn hollow.
    ids : iterable, optional
        Series to draw, in this order, as tuples if there are several columns of series. By
        default the first six of ``forecast``.
    axes : sequence of Axes, optional
        One for each series, or for each target and series, to draw in. By default a new figure is
        made.

    Returns
    -------
    Figure
        The new figure, or the one that the first of ``axes`` belongs to.

    Raises
    ------
    ImportError
        Matplotlib is not installed.
    ValueError
        A column or a series is missing, or there are fewer ``axes`` than series.

    Examples
    --------
    >>> import pandas as pd
    >>> history = pd.DataFrame({"id": 1, "t": [0.0, 1.0, 2.5], "y": [1.0, 1.5, 1.2]})
    >>> forecast = pd.DataFrame(
    ...     {"id": 1, "t": [3.0, 4.0], "y": [1.3, 1.4], "low": [1.0, 0.9], "high": [1.6, 1.9]}
    ... )
    >>> figure = plot_forecast(
    ...     history, forecast, id_col="id", time_col="t", target="y",
    ...     bands=[("low", "high", "90 %")],
    ... )
    >>> len(figure.axes)
    1
    """
    id_cols = [id_col] if isinstance(id_col, str) else list(id_col)
    targets = [target] if isinstance(target, str) else list(target)
    columns = [*id_cols, time_col, *targets]
    named = [_bands_of(one, bands) for one in targets]
    _check_columns("history", history, columns)
    limits = [column for own in named for lower, upper, _ in own for column in (lower, upper)]
    _check_columns("forecast", forecast, [*columns, *limits])
    if truth is not None:
        _check_columns("truth", truth, columns)

    known = list(dict.fromkeys(_ids(forecast, id_cols)))
    chosen = known[:_MAX_PANELS] if ids is None else list(ids)
    _check_ids(chosen, known, id_cols)
    panels = _new_panels(len(chosen), len(targets)) if axes is None else list(axes)
    if len(panels) < len(chosen) * len(targets):
        each = "series" if len(targets) == 1 else "target and series"
        raise ValueError(
            f"axes must be one a {each}: there are {len(panels)} for {len(chosen) * len(targets)}."
        )

    pairs = [(one, own, key) for one, own in zip(targets, named, strict=True) for key in chosen]
    for panel, (one, own, key) in zip(panels, pairs, strict=False):
        _draw_history(panel, _values(history, key, id_cols, time_col, one))
        if truth is not None:
            _draw_truth(panel, _values(truth, key, id_cols, time_col, one))
        _draw_forecast(panel, _values(forecast, key, id_cols, time_col, one))
        _draw_bands(panel, _series(forecast, key, id_cols, time_col), time_col, own)
        _finish(panel, _title(id_cols, key), time_col, one)
    if axes is None:
        _put_legend_below(panels)
    else:
        panels[0].legend(frameon=False, fontsize="small")
    return _figure_of(panels[0])


def plot_latent(
    latent: pd.DataFrame,
    *,
    id_col: str | Sequence[str],
    time_col: str,
    ids: Iterable[object] | None = None,
) -> "Figure":
    """Draw the latent path of each series, a line for each latent variable.

    Parameters
    ----------
    latent : DataFrame
        What `LatentODEForecaster.latent` gives: ``id_col``, ``time_col``, ``z0`` and so on.
    id_col : str or sequence of str
        Column of the series, or several; an empty list for one series.
    time_col : str
        Column of the time.
    ids : iterable, optional
        Series to draw, in this order. By default the first six.

    Returns
    -------
    Figure
        A new figure.

    Raises
    ------
    ImportError
        Matplotlib is not installed.
    ValueError
        A column or a series is missing.

    Examples
    --------
    >>> import pandas as pd
    >>> latent = pd.DataFrame({"id": 1, "t": [3.0, 4.0], "z0": [0.1, 0.3], "z1": [-0.2, 0.0]})
    >>> len(plot_latent(latent, id_col="id", time_col="t").axes[0].lines)
    2
    """
    id_cols = [id_col] if isinstance(id_col, str) else list(id_col)
    _check_columns("latent", latent, [*id_cols, time_col])
    known = list(dict.fromkeys(_ids(latent, id_cols)))
    chosen = known[:_MAX_PANELS] if ids is None else list(ids)
    _check_ids(chosen, known, id_cols)
    states = [column for column in latent.columns if column not in {*id_cols, time_col}]
    panels = _new_panels(len(chosen), 1)
    for panel, key in zip(panels, chosen, strict=True):
        rows = _series(latent, key, id_cols, time_col)
        for state in states:
            panel.plot(rows[time_col], rows[state], linewidth=1.0)
        _finish(panel, _title(id_cols, key), time_col, "latent state")
    return _figure_of(panels[0])


def _bands_of(target: str, bands: Sequence[tuple[str, str, str]]) -> list[tuple[str, str, str]]:
    """Name the target in the columns of bands that leave it open."""
    return [
        (lower.replace("{target}", target), upper.replace("{target}", target), label)
        for lower, upper, label in bands
    ]


def _check_columns(name: str, frame: pd.DataFrame, columns: list[str]) -> None:
    missing = [column for column in columns if column not in frame.columns]
    if missing:
        raise ValueError(
            f"{name} lacks the column {missing[0]}; it has {', '.join(map(str, frame.columns))}."
        )


def _check_ids(chosen: list[object], known: list[object], id_cols: list[str]) -> None:
    if not chosen:
        raise ValueError("there is no series to draw: the forecast, or ids, is empty.")
    unknown = [key for key in chosen if key not in known]
    if unknown:
        raise ValueError(f"forecast has no row of {_title(id_cols, unknown[0])}.")


def _ids(frame: pd.DataFrame, id_cols: list[str]) -> list[object]:
    """Give the series of each row, a tuple if several columns tell it."""
    columns = [frame[column].tolist() for column in id_cols]
    if not columns:
        return [None] * len(frame)
    return columns[0] if len(columns) == 1 else list(zip(*columns, strict=True))


def _title(id_cols: list[str], key: object) -> str:
    if not id_cols:
        return ""
    if len(id_cols) == 1 or not isinstance(key, tuple):
        return f"{', '.join(id_cols)} {key}"
    return ", ".join(f"{column} {part}" for column, part in zip(id_cols, key, strict=False))


def _series(frame: pd.DataFrame, key: object, id_cols: list[str], time_col: str) -> pd.DataFrame:
    of_series = np.array([other == key for other in _ids(frame, id_cols)], dtype=bool)
    return frame[of_series].sort_values(time_col)


def _values(
    frame: pd.DataFrame, key: object, id_cols: list[str], time_col: str, target: str
) -> pd.DataFrame:
    """Give the times and values of one series where it has a value."""
    rows = _series(frame, key, id_cols, time_col).dropna(subset=[target])
    return pd.DataFrame({"time": rows[time_col], "value": rows[target]})


def _new_panels(n_series: int, n_targets: int) -> "list[Axes]":
    """Make a panel for each series, several in a row, or a row of them for each target."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError(
            'plots need matplotlib: python -m pip install "latentode[plot]"'
        ) from error
    n_panels = n_series * n_targets
    n_rows = ceil(n_series / _PANELS_A_ROW) if n_targets == 1 else n_targets
    n_columns = ceil(n_panels / n_rows)
    # Not through pyplot, which would keep the figure for ever and choose a window system.
    figure = Figure(figsize=(3.0 * n_columns + 1.0, 2.3 * n_rows + 0.6), layout="constrained")
    grid = figure.subplots(n_rows, n_columns, squeeze=False).flatten()
    for unused in grid[n_panels:]:
        unused.remove()
    return [*grid[:n_panels]]


def _figure_of(panel: "Axes") -> "Figure":
    # The second `figure` is the whole figure where the first is a part of it.
    return panel.figure.figure


def _draw_history(panel: "Axes", rows: pd.DataFrame) -> None:
    panel.plot(
        rows["time"],
        rows["value"],
        color=_OBSERVED,
        linewidth=0.8,
        marker="o",
        markersize=3.5,
        label="observed",
        zorder=3,
    )
    if len(rows):
        panel.axvline(rows["time"].iloc[-1], color="#888888", linewidth=0.8, zorder=2)


def _draw_truth(panel: "Axes", rows: pd.DataFrame) -> None:
    panel.plot(
        rows["time"],
        rows["value"],
        linestyle="none",
        marker="o",
        markersize=4.5,
        markerfacecolor="white",
        markeredgecolor=_LATER,
        markeredgewidth=1.2,
        label="observed later",
        zorder=5,
    )


def _draw_forecast(panel: "Axes", rows: pd.DataFrame) -> None:
    marker = "D" if len(rows) == 1 else None  # a line through one point cannot be seen
    panel.plot(
        rows["time"],
        rows["value"],
        color=_FORECAST,
        linewidth=1.8,
        marker=marker,
        markersize=4,
        label="forecast",
        zorder=4,
    )


def _draw_bands(
    panel: "Axes", rows: pd.DataFrame, time_col: str, bands: Sequence[tuple[str, str, str]]
) -> None:
    widest_first = sorted(bands, key=lambda band: -(rows[band[1]] - rows[band[0]]).mean())
    for depth, (lower, upper, label) in enumerate(widest_first, start=1):
        # Opaque, so that a band has the colour that the legend gives it.
        colour = _tint(_FORECAST, 0.6 * depth / (len(bands) + 1))
        where = (rows[time_col], rows[lower], rows[upper])
        if len(rows) == 1:
            panel.vlines(*where, color=colour, linewidth=6, label=label, zorder=1)
        else:
            panel.fill_between(*where, color=colour, linewidth=0, label=label, zorder=1)


def _tint(colour: str, strength: float) -> tuple[float, float, float]:
    """Mix a colour with white, which is strength 0."""
    from matplotlib.colors import to_rgb

    red, green, blue = (1 - strength * (1 - part) for part in to_rgb(colour))
    return red, green, blue


def _finish(panel: "Axes", title: str, time_label: str, value_label: str) -> None:
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    panel.set_title(title, loc="left", fontsize="medium")
    panel.set_xlabel(time_label)
    panel.set_ylabel(value_label)
    panel.spines[["top", "right"]].set_visible(False)
    if isinstance(panel.xaxis.get_major_locator(), AutoDateLocator):
        locator = AutoDateLocator(maxticks=6)
        panel.xaxis.set_major_locator(locator)
        panel.xaxis.set_major_formatter(ConciseDateFormatter(locator))


def _put_legend_below(panels: "list[Axes]") -> None:
    """Write each label once; a series may lack what another has."""
    labelled: dict[str, Artist] = {}
    for panel in panels:
        for handle, label in zip(*panel.get_legend_handles_labels(), strict=True):
            labelled.setdefault(label, handle)
    _figure_of(panels[0]).legend(
        list(labelled.values()),
        list(labelled),
        loc="outside lower center",
        ncols=1 + 2 * min(len(panels), _PANELS_A_ROW),
        frameon=False,
        fontsize="small",
    )
