"""The same waves by an independent code: deepwave, which propagates and differentiates on its own."""

import numpy as np
import pytest

from physics.geometry import Acquisition
from physics.linear import BornOperator, ForwardOperator
from physics.model import EarthModel
from physics.modelling import Numerics
from physics.wavelets import ricker

torch = pytest.importorskip("torch")
deepwave = pytest.importorskip("deepwave")

H, DT, NT = 10.0, 1e-3, 420
# Below deepwave's own limit of 0.6 h / (sqrt(2) v), so that it does not resample; the signatures as they are.
PLAIN = Numerics(steps_per_sample=1, correct_dispersion=False)
SOURCES, RECEIVERS = [(55, 60), (70, 58)], [(45, 50), (58, 72), (66, 66), (74, 52), (60, 48)]


def velocities(seed):
    """A rough middle in a frame from which nothing comes back to the receivers within the record."""
    rng = np.random.default_rng(seed)
    vp = np.full((120, 116), 2000.0)
    vp[40:80, 40:76] += rng.uniform(-250.0, 250.0, (40, 36))
    return vp


def survey():
    return Acquisition(H * np.array(SOURCES), H * np.array(RECEIVERS), DT, NT)


def model(seed, order):
    return EarthModel(velocities(seed), (H, H), nbl=0, space_order=order, dtype="float64")


def propagate(v, order):
    """Deepwave's records (nsrc, nt, nrec); ours are these with the other sign."""
    shots = len(SOURCES)
    result = deepwave.scalar(
        v,
        H,
        DT,
        source_amplitudes=torch.from_numpy(np.tile(ricker(15.0, DT, NT), (shots, 1, 1))),
        source_locations=torch.tensor(SOURCES)[:, None],
        receiver_locations=torch.tensor([RECEIVERS] * shots),
        accuracy=order,
        pml_width=20,
        pml_freq=15.0,
    )
    return -result[-1].transpose(1, 2)


def relative(error, reference):
    return np.linalg.norm(error) / np.linalg.norm(reference)


@pytest.mark.parametrize("order", [4, 8])
def test_records_agree(order):
    ours = ForwardOperator(model(0, order), survey(), numerics=PLAIN).forward(ricker(15.0, DT, NT))
    theirs = propagate(torch.from_numpy(velocities(0)), order).numpy()
    # Same scheme, same order; rounding, and what the frame's edge returns of a wave's numerical foot.
    assert relative(ours - theirs, theirs) < 1e-6


def test_gradients_of_a_misfit_agree():
    observed = propagate(torch.from_numpy(velocities(1)), 8)
    v = torch.from_numpy(velocities(0)).requires_grad_()
    misfit = 0.5 * (propagate(v, 8) - observed).square().sum()
    misfit.backward()
    background = model(0, 8)
    residual = (
        ForwardOperator(background, survey(), numerics=PLAIN).forward(ricker(15.0, DT, NT)) - observed.numpy()
    )
    J = BornOperator(background, survey(), wavelet=ricker(15.0, DT, NT), numerics=PLAIN)
    gradient = -2.0 * background.vp**-3 * J.adjoint(residual)
    assert 0.5 * np.square(residual).sum() == pytest.approx(misfit.item(), rel=1e-6)
    inside = (slice(30, 90), slice(30, 86))
    assert relative(gradient[inside] - v.grad.numpy()[inside], v.grad.numpy()[inside]) < 2e-3
