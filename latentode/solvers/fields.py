"""Fields that give their own vector-Jacobian products, which cost less than autograd's."""

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from torch.nn.modules.module import _has_any_global_hook
from torch.nn.utils.parametrize import is_parametrized

from latentode.solvers.checks import check_choice

PRODUCTS = ("vjp_forward", "vjp_y", "vjp_parameters")


@runtime_checkable
class AnalyticField(Protocol):
    """A module that is a field, and knows the products of a cotangent with its Jacobians.

    The products are used instead of autograd for the gradient of an explicit method by "direct",
    "replay" or "auto": where the state is a tensor of shape (B, D), there are no ``args``, time
    runs forward and needs no gradient, all that the field depends on are parameters which are
    leaves, and no autocast, hook or parametrization is at work. Everywhere else, and for second
    derivatives, the field is called as ``f(t, y)``, which must give the same numbers.

    All three methods are called without a graph, and change nothing that they are given but the
    totals.
    """

    def __init__(self) -> None:  # is no part of the protocol; without it, a signature is made up
        ...

    def vjp_forward(self, t: Tensor, y: Tensor) -> tuple[Tensor, Any]:
        """Give the field, and what the products need.

        Parameters
        ----------
        t : Tensor of shape (B,)
            Times.
        y : Tensor of shape (B, D)
            States.

        Returns
        -------
        Tensor of shape (B, D)
            The field there.
        object
            What the products need, the parameters that were used with it. Its tensors are to
            have the B samples as rows.
        """
        ...

    def vjp_y(self, saved: Any, v: Tensor) -> tuple[Tensor, Any]:  # noqa: ANN401
        """Give the product of a cotangent with the Jacobian for the state.

        Parameters
        ----------
        saved : object
            What `vjp_forward` gave with the field.
        v : Tensor of shape (B, D)
            Cotangent of the field.

        Returns
        -------
        Tensor of shape (B, D)
            Cotangent of the state.
        object
            What `vjp_parameters` needs of this product.
        """
        ...

    def vjp_parameters(
        self, totals: Mapping[Tensor, Tensor], saved: Sequence[Any], deltas: Sequence[Any]
    ) -> None:
        """Add the gradient for the parameters, of several evaluations at once.

        Parameters
        ----------
        totals : dict of Tensor to Tensor
            For each parameter whose gradient is wanted, where to add it in place.
        saved, deltas : list of length N
            What `vjp_forward` and `vjp_y` gave, evaluation by evaluation.
        """
        ...


def analytic(f: Callable[..., Any]) -> AnalyticField | None:
    """Give a field back if its own products may be used, and None if it is for autograd.

    Raises
    ------
    TypeError
        If it has some of the products but not all, or has them and is no module.
    """
    kind = type(f)
    missing = [name for name in PRODUCTS if not hasattr(kind, name)]
    if len(missing) == len(PRODUCTS):
        return None
    if missing:
        raise TypeError(
            f"f has products of its own, but not all of them: {kind.__name__} must define "
            f"{', '.join(missing)} too, as in latentode.solvers.AnalyticField."
        )
    if not isinstance(f, nn.Module):
        raise TypeError(
            f"f has products of its own, but {kind.__name__} is no torch.nn.Module, whose "
            "parameters they are for: make it one."
        )
    is_plain = _is_up_to_date(f) and not any(map(_is_tampered_with, f.modules()))
    is_plain = is_plain and not _has_any_global_hook()
    is_plain = is_plain and all(x.is_leaf for x in f.parameters())
    return f if is_plain and isinstance(f, AnalyticField) else None


def _is_up_to_date(f: nn.Module) -> bool:
    """Say whether nothing redefines what the field is without redefining its products."""
    line = type(f).__mro__
    oldest = max(_first(line, name) for name in PRODUCTS)
    redefined = min(_first(line, "forward"), _first(line, "__call__")) < oldest
    return not redefined and "forward" not in vars(f)


def _first(line: tuple[type, ...], name: str) -> int:
    return next((i for i, kind in enumerate(line) if name in vars(kind)), len(line))


def _is_tampered_with(module: nn.Module) -> bool:
    hooks = (
        module._forward_hooks,
        module._forward_pre_hooks,
        module._backward_hooks,
        module._backward_pre_hooks,
    )
    return any(hooks) or is_parametrized(module)


class _Activation(NamedTuple):
    """A function between two layers.

    Attributes
    ----------
    module : type
        The same as a module.
    function : callable
        It takes and gives a tensor.
    backward : callable
        It takes a cotangent and, as its second argument, what the function gave or took.
    from_output : bool
        Whether that is what it gave.
    """

    module: type[nn.Module]
    function: Callable[[Tensor], Tensor]
    backward: Callable[[Tensor, Tensor], Tensor]
    from_output: bool


_ACTIVATIONS = {
    "tanh": _Activation(
        nn.Tanh, torch.tanh, torch.ops.aten.tanh_backward.default, from_output=True
    ),
    "silu": _Activation(
        nn.SiLU, nn.functional.silu, torch.ops.aten.silu_backward.default, from_output=False
    ),
}


class _Passed(NamedTuple):
    """What an evaluation of a network leaves for its products, layer by layer.

    Attributes
    ----------
    layers : list of tuples of Tensors
        Weight and bias.
    inputs : list of Tensors of shape (B, width)
        What each layer was given.
    between : list of Tensors of shape (B, width)
        What the backward of the activation after each layer but the last needs.
    """

    layers: list[tuple[Tensor, Tensor]]
    inputs: list[Tensor]
    between: list[Tensor]


class MLP(nn.Module):
    """A field that is a network of linear layers, with vector-Jacobian products of its own.

    Its state dict is that of an `nn.Sequential` of linear layers with activations between them.

    Parameters
    ----------
    sizes : sequence of int
        Widths: of the state, of the hidden layers, and of the state again.
    activation : {"tanh", "silu"}, default="tanh"
        Function between the layers.

    Raises
    ------
    ValueError
        If the field would not have the width of the state, or the activation is not known.

    Examples
    --------
    >>> import torch
    >>> from latentode.solvers import MLP, odeint
    >>> net = torch.nn.Sequential(torch.nn.Linear(2, 8), torch.nn.Tanh(), torch.nn.Linear(8, 2))
    >>> field = MLP([2, 8, 2])
    >>> field.load_state_dict(net.state_dict())
    <All keys matched successfully>
    >>> odeint(field, torch.zeros(3, 2), torch.tensor([0.0, 1.0])).ys.shape
    torch.Size([3, 2, 2])
    """

    def __init__(self, sizes: Sequence[int], *, activation: str = "tanh") -> None:
        super().__init__()
        if len(sizes) < 2 or sizes[0] != sizes[-1]:
            raise ValueError(
                f"sizes={list(sizes)} must begin and end with the width of the state, as in "
                "[2, 64, 2]."
            )
        check_choice("activation", activation, _ACTIVATIONS)
        self.activation = activation
        for i, (n_in, n_out) in enumerate(pairwise(sizes)):
            if i:
                self.add_module(str(2 * i - 1), _ACTIVATIONS[activation].module())
            self.add_module(str(2 * i), nn.Linear(n_in, n_out))

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        """Give dy/dt (..., D) for states y (..., D), at any time."""
        for layer in self.children():
            y = layer(y)
        return y

    def vjp_forward(self, t: Tensor, y: Tensor) -> tuple[Tensor, _Passed]:
        """Give the field (B, D), and what its products need; see `AnalyticField`."""
        activation = _ACTIVATIONS[self.activation]
        passed = _Passed(self._layers(), [y], [])
        *hidden, (last, shift) = passed.layers
        for weight, bias in hidden:
            before = torch.addmm(bias, y, weight.t())
            y = activation.function(before)
            passed.inputs.append(y)
            passed.between.append(y if activation.from_output else before)
        return torch.addmm(shift, y, last.t()), passed

    def vjp_y(self, saved: _Passed, v: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Give the cotangent of the state, and those of each layer from the last to the first."""
        backward = _ACTIVATIONS[self.activation].backward
        deltas = [v]
        for i in reversed(range(1, len(saved.layers))):
            v = backward(torch.mm(v, saved.layers[i][0]), saved.between[i - 1])
            deltas.append(v)
        return torch.mm(v, saved.layers[0][0]), deltas

    def vjp_parameters(
        self,
        totals: Mapping[Tensor, Tensor],
        saved: Sequence[_Passed],
        deltas: Sequence[Sequence[Tensor]],
    ) -> None:
        """Add the gradients of weights and biases, with one matrix product a layer."""
        for i, (weight, bias) in enumerate(saved[0].layers):
            if not (weight in totals or bias in totals):
                continue
            delta = _joined([each[-1 - i] for each in deltas])
            if weight in totals:
                totals[weight].addmm_(delta.t(), _joined([each.inputs[i] for each in saved]))
            if bias in totals:
                totals[bias].add_(delta.sum(dim=0))

    def _layers(self) -> list[tuple[Tensor, Tensor]]:
        layers = list(self.children())[::2]
        return [(layer.weight, layer.bias) for layer in layers if isinstance(layer, nn.Linear)]


def _joined(parts: Sequence[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(list(parts))
