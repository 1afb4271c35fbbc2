"""Training pairs: earth model, survey, linearised data, noise, migrated image.

Pair ``i`` is a pure function of (configuration, i): its streams of randomness are children of
``SeedSequence([seed, crc32(stream), i])``, one each for the earth model, the survey, the background and the
noise. So it does not matter which process makes a pair, or when, or how often.
"""

from __future__ import annotations

import zlib
from typing import final

import numpy as np
import scipy.ndimage
from numpy.typing import NDArray

from physics.config import PairConfig
from physics.errors import DispersionError, NonFiniteError, PhysicsError
from physics.geometry import Acquisition
from physics.linear import BornOperator
from physics.model import EarthModel
from physics.noise import add_noise
from physics.preprocess import DepthWeight, WaterMute
from physics.priors import Prior, make_prior
from physics.priors.random_fields import gaussian_field
from physics.shards import Failure, ImageWeights, Pair, encode_shard
from physics.wavelets import ricker
from physics.workers import check_stop

Shard = tuple[bytes, list[Failure]]


class DrawError(PhysicsError):
    """A draw of the prior that no pair can be made from."""


@final
class PairSimulator:
    """The pairs of one configuration.

    With ``m = 1 / vp^2`` from the prior and ``m0`` a smoothed ``m``: ``x = T (m - m0)``, ``d = J(m0) x + e``,
    ``y = [W T J(m0)^T d, m0]``, where ``T`` mutes the top and ``W`` weights by depth.

    Args:
        config: What a pair depends on besides its index.
        prior: Where earth models come from, instead of the prior that ``config`` describes.

    Example:
        >>> simulator = PairSimulator(config)  # doctest: +SKIP
        >>> pair = simulator(0)  # doctest: +SKIP
    """

    def __init__(self, config: PairConfig, *, prior: Prior | None = None) -> None:
        survey = config.survey
        self.config = config
        self._prior = prior or make_prior(config.prior, survey.shape, survey.spacing)
        self._nt = round(survey.record_length / survey.dt) + 1
        self._wavelet = ricker(survey.f0, survey.dt, self._nt)
        half = 0.5 * survey.taper_depth
        self._mute = WaterMute(survey.shape, survey.spacing, depth=half, taper=half)
        self._weight = DepthWeight(survey.shape, power=survey.depth_power)

    def __call__(self, index: int) -> Pair:
        """Make one pair.

        Raises:
            DrawError: If the draw has no contrast.
            NonFiniteError: If the modelling gives NaN or infinity for this draw.
        """
        survey = self.config.survey
        draw, place, err, noise = pair_generator(self.config, index).spawn(4)
        m = self._prior.draw(draw).astype(np.float64) ** -2.0
        m0 = self._background(m, err)
        x = self._mute.forward(m - m0).astype(np.float32)
        if np.abs(x).max() <= np.finfo(np.float32).eps * m.max():
            raise DrawError("expected an earth model that scatters waves, got one without contrast")
        J = BornOperator(
            EarthModel(m0**-0.5, survey.spacing, nbl=survey.nbl, space_order=survey.space_order),
            self._acquisition(place),
            wavelet=self._wavelet,
            subsample=survey.subsample,
            keep_wavefields=True,
        )
        clean = J.forward(x)
        d, e = add_noise(clean, survey.snr_db, self._wavelet, noise)
        image = self._weight.forward(self._mute.forward(J.adjoint(d)))
        y = np.stack([image, m0]).astype(np.float32)
        return Pair(index, x[None], y, _snr_db(clean, e))

    @property
    def weights(self) -> ImageWeights:
        """Depth weight that the image carries, and cells that the mute leaves alone."""
        return ImageWeights(self._weight.weights[0], (self._mute.weights == 1.0).astype(np.uint8))

    def shard(self, draws: range) -> Shard:
        """Make the pairs of a shard and encode them; a draw that fails is left out and named.

        Raises:
            PhysicsError: If every draw fails.
        """
        pairs, failed = [], []
        for index in draws:
            check_stop()
            try:
                pairs.append(self(index))
            except (DrawError, NonFiniteError, DispersionError) as error:
                failed.append(Failure(index, str(error)))
        if not pairs:
            raise PhysicsError(
                f"all draws from {draws.start} to {draws.stop - 1} failed, the first with: {failed[0].error}"
            )
        data = encode_shard(pairs, failed, config=self.config, first=draws.start, weights=self.weights)
        return data, failed

    def _background(self, m: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
        survey = self.config.survey
        sigma = [survey.smoothing / h for h in survey.spacing]
        m0 = scipy.ndimage.gaussian_filter(m, sigma, mode="nearest")
        if survey.background_error > 0.0:
            error = gaussian_field(rng, survey.shape, survey.spacing, 2.0 * survey.smoothing)
            m0 = m0 * np.exp(survey.background_error * error)
        return m0

    def _acquisition(self, rng: np.random.Generator) -> Acquisition:
        survey = self.config.survey
        return Acquisition.surface(
            extent=((survey.shape[0] - 1) * survey.spacing[0], (survey.shape[1] - 1) * survey.spacing[1]),
            num_sources=survey.num_sources,
            num_receivers=survey.num_receivers,
            source_depth=survey.source_depth,
            receiver_depth=survey.receiver_depth,
            dt=survey.dt,
            nt=self._nt,
            jitter=survey.source_jitter,
            rng=rng,
        )


def pair_generator(config: PairConfig, index: int) -> np.random.Generator:
    """Generator of one pair: ``SeedSequence([seed, crc32(stream), index])``."""
    seeds = [config.seed, zlib.crc32(config.stream.encode()), index]
    return np.random.default_rng(np.random.SeedSequence(seeds))


def simulate_pair(config: PairConfig, index: int, *, prior: Prior | None = None) -> Pair:
    """Make one training pair, a pure function of its arguments.

    Args:
        config: Seed, stream, prior and survey.
        index: Index of the pair in its stream.
        prior: Where earth models come from, instead of the prior that ``config`` describes.

    Returns:
        ``x`` (1, nx, nz) [s^2/m^2]; ``y`` (2, nx, nz): migrated image, background [s^2/m^2]; SNR [dB].

    Raises:
        NonFiniteError: If the modelling gives NaN or infinity for this draw.
        ValueError: If the configuration cannot be simulated.
    """
    return PairSimulator(config, prior=prior)(index)


def _snr_db(signal: NDArray[np.floating], noise: NDArray[np.floating]) -> float:
    signal_energy, noise_energy = (float(np.sum(np.square(a, dtype=np.float64))) for a in (signal, noise))
    return float(10.0 * np.log10(signal_energy / noise_energy))
