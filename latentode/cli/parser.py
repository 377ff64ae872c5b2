"""What the command line is asked, and which word was meant where one is misspelt."""

import argparse
import difflib
import re
import sys
from collections.abc import Iterable
from typing import Any, NoReturn

from latentode import __version__

_DATA = "a table: .csv, .csv.gz or .parquet"
_CONFIG = "YAML: parameters of the model under 'model', and what else the options below say"


class Parser(argparse.ArgumentParser):
    """A parser that takes no abbreviations, and names the nearest of what it knows."""

    def __init__(self, *args: object, **options: object) -> None:
        super().__init__(*args, **{"allow_abbrev": False, **options})  # type: ignore[arg-type]
        self._given: list[str] = []

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:  # noqa: ANN401
        """Keep what is given, and parse it."""
        self._given = list(sys.argv[1:] if args is None else args)
        asked, rest = super().parse_known_args(args, namespace)
        if rest and self._subparsers is None:  # the command knows its options, not who called it
            self.error(f"unrecognized arguments: {' '.join(rest)}")
        return asked, rest

    def error(self, message: str) -> NoReturn:
        """End with code 2, and with what may have been meant."""
        choice = re.search(r"invalid choice: '([^']+)'", message)
        if choice is not None:
            message += nearest(choice.group(1), self._choices())
        elif "argument" in message:
            message += self._misspelt()
        super().error(message)

    def _misspelt(self) -> str:
        """Name the option that was meant by the first that is not known here."""
        known = self._option_string_actions
        for word in self._given:
            option = word.partition("=")[0]
            if option.startswith("--") and option not in known:
                return f"; {option} is no option here" + nearest(option, known)
        return ""

    def _choices(self) -> list[str]:
        return [str(choice) for action in self._actions for choice in action.choices or ()]


def nearest(word: str, known: Iterable[str]) -> str:
    """Say which known word was meant, if one is near.

    Examples
    --------
    >>> nearest("max_epoch", ["max_epochs", "patience"])
    '. Did you mean max_epochs?'
    >>> nearest("y", ["max_epochs"])
    ''
    """
    found = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f". Did you mean {found[0]}?" if found else ""


def build_parser() -> Parser:
    """Give the parser of all commands."""
    parser = Parser(
        prog="latentode",
        description="Forecast irregular time series with latent ODEs.",
        epilog="Each command has its own help: latentode fit --help",
    )
    parser.add_argument("--version", action="version", version=f"latentode {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="command", required=True)
    _add_fit(commands)
    _add_validate(commands)
    _add_predict(commands)
    _add_evaluate(commands)
    _add_backtest(commands)
    _add_datasets(commands)
    commands.add_parser("doctor", help="say what is installed, and try a fit and a forecast")
    return parser


def _add_fit(commands: "argparse._SubParsersAction[Parser]") -> None:
    fit = commands.add_parser("fit", help="learn from a table, and write a model")
    _add_config(fit)
    fit.add_argument("--out", metavar="FILE", default="model.lode", help="the model to write")
    fit.add_argument(
        "--resume", metavar="FILE", help="keep the state of training there, and go on from it"
    )


def _add_validate(commands: "argparse._SubParsersAction[Parser]") -> None:
    validate = commands.add_parser(
        "validate", help="say what a table holds, or what is wrong with it; nothing is learned"
    )
    _add_config(validate)


def _add_predict(commands: "argparse._SubParsersAction[Parser]") -> None:
    predict = commands.add_parser("predict", help="forecast with a model")
    predict.add_argument("--model", metavar="FILE", required=True, help="what fit wrote")
    asked = predict.add_mutually_exclusive_group(required=True)
    asked.add_argument("--at", metavar="FILE", help=f"the rows to tell, {_DATA}")
    asked.add_argument("--times", metavar="TIME", nargs="+", help="times, for every series")
    asked.add_argument("--horizon", metavar="TIME", help="so far after each last row, as 7D")
    predict.add_argument("--step", metavar="TIME", help="with --horizon: every so often, as 6h")
    predict.add_argument("--context", metavar="FILE", help="forecast from these rows instead")
    predict.add_argument(
        "--quantiles", metavar="Q", nargs="+", type=float, help="quantiles too, as 0.1 0.5 0.9"
    )
    predict.add_argument("--out", metavar="FILE", help="where to; by default CSV to the screen")


def _add_evaluate(commands: "argparse._SubParsersAction[Parser]") -> None:
    evaluate = commands.add_parser(
        "evaluate", help="measure a model on a table, beside naive rules"
    )
    evaluate.add_argument("--model", metavar="FILE", required=True, help="what fit wrote")
    evaluate.add_argument("--data", metavar="FILE", required=True, help=_DATA)
    evaluate.add_argument("--out", metavar="FILE", help="where to; by default CSV to the screen")


def _add_backtest(commands: "argparse._SubParsersAction[Parser]") -> None:
    backtest = commands.add_parser(
        "backtest", help="fit and forecast from earlier times of a table, and measure"
    )
    _add_config(backtest)
    backtest.add_argument("--horizon", metavar="TIME", required=True, help="how far, as 7D")
    backtest.add_argument("--n-cutoffs", metavar="N", type=int, default=3, help="from how many")
    backtest.add_argument("--out", metavar="FILE", help="where to; by default CSV to the screen")


def _add_datasets(commands: "argparse._SubParsersAction[Parser]") -> None:
    datasets = commands.add_parser("datasets", help="the data sets that come with the package")
    what = datasets.add_subparsers(dest="what", metavar="what", required=True)
    what.add_parser("list", help="name them")
    for name, text in (("info", "tell about one"), ("save", "write one as a table")):
        one = what.add_parser(name, help=text)
        one.add_argument("name", help="its name, as list gives it")
    one.add_argument("--out", metavar="FILE", help="where to; by default CSV to the screen")


def _add_config(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", metavar="FILE", help=_CONFIG)
    parser.add_argument("--data", metavar="FILE", required=True, help=_DATA)
    parser.add_argument(
        "--set",
        metavar="NAME=VALUE",
        nargs="+",
        default=[],
        help="parameters of the model, before those of the file: max_epochs=20 id_col=patient",
    )
