from __future__ import annotations

import numpy as np
import pytest
from section_data import VELOCITY, VOLUME_AXES, make_volume

from posterior import plots


def test_slices_mark_one_another():
    volume = make_volume()
    _, (front, top, side) = plots.slices(volume, axes=VOLUME_AXES, quantity=VELOCITY, at=(3, 4, 5))
    np.testing.assert_allclose(front.images[0].get_array(), 1e-3 * volume[:, 4].T)
    np.testing.assert_allclose(top.images[0].get_array(), 1e-3 * volume[:, :, 5].T)
    np.testing.assert_allclose(side.images[0].get_array(), 1e-3 * volume[3].T)
    # x = 0.3, y = 0.9, z = 0.25 km: the same numbers in all views.
    for ax, across, down in ((front, 0.3, 0.25), (top, 0.3, 0.9), (side, 0.9, 0.25)):
        assert ax.lines[0].get_xdata()[0] == pytest.approx(across)
        assert ax.lines[1].get_ydata()[0] == pytest.approx(down)
        assert ax.get_aspect() == 1.0
    assert (front.yaxis_inverted(), side.yaxis_inverted(), top.yaxis_inverted()) == (True, True, False)
    assert (front.get_xlabel(), front.get_ylabel()) == ("x (km)", "Depth (km)")
    assert (top.get_ylabel(), side.get_xlabel()) == ("y (km)", "y (km)")
    assert (top.get_title(), side.get_title()) == ("z = 0.25 km", "x = 0.3 km")
    assert len({ax.images[0].get_clim() for ax in (front, top, side)}) == 1


def test_looks_follow_the_sign_of_values():
    signed = plots.Look.of(np.array([-2.0, 1.0]))
    assert (signed.cmap, signed.limits[0]) == ("gray", -signed.limits[1])
    positive = plots.Look.of(np.linspace(1500.0, 4500.0, 1001))
    assert (positive.cmap, positive.limits) == ("viridis", pytest.approx((1515.0, 4485.0)))
    assert plots.Look.of(np.full(3, 1500.0)).limits == pytest.approx((1350.0, 1650.0))


def test_segments_set_water_and_salt_apart_from_sediment():
    look = plots.Look.segmented((1450.0, 4650.0), water=1550.0, salt=4400.0)

    def colour(velocity):
        return look.cmap((velocity - 1450.0) / 3200.0)

    assert colour(1460.0) == colour(1540.0) != colour(1570.0)
    assert colour(4420.0) == colour(4640.0) != colour(4380.0)
    sediment = np.array([colour(v)[:3] for v in np.linspace(1570.0, 4380.0, 40)])
    lightness = sediment @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(lightness) > 0.0).all()
