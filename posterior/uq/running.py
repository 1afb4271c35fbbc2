"""How many draws does a posterior mean need: the SNR of the running mean."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from posterior.uq.checks import Array, as_mask, as_samples, as_truth


def running_snr_db(samples: ArrayLike, truth: ArrayLike, where: ArrayLike | None = None) -> Array:
    """SNR of the mean of the first n draws, ``20 log10(|x*| / |x* - mean_(s <= n) x^s|)`` [dB], n = 1 .. S.

    For a right posterior the squared error falls as ``1 + 1/n``: from one draw to very many the SNR of the
    mean rises by 3.0 dB on average, and by 0.04 dB from 100 draws on.

    Args:
        samples: Posterior draws, (S, ...).
        truth: True values, (...).
        where: Cells that count, (...); all by default.

    Returns:
        SNR [dB], (S,).

    Raises:
        ValueError: If the truth vanishes on the cells that count.
    """
    draws = as_samples(samples, least=1)
    target = as_truth(truth, draws.shape[1:])
    mask = as_mask(where, target.shape)
    true = target[mask].astype(np.float64)
    signal = float(true @ true)
    if signal == 0.0:
        raise ValueError(
            "expected a truth that does not vanish for an SNR, got zeros on all cells that count"
        )
    total, noise = np.zeros(true.shape), np.zeros(len(draws))
    for n, draw in enumerate(draws, start=1):
        total += draw[mask]
        noise[n - 1] = ((total / n - true) ** 2).sum()
    with np.errstate(divide="ignore"):
        return 10.0 * np.log10(signal / noise)
