"""Solve initial value problems in PyTorch; this package imports nothing but torch."""

from latentode.solvers.adjoint import ADJOINTS
from latentode.solvers.events import Event, Occurrences
from latentode.solvers.fields import MLP, AnalyticField
from latentode.solvers.methods import METHODS
from latentode.solvers.odeint import odeint
from latentode.solvers.solution import DenseSolution, Solution, SolverError, Stats
from latentode.solvers.tableau import Tableau

__all__ = [
    "ADJOINTS",
    "METHODS",
    "MLP",
    "AnalyticField",
    "DenseSolution",
    "Event",
    "Occurrences",
    "Solution",
    "SolverError",
    "Stats",
    "Tableau",
    "odeint",
]
