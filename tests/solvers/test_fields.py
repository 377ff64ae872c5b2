"""A field's own vector-Jacobian products are those of autograd, and are used where they may be."""

import functools

import pytest
import torch
from torch import nn

from latentode.solvers import METHODS, MLP, AnalyticField, odeint
from latentode.solvers.captured import bytes_saved
from latentode.solvers.fields import analytic
from latentode.solvers.pullback import evaluate

B, D = 5, 3
EXPLICIT = [name for name, tableau in METHODS.items() if not tableau.is_implicit]
HOW = {
    "direct": {"adjoint": "direct"},
    "auto": {},
    "replay": {"adjoint": "replay"},
    "checkpointed": {"adjoint": "replay", "checkpoint_every": 3},
    "joint": {"control": "joint"},
    "clipped": {"clip_end": True},
}
exactly = functools.partial(torch.testing.assert_close, rtol=1e-12, atol=1e-12)


def random(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def times(n_samples=B):
    return random(n_samples, 6, seed=1).abs().cumsum(1)


@pytest.fixture(params=["tanh", "silu"])
def field(request):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Counted([D, 7, 6, D], activation=request.param).double()


@pytest.fixture
def tanh_field():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Counted([D, 7, 6, D]).double()


class Counted(MLP):
    """A network that says how often its own products were used."""

    n_products = 0

    def vjp_y(self, saved, v):
        self.n_products += 1
        return super().vjp_y(saved, v)


class Squeezed(nn.Module):
    """A user's own field: tanh(r y) - s sin(t), whose slope is saved in a dict."""

    def __init__(self):
        super().__init__()
        self.rate = nn.Parameter(torch.tensor(0.7, dtype=torch.float64))
        self.swing = nn.Parameter(torch.tensor([0.1, 0.2, 0.3], dtype=torch.float64))

    def forward(self, t, y):
        return torch.tanh(self.rate * y) - self.swing * torch.sin(t)[:, None]

    def vjp_forward(self, t, y):
        squeezed = torch.tanh(self.rate * y)
        wave = torch.sin(t)[:, None]
        return squeezed - self.swing * wave, {"y": y, "slope": 1 - squeezed**2, "wave": wave}

    def vjp_y(self, saved, v):
        bent = v * saved["slope"]
        return self.rate * bent, (bent, v)

    def vjp_parameters(self, totals, saved, deltas):
        for each, (bent, v) in zip(saved, deltas, strict=True):
            if self.rate in totals:
                totals[self.rate] += (bent * each["y"]).sum()
            if self.swing in totals:
                totals[self.swing] -= (each["wave"] * v).sum(dim=0)


def gradients(f, parameters, *, y0=None, ts=None, **options):
    """Give the states and the gradients, for the start first."""
    y0 = (random(B, D) if y0 is None else y0).detach().requires_grad_()
    ts = times(len(y0)) if ts is None else ts
    ys = odeint(f, y0, ts, **options).ys
    weights = torch.linspace(-1, 2, ys.numel(), dtype=ys.dtype).view_as(ys)
    loss = (weights * ys + ys.sin()).sum()
    return [ys.detach(), *torch.autograd.grad(loss, [y0, *parameters])]


def by_autograd(f):
    """Hide what else a field has."""
    return f.forward


@pytest.mark.parametrize("how", HOW)
def test_gradients_are_those_of_autograd(how, field):
    got = gradients(field, field.parameters(), **HOW[how])
    assert field.n_products
    exactly(got, gradients(by_autograd(field), field.parameters(), **HOW[how]))


@pytest.mark.parametrize("method", EXPLICIT)
@pytest.mark.parametrize("adjoint", ["direct", "replay"])
def test_every_explicit_method_may_use_them(method, adjoint, tanh_field):
    options = {"method": method, "adjoint": adjoint}
    if METHODS[method].error is None or method == "euler":
        options["step_size"] = 0.1
    got = gradients(tanh_field, tanh_field.parameters(), **options)
    assert tanh_field.n_products
    exactly(got, gradients(by_autograd(tanh_field), tanh_field.parameters(), **options))


@pytest.mark.parametrize("how", HOW)
def test_a_users_own_field_may_have_them(how):
    f = Squeezed()
    assert analytic(f) is f
    got = gradients(f, f.parameters(), **HOW[how])
    exactly(got, gradients(by_autograd(f), f.parameters(), **HOW[how]))


@pytest.mark.parametrize("how", ["direct", "replay", "checkpointed"])
def test_rejected_steps_add_nothing(how, field):
    with torch.no_grad():
        for weight in field.parameters():
            weight.mul_(4)
    options = HOW[how] | {"first_step": 0.3, "rtol": 1e-8, "atol": 1e-8}
    assert bool(odeint(field, random(B, D), times(), **options).stats.n_rejected.any())
    got = gradients(field, field.parameters(), **options)
    assert field.n_products
    exactly(got, gradients(by_autograd(field), field.parameters(), **options))


@pytest.mark.parametrize("how", ["direct", "replay", "checkpointed"])
@pytest.mark.parametrize("n_samples", [0, 1, 600])
def test_a_batch_of_any_size(how, n_samples, field):
    y0, ts = random(n_samples, D), torch.tensor([0.0, 0.4, 1.3])
    got = gradients(field, field.parameters(), y0=y0, ts=ts, **HOW[how])
    expected = gradients(by_autograd(field), field.parameters(), y0=y0, ts=ts, **HOW[how])
    torch.testing.assert_close(got, expected, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("adjoint", ["direct", "replay"])
@pytest.mark.parametrize("frozen", [("0.weight",), ("2.bias",), ("0.bias", "4.weight", "4.bias")])
def test_a_frozen_parameter_gets_nothing(adjoint, frozen, field):
    for name in frozen:
        field.get_parameter(name).requires_grad_(requires_grad=False)
    free = [x for x in field.parameters() if x.requires_grad]
    got = gradients(field, free, adjoint=adjoint)
    assert field.n_products
    exactly(got, gradients(by_autograd(field), free, adjoint=adjoint))
    odeint(field, random(B, D), times(), adjoint=adjoint).ys.sum().backward()
    assert all(x.grad is None for x in field.parameters() if not x.requires_grad)


@pytest.mark.parametrize("adjoint", ["direct", "replay"])
def test_a_field_that_is_frozen_as_a_whole_passes_a_gradient_on(adjoint, field):
    field.requires_grad_(requires_grad=False)
    got = gradients(field, [], adjoint=adjoint)
    assert field.n_products
    exactly(got, gradients(by_autograd(field), [], adjoint=adjoint))


@pytest.mark.parametrize("adjoint", ["direct", "replay"])
def test_a_start_without_gradient_leaves_that_of_the_parameters(adjoint, field):
    y0, parameters = random(B, D), list(field.parameters())
    found = [
        torch.autograd.grad(odeint(f, y0, times(), adjoint=adjoint).ys.sum(), parameters)
        for f in (field, by_autograd(field))
    ]
    assert field.n_products
    exactly(*found)


def test_a_weight_that_two_layers_share_gets_both_gradients():
    field = Counted([D, D, D]).double()
    field.get_submodule("2").weight = field.get_submodule("0").weight
    assert len(list(field.parameters())) == 3
    got = gradients(field, field.parameters())
    assert field.n_products
    exactly(got, gradients(by_autograd(field), field.parameters()))


def test_a_gradient_may_be_asked_for_again(field):
    y0 = random(B, D).requires_grad_()
    loss = odeint(field, y0, times(), adjoint="direct").ys.square().sum()
    wanted = [y0, *field.parameters()]
    first = torch.autograd.grad(loss, wanted, retain_graph=True)
    exactly(torch.autograd.grad(loss, wanted), first)


@pytest.mark.parametrize("adjoint", ["direct", "replay"])
def test_weights_changed_before_the_backward_pass_are_an_error(adjoint, field):
    ys = odeint(field, random(B, D), times(), adjoint=adjoint).ys
    with torch.no_grad():
        field.get_parameter("2.weight").mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        ys.sum().backward()


class TestLeftToAutograd:
    """Where the products would not be enough, they are not used, and gradients are right."""

    def check(self, field, f=None, **options):
        f = field if f is None else f
        got = gradients(f, field.parameters(), **options)
        assert not field.n_products
        exactly(got, gradients(by_autograd(field), field.parameters(), **options))

    @pytest.mark.parametrize("adjoint", ["direct", "replay"])
    def test_the_gradient_of_times(self, adjoint, field):
        found = []
        for f in (field, by_autograd(field)):
            y0, ts = random(B, D).requires_grad_(), times().requires_grad_()
            ys = odeint(f, y0, ts, adjoint=adjoint).ys
            found.append(torch.autograd.grad(ys.sin().sum(), [y0, ts, *field.parameters()]))
        assert not field.n_products
        exactly(*found)

    @pytest.mark.parametrize("adjoint", ["direct", "replay"])
    def test_time_that_runs_backward(self, adjoint, field):
        self.check(field, ts=-times(), adjoint=adjoint)

    def test_backsolve(self, field):
        self.check(field, adjoint="backsolve")

    def test_an_implicit_method(self, field):
        self.check(field, method="kvaerno3", adjoint="replay")

    def test_a_solution_whose_steps_are_kept(self, field):
        self.check(field, dense=True)

    def test_a_state_of_more_axes(self, field):
        y0 = random(B, 2, D)
        got = gradients(field, field.parameters(), y0=y0)
        assert not field.n_products
        exactly(got, gradients(by_autograd(field), field.parameters(), y0=y0))

    def test_a_second_derivative(self, field):
        found = []
        for f in (field, by_autograd(field)):
            y0 = random(B, D).requires_grad_()
            loss = odeint(f, y0, times(), adjoint="direct").ys.square().sum()
            (slope,) = torch.autograd.grad(loss, y0, create_graph=True)
            wanted = [y0, *list(field.parameters())[:-1]]  # the last bias moves no second one
            assert not field.n_products
            found.append(torch.autograd.grad(slope.square().sum(), wanted))
            field.n_products = 0  # the second derivative goes through the first solve, too
        exactly(*found)

    @pytest.mark.parametrize("adjoint", ["direct", "replay"])
    def test_autocast(self, adjoint, field):
        found, field = [], field.float()
        for f in (field, by_autograd(field)):
            y0 = random(B, D).float().requires_grad_()
            with torch.autocast("cpu", dtype=torch.bfloat16):
                ys = odeint(f, y0, times(), adjoint=adjoint, rtol=1e-2, atol=1e-2).ys
            found.append(torch.autograd.grad(ys.sum(), [y0, *field.parameters()]))
        assert not field.n_products
        exactly(*found)

    def test_a_hook_in_a_layer(self, tanh_field):
        tanh_field.get_submodule("1").register_forward_hook(lambda module, given, k: 2 * k)
        assert analytic(tanh_field) is None
        self.check(tanh_field)

    def test_a_hook_everywhere(self, tanh_field):
        handle = nn.modules.module.register_module_forward_hook(lambda module, given, k: None)
        assert analytic(tanh_field) is None
        handle.remove()
        assert analytic(tanh_field) is tanh_field

    def test_a_parametrization(self, tanh_field):
        nn.utils.parametrizations.weight_norm(tanh_field.get_submodule("2"))
        assert analytic(tanh_field) is None
        self.check(tanh_field)

    def test_a_forward_that_was_redefined(self, tanh_field):
        class Damped(Counted):
            def forward(self, t, y):
                return super().forward(t, y) - y

        damped = Damped([D, 4, D]).double()
        assert analytic(damped) is None
        self.check(damped)
        tanh_field.forward = lambda t, y: -y
        assert analytic(tanh_field) is None

    def test_a_tensor_that_is_no_parameter(self):
        rate = torch.tensor(0.5, dtype=torch.float64, requires_grad=True)

        class Leaky(Squeezed):
            def forward(self, t, y):
                return super().forward(t, y) - rate * y

            def vjp_forward(self, t, y):
                raise AssertionError

            vjp_y = vjp_parameters = vjp_forward

        f = Leaky()
        assert analytic(f) is f
        wanted = [rate, *f.parameters()]
        exactly(gradients(f, wanted), gradients(by_autograd(f), wanted))

    @pytest.mark.parametrize("adjoint", ["direct", "auto"])
    def test_weights_that_were_computed(self, adjoint, tanh_field):
        scale = torch.ones((), dtype=torch.float64, requires_grad=True)
        found = []
        for f in (tanh_field, by_autograd(tanh_field)):
            weights = {name: scale * x for name, x in tanh_field.named_parameters()}
            ys = solved_with(tanh_field, f, weights, adjoint=adjoint)
            found.append(torch.autograd.grad(ys.sum(), [scale, *tanh_field.parameters()]))
        assert not tanh_field.n_products
        exactly(*found)


def solved_with(field, f, weights, **options):
    """Solve for a field while its module has other weights, which it has no more afterwards."""

    class Around(nn.Module):
        def __init__(self):
            super().__init__()
            self.field = field

        def forward(self):
            return odeint(f, random(B, D), times(), **options).ys

    weights = {f"field.{name}": x for name, x in weights.items()}
    return torch.func.functional_call(Around(), weights, ())


def test_the_gradient_is_for_the_weights_of_the_solve(tanh_field):
    found = []
    for f in (tanh_field, by_autograd(tanh_field)):
        weights = {
            name: (2 * x).detach().requires_grad_() for name, x in tanh_field.named_parameters()
        }
        ys = solved_with(tanh_field, f, weights, adjoint="direct")
        found.append(torch.autograd.grad(ys.sum(), list(weights.values())))
    assert tanh_field.n_products
    exactly(*found)


class TestWrongUse:
    """Half a protocol is an error that says what is missing."""

    def test_a_product_that_is_missing(self):
        class Half(nn.Module):
            def forward(self, t, y):
                return -y

            def vjp_y(self, saved, v):
                return -v, None

        with pytest.raises(TypeError, match="Half must define vjp_forward, vjp_parameters too"):
            odeint(Half(), random(B, D), times())

    def test_a_field_that_is_no_module(self):
        class Plain:
            vjp_forward = vjp_y = vjp_parameters = None

            def __call__(self, t, y):
                return -y

        with pytest.raises(TypeError, match=r"Plain is no torch\.nn\.Module"):
            odeint(Plain(), random(B, D), times())

    @pytest.mark.parametrize(
        ("name", "given", "error"),
        [
            ("vjp_forward", lambda x: x, "vjp_forward must return dy/dt and what the products"),
            (
                "vjp_forward",
                lambda x: (x[:1], None),
                r"vjp_forward must return dy/dt like y.*1, 3",
            ),
            ("vjp_y", lambda x: x, "vjp_y must return the cotangent of y and what vjp_param"),
            ("vjp_y", lambda x: (x.float(), None), "vjp_y must return the cotangent of y like"),
            ("vjp_y", lambda x: (None, None), "vjp_y must return .* but it returned NoneType"),
        ],
    )
    def test_a_product_of_another_form(self, name, given, error):
        f = Squeezed()
        wrong = type("Wrong", (Squeezed,), {name: lambda self, a, b: given(b)})()
        assert analytic(wrong) is wrong
        with pytest.raises((TypeError, ValueError), match=f"Wrong.{error}"):
            gradients(wrong, list(f.parameters())[:0])


class TestMLP:
    """The network is that of plain torch."""

    def test_it_is_a_field_with_products(self):
        assert isinstance(MLP([2, 2]), AnalyticField)
        assert not isinstance(nn.Linear(2, 2), AnalyticField)

    @pytest.mark.parametrize(("name", "kind"), [("tanh", nn.Tanh), ("silu", nn.SiLU)])
    def test_it_takes_the_weights_of_a_sequence_of_layers(self, name, kind):
        net = nn.Sequential(nn.Linear(2, 8), kind(), nn.Linear(8, 2))
        field = MLP([2, 8, 2], activation=name)
        field.load_state_dict(net.state_dict())
        y = random(B, 2).float()
        assert torch.equal(field(random(B).float(), y), net(y))
        net.load_state_dict(field.state_dict())

    def test_both_ways_give_the_same_field(self, field):
        t, y = random(B), random(B, D)
        torch.testing.assert_close(field.vjp_forward(t, y)[0], field(t, y), rtol=1e-14, atol=1e-14)

    def test_a_field_without_hidden_layers_is_linear(self):
        field = Counted([D, D]).double()
        got = gradients(field, field.parameters())
        assert field.n_products
        exactly(got, gradients(by_autograd(field), field.parameters()))

    def test_its_products_keep_as_much_as_its_graph(self, field):
        """So that the memory of one evaluation by autograd is that of one by the products."""
        t, y = random(B), random(B, D)
        _, passed = field.vjp_forward(t, y)
        kept = {x.data_ptr(): x.nbytes for x in [*passed.inputs[1:], *passed.between]}
        assert sum(kept.values()) == bytes_saved(evaluate(field, t, y, moving=False))

    @pytest.mark.parametrize("sizes", [[], [3], [3, 4]])
    def test_it_has_the_width_of_the_state(self, sizes):
        with pytest.raises(ValueError, match="must begin and end with the width of the state"):
            MLP(sizes)

    def test_an_activation_that_is_not_known(self):
        with pytest.raises(ValueError, match="activation=relu is not known: choose one of tanh"):
            MLP([2, 2], activation="relu")

    def test_it_can_be_compiled(self, field):
        compiled = torch.compile(field, fullgraph=True, backend="eager")
        t, y = random(B), random(B, D)
        assert analytic(compiled) is None
        torch.testing.assert_close(compiled(t, y), field(t, y))
