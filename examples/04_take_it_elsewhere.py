"""Take a posterior elsewhere: SEG-Y, NetCDF for ArviZ, torch.distributions, sbi's diagnostics.

Run after `make demo`, with pip install 'seispost[segy,netcdf]':
python examples/04_take_it_elsewhere.py runs/demo [folder for the files] [survey.sgy with as many traces]
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch

from posterior import AmortizedPosterior, ConditionalFlow, PairDataset
from posterior.interop.distribution import ConditionalDistribution
from posterior.interop.netcdf import Image, from_datatree, read_netcdf, to_datatree, write_netcdf
from posterior.interop.sbi import SbiPosterior
from posterior.interop.segy import read_segy
from posterior.interop.segy_export import SegyExport, export_segy
from posterior.model_folder import WEIGHTS, load_model, load_weights
from posterior.sample_files import read_samples


def main(run: Path, out: Path, survey: Path | None) -> None:
    """Write the first unseen pair's posterior for other tools, and hand the model to two of them."""
    pair = read_samples(sorted((run / "samples" / "test").glob("pair-*.h5"))[0])
    posterior, pairs = AmortizedPosterior.load(run / "model"), PairDataset(run / "data" / "test")
    _, y = pairs[pairs.index.tolist().index(pair.index)]

    # SEG-Y: one file a statistic; with a survey's file its headers are taken over.
    paths = export_segy(pair, out, SegyExport(draws=3, like=survey))
    std = read_segy(paths[1])
    print(f"{len(paths)} SEG-Y files in {out}; {paths[1].name}: {std.values.shape}, {std.grid.interval:g} m")

    # NetCDF in ArviZ's schema: arviz.convert_to_datatree(path) reads it.
    names = zip(pairs.y_channels, y.numpy(), pairs.y_units, strict=True)
    observed = {name: Image(image, unit) for name, image, unit in names}
    path = out / f"pair-{pair.index:06d}.nc"
    write_netcdf(path, to_datatree(pair, observed=observed))
    same = from_datatree(read_netcdf(path)).samples.tobytes() == pair.samples.tobytes()
    print(f"{path.name}: the draws come back {'bit by bit' if same else 'CHANGED'}")

    # torch.distributions: draws with gradients, in the network's standardised units.
    flow = as_flow(run / "model", posterior)
    distribution = ConditionalDistribution(flow, posterior.standardiser.standardise_y(y[None]), pairs.x_shape)
    draws = distribution.rsample((4,))
    print(f"torch: batch {tuple(distribution.batch_shape)}, event {tuple(distribution.event_shape)}, "
          f"log q of 4 draws {distribution.log_prob(draws).detach().numpy().ravel().round(0)}")  # fmt: skip

    # sbi: thetas are vectors; run_sbc(thetas, xs, adapter) and run_tarp take the adapter as it is.
    adapter = SbiPosterior(posterior, reduce=lambda images: images[:, 0].mean(axis=(1, 2))[:, None])
    truths = np.stack([pairs[position][0].numpy() for position in range(len(pairs))])
    observations = np.stack([pairs[position][1].numpy() for position in range(len(pairs))])
    thetas, xs = adapter.theta(truths), adapter.flat_y(observations)
    ranks = (adapter.sample_batched((50,), xs[:8]) < thetas[:8]).sum(0).ravel().tolist()
    print(
        f"sbi: thetas {tuple(thetas.shape)}, xs {tuple(xs.shape)}; ranks of 8 truths among 50 draws {ranks}"
    )


def as_flow(folder: Path, posterior: AmortizedPosterior) -> ConditionalFlow:
    """The flow of a model folder, with parameters that take gradients."""
    info = posterior.info
    assert info.network is not None
    flow = ConditionalFlow.from_config(
        info.network, in_channels=info.x_shape[0], y_channels=info.y_shape[0], ndim=len(info.x_shape) - 1
    )
    load_weights(flow, load_model(folder)[1], folder / WEIGHTS)
    return flow.eval()


if __name__ == "__main__":
    torch.manual_seed(0)
    arguments = [Path(word) for word in sys.argv[1:]]
    source = arguments[0] if arguments else Path("runs/demo")
    target = arguments[1] if len(arguments) > 1 else source / "exchange"
    main(source, target, arguments[2] if len(arguments) > 2 else None)
