"""Wave modelling over a survey as linear operators: F in the source signatures, J in the earth model."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from physics import errors, stencils
from physics.accuracy import points_per_wavelength
from physics.algebra import Adjoint, Composition, LinearOperator, dot_test
from physics.geometry import Acquisition
from physics.model import EarthModel
from physics.operators import Setting
from physics.propagators import Medium, Propagator, Shot, propagator
from physics.wavelets import frequency_below, interpolate, interpolate_adjoint

__all__ = [
    "Adjoint",
    "BornOperator",
    "Composition",
    "ForwardOperator",
    "LinearOperator",
    "dot_test",
]

_BULK = 0.9
"""Share of the wavelet's energy that the grid must carry."""
_NEARLY_ALL = 1.0 - 1e-6
"""Share of the wavelet's energy that a kept wavefield must not alias: for a Ricker wavelet up to 3 f0."""


class _Plan:
    """What F and J share: a model and a survey that fit, the computing time axis, and the propagator."""

    def __init__(
        self, model: EarthModel, survey: Acquisition, *, steps_per_sample: int | None, subsample: int
    ) -> None:
        survey.check_inside(model.lower, model.upper)
        self.model = model
        self.survey = survey
        self.steps = self._steps(steps_per_sample)
        self.dt = survey.dt / self.steps
        errors.check_time_step(self.dt, model.critical_dt, model.vmax)
        self._subsample = subsample

    def _steps(self, given: int | None) -> int:
        if given is None:
            return math.ceil(self.survey.dt / self.model.critical_dt)
        if given < 1:
            raise errors.PhysicsError(f"expected steps_per_sample of at least 1, got {given}")
        return given

    def check_wavelet(self, wavelet: ArrayLike) -> NDArray[np.float64]:
        """The wavelet, if it fits the records and the grid."""
        array = errors.check_wavelet(wavelet, self.survey.nt)
        errors.check_dispersion(
            self.model.vmin,
            max(self.model.spacing),
            frequency=frequency_below(array, self.survey.dt, _BULK),
            needed=points_per_wavelength(self.model.space_order),
            order=self.model.space_order,
        )
        return array

    def propagator(self) -> Propagator:
        """The process's propagator for this setting; shared with every operator of the same setting."""
        model = self.model
        return propagator(
            Setting(model.spacing, model.space_order, model.dtype),
            model.padded_shape,
            num_steps=(self.survey.nt - 1) * self.steps + 1,
            num_receivers=self.survey.num_receivers,
            subsample=self._subsample,
        )

    def shots(self, signature: NDArray[np.float64], *, slots: bool) -> list[Shot]:
        """A shot for each source, all with the same signature (nt,); with ``slots``, each in its own slot."""
        medium = Medium(*stencils.coefficients(self.model.pad(self.model.m), self.model.damping, self.dt))
        corner = np.array(self.model.lower) - self.model.nbl * np.array(self.model.spacing)
        receivers = self.survey.receivers - corner
        fine = interpolate(signature, self.steps)
        return [
            Shot(medium, source - corner, receivers, fine, slot=index if slots else 0)
            for index, source in enumerate(self.survey.sources)
        ]

    def sample(self, record: NDArray[Any]) -> NDArray[Any]:
        """Decimate computed steps to the samples of the records (the wavefield is band-limited)."""
        return record[:: self.steps]

    def spread(self, samples: NDArray[Any]) -> NDArray[Any]:
        """Adjoint of `sample`: zeros between the samples."""
        steps = np.zeros(((self.survey.nt - 1) * self.steps + 1, samples.shape[1]), dtype=samples.dtype)
        steps[:: self.steps] = samples
        return steps


class ForwardOperator(LinearOperator):
    r"""Acoustic modelling F(m), linear in the source signatures q.

    .. math:: m u_{tt} + \eta u_t - \nabla^2 u = P_s^T q, \qquad d = P_r u

    A source of signature q is the density h_x h_z q(t) delta(x - x_s): its amplitude does not depend on the
    time step.

    Args:
        model: Earth model m.
        survey: Sources, receivers and sampling.
        steps_per_sample: Computing steps per sample of the records; by default the smallest stable number.

    Shapes:
        q: (nsrc, nt), d: (nsrc, nt, nrec). `forward` also takes one wavelet (nt,) for all sources; a wavelet
        is checked: it must start at zero and be long enough for the grid. Signatures (nsrc, nt) are taken as
        they are.

    Raises:
        ValueError: If positions are outside the model, the step is unstable, or an array does not fit.

    Example:
        >>> F = ForwardOperator(model, survey)
        >>> d = F.forward(ricker(f0=15.0, dt=survey.dt, nt=survey.nt))
    """

    def __init__(
        self, model: EarthModel, survey: Acquisition, *, steps_per_sample: int | None = None
    ) -> None:
        super().__init__((survey.num_sources, survey.nt), survey.record_shape, model.dtype)
        self._plan = _Plan(model, survey, steps_per_sample=steps_per_sample, subsample=1)
        self._shots = self._plan.shots(np.zeros(survey.nt), slots=False)

    def forward(self, x: ArrayLike, /) -> NDArray[Any]:
        """Records (nsrc, nt, nrec) of signatures (nsrc, nt), or of one wavelet (nt,) for all sources."""
        if np.ndim(x) == 1:
            x = np.broadcast_to(self._plan.check_wavelet(x), self.domain_shape)
        signatures = errors.as_array(x, self.domain_shape, "source signatures", np.float64)
        records = np.empty(self.range_shape, self.dtype)
        runner = self._plan.propagator()
        for index, (shot, q) in enumerate(zip(self._shots, signatures, strict=True)):
            record = runner.forward(replace(shot, signature=interpolate(q, self._plan.steps)))
            records[index] = self._plan.sample(record)
            errors.check_result(records[index], f"record of shot {index}")
        return records

    def adjoint(self, y: ArrayLike, /) -> NDArray[Any]:
        """Signatures (nsrc, nt) of records (nsrc, nt, nrec): back-propagated to the sources."""
        records = errors.as_array(y, self.range_shape, "records", self.dtype)
        signatures = np.empty(self.domain_shape, self.dtype)
        runner = self._plan.propagator()
        for index, (shot, record) in enumerate(zip(self._shots, records, strict=True)):
            fine = runner.adjoint(shot, self._plan.spread(record))
            signatures[index] = interpolate_adjoint(fine.astype(np.float64), self._plan.steps)
            errors.check_result(signatures[index], f"source signature of shot {index}")
        return signatures


class BornOperator(LinearOperator):
    r"""Born modelling J(m0), the derivative of F at m0; its adjoint is reverse-time migration.

    .. math:: m_0 \delta u_{tt} + \eta \delta u_t - \nabla^2 \delta u = -\delta m \, u_{tt}, \qquad
              J \delta m = P_r \delta u

    .. math:: J^T d = -R^T \sum_n u^n v^n_{tt}

    with the back-propagated record v, and the sum R^T of the absorbing layer into the edge cells that it
    replicates.

    Args:
        model: Background m0.
        survey: Sources, receivers and sampling.
        wavelet: Signature of every source, shape (nt,), sampled like the records.
        subsample: Every how many computed steps the background enters the image. 1 is the exact adjoint; more
            is the adjoint up to aliasing, below 1e-4 for records that are quiet at their end; it saves memory
            and a third of the time. A record cut off amid strong waves is not band-limited: taper it.
        keep_wavefields: Keep every shot's background from `forward` for the next `adjoint`, and from one
            adjoint to the next: three propagations a shot instead of four. The store is shared by all
            operators of the setting and stays allocated; it takes nsrc * steps / subsample * padded cells
            values, 120 MB for 8 shots of 715 / 4 steps on 144 x 144 cells.
        steps_per_sample: Computing steps per sample of the records; by default the smallest stable number.

    Shapes:
        dm: shape of the model [s^2/m^2]. d: (nsrc, nt, nrec).

    Raises:
        ValueError: If positions are outside the model, the step is unstable, the grid or the subsampling too
            coarse for the wavelet, or an array does not fit.

    Source:
        Tarantola, Geophysics 49, 1984; Plessix, A review of the adjoint-state method, Geophys. J. Int. 167,
        2006.

    Example:
        >>> J = BornOperator(m0, survey, wavelet=ricker(f0=15.0, dt=0.004, nt=376))
        >>> rtm = J.adjoint(J.forward(dm))
    """

    def __init__(
        self,
        model: EarthModel,
        survey: Acquisition,
        *,
        wavelet: ArrayLike,
        subsample: int = 1,
        keep_wavefields: bool = False,
        steps_per_sample: int | None = None,
    ) -> None:
        super().__init__(model.shape, survey.record_shape, model.dtype)
        self._plan = _Plan(model, survey, steps_per_sample=steps_per_sample, subsample=subsample)
        signature = self._plan.check_wavelet(wavelet)
        errors.check_subsample(subsample, self._plan.dt, frequency_below(signature, survey.dt, _NEARLY_ALL))
        self._subsample = subsample
        self._keep = keep_wavefields
        self._shots = self._plan.shots(signature, slots=keep_wavefields)

    def forward(self, x: ArrayLike, /) -> NDArray[Any]:
        """J dm: scattered records (nsrc, nt, nrec) of a perturbation of the squared slowness [s^2/m^2]."""
        dm = errors.as_array(x, self.domain_shape, "dm", np.float64)
        scaled = self._plan.model.pad(dm / self._plan.dt**2)
        records = np.empty(self.range_shape, self.dtype)
        runner = self._plan.propagator()
        for index, shot in enumerate(self._shots):
            records[index] = self._plan.sample(runner.born(shot, scaled, keep=self._keep))
            errors.check_result(records[index], f"record of shot {index}")
        return records

    def adjoint(self, y: ArrayLike, /) -> NDArray[Any]:
        """J^T d: the migrated image (shape of the model) of records (nsrc, nt, nrec)."""
        records = errors.as_array(y, self.range_shape, "records", self.dtype)
        image = np.zeros(self._plan.model.padded_shape, self.dtype)
        runner = self._plan.propagator()
        for index, (shot, record) in enumerate(zip(self._shots, records, strict=True)):
            shot_image = runner.born_adjoint(shot, self._plan.spread(record))
            errors.check_result(shot_image, f"image of shot {index}")
            image += shot_image
        scale = self._subsample / self._plan.dt**2
        return (scale * self._plan.model.pad_adjoint(image)).astype(self.dtype)
