"""Our posteriors as ``sbi.diagnostics`` takes them: vectors for images, torch for numpy.

What sbi calls theta is our x, flattened; what it calls x is our y, flattened. sbi itself is not needed here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, final

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Size, Tensor

__all__ = ["Posterior", "SbiPosterior", "SbiShapes"]

Reduce = Callable[[NDArray[np.float32]], ArrayLike]


class Posterior(Protocol):
    """A posterior in physical units, such as :class:`posterior.sample.AmortizedPosterior`."""

    def sample(
        self, num_samples: int, y: NDArray[np.float32], *, seed: int, batch_size: int
    ) -> NDArray[np.float32]:
        """Draw (num_samples, C, ...) for y (K, ...)."""
        ...

    def log_prob(self, x: NDArray[np.float32], y: NDArray[np.float32]) -> NDArray[np.float64]:
        """Log-density of x (B, C, ...) given y (K, ...), (B,)."""
        ...


@final
@dataclass(frozen=True)
class SbiShapes:
    """Between images and vectors: shapes, and the affine map of each channel of x.

    Args:
        x, y: shapes (C, ...) and (K, ...).
        mean, std: one number a channel of x: theta = (x - mean) / std. sbi's classifiers expect numbers of
            order one, which squared slowness in s^2/m^2 is far from.

    Raises:
        ValueError: If there is not one mean and one positive std a channel.
    """

    x: tuple[int, ...]
    y: tuple[int, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __post_init__(self) -> None:
        if not len(self.mean) == len(self.std) == self.x[0] or min(self.std) <= 0.0:
            raise ValueError(
                f"expected a mean and a positive std for each of {self.x[0]} channels, got {self.mean} and "
                f"{self.std}"
            )

    @classmethod
    def of(cls, posterior: Any) -> SbiShapes:
        """Those of an AmortizedPosterior: its shapes and its standardiser of x."""
        info, units = posterior.info, posterior.standardiser
        return cls(tuple(info.x_shape), tuple(info.y_shape), units.x_mean, units.x_std)

    def to_theta(self, x: ArrayLike | Tensor) -> Tensor:
        """Images x (..., C, ...) to vectors theta (..., D)."""
        images = np.asarray(x, np.float64)
        scaled = (images - self._each(self.mean)) / self._each(self.std)
        return torch.as_tensor(scaled.reshape(*scaled.shape[: -len(self.x)], -1), dtype=torch.float32)

    def to_x(self, theta: Tensor) -> NDArray[np.float32]:
        """Vectors theta (..., D) to images x (..., C, ...); inverse of :meth:`to_theta`."""
        images = theta.detach().cpu().double().numpy().reshape(*theta.shape[:-1], *self.x)
        return (images * self._each(self.std) + self._each(self.mean)).astype(np.float32)

    @property
    def log_volume(self) -> float:
        """Log |dx/dtheta|: add it to log p(x) for log p(theta)."""
        return math.prod(self.x[1:]) * sum(map(math.log, self.std))

    def _each(self, numbers: tuple[float, ...]) -> NDArray[np.float64]:
        return np.reshape(numbers, (-1, *(1,) * (len(self.x) - 1)))


@final
class SbiPosterior:
    """A posterior with the methods that sbi's diagnostics call, for vectors theta and x.

    ``run_sbc``, ``run_tarp`` and ``get_nltp`` take it where they ask for a posterior, ``run_sbc`` with
    ``reduce_fns=posterior.log_prob`` for expected coverage, ``check_sbc`` and ``LC2ST`` take what it draws.
    Seeds come from torch's global generator, as in sbi.

    Args:
        posterior: amortized posterior of images.
        shapes: between images and vectors; those of ``posterior.info`` and its standardiser by default.
        reduce: images (S, C, ...) in physical units to a few numbers each, (S, d), which are theta then:
            sbi ranks one number after the other, and 16384 cells take it long. There is no density then.
        batch_size: draws evaluated together.

    Example:
        >>> adapter = SbiPosterior(AmortizedPosterior.load("runs/demo/model"))  # doctest: +SKIP
        >>> thetas, xs = adapter.theta(images), adapter.flat_y(observations)  # doctest: +SKIP
        >>> ranks, dap = sbi.diagnostics.run_sbc(thetas, xs, adapter)  # doctest: +SKIP

    Source:
        Tejero-Cantero et al., sbi: a toolkit for simulation-based inference, JOSS 2020; sbi 0.27,
        sbi.utils.diagnostics_utils.get_posterior_samples_on_batch.
    """

    def __init__(
        self,
        posterior: Posterior,
        shapes: SbiShapes | None = None,
        *,
        reduce: Reduce | None = None,
        batch_size: int = 50,
    ) -> None:
        self.posterior, self.shapes = posterior, shapes or SbiShapes.of(posterior)
        self.default_x: Tensor | None = None
        self._reduce, self._batch_size = reduce, batch_size

    def theta(self, x: ArrayLike | Tensor) -> Tensor:
        """True images (n, C, ...), physical units, as sbi's thetas (n, D), or (n, d) if reduced.

        Raises:
            ValueError: If the images have another shape, or ``reduce`` returns something else than (n, d).
        """
        images = np.asarray(x, np.float32)
        if images.shape[1:] != self.shapes.x:
            raise ValueError(f"expected images (n, {', '.join(map(str, self.shapes.x))}), got {images.shape}")
        return self._thetas(images)

    def flat_y(self, y: ArrayLike | Tensor) -> Tensor:
        """Observations (n, K, ...), physical units, as sbi's xs (n, E).

        Raises:
            ValueError: If they have another shape.
        """
        images = torch.as_tensor(np.asarray(y, np.float32))
        if tuple(images.shape[1:]) != self.shapes.y:
            raise ValueError(
                f"expected observations (n, {', '.join(map(str, self.shapes.y))}), got {tuple(images.shape)}"
            )
        return images.flatten(1)

    def set_default_x(self, x: Tensor) -> SbiPosterior:
        """Take an observation (E,) or (1, E) for calls without one, as sbi does; returns itself."""
        self.default_x = x
        return self

    def sample(
        self, sample_shape: Sequence[int] = (), x: Tensor | None = None, show_progress_bars: bool = False
    ) -> Tensor:
        """Draw thetas (sample_shape, D) for one observation x (E,) or (1, E)."""
        shape = Size(sample_shape)
        return self._draw(math.prod(shape), self._one(x)).reshape(*shape, -1)

    def sample_batched(
        self, sample_shape: Sequence[int], x: Tensor, show_progress_bars: bool = False
    ) -> Tensor:
        """Draw thetas (sample_shape, n, D) for observations x (n, E)."""
        shape = Size(sample_shape)
        draws = [self._draw(math.prod(shape), self._image(one)) for one in x]
        return torch.stack(draws, dim=1).reshape(*shape, len(x), -1)

    def log_prob(self, theta: Tensor, x: Tensor | None = None) -> Tensor:
        """Log-density of thetas (n, D) or (D,) given one observation, in theta's units, (n,).

        Raises:
            ValueError: If thetas are reduced: they have no density then.
        """
        if self._reduce is not None:
            raise ValueError(
                "expected thetas that are whole images for a density, got a posterior with reduce"
            )
        density = self.posterior.log_prob(self.shapes.to_x(torch.atleast_2d(theta)), self._one(x))
        # To the end in float64: densities of images are of the order of their cells.
        return torch.as_tensor(density + self.shapes.log_volume)

    def log_prob_batched(self, theta: Tensor, x: Tensor) -> Tensor:
        """Log-density of thetas (S, n, D) given observations x (n, E), (S, n)."""
        return torch.stack([self.log_prob(theta[:, i], one) for i, one in enumerate(x)], dim=1)

    def potential(self, theta: Tensor, x: Tensor | None = None) -> Tensor:
        """Same as :meth:`log_prob`: the density is normalised."""
        return self.log_prob(theta, x)

    def _draw(self, count: int, y: NDArray[np.float32]) -> Tensor:
        seed = int(torch.randint(2**62, ()).item())
        return self._thetas(self.posterior.sample(count, y, seed=seed, batch_size=self._batch_size))

    def _thetas(self, images: NDArray[np.float32]) -> Tensor:
        if self._reduce is None:
            return self.shapes.to_theta(images)
        reduced = torch.as_tensor(np.asarray(self._reduce(images)), dtype=torch.float32)
        if reduced.ndim != 2 or len(reduced) != len(images):
            raise ValueError(
                f"expected reduce to give ({len(images)}, d) numbers, got {tuple(reduced.shape)}"
            )
        return reduced

    def _one(self, x: Tensor | None) -> NDArray[np.float32]:
        chosen = self.default_x if x is None else x
        if chosen is None:
            raise ValueError("expected an observation x, or one from set_default_x, got none")
        return self._image(chosen)

    def _image(self, x: Tensor) -> NDArray[np.float32]:
        if x.numel() != math.prod(self.shapes.y):
            raise ValueError(f"expected one observation of {self.shapes.y} values, got {tuple(x.shape)}")
        return x.detach().cpu().float().numpy().reshape(self.shapes.y)
