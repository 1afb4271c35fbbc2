"""The free surface: waves come back from it with the other sign, as if from a mirrored source."""

import numpy as np
import pytest

from physics.errors import GeometryError
from physics.geometry import Acquisition
from physics.linear import BornOperator, ForwardOperator
from physics.model import EarthModel
from physics.modelling import Numerics
from physics.wavelets import ricker

SPACING, NT, DT = (12.5, 10.0), 201, 2e-3
# One setting of the generated code for all: an order that is built quickly, the sinc on the grid too.
SETTING = {"spacing": SPACING, "nbl": 6, "space_order": 4, "dtype": "float64"}
SINC = Numerics(interpolation="sinc")
POSITIONS = {
    "on the grid": ([(450.0, 60.0)], [(350.0, 40.0), (650.0, 90.0), (450.0, 10.0)]),
    "off the grid": ([(452.3, 57.1)], [(351.2, 43.4), (649.0, 8.8), (455.5, 2.5)]),
    "just below": ([(447.6, 4.0)], [(351.2, 43.4), (649.0, 8.8), (455.5, 2.5)]),
}


def rough(*, density):
    rng = np.random.default_rng(0)
    vp = rng.uniform(1800.0, 2400.0, (73, 46))
    return vp, rng.uniform(1000.0, 2600.0, vp.shape) if density else None


def mirrored(values):
    """The model and its mirror image above the first row."""
    return None if values is None else np.concatenate([values[:, :0:-1], values], axis=1)


@pytest.mark.parametrize("density", [False, True], ids=["constant density", "density"])
@pytest.mark.parametrize("where", POSITIONS)
def test_a_free_surface_is_a_mirrored_source_of_the_other_sign(where, density):
    vp, rho = rough(density=density)
    below = EarthModel(vp, rho=rho, free_surface=True, **SETTING)
    whole = EarthModel(mirrored(vp), rho=mirrored(rho), origin=(0.0, -450.0), **SETTING)
    sources, receivers = POSITIONS[where]
    wavelet = ricker(12.0, DT, NT)

    def records(model, places):
        return ForwardOperator(model, Acquisition(places, receivers, DT, NT), numerics=SINC).forward(wavelet)

    surface, direct = records(below, sources), records(whole, sources)
    ghost = records(whole, [(x, -z) for x, z in sources])
    # The scheme sees no difference between the two, absorbing layers included: rounding is what is left.
    assert np.linalg.norm(surface - (direct - ghost)) <= 1e-11 * np.linalg.norm(direct)
    assert np.linalg.norm(ghost) > 0.2 * np.linalg.norm(direct)


def test_the_pressure_fades_towards_the_surface():
    # A ghost of the other sign at twice the depth: the record goes as depth, which is far below the
    # wavelength of 170 m.
    model = EarthModel(np.full((73, 46), 2000.0), free_surface=True, **SETTING)
    survey = Acquisition([[450.0, 250.0]], [(450.0, d) for d in (0.5, 1.0, 2.0, 4.0)], DT, NT)
    record = ForwardOperator(model, survey, numerics=SINC).forward(ricker(12.0, DT, NT))[0]
    size = np.linalg.norm(record, axis=0)
    assert np.allclose(size / size[0], [1.0, 2.0, 4.0, 8.0], rtol=0.05)


def test_the_pressure_on_the_surface_is_zero_so_a_change_there_changes_nothing():
    model = EarthModel(np.full((40, 30), 2000.0), free_surface=True, **SETTING)
    survey = Acquisition([[200.0, 25.0]], [[100.0, 15.0], [320.0, 15.0]], DT, NT)
    J = BornOperator(model, survey, wavelet=ricker(12.0, DT, NT), numerics=SINC)
    image = J.adjoint(J.forward(np.random.default_rng(1).standard_normal(model.shape)))
    assert not image[:, 0].any()
    assert image[:, 1].all()
    dm = np.zeros(model.shape)
    dm[:, 0] = 1.0
    assert not J.forward(dm).any()


@pytest.mark.parametrize("kind", ["sources", "receivers"])
def test_positions_on_the_surface_are_refused(kind):
    model = EarthModel(np.full((40, 30), 2000.0), SPACING, origin=(0.0, 30.0), free_surface=True)
    places = {"sources": [(50.0, 60.0), (70.0, 60.0)], "receivers": [(10.0, 40.0), (20.0, 40.0)]}
    places[kind][1] = (90.0, 30.0)
    with pytest.raises(
        GeometryError, match=rf"{kind} below the free surface at 30 m, .* got 1 on it, the first at index 1"
    ):
        ForwardOperator(model, Acquisition(**places, dt=DT, nt=NT))


def test_a_model_too_shallow_for_its_mirror_image_is_refused():
    with pytest.raises(
        ValueError, match=r"more than \d+ rows below a free surface|at least \d+ cells an axis"
    ):
        EarthModel(np.full((40, 4), 2000.0), SPACING, free_surface=True).padding  # noqa: B018
