"""The alarm of a trained posterior: fitted from held-out surveys, kept beside the model, asked before use."""

from __future__ import annotations

import dataclasses
import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from posterior.diagnosis.distance import Distance
from posterior.diagnosis.exposure import Exposure
from posterior.diagnosis.features import Posterior, available
from posterior.diagnosis.learn import Scorer, Surveys, divide, learn
from posterior.diagnosis.options import WatchConfig
from posterior.files import write_atomic
from posterior.uq import Alarms, Reference, Verdict

SCHEMA = "seispost-watch/2"
WATCH = "watch.npz"
"""Name of the file beside a model."""


@final
class Watch:
    """Says of a survey, from its data alone, whether it is like those the network was trained for.

    A check is a score of some features of y (:mod:`posterior.diagnosis.features`), or one handed in. What is
    usual is learnt from *known* surveys: a distance from them, or a classifier of them against foreign ones
    that are made of them (:class:`posterior.diagnosis.exposure.Exposure`). Thresholds are scores of surveys
    that no part of the check has seen, so that a new survey of the training distribution raises an alarm with
    at most the rate chosen, whatever the network (:class:`posterior.uq.Alarms`). Where a check asks the
    network, these must be *held-out* ones (``pairs``: a run's validation split), as the network knows its
    training surveys; for checks that do not ask it, a third of the training split that is kept aside serves
    too. A calibration split may come from elsewhere, as the demo's does.

    What it cannot tell: a network's errors on its own distribution, which calibration finds; and a departure
    that y hardly shows, such as a little more noise in data that a migration stacks away. Hand in ``extra``
    scores: :func:`posterior.diagnosis.records.noise_level`, which needs the records, and
    :func:`posterior.diagnosis.records.data_chi_square`, where data can be modelled.

    Example:
        >>> watch = Watch.fit(posterior, PairDataset("runs/demo/data/validation"))  # doctest: +SKIP
        >>> print(watch.verdict(y))  # doctest: +SKIP
    """

    def __init__(
        self,
        posterior: Posterior,
        scorers: Mapping[str, Scorer],
        references: Sequence[Reference],
        *,
        about: Mapping[str, Any],
    ) -> None:
        self._posterior, self._scorers = posterior, dict(scorers)
        self.references, self.about = tuple(references), dict(about)
        self._alarms = Alarms(self.references, rate=float(self.about["rate"]))

    @classmethod
    def fit(
        cls,
        posterior: Posterior,
        pairs: Surveys,
        *,
        known: Surveys | None = None,
        extra: Mapping[str, ArrayLike] | None = None,
        config: WatchConfig | None = None,
    ) -> Watch:
        """Learn what is usual.

        As many checks are kept as the surveys for their thresholds afford at the rate (19 a check at 5 %, and
        one more survey): scores handed in first, then in the order of
        :func:`posterior.diagnosis.features.available`; ``about["left_out"]`` names the others.

        Args:
            posterior: The trained posterior.
            pairs: Held-out surveys of the training distribution, for thresholds.
            known: Surveys that say what is usual, others than ``pairs``, such as the training split; without
                them every other of ``pairs`` is spent on that.
            extra: Name of a further score to its value for each of ``pairs``, (N,); large is suspicious.
            config: Rate, numbers of surveys, seed.

        Raises:
            ValueError: With too few surveys for a single check, or scores of another number.
        """
        how = config or WatchConfig()
        parts = divide(pairs, known, dict(extra or {}), most=how.known)
        checks, counts = available(posterior), {name: len(parts.held) for name in parts.extra}
        counts |= {
            name: len(parts.held) + (0 if check.network else len(parts.aside))
            for name, check in checks.items()
        }
        kept = _affordable(counts, how.rate)
        scorers, scores = learn(
            posterior, {name: check for name, check in checks.items() if name in kept}, parts, how
        )
        scores = {name: parts.extra[name] for name in parts.extra if name in kept} | scores
        about = {
            "rate": how.rate,
            "model_sha256": posterior.sha256,
            "held_out": pairs.fingerprint,
            "num_held_out": len(parts.held),
            "num_aside": len(parts.aside),
            "num_known": len(parts.usual),
            "left_out": [name for name in counts if name not in kept],
        }
        references = [Reference(name, values, tail="upper") for name, values in scores.items()]
        return cls(posterior, scorers, references, about=about)

    def scores(self, y: ArrayLike | Tensor, extra: Mapping[str, float] | None = None) -> dict[str, float]:
        """Score of one survey by the name of the check.

        Args:
            y: Observation (K, ...), physical units.
            extra: The scores that were handed in, for this survey.
        """
        survey = torch.as_tensor(y).float()
        if tuple(survey.shape) != tuple(self._posterior.info.y_shape) or not survey.isfinite().all():
            raise ValueError(
                f"expected finite y of shape {tuple(self._posterior.info.y_shape)}, got "
                f"{tuple(survey.shape)} with {int((~survey.isfinite()).sum())} values that are not"
            )
        found = available(self._posterior)
        own = {
            name: score(found[name].feature(self._posterior, survey)) for name, score in self._scorers.items()
        }
        return {**dict(extra or {}), **own}

    def verdict(self, y: ArrayLike | Tensor, extra: Mapping[str, float] | None = None) -> Verdict:
        """Judge one survey, before its posterior is believed.

        Args:
            y: Observation (K, ...), physical units.
            extra: The scores that were handed in, for this survey.

        Raises:
            ValueError: If y is of another shape or not finite, or a score is missing.
        """
        return self._alarms.verdict(self.scores(y, extra))

    def save(self, path: str | Path) -> Path:
        """Write one npz file of numbers and text, whole or not at all; a folder gets ``watch.npz``."""
        target = _file(path)
        arrays: dict[str, Any] = {"about": np.array(json.dumps({"schema": SCHEMA, **self.about}))}
        arrays["names"] = np.array(json.dumps([reference.name for reference in self.references]))
        for number, reference in enumerate(self.references):
            arrays[f"scores{number}"] = reference.scores
            if (scorer := self._scorers.get(reference.name)) is not None:
                arrays |= {f"{part}{number}": getattr(scorer, part) for part in _parts(type(scorer))}
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **arrays)
        write_atomic(target, buffer.getbuffer())
        return target

    @classmethod
    def load(cls, path: str | Path, posterior: Posterior) -> Watch:
        """Read what :meth:`save` wrote; nothing in the file is run.

        Raises:
            FileNotFoundError: No such file.
            ValueError: Another schema, a broken file, or the watch of another model.
        """
        target = _file(path)
        if not target.is_file():
            raise FileNotFoundError(f"{target}: expected the watch of a model, got none: see Watch.fit")
        try:
            # From memory: of a broken file numpy would leave the handle open.
            with np.load(io.BytesIO(target.read_bytes()), allow_pickle=False) as file:
                about = json.loads(str(file["about"]))
                names = json.loads(str(file["names"]))
                references = [Reference(name, file[f"scores{i}"], "upper") for i, name in enumerate(names)]
                found = {name: _read(file, number) for number, name in enumerate(names)}
                scorers = {name: scorer for name, scorer in found.items() if scorer is not None}
            schema, model = about.pop("schema"), about["model_sha256"]
        except (OSError, KeyError, ValueError, TypeError, zipfile.BadZipFile) as error:
            raise ValueError(f"{target}: expected a whole file of schema {SCHEMA!r}, got {error}") from None
        if schema != SCHEMA:
            raise ValueError(f"{target}: expected schema {SCHEMA!r}, got {schema!r}")
        if model != posterior.sha256:
            raise ValueError(f"{target}: expected the watch of model {posterior.sha256}, got that of {model}")
        return cls(posterior, scorers, references, about=about)


def _file(path: str | Path) -> Path:
    target = Path(path)
    return target / WATCH if target.is_dir() else target


def _affordable(counts: Mapping[str, int], rate: float) -> list[str]:
    """Names of the checks that their numbers of surveys afford together at the rate, in order."""
    kept: list[str] = []
    for name in counts:
        least = min(counts[other] for other in [*kept, name])
        if len(kept) + 1 <= int(rate * (least + 1) + 1e-9):
            kept.append(name)
    if not kept:
        needed, most = int(np.ceil(1 / rate)) - 1, max(counts.values())
        raise ValueError(f"expected at least {needed} held-out surveys, got {most}")
    return kept


def _parts(kind: type[Scorer]) -> tuple[str, ...]:
    return tuple(field.name for field in dataclasses.fields(kind))


def _read(file: Mapping[str, Any], number: int) -> Scorer | None:
    """The scorer of a check in a file; None for a score that is handed in."""
    for kind in (Exposure, Distance):
        names = {part: f"{part}{number}" for part in _parts(kind)}
        if all(name in file for name in names.values()):
            return kind(**{part: file[name] for part, name in names.items()})
    return None
