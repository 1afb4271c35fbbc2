"""Posterior predictive checks: do the draws explain the data, to within the noise and not better."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist
from typing import final

import numpy as np
from numpy.typing import ArrayLike

from posterior.uq.checks import Array, as_mask, as_samples, as_truth
from posterior.uq.sbc import ks_uniform


def chi_square_cdf(value: ArrayLike, degrees: int) -> Array:
    """Distribution function of the chi-square distribution, by the cube-root normal law.

    ``Phi(((x / n)^(1/3) - 1 + 2 / (9 n)) / sqrt(2 / (9 n)))``, good to 0.002 from 10 degrees on.

    Args:
        value: Values x >= 0, any shape.
        degrees: Degrees of freedom n.

    Source: Wilson and Hilferty, PNAS 17 (1931).
    """
    spread = 2.0 / (9.0 * degrees)
    score = (np.cbrt(np.asarray(value, dtype=np.float64) / degrees) - 1.0 + spread) / np.sqrt(spread)
    return np.vectorize(NormalDist().cdf, otypes=[np.float64])(score)


@final
@dataclass(frozen=True)
class PredictiveCheck:
    """How the draws of one posterior explain the data they were inferred from."""

    chi_square: Array
    """``sum ((F(x^s) - d) / sigma)^2 / n`` of each draw, (S,); about 1 for a right posterior."""
    chi_square_mean: float
    """The same of the mean prediction; below 1, as the mean takes up some of the noise."""
    snr_db: Array
    """Residual SNR ``20 log10(|d| / |F(x^s) - d|)`` of each draw [dB], (S,)."""
    residual: Array
    """Mean residual ``(d - mean_s F(x^s)) / sigma``, (*data): structure in it was missed."""
    num_data: int
    """Data that count, n."""

    @property
    def p_value(self) -> float:
        """Probability of data that fit worse, ``mean_s P(chi2_n >= n chi_square_s)``.

        Near 0: the draws do not explain the data; near 1: they fit the noise. Not uniform over surveys but
        drawn to 1/2 (conservative); for a test over surveys see :func:`predictive_test`.

        Source: Gelman, Meng and Stern, Statistica Sinica 6 (1996).
        """
        return float(1.0 - chi_square_cdf(self.num_data * self.chi_square, self.num_data).mean())


@final
class Predictive:
    """Streams predicted data of posterior draws; keeps a few numbers a draw and one data set.

    Args:
        observed: Observed data d, (*data).
        noise_std: Standard deviation sigma of the noise, in units of the data, a number or (*data).
        where: Data that count, (*data); all by default.

    Example:
        >>> check = Predictive(np.zeros(4), 2.0)
        >>> check.update(np.full((3, 4), 2.0))
        >>> check.result().chi_square.tolist()
        [1.0, 1.0, 1.0]
    """

    def __init__(self, observed: ArrayLike, noise_std: ArrayLike, where: ArrayLike | None = None) -> None:
        self._observed = as_truth(observed, np.shape(observed)).astype(np.float64)
        self._mask = as_mask(where, self._observed.shape)
        noise = np.asarray(noise_std, dtype=np.float64)
        if noise.shape not in ((), self._observed.shape) or not (np.isfinite(noise) & (noise > 0.0)).all():
            raise ValueError(
                f"expected a positive noise_std, a number or {self._observed.shape}, got shape {noise.shape}"
            )
        self._noise = np.broadcast_to(noise, self._observed.shape)
        self._chi_square: list[Array] = []
        self._misfit: list[Array] = []
        self._sum = np.zeros(self._observed.shape)

    def update(self, predicted: ArrayLike) -> None:
        """Take in noise-free predictions F(x^s) of further draws, (s, *data)."""
        data = as_samples(predicted, least=1)
        if data.shape[1:] != self._observed.shape:
            raise ValueError(f"expected predictions (s, *{self._observed.shape}), got {data.shape}")
        residual = data[:, self._mask] - self._observed[self._mask]
        self._chi_square.append(((residual / self._noise[self._mask]) ** 2).mean(axis=1))
        self._misfit.append((residual**2).sum(axis=1))
        self._sum = self._sum + data.sum(axis=0, dtype=np.float64)

    def result(self) -> PredictiveCheck:
        """The check over the draws so far."""
        if not self._chi_square:
            raise ValueError("expected at least 1 prediction, got 0")
        chi_square = np.concatenate(self._chi_square)
        residual = (self._observed - self._sum / len(chi_square)) / self._noise
        signal, misfit = (self._observed[self._mask] ** 2).sum(), np.concatenate(self._misfit)
        floor = np.finfo(np.float64).tiny
        return PredictiveCheck(
            chi_square=chi_square,
            chi_square_mean=float((residual[self._mask] ** 2).mean()),
            snr_db=10.0 * (np.log10(np.maximum(signal, floor)) - np.log10(np.maximum(misfit, floor))),
            residual=residual,
            num_data=int(self._mask.sum()),
        )


def predictive_test(chi_square: ArrayLike, num_data: int) -> tuple[Array, float]:
    """Test over surveys that one draw of each fits its data as the truth would.

    A truth and a draw are exchangeable given the data, so over surveys ``n chi_square`` of a single draw has
    the law of the noise: chi-square with n degrees of freedom. Feels only what the data see: an error in the
    null space of F goes unnoticed.

    Args:
        chi_square: Chi-square over n of one draw from each of P independent surveys, (P,).
        num_data: Number of data n, with independent Gaussian noise of the std assumed.

    Returns:
        Values (P,), uniform on [0, 1] for right posteriors, and the p-value of their Kolmogorov-Smirnov test.
    """
    values = as_samples(chi_square, least=1)
    if values.ndim != 1 or (values < 0.0).any():
        raise ValueError(f"expected values >= 0 of shape (P,), got shape {values.shape}")
    uniform = chi_square_cdf(num_data * values, num_data)
    return uniform, ks_uniform(uniform)[1]
