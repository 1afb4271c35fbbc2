"""A small classifier of known against foreign surveys, taught on foreign ones that are made of known ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import nn

Array = NDArray[Any]

_REACH = 30.0
"""Standard deviations at which features are clipped: what lies far out must not decide by itself."""
_HIDDEN, _MEMBERS, _EPOCHS, _BATCH = 32, 6, 50, 128
_RATE, _DECAY, _DROPPED = 2e-3, 1e-2, (0.1, 0.3)


@final
@dataclass(frozen=True)
class Exposure:
    r"""Log-odds that a survey is of one of the foreign kinds rather than known, mean of a few networks.

    .. math:: \log \sum_{k > 0} e^{l_k(f)} - l_0(f)

    with logits :math:`l` of networks with one hidden layer, of class 0 (known) and each foreign kind.
    Directions in which foreign structure shows are few among many in which known surveys vary: a distance
    spends its power on all of them, a classifier does not. It knows no more of other foreign kinds than they
    have in common with those it was taught.

    Source: outlier exposure, Hendrycks, Mazeika and Dietterich, ICLR 2019; outliers made of the training
    data themselves.
    """

    mean: Array
    """Mean of the features, (m,)."""
    scale: Array
    """One over their std, 0 where they do not vary, (m,)."""
    first: Array
    """Weights of the hidden layers, bias last, (members, hidden, m + 1)."""
    second: Array
    """Weights of the logits, bias last, (members, kinds + 1, hidden + 1)."""

    @classmethod
    def fit(cls, known: ArrayLike, foreign: Sequence[ArrayLike], *, seed: int = 0) -> Exposure:
        """Teach it.

        Args:
            known: Features of known surveys, (N, m).
            foreign: Features of each foreign kind, each (M, m).
            seed: Of weights, batches and dropout; the global generator is left as it was.

        Raises:
            ValueError: If features are not finite, or known surveys too few.
        """
        tables = [np.asarray(table, dtype=np.float64) for table in (known, *foreign)]
        usual = tables[0]
        if usual.ndim != 2 or len(usual) < 8 or not all(np.isfinite(table).all() for table in tables):
            raise ValueError(f"expected finite features (N, m) of at least 8 surveys, got {usual.shape}")
        mean, spread = usual.mean(axis=0), usual.std(axis=0, ddof=1)
        scale = np.where(spread > 0.0, 1.0 / np.where(spread > 0.0, spread, 1.0), 0.0)
        inputs = np.clip((np.concatenate(tables) - mean) * scale, -_REACH, _REACH)
        kinds = np.repeat(np.arange(len(tables)), [len(table) for table in tables])
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            nets = [_taught(torch.tensor(inputs).float(), torch.tensor(kinds)) for _ in range(_MEMBERS)]
        layers = [np.stack([_weights(net[place]) for net in nets]) for place in (1, 4)]
        return cls(mean, scale, *layers)

    def __call__(self, features: ArrayLike) -> float:
        """Log-odds of one survey; NaN (an alarm) where its features are not finite.

        Args:
            features: (m,).
        """
        values = np.asarray(features, dtype=np.float64)
        if not np.isfinite(values).all():
            return float("nan")
        inputs = np.clip((values - self.mean) * self.scale, -_REACH, _REACH)
        hidden = self.first[..., :-1] @ inputs + self.first[..., -1]
        hidden = hidden / (1.0 + np.exp(-hidden))
        logits = (self.second[..., :-1] @ hidden[..., None])[..., 0] + self.second[..., -1]
        return float(np.mean(np.logaddexp.reduce(logits[:, 1:], axis=1) - logits[:, 0]))


def _taught(inputs: torch.Tensor, kinds: torch.Tensor) -> nn.Sequential:
    classes = int(kinds.max()) + 1
    net = nn.Sequential(
        nn.Dropout(_DROPPED[0]),
        nn.Linear(inputs.shape[1], _HIDDEN),
        nn.SiLU(),
        nn.Dropout(_DROPPED[1]),
        nn.Linear(_HIDDEN, classes),
    )
    counts = torch.bincount(kinds).float()
    # Known surveys weigh as much as all foreign ones together.
    weight = counts.sum() / counts
    weight[1:] /= classes - 1
    loss = nn.CrossEntropyLoss(weight=weight)
    optimizer = torch.optim.AdamW(net.parameters(), lr=_RATE, weight_decay=_DECAY)
    for _ in range(_EPOCHS):
        for batch in torch.randperm(len(inputs)).split(_BATCH):
            optimizer.zero_grad()
            loss(net(inputs[batch]), kinds[batch]).backward()
            optimizer.step()
    return net


def _weights(layer: nn.Module) -> Array:
    if not isinstance(layer, nn.Linear):
        raise TypeError(f"expected a linear layer, got {type(layer).__name__}")
    both = torch.cat([layer.weight, layer.bias[:, None]], dim=1)
    return both.detach().double().numpy()
