"""A crooked 2-D line as a survey on a straight axis."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from physics.errors import GeometryError
from physics.geometry import Acquisition


@final
@dataclass(frozen=True, eq=False)
class StraightLine:
    """A crooked line projected on the axis that fits it best, and what this costs."""

    survey: Acquisition
    """The 2-D survey; its x counts from the foremost position along the axis [m]."""
    start: NDArray[np.float64]
    """Horizontal position (x, y) where the axis has its zero [m]."""
    direction: NDArray[np.float64]
    """Unit vector (x, y) of the axis, from the first towards the last source, or +x if these coincide."""
    misfit: float
    """Largest distance of a source or receiver from the axis [m]."""
    offset_error: float
    """Largest loss of offset by the projection [m]."""


def straighten(survey: Acquisition) -> StraightLine:
    """Project a 3-D survey on a straight horizontal axis: total least squares over all positions.

    Depths stay. A misfit that is not small against the shortest wavelength calls for a 3-D model.

    Args:
        survey: Survey in 3-D.

    Returns:
        The 2-D survey, the axis, the largest misfit and the largest change of offset.

    Raises:
        GeometryError: If the survey is not in 3-D, or two live receivers of a shot fall on one point.

    Example:
        >>> line = straighten(read_survey("line.segy"))
        >>> print(f"at most {line.misfit:.0f} m off the axis")
    """
    if survey.ndim != 3:
        raise GeometryError(f"expected a survey in 3-D to straighten, got one in {survey.ndim}-D")
    places = np.unique(np.vstack([survey.sources, survey.receivers.reshape(-1, 3)])[:, :2], axis=0)
    middle = places.mean(axis=0)
    direction = np.linalg.svd(places - middle, full_matrices=False)[2][0]
    advance = (survey.sources[-1, :2] - survey.sources[0, :2]) @ direction
    # One source, or a line that ends where it began, says nothing: then along +x.
    if advance < 0.0 or (advance == 0.0 and direction[0] < 0.0):
        direction = -direction
    start = middle + (np.min((places - middle) @ direction)) * direction
    normal = np.array([-direction[1], direction[0]])
    flat = Acquisition(
        _project(survey.sources, start, direction),
        _project(survey.receivers, start, direction),
        survey.dt,
        survey.nt,
        survey.live,
    )
    lost = survey.distances(horizontal=True) - flat.distances(horizontal=True)
    return StraightLine(
        survey=flat,
        start=start,
        direction=direction,
        misfit=float(np.abs((places - start) @ normal).max()),
        offset_error=float(np.abs(lost).max()),
    )


def _project(
    positions: NDArray[np.float64], start: NDArray[np.float64], direction: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Positions (..., 3) as (distance along the axis, depth)."""
    return np.stack([(positions[..., :2] - start) @ direction, positions[..., 2]], axis=-1)
