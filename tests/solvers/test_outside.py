"""A solve within a program that is compiled: the program is, and the solve is as ever."""

import subprocess
import sys

import pytest
import torch

from latentode.solvers import MLP, odeint


# The compiler looks at what the solve is given, and torch warns of its look.
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor")
def test_a_solve_in_a_compiled_program_gives_the_same_numbers():
    field, layer = MLP([2, 8, 2]), torch.nn.Linear(2, 2)
    ts = torch.linspace(0, 1, 5)
    n_graphs = 0

    def counted(graph, _):
        nonlocal n_graphs
        n_graphs += 1
        return graph.forward

    def program(y):
        return odeint(field, layer(y).tanh(), ts).ys.square().mean()

    compiled = torch.compile(program, backend=counted)
    for seed in range(3):
        y = torch.randn(4, 2, generator=torch.Generator().manual_seed(seed))
        losses = program(y), compiled(y)
        own, other = (torch.autograd.grad(loss, layer.weight)[0] for loss in losses)
        torch.testing.assert_close(*losses)
        torch.testing.assert_close(own, other)
        if seed == 0:
            n_first = n_graphs
    assert n_first == n_graphs == 2  # before the solve, and after it


def test_the_compiler_is_not_loaded_without_need():
    code = "import sys, latentode.solvers; sys.exit('torch._dynamo' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
