"""A plot shows what it was given, and leaves nothing behind."""

import sys

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from latentode.plotting import plot_forecast

NAMES = {"id_col": "patient", "time_col": "day", "target": "bili"}
BANDS = [("bili_q0.25", "bili_q0.75", "50 %"), ("bili_q0.05", "bili_q0.95", "90 %")]
IDS = ["a", "b", "c", "d"]


def series(days, values):
    frames = [pd.DataFrame({"patient": key, "day": days, "bili": values}) for key in IDS]
    return pd.concat(frames, ignore_index=True)


@pytest.fixture
def history():
    return series([0.0, 1.0, 2.5, 4.0], [1.0, 3.0, 2.0, np.nan])


@pytest.fixture
def forecast():
    frame = series([3.0, 4.0, 6.0], [2.0, 2.5, 3.0])
    for quantile, shift in [(0.05, -2.0), (0.25, -1.0), (0.75, 1.0), (0.95, 2.0)]:
        frame[f"bili_q{quantile}"] = frame["bili"] + shift
    return frame


@pytest.fixture
def truth():
    return series([3.5, 5.0], [2.2, 2.9])


@pytest.fixture
def figure(history, forecast, truth):
    return plot_forecast(history, forecast, **NAMES, bands=BANDS, truth=truth)


def drawn(panel, label):
    line = next(line for line in panel.lines if line.get_label() == label)
    return [tuple(point) for point in line.get_xydata()]


def test_there_is_a_labelled_panel_for_every_series(figure):
    assert [panel.get_title(loc="left") for panel in figure.axes] == [f"patient {k}" for k in IDS]
    assert {(panel.get_xlabel(), panel.get_ylabel()) for panel in figure.axes} == {("day", "bili")}


def test_a_panel_shows_the_values_of_its_series(figure):
    panel = figure.axes[0]
    assert drawn(panel, "observed") == [(0.0, 1.0), (1.0, 3.0), (2.5, 2.0)]
    assert drawn(panel, "forecast") == [(3.0, 2.0), (4.0, 2.5), (6.0, 3.0)]
    assert drawn(panel, "observed later") == [(3.5, 2.2), (5.0, 2.9)]


def test_a_line_stands_at_the_last_observation(figure):
    vertical = [line.get_xdata() for line in figure.axes[0].lines if line.get_marker() != "o"]
    assert [2.5, 2.5] in [list(xs) for xs in vertical]


def test_series_of_several_columns_have_a_panel_each(history, forecast):
    one, other = (
        df.assign(ward=df["patient"].map(dict(zip("abcd", [0, 0, 1, 1], strict=True))))
        for df in (history, forecast)
    )
    figure = plot_forecast(one, other, **NAMES | {"id_col": ["patient", "ward"]}, ids=[("a", 0)])
    assert figure.axes[0].get_title(loc="left") == "patient a, ward 0"
    assert drawn(figure.axes[0], "forecast") == [(3.0, 2.0), (4.0, 2.5), (6.0, 3.0)]
    with pytest.raises(ValueError, match="no row of patient a, ward 7"):
        plot_forecast(one, other, **NAMES | {"id_col": ["patient", "ward"]}, ids=[("a", 7)])


def test_what_came_later_is_hollow(figure):
    line = next(x for x in figure.axes[0].lines if x.get_label() == "observed later")
    assert to_rgb(line.get_markerfacecolor()) == (1.0, 1.0, 1.0)
    assert line.get_linestyle() == "None"


def test_the_legend_names_everything_once(figure):
    (legend,) = figure.legends
    labels = [text.get_text() for text in legend.get_texts()]
    assert labels == ["observed", "observed later", "forecast", "90 %", "50 %"]
    assert all(panel.get_legend() is None for panel in figure.axes)


def test_a_narrow_band_is_drawn_over_a_wide_one_and_darker(figure):
    wide, narrow = figure.axes[0].collections
    assert (wide.get_label(), narrow.get_label()) == ("90 %", "50 %")
    assert narrow.get_facecolor().sum() < wide.get_facecolor().sum()


def test_nothing_overlaps(figure):
    figure.draw_without_rendering()
    boxes = [panel.get_tightbbox() for panel in figure.axes]
    boxes.append(figure.legends[0].get_window_extent())
    for i, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[:i])
        assert figure.bbox.padded(1).fully_containsx(box.x0)
        assert figure.bbox.padded(1).fully_containsx(box.x1)


def test_the_order_of_rows_does_not_matter(history, forecast):
    straight = plot_forecast(history, forecast, **NAMES, ids=["a"]).axes[0]
    shuffled = plot_forecast(history[::-1], forecast[::-1], **NAMES, ids=["a"]).axes[0]
    for label in ["observed", "forecast"]:
        assert drawn(straight, label) == drawn(shuffled, label)


def test_series_are_drawn_in_the_order_asked(history, forecast):
    figure = plot_forecast(history, forecast, **NAMES, ids=["c", "a"])
    assert [panel.get_title(loc="left") for panel in figure.axes] == ["patient c", "patient a"]


def test_at_most_six_series_are_drawn_unless_asked(history, forecast):
    many = pd.concat([forecast.assign(patient=k) for k in range(9)])
    assert len(plot_forecast(history, many, **NAMES).axes) == 6
    assert len(plot_forecast(history, many, **NAMES, ids=range(9)).axes) == 9


def test_a_series_without_history_and_a_single_instant_are_drawn(history, forecast, tmp_path):
    one = forecast.head(1)
    figure = plot_forecast(history.iloc[:0], one, **NAMES, bands=BANDS)
    figure.savefig(tmp_path / "one.png")
    assert len(figure.axes[0].collections) == len(BANDS)
    assert figure.axes[0].lines[-1].get_marker() == "D"


def test_datetimes_are_drawn_as_dates(history, forecast, tmp_path):
    for frame in (history, forecast):
        frame["day"] = pd.Timestamp("2024-03-01") + pd.to_timedelta(frame["day"], unit="D")
    figure = plot_forecast(history, forecast, **NAMES, bands=BANDS)
    figure.savefig(tmp_path / "dates.png")
    assert figure.axes[0].xaxis.get_major_formatter().get_offset().startswith("2024")


def test_the_callers_axes_are_drawn_in(history, forecast):
    own = Figure()
    axes = own.subplots(1, 2)
    assert plot_forecast(history, forecast, **NAMES, ids=["a", "b"], axes=axes) is own
    assert drawn(axes[1], "forecast")
    assert axes[0].get_legend() is not None
    assert axes[1].get_legend() is None


def test_axes_of_a_part_of_a_figure_give_the_whole_figure(history, forecast):
    own = Figure()
    axes = own.subfigures(1, 2)[0].subplots()
    assert plot_forecast(history, forecast, **NAMES, ids=["a"], axes=[axes]) is own


def test_nothing_is_left_behind(history, forecast, truth):
    frames = [history, forecast, truth]
    copies = [frame.copy() for frame in frames]
    settings = dict(mpl.rcParams)
    plot_forecast(history, forecast, **NAMES, bands=BANDS, truth=truth)
    assert pyplot.get_fignums() == []
    assert dict(mpl.rcParams) == settings
    for frame, copy in zip(frames, copies, strict=True):
        pd.testing.assert_frame_equal(frame, copy)


def test_a_missing_column_is_named(history, forecast):
    with pytest.raises(ValueError, match="history lacks the column day; it has patient, bili"):
        plot_forecast(history.drop(columns="day"), forecast, **NAMES)
    with pytest.raises(ValueError, match="forecast lacks the column low"):
        plot_forecast(history, forecast, **NAMES, bands=[("low", "high", "90 %")])


def test_an_unknown_series_and_no_series_are_refused(history, forecast):
    with pytest.raises(ValueError, match="forecast has no row of patient z"):
        plot_forecast(history, forecast, **NAMES, ids=["a", "z"])
    with pytest.raises(ValueError, match="no series to draw"):
        plot_forecast(history, forecast.iloc[:0], **NAMES)


def test_too_few_axes_are_refused(history, forecast):
    with pytest.raises(ValueError, match="there are 1 for 4"):
        plot_forecast(history, forecast, **NAMES, axes=[Figure().subplots()])


def test_without_matplotlib_the_error_says_what_to_install(history, forecast, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r'pip install "latentode\[plot\]"'):
        plot_forecast(history, forecast, **NAMES)
