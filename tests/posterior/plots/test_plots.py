from __future__ import annotations

import subprocess
import sys

import matplotlib
import numpy as np
import pytest
from figure_laws import check_text, check_width

from posterior import plots, uq
from posterior.plots.image_axes import symmetric_limits
from posterior.plots.training import series

AXES = plots.ImageAxes((12.5, 10.0), (100.0, 0.0))
SLOWNESS = plots.Quantity.from_si("Squared-slowness perturbation", "s^2/m^2")
SHAPE = (24, 20)


def _pairs(count, scale=0.7):
    rng = np.random.default_rng(0)
    std = 1e-8 * np.linspace(0.3, 1.0, SHAPE[1])
    for _ in range(count):
        centre = 2e-8 * rng.standard_normal(SHAPE)
        yield (
            centre + scale * std * rng.standard_normal((39, *SHAPE)),
            centre + std * rng.standard_normal(SHAPE),
        )


def _curve(count=6, scale=0.7):
    coverage = uq.Coverage()
    for draws, truth in _pairs(count, scale):
        coverage.update(draws, truth)
    return coverage.curve()


def _spread():
    fit = uq.StdRmseFit()
    for draws, truth in _pairs(6):
        fit.update(draws, truth)
    return fit.result()


def _panel():
    draws, truth = next(_pairs(1))
    mean = uq.mean(draws)
    ssim = uq.ssim(mean, truth, data_range=float(np.ptp(truth)))
    patch = plots.Patch(
        truth,
        0.5 * truth,
        mean,
        uq.std(draws),
        draws[:3],
        snr_db=8.25,
        snr_image_db=1.5,
        rmse=3e-9,
        std_rms=2e-9,
        ssim=ssim,
    )
    return plots.panel(patch, AXES, quantity=SLOWNESS)


def _profiles():
    draws, truth = next(_pairs(1))
    bands = {level: uq.credible_interval(draws, level) for level in (0.5, 0.9)}
    return plots.profiles(truth, uq.mean(draws), bands, axes=AXES, quantity=SLOWNESS)


def _sbc(scale=0.3):
    sbc = uq.SbcRanks()
    for draws, truth in _pairs(40, scale):
        sbc.update(draws, truth)
    ranks = sbc.ranks()
    return plots.sbc(
        {name: uq.rank_test(r, 39) for name, r in ranks.items()},
        {name: uq.rank_test(r, 39, cumulative=True) for name, r in ranks.items()},
    )


def _maps():
    coverage = np.full(SHAPE, 0.9)
    coverage[:, :3] = np.nan
    return plots.maps(np.full(SHAPE, 1e-8), coverage, coverage - 0.1, axes=AXES, quantity=SLOWNESS)


def _records():
    steps = [{"iteration": i, "loss": 2.0 / i, "lr": 1e-3, "grad_norm": 1.0 + 1.0 / i} for i in range(1, 101)]
    return steps + [{"iteration": i, "val_loss": 2.5 / i} for i in range(20, 101, 20)]


# Every figure under every law below.
FIGURES = {
    "panel": _panel,
    "profiles": _profiles,
    "calibration_curve": lambda: plots.calibration_curve(
        {"raw": _curve(), "recalibrated": _curve(scale=1.0)}
    ),
    "calibration_curve of one pair": lambda: plots.calibration_curve({"raw": _curve(1)}),
    "sbc": _sbc,
    "std_rmse": lambda: plots.std_rmse({"raw": _spread(), "x 1.4": _spread().scaled(1.4)}, quantity=SLOWNESS),
    "maps": _maps,
    "training": lambda: plots.training(_records()),
    "training, loss only": lambda: plots.training([{"iteration": 1, "loss": 1.0}]),
}


@pytest.fixture(params=FIGURES)
def figure(request):
    return FIGURES[request.param]()[0]


def test_text_is_readable_and_inside_the_page(figure):
    check_text(figure)


def test_figures_have_the_width_of_a_column(figure):
    check_width(figure)


def test_every_axis_shown_is_labelled(figure):
    for ax in figure.axes:
        shows_x = any(tick.label1.get_visible() for tick in ax.xaxis.get_major_ticks())
        assert ax.get_title() or ax.get_xlabel() or ax.get_ylabel(), "an axes without any words"
        if shows_x and ax.get_label() != "<colorbar>" and not ax.get_shared_x_axes().get_siblings(ax):
            assert ax.get_xlabel()


def test_global_state_is_left_alone():
    before = dict(matplotlib.rcParams)
    for draw in FIGURES.values():
        draw()
    assert dict(matplotlib.rcParams) == before


def test_pyplot_and_its_global_figures_are_not_needed():
    code = "import sys, posterior.plots; print('matplotlib.pyplot' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_saved_files_are_the_same_twice(tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        paths = plots.save(FIGURES["std_rmse"]()[0], tmp_path / folder / "std.v1")
        assert [path.name for path in paths] == ["std.v1.png", "std.v1.pdf"]
    for name in ("std.v1.png", "std.v1.pdf"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    assert (tmp_path / "a" / "std.v1.pdf").read_bytes().startswith(b"%PDF")


def test_sections_are_drawn_with_depth_downwards():
    image = np.zeros(SHAPE)
    image[3, 7] = 1.0
    ax = matplotlib.figure.Figure().subplots()
    drawn = AXES.show(ax, image, limits=(0.0, 1.0))
    np.testing.assert_array_equal(drawn.get_array(), image.T)
    left, right, bottom, top = drawn.get_extent()
    # Cell (3, 7) has its centre at x = 100 + 3 * 12.5, z = 70 m; the row index of the picture runs from its
    # top.
    assert left + (3 + 0.5) * (right - left) / 24 == pytest.approx(137.5)
    assert top + (7 + 0.5) * (bottom - top) / 20 == pytest.approx(70.0)
    assert ax.yaxis_inverted()
    assert ax.get_aspect() == 1.0
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("Distance (m)", "Depth (m)")


def test_long_sections_are_labelled_in_kilometres():
    ax = matplotlib.figure.Figure().subplots()
    axes = plots.ImageAxes((12.5, 12.5))
    drawn = axes.show(ax, np.zeros((400, 100)), limits=(0.0, 1.0))
    assert ax.get_xlabel() == "Distance (km)"
    assert drawn.get_extent()[1] == pytest.approx(4.99375)  # the last centre at 399 * 12.5 m, and half a cell


def test_values_are_shown_in_units_of_the_field():
    assert SLOWNESS.label == "Squared-slowness perturbation (s²/km²)"
    assert SLOWNESS.number(1.25e-8) == "0.0125 s²/km²"
    assert plots.Quantity.from_si("Velocity", "m/s").number(1500.0) == "1.5 km/s"
    assert plots.Quantity.from_si("Anything", "").label == "Anything"


def test_panel_shares_scales_and_states_scores():
    _, grid = _panel()
    limits = [ax.images[0].get_clim() for ax in grid.ravel()]
    assert len({limits[i] for i in (0, 1, 2, 4, 5, 6)}) == 1
    assert limits[3] == limits[7]
    assert limits[0][0] == -limits[0][1]
    draws, truth = next(_pairs(1))
    np.testing.assert_allclose(grid[0, 0].images[0].get_array(), 1e6 * truth.T)
    np.testing.assert_allclose(grid[0, 3].images[0].get_array(), 1e6 * np.abs(draws.mean(0) - truth).T)
    assert "SNR 8.2 dB" in grid[0, 2].get_title()
    assert "(wang)" in grid[0, 2].get_title()
    assert "RMSE 0.003 s²/km²" in grid[0, 3].get_title()
    assert "RMS 0.002 s²/km²" in grid[1, 3].get_title()


def test_profiles_draw_the_column_they_name():
    _, grid = _profiles()
    draws, truth = next(_pairs(1))
    lines = {line.get_label(): line for line in grid[0].lines}
    np.testing.assert_allclose(lines["truth"].get_xdata(), 1e6 * truth[6])
    np.testing.assert_allclose(lines["posterior mean"].get_xdata(), 1e6 * draws.mean(axis=0)[6])
    np.testing.assert_allclose(lines["truth"].get_ydata(), 10.0 * np.arange(20))
    assert grid[0].get_title() == "x = 175 m"
    assert grid[0].yaxis_inverted()
    assert [band.get_label() for band in grid[0].collections] == ["90 % interval", "50 % interval"]


def test_sbc_marks_what_leaves_the_band():
    _, narrow = _sbc(scale=0.3)
    _, right = _sbc(scale=1.0)
    for axes, marked in ((narrow, True), (right, False)):
        colours = {
            bar.get_facecolor()[:3] for ax in axes[:-1] for bar in ax.patches if hasattr(bar, "get_height")
        }
        assert (matplotlib.colors.to_rgb("#D55E00") in colours) == marked
        assert (", 0 of" not in axes[-1].get_title()) == marked


def test_series_skip_what_is_missing_or_not_finite():
    records = [
        {"iteration": 1, "loss": 1.0},
        {"iteration": 2, "loss": None},
        {"iteration": 3, "loss": float("nan")},
        {"loss": 1},
    ]
    step, value = series(records, "loss")
    assert (step.tolist(), value.tolist()) == ([1.0], [1.0])


def test_symmetric_limits_of_zeros_are_not_empty():
    assert symmetric_limits(np.zeros(4)) == (-1.0, 1.0)
    assert symmetric_limits(np.array([-3.0, 1.0]), percentile=100.0) == (-3.0, 3.0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: plots.ImageAxes((0.0, 1.0)), r"positive spacing \(dx, dz\) in metres"),
        (lambda: AXES.unit((3, 4, 5)), r"section of shape \(nx, nz\), got \(3, 4, 5\)"),
        (lambda: plots.calibration_curve({}), "1 to 4 curves, got 0"),
        (lambda: plots.std_rmse({}, quantity=SLOWNESS), "1 to 4 results, got 0"),
        (lambda: plots.sbc({}, {}), "tests of the same functionals"),
        (lambda: plots.training([{"iteration": 1}]), "records with 'iteration' and 'loss', got 1 without"),
        (
            lambda: plots.profiles(
                np.zeros(SHAPE), np.zeros(SHAPE), {}, axes=AXES, quantity=SLOWNESS, columns=(24,)
            ),
            r"columns within 0..23, got \(24,\)",
        ),
    ],
)
def test_bad_input_says_what_came(call, message):
    with pytest.raises(ValueError, match=message):
        call()
