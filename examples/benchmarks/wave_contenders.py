"""The same shots, images and pairs with this package, deepwave and the solver of Devito's examples.

Needs: pip install deepwave pytest (Devito's `examples` package imports pytest).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, final

import deepwave
import numpy as np
import torch
from numpy.typing import NDArray

from physics.gathers import GatherOperator, symmetric_offsets
from physics.geometry import Acquisition
from physics.linear import BornOperator, ForwardOperator
from physics.model import EarthModel
from physics.modelling import Numerics
from physics.wavelets import ricker

# After `physics`, which chooses Devito's language and log level before Devito is imported.
from examples.seismic import AcquisitionGeometry, SeismicModel  # isort: skip
from examples.seismic.acoustic import AcousticWaveSolver  # isort: skip

ORDER, SUBSAMPLE = 8, 8
"""Order in space; every how many steps a background wavefield is kept."""
DIVISOR = 7
"""The same for deepwave, which wants a divisor of the number of steps, here 1001."""


@dataclass(frozen=True)
class Task:
    """What all contenders compute: one crop, a spread at the surface, single precision, order 8.

    Args:
        vp: Velocity (nx, nz) [m/s].
        num_sources: Sources, evenly spread over grid points at 20 m depth.
        h: Grid spacing [m].
        dt: Sampling interval and computing step [s].
        nt: Steps.
        f0: Peak frequency [Hz].
    """

    vp: NDArray[np.float64]
    num_sources: int
    h: float = 10.0
    dt: float = 0.001
    nt: int = 1001
    f0: float = 15.0

    @cached_property
    def sources(self) -> NDArray[np.int64]:
        """Grid points (nsrc, 2) of the sources."""
        x = np.round((np.arange(self.num_sources) + 0.5) * len(self.vp) / self.num_sources).astype(int)
        return np.column_stack([x, np.full(self.num_sources, 2)])

    @cached_property
    def receivers(self) -> NDArray[np.int64]:
        """Grid points (nrec, 2) of the receivers."""
        return np.column_stack([np.arange(len(self.vp)), np.full(len(self.vp), 2)])

    @cached_property
    def wavelet(self) -> NDArray[np.float64]:
        """Signature of every source."""
        return ricker(self.f0, self.dt, self.nt)

    @cached_property
    def dm(self) -> NDArray[np.float64]:
        """A perturbation of the squared slowness [s^2/m^2], zero at the edges."""
        inner = 1e-9 * np.random.default_rng(1).standard_normal([n - 2 for n in self.vp.shape])
        return np.pad(inner, 1)


@final
class Ours:
    """This package."""

    def __init__(self, task: Task, boundary: Literal["matched", "sponge"], *, corrected: bool = True) -> None:
        self.task, self.boundary = task, boundary
        self.numerics = Numerics(steps_per_sample=1, subsample=SUBSAMPLE, correct_dispersion=corrected)
        self.survey = Acquisition(task.sources * task.h, task.receivers * task.h, task.dt, task.nt)
        self.forward = ForwardOperator(self.model, self.survey, numerics=self.numerics)
        self.born = BornOperator(self.model, self.survey, wavelet=task.wavelet, numerics=self.numerics)
        self.records = self.forward.forward(task.wavelet)

    @cached_property
    def model(self) -> EarthModel:
        """The crop and its layer."""
        return EarthModel(self.task.vp, (self.task.h,) * 2, boundary=self.boundary, space_order=ORDER)

    @property
    def cells(self) -> int:
        """Cells along an axis of the padded grid."""
        return self.model.padding.padded_shape[0]

    def shots(self) -> object:
        """F q."""
        return self.forward.forward(self.task.wavelet)

    def images(self) -> object:
        """The migration of given records: background and adjoint, of every shot."""
        return self.born.adjoint(self.records)

    def gathers(self, largest: float) -> Callable[[], object]:
        """Image gathers of given records."""
        operator = GatherOperator(
            self.model,
            self.survey,
            wavelet=self.task.wavelet,
            offsets=symmetric_offsets(largest, self.task.h),
            numerics=self.numerics,
        )
        return lambda: operator.adjoint(self.records)

    def pair(self) -> object:
        """Born records d = J dm and J^T d in a model that was not there before."""
        model = EarthModel(self.task.vp, (self.task.h,) * 2, boundary=self.boundary, space_order=ORDER)
        J = BornOperator(
            model,
            self.survey,
            wavelet=self.task.wavelet,
            numerics=self.numerics,
            keep_wavefields=True,
        )
        return J.adjoint(J.forward(self.task.dm))


@final
class Deepwave:
    """deepwave's compiled propagators, all shots in one call."""

    def __init__(self, task: Task, *, pml_width: int = 20, interval: int = DIVISOR) -> None:
        self.task = task
        self.vp = torch.as_tensor(task.vp, dtype=torch.float32)
        wavelet = torch.as_tensor(task.wavelet, dtype=torch.float32)
        self.survey: dict[str, Any] = {
            "source_amplitudes": wavelet.expand(task.num_sources, 1, -1).contiguous(),
            "source_locations": torch.as_tensor(task.sources)[:, None],
            "accuracy": ORDER,
            "pml_width": pml_width,
            "pml_freq": task.f0,
        }
        self.receivers = torch.as_tensor(task.receivers).expand(task.num_sources, -1, -1)
        self.interval = interval
        self.records = self._records(self.vp)

    def _records(self, vp: torch.Tensor) -> torch.Tensor:
        task = self.task
        return deepwave.scalar(
            vp,
            task.h,
            task.dt,
            receiver_locations=self.receivers,
            model_gradient_sampling_interval=self.interval,
            **self.survey,
        )[-1]

    def shots(self) -> object:
        """Records."""
        with torch.no_grad():
            return self._records(self.vp)

    def images(self) -> object:
        """Records, and the gradient that given records make."""
        vp = self.vp.clone().requires_grad_()
        return torch.autograd.grad(self._records(vp), vp, self.records)

    def pair(self) -> object:
        """Born records, and the gradient that they make with respect to the perturbation of the velocity."""
        dv = torch.as_tensor(-0.5 * self.task.vp**3 * self.task.dm, dtype=torch.float32).requires_grad_()
        records = deepwave.scalar_born(
            self.vp,
            self.task.h,
            self.task.dt,
            dv=dv,
            sc_receiver_locations=self.receivers,
            model_gradient_sampling_interval=self.interval,
            **self.survey,
        )[-1]
        return torch.autograd.grad(records, dv, records.detach())


@final
class ExampleSolver:
    """AcousticWaveSolver of Devito's examples, as its tutorials use it: one a model, a loop over shots."""

    def __init__(self, task: Task, *, nbl: int = 40) -> None:
        self.task, self.nbl = task, nbl
        self.solver = self._build()
        self.records = self.solver.forward()[0].data.copy()

    def _build(self) -> Any:
        # Kilometres a second, milliseconds and kilohertz.
        task = self.task
        model = SeismicModel(
            vp=1e-3 * task.vp,
            origin=(0.0, 0.0),
            shape=task.vp.shape,
            spacing=(task.h,) * 2,
            space_order=ORDER,
            nbl=self.nbl,
            bcs="damp",
            dt=1e3 * task.dt,
        )
        geometry = AcquisitionGeometry(
            model,
            task.h * task.receivers,
            task.h * task.sources[:1],
            t0=0.0,
            tn=1e3 * task.dt * (task.nt - 1),
            f0=1e-3 * task.f0,
            src_type="Ricker",
            t0w=1e3 * 1.5 / task.f0,
        )
        return AcousticWaveSolver(model, geometry, space_order=ORDER)

    def _at(self, source: NDArray[np.int64], solver: Any) -> None:
        solver.geometry.src_positions[0] = self.task.h * source

    def shots(self) -> object:
        """Records."""
        for source in self.task.sources:
            self._at(source, self.solver)
            records = self.solver.forward()[0]
        return records.data

    def images(self) -> object:
        """The background of every shot, kept at every step, and the image of given records."""
        for source in self.task.sources:
            self._at(source, self.solver)
            background = self.solver.forward(save=True)[1]
            records = self.solver.geometry.rec
            records.data[:] = self.records
            image = self.solver.jacobian_adjoint(records, background)[0]
        return image

    def _pair(self, solver: Any) -> object:
        dm = 1e6 * np.pad(self.task.dm, self.nbl)
        for source in self.task.sources:
            self._at(source, solver)
            records = solver.jacobian(dm)[0]
            background = solver.forward(save=True)[1]
            image = solver.jacobian_adjoint(records, background)[0]
        return image

    def pair(self) -> object:
        """Born records and their image with the model, geometry and solver built for them."""
        return self._pair(self._build())

    def pair_built(self) -> object:
        """The same with a solver that is there already."""
        return self._pair(self.solver)
