"""What a user holds after training: posterior samples, densities and moments in physical units."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol, Self, final

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from posterior.files import sha256_bytes
from posterior.flow import ConditionalFlow, standard_normal_log_prob
from posterior.model_folder import CONFIG, SUMS, WEIGHTS, load_model, load_weights, model_files, save_model
from posterior.model_info import ModelInfo
from posterior.sample_files import read_samples, write_samples
from posterior.seeding import latents
from posterior.standardise import Standardiser
from posterior.symmetry import symmetry_group
from posterior.uq.moments import Moments

__all__ = ["AmortizedPosterior", "ModelInfo", "read_samples", "write_samples"]

Floats = NDArray[np.float32]


class Flow(Protocol):
    """A conditional flow as the posterior uses it; y has one image for all samples, or one for each."""

    def encode(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Map x to (z, log|det dz/dx|) given y."""
        ...

    def decode(self, z: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Map z to (x, log|det dx/dz|) given y."""
        ...


@final
class AmortizedPosterior:
    r"""The posterior p(x | y) for any y of the kind it was trained on, in physical units.

    .. math:: x_i = \mu + \sigma f^{-1}(z_i; h(u(y))), \quad z_i \sim N(0, I), \qquad
        \log p(x \mid y) = \log p_f(u(x) \mid u(y)) - n \sum_c \log \sigma_c

    A network trained with mirrored and sign-reversed pairs owes its posterior their symmetries but has them
    only nearly. Here it has them: p(x | y) is the even mixture of p(g x | g y) over the group g of
    :mod:`posterior.symmetry` that ``info`` names. Draws go through its elements in turn, at no extra cost,
    and average over as many views of the same data.

    Args:
        flow: trained network; it is frozen here and put into evaluation mode.
        standardiser: between physical units and the network's.
        info: shapes, channels, units, grid and origin of the model.

    Shapes:
        y: (K, nx, nz) or (1, K, nx, nz), numpy or torch. Samples: (num_samples, C, nx, nz), numpy float32.

    Example::

        posterior = AmortizedPosterior.load("runs/demo/model")
        samples = posterior.sample(200, y)
        mean, std = posterior.mean_std(y, num_samples=1000)
    """

    def __init__(self, flow: nn.Module, standardiser: Standardiser, info: ModelInfo) -> None:
        self._module = flow.eval().requires_grad_(False)  # noqa: FBT003 - torch's own signature
        self._flow: Flow = flow  # type: ignore[assignment]  # a module says nothing of its methods' types
        self.standardiser, self.info = standardiser, info
        self._group = symmetry_group(
            len(info.x_shape) - 1, info.y_channels, mirror=info.mirror, reverse=info.reverse
        )
        self._device = next((value.device for value in flow.state_dict().values()), torch.device("cpu"))

    def sample(
        self,
        num_samples: int,
        y: ArrayLike | Tensor,
        *,
        seed: int = 0,
        batch_size: int = 50,
        temperature: float = 1.0,
    ) -> Floats:
        """Draw from the posterior of one observation.

        Draw i is a function of (seed, i) and y: neither ``batch_size`` nor ``num_samples`` changes it, up to
        rounding.

        Args:
            num_samples: number of draws S.
            y: observation (K, nx, nz), physical units.
            seed: of the latents.
            batch_size: draws evaluated together.
            temperature: factor on the latents. 1 draws from the posterior.

        Returns:
            (S, C, nx, nz) float32, physical units.

        Raises:
            ValueError: y of another shape than trained on, or not finite.
        """
        chunks = self._chunks(num_samples, y, seed, batch_size=batch_size, temperature=temperature)
        return np.concatenate(list(chunks))

    def mean_std(
        self,
        y: ArrayLike | Tensor,
        num_samples: int,
        *,
        seed: int = 0,
        batch_size: int = 50,
        temperature: float = 1.0,
    ) -> tuple[Floats, Floats]:
        """Posterior mean and standard deviation of each cell, streamed: the draws are never held together.

        Args:
            y: observation (K, nx, nz), physical units.
            num_samples: number of draws, at least 2; the same draws as :meth:`sample` with the same seed.
            seed: of the latents.
            batch_size: draws evaluated together.
            temperature: factor on the latents. 1 is the posterior's.

        Returns:
            Mean and standard deviation (S - 1 in the denominator), (C, nx, nz) each, float32.
        """
        if num_samples < 2:
            raise ValueError(f"expected at least 2 samples for a standard deviation, got {num_samples}")
        moments = Moments()
        for chunk in self._chunks(num_samples, y, seed, batch_size=batch_size, temperature=temperature):
            moments.update(chunk)
        return moments.mean.astype(np.float32), moments.std.astype(np.float32)

    @torch.no_grad()
    def log_prob(self, x: ArrayLike | Tensor, y: ArrayLike | Tensor) -> NDArray[np.float64]:
        """Natural logarithm of p(x | y), a density per physical unit of x.

        Args:
            x: one model (C, nx, nz) or several (B, C, nx, nz), physical units.
            y: observation (K, nx, nz), physical units.

        Returns:
            (B,) float64; B = 1 for one model.

        Raises:
            ValueError: x or y of another shape than trained on, or not finite.
        """
        models = _checked("x", x, self.info.x_shape, self._device, many=True)
        observation = self._observation(y)
        terms = [self._log_density(g.of_x(models), g.of_y(observation)) for g in self._group]
        density = torch.logsumexp(torch.stack(terms), 0) - math.log(len(terms))
        return (density + self.standardiser.log_volume(models[0, 0].numel())).cpu().numpy()

    def map(self, y: ArrayLike | Tensor, *, iterations: int = 200, learning_rate: float = 0.05) -> Floats:
        r"""A mode of the network's density: the x of highest density that ascent reaches from z near 0.

        .. math:: \max_z \; \log N(z; 0, I) - \log\lvert\det \partial x / \partial z\rvert

        Ascent runs in z, where the posterior is well conditioned, through the frozen network; the density is
        that of x, so the result is a mode of p(x | y) and not merely the image of z = 0. Adam, with a rate
        that falls linearly to zero; the best point met is returned.

        Args:
            y: observation (K, nx, nz), physical units.
            iterations: number of steps.
            learning_rate: first step length, in standard deviations of z.

        Returns:
            (C, nx, nz) float32, physical units.
        """
        observation = self.observation(y)
        # Beside zero, not at it: a reversible chain judges the error of a rebuilt input relative to its size.
        z = 0.01 * latents(0, 0, 1, self.info.x_shape).to(self._device)
        z.requires_grad_()
        optimizer = torch.optim.Adam([z], lr=learning_rate)
        best, best_density = z.detach(), -np.inf
        for iteration in range(iterations + 1):
            x, logdet = self._flow.decode(z, observation)
            density = (standard_normal_log_prob(z) - logdet).sum()
            if density.item() > best_density:
                best, best_density = x.detach().clone(), density.item()
            optimizer.param_groups[0]["lr"] = learning_rate * (1.0 - iteration / (iterations + 1))
            (z.grad,) = torch.autograd.grad(-density, z)
            optimizer.step()
        return self.standardiser.restore_x(best)[0].cpu().numpy()

    @property
    def flow(self) -> nn.Module:
        """The trained network, frozen: what diagnostics look into."""
        return self._module

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return self._device

    def observation(self, y: ArrayLike | Tensor) -> Tensor:
        """An observation as the network takes it, after checks: (1, K, nx, nz), standardised, on its device.

        Args:
            y: observation (K, nx, nz), physical units.

        Raises:
            ValueError: y of another shape than trained on, or not finite.
        """
        return self.standardiser.standardise_y(self._observation(y))

    @cached_property
    def sha256(self) -> str:
        """Identity of the model: SHA-256 of the ``SHA256SUMS`` it came with, or that :meth:`save` writes."""
        return sha256_bytes(model_files(self._config(), self._module.state_dict())[SUMS])

    def save(self, folder: str | Path) -> None:
        """Write a model folder, as a whole: safetensors, JSON and checksums.

        Raises:
            ValueError: the flow was not built from a NetworkConfig, or the folder holds something else.
        """
        if self.info.network is None:
            raise ValueError(
                "expected a flow built from a NetworkConfig, got one that a JSON file cannot describe"
            )
        save_model(folder, self._config(), self._module.state_dict())

    @classmethod
    def load(cls, folder: str | Path, *, device: str | torch.device | None = None) -> Self:
        """Read a model folder; no code from it is run.

        Args:
            folder: what :meth:`save` wrote.
            device: where to compute; None takes a GPU where there is one.

        Raises:
            FileNotFoundError: no model there.
            ValueError: a wrong checksum, another schema, or weights of another architecture.
        """
        config, state = load_model(folder)
        where = Path(folder) / CONFIG
        try:
            standardiser = Standardiser.from_json(config["standardiser"])
            info = ModelInfo.from_json(config["info"])
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{where}: expected a model's configuration, got {error!r}") from None
        if info.network is None:
            raise ValueError(f"{where}: expected an architecture, got none")
        flow = ConditionalFlow.from_config(
            info.network,
            in_channels=info.x_shape[0],
            y_channels=info.y_shape[0],
            ndim=len(info.x_shape) - 1,
        )
        load_weights(flow, state, Path(folder) / WEIGHTS)
        chosen = device or ("cuda" if torch.cuda.is_available() else "cpu")
        posterior = cls(flow.to(chosen), standardiser, info)
        # The folder's own: a later version may write the same model with settings that were not there yet.
        vars(posterior)["sha256"] = sha256_bytes((Path(folder) / SUMS).read_bytes())
        return posterior

    def _config(self) -> dict[str, Any]:
        return {"standardiser": self.standardiser.to_json(), "info": asdict(self.info)}

    def _observation(self, y: ArrayLike | Tensor) -> Tensor:
        return _checked("y", y, self.info.y_shape, self._device, many=False)

    def _log_density(self, x: Tensor, y: Tensor) -> Tensor:
        """Log-density of the network in its own units, for x and y in physical ones; (B,) float64."""
        u, v = self.standardiser.standardise_x(x), self.standardiser.standardise_y(y)
        z, logdet = self._flow.encode(u, v)
        return standard_normal_log_prob(z).double() + logdet.double()

    @torch.no_grad()
    def _chunks(
        self, num_samples: int, y: ArrayLike | Tensor, seed: int, *, batch_size: int, temperature: float
    ) -> Iterator[Floats]:
        """The draws, some at a time."""
        if num_samples < 1 or batch_size < 1:
            raise ValueError(
                f"expected at least 1 sample and a batch of 1, got {num_samples} and {batch_size}"
            )
        observation = self._observation(y)
        views = [self.standardiser.standardise_y(g.of_y(observation)) for g in self._group]
        for start in range(0, num_samples, batch_size):
            stop = min(start + batch_size, num_samples)
            z = temperature * latents(seed, start, stop, self.info.x_shape).to(self._device)
            draws = torch.empty_like(z)
            for element, (g, view) in enumerate(zip(self._group, views, strict=True)):
                # Draw i goes through element i modulo their number, wherever chunks begin.
                mine = slice((element - start) % len(views), None, len(views))
                if len(z[mine]):
                    x, _ = self._flow.decode(z[mine], view)
                    draws[mine] = g.of_x(self.standardiser.restore_x(x))
            yield draws.cpu().numpy()


def _checked(
    name: str, values: ArrayLike | Tensor, shape: tuple[int, ...], device: torch.device, *, many: bool
) -> Tensor:
    """Values as a batch (1, ...) or, if there may be many, (B, ...), after checks."""
    tensor = torch.as_tensor(values).to(device, torch.float32)
    given = tuple(tensor.shape)
    if given == shape:
        tensor = tensor[None]
    elif given[1:] != shape or (given[0] != 1 and not many):
        raise ValueError(f"expected {name} of shape {shape}, as trained on, got {given}")
    if not torch.isfinite(tensor).all():
        raise ValueError(
            f"expected finite {name}, got {int((~torch.isfinite(tensor)).sum())} values that are nan or inf"
        )
    return tensor
