"""What of a pair's draws goes into a file: mean, std, quantiles, some draws; names and units of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from posterior import uq
from posterior.sample_files import PairSamples

DEFAULT_QUANTILES = (0.05, 0.5, 0.95)


def summaries(
    pair: PairSamples, quantiles: Sequence[float] = DEFAULT_QUANTILES
) -> dict[str, NDArray[np.float32]]:
    """Mean, standard deviation and quantiles of a pair's draws, by name.

    Args:
        pair: The draws.
        quantiles: Their probabilities; may be none.

    Returns:
        ``mean``, ``std``, and such as ``p05`` and ``p97.5``, each (C, ...), in the draws' unit.

    Raises:
        ValueError: If there are too few draws, or draws that are not finite.
    """
    found = {"mean": uq.mean(pair.samples), "std": uq.std(pair.samples)}
    if len(quantiles):
        values = uq.quantiles(pair.samples, quantiles)
        found |= {quantile_name(p): value for p, value in zip(quantiles, values, strict=True)}
    return {name: value.astype(np.float32) for name, value in found.items()}


def quantile_name(probability: float) -> str:
    """Name of a quantile by its percentage: p05, p50, p97.5."""
    percentage = f"{100.0 * probability:.10g}"
    whole = percentage.partition(".")[0]
    return "p" + "0" * (2 - len(whole)) + percentage


def checked_units(pair: PairSamples) -> tuple[str, ...]:
    """The unit of each channel, which other tools must be told.

    Raises:
        ValueError: If not each channel has a name and a unit.
    """
    channels = pair.samples.shape[1]
    if (
        len(pair.units) != channels
        or len(pair.channels) != channels
        or not all((*pair.units, *pair.channels))
    ):
        raise ValueError(
            f"expected a name and a unit for each of {channels} channels, got names {pair.channels} and "
            f"units {pair.units}"
        )
    return pair.units
