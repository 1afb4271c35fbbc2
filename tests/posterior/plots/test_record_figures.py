"""Figures of shot records: predictive checks, butterflies, wiggles."""

from __future__ import annotations

import matplotlib
import numpy as np
import pytest
from figure_laws import check_text, check_width

from posterior import plots, uq
from posterior.plots.record_axes import gained

NT, COUNT, DT, STEP = 120, 24, 0.004, 25.0
AXES = plots.RecordAxes(DT, first=100.0, step=STEP)
NOISE = 0.1


def _signal(amplitude=1.0):
    """A reflection hyperbola, (nt, nrec)."""
    t = DT * np.arange(NT)[:, None]
    arrival = np.sqrt(0.2**2 + (STEP * (np.arange(COUNT) - 11.5) / 1500.0) ** 2)
    return amplitude * np.exp(-(((t - arrival) / 0.012) ** 2))


OBSERVED = _signal() + NOISE * np.random.default_rng(0).standard_normal((NT, COUNT))


def _predicted(amplitude=1.0, draws=12):
    rng = np.random.default_rng(1)
    return np.stack([_signal(amplitude + 0.02 * rng.standard_normal()) for _ in range(draws)])


def _check(predicted, noise=NOISE):
    check = uq.Predictive(OBSERVED, noise)
    check.update(predicted)
    return check.result()


def _predictive(amplitude=1.0, **options):
    draws = _predicted(amplitude)
    return plots.predictive(_check(draws), OBSERVED, draws, axes=AXES, **options)


FIGURES = {
    "predictive": _predictive,
    "predictive, gained": lambda: _predictive(power=1.5, traces=(3,)),
    "predictive of a mean": lambda: plots.predictive(
        _check(_predicted()), OBSERVED, _signal(), axes=plots.RecordAxes(DT)
    ),
    "butterfly": lambda: plots.butterfly(OBSERVED, {"posterior mean": _signal()}, axes=AXES),
    "butterfly of three": lambda: plots.butterfly(
        OBSERVED,
        {"prior mean": _signal(0.1), "one draw": _signal(0.9), "posterior mean": _signal()},
        axes=AXES,
        power=2.0,
    ),
    "wiggle": lambda: plots.wiggle(OBSERVED, axes=AXES),
    "wiggle of two": lambda: plots.wiggle(OBSERVED, axes=plots.RecordAxes(DT), overlay=_signal(), every=3),
}


@pytest.mark.parametrize("name", FIGURES)
def test_text_is_readable_and_figures_fit_a_column(name):
    figure, axes = FIGURES[name]()
    check_text(figure, apart=True)
    check_width(figure)
    for ax in np.atleast_1d(axes):
        assert ax.get_xlabel()


def test_records_are_drawn_with_time_downwards():
    record = np.zeros((NT, COUNT))
    record[50, 7] = 1.0
    ax = matplotlib.figure.Figure().subplots()
    drawn = AXES.show(ax, record, limits=(0.0, 1.0))
    left, right, bottom, top = drawn.get_extent()
    # Sample (50, 7) is at 0.2 s and at 100 + 7 * 25 = 275 m; the row index of the picture runs from its top.
    assert top + 50.5 * (bottom - top) / NT == pytest.approx(0.2)
    assert left + 7.5 * (right - left) / COUNT == pytest.approx(0.275)
    assert ax.yaxis_inverted()
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("Receiver position (km)", "Time (s)")
    assert plots.RecordAxes(DT).label == "Trace"
    assert plots.RecordAxes(DT).positions(3).tolist() == [1.0, 2.0, 3.0]


def test_gain_is_a_power_of_time_and_mutes_what_is_before():
    times = np.array([-1.0, 0.0, 2.0])
    np.testing.assert_array_equal(gained(np.ones((3, 2)), times, 2.0)[:, 0], [0.0, 0.0, 4.0])
    assert gained(OBSERVED, times, 0.0) is OBSERVED


def test_predictive_shares_one_scale_and_draws_the_residual():
    _, axes = _predictive()
    shown = [ax.images[0].get_array() for ax in axes[:3]]
    np.testing.assert_allclose(shown[0], OBSERVED)
    np.testing.assert_allclose(shown[1], _predicted().mean(axis=0))
    np.testing.assert_allclose(shown[2], OBSERVED - _predicted().mean(axis=0))
    assert len({ax.images[0].get_clim() for ax in axes[:3]}) == 1
    assert [ax.get_title() for ax in axes[:3]] == ["Observed", "Mean prediction of 12 draws", "Residual"]


def test_predictive_draws_the_traces_it_names():
    _, axes = _predictive(traces=(3, 20))
    assert [ax.get_title() for ax in axes[3:]] == ["x = 0.18 km", "x = 0.60 km"]
    lines = {line.get_label(): line for line in axes[4].lines}
    np.testing.assert_allclose(lines["observed"].get_ydata(), OBSERVED[:, 20])
    np.testing.assert_allclose(lines["mean prediction"].get_ydata(), _predicted().mean(axis=0)[:, 20])
    np.testing.assert_allclose(lines["observed"].get_xdata(), DT * np.arange(NT))


@pytest.mark.parametrize(
    ("amplitude", "noise", "words"),
    [
        (1.0, NOISE, "): the draws explain the data"),
        (0.4, NOISE, "): the draws do not explain the data"),
        (1.0, 2.0 * NOISE, "): the draws fit the noise"),
    ],
)
def test_predictive_verdict_follows_chi_square(amplitude, noise, words):
    draws = _predicted(amplitude)
    check = _check(draws, noise)
    figure, _ = plots.predictive(check, OBSERVED, draws, axes=AXES)
    title = figure.get_suptitle()
    assert title.endswith(words)
    assert title.startswith(f"χ²/n = {check.chi_square.mean():.3g} ± ")


def test_butterfly_mirrors_the_prediction_about_the_last_receiver():
    predicted = _signal(0.5)
    _, axes = plots.butterfly(OBSERVED, {"half": predicted}, axes=AXES)
    both = axes[0].images[0].get_array()
    np.testing.assert_allclose(both[:, :COUNT], OBSERVED)
    np.testing.assert_allclose(both[:, COUNT:], predicted[:, ::-1])
    texts = [text.get_text() for text in axes[0].get_xticklabels()]
    assert texts == ["0.1", "0.4", "0.68", "0.1", "0.4"]
    # Trace 0 of the prediction ends the right wing.
    assert axes[0].get_xticks()[[0, 3]].tolist() == [1.0, 2.0 * COUNT]
    residual = np.linalg.norm(OBSERVED - predicted) / np.linalg.norm(OBSERVED)
    assert f"{20.0 * np.log10(residual):.1f}".replace("-", "−") in axes[0].get_title()


def test_butterfly_of_the_data_themselves_says_so():
    _, axes = plots.butterfly(OBSERVED, {"same": OBSERVED}, axes=AXES)
    assert axes[0].get_title() == "observed | same\nno residual"


def test_wiggles_stand_at_their_receivers_and_fill_positive_lobes():
    _, ax = plots.wiggle(OBSERVED, axes=AXES, every=4, power=0.0)
    assert len(ax.lines) == len(ax.collections) == 6
    excursion = ax.lines[2].get_xdata() - 1e-3 * (100.0 + 8 * STEP)
    assert np.corrcoef(excursion, OBSERVED[:, 8])[0, 1] == pytest.approx(1.0)
    filled = ax.collections[2].get_paths()[0].vertices[:, 0]
    assert filled.min() >= 1e-3 * (100.0 + 8 * STEP) - 1e-12
    assert ax.yaxis_inverted()
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("Receiver position (km)", "Time (s)")
    assert ax.get_title() == "observed, no gain, one trace in 4"


def test_wiggles_of_two_records_share_their_scale():
    figure, ax = plots.wiggle(OBSERVED, axes=AXES, overlay=0.5 * OBSERVED, every=1, power=1.0)
    first, second = (ax.lines[k].get_xdata() - 1e-3 * 100.0 for k in (0, COUNT))
    np.testing.assert_allclose(second, 0.5 * first, atol=1e-12)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["observed", "predicted"]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: plots.RecordAxes(0.0), "positive sampling interval in seconds, got 0.0"),
        (lambda: plots.RecordAxes(DT, step=-1.0), "distance between receivers in metres, got -1.0"),
        (lambda: AXES.check(np.zeros(4)), r"record of shape \(nt, nrec\), got \(4,\)"),
        (lambda: AXES.check(np.full((4, 4), np.nan)), "finite record"),
        (
            lambda: plots.predictive(_check(_predicted()), OBSERVED, np.zeros((3, 4, 5)), axes=AXES),
            r"shape \(120, 24\), like the observed one, got \(4, 5\)",
        ),
        (
            lambda: plots.predictive(_check(_predicted()), OBSERVED, np.zeros(7), axes=AXES),
            r"predictions \(s, 120, 24\) or \(120, 24\), got \(7,\)",
        ),
        (lambda: _predictive(traces=(24,)), r"1 to 3 traces within 0..23, got \[24\]"),
        (lambda: plots.butterfly(OBSERVED, {}, axes=AXES), "1 to 3 predictions, got 0"),
        (
            lambda: plots.butterfly(OBSERVED, {"a": OBSERVED[:, :5]}, axes=AXES),
            r"like the observed one, got \(120, 5\)",
        ),
        (lambda: plots.wiggle(OBSERVED, axes=AXES, every=0), "got every=0"),
        (lambda: plots.wiggle(OBSERVED, axes=AXES, overlay=OBSERVED[1:]), r"got \(119, 24\)"),
    ],
)
def test_bad_input_says_what_came(call, message):
    with pytest.raises(ValueError, match=message):
        call()
