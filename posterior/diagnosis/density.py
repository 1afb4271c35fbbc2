"""Log-densities of truths and draws under the network, kept on disk as they come: they take longest."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from posterior import uq
from posterior.files import write_atomic
from posterior.progress import Progress
from posterior.report.splits import Split
from posterior.sample import AmortizedPosterior

Array = NDArray[Any]
_EVERY = 10  # pairs after which what is there is written


@final
@dataclass(frozen=True)
class Densities:
    """``log q(x | y)`` of the truths of a split and of some of their posterior draws, whole images, nats."""

    truths: Array
    """(P,)."""
    draws: Array
    """(P, D)."""
    cells: int
    """Values of one image."""

    @property
    def credibilities(self) -> uq.TarpResult:
        """Draws of higher density than the truth: the credibility of the highest-density region it bounds."""
        pairs = zip(-self.draws, -self.truths, strict=True)
        ranks = [int(uq.rank(drawn, np.array(true), seed=seed)) for seed, (drawn, true) in enumerate(pairs)]
        return uq.TarpResult(np.array(ranks), self.draws.shape[1], 0)

    @property
    def score(self) -> uq.LogScore:
        """The exact log score."""
        return uq.log_score(self.truths, self.cells)


def log_densities(
    posterior: AmortizedPosterior, split: Split, path: Path, *, draws: int, progress: bool = True
) -> Densities:
    """Evaluate them, or go on where an interrupted run stopped.

    Args:
        posterior: The model that drew the split's draws.
        split: Pairs and draws.
        path: JSON file that keeps what is done.
        draws: Draws D of each pair that are evaluated; their first ones.
        progress: Show a progress bar.

    Raises:
        ValueError: If the draws are of another model.
    """
    first = split.samples(int(split.pairs.index[0]))
    if first.model_sha256 != posterior.sha256:
        raise ValueError(f"expected draws of model {posterior.sha256}, got those of {first.model_sha256}")
    about = {**split.drawn_by, "draws": min(draws, len(first.samples))}
    done = _kept(path, about)
    missing = [int(index) for index in split.pairs.index if str(int(index)) not in done]
    bar = Progress("log q", len(split.pairs), done=len(split.pairs) - len(missing), shown=progress)
    for count, index in enumerate(missing, start=1):
        x, y = split.pairs[split.position(index)]
        both = np.concatenate([x[None].numpy(), split.samples(index).samples[: about["draws"]]])
        done[str(index)] = posterior.log_prob(both, y).tolist()
        bar.advance()
        if count % _EVERY == 0 or count == len(missing):
            write_atomic(path, json.dumps({"about": about, "pairs": done}).encode())
    bar.close()
    table = np.array([done[str(int(index))] for index in split.pairs.index])
    return Densities(table[:, 0], table[:, 1:], int(np.prod(split.pairs.x_shape)))


def _kept(path: Path, about: Mapping[str, Any]) -> dict[str, list[float]]:
    """What is on disk of the same model, data and draws; anything else is made again."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    same = isinstance(found, dict) and found.get("about") == dict(about)
    return dict(found["pairs"]) if same else {}
