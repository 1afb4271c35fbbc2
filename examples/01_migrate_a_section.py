"""Model and migrate a section of Marmousi: F(m), J(m0), its adjoint, the dot test.

Run: python examples/01_migrate_a_section.py [folder for the figure]
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from scipy.ndimage import gaussian_filter

from physics import Acquisition, BornOperator, EarthModel, ForwardOperator, dot_test, load_model, ricker
from physics.preprocess import DepthWeight, WaterMute
from posterior.plots import ImageAxes
from posterior.plots.image_axes import symmetric_limits
from posterior.plots.style import SIGNED, new_figure, save, styled

SPACING = (15.0, 15.0)


def main(folder: Path) -> None:
    """Draw the true perturbation and the migrated image of 12 shots."""
    vp, spacing = load_model("marmousi")
    step = round(SPACING[0] / spacing)
    m = 1.0 / np.square(vp[600:1100:step, ::step].astype(np.float64))
    m0 = gaussian_filter(m, [150.0 / h for h in SPACING], mode="nearest")
    true, background = EarthModel(m**-0.5, SPACING), EarthModel(m0**-0.5, SPACING)

    nt, dt = 1501, 0.002
    wavelet = ricker(f0=10.0, dt=dt, nt=nt)
    survey = Acquisition.surface(true.extent, 12, 120, source_depth=20.0, receiver_depth=20.0, dt=dt, nt=nt)
    J = BornOperator(background, survey, wavelet=wavelet, subsample=4, keep_wavefields=True)
    print(f"J maps {J.domain_shape} to {J.range_shape}; it computes {J.range_shape[0]} shots")
    exact = BornOperator(background, survey, wavelet=wavelet)
    print(f"dot test of J in float32: relative mismatch {dot_test(exact, rng=np.random.default_rng(1)):.1e}")

    dm = m - m0
    born = J.forward(dm)
    full, direct = (ForwardOperator(model, survey).forward(wavelet) for model in (true, background))
    correlation = np.corrcoef(born.ravel(), (full - direct).ravel())[0, 1]
    print(f"scattered data, nonlinear against Born: correlation {correlation:.2f}")
    mute = WaterMute(m.shape, SPACING, depth=150.0, taper=150.0)
    rtm = (DepthWeight(m.shape, power=2.0) @ mute).forward(J.adjoint(born))
    figure = draw({"Perturbation of squared slowness": dm, "Migrated image": rtm})
    for path in save(figure, folder / "migrated_section"):
        print(path)


@styled
def draw(sections: dict[str, np.ndarray]) -> Figure:
    """Draw sections side by side, each clipped at its own 98th percentile."""
    figure = new_figure("double", 7.0)
    for ax, (title, section) in zip(figure.subplots(1, 2), sections.items(), strict=True):
        ImageAxes(SPACING).show(ax, section, limits=symmetric_limits(section), cmap=SIGNED)
        ax.set_title(title)
    return figure


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "."))
