"""The cells around a model: what they hold, and the adjoint of filling them."""

import numpy as np
import pytest

from physics.errors import PhysicsError
from physics.model import EarthModel
from physics.padding import Padding

PADDINGS = {
    "layer": Padding((7, 5), 3),
    "none": Padding((7, 5), 0),
    "free surface": Padding((7, 5), 3, mirror=2),
    "free surface, no layer": Padding((7, 5), 0, mirror=4),
    "mirror wider than the layer": Padding((7, 5), 1, mirror=4),
    "3-D": Padding((6, 4, 5), 2),
    "3-D, free surface": Padding((6, 4, 5), 2, mirror=3),
}
every_padding = pytest.mark.parametrize("padding", PADDINGS.values(), ids=PADDINGS.keys())


@every_padding
def test_the_model_lies_inside_unchanged(padding):
    x = np.random.default_rng(0).standard_normal(padding.shape)
    padded = padding.pad(x)
    assert padded.shape == padding.padded_shape
    assert np.array_equal(padded[padding.inside], x)


@every_padding
def test_layers_replicate_the_edge(padding):
    x = np.random.default_rng(0).standard_normal(padding.shape)
    padded, last = padding.pad(x), padding.layer
    for axis in range(len(padding.shape)):
        lines = np.moveaxis(padded, axis, 0)
        first = padding.lower[axis]
        if not (padding.mirror and axis == len(padding.shape) - 1):
            assert np.array_equal(lines[:first], np.broadcast_to(lines[first], lines[:first].shape))
        end = lines[len(lines) - last :]
        assert np.array_equal(end, np.broadcast_to(lines[len(lines) - last - 1], end.shape))


@every_padding
def test_rows_above_a_free_surface_are_the_mirror_image(padding):
    padded = padding.pad(np.random.default_rng(0).standard_normal(padding.shape))
    above, below = padded[..., : padding.mirror], padded[..., padding.mirror + 1 : 2 * padding.mirror + 1]
    assert np.array_equal(above, below[..., ::-1])


@every_padding
def test_adjoint_of_what_the_scheme_sees(padding):
    # Rows above a free surface are slaves of those below: they carry no sensitivity of their own.
    rng = np.random.default_rng(1)
    x, y = rng.standard_normal(padding.shape), rng.standard_normal(padding.padded_shape)
    seen = padding.pad(x)
    seen[..., : padding.mirror] = 0.0
    # A sum of some hundred products.
    assert np.isclose(np.vdot(seen, y), np.vdot(x, padding.pad_adjoint(y)), rtol=1e-12)


@every_padding
def test_adjoint_does_not_change_its_argument(padding):
    y = np.random.default_rng(2).standard_normal(padding.padded_shape)
    copy = y.copy()
    image = padding.pad_adjoint(y)
    assert np.array_equal(y, copy)
    assert not np.shares_memory(image, y)
    assert image.flags.c_contiguous


def test_edges_collect_their_layer():
    padding = Padding((3, 4), 2)
    image = padding.pad_adjoint(np.ones(padding.padded_shape))
    # An edge cell counts itself and two replicas, along either axis.
    assert np.array_equal(image, np.outer([3.0, 1.0, 3.0], [3.0, 1.0, 1.0, 3.0]))


@pytest.mark.parametrize(("options", "rows"), [({}, 4), ({"rho": np.full((24, 20), 1000.0)}, 7)])
def test_a_free_surface_has_the_rows_that_the_stencil_reads(options, rows):
    model = EarthModel(np.full((24, 20), 2000.0), (10.0, 10.0), free_surface=True, nbl=6, **options)
    assert model.padding == Padding((24, 20), 6, mirror=rows)
    assert model.padding.padded_shape == (36, rows + 20 + 6)


def test_too_few_rows_below_a_free_surface_are_refused():
    with pytest.raises(PhysicsError, match=r"more than 4 rows below a free surface, got .*\(7, 4\)"):
        Padding((7, 4), 3, mirror=4)
