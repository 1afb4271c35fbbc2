"""A survey in a model: the computing time axis, the medium and the shots that every wave operator runs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from physics import errors
from physics.accuracy import points_per_wavelength
from physics.fields import Setting, Sizes
from physics.geometry import Acquisition
from physics.interpolation import REACH, Footprints, Interpolation, Kernel, footprints, kernel
from physics.model import EarthModel
from physics.propagators import Medium, Propagator, Shot, propagator
from physics.stencils.schemes import SCHEMES
from physics.time_axis import TimeAxis
from physics.wavelets import frequency_below

BULK = 0.9
"""Share of the wavelet's energy that the grid must carry."""
NEARLY_ALL = 1.0 - 1e-6
"""Share of the wavelet's energy that a kept wavefield must not alias: for a Ricker wavelet up to 3 f0."""


@final
@dataclass(frozen=True)
class Numerics:
    """How waves are computed, apart from the grid.

    Args:
        steps_per_sample: Computing steps per sample of the records; by default the smallest stable number for
            the model.
        subsample: Every how many computing steps a background wavefield is kept. 1 makes images the exact
            adjoint; more saves memory and time, and the image then differs by what the wavefields alias.
        correct_dispersion: Take the time dispersion of the scheme out of signatures and records. A record
            that is cut off while it is loud is wrong near its end: what is moved there comes from beyond it.
        interpolation: How positions between cells are read and fired: "sinc" (Kaiser windowed, 8 cells wide),
            "linear", which loses some percent of the amplitude at the shortest wavelengths, or "auto": the
            sinc, but for sources, or receivers, that all stand on cells, where the two are the same.

    Raises:
        ValueError: If a value is out of range.
    """

    steps_per_sample: int | None = None
    subsample: int = 1
    correct_dispersion: bool = True
    interpolation: Interpolation = "auto"

    def __post_init__(self) -> None:
        if self.steps_per_sample is not None and self.steps_per_sample < 1:
            raise errors.PhysicsError(f"expected steps_per_sample of at least 1, got {self.steps_per_sample}")
        if self.subsample < 1:
            raise errors.PhysicsError(f"expected subsample of at least 1 step, got {self.subsample}")
        if self.interpolation not in ("auto", *REACH):
            raise errors.PhysicsError(
                f"expected interpolation 'auto', 'linear' or 'sinc', got {self.interpolation!r}"
            )


@final
class Modelling:
    """A model and a survey that fit, and all that their shots have in common.

    Args:
        model: Earth model.
        survey: Sources, receivers and sampling.
        numerics: How waves are computed.

    Raises:
        ValueError: If positions are outside the model or the step is unstable.
    """

    def __init__(self, model: EarthModel, survey: Acquisition, numerics: Numerics) -> None:
        survey.check_inside(model.lower, model.upper)
        _check_surface(model, survey)
        self.model = model
        self.survey = survey
        self.numerics = numerics
        steps = numerics.steps_per_sample or math.ceil(survey.dt / model.critical_dt)
        self.dt = survey.dt / steps
        errors.check_time_step(self.dt, model.critical_dt, model.vmax)
        self._kernels = tuple(
            kernel(numerics.interpolation, self._cells(positions))
            for positions in (survey.sources, survey.receivers)
        )
        if numerics.correct_dispersion:
            errors.check_correction(survey.nt, steps)
        self.time = TimeAxis(survey.nt, steps, numerics.correct_dispersion, model.dtype)

    def check_wavelet(self, wavelet: ArrayLike) -> NDArray[np.float64]:
        """The wavelet, if it fits the records, the grid, and the wavefields that are kept."""
        array = errors.check_wavelet(wavelet, self.survey.nt)
        errors.check_dispersion(
            self.model.vmin,
            max(self.model.spacing),
            frequency=frequency_below(array, self.survey.dt, BULK),
            needed=points_per_wavelength(self.model.space_order),
            order=self.model.space_order,
        )
        highest = frequency_below(array, self.survey.dt, NEARLY_ALL)
        errors.check_subsample(self.numerics.subsample, self.dt, highest)
        return array

    def propagator(self, *, together: int = 1) -> Propagator:
        """The process's propagator for ``together`` sources a shot, shared by operators of one setting."""
        model = self.model
        padding = model.padding
        setting = Setting(
            equation=model.equation,
            spacing=model.spacing,
            space_order=model.space_order,
            dtype=model.dtype,
            boundary=model.boundary,
            layer=padding.layer if model.boundary == "matched" else 0,
            mirror=padding.mirror,
            source_reach=REACH[self._kernels[0]],
            receiver_reach=REACH[self._kernels[1]],
        )
        sizes = Sizes(
            padding.padded_shape,
            self.time.num_steps,
            together,
            self.survey.num_receivers,
            self.numerics.subsample,
        )
        return propagator(setting, sizes)

    @cached_property
    def medium(self) -> Medium:
        """The model's coefficients."""
        return Medium(SCHEMES[self.model.equation].coefficients(self.model, self.dt))

    def shots(self, signatures: Sequence[NDArray[np.float64]], *, slots: bool = False) -> list[Shot]:
        """One shot a source; signatures (nt,) of each. With ``slots``, each keeps its own wavefield."""
        return [
            self._shot(index, slice(index, index + 1), signature[None], slot=index if slots else 0)
            for index, signature in enumerate(signatures)
        ]

    def supershots(self, signatures: NDArray[np.float64], *, slots: bool = False) -> list[Shot]:
        """Shots in which all sources fire; signatures (nshots, nsrc, nt).

        Raises:
            GeometryError: If receivers move with the source or some are dead: no spread records all sources.
        """
        if self.survey.moves or self.survey.live is not None:
            raise errors.GeometryError(
                "expected receivers that record every source for simultaneous sources, "
                "got receivers that move with the source or dead traces"
            )
        return [
            self._shot(0, slice(None), signature, slot=index if slots else 0)
            for index, signature in enumerate(signatures)
        ]

    def _shot(self, index: int, sources: slice, signatures: NDArray[np.float64], *, slot: int) -> Shot:
        """The sources of a slice, with signatures (n, nt), into the receivers of shot ``index``."""
        return Shot(
            self.medium,
            self._footprints(self.survey.sources[sources], self._kernels[0]),
            self._footprints(self.survey.receivers_of(index), self._kernels[1]),
            np.ascontiguousarray(self.time.refine(signatures).T),
            slot=slot,
        )

    def _cells(self, positions: NDArray[np.float64]) -> NDArray[np.float64]:
        """Positions [m] in cells from the first of the padded grid."""
        return (positions - self.model.lower) / self.model.spacing + self.model.padding.lower

    def _footprints(self, positions: NDArray[np.float64], kind: Kernel) -> Footprints:
        padding = self.model.padding
        return footprints(self._cells(positions), padding.padded_shape, kind=kind, mirror=padding.mirror)

    def perturbation(self, dm: NDArray[np.float64]) -> NDArray[np.float64]:
        """A perturbation of m as the schemes take it: times the buoyancy, over dt^2, on the padded grid."""
        return self.model.padding.pad(dm * self.model.buoyancy / self.dt**2)

    def image(self, padded: NDArray[Any]) -> NDArray[Any]:
        """What the schemes sum up over the kept steps as an image of the model: adjoint of `perturbation`."""
        scale = self.numerics.subsample / self.dt**2
        image = scale * self.model.buoyancy * self.model.padding.pad_adjoint(padded)
        return image.astype(self.model.dtype)

    def sample(self, index: int, steps: NDArray[Any]) -> NDArray[Any]:
        """Samples (nt, nrec) of what shot ``index`` recorded at the computing steps; dead traces are zero."""
        samples = self.time.sample(steps)
        return samples if self.survey.live is None else samples * self.survey.live[index]

    def sample_adjoint(self, index: int, samples: NDArray[Any]) -> NDArray[Any]:
        """Adjoint of `sample`."""
        live = samples if self.survey.live is None else samples * self.survey.live[index]
        return self.time.sample_adjoint(live)


def _check_surface(model: EarthModel, survey: Acquisition) -> None:
    """Refuse sources and receivers on a free surface: the pressure there is zero."""
    if not model.free_surface:
        return
    for name, positions in (("sources", survey.sources), ("receivers", survey.receivers)):
        on = np.flatnonzero((positions[..., -1] <= model.lower[-1] + 1e-6).ravel())
        if on.size:
            raise errors.GeometryError(
                f"expected {name} below the free surface at {model.lower[-1]:g} m, where the pressure is "
                f"zero, got {on.size} on it, the first at index {on[0]}"
            )
