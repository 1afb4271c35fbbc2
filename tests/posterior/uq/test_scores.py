from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from skimage.metrics import structural_similarity

from posterior.uq import best_scale, crps, rmse, snr_db, ssim


def test_rmse_and_snr_by_hand():
    truth = np.array([3.0, -4.0, 100.0])
    estimate = np.array([3.0, -3.5, 0.0])
    where = np.array([True, True, False])
    assert rmse(estimate, truth, where) == pytest.approx(math.sqrt(0.125), rel=1e-15)
    assert snr_db(estimate, truth, where) == pytest.approx(20.0, rel=1e-14)
    assert snr_db(np.zeros(3), truth) == pytest.approx(0.0, abs=1e-14)
    assert snr_db(truth, truth) == math.inf


@pytest.mark.parametrize("size", [1e-30, 1.0, 1e30])
def test_best_scale_leaves_a_residual_orthogonal_to_the_image(size):
    rng = np.random.default_rng(0)
    truth, image = 1e-8 * rng.standard_normal((5, 6)), size * rng.standard_normal((5, 6))
    scaled = best_scale(image, truth) * image
    # Orthogonal to rounding of 30 terms.
    assert abs(np.sum((truth - scaled) * scaled)) < 1e-13 * np.sum(truth**2)
    for other in (0.99, 1.01):
        assert snr_db(other * scaled, truth) < snr_db(scaled, truth)
    assert best_scale(np.zeros((5, 6)), truth) == 0.0


def _gaussian_crps(z: float) -> float:
    cdf = 0.5 * (1.0 + math.erf(z / math.sqrt(2.0)))
    pdf = math.exp(-0.5 * z * z) / math.sqrt(2.0 * math.pi)
    return z * (2.0 * cdf - 1.0) + 2.0 * pdf - 1.0 / math.sqrt(math.pi)


@pytest.mark.parametrize("count", [5, 400])
@pytest.mark.parametrize("truth", [0.0, 0.5, 2.5])
def test_fair_crps_is_unbiased_for_a_gaussian(count, truth):
    # Independent cells; the score of one cell has a std of at most 1.2/sqrt(S) + ..., so 2e6/S cells give
    # about 1e-3; four of them.
    draws = np.random.default_rng(1).standard_normal((count, 2_000_000 // count))
    scores = crps(draws, np.full(draws.shape[1], truth))
    standard_error = scores.std() / math.sqrt(scores.size)
    assert scores.mean() == pytest.approx(_gaussian_crps(truth), abs=4.0 * standard_error)


def test_crps_matches_its_definition_and_ranks_posteriors(gaussian):
    rng = np.random.default_rng(2)
    draws, truth = rng.standard_normal((7, 3, 4)), rng.standard_normal((3, 4))
    pairs = np.abs(draws[:, None] - draws[None]).sum(axis=(0, 1))
    first = np.abs(draws - truth).mean(axis=0)
    np.testing.assert_allclose(crps(draws, truth), first - pairs / (2 * 7 * 6), rtol=1e-12)
    np.testing.assert_allclose(crps(draws, truth, fair=False), first - pairs / (2 * 7 * 7), rtol=1e-12)
    mean = {
        kind: np.mean([crps(*pair).mean() for pair in gaussian(100, kind=kind)])
        for kind in ("right", "narrow", "wide", "shifted")
    }
    # A proper score: the right posterior beats every wrong one (same truths and same noise in all four).
    assert mean["right"] < min(mean["narrow"], mean["wide"], mean["shifted"])


@pytest.mark.parametrize("shape", [(40,), (24, 31), (13, 12, 14)])
@pytest.mark.parametrize(
    ("convention", "options"),
    [
        ("wang", {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}),
        ("skimage", {}),
    ],
)
def test_ssim_is_that_of_scikit_image(shape, convention, options):
    rng = np.random.default_rng(3)
    truth = np.cumsum(rng.standard_normal(shape), axis=-1)
    estimate = truth + 0.5 * rng.standard_normal(shape)
    found = ssim(estimate, truth, data_range=7.0, convention=convention)
    expected = structural_similarity(estimate, truth, data_range=7.0, **options)
    # Same sums in another order; variances by difference lose (mean/std)^2 eps.
    assert found.value == pytest.approx(expected, abs=1e-12)
    assert 0.2 < found.value < 0.99


def test_ssim_depends_on_convention_and_range_and_says_so():
    rng = np.random.default_rng(4)
    truth = np.cumsum(rng.standard_normal((32, 32)), axis=1)
    estimate = truth + 0.8 * rng.standard_normal((32, 32))
    wang, skimage = (ssim(estimate, truth, data_range=5.0, convention=c) for c in ("wang", "skimage"))
    assert abs(wang.value - skimage.value) > 1e-3
    assert ssim(estimate, truth, data_range=50.0).value > wang.value + 0.05
    assert "wang: Gaussian window 11, sigma 1.5" in str(wang)
    assert "data range 5" in str(wang)
    assert float(wang) == wang.value
    assert ssim(truth, truth, data_range=5.0).value == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize(("convention", "edge"), [("slim", "reflect"), ("openfwi", "constant")])
def test_published_conventions_fill_the_edges_and_fix_the_range(convention, edge):
    rng = np.random.default_rng(7)
    truth = 1500.0 + 3000.0 * np.linspace(0.0, 1.0, 40) * rng.uniform(0.5, 1.0, (35, 1))
    estimate = truth + 80.0 * rng.standard_normal(truth.shape)
    if convention == "slim":
        unit = (estimate / 1e3, truth / 1e3)
        found = ssim(*unit, data_range=1.0, convention=convention)
    else:
        unit = ((estimate - 1500.0) / 3000.0, (truth - 1500.0) / 3000.0)
        found = ssim(estimate, truth, data_range=3000.0, convention=convention)
    # scipy names mirrored edges, (d c b a | a b c d), "reflect", and 3.34 sigma are 5 cells.
    m_a, m_b, aa, bb, ab = (
        gaussian_filter(v, 1.5, mode=edge, truncate=3.34)
        for v in (unit[0], unit[1], unit[0] ** 2, unit[1] ** 2, unit[0] * unit[1])
    )
    expected = (2 * m_a * m_b + 1e-4) * (2 * (ab - m_a * m_b) + 9e-4)
    expected = expected / ((m_a**2 + m_b**2 + 1e-4) * (aa - m_a**2 + bb - m_b**2 + 9e-4))
    assert found.value == pytest.approx(expected.mean(), abs=1e-12)
    inner = ssim(*unit, data_range=1.0, convention="wang").value
    assert found.value != pytest.approx(inner, abs=1e-4)
    assert "edges" in str(found)


def test_ssim_of_tiny_units_is_that_of_large_ones():
    rng = np.random.default_rng(5)
    truth, estimate = rng.standard_normal((2, 20, 20))
    tiny = ssim(1e-90 * estimate, 1e-90 * truth, data_range=1e-90)
    assert tiny.value == pytest.approx(ssim(estimate, truth, data_range=1.0).value, rel=1e-12)


def test_ssim_averages_only_windows_whose_centre_counts():
    rng = np.random.default_rng(6)
    truth = rng.standard_normal((30, 20))
    estimate = truth.copy()
    estimate[:9] += 5.0  # windows of 11 with centres from 14 on do not touch these rows
    where = np.zeros((30, 20), dtype=bool)
    where[14:] = True
    assert ssim(estimate, truth, data_range=5.0, where=where).value == pytest.approx(1.0, abs=1e-12)
    assert ssim(estimate, truth, data_range=5.0).value < 0.9


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: rmse(np.zeros(3), np.zeros(4)), r"truth of shape \(3,\), like one draw, got \(4,\)"),
        (lambda: snr_db(np.ones(3), np.zeros(3)), "truth that does not vanish"),
        (lambda: crps(np.zeros((1, 3)), np.zeros(3)), "S >= 2 draws"),
        (
            lambda: ssim(np.zeros((10, 30)), np.zeros((10, 30)), data_range=1.0),
            "at least 11 cells along every axis",
        ),
        (
            lambda: ssim(np.zeros((20, 30)), np.zeros((20, 30)), data_range=0.0),
            "positive data_range, got 0.0",
        ),
        (
            lambda: ssim(np.zeros((20, 30)), np.zeros((20, 30)), data_range=1.0, convention="psnr"),
            r"among \['openfwi', 'skimage', 'slim', 'wang'\], got 'psnr'",
        ),
        (
            lambda: ssim(np.zeros((20, 30)), np.zeros((20, 30)), data_range=1.0, convention="openfwi"),
            "data_range 3000, which 'openfwi' fixes, got 1.0",
        ),
    ],
)
def test_bad_input_says_what_came(call, message):
    with pytest.raises(ValueError, match=message):
        call()
