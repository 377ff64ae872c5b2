"""A state of any structure is solved as the same numbers in one tensor."""

from typing import NamedTuple

import pytest
import torch
from torch import Tensor

from latentode.solvers import odeint
from latentode.solvers.state import layout_of, spread, tensors_of


class Pair(NamedTuple):
    """Two parts with names."""

    fast: Tensor
    slow: Tensor


BUILDERS = {
    "tuple": lambda a, b: (a, b),
    "list": lambda a, b: [a, b],
    "dict": lambda a, b: {"fast": a, "slow": b},
    "named": Pair,
    "nested": lambda a, b: {"x": [a], "rest": Pair((b[:, :1],), {"deep": b[:, 1:]})},
}
TIMES = torch.tensor([[0.0, 0.4, 1.0], [0.0, 0.5, 2.0], [1.0, 0.5, 0.0]], dtype=torch.float64)


def starts():
    random = torch.Generator().manual_seed(0)
    a = torch.rand(3, 2, generator=random, dtype=torch.float64)
    b = torch.rand(3, 2, 2, generator=random, dtype=torch.float64)
    return a.requires_grad_(), b.requires_grad_()


def fast_and_slow(t, a, b, rate):
    """Two equations, each entry by itself, so that packing changes no rounding."""
    return -(rate**2) * a + torch.cos(t)[:, None], -(b**2) * rate


def flat(state):
    """Give the parts of states (B, T, ...) side by side, (B, T, D)."""
    return torch.cat([x.flatten(2) for x in tensors_of(state)], dim=2)


def solve_packed(a, b, rate, **options):
    def field(t, y):
        da, db = fast_and_slow(t, y[:, :2], y[:, 2:].unflatten(1, (2, 2)), rate)
        return torch.cat([da, db.flatten(1)], dim=1)

    return odeint(field, torch.cat([a, b.flatten(1)], dim=1), TIMES, **options)


def solve_structured(build, a, b, rate, **options):
    def field(t, y):
        a, *rest = tensors_of(y)
        b = torch.cat(rest, dim=1)
        return build(*fast_and_slow(t, a, b, rate))

    return odeint(field, build(a, b), TIMES, **options)


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        *((kind, {"adjoint": "direct"}) for kind in BUILDERS),
        ("nested", {"adjoint": "replay", "checkpoint_every": 2}),
        ("nested", {"adjoint": "backsolve"}),
        ("nested", {"method": "kvaerno3", "rtol": 1e-2}),
        ("nested", {"jump_ts": torch.tensor([0.3])}),
    ],
)
def test_a_structure_gives_the_numbers_of_one_tensor(kind, options):
    a, b = starts()
    rate = torch.tensor(2.0, dtype=torch.float64, requires_grad=True)
    packed = solve_packed(a, b, rate, **options)
    structured = solve_structured(BUILDERS[kind], a, b, rate, **options)
    torch.testing.assert_close(flat(structured.ys), packed.ys, rtol=1e-13, atol=1e-13)
    expected = torch.autograd.grad(packed.ys.sin().sum(), [a, b, rate])
    got = torch.autograd.grad(flat(structured.ys).sin().sum(), [a, b, rate])
    for x, y in zip(got, expected, strict=True):
        torch.testing.assert_close(x, y, rtol=1e-11, atol=1e-11)
    for x, y in zip(structured.stats, packed.stats, strict=True):
        assert torch.equal(x, y)


@pytest.mark.parametrize("kind", BUILDERS)
def test_states_come_back_in_the_structure_of_the_start(kind):
    a, b = (x.detach() for x in starts())
    build = BUILDERS[kind]
    rate = torch.tensor(2.0, dtype=torch.float64)
    solution = solve_structured(build, a, b, rate, dense=True)
    read = solution.dense(TIMES)
    assert layout_of(solution.ys, "ys").names == layout_of(build(a, b)).names
    assert type(solution.ys) is type(build(a, b)) is type(read)
    firsts = [x[:, 0] for x in tensors_of(solution.ys)]
    for x, y in zip(firsts, tensors_of(build(a, b)), strict=True):
        assert torch.equal(x, y)
    torch.testing.assert_close(flat(read), flat(solution.ys), rtol=1e-13, atol=1e-13)


def test_parts_of_one_number_a_sample_need_no_further_axis():
    y0 = torch.ones(3), torch.ones(3, 0), torch.ones(3, 2)
    ys = odeint(lambda t, y: tuple(-x for x in y), y0, torch.tensor([0.0, 1.0])).ys
    assert [x.shape for x in ys] == [(3, 2), (3, 2, 0), (3, 2, 2)]
    torch.testing.assert_close(ys[0][:, 1], ys[2][:, 1, 0])


@pytest.mark.parametrize("kind", BUILDERS)
def test_a_layout_unpacks_what_it_packed(kind):
    a, b = starts()
    state = BUILDERS[kind](a, b)
    layout = layout_of(state)
    rows = layout.packed(state)
    assert rows.shape == (3, layout.size) == (3, 6)
    back = layout.unpacked(rows)
    assert type(back) is type(state)
    for x, y in zip(tensors_of(back), tensors_of(state), strict=True):
        assert torch.equal(x, y)
    many = layout.unpacked(rows[:, None].expand(-1, 4, -1))
    shapes = [(3, 4, *x.shape[1:]) for x in tensors_of(state)]
    assert [tuple(x.shape) for x in tensors_of(many)] == shapes


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (lambda y: y["a"], "dy/dt as a dict, like y, not Tensor"),
        (lambda y: tuple(y.values()), "dy/dt as a dict, like y, not tuple"),
        (lambda y: {"a": y["a"]}, "in their order, a, b, but it returned a"),
        (lambda y: {"b": y["b"], "a": y["a"]}, "in their order, a, b, but it returned b, a"),
        (lambda y: y | {"b": y["b"][0]}, r"dy/dt\[b\] as a tuple, like y, not Tensor"),
        (lambda y: y | {"b": (None, y["b"][1])}, r"dy/dt\[b\]\[0\] as a Tensor"),
        (lambda y: y | {"b": y["b"][:1]}, r"dy/dt\[b\] with the parts .*0, 1, but it returned 0"),
        (lambda y: y | {"a": y["a"][:, :1]}, r"dy/dt\[a\] of the shape of y, \(B, 2\)"),
        (lambda y: y | {"a": 1j * y["a"]}, r"complex dy/dt\[a\] for a real state"),
        (lambda y: y | {"a": y["a"][:1]}, r"each of the 3 samples .* shape \(1, 2\)"),
    ],
)
def test_a_field_of_another_structure_is_refused_by_part(given, message):
    y0 = {"a": torch.ones(3, 2), "b": (torch.ones(3), torch.ones(3, 1))}
    with pytest.raises((TypeError, ValueError), match=message):
        odeint(lambda t, y: given(y), y0, torch.tensor([0.0, 1.0]))


def test_a_field_that_forgets_the_batch_axis_is_refused():
    with pytest.raises(ValueError, match=r"of the shape of y, \(B, .*but it returned \(\)"):
        odeint(lambda t, y: y.sum(), torch.ones(3), torch.tensor([0.0, 1.0]))


@pytest.mark.parametrize(
    ("y0", "message"),
    [
        ({"a": [1.0]}, r"y0\[a\]\[0\] must be a Tensor"),
        ({"a": torch.ones(2, 1), "b": {}}, r"y0\[b\] is empty"),
        ((torch.ones(2), torch.tensor(1.0)), r"y0\[1\] must have a batch axis first"),
        ([torch.ones(2), torch.ones(2, dtype=torch.int32)], r"y0\[1\] must hold real or complex"),
        ((torch.ones(2), torch.ones(3)), "the same batch size, .* 2, .* and 3, "),
        ((torch.ones(2), torch.ones(2).double()), "torch.float32, cpu and 2, torch.float64"),
        ((torch.ones(2), torch.tensor([1.0, torch.nan])), "y0 is not finite in sample 1"),
    ],
)
def test_a_start_that_is_no_state_is_refused_by_part(y0, message):
    with pytest.raises((TypeError, ValueError), match=message):
        odeint(lambda t, y: y, y0, torch.tensor([0.0, 1.0]))


LIKE = torch.empty((), dtype=torch.float64)


@pytest.mark.parametrize(
    ("value", "row"),
    [
        (torch.tensor(2.0), [2.0, 2.0, 2.0, 2.0]),
        (torch.tensor([1.0, 2.0, 3.0]), None),  # each sample its own
        ((torch.tensor([1.0, 2.0]), 3.0), [1.0, 2.0, 3.0, 3.0]),
        ((0.5, torch.full((3, 2, 1), 4.0)), [0.5, 0.5, 4.0, 4.0]),
    ],
)
def test_a_tolerance_is_spread_over_the_entries_in_their_order(value, row):
    layout = layout_of((torch.ones(3, 2), torch.ones(3, 2, 1)))
    got = spread(value, layout, 3, LIKE, "rtol")
    assert got.dtype == torch.float64
    expected = value[:, None].expand(3, 4) if row is None else torch.tensor(row).expand(3, 4)
    assert torch.equal(got, expected.double())


def test_a_number_stays_a_number():
    layout = layout_of((torch.ones(3, 2), torch.ones(3)))
    assert spread(1e-3, layout, 3, LIKE, "rtol") == 1e-3


@pytest.mark.parametrize("kind", ["tuple", "dict", "named", "nested"])
def test_a_structure_of_tolerances_gives_the_numbers_of_one_tensor(kind):
    a, b = (x.detach() for x in starts())
    rate = torch.tensor(2.0, dtype=torch.float64)
    loose, tight = torch.full_like(a, 1e-2), torch.full_like(b, 1e-9)
    rows = torch.cat([loose, tight.flatten(1)], dim=1)
    packed = solve_packed(a, b, rate, rtol=rows, atol=rows)
    tolerance = BUILDERS[kind](loose, tight)
    structured = solve_structured(BUILDERS[kind], a, b, rate, rtol=tolerance, atol=tolerance)
    torch.testing.assert_close(flat(structured.ys), packed.ys, rtol=1e-13, atol=1e-13)
    assert torch.equal(structured.stats.n_steps, packed.stats.n_steps)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ((1e-3,), "rtol must have the parts of y0: 0, 1"),
        ({"a": 1e-3, "b": 1e-3}, "rtol must have the parts of y0: 0, 1"),
        ((1e-3, "tight"), r"rtol\[1\] must be a number or a Tensor, not str"),
        ((1e-3, torch.ones(5)), r"rtol\[1\] of shape \(5,\) does not fit .* \(3, 2\)"),
        ((1e-3, (1e-3, 1e-3)), r"rtol\[1\] must be a number or a Tensor, not tuple"),
    ],
)
def test_tolerances_of_another_structure_are_refused_by_part(value, message):
    y0 = torch.ones(3), torch.ones(3, 2)
    with pytest.raises((TypeError, ValueError), match=message):
        odeint(lambda t, y: y, y0, torch.tensor([0.0, 1.0]), rtol=value)
