"""Differential entropy of every cell: a width that also holds for skewed and two-peaked posteriors."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from posterior.uq.checks import Array, as_samples

# Values sorted in double precision at once.
_BLOCK = 1 << 22


def entropy(samples: ArrayLike, *, spacing: int = 3) -> Array:
    r"""Differential entropy ``-E log p(x)`` per cell, from gaps between sorted draws, in nats.

    .. math:: \hat H = \frac{1}{S - m} \sum_{i=1}^{S-m} \log(x_{(i+m)} - x_{(i)}) + \sum_{k=m}^{S} \frac{1}{k}

    The sum over k is what the logarithm of a gap of m among S uniform draws is below 0 on average: there the
    estimate is unbiased at every S and m. Elsewhere the density varies over a gap, and the tails have no gap
    of their own. Bias and standard deviation as measured, in nats, with the default gap of 3 (a gap of 10 at
    200 draws has twice the bias and no smaller deviation):

    =====  ============  ==============  ==============  ===================
    draws  uniform       Gaussian        exponential     two peaks, 5 std
    =====  ============  ==============  ==============  ===================
    50     0.000, 0.062  -0.113, 0.116   -0.066, 0.153   -0.062, 0.103
    100    0.000, 0.040  -0.072, 0.081   -0.041, 0.107   -0.048, 0.074
    200    0.000, 0.027  -0.042, 0.056   -0.026, 0.076   -0.034, 0.052
    1000   0.000, 0.012  -0.013, 0.025   -0.008, 0.034   -0.012, 0.023
    =====  ============  ==============  ==============  ===================

    Args:
        samples: Posterior draws, (S, ...), S >= 4.
        spacing: The gap m in draws, 1 to S - 1. Larger ones vary a little less and smear more.

    Returns:
        Entropy, (...); x in another unit changes it by the logarithm of the factor. Minus infinity where
        m + 1 draws are the same.

    Raises:
        ValueError: With too few draws or a gap out of range.

    Source: Vasicek, JRSS B 38 (1976); gaps without those beyond the ends and their bias: Beirlant, Dudewicz,
        Györfi and van der Meulen, Int. J. Math. Stat. Sci. 6 (1997), section 2.2.

    Example:
        >>> float(entropy(np.arange(10.0), spacing=1).round(3))
        2.929
    """
    draws = as_samples(samples, least=4)
    count = len(draws)
    if not 1 <= spacing < count:
        raise ValueError(f"expected a spacing of 1 to {count - 1} draws, got {spacing}")
    flat = draws.reshape(count, -1)
    found, step = np.empty(flat.shape[1]), max(1, _BLOCK // count)
    for start in range(0, found.size, step):
        ordered = np.sort(flat[:, start : start + step].astype(np.float64), axis=0)
        width = ordered[spacing:] - ordered[:-spacing]
        logs = np.log(width, out=np.full(width.shape, -np.inf), where=width > 0.0)
        found[start : start + step] = logs.mean(axis=0)
    return found.reshape(draws.shape[1:]) + float((1.0 / np.arange(spacing, count + 1)).sum())


def entropy_std(entropies: ArrayLike) -> Array:
    r"""Standard deviation of the Gaussian with the same entropy, :math:`e^H / \sqrt{2 \pi e}`, in units of x.

    At most the std of the draws, and equal to it for a Gaussian only: of two narrow peaks, or of a peak with
    a few far draws, it says how narrow they are.

    Args:
        entropies: Entropy in nats, (...).

    Source: Shannon, Bell System Technical Journal 27 (1948), section 21 (entropy power).
    """
    return np.exp(np.asarray(entropies, dtype=np.float64)) / np.sqrt(2.0 * np.pi * np.e)
