"""What the caller of a diagnosis or of a watch may choose."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final


@final
@dataclass(frozen=True)
class DiagnoseConfig:
    """How :func:`posterior.diagnosis.write.diagnose` tests."""

    densities: int = 32
    """Draws of each pair whose log-density is evaluated; 0 for none."""
    seed: int = 0
    """Of ties, reference points and permutations."""
    progress: bool = True
    """Show progress bars."""


@final
@dataclass(frozen=True)
class WatchConfig:
    """How :meth:`posterior.diagnosis.watch.Watch.fit` learns."""

    rate: float = 0.05
    """Probability of an alarm for a survey of the training distribution."""
    known: int = 3000
    """Known surveys that are read at most."""
    taught: int = 2000
    """Foreign surveys of each kind that are made at most."""
    seed: int = 0
    """Of the foreign surveys and of what is taught with them."""
    progress: bool = True
    """Show a progress bar."""
