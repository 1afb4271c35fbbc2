from __future__ import annotations

import base64

import numpy as np
import pytest

from posterior.report.quantise import quantise


@pytest.mark.parametrize(("bits", "steps"), [(8, 254), (16, 65534)])
@pytest.mark.parametrize("scale", [1e-8, 1.0, 1e7])
def test_no_value_moves_by_more_than_half_a_step(bits, steps, scale):
    values = scale * (3.0 + np.random.default_rng(bits).standard_normal((5, 16, 14)))
    coded = quantise(values, bits)
    assert coded.step == pytest.approx(np.ptp(values) / steps, rel=1e-12)
    assert coded.error == 0.5 * coded.step
    departure = np.abs(coded.values() - values)
    # A thousandth beside the bound for rounding in float64; a step twice as coarse would break it.
    assert departure.max() <= 1.001 * coded.error
    assert departure.max() > 0.9 * coded.error
    assert coded.codes.min() == 0
    assert coded.codes.max() == steps


def test_values_that_are_not_finite_stay_nan_and_leave_the_scale_alone():
    values = np.array([0.0, np.nan, 2.0, np.inf, -np.inf, 1.0])
    coded = quantise(values, 8)
    assert coded.codes.tolist() == [0, 255, 254, 255, 255, 127]
    np.testing.assert_array_equal(np.isnan(coded.values()), ~np.isfinite(values))


@pytest.mark.parametrize("values", [np.full((3, 4), 2.5), np.full(3, np.nan), np.zeros(0)])
def test_arrays_without_range_come_back_as_they_were(values):
    np.testing.assert_array_equal(quantise(values).values(), values)


@pytest.mark.parametrize(("bits", "kind"), [(8, "<u1"), (16, "<u2")])
def test_packed_codes_are_little_endian_with_the_last_axis_fastest(bits, kind):
    coded = quantise(np.arange(12.0).reshape(3, 4), bits)
    packed = coded.packed()
    assert (packed["bits"], packed["offset"], packed["step"]) == (bits, coded.offset, coded.step)
    codes = np.frombuffer(base64.b64decode(packed["codes"]), dtype=kind)
    np.testing.assert_array_equal(codes, coded.codes.ravel())


def test_other_sizes_of_codes_are_refused():
    with pytest.raises(ValueError, match="expected 8 or 16 bits, got 12"):
        quantise([0.0, 1.0], 12)
