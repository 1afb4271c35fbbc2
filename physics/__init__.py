"""Wave physics on Devito: earth models, acquisition, modelling, migration, priors, training pairs.

The names below load on first use: ``import physics.config`` needs no Devito.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from physics.geometry import Acquisition as Acquisition
    from physics.linear import BornOperator as BornOperator
    from physics.linear import ForwardOperator as ForwardOperator
    from physics.linear import LinearOperator as LinearOperator
    from physics.linear import dot_test as dot_test
    from physics.model import EarthModel as EarthModel
    from physics.noise import add_noise as add_noise
    from physics.registry import load_model as load_model
    from physics.wavelets import ricker as ricker

_HOME = {
    "Acquisition": "physics.geometry",
    "BornOperator": "physics.linear",
    "EarthModel": "physics.model",
    "ForwardOperator": "physics.linear",
    "LinearOperator": "physics.linear",
    "add_noise": "physics.noise",
    "dot_test": "physics.linear",
    "load_model": "physics.registry",
    "ricker": "physics.wavelets",
}
__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return list(__all__)
