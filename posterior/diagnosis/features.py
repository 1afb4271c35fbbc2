"""Numbers of a survey that need its data y alone: what an alarm listens to."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from posterior import uq
from posterior.standardise import Standardiser
from posterior.symmetry import scaled_channels

Array = NDArray[Any]

DRAWS = 16
"""Posterior draws behind the feature "draws"."""
_BANDS, _SECTORS = 6, 4
_HIGHEST = 0.45
"""Wavenumber of the last band's upper edge [cycles a cell]."""
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


def image_spectrum(posterior: Posterior, y: Tensor) -> Array:
    """Log energy of each image in y, and the share of it in bands of wavenumber and sectors of dip.

    Images, not backgrounds: channels that follow the amplitude of x. Noise in the data spreads over all dips;
    another geology, or another wavelet, has other bands.
    """
    u = _standardised(posterior, y)[0].double().cpu().numpy()
    follows = scaled_channels(posterior.info.y_channels) or (True,) * len(u)
    return np.concatenate([_spectrum(image) for image, kept in zip(u, follows, strict=True) if kept])


def _spectrum(image: Array) -> Array:
    window = np.ones(())
    for size in image.shape:
        window = np.multiply.outer(window, np.hanning(size + 2)[1:-1])
    power = np.abs(np.fft.fftn(image * window)) ** 2
    waves = np.meshgrid(*(np.fft.fftfreq(size) for size in image.shape), indexing="ij")
    wavenumber, across = np.sqrt(sum(k**2 for k in waves)), np.sqrt(sum(k**2 for k in waves[:-1]))
    band = np.minimum((wavenumber / _HIGHEST * _BANDS).astype(int), _BANDS - 1)
    dip = np.arctan2(across, np.abs(waves[-1])) / (0.5 * np.pi)
    part = band * _SECTORS + np.minimum((dip * _SECTORS).astype(int), _SECTORS - 1)
    energy = np.bincount(part.ravel(), power.ravel(), _BANDS * _SECTORS)
    total = float(power.sum()) + _FLOOR
    return np.log(np.concatenate([[total], energy / total + _FLOOR]))


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


def available(posterior: Posterior) -> dict[str, Feature]:
    """The features that this posterior's network can give, by name, in falling order of use."""
    found: dict[str, Feature] = {"image spectrum": image_spectrum, "draws": draw_features}
    network = getattr(posterior.flow, "network", None)
    if isinstance(getattr(posterior.flow, "summary", None), nn.Module):
        found["summary"] = pooled_summary
        if hasattr(network, "encode_y"):
            found["latent"] = joint_latent
    return found


def data_chi_square(
    draws: ArrayLike,
    predict: Callable[[Array], ArrayLike],
    observed: ArrayLike,
    noise_std: ArrayLike,
    *,
    predicted: int = 4,
) -> float:
    r"""Misfit of the data by the posterior mean over what the posterior itself expects it to be.

    .. math:: \frac{\chi^2(\bar x)}{1 + (1 + 1/S) v}, \quad \chi^2(x) = \frac1n \sum \Big(
        \frac{F(x) - d}{\sigma} \Big)^2, \quad v = \frac{S}{S - 1} \operatorname{mean}_s \frac1n \sum \Big(
        \frac{F(x^s) - F(\bar x)}{\sigma} \Big)^2

    About 1 for a right posterior and linear F; stronger noise than trained for, or structure that the network
    does not explain, raises it: the sharpest alarm, where data can be modelled. Hand it to
    :meth:`posterior.diagnosis.watch.Watch.fit` and ``verdict`` as ``extra``.

    Args:
        draws: Posterior draws of the survey, (S, ...).
        predict: Modelling F, images (n, ...) to noise-free data (n, *data), such as a Born operator.
        observed: Observed data d, (*data).
        noise_std: Standard deviation of the noise that the network was trained with, a number or (*data).
        predicted: Draws whose data are modelled for v.
    """
    images = uq.mean(draws), *np.asarray(draws)[:predicted]
    data = np.asarray(predict(np.stack(images)))
    check, spread = uq.Predictive(observed, noise_std), uq.Predictive(data[0], noise_std)
    check.update(data[:1])
    spread.update(data[1:])
    count = len(np.asarray(draws))
    v = float(spread.result().chi_square.mean()) * count / (count - 1)
    return check.result().chi_square_mean / (1.0 + (1.0 + 1.0 / count) * v)


def _standardised(posterior: Posterior, y: Tensor) -> Tensor:
    """The data as a batch of one in the network's units, where the network is."""
    device = next((value.device for value in posterior.flow.state_dict().values()), y.device)
    return posterior.standardiser.standardise_y(y[None].to(device))


def _summary(posterior: Posterior) -> nn.Module:
    summary = getattr(posterior.flow, "summary", None)
    if not isinstance(summary, nn.Module):
        raise TypeError(f"expected a flow with a summary network, got {type(posterior.flow).__name__}")
    return summary
