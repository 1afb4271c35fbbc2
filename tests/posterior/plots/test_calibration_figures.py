"""Figures of calibration, on closed-form posteriors that are right and ones that are wrong."""

from __future__ import annotations

import re

import numpy as np
import pytest
from figure_laws import check_text, check_width
from matplotlib.colors import to_hex

from posterior import plots, uq
from posterior.plots.series import p_text
from posterior.plots.significance import bonferroni
from posterior.plots.style import ESTIMATE, RAW

SHAPE, PAIRS, DRAWS = (12, 10), 100, 60
AXES = plots.ImageAxes((12.5, 10.0), (100.0, 0.0))
SLOWNESS = plots.Quantity.from_si("Squared-slowness perturbation", "s^2/m^2")
STD = 1e-8 * np.linspace(0.3, 1.5, SHAPE[0] * SHAPE[1]).reshape(SHAPE)
PRIOR = 1.8e-8
WHERE = np.arange(SHAPE[1]) >= 2
WHERE = np.broadcast_to(WHERE, SHAPE)
LEVEL = 0.8
# Std of the draws over that of the posterior, and shift of their mean in std.
KINDS = {"right": (1.0, 0.0), "narrow": (0.6, 0.0), "wide": (1.7, 0.0), "shifted": (1.0, 1.0)}


class Streams:
    """Everything the figures show, of one posterior with independent Gaussian cells."""

    def __init__(self, kind):
        scale, shift = KINDS[kind]
        rng = np.random.default_rng(5)
        self.coverage, self.pit = uq.Coverage(map_level=LEVEL), uq.PitMap()
        self.tarp, self.error = uq.Tarp(scale=STD), uq.CalibrationErrorFit()
        self.ranks = uq.FunctionalRanks(
            {
                "energy": uq.energy(WHERE),
                "mean": uq.block_mean(WHERE),
                "cell": uq.cell(3, 4),
                "left": uq.block_mean(WHERE & (np.arange(SHAPE[0]) < 6)[:, None]),
                "deep": uq.block_mean(WHERE & (np.arange(SHAPE[1]) > 6)),
            }
        )
        std, error, crps, removed, z = [], [], [], [], []
        for _ in range(PAIRS):
            centre = np.sqrt(PRIOR**2 - STD**2) * rng.standard_normal(SHAPE)
            truth = centre + STD * rng.standard_normal(SHAPE)
            draws = centre + shift * STD + scale * STD * rng.standard_normal((DRAWS, *SHAPE))
            self.coverage.update(draws, truth, WHERE)
            self.pit.update(draws, truth)
            self.tarp.update(draws, truth, PRIOR * rng.standard_normal(SHAPE))
            self.error.update(draws, truth, WHERE)
            self.ranks.update(draws, truth)
            std.append(draws.std(axis=0, ddof=1))
            error.append(draws.mean(axis=0) - truth)
            crps.append(uq.crps(draws, truth).mean())
            removed.append(uq.contraction(draws.var(axis=0, ddof=1), np.full(SHAPE, PRIOR**2)))
            z.append(uq.z_scores(draws, truth))
        self.std, self.misfit, self.crps = np.array(std), np.array(error), np.array(crps)
        self.cells = np.array(removed), np.array(z)
        self.published = [
            uq.published_calibration_error(self.std, self.misfit, convention, bins=16)
            for convention in ("slim", "laves", "ence")
        ]

    def coverage_map(self):
        test = uq.coverage_map_test(self.coverage.map(), LEVEL, pairs=PAIRS, num_samples=DRAWS)
        return plots.coverage_map(self.coverage.map(), test, level=LEVEL, axes=AXES)

    def pit_figure(self):
        return plots.pit(self.pit, axes=AXES, where=WHERE)

    def rank_figure(self):
        return plots.ranks(self.ranks.tests())

    def tarp_figure(self):
        return plots.tarp({"this": self.tarp.result()})

    def reliability(self):
        return plots.reliability(
            {"this": self.error.result()}, quantity=SLOWNESS, published={"this": self.published}
        )


@pytest.fixture(scope="module")
def streams():
    return {kind: Streams(kind) for kind in KINDS}


def _local_c2st(kind, pairs=80):
    """Two reduced coordinates with correlation 0.6 given y, and the draws of the first pair."""
    scale, shift = KINDS[kind]
    rng = np.random.default_rng(6)
    root = np.linalg.cholesky([[1.0, 0.6], [0.6, 1.0]])
    conditions = rng.standard_normal((pairs, 2))
    truths = conditions + rng.standard_normal((pairs, 2)) @ root.T
    draws = conditions[:, None] + shift + scale * rng.standard_normal((pairs, DRAWS, 2)) @ root.T
    return uq.local_c2st(truths, draws, conditions, trials=199), draws[0], conditions[0], truths[0]


def _c2st(kind="right"):
    classifier, draws, condition, truth = _local_c2st(kind)
    return plots.c2st(classifier, draws, condition, truth=truth)


REFERENCES = (
    uq.Reference("latent norm", np.linspace(0.9, 1.1, 199)),
    uq.Reference("summary discrepancy", np.linspace(0.0, 1.0, 199) ** 2, tail="upper"),
)


def _alarms(norm=1.01, discrepancy=0.2):
    verdict = uq.Alarms(REFERENCES).verdict({"latent norm": norm, "summary discrepancy": discrepancy})
    return plots.alarms(REFERENCES, verdict)


RATES = {
    "right": {"60 pairs": {"coverage": 0.05, "TARP": 0.04}, "300 pairs": {"coverage": 0.06, "TARP": 0.05}},
    "too narrow": {"60 pairs": {"coverage": 1.0, "TARP": 0.4}, "300 pairs": {"coverage": 1.0, "TARP": 0.9}},
}


def _snr(pairs=20, count=50):
    rng = np.random.default_rng(7)
    curves = []
    for _ in range(pairs):
        centre, std = 2.0 * rng.standard_normal(SHAPE), 1.0
        draws = centre + std * rng.standard_normal((count, *SHAPE))
        curves.append(uq.running_snr_db(draws, centre + std * rng.standard_normal(SHAPE)))
    return np.array(curves)


FIGURES = {
    "coverage_map": lambda s: s["narrow"].coverage_map(),
    "coverage_map, nothing outside": lambda s: s["right"].coverage_map(),
    "pit": lambda s: s["wide"].pit_figure(),
    "ranks": lambda s: s["narrow"].rank_figure(),
    "tarp": lambda s: plots.tarp({kind: streams.tarp.result() for kind, streams in s.items()}),
    "reliability": lambda s: s["right"].reliability(),
    "reliability of four": lambda s: plots.reliability(
        {f"posterior {kind}": streams.error.result() for kind, streams in s.items()}, quantity=SLOWNESS
    ),
    "sparsification": lambda s: plots.sparsification(
        {kind: uq.sparsification(s[kind].std, s[kind].misfit) for kind in ("right", "wide")}
    ),
    "alarms": lambda s: _alarms(),
    "alarms, far off": lambda s: _alarms(9.0, float("nan")),
    "c2st": lambda s: _c2st("narrow"),
    "contraction": lambda s: plots.contraction({kind: s[kind].cells for kind in ("right", "narrow", "wide")}),
    "contraction of one": lambda s: plots.contraction({"right": s["right"].cells}),
    "scores": lambda s: plots.scores(
        {name: {kind: 1e6 * s[kind].crps for kind in KINDS} for name in ("CRPS", "again", "thrice")}
    ),
    "snr_against_samples": lambda s: plots.snr_against_samples({"right": _snr(), "one pair": _snr(1)[0]}),
    "power": lambda s: plots.power(RATES),
}


@pytest.mark.parametrize("name", FIGURES)
def test_text_is_readable_and_figures_fit_a_column(streams, name):
    figure, axes = FIGURES[name](streams)
    check_text(figure, apart=True)
    check_width(figure)
    for ax in np.atleast_1d(axes):
        assert ax.get_title() or ax.get_xlabel() or not ax.axison


def test_coverage_map_says_which_cells_fail_and_how(streams):
    for kind, words in (
        ("right", "no cell of 96\nis off by more than chance"),
        ("narrow", r"[1-9]\d* cells too narrow,\n0 too wide of 96"),
        ("wide", r"0 cells too narrow,\n[1-9]\d* too wide of 96"),
    ):
        _, axes = streams[kind].coverage_map()
        assert re.fullmatch(words, axes[1].get_title()), (kind, axes[1].get_title())
        assert bool(axes[1].collections) == (kind != "right"), "cells are outlined where they fail"
    np.testing.assert_allclose(
        axes[0].images[0].get_array().filled(np.nan), 100.0 * streams["wide"].coverage.map().T
    )
    assert axes[0].images[0].get_clim() == pytest.approx((60.0, 100.0))
    assert axes[0].yaxis_inverted()
    assert axes[0].get_ylabel() == "Depth (m)"


def test_outlines_run_along_the_edges_of_the_cells_that_fail():
    coverage = np.full(SHAPE, LEVEL)
    coverage[4, 7] = 0.2
    test = uq.coverage_map_test(coverage, LEVEL, pairs=PAIRS, num_samples=DRAWS)
    _, axes = plots.coverage_map(coverage, test, level=LEVEL, axes=AXES)
    points = axes[1].collections[0].get_paths()[0].vertices
    # Cell (4, 7) reaches from 143.75 to 156.25 m and from 65 to 75 m; a line between two of six fine points
    # misses its edge by at most a sixth of a cell.
    np.testing.assert_allclose(points.min(axis=0), [143.75, 65.0], atol=12.5 / 6)
    np.testing.assert_allclose(points.max(axis=0), [156.25, 75.0], atol=12.5 / 6)


def test_pit_tells_narrow_wide_and_shifted_apart(streams):
    def counts(kind):
        _, axes = streams[kind].pit_figure()
        return [[int(n) for n in re.findall(r" in (\d+)", ax.get_title())] for ax in axes[:2]]

    assert counts("right") == [[0, 0], [0, 0]]
    below_above, wide_narrow = counts("shifted")
    assert below_above[0] > 90
    assert below_above[1] == 0
    # A shift piles ranks up at one end: cells look too narrow as well, none too wide.
    assert wide_narrow[0] == 0
    assert counts("narrow")[1][1] > 20
    assert counts("narrow")[1][0] == 0
    assert counts("wide")[1][0] > 20
    assert counts("wide")[1][1] == 0


def test_threshold_of_maps_is_bonferroni_s():
    # 1 - 0.05 / (2 * 96) = 0.99973958 is the normal distribution at 3.469.
    assert bonferroni(96, 0.95) == pytest.approx(3.469, abs=1e-3)
    assert bonferroni(1, 0.95) == pytest.approx(1.95996, abs=1e-5)


def test_ranks_colour_and_name_what_fails(streams):
    _, right = streams["right"].rank_figure()
    assert " ".join(right[0].get_title().split()) == "No sign of miscalibration in 5 functionals, 100 pairs"
    _, (above, below) = streams["narrow"].rank_figure()
    title = " ".join(above.get_title().split())
    assert re.fullmatch("Not calibrated: [1-5] of 5 functionals fail, 100 pairs", title)
    adjusted = uq.holm({name: test.p_value for name, test in streams["narrow"].ranks.tests().items()})
    labels = [label.get_text() for label in below.get_yticklabels()]
    assert [adjusted[name] for name in labels] == sorted(adjusted.values())
    np.testing.assert_allclose(below.collections[-1].get_offsets()[:, 0], sorted(adjusted.values()))
    assert "adjusted for 5 tests" in below.get_xlabel()


def test_rank_curves_are_the_ecdf_less_the_uniform_one(streams):
    tests = {"energy": streams["narrow"].ranks.tests()["energy"]}
    _, (above, _) = plots.ranks(tests)
    curve = above.lines[-1]
    ranks = streams["narrow"].ranks.ranks()["energy"]
    for x, y in zip(curve.get_xdata(), curve.get_ydata(), strict=True):
        below = np.mean(ranks < round(x * (DRAWS + 1)))
        assert y == pytest.approx(below - x, abs=1e-12)
    assert len(above.collections) == 1, "one band"


@pytest.mark.parametrize(("kind", "right"), [("right", True), ("narrow", False), ("wide", False)])
def test_tarp_states_verdict_and_p_value(streams, kind, right):
    result = streams[kind].tarp.result()
    _, (above, below) = plots.tarp({"this": result})
    assert above.get_title() == ("No sign of miscalibration" if right else "Not calibrated: this")
    assert (result.p_value >= 0.05) == right
    curve = above.lines[-1]
    np.testing.assert_allclose(curve.get_ydata()[1:-1], 100.0 * result.expected_coverage())
    assert below.get_ylabel() == "Difference (points)"
    assert len(below.collections) == 1, "one band"


def test_tarp_draws_a_band_for_each_number_of_pairs(streams):
    small = uq.TarpResult(streams["right"].tarp.result().ranks[:40], DRAWS, 0)
    _, (_, below) = plots.tarp({"all": streams["right"].tarp.result(), "40": small})
    assert len(below.collections) == 2
    assert below.get_title() == "shaded: 95 % of calibrated posteriors, 40 to 100 pairs"


def test_reliability_verdicts_and_bars(streams):
    words = {"right": "no sign of error", "narrow": "std too small", "wide": "std too large"}
    for kind, word in words.items():
        figure, (above, below) = streams[kind].reliability()
        assert above.get_title().startswith(f"this: {word}, p = ")
        error = streams[kind].error.result()
        drawn = above.containers[0].lines[0]
        np.testing.assert_allclose(drawn.get_xdata(), 1e6 * error.std)
        np.testing.assert_allclose(drawn.get_ydata(), 1e6 * error.std * error.ratio)
        texts = [text.get_text() for text in below.texts]
        assert f"{100 * error.value:.1f}" in texts
        assert "(s²/km²)²" in texts
    assert above.get_xlabel() == "Posterior std (s²/km²)"
    bar = above.containers[0].lines[2][0].get_segments()[0]
    assert np.diff(bar[:, 1])[0] == pytest.approx(4e6 * error.std[0] * error.ratio_error[0])
    assert figure is above.figure


def test_a_right_posterior_lies_on_the_diagonal_and_its_slim_curve_below(streams):
    _, (above, below) = streams["right"].reliability()
    rmse, absolute = above.lines[0].get_ydata()[-1], above.lines[1].get_ydata()[-1]
    assert absolute / rmse == pytest.approx(np.sqrt(2.0 / np.pi))
    std, miss = streams["right"].std, np.abs(streams["right"].misfit)
    # The mean absolute error of these very cells is on the dotted line: 12000 cells know it to 1 %.
    assert miss.mean() / std.mean() == pytest.approx(absolute / rmse, rel=0.03)
    # And the table shows slim's error far above what ours leaves.
    assert float(streams["right"].published[0]) / std.mean() > 0.15
    assert streams["right"].error.result().value < 0.03
    assert "mean |error| (slim), if right" in [t.get_text() for t in above.get_legend().get_texts()]
    assert {"slim", "laves", "ence", "ours"} <= {text.get_text() for text in below.texts}


def test_sparsification_legend_compares_with_what_is_expected(streams):
    own = streams["right"]
    shuffled = np.random.default_rng(1).permutation(own.std.ravel())
    curves = {
        "right": uq.sparsification(own.std, own.misfit),
        "shuffled": uq.sparsification(shuffled, own.misfit.ravel()),
    }
    figure, ax = plots.sparsification(curves)
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    for name, curve in curves.items():
        assert f"{name}: area {curve.ause:.3f}, expected {curve.expected_ause:.3f}" in texts
    assert curves["shuffled"].ause > 1.5 * curves["shuffled"].expected_ause
    assert curves["right"].ause == pytest.approx(curves["right"].expected_ause, rel=0.1)
    assert ax.get_xlabel() == "Cells taken away, largest std first (%)"


def test_alarms_say_the_verdict_and_mark_the_score():
    figure, axes = _alarms()
    assert figure.get_suptitle() == "No alarm in 2 checks: a survey like those of the training"
    assert [ax.get_title()[:8] for ax in axes] == ["no alarm", "no alarm"]
    figure, axes = _alarms(1.2)
    assert figure.get_suptitle() == "Do not trust this posterior: alarm by latent norm"
    assert axes[0].get_title().startswith("ALARM, p = ")
    assert to_hex(axes[0].title.get_color()).upper() == RAW
    assert to_hex(axes[1].title.get_color()).upper() == ESTIMATE
    low, high = REFERENCES[0].thresholds(0.025)
    marked = [line.get_xdata()[0] for line in axes[0].lines]
    assert marked == pytest.approx([low, high, 1.2])
    assert len(axes[1].lines) == 2, "one threshold of the upper tail, and the score"


def test_alarms_far_off_and_not_finite_stay_legible():
    _, axes = _alarms(1e6, float("nan"))
    low, high = axes[0].get_xlim()
    assert high - low < 0.5, "the histogram is not squeezed by the score"
    texts = [text.get_text() for text in axes[0].texts]
    assert f"{1e6:.4g}" in texts
    assert axes[1].texts[0].get_text() == "score is not finite"


def test_c2st_says_whether_truths_are_told_and_where():
    _, right = _c2st("right")
    assert all("not told from truths" in ax.get_title() for ax in right[:2])
    classifier, draws, condition, truth = _local_c2st("shifted")
    _, wrong = plots.c2st(
        classifier, draws, condition, truth=truth, quantity=plots.Quantity("Score", "m", 1e-3)
    )
    assert all("told from" in ax.get_title() and "not told" not in ax.get_title() for ax in wrong[:2])
    dots = wrong[2].collections[0]
    np.testing.assert_allclose(dots.get_offsets(), 1e-3 * draws)
    np.testing.assert_allclose(dots.get_array(), classifier.probability(draws, condition))
    assert (wrong[2].get_xlabel(), wrong[2].get_ylabel()) == ("Score 1 (m)", "Score 2 (m)")
    # Draws are shifted up: where they lie low there is too little mass.
    assert np.corrcoef(draws.sum(axis=1), dots.get_array())[0, 1] < -0.7


def test_contraction_shows_the_rms_of_z(streams):
    for kind, rms in (("right", 1.0), ("narrow", 1.0 / 0.6), ("wide", 1.0 / 1.7)):
        _, axes = plots.contraction({kind: streams[kind].cells})
        stated = float(re.search(r"RMS z ([\d.]+)", axes[0].get_title()).group(1))
        # Student's t with 59 degrees of freedom has a std of 1.017; 12000 cells know it to 0.7 %.
        assert stated == pytest.approx(1.017 * rms, rel=0.03)
        line = next(line for line in axes[0].lines if "RMS" in str(line.get_label()))
        np.testing.assert_allclose(line.get_ydata(), 1.017 * rms, rtol=0.12)
    assert axes[0].get_xlabel() == "Prior variance removed (%)"
    texts = [text.get_text() for text in axes[0].get_xticklabels()]
    places = axes[0].get_xticks()
    assert places[texts.index("0")] == pytest.approx(0.0)
    assert places[texts.index("90")] == pytest.approx(1.0), "a decade of variance"


def test_scores_state_the_paired_difference(streams):
    table = {kind: streams[kind].crps for kind in ("right", "narrow", "wide")}
    figure, axes = plots.scores({"CRPS": table}, labels={"CRPS": "CRPS (s²/m²)"})
    assert axes[0].get_xlabel() == "CRPS (s²/m²), lower is better"
    assert [text.get_text() for text in axes[0].get_yticklabels()] == list(table)
    for text, kind in zip(axes[0].texts, ("narrow", "wide"), strict=True):
        change, margin = (float(n) for n in re.findall(r"[\d.]+", text.get_text()))
        difference = table[kind] - table["right"]
        assert change == pytest.approx(100.0 * difference.mean() / table["right"].mean(), rel=0.06)
        error = difference.std(ddof=1) / np.sqrt(PAIRS)
        assert margin == pytest.approx(200.0 * error / table["right"].mean(), rel=0.06)
        assert text.get_text().startswith("+"), "the right posterior has the lowest score"
    assert "difference to right" in figure.get_suptitle()


def test_scores_of_equal_posteriors_are_the_same(streams):
    _, axes = plots.scores({"CRPS": {"a": streams["right"].crps, "b": streams["right"].crps}})
    assert axes[0].texts[0].get_text() == "the same"


def test_snr_rises_as_a_right_posterior_s_does():
    _, ax = plots.snr_against_samples({"right": _snr()})
    mean, right = ax.lines[0].get_ydata(), ax.lines[1].get_ydata()
    # 20 pairs of 120 cells know each mean to about 0.15 dB.
    np.testing.assert_allclose(mean, right, atol=0.45)
    assert right[-1] - right[0] == pytest.approx(10.0 * np.log10(2.0 / (1.0 + 1.0 / 50)))
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("Draws in the mean", "SNR of the mean (dB)")
    assert ax.get_xscale() == "log"


def test_power_shows_every_rate_in_per_cent():
    _, axes = plots.power(RATES)
    assert [ax.get_xlabel() for ax in axes] == ["60 pairs", "300 pairs"]
    np.testing.assert_allclose(axes[0].images[0].get_array(), [[5.0, 100.0], [4.0, 40.0]])
    assert [text.get_text() for text in axes[1].texts] == ["6", "100", "5", "90"]
    assert [text.get_text() for text in axes[0].get_yticklabels()] == ["coverage", "TARP"]


def _histogram_test():
    return uq.rank_test(np.arange(60), 60)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda s: plots.ranks({}), "at least 1 functional, got none"),
        (lambda s: plots.ranks({"a": _histogram_test()}), "cumulative=True, got a histogram for 'a'"),
        (
            lambda s: plots.ranks(
                {
                    "a": uq.rank_test(np.arange(60), 60, cumulative=True),
                    "b": uq.rank_test(np.arange(50), 60, cumulative=True),
                }
            ),
            "same pairs and draws, got others for 'b'",
        ),
        (lambda s: plots.tarp({}), "1 to 4 results, got 0"),
        (lambda s: plots.pit(uq.PitMap(), axes=AXES), "at least 1 pair"),
        (
            lambda s: plots.pit(s["right"].pit, axes=AXES, where=np.ones((3, 3))),
            r"mask of shape \(12, 10\), got \(3, 3\)",
        ),
        (
            lambda s: plots.coverage_map(
                np.zeros((3, 3)), uq.CoverageMapTest(np.zeros((2, 2)), 3.0), level=0.9, axes=AXES
            ),
            r"shape \(2, 2\), as tested, got \(3, 3\)",
        ),
        (
            lambda s: plots.coverage_map(
                np.zeros((3, 3)), uq.CoverageMapTest(np.zeros((3, 3)), 3.0), level=90, axes=AXES
            ),
            r"level in \(0, 1\), got 90",
        ),
        (lambda s: plots.reliability({}, quantity=SLOWNESS), "1 to 4 calibration errors, got 0"),
        (
            lambda s: plots.reliability(
                {"a": s["right"].error.result()}, quantity=SLOWNESS, published={"b": s["right"].published}
            ),
            r"published errors of \['a'\], got \['b'\]",
        ),
        (lambda s: plots.sparsification({}), "1 to 4 curves, got 0"),
        (
            lambda s: plots.alarms(REFERENCES[:1], uq.Verdict(trusted=True, text="", readings=())),
            r"verdict on \['latent norm'\], got one on \[\]",
        ),
        (
            lambda s: plots.c2st(*_local_c2st("right")[:3], coordinates=(0, 2)),
            r"two coordinates within 0..1, got \(0, 2\)",
        ),
        (
            lambda s: plots.c2st(*_local_c2st("right")[:3], truth=np.zeros(3)),
            r"reduced truth of shape \(2,\), got \(3,\)",
        ),
        (lambda s: plots.contraction({"a": (np.zeros(3), np.zeros(4))}), r"of one shape for 'a'.*\(3,\)"),
        (lambda s: plots.contraction({"a": (np.full(3, np.nan), np.zeros(3))}), "with cells that count"),
        (lambda s: plots.scores({}), "at least 1 score, got none"),
        (lambda s: plots.scores({"CRPS": {"a": [1.0, 2.0], "b": [1.0]}}), "same pairs"),
        (lambda s: plots.scores({"CRPS": {"a": [1.0, np.nan]}}), "finite values of 'CRPS'"),
        (
            lambda s: plots.scores({"x": {"a": [1.0, 2.0]}, "y": {"b": [1.0, 2.0]}}),
            r"\['a'\] in every score, got \['b'\] for 'y'",
        ),
        (lambda s: plots.snr_against_samples({"a": [1.0]}), r"S >= 2, of 'a', got shape \(1,\)"),
        (lambda s: plots.snr_against_samples({"a": [1.0, np.inf]}), "finite SNR"),
        (lambda s: plots.power({}), "at least 1 posterior, got none"),
        (
            lambda s: plots.power({"a": {"60": {"t": 0.1}}, "b": {"60": {"u": 0.1}}}),
            "for every posterior, got others for 'b'",
        ),
        (lambda s: plots.power({"a": {"60": {"t": 1.1}}}), r"rates in \[0, 1\] for 'a', got \[1.1\]"),
    ],
)
def test_bad_input_says_what_came(streams, call, message):
    with pytest.raises(ValueError, match=message):
        call(streams)


def test_p_values_have_the_digits_they_deserve():
    assert p_text(0.347) == "p = 0.35"
    assert p_text(0.0123) == "p = 0.01"
    assert p_text(4.2e-5) == "p = 4e-05"
    assert p_text(0.0) == "p < 1e-15"


@pytest.mark.parametrize("shape", [(120, 30), (20, 44)])
def test_maps_of_long_and_of_deep_sections_fit(shape):
    rng = np.random.default_rng(0)
    transforms = uq.PitMap()
    coverage = uq.Coverage(map_level=0.5)
    for _ in range(20):
        draws, truth = 0.4 * rng.standard_normal((20, *shape)), rng.standard_normal(shape)
        transforms.update(draws, truth)
        coverage.update(draws, truth)
    axes = plots.ImageAxes((25.0, 25.0))
    test = uq.coverage_map_test(coverage.map(), 0.5, pairs=20, num_samples=20)
    for figure, _ in (
        plots.coverage_map(coverage.map(), test, level=0.5, axes=axes),
        plots.pit(transforms, axes=axes),
    ):
        check_text(figure, apart=True)
        check_width(figure)
