"""Amortized posteriors of images and volumes by conditional invertible networks.

The names below load on first use, so that ``import posterior`` costs nothing and the command's ``--help``
answers at once.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from posterior.dataset import PairDataset as PairDataset
    from posterior.flow import ConditionalFlow as ConditionalFlow
    from posterior.invertible import Invertible as Invertible
    from posterior.networks.glow import ConditionalGlow as ConditionalGlow
    from posterior.reversible import Sequential as Sequential
    from posterior.sample import AmortizedPosterior as AmortizedPosterior

__version__ = "0.1.0"

_HOME = {
    "AmortizedPosterior": "posterior.sample",
    "ConditionalFlow": "posterior.flow",
    "ConditionalGlow": "posterior.networks.glow",
    "Invertible": "posterior.invertible",
    "PairDataset": "posterior.dataset",
    "Sequential": "posterior.reversible",
}
__all__ = ["__version__", *sorted(_HOME)]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
