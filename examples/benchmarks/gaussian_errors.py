"""How far a posterior of linear-Gaussian images is from the exact one."""

from __future__ import annotations

import math
from typing import Any, NamedTuple, Protocol

import torch
from gaussian_images import GaussianPosterior
from torch import Tensor

BARS = {"mean": 0.02, "std": 0.05, "log_density": 0.02}
OBSERVATIONS, DRAWS = 64, 4096
"""Held-out y that give mean and std, and draws for each of them."""


class Posterior(Protocol):
    """What is compared: a flow, or a Gaussian."""

    def log_prob(self, x: Tensor, y: Tensor) -> Tensor:
        """Log-density of x (B, 1, nx, nz) given y, shape (B,)."""

    def decode(self, z: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Draws from latents (B, 1, nx, nz) given one y, and the log-determinant."""


class Moments(NamedTuple):
    """Mean and standard deviation of every cell, (n, 1, nx, nz), for each of n observations."""

    mean: Tensor
    std: Tensor


class Comparison(NamedTuple):
    """Figures of one posterior, and its moments for the held-out y."""

    figures: dict[str, Any]
    moments: Moments


@torch.no_grad()
def compare(posterior: Posterior, exact: GaussianPosterior, x: Tensor, y: Tensor) -> Comparison:
    """Errors of mean, std and log-density on held-out pairs.

    With m, s the exact moments of cells, and norms over all cells and the first ``OBSERVATIONS`` of y:
    |m_q - m| / |m|, |s_q - s| / |s|, and the mean over all pairs of (log p - log q) / D, the KL divergence a
    cell averaged over y. Of that, (m_q - m)^T S^-1 (m_q - m) / 2 D is lost by the mean alone.

    Args:
        posterior: q.
        exact: p.
        x: Images (B, 1, nx, nz), unseen in training.
        y: Their data.
    """
    cells = x[0].numel()
    batches = zip(x.split(256), y.split(256), strict=True)
    gap = torch.cat([exact.log_prob(*pair) - posterior.log_prob(*pair) for pair in batches]) / cells
    observed = y[:OBSERVATIONS]
    found = moments(posterior, observed, seed=2000)
    mean, std = exact.mean(observed), exact.std.expand(len(observed), -1).view(observed.shape)
    shift = found.mean - mean
    figures = {
        "mean": float(shift.norm() / mean.norm()),
        "std": float((found.std - std).norm() / std.norm()),
        "log_density": float(gap.mean()),
        "log_density_standard_error": float(gap.std()) / len(gap) ** 0.5,
        "log_density_absolute": float(gap.abs().mean()),
        "log_density_lost_by_the_mean": float(exact.squares(shift).mean()) / (2 * cells),
    }
    within = {name: figures[name] <= bar for name, bar in BARS.items()}
    return Comparison(figures | {"within_bars": within}, found)


@torch.no_grad()
def moments(posterior: Posterior, observed: Tensor, *, seed: int) -> Moments:
    """Moments of many draws for each of the observations (n, 1, nx, nz)."""
    generator = torch.Generator().manual_seed(seed)
    means, stds = [], []
    for y in observed:
        z = latents(DRAWS, y.shape, generator)
        x = torch.cat([posterior.decode(part, y[None])[0] for part in z.split(512)]).double()
        means.append(x.mean(0))
        stds.append(x.std(0))
    return Moments(torch.stack(means), torch.stack(stds))


def latents(count: int, shape: torch.Size, generator: torch.Generator) -> Tensor:
    """Standard normal latents (count, 1, nx, nz), arranged so that moments of draws converge fast.

    Each is N(0, I). They come in orthogonal sets and with their mirror images, so the mean of an affine map's
    values is exact, and their std has a small part of the error that independent draws have.

    Source:
        Yu et al., Orthogonal random features, NeurIPS 2016, section 3 (orthogonal directions, independent
        lengths).
    """
    cells = math.prod(shape)
    white = torch.randn(-(-count // (2 * cells)), cells, cells, generator=generator)
    directions, triangle = torch.linalg.qr(white.double())
    # The signs make the distribution of the orthogonal matrices uniform.
    directions = directions * triangle.diagonal(dim1=1, dim2=2).sign()[:, None]
    lengths = torch.randn(white.shape, generator=generator).norm(dim=2)
    half = (directions.mT * lengths[:, :, None]).float()
    return torch.cat((half, -half), 1).view(-1, *shape)[:count]
