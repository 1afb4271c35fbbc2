"""Numbers of a survey that need its data y alone: what an alarm listens to."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from posterior import uq
from posterior.diagnosis.foreign import BACKGROUNDS, IMAGES, Foreign
from posterior.diagnosis.structure import background_shape, spectrum, structure
from posterior.standardise import Standardiser
from posterior.symmetry import scaled_channels

Array = NDArray[Any]

DRAWS = 16
"""Posterior draws behind the feature "draws"."""
_FLOOR = 1e-12


class Posterior(Protocol):
    """What features need of a posterior, such as :class:`posterior.sample.AmortizedPosterior`."""

    standardiser: Standardiser
    info: Any

    @property
    def flow(self) -> nn.Module:
        """The network."""
        ...

    @property
    def sha256(self) -> str:
        """Identity of the model."""
        ...

    def sample(self, num_samples: int, y: Tensor, *, seed: int, batch_size: int) -> NDArray[np.float32]:
        """Draw (num_samples, C, ...) for y (K, ...)."""
        ...

    def log_prob(self, x: NDArray[np.float32], y: Tensor) -> NDArray[np.float64]:
        """Log-density of x (B, C, ...) given y (K, ...)."""
        ...


Feature = Callable[[Posterior, Tensor], Array]
"""Takes a posterior and y (K, ...) in physical units, returns numbers (m,)."""


def image_structure(posterior: Posterior, y: Tensor) -> Array:
    """Statistics of each image in y that foreign structure changes (:func:`.structure.structure`)."""
    images = _channels(posterior, y)[0]
    return np.concatenate([structure(y[place].double().cpu().numpy()) for place in images])


def background_features(posterior: Posterior, y: Tensor) -> Array:
    """Shape of each background in y (:func:`.structure.background_shape`)."""
    backgrounds = _channels(posterior, y)[1]
    return np.concatenate([background_shape(y[place].double().cpu().numpy()) for place in backgrounds])


def spectra(posterior: Posterior, y: Tensor) -> Array:
    """Spectrum of each image in y, and the shape of each background.

    Images are channels that follow the amplitude of x. Another geology or another wavelet has other bands.
    """
    images, backgrounds = _channels(posterior, y)
    found = [spectrum(y[place].double().cpu().numpy()) for place in images]
    return np.concatenate(found + ([background_features(posterior, y)] if backgrounds else []))


def _channels(posterior: Posterior, y: Tensor) -> tuple[list[int], list[int]]:
    """Places of images and of backgrounds in y."""
    follows = scaled_channels(posterior.info.y_channels) or (True,) * len(y)
    return [i for i, image in enumerate(follows) if image], [
        i for i, image in enumerate(follows) if not image
    ]


@torch.no_grad()
def pooled_summary(posterior: Posterior, y: Tensor) -> Array:
    """Mean and log std over cells of each channel of the network's summary h(y), (2 K',)."""
    channels = _summary(posterior)(_standardised(posterior, y))[0].flatten(1).double()
    spread = channels.std(1, correction=0).clamp_min(_FLOOR).log()
    return torch.cat([channels.mean(1), spread]).cpu().numpy()


def draw_features(posterior: Posterior, y: Tensor) -> Array:
    """How sure and how varied the posterior of y is: a test that its draws are of the typical kind.

    Mean over draws of log q(x | y) a cell, its standard deviation (log), and the share of the draws' energy
    that is spread about their mean (log).
    """
    draws = posterior.sample(DRAWS, y, seed=0, batch_size=DRAWS)
    density = posterior.log_prob(draws, y)
    std = draws.std(axis=0, ddof=1, dtype=np.float64)
    spread, mean = float((std**2).mean()), float((draws.mean(axis=0, dtype=np.float64) ** 2).mean())
    cells = draws[0].size
    scale = math.log(float(density.std(ddof=1)) + _FLOOR)
    # Physical units may be tiny: no floor on squares of x.
    return np.array([density.mean() / cells, scale, math.log(spread / (spread + mean))])


@torch.no_grad()
def joint_latent(posterior: Posterior, y: Tensor) -> Array:
    """Latent norm and log q(h(y)) a cell, where the network has a lane of its own for the condition.

    Only a network trained on the joint likelihood makes them sharp; any other still gets valid thresholds.
    """
    network: Any = getattr(posterior.flow, "network", None)
    condition = _summary(posterior)(_standardised(posterior, y))
    latent, logdet = network.encode_y(condition)
    norm = float(uq.latent_norm(latent.cpu().numpy())[0])
    cells = latent[0].numel()
    density = -0.5 * (norm + math.log(2.0 * math.pi)) + float(logdet[0]) / cells
    return np.array([norm, density])


@final
@dataclass(frozen=True)
class Check:
    """A check that needs y alone."""

    feature: Feature
    """What it looks at."""
    network: bool = False
    """Whether the features come from the network, to which its training surveys are no new ones."""
    foreign: tuple[Foreign, ...] = ()
    """How foreign surveys are made that it is taught to tell from known ones; none: a distance."""
    channels: tuple[int, ...] = ()
    """Places in y that are made foreign."""


def available(posterior: Posterior) -> dict[str, Check]:
    """The checks that this posterior can be given, by name, in falling order of use."""
    images, backgrounds = (tuple(p) for p in _channels(posterior, torch.empty(posterior.info.y_shape[0])))
    found = {"structure": Check(image_structure, foreign=IMAGES, channels=images)} if images else {}
    if backgrounds:
        found["background"] = Check(background_features, foreign=BACKGROUNDS, channels=backgrounds)
    found |= {"spectrum": Check(spectra), "draws": Check(draw_features, network=True)}
    network = getattr(posterior.flow, "network", None)
    if isinstance(getattr(posterior.flow, "summary", None), nn.Module):
        found["summary"] = Check(pooled_summary, network=True)
        if hasattr(network, "encode_y"):
            found["latent"] = Check(joint_latent, network=True)
    return found


def _standardised(posterior: Posterior, y: Tensor) -> Tensor:
    """The data as a batch of one in the network's units, where the network is."""
    device = next((value.device for value in posterior.flow.state_dict().values()), y.device)
    return posterior.standardiser.standardise_y(y[None].to(device))


def _summary(posterior: Posterior) -> nn.Module:
    summary = getattr(posterior.flow, "summary", None)
    if not isinstance(summary, nn.Module):
        raise TypeError(f"expected a flow with a summary network, got {type(posterior.flow).__name__}")
    return summary
