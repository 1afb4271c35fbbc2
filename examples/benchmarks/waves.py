"""Accuracy of the wave physics: the analytic solution, reciprocity, and the derivative.

Double precision. Constant media have a matched layer of 20 cells, which returns less than what is measured.
Reciprocity and derivatives are those of rough models with positions off the grid, read with the sinc.
dot_tests.py has the adjoints.

Run: OMP_NUM_THREADS=1 python examples/benchmarks/waves.py
"""

from __future__ import annotations

import itertools
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from record import record
from scipy.special import hankel2

from physics.geometry import Acquisition
from physics.linear import BornOperator, ForwardOperator
from physics.model import EarthModel
from physics.modelling import Numerics
from physics.wavelets import ricker

Precision = Literal["float64", "float32"]

BARS = {
    "Taylor order": 0.05,
    "dispersed analytic": 2e-3,
    "corrected analytic": 5e-3,
}
SETTINGS: dict[str, dict[str, Any]] = {
    "matched": {},
    "sponge": {"boundary": "sponge", "nbl": 16},
    "free surface": {"free_surface": True},
    "density": {"rho": True},
    "density, free surface": {"rho": True, "free_surface": True},
}
SHAPES = {"2-D": (40, 36), "3-D": (20, 18, 16)}
SPACING = {"2-D": (10.0, 12.5), "3-D": (10.0, 12.5, 11.0)}
VELOCITY, H = 2000.0, 10.0
DISTANCES = (200.0, 600.0, 1000.0)
BEHIND, BESIDE = 20, 40
"""Cells from the source of the constant medium to the edges behind it and beside it."""


def rough(where: str, *, rho: bool = False, dtype: Precision = "float64", **options: Any) -> EarthModel:
    """A model of random cells, which share no symmetry."""
    rng = np.random.default_rng(0)
    shape = SHAPES[where]
    vp = rng.uniform(2000.0, 2600.0, shape)
    density = rng.uniform(1000.0, 2500.0, shape) if rho else None
    if where == "3-D":
        options = {"nbl": 8, "space_order": 4} | options
    return EarthModel(vp, SPACING[where], rho=density, dtype=dtype, **options)


def scattered(model: EarthModel, nt: int = 300) -> Acquisition:
    """Sources and receivers anywhere in a model, but for its first row."""
    rng = np.random.default_rng(1)
    low, high = np.array(model.lower), np.array(model.upper)
    low[-1] += 15.0
    places = rng.uniform(low, high, (9, model.ndim))
    return Acquisition(sources=places[:2], receivers=places[2:], dt=1e-3, nt=nt)


def taylor(where: str, **options: Any) -> dict[str, list[float]]:
    """Orders at which |F(m + h dm) - F(m)| and |F(m + h dm) - F(m) - h J dm| fall as h is halved."""
    model = rough(where, **options)
    survey = scattered(model)
    wavelet = ricker(15.0, survey.dt, survey.nt)
    numerics = Numerics(steps_per_sample=1)
    dm = 0.05 * model.m * np.random.default_rng(2).standard_normal(model.shape)

    def records(h: float) -> NDArray[Any]:
        return ForwardOperator(model.with_m(model.m + h * dm), survey, numerics=numerics).forward(wavelet)

    base, steps = records(0.0), 0.5 ** np.arange(1, 7)
    derivative = BornOperator(model, survey, wavelet=wavelet, numerics=numerics).forward(dm)
    moved = [records(h) - base for h in steps]
    first = [np.linalg.norm(change) for change in moved]
    second = [np.linalg.norm(change - h * derivative) for change, h in zip(moved, steps, strict=True)]
    return {
        name: [float(np.log2(a / b)) for a, b in itertools.pairwise(norms)]
        for name, norms in (("first", first), ("second", second))
    }


def reciprocity(**options: Any) -> float:
    """Relative L2 difference of a record after source and receiver are exchanged."""
    model = rough("2-D", **options)
    survey = scattered(model)
    wavelet = ricker(15.0, survey.dt, survey.nt)
    there, back = (
        ForwardOperator(model, Acquisition(a[None], b[None], survey.dt, survey.nt)).forward(wavelet)
        for a, b in itertools.permutations((survey.sources[0], survey.receivers[0]))
    )
    return relative(there, back)


def relative(found: NDArray[Any], exact: NDArray[Any]) -> float:
    """Relative L2 difference."""
    return float(np.linalg.norm(found - exact) / np.linalg.norm(exact))


def green(distance: float, wavelet: NDArray[Any], dt: float, *, ndim: int, dispersed: bool) -> NDArray[Any]:
    r"""h^n F^-1[Q(w) G(W r / v)] with (-i / 4) H_0^(2) in 2-D and exp(-i W r / v) / (4 pi r) in 3-D.

    W = w, or with time dispersion (2 / dt) sin(w dt / 2), the frequency that the leap-frog scheme sees.
    """
    size = 16 * len(wavelet)
    omega = 2 * np.pi * np.fft.rfftfreq(size, dt)[1:]
    phase = (2 / dt * np.sin(omega * dt / 2) if dispersed else omega) * distance / VELOCITY
    response = -0.25j * hankel2(0, phase) if ndim == 2 else np.exp(-1j * phase) / (4 * np.pi * distance)
    spectrum = np.fft.rfft(wavelet, size) * np.concatenate([[0.0], response])
    return H**ndim * np.fft.irfft(spectrum, size)[: len(wavelet)]


def constant_medium(
    ndim: int, dt: float, *, shift: float = 0.0, duration: float = 0.72, **numerics: Any
) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """Records at ``DISTANCES`` along x from a source, and the wavelet.

    Args:
        ndim: Dimensions.
        dt: Sampling interval and computing step [s].
        shift: How far source and receivers stand off the grid along every axis [m].
        duration: Length of the records [s].
        numerics: Further `Numerics`.
    """
    model = EarthModel(
        np.full((BEHIND + 121, *(2 * BESIDE,) * (ndim - 1)), VELOCITY), (H,) * ndim, nbl=20, dtype="float64"
    )
    nt = round(duration / dt) + 1
    source = np.array([BEHIND * H, *(BESIDE * H,) * (ndim - 1)]) + shift
    receivers = source + np.eye(ndim)[0] * np.array(DISTANCES)[:, None]
    survey = Acquisition(source[None], receivers, dt, nt)
    wavelet = ricker(15.0, dt, nt)
    operator = ForwardOperator(model, survey, numerics=Numerics(steps_per_sample=1, **numerics))
    return operator.forward(wavelet)[0].T, wavelet


def analytic(ndim: int, dt: float, *, dispersed: bool = False, **numerics: Any) -> dict[str, float]:
    """Relative L2 error at every distance against the Green's function."""
    records, wavelet = constant_medium(ndim, dt, **numerics)
    return {
        f"{distance:.0f} m": relative(found, green(distance, wavelet, dt, ndim=ndim, dispersed=dispersed))
        for found, distance in zip(records, DISTANCES, strict=True)
    }


def greens_functions() -> dict[str, dict[str, float]]:
    """Errors without and with the dispersion correction, at several steps, on and off the grid."""
    table = {}
    for ndim, steps in ((2, (0.0005, 0.001, 0.002)), (3, (0.001, 0.002))):
        for dt in steps:
            name = f"{ndim}-D, {1e3 * dt:g} ms"
            table[f"{name}, uncorrected, against the dispersed solution"] = analytic(
                ndim, dt, correct_dispersion=False, dispersed=True
            )
            table[f"{name}, corrected, against the plain solution"] = analytic(ndim, dt)
    table["2-D, 2 ms, uncorrected, against the plain solution"] = analytic(2, 0.002, correct_dispersion=False)
    for shift in (2.5, 5.0):
        for kind in ("sinc", "linear"):
            table[f"2-D, 1 ms, corrected, {shift:g} m off the grid, {kind}"] = analytic(
                2, 0.001, shift=shift, interpolation=kind
            )
    return table


def cut_short(dt: float) -> dict[str, float]:
    """What the dispersion correction makes of a record that ends at the peak of a wave, here at 600 m.

    Returns:
        Largest departures from a record that goes on, over its peak: anywhere, and before the wave's onset.
    """
    whole, cut = (constant_medium(2, dt, duration=duration)[0][1] for duration in (0.72, 0.4))
    departure = np.abs(cut - whole[: len(cut)]) / np.abs(whole).max()
    return {"anywhere": float(departure.max()), "before the wave": float(departure[: round(0.3 / dt)].max())}


if __name__ == "__main__":
    record(
        "waves",
        {
            "bars": BARS,
            "greens_function_relative_error": greens_functions(),
            "corrected_record_cut_at_a_peak": {f"{1e3 * dt:g} ms": cut_short(dt) for dt in (0.001, 0.002)},
            "reciprocity": {name: reciprocity(**options) for name, options in SETTINGS.items()},
            "taylor_orders": {
                f"{where}, {name}": taylor(where, **SETTINGS[name])
                for where, name in (("2-D", "matched"), ("2-D", "density, free surface"), ("3-D", "matched"))
            },
        },
    )
