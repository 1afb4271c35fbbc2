"""Scores of a survey that need its records: the noise in them, and how a posterior explains them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from posterior import uq

Array = NDArray[Any]


def before_first(offsets: ArrayLike, times: ArrayLike, *, velocity: float, onset: float = 0.0) -> Array:
    r"""Samples in which no wave can have arrived, ``t < r / v + onset``.

    Args:
        offsets: Distance r from source to receiver, (shots, receivers) [m].
        times: Times of the samples, (nt,) [s].
        velocity: The highest velocity v that waves may have met on the way [m/s]; one too high only leaves
            fewer samples.
        onset: Time at which the source wakes [s].

    Returns:
        Booleans (shots, nt, receivers).

    Raises:
        ValueError: If the velocity is not positive.
    """
    if not velocity > 0.0:
        raise ValueError(f"expected a positive velocity in m/s, got {velocity}")
    first = np.asarray(offsets, dtype=np.float64) / velocity + onset
    return np.asarray(times, dtype=np.float64)[None, :, None] < first[:, None, :]


def noise_level(records: ArrayLike, quiet: ArrayLike, noise_std: ArrayLike) -> float:
    r"""How far the noise before the first arrivals is from what the network was trained with.

    .. math:: \Big| \log \operatorname{rms}_{quiet} \frac{d}{\sigma} \Big|

    Near 0 for noise as stated; log 2 = 0.69 for twice, and for half of it. It needs no network and no
    modelling, and tells noise from foreign structure. Noise that comes with the shot, such as surface waves,
    it does not see. Hand it to :meth:`posterior.diagnosis.watch.Watch.fit` and ``verdict`` as ``extra``.

    Args:
        records: Observed records d, any shape.
        quiet: Booleans of the same shape: samples that hold noise alone, such as :func:`before_first` finds.
        noise_std: Standard deviation of the noise stated for the training, one that broadcasts to the shape.

    Raises:
        ValueError: If shapes differ, no sample is quiet, or a std is not positive.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> round(noise_level(0.2 * rng.standard_normal((8, 100, 9)), np.ones((8, 100, 9), bool), 0.1), 1)
        0.7
    """
    d, where = np.asarray(records, dtype=np.float64), np.asarray(quiet, dtype=bool)
    if where.shape != d.shape or not where.any():
        raise ValueError(
            f"expected quiet samples among records {d.shape}, got {int(where.sum())} of {where.shape}"
        )
    std = np.broadcast_to(np.asarray(noise_std, dtype=np.float64), d.shape)[where]
    if not (std > 0.0).all():
        raise ValueError("expected positive noise_std, got values that are not")
    with np.errstate(divide="ignore"):  # no noise at all: an infinite score, an alarm
        return float(abs(0.5 * np.log(np.mean((d[where] / std) ** 2))))


def data_chi_square(
    draws: ArrayLike,
    predict: Callable[[Array], ArrayLike],
    observed: ArrayLike,
    noise_std: ArrayLike,
    *,
    predicted: int = 4,
) -> float:
    r"""Misfit of the data by the posterior mean over what the posterior itself expects it to be.

    .. math:: \frac{\chi^2(\bar x)}{1 + (1 + 1/S) v}, \quad \chi^2(x) = \frac1n \sum \Big(
        \frac{F(x) - d}{\sigma} \Big)^2, \quad v = \frac{S}{S - 1} \operatorname{mean}_s \frac1n \sum \Big(
        \frac{F(x^s) - F(\bar x)}{\sigma} \Big)^2

    About 1 for a right posterior and linear F; stronger noise than trained for, or structure that the network
    does not explain, raises it. Hand it to
    :meth:`posterior.diagnosis.watch.Watch.fit` and ``verdict`` as ``extra``.

    Args:
        draws: Posterior draws of the survey, (S, ...).
        predict: Modelling F, images (n, ...) to noise-free data (n, *data), such as a Born operator.
        observed: Observed data d, (*data).
        noise_std: Standard deviation of the noise that the network was trained with, a number or (*data).
        predicted: Draws whose data are modelled for v.
    """
    images = uq.mean(draws), *np.asarray(draws)[:predicted]
    data = np.asarray(predict(np.stack(images)))
    check, spread = uq.Predictive(observed, noise_std), uq.Predictive(data[0], noise_std)
    check.update(data[:1])
    spread.update(data[1:])
    count = len(np.asarray(draws))
    v = float(spread.result().chi_square.mean()) * count / (count - 1)
    return check.result().chi_square_mean / (1.0 + (1.0 + 1.0 / count) * v)
