"""What the variational methods share: a map is fitted, and what came of it is judged."""

from __future__ import annotations

from posterior.refine.descent import Descent
from posterior.refine.laws import TransportLaw
from posterior.refine.method import Found
from posterior.refine.run import Run
from posterior.refine.transport import Transport
from posterior.refine.verdict import distance_doubts, distance_from_start, falling_doubts


def fit_transport(run: Run, transport: Transport, title: str) -> Found:
    """Fit a map to a run's target.

    Args:
        run: The run.
        transport: The map; trained in place.
        title: What the progress bar says.

    Returns:
        Its law; how fast the loss still falls and how far the map went, with the doubts that follow.
    """
    base = run.target.base
    descent = Descent(run, transport)
    descent.minimise(title)
    falling, numbers = descent.still_falling, distance_from_start(transport, base, run.config.seed)
    return Found(
        TransportLaw(transport, base.shape, base.device),
        numbers | {"still_falling": falling},
        [*falling_doubts(falling), *distance_doubts(numbers, base)],
        descent.history,
    )
