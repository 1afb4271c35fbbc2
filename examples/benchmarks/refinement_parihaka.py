"""The earth model of ``examples/parihaka.toml``: background plus perturbation of the Parihaka survey.

The file, ``siahkoohi2020SEGuqi/vel_dir`` of github.com/slimgroup/Software.SEG2020 (MIT licence; survey data:
New Zealand Petroleum and Minerals), holds squared slownesses m0 and dm, depth first. It states no spacing; we
take 12.5 m along both axes. Below some depth dm, a scaled image, is as large as m0 itself; velocities are
clipped to 1.5 to 5 km/s.

Run, once, in the project's folder:
    python examples/benchmarks/refinement_parihaka.py [parihaka_160x205.h5]
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import h5py
import numpy as np

SOURCE = Path("../shared/data/parihaka_160x205.h5")
SHA256 = "a8e16abd2f18a695f7d9ee5a558476668be96a7274611fd711d3db068202a437"
MODEL = Path("runs/parihaka_vp.npy")
VELOCITIES = (1500.0, 5000.0)
"""Smallest and largest velocity kept [m/s]."""


def main(source: Path) -> None:
    """Write the velocity model (nx, nz) [m/s]."""
    found = hashlib.sha256(source.read_bytes()).hexdigest()
    if found != SHA256:
        sys.exit(f"expected {source} of sha256 {SHA256}, got {found}")
    with h5py.File(source) as file:
        m = np.asarray(file["m0"]) + np.asarray(file["dm"])  # s^2/km^2, (nz, nx)
    slowest, fastest = VELOCITIES
    vp = 1e3 * np.clip(m.T, (1e3 / fastest) ** 2, (1e3 / slowest) ** 2) ** -0.5
    MODEL.parent.mkdir(parents=True, exist_ok=True)
    np.save(MODEL, vp.astype(np.float32))
    print(f"{MODEL}: {vp.shape}, {vp.min():.0f} to {vp.max():.0f} m/s")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else SOURCE)
