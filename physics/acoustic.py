r"""Acoustic modelling as a nonlinear map of the earth model, with the gradient of any misfit.

.. math:: d = F(m) q, \qquad \phi(m) = \sum_s \phi_s(d_s, d_s^{obs}), \qquad
          \nabla \phi = \sum_s J_s(m)^T \frac{\partial \phi_s}{\partial d_s}
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple, final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from physics import errors
from physics.geometry import Acquisition
from physics.linear import BornOperator
from physics.model import EarthModel
from physics.modelling import Modelling, Numerics
from physics.objectives import LeastSquares, Objective
from physics.survey_run import SurveyRun


class Misfit(NamedTuple):
    """A misfit and its gradient with respect to the squared slowness, of the model's shape."""

    value: float
    gradient: NDArray[Any]


def velocity_gradient(gradient: NDArray[Any], vp: NDArray[Any]) -> NDArray[Any]:
    r"""The gradient with respect to the velocity, of one with respect to the squared slowness.

    .. math:: \frac{\partial \phi}{\partial v} = -2 v^{-3} \frac{\partial \phi}{\partial m}, \qquad m = v^{-2}

    Args:
        gradient: With respect to m, of any shape.
        vp: Velocity [m/s], of the same shape.
    """
    return -2.0 * vp**-3.0 * gradient


@final
class AcousticOperator:
    r"""Acoustic modelling F(m) q as a function of the squared slowness m, for models of one setting.

    All models have the grid, the density, the boundary, the precision and the time step of a reference; each
    is checked against the time step and the wavelet.

    Args:
        reference: A model of the setting. Its velocity only matters for the time step, where ``numerics``
            leaves it open: take one with the largest velocity that may come.
        survey: Sources, receivers and sampling.
        wavelet: Signature of every source, shape (nt,), sampled like the records.
        numerics: How waves are computed, for instance those of a `physics.plan.Plan`, which fit all models of
            a prior; gradients are exact with ``subsample=1``.

    Shapes:
        m: shape of the reference [s^2/m^2], d: (nsrc, nt, nrec).

    Raises:
        ValueError: If positions are outside the model, a step is unstable, the grid is too coarse for the
            wavelet in a model, or an array does not fit.

    Source:
        Plessix, A review of the adjoint-state method for computing the gradient of a functional with
        geophysical applications, Geophys. J. Int. 167, 2006.

    Example:
        >>> F = AcousticOperator(fastest, survey, wavelet=ricker(f0=15.0, dt=0.004, nt=376))
        >>> value, gradient = F.misfit(m, observed)
        >>> step = -1e-3 * m.max() * gradient / abs(gradient).max()
    """

    def __init__(
        self,
        reference: EarthModel,
        survey: Acquisition,
        *,
        wavelet: ArrayLike,
        numerics: Numerics | None = None,
    ) -> None:
        modelling = Modelling(reference, survey, numerics or Numerics())
        self.reference = reference
        self.survey = survey
        self.wavelet = modelling.check_wavelet(wavelet)
        self.numerics = replace(modelling.numerics, steps_per_sample=modelling.time.steps)
        self.domain_shape = reference.shape
        self.range_shape = survey.record_shape
        self.dtype = np.dtype(reference.dtype)

    def forward(self, m: ArrayLike) -> NDArray[Any]:
        """Records (nsrc, nt, nrec) of a squared slowness [s^2/m^2]."""
        return self.run(m).records()

    def misfit(
        self,
        m: ArrayLike,
        observed: ArrayLike,
        *,
        shots: ArrayLike | None = None,
        objective: Objective | None = None,
    ) -> Misfit:
        r"""How far the records of a model are from observed ones, and the gradient: two propagations a shot.

        Args:
            m: Squared slowness [s^2/m^2].
            observed: Records (nsrc, nt, nrec) of all shots.
            shots: Indices of the shots to take, or a mask (nsrc,); the sum over them is not scaled up. By
                default all.
            objective: What compares the records of a shot; by default `LeastSquares`, half the squared
                residual.

        Returns:
            The sum over shots, and its gradient with respect to m. One wavefield is in memory at a time.
        """
        records = errors.as_array(observed, self.range_shape, "observed records", self.dtype)
        compare = LeastSquares() if objective is None else objective
        run, value = self.run(m), 0.0
        image = np.zeros(self.reference.padding.padded_shape, self.dtype)
        for index in self._chosen(shots):
            live = 1.0 if self.survey.live is None else self.survey.live[index]
            part, source = compare(run.record(index, keep=True), live * records[index])
            value += part
            image += run.image(
                index, errors.as_array(source, self.range_shape[1:], "adjoint source", self.dtype)
            )
        return Misfit(value, run.finish(image))

    def gradient(self, m: ArrayLike, residual: ArrayLike) -> NDArray[Any]:
        """J(m)^T of records (nsrc, nt, nrec), of the model's shape."""
        return self.at(m).adjoint(residual)

    def at(self, m: ArrayLike, *, keep_wavefields: bool = False) -> BornOperator:
        """The derivative J(m) of this map at a model, as a linear operator."""
        return BornOperator(
            self._model(m),
            self.survey,
            wavelet=self.wavelet,
            numerics=self.numerics,
            keep_wavefields=keep_wavefields,
        )

    def wavefield(self, m: ArrayLike, shot: int, every: int = 1) -> tuple[NDArray[Any], NDArray[np.float64]]:
        """The wavefield of a shot, every so many samples of the records.

        Args:
            m: Squared slowness [s^2/m^2].
            shot: Index of the shot.
            every: Samples of the records from one snapshot to the next. Each value compiles once.

        Returns:
            Snapshots (n, *shape) of the pressure, and their times (n,) [s]. The time dispersion of the scheme
            is taken out of records, not of snapshots: their waves are early by what it makes on their way.
        """
        if every < 1:
            raise errors.PhysicsError(f"expected snapshots every 1 or more samples, got every={every}")
        (index,) = self._chosen([shot])
        assert self.numerics.steps_per_sample is not None  # __init__ fills it in
        numerics = replace(self.numerics, subsample=every * self.numerics.steps_per_sample)
        snapshots = self.run(m, numerics=numerics).snapshots(index)
        return snapshots, np.arange(len(snapshots), dtype=np.float64) * (every * self.survey.dt)

    def illumination(self, m: ArrayLike) -> NDArray[Any]:
        """Energy of the sources' wavefields in every cell; see `BornOperator.illumination`."""
        return self.at(m).illumination()

    def run(
        self,
        m: ArrayLike,
        *,
        signatures: ArrayLike | None = None,
        numerics: Numerics | None = None,
        first_slot: int | None = None,
    ) -> SurveyRun:
        """The shots in a model, to be run one by one.

        Args:
            m: Squared slowness [s^2/m^2].
            signatures: Signatures (nsrc, nt) in place of the wavelet, taken as they are.
            numerics: In place of the operator's.
            first_slot: See `SurveyRun`.
        """
        modelling = Modelling(self._model(m), self.survey, numerics or self.numerics)
        shape = self.range_shape[:2]
        given = np.broadcast_to(self.wavelet, shape) if signatures is None else signatures
        array = errors.as_array(given, shape, "source signatures", np.float64)
        return SurveyRun(modelling, array, first_slot=first_slot)

    def _model(self, m: ArrayLike) -> EarthModel:
        """The reference with another squared slowness, if step and wavelet fit it."""
        values = errors.as_array(m, self.domain_shape, "squared slowness m", np.float64)
        if values.min() <= 0.0:
            bad = np.count_nonzero(values <= 0.0)
            raise errors.PhysicsError(
                f"expected positive squared slowness m, got {bad} of {values.size} zero or negative"
            )
        if values.min() > 1.0:
            raise errors.UnitError(
                f"expected squared slowness m in s^2/m^2, got a minimum of {values.min():.4g}: looks like a "
                f"velocity, take vp ** -2 with vp in m/s"
            )
        model = self.reference.with_m(values)
        Modelling(model, self.survey, self.numerics).check_wavelet(self.wavelet)
        return model

    def _chosen(self, shots: ArrayLike | None) -> NDArray[np.int64]:
        """Indices of the chosen shots."""
        total = self.survey.num_sources
        if shots is None:
            return np.arange(total)
        indices = np.asarray(shots)
        try:
            chosen = np.arange(total)[indices]
        except IndexError:
            chosen = np.empty(0, np.int64)
        if chosen.ndim != 1 or not chosen.size:
            raise errors.PhysicsError(
                f"expected a list of indices of shots from 0 to {total - 1}, or a mask of shape ({total},), "
                f"got {np.array2string(indices, threshold=8)}"
            )
        return chosen
