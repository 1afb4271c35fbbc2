"""Every figure under every law, and each for what it draws."""

from __future__ import annotations

import subprocess
import sys

import matplotlib
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

from physics.config import LayeredPriorConfig
from physics.model import EarthModel
from physics.plots.boundaries import late_error, plot_boundaries
from physics.plots.frame import Frame, Look, clip
from physics.plots.gathers import plot_gathers
from physics.plots.migration import plot_migration
from physics.plots.model import plot_model
from physics.plots.prior import plot_prior
from physics.plots.shot import Traces, plot_shot
from physics.plots.style import new_figure, save_figure
from physics.plots.wavefield import plot_wavefield
from physics.priors import make_prior
from physics.priors.statistics import summarise

FRAME = Frame((12.5, 10.0), (100.0, 0.0))
VOLUME = Frame((25.0, 20.0, 10.0))
SHAPE, SHAPE3 = (40, 30), (20, 16, 12)
NT, DT = 60, 0.004
OFFSETS = np.arange(-4, 5) * 12.5
RECEIVERS = np.column_stack([np.linspace(100.0, 580.0, 24), np.full(24, 20.0)])
TRACES = Traces.of(RECEIVERS)


def _field(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def _vp(shape):
    return 2500.0 + 300.0 * _field(*shape)


def _positions(ndim):
    rng = np.random.default_rng(1)
    return rng.uniform(110.0, 300.0, (5, ndim)) if ndim == 2 else rng.uniform(10.0, 110.0, (5, ndim))


def _model(frame=FRAME, shape=SHAPE):
    points = _positions(frame.ndim)
    return plot_model(_vp(shape), frame, sources=points[:2], receivers=points, title="Draw 3")


def _migration(frame=FRAME, shape=SHAPE):
    image, truth, light = _field(*shape), 1e-8 * _field(*shape, seed=1), _field(*shape, seed=2) ** 2
    return plot_migration(image, frame, truth=truth, illumination=light)


def _shot(power=2.0):
    return plot_shot(
        {"Full record": _field(NT, 24), "Linearised": _field(NT, 24, seed=1)}, TRACES, DT, power=power
    )


def _wavefield(count=6):
    waves = _field(count, *SHAPE)
    return plot_wavefield(waves, 0.1 * np.arange(count), FRAME, vp=_vp(SHAPE), source=[200.0, 20.0])


def _gathers():
    return plot_gathers(_field(9, *SHAPE), OFFSETS, FRAME, positions=[200.0, 300.0, 450.0])


def _boundaries():
    base = _field(NT, 24)
    records = {"Sponge, 40 cells": base + 0.1, "Matched layer, 12 cells": base + 0.001}
    return plot_boundaries(base, records, TRACES, DT, factor=10.0)


def _prior():
    prior = make_prior(LayeredPriorConfig(), (24, 20), (20.0, 20.0))
    figure = plot_prior(prior, summarise(prior, 10))
    return figure, figure.axes


FIGURES = {
    "model": _model,
    "model, bare": lambda: plot_model(_vp(SHAPE), FRAME),
    "model, 3-D": lambda: _model(VOLUME, SHAPE3),
    "model, two columns": lambda: plot_model(_vp((90, 30)), FRAME, width="double"),
    "migration": _migration,
    "migration, 3-D": lambda: _migration(VOLUME, SHAPE3),
    "image alone": lambda: plot_migration(_field(*SHAPE), FRAME),
    "shot": _shot,
    "shot without gain": lambda: _shot(power=0.0),
    "wavefield": _wavefield,
    "wavefield, five": lambda: _wavefield(5),
    "gathers": _gathers,
    "boundaries": _boundaries,
    "prior": _prior,
}


@pytest.fixture(params=FIGURES)
def figure(request):
    return FIGURES[request.param]()[0]


def _texts(figure):
    """All text that is drawn: matplotlib keeps labels of ticks beyond the limits, but draws none of them."""
    hidden = set()
    for ax in figure.axes:
        for axis in (ax.xaxis, ax.yaxis):
            low, high = sorted(axis.get_view_interval())
            slack = 1e-6 * (high - low)
            for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks()):
                if not ax.get_visible() or not low - slack <= tick.get_loc() <= high + slack:
                    hidden |= {tick.label1, tick.label2}
    texts = (text for text in figure.findobj(Text) if text.get_text().strip() and text.get_visible())
    return [text for text in texts if text not in hidden and (text.axes is None or text.axes.get_visible())]


def test_text_is_readable_and_inside_the_page(figure):
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    page = figure.bbox.padded(1.0)  # a pixel for rounding
    for text in _texts(figure):
        assert text.get_fontsize() >= 7.0, text.get_text()
        box = text.get_window_extent(canvas.get_renderer())
        assert page.contains(box.x0, box.y0), text.get_text()
        assert page.contains(box.x1, box.y1), text.get_text()


def test_figures_have_the_width_of_a_column(figure):
    width = 2.54 * figure.get_figwidth()
    assert width == pytest.approx(8.5) or width == pytest.approx(17.6)


def test_every_panel_says_what_it_is(figure):
    figure.draw_without_rendering()
    for ax in figure.axes:
        row = ax.get_shared_y_axes().get_siblings(ax) + ax.get_shared_x_axes().get_siblings(ax)
        assert any(one.get_title() or one.get_xlabel() or one.get_ylabel() for one in row)
    labels = {axis.get_label().get_text() for ax in figure.axes for axis in (ax.xaxis, ax.yaxis)}
    assert any("(km)" in label or "(s)" in label for label in labels)


def test_global_state_is_left_alone():
    before = dict(matplotlib.rcParams)
    for draw in FIGURES.values():
        draw()
    assert dict(matplotlib.rcParams) == before


def test_pyplot_and_its_global_figures_are_not_needed():
    modules = "boundaries, fields, gathers, migration, model, prior, shot, wavefield"
    code = f"import sys; from physics.plots import {modules}; print('matplotlib.pyplot' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize("ending", ["png", "pdf"])
def test_saved_files_are_the_same_twice(tmp_path, ending):
    first, again = (save_figure(_shot()[0], tmp_path / f"{name}.{ending}") for name in "ab")
    assert first.read_bytes() == again.read_bytes()


def test_depth_is_down_and_cells_are_where_they_are():
    vp = np.full(SHAPE, 2000.0)
    vp[3, 7] = 2600.0
    _, (ax,) = plot_model(vp, FRAME)
    drawn = ax.images[0]
    np.testing.assert_allclose(drawn.get_array(), vp.T / 1e3)
    left, right, bottom, top = drawn.get_extent()
    # Cell (3, 7) has its centre at x = 137.5 m, z = 70 m.
    assert left + 3.5 * (right - left) / 40 == pytest.approx(0.1375)
    assert top + 7.5 * (bottom - top) / 30 == pytest.approx(0.070)
    assert ax.yaxis_inverted()
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("x (km)", "z (km)")
    assert drawn.get_clim() == (2.0, 2.6)


def test_sections_have_true_proportions():
    figure, (ax,) = plot_model(_vp(SHAPE), FRAME)
    width, height = figure.get_size_inches() * ax.get_position().size
    assert width / height == pytest.approx(40 * 12.5 / (30 * 10.0))


def test_sources_and_receivers_stand_where_they_are_and_count_once():
    streamers = np.stack([RECEIVERS, RECEIVERS + [12.5, 0.0]])  # the second spread has places of its own
    figure, (ax,) = plot_model(_vp(SHAPE), FRAME, sources=[[200.0, 20.0]], receivers=streamers)
    receivers, source = ax.collections
    np.testing.assert_allclose(source.get_offsets(), [[0.2, 0.02]])
    places = np.unique(streamers.reshape(-1, 2), axis=0) / 1e3
    np.testing.assert_allclose(receivers.get_offsets(), places)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["48 receivers", "1 source"]


def test_volumes_are_cut_through_their_middle():
    vp = _vp(SHAPE3)
    _, (front, side, above) = plot_model(vp, VOLUME)
    for ax, slice_, title in (
        (front, vp[:, 8], "y = 0.16 km"),
        (side, vp[10], "x = 0.25 km"),
        (above, vp[:, :, 6], "z = 0.06 km"),
    ):
        np.testing.assert_allclose(ax.images[0].get_array(), slice_.T / 1e3)
        assert ax.get_title() == title
        assert ax.images[0].get_clim() == (vp.min() / 1e3, vp.max() / 1e3)
    # One scale on paper for all three.
    assert front.get_position().height == pytest.approx(side.get_position().height)
    assert front.get_position().width == pytest.approx(above.get_position().width)


def test_sections_of_a_volume():
    values = _field(5, *SHAPE3)
    section, frame = VOLUME.section(values, 41.0)
    np.testing.assert_array_equal(section, values[:, :, 2])
    assert frame == Frame((25.0, 10.0))
    same, frame = FRAME.section(values[0, 0], 0.0)
    assert same.shape == (16, 12)
    assert frame is FRAME


def test_records_are_gained_time_down_and_say_so():
    figure, axes = _shot(power=1.5)
    record = _field(NT, 24)
    gained = record * (np.arange(NT)[:, None] * DT) ** 1.5
    drawn = axes[0].images[0]
    np.testing.assert_allclose(drawn.get_array(), gained)
    limit = np.quantile(np.abs(gained), 0.98)
    np.testing.assert_allclose(drawn.get_clim(), (-limit, limit))
    assert axes[0].yaxis_inverted()
    assert axes[0].get_ylabel() == "time (s)"
    labels = [ax.get_xlabel() for ax in figure.axes if ax not in axes]
    assert labels == ["amplitude × t$^{1.5}$,\nclipped at 98 %"] * 2


LINES = {
    "along x": (RECEIVERS, 0.1, "receiver x (km)"),
    "down a well": (RECEIVERS[:, ::-1], 0.1, "receiver z (km)"),
    "backwards": (RECEIVERS[::-1], 0.58, "receiver x (km)"),
    "irregular": (RECEIVERS[[0, 1, 5, 6]], 1.0, "trace"),
    "a carpet": (np.array([[x, y, 20.0] for x in (0.0, 10.0) for y in (0.0, 10.0)]), 1.0, "trace"),
    "one": (RECEIVERS[:1], 1.0, "trace"),
}


@pytest.mark.parametrize(("receivers", "first", "label"), LINES.values(), ids=LINES.keys())
def test_traces_are_placed_where_they_form_a_line(receivers, first, label):
    traces = Traces.of(receivers)
    assert len(traces.values) == len(receivers)
    assert traces.values[0] == pytest.approx(first)
    assert traces.label == label


def test_snapshots_share_one_scale_and_state_their_times():
    _, grid = _wavefield(5)
    waves = _field(5, *SHAPE)
    size = np.quantile(np.abs(waves), 0.99)
    for ax, wave, t in zip(grid.flat, waves, (0.0, 0.1, 0.2, 0.3, 0.4), strict=False):
        backdrop, drawn = ax.images
        np.testing.assert_allclose(backdrop.get_array(), _vp(SHAPE).T / 1e3)
        np.testing.assert_allclose(drawn.get_array(), wave.T / size)
        assert drawn.get_clim() == (-1.0, 1.0)
        # Where there is no wave one sees the rock.
        quiet = np.abs(wave.T) < 1e-3 * size
        assert quiet.any()
        assert drawn.get_alpha()[quiet].max() < 0.02
        assert ax.get_title() == f"{t:.2f} s"
    assert not grid.flat[5].get_visible()


def test_images_are_relative_and_illumination_is_in_decibels():
    image, light = _field(*SHAPE), np.full(SHAPE, 0.01)
    light[0, 0], light[1, 1] = 1.0, 0.0
    _, axes = plot_migration(image, FRAME, truth=1e-8 * image, illumination=light, quantile=0.9)
    truth, migrated, energy = (row[0].images[0] for row in axes)
    np.testing.assert_allclose(truth.get_array(), 1e-2 * image.T)
    np.testing.assert_allclose(migrated.get_array(), image.T / np.quantile(np.abs(image), 0.9))
    assert migrated.get_clim() == (-1.0, 1.0)
    np.testing.assert_allclose(energy.get_array()[:2, :2], [[0.0, -20.0], [-20.0, -40.0]])
    assert energy.get_clim() == (-40.0, 0.0)


def test_gathers_are_those_below_the_lines():
    _, axes = _gathers()
    gather = _field(9, *SHAPE)
    size = np.quantile(np.abs(gather[4]), 0.995)
    np.testing.assert_allclose(axes[0].images[0].get_array(), gather[4].T / size)
    # Positions 200, 300 and 450 m from the origin at 100 m in cells of 12.5 m.
    for ax, line, column in zip(axes[1:], axes[0].lines, (8, 16, 28), strict=True):
        np.testing.assert_allclose(ax.images[0].get_array(), gather[:, column].T / size)
        assert line.get_xdata()[0] == pytest.approx(0.1 + 0.0125 * column)
        left, right, bottom, top = ax.images[0].get_extent()
        assert (left, right) == pytest.approx((-0.05625, 0.05625))
        assert bottom > top


def test_differences_are_magnified_and_measured():
    _, grid = _boundaries()
    base = _field(NT, 24)
    np.testing.assert_allclose(grid[0, 0].images[0].get_array(), base)
    np.testing.assert_allclose(grid[1, 1].images[0].get_array(), np.ones((NT, 24)), rtol=1e-12)
    assert len({ax.images[0].get_clim() for ax in (*grid[0], *grid[1, 1:])}) == 1
    late = 100.0 * 0.1 * np.sqrt(30 * 24) / np.linalg.norm(base[30:])
    assert grid[1, 1].get_title() == f"Difference × 10 (late half: {late:.2g} %)"
    assert 100.0 * late_error(base + 0.1, base) == pytest.approx(late)
    # A constant difference has a constant root mean square, but where the window leaves the record.
    curve = grid[1, 0].lines[1].get_xdata()
    np.testing.assert_allclose(curve[3:-3], 0.1 / np.abs(base).max())


def test_frames_follow_their_model():
    model = EarthModel(np.full((12, 14), 2000.0), (5.0, 10.0), origin=(30.0, 0.0))
    frame = Frame.of(model)
    assert frame == Frame((5.0, 10.0), (30.0, 0.0))
    assert frame.nearest(0, 41.0, 12) == 2
    assert frame.centre(0, 2) == pytest.approx(0.040)


def test_clips_of_few_or_no_values_are_not_empty():
    assert clip(np.zeros(4), 0.9) == 1.0
    assert clip(np.array([0.0] * 99 + [-3.0]), 0.5) == 3.0
    assert Look.signed(np.array([-3.0, 1.0]), "", quantile=1.0).limits == (-3.0, 3.0)


BAD = {
    "spacing": (lambda: Frame((0.0, 1.0)), r"2 or 3 positive spacings in metres, got \(0.0, 1.0\)"),
    "origin": (lambda: Frame((1.0, 1.0), (0.0,)), r"2 coordinates of the origin, got \(0.0,\)"),
    "quantile": (lambda: clip(np.ones(3), 1.5), r"quantile in \(0, 1\], got 1.5"),
    "a volume in a flat frame": (
        lambda: plot_model(_vp(SHAPE3), FRAME),
        r"velocity model of shape \(nx, nz\), as the spacing \(12.5, 10.0\) has it, got shape \(20, 16, 12\)",
    ),
    "flat sources in a volume": (
        lambda: plot_model(_vp(SHAPE3), VOLUME, sources=[[0.0, 1.0]]),
        r"sources of shape \(n, 3\) for a 3-D model, got \(1, 2\)",
    ),
    "velocities in km/s": (
        lambda: plot_model(np.full(SHAPE, 2.0), FRAME),
        "got a maximum of 2: looks like km/s",
    ),
    "a wave that blew up": (
        lambda: plot_shot({"a": np.full((NT, 24), np.nan)}, TRACES, DT),
        "finite values to draw, got 1440 of 1440 NaN or infinite",
    ),
    "truth of another shape": (
        lambda: plot_migration(np.ones(SHAPE), FRAME, truth=np.ones((4, 5))),
        r"perturbation of the image's shape \(40, 30\), got \(4, 5\)",
    ),
    "no light": (
        lambda: plot_migration(np.ones(SHAPE), FRAME, illumination=np.zeros(SHAPE)),
        "illumination that is positive somewhere, got zeros only",
    ),
    "no records": (lambda: plot_shot({}, TRACES, DT), "at least 1 record to draw, got none"),
    "record of other traces": (
        lambda: plot_shot({"a": np.ones((NT, 5))}, TRACES, DT),
        r"record of shape \(nt, 24\), as the traces have it, got shape \(60, 5\)",
    ),
    "receivers of all shots": (
        lambda: Traces.of(np.ones((2, 3, 2))),
        r"receivers \(nrec, ndim\) of one shot, got shape \(2, 3, 2\)",
    ),
    "snapshots of a volume": (
        lambda: plot_wavefield(np.ones((2, *SHAPE3)), [0.0, 1.0], VOLUME),
        r"got shapes \(2, 20, 16, 12\) and \(2,\) in one of 3: take a section of a volume",
    ),
    "snapshots over another model": (
        lambda: plot_wavefield(np.ones((1, *SHAPE)), [0.0], FRAME, vp=_vp((4, 5))),
        r"velocity model of the snapshots' shape \(40, 30\), got \(4, 5\)",
    ),
    "gathers of a volume": (
        lambda: plot_gathers(np.ones((9, *SHAPE3)), OFFSETS, VOLUME, positions=[0.0]),
        r"got shapes \(9, 20, 16, 12\) and \(9,\) in one of 3: take a section of a volume",
    ),
    "gathers without zero": (
        lambda: plot_gathers(np.ones((3, *SHAPE)), [1.0, 2.0, 3.0], FRAME, positions=[200.0]),
        "zero among the offsets, got 1 to 3 m in steps of 1 m",
    ),
    "uneven offsets": (
        lambda: plot_gathers(np.ones((3, *SHAPE)), [-1.0, 0.0, 3.0], FRAME, positions=[200.0]),
        "at least 2 rising offsets in equal steps",
    ),
    "a gather outside": (
        lambda: plot_gathers(np.ones((9, *SHAPE)), OFFSETS, FRAME, positions=[50.0]),
        "position on the x axis from 100 to 587.5 m, got 50 m",
    ),
    "a boundary of other samples": (
        lambda: plot_boundaries(np.ones((NT, 24)), {"a": np.ones((9, 24))}, TRACES, DT, factor=1.0),
        r"1 to 3 records of the reference's shape \(60, 24\), got \(9, 24\)",
    ),
    "no boundaries": (
        lambda: plot_boundaries(np.ones((NT, 24)), {}, TRACES, DT, factor=1.0),
        "1 to 3 records of the reference's shape .*, got none",
    ),
}


@pytest.mark.parametrize(("call", "message"), BAD.values(), ids=BAD.keys())
def test_bad_input_says_what_came(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_new_figures_are_laid_out_for_a_page():
    figure = new_figure("double", 5.0)
    assert isinstance(figure, Figure)
    np.testing.assert_allclose(2.54 * figure.get_size_inches(), (17.6, 5.0))
