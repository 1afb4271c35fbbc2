"""Amortized posteriors of images and volumes by conditional invertible networks.

The names below load on first use, so that ``import posterior`` costs nothing and the command's ``--help``
answers at once.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from posterior.dataset import PairDataset as PairDataset
    from posterior.diagnosis import Watch as Watch
    from posterior.diagnosis import diagnose as diagnose
    from posterior.diagnosis import fit_watch as fit_watch
    from posterior.flow import ConditionalFlow as ConditionalFlow
    from posterior.interop.distribution import ConditionalDistribution as ConditionalDistribution
    from posterior.interop.sbi import SbiPosterior as SbiPosterior
    from posterior.invertible import Invertible as Invertible
    from posterior.jacobian import Jacobian as Jacobian
    from posterior.lanes import TwoLanes as TwoLanes
    from posterior.layers.inverse import Inverse as Inverse
    from posterior.layers.summarised import Summarised as Summarised
    from posterior.linear_map import LinearMap as LinearMap
    from posterior.linear_misfit import LinearMisfit as LinearMisfit
    from posterior.networks.conditional_hint import ConditionalHINT as ConditionalHINT
    from posterior.networks.dense import DenseFlow as DenseFlow
    from posterior.networks.glow import ConditionalGlow as ConditionalGlow
    from posterior.networks.glow import Glow as Glow
    from posterior.networks.hint import HINT as HINT
    from posterior.networks.hyperbolic import Hyperbolic as Hyperbolic
    from posterior.networks.loop import Known as Known
    from posterior.networks.loop import LoopUnrolled as LoopUnrolled
    from posterior.nonlinear_misfit import NonlinearMisfit as NonlinearMisfit
    from posterior.reversible import Memory as Memory
    from posterior.reversible import Sequential as Sequential
    from posterior.sample import AmortizedPosterior as AmortizedPosterior
    from posterior.training.first_guess import fit_first_guess as fit_first_guess
    from posterior.training.reconstruct import Problem as Problem
    from posterior.training.reconstruct import fit_reconstruction as fit_reconstruction

__version__ = "0.1.0"

_HOME = {
    "AmortizedPosterior": "posterior.sample",
    "ConditionalDistribution": "posterior.interop.distribution",
    "ConditionalFlow": "posterior.flow",
    "ConditionalGlow": "posterior.networks.glow",
    "ConditionalHINT": "posterior.networks.conditional_hint",
    "DenseFlow": "posterior.networks.dense",
    "diagnose": "posterior.diagnosis",
    "fit_first_guess": "posterior.training.first_guess",
    "fit_reconstruction": "posterior.training.reconstruct",
    "fit_watch": "posterior.diagnosis",
    "Glow": "posterior.networks.glow",
    "HINT": "posterior.networks.hint",
    "Hyperbolic": "posterior.networks.hyperbolic",
    "Inverse": "posterior.layers.inverse",
    "Invertible": "posterior.invertible",
    "Jacobian": "posterior.jacobian",
    "Known": "posterior.networks.loop",
    "LinearMap": "posterior.linear_map",
    "LinearMisfit": "posterior.linear_misfit",
    "LoopUnrolled": "posterior.networks.loop",
    "Memory": "posterior.reversible",
    "NonlinearMisfit": "posterior.nonlinear_misfit",
    "PairDataset": "posterior.dataset",
    "Problem": "posterior.training.reconstruct",
    "SbiPosterior": "posterior.interop.sbi",
    "Sequential": "posterior.reversible",
    "Summarised": "posterior.layers.summarised",
    "TwoLanes": "posterior.lanes",
    "Watch": "posterior.diagnosis",
}
__all__ = ["__version__", *sorted(_HOME)]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
