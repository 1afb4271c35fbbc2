"""Configuration of the noise in the records: its spectrum, its correlation between traces, its strength."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from physics.config.checks import STRICT, require


@dataclass(frozen=True, kw_only=True)
class WhiteSpectrumConfig:
    """The same power at all frequencies up to the Nyquist frequency."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT

    kind: Literal["white"] = "white"


@dataclass(frozen=True, kw_only=True)
class WaveletSpectrumConfig:
    """The amplitude spectrum of the source wavelet."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT

    kind: Literal["wavelet"] = "wavelet"


@dataclass(frozen=True, kw_only=True)
class TableSpectrumConfig:
    """An amplitude spectrum given at some frequencies, linear between them and constant beyond."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT

    kind: Literal["table"] = "table"
    frequencies: tuple[float, ...] = (0.0, 5.0, 10.0, 60.0, 80.0)
    """Increasing frequencies [Hz]."""
    amplitudes: tuple[float, ...] = (0.0, 0.0, 1.0, 1.0, 0.0)
    """Relative amplitude at each frequency."""

    def __post_init__(self) -> None:
        rising = all(a < b for a, b in zip(self.frequencies, self.frequencies[1:], strict=False))
        require(
            rising and len(self.frequencies) >= 2 and self.frequencies[0] >= 0.0,
            "noise.spectrum.frequencies",
            "at least 2 increasing frequencies in hertz",
            self.frequencies,
        )
        require(
            len(self.amplitudes) == len(self.frequencies)
            and min(self.amplitudes) >= 0.0
            and 0.0 < max(self.amplitudes) < math.inf,
            "noise.spectrum.amplitudes",
            f"{len(self.frequencies)} amplitudes, none negative and not all zero",
            self.amplitudes,
        )


@dataclass(frozen=True, kw_only=True)
class RecordedSpectrumConfig:
    """The mean amplitude spectrum of a recorded window without signal."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT

    kind: Literal["recorded"] = "recorded"
    window: str
    """Path of an npy file, shape (samples, traces), sampled at ``window_dt``."""
    window_dt: float
    """Sampling interval of the window [s]."""

    def __post_init__(self) -> None:
        require(0.0 < self.window_dt <= 0.05, "noise.spectrum.window_dt", "seconds", self.window_dt)


SpectrumConfig = WhiteSpectrumConfig | WaveletSpectrumConfig | TableSpectrumConfig | RecordedSpectrumConfig


@dataclass(frozen=True, kw_only=True)
class SwellConfig:
    """Swell noise: low frequencies, alike on neighbouring traces of a shot."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT

    share: float = 0.5
    """Share of the noise energy of every shot that is swell."""
    corner: float = 6.0
    """Frequency [Hz] above which the amplitude falls, by a factor of 16 an octave."""
    correlation_length: float = 100.0
    """Distance L [m] at which traces correlate by 1/e: the correlation is exp(-distance / L)."""

    def __post_init__(self) -> None:
        require(0.0 < self.share < 1.0, "noise.swell.share", "a share in (0, 1)", self.share)
        for name in ("corner", "correlation_length"):
            require(getattr(self, name) > 0.0, f"noise.swell.{name}", "a positive value", getattr(self, name))


@dataclass(frozen=True, kw_only=True)
class NoiseConfig:
    """Stationary Gaussian noise in the records of a survey."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT

    snr_db: float = 12.0
    """Signal-to-noise ratio, met exactly [dB]."""
    ratio: Literal["shot", "survey"] = "shot"
    """Over what the ratio is met: every shot for itself, or the survey with equal noise in all its shots."""
    spectrum: SpectrumConfig = field(default_factory=WaveletSpectrumConfig)
    correlation_length: float = 0.0
    """Distance L [m] at which neighbouring traces correlate by 1/e, exp(-distance / L); 0: independent."""
    swell: SwellConfig | None = None
    """Swell on top; the ratio is that of the sum."""

    def __post_init__(self) -> None:
        require(math.isfinite(self.snr_db), "noise.snr_db", "finite decibels", self.snr_db)
        require(
            self.correlation_length >= 0.0, "noise.correlation_length", "metres >= 0", self.correlation_length
        )
