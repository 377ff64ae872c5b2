"""Write model-v1.lode and the forecasts that it must give for ever; run once for each format."""

import math
from pathlib import Path

import numpy as np
import pandas as pd

from latentode import LatentODEForecaster
from latentode.forecaster.model_file import FORMAT

HERE = Path(__file__).parent


def main() -> None:
    rng = np.random.default_rng(0)
    df = pd.DataFrame([
        {"id": f"s{s}", "time": t, "a": math.sin(t + s), "b": math.cos(t) if i % 3 else math.nan}
        for s in range(12)
        for i, t in enumerate(np.sort(rng.uniform(0, 6, 9)).round(3))
    ])
    early, late = df[df.time <= 4], df[df.time > 4]
    model = LatentODEForecaster(
        max_epochs=3, latent_size=4, hidden_size=8, verbose=0, random_state=0
    )
    model.fit(early).calibrate(late)
    model.save(HERE / f"model-v{FORMAT}.lode")
    forecast = model.predict_quantiles([3.0, 4.5, 7.0])
    forecast.to_json(
        HERE / f"model-v{FORMAT}.json", orient="table", double_precision=15, index=False
    )


if __name__ == "__main__":
    main()
