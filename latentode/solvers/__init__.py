"""Solve initial value problems in PyTorch; this package imports nothing but torch."""

from latentode.solvers.adjoint import ADJOINTS
from latentode.solvers.odeint import odeint
from latentode.solvers.solution import DenseSolution, Solution, SolverError, Stats
from latentode.solvers.tableau import METHODS, Tableau

__all__ = [
    "ADJOINTS",
    "METHODS",
    "DenseSolution",
    "Solution",
    "SolverError",
    "Stats",
    "Tableau",
    "odeint",
]
