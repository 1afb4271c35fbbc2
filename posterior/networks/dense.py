"""Dense flows: normalizing flows of vectors, such as the parameters of a simulator."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Literal, final

from torch import Tensor

from posterior.conditioners import ConditionerFactory, DenseConditioner
from posterior.invertible import Invertible, check_image
from posterior.layers.actnorm import ActNorm
from posterior.layers.conv1x1 import Conv1x1
from posterior.layers.coupling import Coupling, check_condition
from posterior.layers.elementwise import Elementwise
from posterior.layers.hint import HINTCoupling
from posterior.layers.lu import Conv1x1LU
from posterior.layers.permutation import Permutation
from posterior.layers.spline import RationalQuadraticSpline
from posterior.networks.base import InvertibleNetwork
from posterior.networks.multiscale import check_precision
from posterior.reversible import MemoryLike, Sequential

COUPLINGS: dict[str, Callable[..., Coupling | HINTCoupling]] = {
    "half": Coupling,
    "hint": partial(HINTCoupling, min_channels=2),
}
MIXINGS: dict[str, type[Conv1x1 | Conv1x1LU | Permutation]] = {
    "householder": Conv1x1,
    "lu": Conv1x1LU,
    "permutation": Permutation,
}


@final
class DenseFlow(InvertibleNetwork):
    r"""Flow steps on vectors, each an ActNorm, a mixing of the entries and a conditioned coupling.

    The mixing decides which half of the entries the coupling changes. ActNorm brings the first training batch
    to unit scale, within the splines' bound. Memory does not grow with ``steps``.

    Args:
        in_channels: Size D of x; 1 needs a condition.
        cond_channels: Size K of the condition; 0 for a network without one.
        hidden: Size of the hidden layers of the conditioners.
        steps: Number of flow steps.
        layers: Number of residual blocks of each conditioner.
        transform: The couplings' family of functions; None for a rational-quadratic spline.
        coupling: "half" changes one half of the entries given the other; "hint" also the halves among
            themselves, down to single entries, with about D conditioners a step.
        mixing: "permutation" (fixed: splines work entry by entry and do better on axes that stay apart), "lu"
            (any invertible matrix) or "householder" (orthogonal ones).
        memory: What is kept for the backward pass, see :class:`posterior.reversible.Memory`; where the hidden
            layers of all steps fit into memory, as they often do for vectors, "store" is the fastest.
        conditioner: Builds the network inside each coupling from its sizes of input and output; None for a
            :class:`~posterior.conditioners.DenseConditioner`.
        dropout: Probability of dropping a hidden entry in training.

    Shapes:
        x, z: (B, D). c: (B, K). logdet: (B,).

    Raises:
        ValueError: If there is no step, or shapes do not fit.

    Source:
        Durkan et al., Neural spline flows, NeurIPS 2019, section 4 (RQ-NSF (C)); the ActNorm: Glow; "hint":
        Kruse et al., HINT, AAAI 2021.

    Example:
        >>> net = DenseFlow(in_channels=3, cond_channels=5, hidden=16, steps=2)
        >>> z, logdet = net(torch.randn(8, 3), torch.randn(8, 5))
        >>> z.shape, logdet.shape
        (torch.Size([8, 3]), torch.Size([8]))
    """

    def __init__(
        self,
        in_channels: int,
        cond_channels: int = 0,
        *,
        hidden: int = 64,
        steps: int = 6,
        layers: int = 2,
        transform: Elementwise | None = None,
        coupling: Literal["half", "hint"] = "half",
        mixing: Literal["lu", "householder", "permutation"] = "permutation",
        memory: MemoryLike = "invert",
        conditioner: ConditionerFactory | None = None,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if steps < 1:
            raise ValueError(f"expected at least 1 step, got {steps}")
        for name, value, known in (("coupling", coupling, COUPLINGS), ("mixing", mixing, MIXINGS)):
            if value not in known:
                raise ValueError(f"expected {name} {' or '.join(map(repr, known))}, got {value!r}")
        self.in_channels, self.cond_channels, self.ndim = in_channels, cond_channels, 0
        build = partial(DenseConditioner, hidden=hidden, layers=layers, dropout=dropout)
        couple = partial(
            COUPLINGS[coupling],
            conditioner=build if conditioner is None else conditioner,
            transform=RationalQuadraticSpline() if transform is None else transform,
            ndim=0,
        )
        chain: list[Invertible] = []
        for _ in range(steps):
            chain += [ActNorm(in_channels, ndim=0), MIXINGS[mixing](in_channels, ndim=0)]
            chain.append(couple(in_channels, cond_channels))
        self.chain = Sequential(chain, memory)

    def forward(self, x: Tensor, c: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Map x to the latent z and the log-determinant, given c."""
        self._check("x", x, c)
        return self.chain(x, c)

    def inverse(self, z: Tensor, c: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Map the latent z to x and the log-determinant of this direction, given c."""
        self._check("z", z, c)
        return self.chain.inverse(z, c)

    def _check(self, name: str, vectors: Tensor, c: Tensor | None) -> None:
        check_image(name, vectors, self.in_channels, self.ndim)
        check_precision(name, vectors, self)
        check_condition(vectors, c, self.cond_channels)
