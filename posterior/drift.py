"""Guard against drift: how far the input that a backward pass rebuilt is from the true one."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Sequence
from typing import NamedTuple, final

import torch
from torch import Tensor, nn

PROJECTIONS = 8
"""Random projections in a fingerprint; a single one would miss an error now and then."""


def fingerprint(x: Tensor) -> Tensor:
    r"""Nine numbers a sample, (W x, |x|) with 8 rows of fixed pseudo-random signs W; shape (B, 9).

    The root mean square of W (x' - x) is |x' - x| within a factor of about 2, wherever they differ. A sign is
    the product of one for the last axis and one for all others, so that nothing of x's size is made.
    """
    rows = x.unsqueeze(1).flatten(1, -2)
    with torch.autocast(x.device.type, enabled=False):
        partial = rows @ _signs(rows.shape[2], 0.0, x)
        projections = (partial * _signs(rows.shape[1], 0.37, x)).sum(1)
    return torch.cat((projections, _norm(x)[:, None]), 1)


def estimated_error(true: Tensor, rebuilt: Tensor) -> Tensor:
    """Relative error of each sample, estimated from the fingerprints of the true and the rebuilt image.

    An image of zeros has no size to be relative to: the largest image of the batch, or one, stands in, as
    what is rebuilt of it is the rounding of what came between.
    """
    change = (true - rebuilt)[:, :-1].square().mean(1).sqrt()
    size = true[:, -1]
    largest = torch.nn.functional.pad(size, (0, 1)).amax()
    ordinary = torch.where(largest > 0.0, largest, torch.ones_like(largest))
    return change / torch.where(size > 0.0, size, ordinary)


def relative_error(true: Tensor, rebuilt: Tensor) -> Tensor:
    """Relative error |x' - x| / |x| of each sample."""
    return _norm(rebuilt - true) / _norm(true).clamp_min(torch.finfo(true.dtype).tiny)


def default_tolerance(precisions: Iterable[torch.dtype]) -> float:
    """Relative error that a chain may drift by: 1e-3, or the coarsest machine epsilon where that is more.

    Conditioners of low precision make gradients inexact by themselves, and a chain drift by their rounding:
    up to about their epsilon (0.008 for bfloat16) drift changes gradients less than that.
    """
    return max(1e-3, *(torch.finfo(dtype).eps for dtype in precisions))


def declared_precisions(module: nn.Module) -> set[torch.dtype]:
    """Precisions that parts of ``module`` name as theirs, as a coupling does for its conditioner."""
    named = (vars(part).get("dtype") for part in module.modules())
    return {dtype for dtype in named if isinstance(dtype, torch.dtype) and dtype.is_floating_point}


def _norm(x: Tensor) -> Tensor:
    return torch.linalg.vector_norm(x, dim=tuple(range(1, x.ndim)))


def _signs(size: int, offset: float, like: Tensor) -> Tensor:
    """Signs (size, 8) of quadratic phases: no structure of an image resonates with them."""
    # Made where they are needed: a table to be copied to an accelerator would stall it. No two of these
    # square roots have a rational ratio.
    column = torch.arange(PROJECTIONS, dtype=torch.float64, device=like.device)
    index = torch.arange(1, size + 1, dtype=torch.float64, device=like.device)[:, None]
    phase = math.pi * (column + 2.5).sqrt() * index * (index + offset)
    return torch.where(phase.cos() < 0.0, -1.0, 1.0).to(like.dtype)


class _Observation(NamedTuple):
    """One backward pass."""

    error: Tensor
    finite: Tensor
    """Whether the call's outputs were; if not, it overflowed by itself."""
    limit: float


@final
class DriftGuard:
    """Warns when a backward pass rebuilt its input too far from the true one.

    Gradients are off by a twentieth to ten times as much, depending on the network and the direction
    (``examples/benchmarks/drift.py``): the guard tells orders of magnitude.

    On an accelerator the comparison is read one pass late, when it is long done, so that nothing waits for
    it.

    Args:
        tolerance: Relative error above which to warn; None for :func:`default_tolerance`.
        precisions: Those in which conditioners run, besides what autocast asks for.
    """

    def __init__(self, tolerance: float | None = None, precisions: Iterable[torch.dtype] = ()) -> None:
        self.tolerance = tolerance
        self._precisions = frozenset(precisions)
        self._latest: _Observation | None = None

    @property
    def latest(self) -> float | None:
        """Relative error at the latest backward pass, the worst sample of the batch; None before any."""
        return None if self._latest is None else float(self._latest.error)

    def observe(self, errors: Tensor, outputs: Sequence[Tensor], precision: torch.dtype) -> None:
        """Take note of one backward pass.

        Args:
            errors: Relative errors of what it rebuilt.
            outputs: What it started from.
            precision: That of conditioners which name none of their own.
        """
        finite = torch.stack([torch.linalg.vector_norm(out) for out in outputs]).isfinite().all()
        limit = self.tolerance
        if limit is None:
            limit = default_tolerance((precision, *self._precisions))
        worst = errors.amax() if len(errors) else errors.new_zeros(())
        previous, self._latest = self._latest, _Observation(worst, finite, limit)
        due = self._latest if errors.device.type == "cpu" else previous
        # Not "above": an error that is not a number must warn too.
        if due is not None and not float(due.error) <= due.limit and bool(due.finite):
            warnings.warn(
                f"a reversible chain rebuilt its input with a relative error of {float(due.error):.1e}, "
                f"above {due.limit:.0e}, and its gradients may be off by as much: set keep or anchor_every "
                "of posterior.reversible.Memory, split the chain into several, use "
                'memory="checkpoint", or run conditioners in a higher precision',
                RuntimeWarning,
                stacklevel=2,
            )
