"""Frozen configurations of the physics stages. Plain dataclasses: importable without Devito, SI units.

Every configuration checks itself on construction, so a bad value is refused the same way from Python and
from a TOML file. They are written into every HDF5 shard that they produced.
"""

from physics.config.pairs import PairConfig
from physics.config.priors import AugmentConfig, LayeredPriorConfig, PatchPriorConfig, PriorConfig
from physics.config.survey import SurveyConfig

__all__ = [
    "AugmentConfig",
    "LayeredPriorConfig",
    "PairConfig",
    "PatchPriorConfig",
    "PriorConfig",
    "SurveyConfig",
]
