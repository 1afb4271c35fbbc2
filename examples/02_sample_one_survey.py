"""Posterior of one survey with a trained model: samples, moments, intervals, density.

Run after `make demo`: python examples/02_sample_one_survey.py runs/demo
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from posterior import AmortizedPosterior, PairDataset, uq


def main(run: Path) -> None:
    """Sample the posterior of the first unseen pair and say what it tells."""
    posterior = AmortizedPosterior.load(run / "model")
    pairs = PairDataset(run / "data" / "test")
    x, y = pairs[0]
    truth, scored = x[0].numpy(), pairs.scored

    samples = posterior.sample(200, y, seed=1)  # (200, 1, nx, nz), s^2/m^2
    mean, std = posterior.mean_std(y, num_samples=200, seed=1)  # streamed, the same draws
    low, high = uq.credible_interval(samples[:, 0], level=0.9)
    inside = ((low <= truth) & (truth <= high))[scored].mean()

    print(f"SNR of the posterior mean: {uq.snr_db(mean[0], truth, scored):.1f} dB")
    print(f"RMS of the posterior std: {np.sqrt(np.square(std[0][scored]).mean()):.2e} s^2/m^2")
    print(f"cells inside their raw 90 % interval: {100 * inside:.0f} %")
    print(f"log p(truth | y) = {posterior.log_prob(x, y)[0]:.1f}")
    np.savez(run / "survey_0.npz", mean=mean, std=std, low=low, high=high, spacing=pairs.spacing)
    print(run / "survey_0.npz")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "runs/demo"))
