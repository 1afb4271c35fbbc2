"""The wave equations there are, by name."""

from __future__ import annotations

from physics.model import Equation
from physics.stencils.acoustic import Acoustic
from physics.stencils.density import AcousticDensity
from physics.stencils.scheme import Scheme

SCHEMES: dict[Equation, type[Scheme]] = {"acoustic": Acoustic, "acoustic_density": AcousticDensity}
