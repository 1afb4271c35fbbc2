"""Wave modelling over a survey as linear operators: F in the source signatures, J in the earth model."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal, Protocol, final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from physics import errors
from physics.algebra import Adjoint, Composition, LinearOperator, dot_test
from physics.geometry import Acquisition
from physics.model import EarthModel
from physics.modelling import Modelling, Numerics
from physics.propagators import Propagator, Shot

__all__ = [
    "Adjoint",
    "BornOperator",
    "Composition",
    "ForwardOperator",
    "LinearOperator",
    "dot_test",
]

Imaging = Literal["correlation", "inverse_scattering"]


class Encoding(Protocol):
    """Simultaneous sources: who fires what. `physics.encoding` has several."""

    def signatures(self, wavelet: NDArray[np.float64]) -> NDArray[np.float64]:
        """Signatures (nenc, nsrc, nt) of every source in every encoded shot, for one wavelet (nt,)."""


@final
class ForwardOperator(LinearOperator):
    r"""Acoustic modelling F(m), linear in the source signatures q.

    .. math:: m u_{tt} - \nabla^2 u = P_s^T q, \qquad d = P_r u

    A source of signature q is the density h_x h_z q(t) delta(x - x_s): its amplitude does not depend on the
    time step.

    Args:
        model: Earth model m.
        survey: Sources, receivers and sampling.
        numerics: How waves are computed.

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

    def __init__(self, model: EarthModel, survey: Acquisition, *, numerics: Numerics | None = None) -> None:
        super().__init__((survey.num_sources, survey.nt), survey.record_shape, model.dtype)
        self._modelling = Modelling(model, survey, numerics or Numerics())
        self._shots = self._modelling.shots([np.zeros(survey.nt)] * survey.num_sources)

    def forward(self, x: ArrayLike, /) -> NDArray[Any]:
        """Records (nsrc, nt, nrec) of signatures (nsrc, nt), or of one wavelet (nt,) for all sources."""
        if np.ndim(x) == 1:
            x = np.broadcast_to(self._modelling.check_wavelet(x), self.domain_shape)
        signatures = errors.as_array(x, self.domain_shape, "source signatures", np.float64)
        records = np.empty(self.range_shape, self.dtype)
        runner, time = self._modelling.propagator(), self._modelling.time
        for index, (shot, q) in enumerate(zip(self._shots, signatures, strict=True)):
            record = runner.forward(replace(shot, signatures=time.refine(q[None]).T))
            records[index] = self._modelling.sample(index, record)
            errors.check_result(records[index], f"record of shot {index}")
        return records

    def adjoint(self, y: ArrayLike, /) -> NDArray[Any]:
        """Signatures (nsrc, nt) of records (nsrc, nt, nrec): back-propagated to the sources."""
        records = errors.as_array(y, self.range_shape, "records", self.dtype)
        signatures = np.empty(self.domain_shape, self.dtype)
        runner, time = self._modelling.propagator(), self._modelling.time
        for index, (shot, record) in enumerate(zip(self._shots, records, strict=True)):
            fine = runner.adjoint(shot, self._modelling.sample_adjoint(index, record))
            signatures[index] = time.refine_adjoint(fine.T)[0]
            errors.check_result(signatures[index], f"source signature of shot {index}")
        return signatures


@final
class BornOperator(LinearOperator):
    r"""Born modelling J(m0), the derivative of F at m0; its adjoint is reverse-time migration.

    .. math:: m_0 \delta u_{tt} - \nabla^2 \delta u = -\delta m \, u_{tt}, \qquad J \delta m = P_r \delta u

    .. math:: J^T d = -R^T \sum_n u^n v^n_{tt}

    with the back-propagated record v, and the sum R^T of the absorbing layer into the edge cells that it
    replicates.

    Args:
        model: Background m0.
        survey: Sources, receivers and sampling.
        wavelet: Signature of every source, shape (nt,), sampled like the records.
        numerics: How waves are computed; ``subsample=1`` is the exact adjoint.
        keep_wavefields: Keep the background of every shot, so that an adjoint after a forward does not
            compute it again: memory of nsrc wavefields.
        imaging: "correlation" is the adjoint of the derivative of F; "inverse_scattering" is another pair of
            operators, whose image leaves out what waves correlate along their way, and equals the first where
            they are reflected. Its row at a free surface is zero.
        encoding: Sources fire together, as it says: records are (nenc, nt, nrec).

    Shapes:
        dm: shape of the model [s^2/m^2], d: (nsrc, nt, nrec).

    Raises:
        ValueError: If positions are outside the model, the step is unstable, the grid or ``subsample`` is too
            coarse for the wavelet, or an array does not fit.

    Source:
        Tarantola, Geophysics 49, 1984; Plessix, A review of the adjoint-state method, Geophys. J. Int. 167,
        2006; `physics.stencils.programs` for inverse scattering.

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
        numerics: Numerics | None = None,
        keep_wavefields: bool = False,
        imaging: Imaging = "correlation",
        encoding: Encoding | None = None,
    ) -> None:
        if imaging not in ("correlation", "inverse_scattering"):
            raise errors.PhysicsError(
                f"expected imaging 'correlation' or 'inverse_scattering', got {imaging!r}"
            )
        self._modelling = Modelling(model, survey, numerics or Numerics())
        self._signature = self._modelling.check_wavelet(wavelet)
        self._keep = keep_wavefields
        self._imaging = imaging
        if encoding is None:
            self._shots = self._modelling.shots([self._signature] * survey.num_sources, slots=keep_wavefields)
        else:
            signatures = encoding.signatures(self._signature)
            self._shots = self._modelling.supershots(signatures, slots=keep_wavefields)
        super().__init__(model.shape, (len(self._shots), *survey.record_shape[1:]), model.dtype)

    def forward(self, x: ArrayLike, /) -> NDArray[Any]:
        """J dm: scattered records of a perturbation of the squared slowness [s^2/m^2]."""
        dm = errors.as_array(x, self.domain_shape, "dm", np.float64)
        scaled = self._modelling.perturbation(self._without_surface(dm))
        records = np.empty(self.range_shape, self.dtype)
        runner = self._runner()
        for index, shot in enumerate(self._shots):
            records[index] = self._modelling.sample(index, self._scatter(runner, shot, scaled))
            errors.check_result(records[index], f"record of shot {index}")
        return records

    def adjoint(self, y: ArrayLike, /) -> NDArray[Any]:
        """J^T d: the migrated image (shape of the model) of records."""
        records = errors.as_array(y, self.range_shape, "records", self.dtype)
        image = np.zeros(self._modelling.model.padding.padded_shape, self.dtype)
        runner = self._runner()
        for index, (shot, record) in enumerate(zip(self._shots, records, strict=True)):
            shot_image = self._image(runner, shot, self._modelling.sample_adjoint(index, record))
            errors.check_result(shot_image, f"image of shot {index}")
            image += shot_image
        return self._without_surface(self._modelling.image(image))

    def illumination(self) -> NDArray[Any]:
        r"""Energy of the sources' wavefields in every cell of the model, summed over shots and steps.

        .. math:: I(x) = \sum_s \sum_n u_s^n(x)^2
        """
        total = np.zeros(self.domain_shape)
        runner = self._runner()
        for shot in self._shots:
            kept = runner.wavefield(shot)[(slice(None), *self._modelling.model.padding.inside)]
            total += np.einsum("n...,n...->...", kept, kept, dtype=np.float64)
        return (self._modelling.numerics.subsample * total).astype(self.dtype)

    def _runner(self) -> Propagator:
        return self._modelling.propagator(together=self._shots[0].signatures.shape[1])

    def _scatter(self, runner: Propagator, shot: Shot, dm: NDArray[Any]) -> NDArray[Any]:
        if self._imaging == "inverse_scattering":
            return runner.scattering(shot, dm)
        return runner.born(shot, dm, keep=self._keep)

    def _image(self, runner: Propagator, shot: Shot, record: NDArray[Any]) -> NDArray[Any]:
        if self._imaging == "inverse_scattering":
            return runner.scattering_adjoint(shot, record)
        return runner.born_adjoint(shot, record)

    def _without_surface(self, values: NDArray[Any]) -> NDArray[Any]:
        """Values without the row of a free surface, where inverse scattering has no adjoint."""
        if self._modelling.model.free_surface and self._imaging == "inverse_scattering":
            values = values.copy()
            values[..., 0] = 0.0
        return values
