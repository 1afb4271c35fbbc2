"""Configuration of modelling: grid, wavelet, sampling, boundaries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from physics.config.checks import STRICT, require


@dataclass(frozen=True, kw_only=True)
class SurveyConfig:
    """Grid, wavelet and records of a training pair, and how waves are computed.

    Time step, order in space, thinning of the background and width of the absorbing layer are planned from
    the prior's velocities, the wavelet and the sampling; what is given here instead is taken as it is.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT

    shape: tuple[int, ...] = (64, 64)
    """Cells (nx, nz) or (nx, ny, nz) of the model."""
    spacing: tuple[float, ...] = (12.5, 12.5)
    """Grid spacing of each axis [m]."""
    f0: float = 15.0
    """Peak frequency of the Ricker wavelet [Hz]."""
    record_length: float = 1.0
    """Length of a record [s]."""
    dt: float = 0.004
    """Sampling interval of the records [s]; the computation uses dt / k with a whole k."""
    data: Literal["born", "nonlinear"] = "born"
    """Records of a pair: linearised, J(m0) (m - m0), or F(m) - F(m0), with multiple scattering."""
    free_surface: bool = False
    """The first row of cells is the surface, which reflects; otherwise waves leave upwards."""
    boundary: Literal["matched", "sponge"] = "matched"
    """Kind of absorbing layer."""
    nbl: int | None = None
    """Absorbing cells on each side."""
    space_order: int | None = None
    """Order of accuracy in space."""
    subsample: int | None = None
    """Every how many computing steps the background wavefield is kept for the image."""

    def __post_init__(self) -> None:
        require(len(self.shape) in (2, 3), "survey.shape", "2 or 3 numbers of cells", self.shape)
        require(min(self.shape) >= 8, "survey.shape", "at least 8 cells an axis", self.shape)
        require(
            len(self.spacing) == len(self.shape) and min(self.spacing) > 0.0,
            "survey.spacing",
            f"{len(self.shape)} positive numbers of metres, as many as survey.shape has axes",
            self.spacing,
        )
        for name in ("f0", "record_length", "dt"):
            require(getattr(self, name) > 0.0, f"survey.{name}", "a positive value", getattr(self, name))
        for name in ("nbl", "space_order", "subsample"):
            value = getattr(self, name)
            require(value is None or value >= 1, f"survey.{name}", "at least 1", value)
