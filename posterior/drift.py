"""Guard against drift: how far the input that a backward pass rebuilt is from the true one."""

from __future__ import annotations

import warnings
from typing import final

import torch
from torch import Tensor


def fingerprint(x: Tensor) -> Tensor:
    r"""Two numbers a sample, (w . x, |x|) with fixed pseudo-random weights w of mean square 1; shape (B, 2).

    A relative error :math:`|x' - x| / |x|` moves w . x by about that share of |x|, whatever its shape. w is a
    product over the axes, so that nothing of x's size is made.
    """
    with torch.autocast(x.device.type, enabled=False):
        projection = x
        while projection.ndim > 1:
            projection = projection @ _weights(projection.shape[-1], x)
    return torch.stack((projection, torch.linalg.vector_norm(x, dim=tuple(range(1, x.ndim)))), 1)


def _weights(size: int, like: Tensor) -> Tensor:
    """A quadratic phase: no structure of an image resonates with it, unlike with a plain wave."""
    index = torch.arange(size, dtype=torch.float64, device=like.device)
    wave = torch.cos(0.7548776662466927 * index.square() + index)
    return (wave * (size**0.5 / torch.linalg.vector_norm(wave))).to(like.dtype)


@final
class DriftGuard:
    """Compares fingerprints of the true and of the rebuilt input; warns above a tolerance.

    On an accelerator the comparison is read one pass late, when it is long done, so that nothing waits for
    it.

    Args:
        tolerance: Relative error above which to warn.
    """

    def __init__(self, tolerance: float) -> None:
        self.tolerance = tolerance
        self._latest: Tensor | None = None

    @property
    def latest(self) -> float | None:
        """Relative error at the latest backward pass, the worst sample of the batch; None before any."""
        return None if self._latest is None else float(self._latest)

    def observe(self, true: Tensor, rebuilt: Tensor) -> None:
        """Take note of one backward pass: fingerprints of the true and of the rebuilt input."""
        scale = true[:, 1].clamp_min(torch.finfo(true.dtype).tiny)
        previous, self._latest = self._latest, ((true[:, 0] - rebuilt[:, 0]).abs() / scale).amax()
        due = self._latest if self._latest.device.type == "cpu" else previous
        if due is not None and float(due) > self.tolerance:
            warnings.warn(
                f"a reversible chain rebuilt its input with a relative error of {float(due):.1e}, above "
                f"{self.tolerance:.0e}, and its gradients are off by about as much: split the chain into "
                'several, use memory="checkpoint", or keep the state in a higher precision',
                RuntimeWarning,
                stacklevel=2,
            )
