"""What protocols measure a forecast of a part by: named scores, the one that counts first."""

from forecast_scores import micro, micro_scores, point_scores, squared_error
from forecast_tasks import Array, Part, values_of


def point_metrics(prediction: Array, part: Part, *, features: tuple[str, ...]) -> dict[str, float]:
    """Measure errors over variables, and over all values alike."""
    return point_scores(prediction, values_of(part.asked, features))


def micro_metrics(prediction: Array, part: Part, *, features: tuple[str, ...]) -> dict[str, float]:
    """Measure errors over all values alike."""
    return micro_scores(prediction, values_of(part.asked, features))


def hidden_metrics(
    prediction: Array, part: Part, *, features: tuple[str, ...]
) -> dict[str, float]:
    """Measure errors over all rows asked, and over those that were not read if some were."""
    losses = squared_error(prediction, values_of(part.asked, features))
    measures = {"MSE": micro(losses)}
    if not part.hidden.all():
        measures["hidden MSE"] = micro(losses[part.hidden])
    return measures
