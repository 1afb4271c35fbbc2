"""What a set of models, a wavelet and a sampling ask of the computation, decided once for all of them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from physics import errors
from physics.accuracy import points_per_wavelength, stable_time_step
from physics.model import Boundary, EarthModel, layer_cells
from physics.modelling import BULK, NEARLY_ALL, Numerics
from physics.wavelets import frequency_below

_ORDERS = (4, 6, 8, 10, 12, 16)
"""Orders of accuracy in space to choose from; more than the last pays less than a finer grid."""
_COPIES = 9
"""Fields of the padded grid that a migration holds, besides the kept background."""


@final
@dataclass(frozen=True)
class Plan:
    """Time step, orders, layer and thinning for all models within a range of velocities.

    Every model of a plan is computed with the same steps, so its records are samples of one discrete
    equation, its compiled code and its buffers are reused, and none of them can turn out unstable.

    Args:
        velocity: Smallest and largest velocity that any model may have [m/s].
        spacing: Grid spacing of each axis [m].
        dt: Sampling interval of the records [s].
        frequencies: Peak frequency of the wavelet, the one below which 90 % of its energy lies, and the one
            below which all of it lies (but for one millionth) [Hz].
        steps_per_sample: Computing steps per sample of the records.
        space_order: Order of accuracy in space.
        subsample: Every how many computing steps a background wavefield is kept.
        boundary: Kind of absorbing layer.
        nbl: Cells of the layer.

    Example:
        >>> plan = Plan.for_prior((1500.0, 4500.0), (12.5, 12.5), wavelet=ricker(15.0, 0.004, 251), dt=0.004)
        >>> model = plan.earth_model(vp)
        >>> J = BornOperator(model, survey, wavelet=w, numerics=plan.numerics)
    """

    velocity: tuple[float, float]
    spacing: tuple[float, ...]
    dt: float
    frequencies: tuple[float, float, float]
    steps_per_sample: int
    space_order: int
    subsample: int
    boundary: Boundary
    nbl: int

    @classmethod
    def for_prior(
        cls,
        velocity: tuple[float, float],
        spacing: tuple[float, ...],
        *,
        wavelet: ArrayLike,
        dt: float,
        boundary: Boundary = "matched",
        space_order: int | None = None,
    ) -> Plan:
        """The cheapest computation that carries the wavelet through all models within ``velocity``.

        The lowest order for which 90 % of the wavelet's energy has a phase error below 1 %; the longest
        stable step dt / k; the rarest kept wavefield that does not alias the wavelet.

        Args:
            velocity: Smallest and largest velocity that any model may have [m/s]: ``prior.vmin, prior.vmax``.
            spacing: Grid spacing of each axis [m].
            wavelet: Signature of the sources, sampled with ``dt``, shape (nt,).
            dt: Sampling interval of the records [s].
            boundary: Kind of absorbing layer.
            space_order: Order of accuracy in space; the lowest that carries the wavelet by default.

        Raises:
            ValueError: If the range is not one, or the grid is too coarse for the wavelet at any order.
        """
        errors.check_velocity(np.full((2, 2), velocity[0]))
        if not velocity[0] <= velocity[1] < math.inf:
            raise errors.PhysicsError(f"expected a range of velocities (min, max) in m/s, got {velocity}")
        signature = errors.check_wavelet(wavelet, len(np.asarray(wavelet)))
        frequencies = (
            _peak(signature, dt),
            frequency_below(signature, dt, BULK),
            frequency_below(signature, dt, NEARLY_ALL),
        )
        order = space_order or _order(velocity[0], max(spacing), frequencies[1])
        steps = math.ceil(dt / stable_time_step(order, spacing, velocity[1]))
        return cls(
            velocity=velocity,
            spacing=spacing,
            dt=dt,
            frequencies=frequencies,
            steps_per_sample=steps,
            space_order=order,
            subsample=max(1, math.floor(0.5 / (frequencies[2] * dt / steps))),
            boundary=boundary,
            nbl=layer_cells(boundary, order),
        )

    @property
    def numerics(self) -> Numerics:
        """What the operators take."""
        return Numerics(steps_per_sample=self.steps_per_sample, subsample=self.subsample)

    @property
    def computing_dt(self) -> float:
        """Computing step [s]."""
        return self.dt / self.steps_per_sample

    @property
    def _absorbing_velocity(self) -> float:
        """What the layer is tuned to [m/s]; chosen in the sweep of ``examples/benchmarks/boundaries.py``."""
        if self.boundary == "sponge":
            return math.sqrt(self.velocity[0] * self.velocity[1])
        return 1.1 * self.velocity[1]

    def earth_model(self, vp: NDArray[Any], **options: Any) -> EarthModel:
        """A model as the plan computes it; ``options`` are further arguments of `EarthModel`.

        Raises:
            ValueError: If a velocity is outside the plan's range, or as `EarthModel`.
        """
        model = EarthModel(
            vp,
            self.spacing,
            boundary=self.boundary,
            nbl=self.nbl,
            space_order=self.space_order,
            absorbing_velocity=self._absorbing_velocity,
            absorbing_frequency=self.frequencies[0] / 3.0,
            **options,
        )
        # Rounding of a prior's bounds to single precision is no departure.
        slack = 1e-6 * self.velocity[1]
        if model.vmin < self.velocity[0] - slack or model.vmax > self.velocity[1] + slack:
            raise errors.StabilityError(
                f"expected velocities within the plan's {self.velocity[0]:.5g} to {self.velocity[1]:.5g} "
                f"m/s, got {model.vmin:.5g} to {model.vmax:.5g} m/s: make the plan for the wider range"
            )
        return model

    def memory(self, shape: tuple[int, ...], nt: int) -> int:
        """Bytes that the migration of one shot holds, in single precision.

        Args:
            shape: Cells of the model.
            nt: Samples of a record.
        """
        cells = math.prod(n + 2 * self.nbl for n in shape)
        kept = ((nt - 1) * self.steps_per_sample + 1) // self.subsample + 1
        return 4 * cells * (kept + _COPIES + 6 * len(shape))

    def report(self, shape: tuple[int, ...] | None = None, nt: int | None = None) -> str:
        """The plan as a table, for people; with a shape and a record length also its memory."""
        points = self.velocity[0] / (max(self.spacing) * self.frequencies[1])
        share = self.computing_dt / stable_time_step(self.space_order, self.spacing, self.velocity[1])
        needed, kept = points_per_wavelength(self.space_order), 1e3 * self.subsample * self.computing_dt
        bands = "peak {:.1f} Hz, 90 % below {:.1f} Hz, all below {:.1f} Hz".format(*self.frequencies)
        rows = [
            ("velocities", f"{self.velocity[0]:.0f} to {self.velocity[1]:.0f} m/s"),
            ("wavelet", bands),
            ("points a wavelength", f"{points:.1f} at the slowest, 90 % frequency"),
            ("space order", f"{self.space_order} (needs {needed:.1f} points)"),
            ("records every", f"{1e3 * self.dt:.3g} ms"),
            ("computing step", f"{1e3 * self.computing_dt:.3g} ms, {share:.0%} of the limit"),
            ("wavefield kept every", f"{self.subsample} steps, {kept:.3g} ms"),
            ("absorbing layer", f"{self.boundary}, {self.nbl} cells"),
        ]
        if shape is not None and nt is not None:
            rows.append(("memory a process", f"{self.memory(shape, nt) / 1e6:.0f} MB for a migration"))
        width = max(len(name) for name, _ in rows)
        return "\n".join(f"{name:<{width}}  {text}" for name, text in rows)


def _peak(signature: NDArray[np.float64], dt: float) -> float:
    """Frequency of the largest amplitude [Hz]."""
    size = 8 * len(signature)
    spectrum = np.abs(np.fft.rfft(signature, size))
    return float(max(int(spectrum.argmax()), 1) / (size * dt))


def _order(vmin: float, spacing: float, frequency: float) -> int:
    """Lowest order that carries ``frequency``."""
    points = vmin / (spacing * frequency)
    for order in _ORDERS:
        if points >= points_per_wavelength(order):
            return order
    errors.check_dispersion(
        vmin,
        spacing,
        frequency=frequency,
        needed=points_per_wavelength(_ORDERS[-1]),
        order=_ORDERS[-1],
    )
    raise AssertionError("check_dispersion refuses fewer points")
