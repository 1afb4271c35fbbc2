"""The alarm of a trained posterior: fitted from held-out surveys, kept beside the model, asked before use."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, final

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from posterior.diagnosis.distance import Distance
from posterior.diagnosis.features import Array, Posterior, available
from posterior.files import write_atomic
from posterior.progress import Progress
from posterior.uq import Alarms, Reference, Verdict

SCHEMA = "seispost-watch/1"
WATCH = "watch.npz"
"""Name of the file beside a model."""
MOST_KNOWN = 300
"""Known surveys that are used at most."""


class Surveys(Protocol):
    """Pairs of which only y is read, such as :class:`posterior.dataset.PairDataset`."""

    @property
    def fingerprint(self) -> str:
        """A digest of the content."""
        ...

    def __len__(self) -> int: ...

    def __getitem__(self, position: int) -> tuple[Tensor, Tensor]: ...


@final
class Watch:
    """Says of a survey, from its data alone, whether it is like those the network was trained for.

    Each check is the distance of some features of y (:mod:`posterior.diagnosis.features`) from those of
    known surveys, or a score handed in. Thresholds come from *held-out* surveys of the training distribution
    (``pairs``: a run's validation split), which neither fitted the network nor the distance: then a new
    survey of that distribution raises an alarm with at most the rate chosen, whatever the network
    (:class:`posterior.uq.Alarms`). The training split cannot serve: the network knows its surveys. A
    calibration split may come from elsewhere, as the demo's does.

    What it cannot tell: a network's errors on its own distribution, which calibration finds; and a departure
    that y hardly shows, such as more noise in data that a migration stacks away. Hand in ``extra`` scores,
    above all :func:`posterior.diagnosis.features.data_chi_square`, where data can be modelled.

    Example:
        >>> watch = Watch.fit(posterior, PairDataset("runs/demo/data/validation"))  # doctest: +SKIP
        >>> print(watch.verdict(y))  # doctest: +SKIP
    """

    def __init__(
        self,
        posterior: Posterior,
        distances: Mapping[str, Distance],
        references: Sequence[Reference],
        *,
        about: Mapping[str, Any],
    ) -> None:
        self._posterior, self._distances = posterior, dict(distances)
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
        rate: float = 0.05,
        progress: bool = True,
    ) -> Watch:
        """Learn what is usual.

        As many checks are kept as the held-out surveys afford at the rate (19 a check at 5 %, and one more
        survey): scores handed in first, then in the order of
        :func:`posterior.diagnosis.features.available`; ``about["left_out"]`` names the others.

        Args:
            posterior: The trained posterior.
            pairs: Held-out surveys of the training distribution, for thresholds.
            known: Surveys that say what features are usual, others than ``pairs``, such as the training
                split, of which at most 300 are read; without them every other of ``pairs`` is spent on that.
            extra: Name of a further score to its value for each of ``pairs``, (N,); large is suspicious.
            rate: Probability of an alarm for a survey of the training distribution.
            progress: Show a progress bar.

        Raises:
            ValueError: With too few surveys for a single check, or scores of another number.
        """
        held, usual, further = _divided(pairs, known, dict(extra or {}))
        names = [*further, *available(posterior)]
        affordable = int(rate * (len(held) + 1) + 1e-9)
        if affordable < 1:
            raise ValueError(
                f"expected at least {int(np.ceil(1 / rate)) - 1} held-out surveys, got {len(held)}"
            )
        kept = names[:affordable]
        features = {name: feature for name, feature in available(posterior).items() if name in kept}
        bar = Progress("watch", len(usual) + len(held), shown=progress)
        tables: list[dict[str, list[Array]]] = [{name: [] for name in features} for _ in range(2)]
        for table, surveys in zip(tables, (usual, held), strict=True):
            for y in surveys:
                for name, feature in features.items():
                    table[name].append(feature(posterior, y))
                bar.advance()
        bar.close()
        distances = {name: Distance.fit(np.stack(tables[0][name])) for name in features}
        scores: dict[str, Any] = {name: further[name] for name in further if name in kept}
        scores |= {name: [distances[name](row) for row in tables[1][name]] for name in features}
        about = {
            "rate": rate,
            "model_sha256": posterior.sha256,
            "held_out": pairs.fingerprint,
            "num_held_out": len(held),
            "num_known": len(usual),
            "left_out": names[affordable:],
        }
        references = [Reference(name, values, tail="upper") for name, values in scores.items()]
        return cls(posterior, distances, references, about=about)

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
        own = {name: far(found[name](self._posterior, survey)) for name, far in self._distances.items()}
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
            if (distance := self._distances.get(reference.name)) is not None:
                arrays[f"mean{number}"], arrays[f"axes{number}"] = distance.mean, distance.axes
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
                distances = {
                    name: Distance(file[f"mean{i}"], file[f"axes{i}"])
                    for i, name in enumerate(names)
                    if f"mean{i}" in file
                }
            schema, model = about.pop("schema"), about["model_sha256"]
        except (OSError, KeyError, ValueError, TypeError, zipfile.BadZipFile) as error:
            raise ValueError(f"{target}: expected a whole file of schema {SCHEMA!r}, got {error}") from None
        if schema != SCHEMA:
            raise ValueError(f"{target}: expected schema {SCHEMA!r}, got {schema!r}")
        if model != posterior.sha256:
            raise ValueError(f"{target}: expected the watch of model {posterior.sha256}, got that of {model}")
        return cls(posterior, distances, references, about=about)


def _file(path: str | Path) -> Path:
    target = Path(path)
    return target / WATCH if target.is_dir() else target


def _divided(
    pairs: Surveys, known: Surveys | None, extra: dict[str, ArrayLike]
) -> tuple[list[Tensor], list[Tensor], dict[str, Array]]:
    """Held-out surveys, known ones, and the scores handed in for the held-out ones."""
    further = {name: np.asarray(values, dtype=np.float64) for name, values in extra.items()}
    for name, values in further.items():
        if values.shape != (len(pairs),):
            raise ValueError(f"expected scores of {name!r} of shape ({len(pairs)},), got {values.shape}")
    if known is not None:
        if known.fingerprint == pairs.fingerprint:
            raise ValueError("expected known surveys other than the held-out ones, got the same dataset")
        places = np.linspace(0, len(known) - 1, min(MOST_KNOWN, len(known))).round().astype(int)
        return [pairs[i][1] for i in range(len(pairs))], [known[int(i)][1] for i in places], further
    held = [pairs[i][1] for i in range(0, len(pairs), 2)]
    usual = [pairs[i][1] for i in range(1, len(pairs), 2)]
    return held, usual, {name: values[::2] for name, values in further.items()}
