"""Go from a CSV file to a forecast by the command line, and draw it.

Carbon dioxide in the air on Mauna Loa: the weeks until the end of 1996 are fitted, and five years
are forecast from there. The season is known ahead, as two columns of the tables. Prints each
command and what it says, such as errors beside those of naive rules; saves command_line.png, and
the tables and the model that the commands read and write.
"""

import shlex
from pathlib import Path

import numpy as np
import pandas as pd

from latentode.cli import main as latentode
from latentode.plotting import plot_forecast

CONFIG = """\
model:
  id_col: site
  time_col: date
  target_cols: [co2]
  known_cols: [cosine, sine]
  known_interpolation: linear
  max_rows: 104
  max_epochs: 40
  random_state: 0
  verbose: 0
"""


def main(quick: bool = False) -> None:
    run("datasets save mauna_loa_co2 --out weeks.csv")
    write_tables()
    Path("config.yaml").write_text(CONFIG, encoding="utf-8")
    run("validate --data early.csv --config config.yaml")
    less = " --set max_epochs=1" if quick else ""
    run(f"fit --data early.csv --config config.yaml --out co2.lode{less}")
    run("evaluate --model co2.lode --data late.csv")
    asked = "--at asked.csv --quantiles 0.05 0.5 0.95"
    run(f"predict --model co2.lode {asked} --out forecast.csv")
    save_plot("command_line.png")


def run(command: str) -> None:
    """Run a command as a shell would, and stop if it fails."""
    print(f"$ latentode {command}")
    code = latentode(shlex.split(command))
    if code:
        raise SystemExit(code)


def write_tables() -> None:
    """Write the weeks to learn from, those after, and the weeks to ask for."""
    weeks = pd.read_csv("weeks.csv", parse_dates=["date"])
    angle = 2 * np.pi * weeks["date"].dt.day_of_year / 365.25
    weeks = weeks.assign(cosine=np.cos(angle).round(4), sine=np.sin(angle).round(4))
    late = weeks["date"] >= "1997"
    tables = {
        "early.csv": weeks[~late],
        "late.csv": weeks[late],
        "asked.csv": weeks[late].drop(columns="co2"),
    }
    for name, table in tables.items():
        table.to_csv(name, index=False)
        print(f"wrote {name}")


def save_plot(path: str) -> None:
    early, late, forecast = (
        pd.read_csv(f"{name}.csv", parse_dates=["date"]) for name in ("early", "late", "forecast")
    )
    unit = "carbon dioxide (ppm)"
    figure = plot_forecast(
        early[early["date"] >= "1994"].rename(columns={"co2": unit}),
        forecast.rename(columns={"co2_q0.5": unit}),
        truth=late.rename(columns={"co2": unit}),
        id_col="site",
        time_col="date",
        target=unit,
        bands=[("co2_q0.05", "co2_q0.95", "90 %")],
    )
    figure.set_size_inches(8, 4)
    figure.savefig(path, dpi=100)
    print(f"saved {path}")


if __name__ == "__main__":
    main()
