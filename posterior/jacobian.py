"""Products with the Jacobian of an invertible map and its transpose, without storing the map's inside."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Literal, NamedTuple, final, get_args

import numpy as np
import torch
from scipy.sparse.linalg import LinearOperator
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.func import functional_call

from posterior.invertible import Invertible, trainable, vector_jacobian
from posterior.layers.inverse import Inverse
from posterior.replay import generator_state, replayed

Domain = Literal["x", "c", "parameters"]


class Tangent(NamedTuple):
    """A direction among a map's inputs; None where the Jacobian does not go or where nothing moves."""

    x: Tensor | None = None
    c: Tensor | None = None
    parameters: Sequence[Tensor] | None = None
    """One for each of :func:`posterior.invertible.trainable` (network), in that order."""


@final
class Jacobian:
    r"""The Jacobian J of (x, c, parameters) -> z = f(x; c) at a point, as a linear operator.

    .. math::
        dz = J\, (dx, dc, d\theta), \qquad (dx, dc, d\theta) = J^T dz, \qquad J^T J

    and the same of the log-determinant, which is one more output. J v is carried along in one plain
    evaluation, forward-mode, which keeps nothing. J^T w is one call and one backward pass in the network's
    own memory mode, so its memory does not grow with depth under "invert". What is random in the network,
    such as dropout, is drawn alike every time.

    Args:
        network: The map; ActNorms in training mode must have seen their first batch.
        x: Where to linearise.
        c: The condition there.
        inverse: Take the Jacobian of the inverse direction: x is the latent.
        of: The inputs that may move: some of "x", "c" and "parameters" (those that need a gradient).

    Shapes:
        x, dx, z, dz: (B, C, ...). c, dc: (B, K, ...). dlogdet: (B,).

    Raises:
        ValueError: If ``of`` is empty or unknown, or names a condition that is not there, or the network
            would initialise itself at its next call.

    Source:
        InvertibleNetworks.jl's Jacobian, written by hand for each layer there; here by automatic
        differentiation: Griewank and Walther, Evaluating derivatives, SIAM 2008, chapter 3.

    Example:
        >>> from posterior.layers.conv1x1 import Conv1x1
        >>> jacobian = Jacobian(Conv1x1(3), torch.randn(2, 3, 4, 4))
        >>> dz, dlogdet = jacobian.forward(dx=torch.randn(2, 3, 4, 4))
        >>> jacobian.adjoint(dz).x.shape
        torch.Size([2, 3, 4, 4])
    """

    def __init__(
        self,
        network: Invertible,
        x: Tensor,
        c: Tensor | None = None,
        *,
        inverse: bool = False,
        of: Sequence[Domain] = ("x",),
    ) -> None:
        if not of or not set(of) <= set(get_args(Domain)) or ("c" in of and c is None):
            allowed = [name for name in get_args(Domain) if name != "c" or c is not None]
            raise ValueError(f"expected of among {allowed}, got {list(of)}")
        waiting = [m for m in network.modules() if isinstance(m, Invertible) and m.needs_whole_batch]
        if waiting:
            raise ValueError(
                f"expected an initialised network, got one whose {type(waiting[0]).__name__} would take this "
                "for its first training batch: call the network on one, or use eval()"
            )
        self.network: Invertible = Inverse(network) if inverse else network
        self.x, self.c = x.detach(), None if c is None else c.detach()
        self.of = tuple(name for name in get_args(Domain) if name in of)
        self._generators = generator_state(x.device)

    def forward(
        self,
        dx: Tensor | None = None,
        dc: Tensor | None = None,
        dparameters: Sequence[Tensor] | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Return J v as (dz, dlogdet), shapes of z and (B,); what is None does not move.

        Raises:
            ValueError: If a direction is given that ``of`` does not name, or has the wrong shape.
        """
        self._check(Tangent(dx, dc, dparameters))
        moving = () if dparameters is None else zip(self._parameters(), dparameters, strict=True)
        with torch.no_grad(), self._same_draws(), _forward_mode():
            duals = {id(p): forward_ad.make_dual(p.detach(), direction) for p, direction in moving}
            x, c = _dual(self.x, dx), None if self.c is None else _dual(self.c, dc)
            # Tied by hand: tie_weights=True leaves a module that is in use at two places changed for good.
            outputs = functional_call(self.network, _by_name(self.network, duals), (x, c), tie_weights=False)
            (z, dz), (logdet, dlogdet) = (forward_ad.unpack_dual(out) for out in outputs)
        return (
            torch.zeros_like(z) if dz is None else dz,
            torch.zeros_like(logdet) if dlogdet is None else dlogdet,
        )

    def adjoint(self, dz: Tensor, dlogdet: Tensor | None = None) -> Tangent:
        """Return J^T w for the inputs that may move.

        Args:
            dz: Shape of z.
            dlogdet: Shape (B,); None for zero.

        Raises:
            ValueError: If ``dz`` or ``dlogdet`` has the wrong shape.
        """
        x = self.x.detach().requires_grad_("x" in self.of)
        c = None if self.c is None else self.c.detach().requires_grad_("c" in self.of)
        with torch.enable_grad(), self._same_draws():
            z, logdet = self.network(x, c)
        dlogdet = torch.zeros_like(logdet) if dlogdet is None else dlogdet
        for name, got, expected in (("dz", dz, z), ("dlogdet", dlogdet, logdet)):
            _check_shape(name, got, expected)
        leaves = self._movable(x, c)
        found = vector_jacobian((z, logdet), leaves, (dz, dlogdet))
        grads = [torch.zeros_like(leaf) if g is None else g for leaf, g in zip(leaves, found, strict=True)]
        return self._tangent(grads)

    def gauss_newton(
        self,
        dx: Tensor | None = None,
        dc: Tensor | None = None,
        dparameters: Sequence[Tensor] | None = None,
        *,
        logdet: bool = False,
    ) -> Tangent:
        """Return J^T J v; with ``logdet`` the log-determinant counts as one more output of each sample."""
        dz, dlogdet = self.forward(dx, dc, dparameters)
        return self.adjoint(dz, dlogdet if logdet else None)

    def as_linear_operator(self) -> LinearOperator:
        """View J as scipy's operator on flat vectors: from all of (x, c, parameters) that may move, to z."""
        with torch.no_grad(), self._same_draws():
            z, _ = self.network(self.x, self.c)
        point = self._movable(self.x, self.c)

        def matvec(v: np.ndarray) -> np.ndarray:
            parts = torch.tensor(v).to(z).flatten().split([one.numel() for one in point])
            shaped = [part.view(one.shape) for part, one in zip(parts, point, strict=True)]
            return self.forward(*self._tangent(shaped))[0].flatten().cpu().numpy()

        def rmatvec(w: np.ndarray) -> np.ndarray:
            x, c, parameters = self.adjoint(torch.tensor(w).to(z).view(z.shape))
            moved = [one for one in (x, c, *(parameters or ())) if one is not None]
            return torch.cat([one.flatten() for one in moved]).cpu().numpy()

        shape = (z.numel(), sum(one.numel() for one in point))
        return LinearOperator(shape, matvec=matvec, rmatvec=rmatvec, dtype=z.cpu().numpy().dtype)

    def _movable(self, x: Tensor, c: Tensor | None) -> list[Tensor]:
        """The inputs that may move, in the order of a :class:`Tangent`."""
        inputs: dict[str, Sequence[Tensor | None]] = {"x": [x], "c": [c], "parameters": self._parameters()}
        return [one for name in self.of for one in inputs[name] if one is not None]

    def _tangent(self, moved: Sequence[Tensor]) -> Tangent:
        """Undo :meth:`_movable`."""
        rest = list(moved)
        x = rest.pop(0) if "x" in self.of else None
        c = rest.pop(0) if "c" in self.of else None
        return Tangent(x, c, rest if "parameters" in self.of else None)

    def _check(self, tangent: Tangent) -> None:
        for name, direction in tangent._asdict().items():
            if direction is not None and name not in self.of:
                raise ValueError(
                    f"expected directions of {list(self.of)}, got one of {name!r}: name it in `of`"
                )
        mine = self._parameters()
        directions = mine if tangent.parameters is None else tangent.parameters
        if len(directions) != len(mine):
            raise ValueError(f"expected directions of {len(mine)} parameters, got {len(directions)}")
        points = [("dx", tangent.x, self.x), ("dc", tangent.c, self.c)]
        points += [("dparameters", *pair) for pair in zip(directions, mine, strict=True)]
        for name, direction, point in points:
            if direction is not None and point is not None:
                _check_shape(name, direction, point)

    def _parameters(self) -> list[nn.Parameter]:
        return trainable(self.network)

    def _same_draws(self) -> AbstractContextManager[None]:
        """Random numbers as at the start, in every call."""
        return replayed(self._generators, self.x.device)


@contextmanager
def _forward_mode() -> Iterator[None]:
    """Dual numbers; torch scripts a few of its own derivatives at their first use, and warns about that."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*torch.jit.script.*", DeprecationWarning)
        with forward_ad.dual_level():
            yield


def _by_name(network: nn.Module, values: Mapping[int, Tensor]) -> dict[str, Tensor]:
    """Values by the parameters' id, at every place where a module holds them; each module once."""
    return {
        f"{prefix}.{name}" if prefix else name: values[id(parameter)]
        for prefix, module in network.named_modules()
        for name, parameter in module.named_parameters(recurse=False, remove_duplicate=False)
        if id(parameter) in values
    }


def _dual(point: Tensor, direction: Tensor | None) -> Tensor:
    return point if direction is None else forward_ad.make_dual(point, direction)


def _check_shape(name: str, got: Tensor, expected: Tensor) -> None:
    if got.shape != expected.shape:
        raise ValueError(f"expected {name} of shape {tuple(expected.shape)}, got {tuple(got.shape)}")
