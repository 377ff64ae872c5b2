"""The cotangents of what was read off the steps."""

import torch
from torch import Tensor

from latentode.solvers.dense import piece_at
from latentode.solvers.methods import Switching
from latentode.solvers.problem import Problem, is_pulled_by_hand
from latentode.solvers.record import Steps

# Bytes of cotangents that are computed at once, and of how many steps at most.
_HELD, _MOST_HELD = 2**21, 32


class Reads:
    """The cotangents of the states read off the steps, step by step."""

    def __init__(
        self,
        problem: Problem,
        steps: Steps,
        s: Tensor,
        grad_ys: Tensor,
        chosen: Tensor | None,
    ) -> None:
        method = problem.method
        by_hand = is_pulled_by_hand(method, problem.options)
        dense = method.explicit.dense if isinstance(method, Switching) else method.dense
        self._weights = dense.t().contiguous() if by_hand else None
        self._n_powers = len(dense)
        self._grad_ys = grad_ys.flatten(0, 1)
        self._n_steps, self._n_samples = steps.dt.shape
        at = piece_at(s, steps.s1)
        s0, dt = (x.t().gather(1, at) for x in (steps.s0, steps.dt))
        self._theta = ((s - s0) / dt.where(dt > 0, torch.inf)).to(grad_ys.dtype).flatten()
        # Reads in the order of the steps, and where those of each chunk of steps begin.
        number, order = at.flatten().sort(stable=True)
        if chosen is not None:
            is_chosen = chosen.flatten()[order]
            number, order = number[is_chosen], order[is_chosen]
        self._order = order
        self._rows = number * self._n_samples + order // s.shape[1]
        size = (self._n_powers + len(dense[0])) * steps.y0[0].numel() * steps.y0.element_size()
        self._chunk = min(max(_HELD // max(size, 1), 2), _MOST_HELD)
        chunks = torch.arange(0, self._n_steps + self._chunk, self._chunk, device=s.device)
        self._bounds = torch.searchsorted(number, chunks).tolist()
        self._held: tuple[int, Tensor, Tensor] | None = None

    def of(self, n: int) -> tuple[Tensor, Tensor]:
        """Give the cotangents of step n: for its state at the start, and for the rest.

        The rest are its increments (R, B D), if it is pulled back by hand, or its powers
        (Q, B, D).
        """
        chunk, place = divmod(n, self._chunk)
        if self._held is None or self._held[0] != chunk:
            self._held = chunk, *self._of_chunk(chunk)
        return self._held[1][place], self._held[2][place]

    def _of_chunk(self, chunk: int) -> tuple[Tensor, Tensor]:
        reads = slice(self._bounds[chunk], self._bounds[chunk + 1])
        begin = chunk * self._chunk
        n_steps = min(self._chunk, self._n_steps - begin)
        order = self._order[reads]
        theta = self._theta.index_select(0, order)[:, None]
        parts = [self._grad_ys.index_select(0, order)]
        for _ in range(self._n_powers):
            parts.append(parts[-1] * theta)
        width = self._grad_ys.shape[1]
        total = self._grad_ys.new_zeros(n_steps * self._n_samples, len(parts) * width)
        total.index_add_(0, self._rows[reads] - begin * self._n_samples, torch.cat(parts, dim=1))
        each = total.view(n_steps, self._n_samples, len(parts), width).transpose(1, 2)
        for_y, for_powers = each[:, 0], each[:, 1:]
        if self._weights is None:
            return for_y, for_powers
        return for_y, torch.matmul(self._weights, for_powers.flatten(2))
