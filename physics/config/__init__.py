"""Frozen configurations of the physics stages. Plain dataclasses: importable without Devito, SI units.

Every configuration checks itself on construction, so a bad value is refused the same way from Python and
from a TOML file. They are written into every HDF5 shard that they produced.
"""

from physics.config.acquisition import (
    AcquisitionConfig,
    ArealConfig,
    CrosswellConfig,
    NodesConfig,
    PositionsConfig,
    SegySurveyConfig,
    SpreadConfig,
    StreamerConfig,
    SubsetConfig,
    VspConfig,
)
from physics.config.execution import (
    EXECUTORS,
    DaskConfig,
    ExecutionConfig,
    Place,
    ProcessesConfig,
    SlurmConfig,
    SshConfig,
)
from physics.config.imaging import ImagingConfig
from physics.config.noise import (
    NoiseConfig,
    RecordedSpectrumConfig,
    SpectrumConfig,
    SwellConfig,
    TableSpectrumConfig,
    WaveletSpectrumConfig,
    WhiteSpectrumConfig,
)
from physics.config.pairs import PairConfig
from physics.config.priors import (
    PRIOR_KINDS,
    AugmentConfig,
    ChannelPriorConfig,
    GaussianPriorConfig,
    LayeredPriorConfig,
    ModelFileConfig,
    OpenFWIPriorConfig,
    PatchPriorConfig,
    PriorConfig,
    SaltPriorConfig,
    WaterConfig,
)
from physics.config.survey import SurveyConfig

__all__ = [
    "EXECUTORS",
    "PRIOR_KINDS",
    "AcquisitionConfig",
    "ArealConfig",
    "AugmentConfig",
    "ChannelPriorConfig",
    "CrosswellConfig",
    "DaskConfig",
    "ExecutionConfig",
    "GaussianPriorConfig",
    "ImagingConfig",
    "LayeredPriorConfig",
    "ModelFileConfig",
    "NodesConfig",
    "NoiseConfig",
    "OpenFWIPriorConfig",
    "PairConfig",
    "PatchPriorConfig",
    "Place",
    "PositionsConfig",
    "PriorConfig",
    "ProcessesConfig",
    "RecordedSpectrumConfig",
    "SaltPriorConfig",
    "SegySurveyConfig",
    "SlurmConfig",
    "SpectrumConfig",
    "SpreadConfig",
    "SshConfig",
    "StreamerConfig",
    "SubsetConfig",
    "SurveyConfig",
    "SwellConfig",
    "TableSpectrumConfig",
    "VspConfig",
    "WaterConfig",
    "WaveletSpectrumConfig",
    "WhiteSpectrumConfig",
]
