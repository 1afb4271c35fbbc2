"""What a trained model says of itself: shapes, channels, units, grid, architecture, data, software."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Self, final

from posterior.config import NetworkConfig
from posterior.dataset import PairDataset
from posterior.files import versions


@final
@dataclass(frozen=True, kw_only=True)
class ModelInfo:
    """What a model was trained on, so that samples can be read in physical terms.

    Args:
        x_shape, y_shape: (C, nx, nz) and (K, nx, nz).
        x_channels, x_units, y_channels, y_units: one name and one unit a channel.
        spacing, origin: of the grid [m].
        mirror, reverse: symmetries that training taught the network (:mod:`posterior.symmetry`).
        network: architecture; None for a flow of one's own, which then cannot be loaded from a folder.
        data: configuration hash and fingerprint of the training pairs.
        training: settings and outcome of the training.
        versions: of the software that trained it.
    """

    x_shape: tuple[int, ...]
    y_shape: tuple[int, ...]
    x_channels: tuple[str, ...] = ()
    x_units: tuple[str, ...] = ()
    y_channels: tuple[str, ...] = ()
    y_units: tuple[str, ...] = ()
    spacing: tuple[float, ...] = ()
    origin: tuple[float, ...] = ()
    mirror: bool = False
    reverse: bool = False
    network: NetworkConfig | None = None
    data: dict[str, str] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=versions)

    @classmethod
    def of(cls, pairs: PairDataset, network: NetworkConfig, training: dict[str, Any]) -> Self:
        """Describe a model trained on a dataset; ``training`` are the settings and what came of them."""
        names = ("x_shape", "y_shape", "x_channels", "x_units", "y_channels", "y_units", "spacing", "origin")
        data = {"config_hash": pairs.config_hash, "fingerprint": pairs.fingerprint}
        shared: dict[str, Any] = {name: getattr(pairs, name) for name in names}
        shared |= {"mirror": training["flip"], "reverse": training["reverse"]}
        return cls(**shared, network=network, data=data, training=training)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Self:
        """Inverse of ``dataclasses.asdict`` and JSON."""
        known: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in values.items()
        }
        network = values["network"]
        known["network"] = None if network is None else NetworkConfig(**network)
        return cls(**known)
