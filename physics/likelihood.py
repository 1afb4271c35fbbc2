r"""What a likelihood of shots needs of the waves: records of models by experiment, and noise made white.

.. math:: d_{bk} = \sum_i w_{bki} F_i(x_b), \qquad -\log p(d \mid x) = \tfrac12 |W (F(x) - d)|^2

Callables ``(x, weights) -> records`` of torch tensors, differentiable in x: with the observed records and
unit noise they are all that a Gaussian likelihood is made of. Every row of ``weights`` is an experiment: a
shot if it has a single 1, else a sum of shots fired together. Each costs a solve, its gradient another.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.fft import irfft, next_fast_len, rfft
from scipy.linalg import circulant

from physics.acoustic import AcousticOperator
from physics.algebra import LinearOperator
from physics.autograd import apply, forward
from physics.encoding import SourceEncoding
from physics.errors import PhysicsError, as_array
from physics.geometry import Acquisition
from physics.linear import BornOperator, Encoding

if TYPE_CHECKING:
    import torch

Linearised = Callable[[Acquisition, Encoding | None], BornOperator]
"""Born modelling of a survey, whose sources fire one by one or as an encoding says."""


def trace_covariance(wavelet: ArrayLike, std: float) -> NDArray[np.float64]:
    r"""Covariance of a trace of the noise that `physics.noise.add_noise` makes.

    .. math:: C_{ij} = \sigma^2 \, r_{i-j} / r_0, \qquad r = \mathcal F^{-1}(|W|^2)

    Args:
        wavelet: Wavelet whose amplitude spectrum the noise has, shape (nt,), sampled like the records.
        std: Standard deviation sigma of a sample of the noise.

    Returns:
        Shape (nt, nt).
    """
    nt = len(np.asarray(wavelet))
    signature = as_array(wavelet, (nt,), "wavelet", np.float64)
    size = next_fast_len(nt, real=True)
    lags = irfft(np.abs(rfft(signature, size)) ** 2, size)
    if not (lags[0] > 0.0 and std > 0.0):
        raise PhysicsError(f"expected a wavelet that is not zero and a positive std, got {lags[0]}, {std}")
    return std**2 / lags[0] * circulant(lags)[:nt, :nt]


@final
class Whitening(LinearOperator):
    r"""Makes noise white that is coloured along traces and independent between them; keeps its band only.

    .. math:: W = \Lambda_k^{-1/2} U_k^T, \qquad C = U \Lambda U^T, \qquad W C W^T = I_k

    Of a band-limited noise most of C is numerically zero: there the data would count as exact, and the
    smallest error of the modelling as impossible. So only components are kept whose variance is above a share
    ``floor`` of the largest, k of nt for each trace; they are the data of the likelihood.

    Args:
        covariance: Of a trace of the noise, shape (nt, nt).
        num_shots: Shots, or encoded shots, of the records.
        num_receivers: Traces of a shot.
        floor: Smallest variance kept, as a share of the largest.

    Shapes:
        d: (num_shots, nt, num_receivers), W d: (num_shots, k, num_receivers).

    Raises:
        ValueError: If the covariance is not one, or the floor is no share.

    Example:
        >>> W = Whitening(trace_covariance(wavelet, std=0.3), *survey.record_shape[::2])
        >>> white = W @ (observed - predicted)
    """

    def __init__(
        self, covariance: ArrayLike, num_shots: int, num_receivers: int, *, floor: float = 1e-3
    ) -> None:
        nt = len(np.asarray(covariance))
        matrix = as_array(covariance, (nt, nt), "covariance", np.float64)
        if not 0.0 < floor < 1.0:
            raise PhysicsError(f"expected a floor between 0 and 1, got {floor}")
        if not np.allclose(matrix, matrix.T, rtol=0.0, atol=1e-9 * np.abs(matrix).max()):
            raise PhysicsError("expected a symmetric covariance, got one that is not")
        values, vectors = np.linalg.eigh(matrix)
        if not values[-1] > 0.0 or values[0] < -1e-9 * values[-1]:
            raise PhysicsError(
                f"expected a covariance without negative eigenvalues, got {values[0]:.3g} to {values[-1]:.3g}"
            )
        kept = values > floor * values[-1]
        self._rows: NDArray[np.float64] = (vectors[:, kept] / np.sqrt(values[kept])).T
        super().__init__(
            (num_shots, nt, num_receivers), (num_shots, len(self._rows), num_receivers), np.float64
        )

    def forward(self, x: ArrayLike, /) -> NDArray[Any]:
        """White noise of coloured noise, trace by trace."""
        return self._rows @ as_array(x, self.domain_shape, "records", self.dtype)

    def adjoint(self, y: ArrayLike, /) -> NDArray[Any]:
        """Records of components."""
        return self._rows.T @ as_array(y, self.range_shape, "components", self.dtype)

    def of_shots(self, num_shots: int) -> Whitening:
        """The same for another number of shots."""
        other = object.__new__(Whitening)
        other._rows = self._rows
        components, receivers = self.range_shape[1:]
        nt = self.domain_shape[1]
        LinearOperator.__init__(
            other, (num_shots, nt, receivers), (num_shots, components, receivers), self.dtype
        )
        return other


@final
class BornShots:
    r"""Born records of perturbations x by experiment, whitened: :math:`W \sum_i w_i J_i x`.

    Args:
        linearised: Makes J of a survey and an encoding, for example
            ``lambda survey, encoding: BornOperator(m0, survey, wavelet=w, encoding=encoding)``; with
            ``subsample=1`` its gradient is exact.
        survey: All shots.
        whitening: Makes the noise white; by default the records are left as they are.

    Shapes:
        x: (B, 1, *shape) or (B, *shape) [s^2/m^2]; weights: (B, K, nsrc); records: (B, K, k, nrec).

    Example:
        >>> shots = BornShots(linearised, survey, W)
        >>> white = shots(x, torch.eye(survey.num_sources).expand(len(x), -1, -1))
    """

    def __init__(
        self, linearised: Linearised, survey: Acquisition, whitening: Whitening | None = None
    ) -> None:
        self._linearised, self._survey, self._whitening = linearised, survey, whitening
        self._known: dict[bytes, LinearOperator] = {}

    def __call__(self, x: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        """Records of every model by each of its experiments."""
        rows = _rows(weights, len(x), self._survey)
        models = x[:, 0] if x.ndim == self._survey.ndim + 2 else x
        return apply([self._operator(each) for each in rows], models)

    def _operator(self, rows: NDArray[np.float64]) -> LinearOperator:
        """J of some experiments; those of single shots are kept, as they come again."""
        if (single := _single_shots(rows)) is None:
            encoding = SourceEncoding(self._survey, weights=rows, dtype=np.float64)
            return self._white(self._linearised(self._survey, encoding))
        key = single.tobytes()
        if key not in self._known:
            self._known[key] = self._white(self._linearised(self._survey.select(single), None))
        return self._known[key]

    def _white(self, jacobian: LinearOperator) -> LinearOperator:
        if self._whitening is None:
            return jacobian
        return self._whitening.of_shots(jacobian.range_shape[0]) @ jacobian


@final
class AcousticShots:
    r"""Records of models by shot with all of the waves, whitened: :math:`W F_i(m_0 + x)`.

    Sums of shots are not offered here: their modelling costs a solve a shot. Where a squared slowness is
    outside ``bounds``, which the operator would refuse, records are nan, and a refinement rejects them.

    Args:
        operator: F, of all shots; with ``subsample=1`` its gradient is exact.
        background: m0 [s^2/m^2]; x is what is added to it. None where x is the squared slowness itself.
        whitening: Makes the noise white; by default the records are left as they are.
        bounds: Smallest and largest squared slowness that can be modelled [s^2/m^2].

    Shapes:
        x: (B, 1, *shape) or (B, *shape) [s^2/m^2]; weights: (B, K, nsrc), rows of a single 1; records:
        (B, K, k, nrec). Observed records are those of F: to scattered ones, F(m) - F(m0), add F(m0).
    """

    def __init__(
        self,
        operator: AcousticOperator,
        *,
        background: ArrayLike | None = None,
        whitening: Whitening | None = None,
        bounds: tuple[float, float] = (1e-8, 1e-6),
    ) -> None:
        self._operator, self._whitening, self._bounds = operator, whitening, bounds
        self._background = None
        if background is not None:
            self._background = as_array(background, operator.domain_shape, "background", np.float64)

    def __call__(self, x: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        """Records of every model by each of its shots."""
        survey = self._operator.survey
        chosen = [_single_shots(rows) for rows in _rows(weights, len(x), survey)]
        operators = [self._of(single) for single in chosen if single is not None]
        if len(operators) < len(chosen):
            raise PhysicsError(
                'expected single shots, rows of weights with a single 1 (encoding = "shots"), got a sum'
            )
        models = x[:, 0] if x.ndim == survey.ndim + 2 else x
        if self._background is not None:
            models = models + models.new_tensor(self._background)
        low, high = self._bounds
        inside = (models >= low) & (models <= high)
        if not bool(inside.all()):
            nothing = (models.flatten(1).sum(1) * float("nan"))[:, None, None, None]
            return nothing.expand(-1, *self._shape(weights.shape[1]))
        records = forward(models, operators)
        if self._whitening is None:
            return records
        return apply(self._whitening.of_shots(weights.shape[1]), records)

    def _of(self, single: NDArray[np.int64]) -> AcousticOperator:
        operator = self._operator
        return AcousticOperator(
            operator.reference,
            operator.survey.select(single),
            wavelet=operator.wavelet,
            numerics=operator.numerics,
        )

    def _shape(self, num_shots: int) -> tuple[int, ...]:
        if self._whitening is None:
            return (num_shots, *self._operator.range_shape[1:])
        return (num_shots, *self._whitening.range_shape[1:])


def _rows(weights: torch.Tensor, samples: int, survey: Acquisition) -> NDArray[np.float64]:
    """Weights (B, K, nsrc) as an array, after checks."""
    if weights.ndim != 3 or weights.shape[0] != samples or weights.shape[2] != survey.num_sources:
        raise PhysicsError(
            f"expected weights of shape ({samples}, K, {survey.num_sources}), got {tuple(weights.shape)}"
        )
    return weights.detach().cpu().double().numpy()


def _single_shots(rows: NDArray[np.float64]) -> NDArray[np.int64] | None:
    """Indices of the shots, if every row is one: a 1 among zeros."""
    chosen = np.argmax(rows, axis=1)
    return chosen if np.array_equal(rows, np.eye(rows.shape[1])[chosen]) else None
