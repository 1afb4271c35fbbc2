"""One shot: numpy in, numpy out. Buffers are allocated once per shape and reused for every shot and model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from threading import RLock
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from physics.fields import Fields, Setting, Sizes
from physics.floating_point import kept_floating_point_state
from physics.interpolation import Footprints
from physics.operators import compiled
from physics.stencils.programs import PROGRAMS, Kind
from physics.stencils.schemes import SCHEMES


@dataclass(frozen=True, eq=False)
class Medium:
    """A model as the propagator sees it: the coefficient fields of the step, by name."""

    coefficients: Mapping[str, NDArray[np.float64]]


@dataclass(frozen=True, eq=False)
class Shot:
    """Sources that fire together in one medium, and the receivers that listen.

    Args:
        medium: Coefficients of the step.
        sources: Where the sources stand.
        receivers: Where the receivers stand.
        signatures: Source signatures at every computing step, shape (num_steps, nsrc).
        slot: Where its background wavefield is kept; shots that share a slot overwrite each other's.
    """

    medium: Medium
    sources: Footprints
    receivers: Footprints
    signatures: NDArray[np.float64]
    slot: int = 0


@dataclass
class _Call:
    """A compiled function, its arguments, and the fields that start at zero."""

    function: Any
    arguments: list[Any]
    cleared: list[NDArray[Any]] = field(default_factory=list)


@final
class Propagator:
    """Runs shots of one setting and one set of sizes. Made by `propagator`, which reuses it.

    Calls from several threads wait for each other: run several processes instead.
    """

    def __init__(self, setting: Setting, sizes: Sizes) -> None:
        self.setting = setting
        self.sizes = sizes
        self._fields = Fields(setting, sizes)
        self._scheme = SCHEMES[setting.equation](self._fields)
        self._stores: dict[tuple[str, int, bool], Any] = {}
        self._owners: dict[tuple[int, Kind], Shot] = {}
        self._views: dict[str, NDArray[Any]] = {}
        self._calls: dict[tuple[Kind, int], _Call] = {}
        self._medium: Medium | None = None
        self._lock = RLock()

    def forward(self, shot: Shot, *, keep: bool = False) -> NDArray[Any]:
        """F q: the record (num_steps, nrec) of the shot; ``keep`` its wavefield in its slot."""
        with self._lock:
            self._load(shot, fire=True)
            self._run("forward_keep" if keep else "forward", shot)
            return self._view("rec").copy()

    def adjoint(self, shot: Shot, record: NDArray[Any]) -> NDArray[Any]:
        """F^T d: the signatures (num_steps, nsrc) for a record (num_steps, nrec)."""
        with self._lock:
            self._load(shot)
            self._view("rec")[...] = record
            self._run("adjoint", shot)
            return self._view("src").copy()

    def born(self, shot: Shot, dm: NDArray[Any], *, keep: bool) -> NDArray[Any]:
        """J dm: the scattered record of ``dm`` (padded, over dt^2); ``keep`` the background in its slot."""
        return self._scatter("born_keep" if keep else "born", shot, dm)

    def born_adjoint(self, shot: Shot, record: NDArray[Any]) -> NDArray[Any]:
        """J^T d: the padded image, times dt^2. The background is recomputed unless its slot still has it."""
        return self._image("born_adjoint", "forward_keep", shot, record)

    def scattering(self, shot: Shot, dm: NDArray[Any]) -> NDArray[Any]:
        """The transpose of `scattering_adjoint`: a record (num_steps, nrec)."""
        return self._scatter("scattering", shot, dm)

    def scattering_adjoint(self, shot: Shot, record: NDArray[Any]) -> NDArray[Any]:
        """The padded image of inverse scattering, times dt^2."""
        return self._image("scattering_adjoint", "scattering_keep", shot, record)

    def wavefield(self, shot: Shot) -> NDArray[Any]:
        """The kept wavefield of the shot, (kept steps, padded grid): a view, overwritten by the next shot."""
        with self._lock:
            self._load(shot, fire=True)
            self._run("forward_keep", shot)
            return self._store_view("kept", shot.slot)

    def curvature(self, shot: Shot) -> NDArray[Any]:
        """u_tt dt^2 of the shot, (kept steps, padded grid): a view, overwritten by the next shot."""
        with self._lock:
            self._load(shot, fire=True)
            self._run("curvature_keep", shot)
            return self._store_view("kept", shot.slot)

    def adjoint_curvature(self, shot: Shot, record: NDArray[Any]) -> NDArray[Any]:
        """v_tt dt^2 of a record, (kept steps, padded grid): a view, overwritten by the next shot."""
        with self._lock:
            self._load(shot)
            self._view("rec")[...] = record
            self._run("adjoint_keep", shot)
            return self._store_view("kept_v", 0)

    def extended(self, shot: Shot, source: NDArray[Any], inside: tuple[slice, ...]) -> NDArray[Any]:
        """The record (num_steps, nrec) of a source (kept steps, ...) in every cell ``inside`` the grid."""
        with self._lock:
            self._load(shot)
            store = self._store_view("kept_v", 0)
            store[...] = 0.0
            store[(slice(None), *inside)] = source
            self._run("extended", shot)
            return self._view("rec").copy()

    def _scatter(self, kind: Kind, shot: Shot, dm: NDArray[Any]) -> NDArray[Any]:
        with self._lock:
            self._load(shot, fire=True)
            self._view("dm", make=self._fields.function)[...] = dm
            self._run(kind, shot)
            return self._view("rec").copy()

    def _image(self, kind: Kind, keeping: Kind, shot: Shot, record: NDArray[Any]) -> NDArray[Any]:
        with self._lock:
            self._load(shot, fire=True)
            if not self._has_kept(shot, keeping):
                self._run(keeping, shot)
            self._view("rec")[...] = record
            self._run(kind, shot)
            return self._view("image").copy()

    def _has_kept(self, shot: Shot, keeping: Kind) -> bool:
        """Whether the slot of a shot holds its wavefield, as ``keeping`` or as Born modelling left it."""
        same: tuple[Kind, ...] = ("forward_keep", "born_keep") if keeping == "forward_keep" else (keeping,)
        return any(self._owners.get((shot.slot, kind)) is shot for kind in same)

    def _load(self, shot: Shot, *, fire: bool = False) -> None:
        """Put the shot's medium and positions, and its signatures if it is to ``fire``, into the buffers."""
        if self._medium is not shot.medium:
            for name, values in shot.medium.coefficients.items():
                make = self._line if values.ndim == 1 else self._fields.function
                self._view(name, make=make)[...] = values
            self._medium = shot.medium
        for field_, feet in ((self._fields.src, shot.sources), (self._fields.rec, shot.receivers)):
            # Devito counts the cells that a position touches from r - 1 before its grid point.
            field_.gridpoints.data[...] = feet.corners + field_.r - 1
            field_.interpolation_coeffs.data[...] = feet.weights
        if fire:
            with np.errstate(over="ignore"):  # what overflows single precision is refused in the result
                self._view("src")[...] = shot.signatures

    def _line(self, name: str) -> Any:
        return self._fields.line(name, int(name[-1]))

    def _view(self, name: str, make: Any = None) -> NDArray[Any]:
        """The inner values of a field as a plain numpy view: Devito's indexing costs more than the copies."""
        if name not in self._views:
            named = (
                getattr(self._fields, name)
                if name in ("src", "rec")
                else (make or self._fields.function)(name)
            )
            self._views[name] = np.asarray(named.data)
        return self._views[name]

    def _run(self, kind: Kind, shot: Shot) -> None:
        """Zero the fields that a run starts from and call the compiled function.

        A slot has no owner while it is written: should the run be interrupted, it belongs to nobody. The halo
        is zero from its allocation on and never written, so the inner values are all there is to clear.
        """
        keeping = kind.endswith("_keep") and kind != "adjoint_keep"
        if keeping:
            for key in [key for key in self._owners if key[0] == shot.slot]:
                del self._owners[key]
        with kept_floating_point_state():  # loading the function switches it too
            call = self._call(kind, shot.slot)
            for values in call.cleared:
                values[...] = 0.0
            status = call.function(*call.arguments)
        if status != 0:
            raise RuntimeError(f"the compiled operator {kind!r} returned status {status}")
        if keeping:
            self._owners[shot.slot, kind] = shot

    def _call(self, kind: Kind, slot: int) -> _Call:
        """The compiled function and its arguments: pointers into the buffers, so they are made only once."""
        program = PROGRAMS[kind](self._fields, self._scheme) if (kind, slot) not in self._calls else None
        if program is not None:
            subsample = self.sizes.subsample if program.stores else 1
            operator, stores, halo = compiled(kind, self.setting, subsample)
            given = {
                p.name: self._fields.named[p.name]
                for p in operator.parameters
                if p.name in self._fields.named
            }
            given |= {name: self._store(name, slot, halo=halo) for name in stores}
            values = operator.arguments(**given, time_m=0, time_M=self.sizes.num_steps - 1)
            arguments = [values[p.name] for p in operator.parameters]
            self._calls[kind, slot] = _Call(operator.cfunction, arguments, self._state(given))
        return self._calls[kind, slot]

    def _state(self, given: Mapping[str, Any]) -> list[NDArray[Any]]:
        """What a run starts from: wavefields, the layers' memories, the image."""
        waves = [name for name in ("u", "v", "du") if name in given]
        names = [name for name in given if name in waves or name.split("_")[0] in waves or name == "image"]
        return [np.asarray(given[name].data) for name in names]

    def _store(self, name: str, slot: int, *, halo: bool) -> Any:
        key = (name, 0 if name == "kept_v" else slot, halo)
        if key not in self._stores:
            self._stores[key] = self._fields.new_store(name, halo=halo)
        return self._stores[key]

    def _store_view(self, name: str, slot: int) -> NDArray[Any]:
        return np.asarray(self._store(name, slot, halo=False).data)


@lru_cache(maxsize=4)
def propagator(setting: Setting, sizes: Sizes) -> Propagator:
    """The process's propagator for this setting and these sizes; the four last used stay allocated."""
    return Propagator(setting, sizes)
