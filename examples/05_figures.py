"""Draw every figure of maps and sections for one survey of a trained run.

Run: python examples/05_figures.py [run folder, runs/demo by default] [folder for the figures]

The run is one that ``seispost`` trained and sampled. Velocities and volumes, which such a run does not have,
are made here of Marmousi: they show the figures, not a network.
"""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from scipy.ndimage import gaussian_filter, map_coordinates, shift

from physics import load_model
from posterior import plots, uq
from posterior.dataset import PairDataset
from posterior.flow import ConditionalFlow
from posterior.model_folder import load_model as load_weights_of
from posterior.model_folder import load_weights
from posterior.model_info import ModelInfo
from posterior.plots.style import MAGNITUDE
from posterior.report.splits import Split, open_splits
from posterior.standardise import Standardiser

GALLERY = Path(__file__).parent / "gallery"
DPI = 100
"""Of a screen: the gallery's files stay small."""


def main(run: Path, folder: Path) -> None:
    """Write all figures."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, figure in {**of_run(run), **of_velocity(), **of_volume()}.items():
        path = plots.save(figure, folder / f"uq_{name}", formats=("png",), dpi=DPI)[0]
        print(path, f"{path.stat().st_size / 1e3:.0f} kB")


def of_run(run: Path) -> dict[str, Figure]:
    """Figures of the median pair of the test split, by name."""
    split = open_splits(run)["test"]
    pairs = split.pairs
    by_error = sorted(split, key=lambda pair: uq.rmse(uq.mean(pair.draws), pair.truth))
    pair = by_error[len(by_error) // 2]
    draws, truth = pair.draws.astype(np.float64), pair.truth.astype(np.float64)
    axes = plots.ImageAxes(pairs.spacing, pairs.origin)
    quantity = plots.Quantity.from_si("Squared-slowness perturbation", pairs.x_units[0])
    about = {"axes": axes, "quantity": quantity}
    at = (draws.shape[1] // 2, int(0.55 * draws.shape[2]))
    modes, twin = uq.principal_modes(draws, 12, pairs.scored), uq.bimodality(draws)
    strong = uq.Exceedance(0.5 * float(np.percentile(truth, 98.0)))
    strong.update(draws)
    train = PairDataset(run / "data" / "train", verify=False)
    prior = np.stack([train[number][0][0].numpy() for number in range(0, len(train), 5)])
    ends = {"Best pair": by_error[0].index, "Median pair": pair.index, "Worst pair": by_error[-1].index}
    found = {
        "samples": plots.samples(draws, truth=truth, **about),
        "spread": plots.spread(draws, **about),
        "overlay": plots.overlay(uq.mean(draws), uq.std(draws), **about),
        "juxtapose": plots.juxtapose(draws, at=at, **about),
        "traces": plots.traces(draws, truth=truth, at=at, **about),
        "exceedance": plots.exceedance(strong, truth=truth, **about),
        "modes": plots.modes(modes, draws, truth=truth, **about),
        "correlation": plots.correlation(
            uq.correlation_map(draws, at), at, num_samples=len(draws), axes=axes
        ),
        "bimodality": plots.bimodality(twin, draws, truth=truth, **about),
        "z_scores": plots.z_scores(
            uq.z_scores(draws, truth), num_samples=len(draws), axes=axes, where=pairs.scored
        ),
        "histograms": plots.histograms(
            {"prior (training patches)": prior, "amortised": draws},
            [(at[0], depth) for depth in (12, at[1], 52)],
            truth=truth,
            **about,
        ),
        "latents": plots.latents(_latents(run, split, ends)),
    }
    return {name: figure for name, (figure, _) in found.items()}


def _latents(run: Path, split: Split, indices: dict[str, int]) -> dict[str, np.ndarray]:
    """What the network maps the truths of some pairs to."""
    config, state = load_weights_of(run / "model")
    info = ModelInfo.from_json(config["info"])
    standardiser = Standardiser.from_json(config["standardiser"])
    shape = {"in_channels": info.x_shape[0], "y_channels": info.y_shape[0], "ndim": len(info.x_shape) - 1}
    noise = tomllib.loads((run / "config.toml").read_text())["train"]["noise_end"]
    flow = ConditionalFlow.from_config(info.network, **shape).eval()
    load_weights(flow, state, run / "model")
    found = {}
    for name, index in indices.items():
        x, y = split.pairs[split.position(index)]
        with torch.no_grad():
            u = standardiser.standardise_x(x[None])
            # The network knows truths with the noise it was trained with, without which they are too smooth.
            u = u + noise * torch.randn(u.shape, generator=torch.Generator().manual_seed(index))
            z, _ = flow.encode(u, standardiser.standardise_y(y[None]))
        found[name] = z[0, 0].numpy()
    return found


def _warped(model: np.ndarray, spacing: float, count: int) -> np.ndarray:
    """Models whose layers lie deeper or shallower by a smooth random amount that grows below the sea floor.

    A truth made the same way is exchangeable with the draws: this posterior is right by construction.
    """
    rng = np.random.default_rng(5)
    nx, nz = model.shape
    x, z = np.meshgrid(np.arange(nx), np.arange(nz), indexing="ij")
    growth = np.clip((z * spacing - 300.0) / 2700.0, 0.0, None)
    draws = np.empty((count, nx, nz))
    for draw in draws:
        field = gaussian_filter(
            rng.standard_normal((nx, nz)), (700.0 / spacing, 500.0 / spacing), mode="wrap"
        )
        shift = 60.0 / spacing * growth * field / field.std()
        draw[...] = map_coordinates(model, [x, z + shift], order=1, mode="nearest")
    return draws


def of_velocity() -> dict[str, Figure]:
    """Velocities with salt below, by name: draws made of Marmousi by :func:`_warped`, the first the truth."""
    vp, spacing = load_model("marmousi")
    step, salt = 30.0, 4000.0
    every = round(step / spacing)
    truth, *rest = _warped(vp[:532:every, ::every].astype(np.float64), step, 201)
    draws, axes = np.stack(rest), plots.ImageAxes((step, step))
    quantity = plots.Quantity.from_si("Velocity", "m/s")
    picker = uq.Picker("rise", threshold=salt, top=2250.0, base=2950.0)
    depth = step * np.arange(truth.shape[1])
    above = uq.Exceedance(salt)
    above.update(draws)
    about = {"axes": axes, "quantity": quantity}
    found = {
        "horizons": plots.horizons(
            uq.Horizon(picker.pick(draws, depth)),
            draws.mean(0),
            truth=picker.pick(truth[None], depth)[0],
            **about,
        ),
        "velocity_samples": plots.samples(draws, truth=truth, **about),
        "velocity_juxtapose": plots.juxtapose(draws, **about),
        "velocity_spread": plots.spread(draws, relative="mean", **about),
        "salt": plots.exceedance(above, truth=truth, **about),
    }
    return {name: figure for name, (figure, _) in found.items()}


def of_volume() -> dict[str, Figure]:
    """Mean and std of a volume: the same draws, their layers bent along a third axis."""
    vp, spacing = load_model("marmousi")
    every = 8
    model, step = vp[:480:every, ::every].astype(np.float64), every * spacing
    bend = 2.5 * np.sin(np.arange(40) / 9.0)
    moments = uq.Moments()
    for draw in _warped(model, step, 60):
        lines = [shift(draw, (0.0, down), order=1, mode="nearest") for down in bend]
        moments.update(np.stack(lines, axis=1)[None])
    axes = plots.VolumeAxes((step, step, step))
    mean, std = plots.Quantity.from_si("Mean velocity", "m/s"), plots.Quantity.from_si("Velocity std", "m/s")
    look = plots.Look((0.0, float(np.percentile(moments.std, 99.5))), MAGNITUDE)
    water = plots.Look.segmented((1450.0, 4700.0), water=1501.0, salt=4400.0)
    return {
        "volume_mean": plots.slices(moments.mean, axes=axes, quantity=mean, look=water)[0],
        "volume_std": plots.slices(moments.std, axes=axes, quantity=std, look=look)[0],
    }


if __name__ == "__main__":
    main(
        Path(sys.argv[1] if len(sys.argv) > 1 else "runs/demo"),
        Path(sys.argv[2]) if len(sys.argv) > 2 else GALLERY,
    )
