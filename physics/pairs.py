"""Training pairs: earth model, survey, data, noise, migrated image or gathers.

Pair ``i`` is a pure function of (configuration, i): its streams of randomness are children of
``SeedSequence([seed, crc32(stream), i])``, one each for the earth model, the survey, the background and the
noise. So it does not matter which process makes a pair, or when, or how often.
"""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np
import scipy.ndimage
from numpy.typing import NDArray

from physics.blas import one_blas_thread
from physics.config import PairConfig
from physics.errors import PhysicsError
from physics.gathers import GatherOperator, symmetric_offsets
from physics.geometry import Acquisition
from physics.linear import BornOperator, ForwardOperator
from physics.model import EarthModel
from physics.noise import add_survey_noise
from physics.plan import Plan
from physics.preprocess import DepthWeight, WaterMute
from physics.priors import Prior, make_prior
from physics.priors.random_fields import gaussian_field
from physics.shards import ImageWeights, Pair
from physics.surveys import build
from physics.wavelets import ricker

_WIDEST = 2.5
"""Half of the standard deviations of a background's random error that a plan provides for: v ~ m^(-1/2)."""


class DrawError(PhysicsError):
    """A draw of the prior that no pair can be made from."""


@final
@dataclass(frozen=True, eq=False)
class Draw:
    """What a pair is made of.

    Attributes:
        vp: Earth model [m/s].
        background: Its smooth background.
        dm: Perturbation of the squared slowness, muted at the top [s^2/m^2].
        survey: Sources, receivers, sampling.
        clean: Records (nsrc, nt, nrec) without noise.
        records: Records with noise.
    """

    vp: NDArray[np.float64]
    background: EarthModel
    dm: NDArray[np.float32]
    survey: Acquisition
    clean: NDArray[Any]
    records: NDArray[Any]

    @property
    def snr_db(self) -> float:
        """Energy of the records over that of their noise [dB]."""
        signal, noise = (
            float(np.sum(np.square(part, dtype=np.float64)))
            for part in (self.clean, self.records - self.clean)
        )
        return float(10.0 * np.log10(signal / noise))


@final
class PairSimulator:
    """The pairs of one configuration.

    With ``m = 1 / vp^2`` from the prior and ``m0`` a smoothed ``m``: ``x = T (m - m0)``, ``d = J(m0) x + e``
    or ``F(m) - F(m0) + e``, ``y = [W T J(m0)^T d, m0]``, where ``T`` mutes the top and ``W`` weights by
    depth; with gathers, one image an offset, zero first.

    Args:
        config: What a pair depends on besides its index.
        prior: Where earth models come from, instead of the prior that ``config`` describes.

    Raises:
        ValueError: If the configuration cannot be simulated.

    Example:
        >>> simulator = PairSimulator(config)  # doctest: +SKIP
        >>> pair = simulator(0)  # doctest: +SKIP
    """

    def __init__(self, config: PairConfig, *, prior: Prior | None = None) -> None:
        survey, imaging = config.survey, config.imaging
        self.config = config
        self.prior = prior or make_prior(config.prior, survey.shape, survey.spacing)
        self.nt = round(survey.record_length / survey.dt) + 1
        self.wavelet = ricker(survey.f0, survey.dt, self.nt)
        half = 0.5 * imaging.taper_depth
        self._mute = WaterMute(survey.shape, survey.spacing, depth=half, taper=half)
        self._weight = DepthWeight(survey.shape, power=imaging.depth_power)
        self.offsets = _offsets(config)
        self.plan = self._plan()

    def _plan(self) -> Plan:
        """How all pairs are computed."""
        survey, widest = self.config.survey, _WIDEST * self.config.imaging.background_error
        plan = Plan.for_prior(
            (self.prior.vmin * math.exp(-widest), self.prior.vmax * math.exp(widest)),
            survey.spacing,
            wavelet=self.wavelet,
            dt=survey.dt,
            boundary=survey.boundary,
            space_order=survey.space_order,
        )
        given = {name: getattr(survey, name) for name in ("nbl", "subsample")}
        return replace(plan, **{name: value for name, value in given.items() if value is not None})

    def __call__(self, index: int) -> Pair:
        """Make one pair.

        Raises:
            DrawError: If the draw has no contrast.
            NonFiniteError: If the modelling gives NaN or infinity for this draw.
        """
        with one_blas_thread():
            draw, born = self._draw(index)
            y = self._observe(draw, born)
        return Pair(index, draw.dm[None], y, draw.snr_db)

    def draw(self, index: int) -> Draw:
        """What pair ``index`` is made of; the errors are those of making it."""
        with one_blas_thread():
            return self._draw(index)[0]

    def observe(self, draw: Draw) -> NDArray[np.float32]:
        """What a network is asked about: y (n + 1, *shape) of the records and the background of a draw."""
        with one_blas_thread():
            return self._observe(draw, self.born(draw))

    def born(self, draw: Draw, *, keep_wavefields: bool = False) -> BornOperator:
        """J at the background of a draw, with the imaging condition of the configuration."""
        return BornOperator(
            draw.background,
            draw.survey,
            wavelet=self.wavelet,
            numerics=self.plan.numerics,
            keep_wavefields=keep_wavefields,
            imaging=self.config.imaging.condition,
        )

    @property
    def channels(self) -> dict[str, str]:
        """Names and units of y's channels."""
        names = ["migrated_image", *(f"gather_{offset:+g}_m" for offset in self.offsets[1:])]
        return dict.fromkeys(names, "arbitrary") | {"background_squared_slowness": "s^2/m^2"}

    @property
    def weights(self) -> ImageWeights:
        """Depth weight that the images carry, and cells that the mute leaves alone."""
        depth = self._weight.weights.reshape(-1, self.config.survey.shape[-1])[0]
        return ImageWeights(depth, (self._mute.weights == 1.0).astype(np.uint8), self.channels)

    def _draw(self, index: int) -> tuple[Draw, BornOperator]:
        model, place, error, noise = pair_generator(self.config, index).spawn(4)
        vp = self.prior.draw(model).astype(np.float64)
        m = vp**-2.0
        m0 = self._background(m, error)
        dm = self._mute.forward(m - m0).astype(np.float32)
        if np.abs(dm).max() <= np.finfo(np.float32).eps * m.max():
            raise DrawError("expected an earth model that scatters waves, got one without contrast")
        background, survey = self.earth_model(m0**-0.5), self._survey(place)
        empty = Draw(vp, background, dm, survey, np.empty(0), np.empty(0))
        born = self.born(empty, keep_wavefields=not self.offsets[1:])
        clean = born.forward(dm) if self.config.survey.data == "born" else self._scattered(empty)
        records, _ = add_survey_noise(clean, survey, self.config.noise, wavelet=self.wavelet, rng=noise)
        return replace(empty, clean=clean, records=records), born

    def earth_model(self, vp: NDArray[Any]) -> EarthModel:
        """A model as all pairs are computed."""
        return self.plan.earth_model(vp, free_surface=self.config.survey.free_surface)

    def _scattered(self, draw: Draw) -> NDArray[Any]:
        """F(m) - F(m0), with the model muted as the perturbation is."""
        model = draw.background.with_m(draw.background.m + draw.dm)
        there, without = (
            ForwardOperator(one, draw.survey, numerics=self.plan.numerics).forward(self.wavelet)
            for one in (model, draw.background)
        )
        return there - without

    def _observe(self, draw: Draw, born: BornOperator) -> NDArray[np.float32]:
        images = self._images(draw, born)
        return np.concatenate([images, draw.background.m[None]]).astype(np.float32)

    def _images(self, draw: Draw, born: BornOperator) -> NDArray[Any]:
        """Migrated image, or gathers, (n, *shape), muted and weighted."""
        if not self.offsets[1:]:
            images = born.adjoint(draw.records)[None]
        else:
            images = self.gathers(draw).adjoint(draw.records)
        return np.stack([self._weight.forward(self._mute.forward(image)) for image in images])

    def gathers(self, draw: Draw, offsets: NDArray[np.float64] | None = None) -> GatherOperator:
        """Extended J at the background of a draw; by default with the offsets of the configuration."""
        return GatherOperator(
            draw.background,
            draw.survey,
            wavelet=self.wavelet,
            offsets=np.array(self.offsets) if offsets is None else offsets,
            numerics=self.plan.numerics,
        )

    def _background(self, m: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
        imaging, spacing = self.config.imaging, self.config.survey.spacing
        m0 = scipy.ndimage.gaussian_filter(m, [imaging.smoothing / h for h in spacing], mode="nearest")
        if imaging.background_error > 0.0:
            error = gaussian_field(rng, self.config.survey.shape, spacing, 2.0 * imaging.smoothing)
            m0 = m0 * np.exp(imaging.background_error * error)
        return m0

    def _survey(self, rng: np.random.Generator) -> Acquisition:
        survey = self.config.survey
        extent = tuple((n - 1) * h for n, h in zip(survey.shape, survey.spacing, strict=True))
        return build(self.config.acquisition, extent, dt=survey.dt, nt=self.nt, rng=rng)


def _offsets(config: PairConfig) -> tuple[float, ...]:
    """Half-offsets of the images [m], zero first."""
    step = config.imaging.offset_step or config.survey.spacing[0]
    others = [float(h) for h in symmetric_offsets(config.imaging.offset, step) if h != 0.0]
    return (0.0, *others)


def pair_generator(config: PairConfig, index: int) -> np.random.Generator:
    """Generator of one pair: ``SeedSequence([seed, crc32(stream), index])``."""
    seeds = [config.seed, zlib.crc32(config.stream.encode()), index]
    return np.random.default_rng(np.random.SeedSequence(seeds))


def simulate_pair(config: PairConfig, index: int, *, prior: Prior | None = None) -> Pair:
    """Make one training pair, a pure function of its arguments.

    Args:
        config: Seed, stream, prior, survey, noise and imaging.
        index: Index of the pair in its stream.
        prior: Where earth models come from, instead of the prior that ``config`` describes.

    Returns:
        ``x`` (1, *shape) [s^2/m^2]; ``y`` (n + 1, *shape): n migrated images, background [s^2/m^2]; SNR [dB].

    Raises:
        NonFiniteError: If the modelling gives NaN or infinity for this draw.
        ValueError: If the configuration cannot be simulated.
    """
    return PairSimulator(config, prior=prior)(index)
