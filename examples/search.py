"""Search for the sizes and the learning rate of a forecaster, without looking ahead.

Liver patients came at irregular times. Candidates are compared at calendar cutoffs: each is
fitted on the visits up to one, and scored by its CRPS on those of the next two years. The best is
then measured on visits that the search has not seen, beside naive rules that know the same.
"""

import numpy as np
import pandas as pd
from sklearn.model_selection import RandomizedSearchCV

from latentode import LatentODEForecaster, TimeCutoffSplit, load_pbcseq

EIGHT_YEARS, TWO_YEARS = 2922, 731  # days


def main(quick: bool = False) -> None:
    visits = load_pbcseq()
    labs = list(visits.columns.drop(["patient", "day"]))
    visits[labs] = np.log(visits[labs])  # they are positive, and some differ a hundredfold
    early, late = visits[visits.day <= EIGHT_YEARS], visits[visits.day > EIGHT_YEARS]

    model = LatentODEForecaster(
        id_col="patient",
        time_col="day",
        max_epochs=1 if quick else None,
        verbose=0,
        random_state=0,
    )
    search = RandomizedSearchCV(
        model,
        {
            "latent_size": [8, 16, 32],
            "hidden_size": [32, 64, 128],
            "learning_rate": [0.003, 0.01, 0.03],
        },
        n_iter=2 if quick else 8,
        cv=TimeCutoffSplit(1 if quick else 2, horizon=TWO_YEARS, time_col="day"),
        n_jobs=1 if quick else 2,
        random_state=0,
        error_score="raise",
    ).fit(early)

    print("candidates, by minus the CRPS of the visits after a cutoff:")
    print(candidates(search).to_string(index=False))
    print(f"\nthe best one, on {len(late)} later visits, beside naive rules:")
    print(search.best_estimator_.evaluate(late).round(3).to_string())


def candidates(search: RandomizedSearchCV) -> pd.DataFrame:
    """Give the parameters that were tried and their mean scores, the best first."""
    results = search.cv_results_
    table = pd.DataFrame(list(results["params"]))
    table["score"] = results["mean_test_score"].round(4)
    return table.sort_values("score", ascending=False)


if __name__ == "__main__":
    main()
