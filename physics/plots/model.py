"""An earth model, with the survey over it."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from physics.errors import GeometryError, check_velocity
from physics.plots.fields import Panel, draw_fields, in_km
from physics.plots.frame import Frame, Look
from physics.plots.style import RECEIVER, SOURCE, Width, styled

_LEGEND = 0.5
"""Height of the legend [cm]."""
_SOURCES: dict[str, Any] = {"marker": "*", "s": 26.0, "color": SOURCE, "edgecolor": "white", "linewidth": 0.3}
_RECEIVERS: dict[str, Any] = {
    "marker": "v",
    "s": 7.0,
    "color": RECEIVER,
    "edgecolor": "white",
    "linewidth": 0.2,
}


@styled
def plot_model(
    vp: ArrayLike,
    frame: Frame,
    *,
    sources: ArrayLike | None = None,
    receivers: ArrayLike | None = None,
    title: str = "",
    width: Width = "single",
) -> tuple[Figure, NDArray[Any]]:
    """Draw velocities, depth down, with sources as stars and receivers as triangles.

    A volume is drawn as three orthogonal slices through its middle, with the positions projected on them.

    Args:
        vp: Velocity (nx, nz) or (nx, ny, nz) [m/s].
        frame: Axes of the model.
        sources: Positions (nsrc, ndim) [m].
        receivers: Positions (nrec, ndim) [m], or (nsrc, nrec, ndim) if they move with the source.
        title: Above the model.
        width: One or two columns of a page.

    Returns:
        The figure and its axes: one, or those of the slices (x, z), (y, z), (x, y).

    Raises:
        ValueError: If the model or a position has other dimensions than the frame, or the velocities are not
            finite, not positive or look like km/s.
    """
    velocity = frame.check(vp, "a velocity model")
    check_velocity(velocity)
    field = in_km(velocity)
    marks = [
        (_points(receivers, frame, "receivers"), _RECEIVERS, "receiver"),
        (_points(sources, frame, "sources"), _SOURCES, "source"),
    ]
    shown = [(points, style, name) for points, style, name in marks if len(points)]
    panel = Panel(title, field, Look.velocity(field))
    figure, grid = draw_fields([panel], frame, width, legend=_LEGEND if shown else 0.0)
    axes = grid[0]
    pairs = [(0, 1)] if frame.ndim == 2 else [(0, 2), (1, 2), (0, 1)]
    for ax, (right, down) in zip(axes, pairs, strict=True):
        limits = ax.axis()
        for points, style, name in shown:
            places = points[:, [right, down]] / 1e3
            ax.scatter(*places.T, **style, label=_counted(len(points), name), clip_on=False, zorder=3)
        ax.axis(limits)
    if shown:
        figure.legend(*axes[0].get_legend_handles_labels(), loc="lower center", ncols=2, borderaxespad=0.2)
    return figure, axes


def _points(positions: ArrayLike | None, frame: Frame, name: str) -> NDArray[np.float64]:
    """Positions (n, ndim), each place once [m]."""
    if positions is None:
        return np.empty((0, frame.ndim))
    array = np.asarray(positions, dtype=np.float64)
    if array.ndim not in (2, 3) or array.shape[-1] != frame.ndim:
        raise GeometryError(
            f"expected {name} of shape (n, {frame.ndim}) for a {frame.ndim}-D model, got {array.shape}"
        )
    return np.unique(array.reshape(-1, frame.ndim), axis=0)


def _counted(count: int, name: str) -> str:
    return f"{count} {name}" + ("s" if count > 1 else "")
