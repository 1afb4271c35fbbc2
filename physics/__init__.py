"""Wave physics on Devito: earth models, surveys, modelling, migration, gathers, priors, training pairs.

The names below load on first use: ``import physics.config`` needs no Devito.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from physics.acoustic import AcousticOperator as AcousticOperator
    from physics.encoding import SourceEncoding as SourceEncoding
    from physics.gathers import GatherOperator as GatherOperator
    from physics.gathers import symmetric_offsets as symmetric_offsets
    from physics.geometry import Acquisition as Acquisition
    from physics.linear import BornOperator as BornOperator
    from physics.linear import ForwardOperator as ForwardOperator
    from physics.linear import LinearOperator as LinearOperator
    from physics.linear import dot_test as dot_test
    from physics.model import EarthModel as EarthModel
    from physics.model_files import read_model as read_model
    from physics.modelling import Numerics as Numerics
    from physics.noise import add_noise as add_noise
    from physics.noise import add_survey_noise as add_survey_noise
    from physics.plan import Plan as Plan
    from physics.priors import make_prior as make_prior
    from physics.priors.statistics import summarise as summarise
    from physics.registry import load_model as load_model
    from physics.segy import read_shots as read_shots
    from physics.segy import write_shots as write_shots
    from physics.views import as_scipy as as_scipy
    from physics.wavelets import ricker as ricker

_HOME = {
    "AcousticOperator": "physics.acoustic",
    "Acquisition": "physics.geometry",
    "BornOperator": "physics.linear",
    "EarthModel": "physics.model",
    "ForwardOperator": "physics.linear",
    "GatherOperator": "physics.gathers",
    "LinearOperator": "physics.linear",
    "Numerics": "physics.modelling",
    "Plan": "physics.plan",
    "SourceEncoding": "physics.encoding",
    "add_noise": "physics.noise",
    "add_survey_noise": "physics.noise",
    "as_scipy": "physics.views",
    "dot_test": "physics.linear",
    "load_model": "physics.registry",
    "make_prior": "physics.priors",
    "read_model": "physics.model_files",
    "read_shots": "physics.segy",
    "ricker": "physics.wavelets",
    "summarise": "physics.priors.statistics",
    "symmetric_offsets": "physics.gathers",
    "write_shots": "physics.segy",
}
__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return list(__all__)
