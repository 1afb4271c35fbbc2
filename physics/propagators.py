"""One shot: numpy in, numpy out. Buffers are allocated once per shape and reused for every shot and model."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from threading import RLock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from physics.floating_point import kept_floating_point_state
from physics.operators import KEEPING, Fields, Kind, Setting, compiled


@dataclass(frozen=True, eq=False)
class Medium:
    """A model as the propagator sees it: the coefficients of the update on the padded grid."""

    alpha: NDArray[np.float64]
    beta: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Shot:
    """One source in one medium; positions [m] from the first cell of the padded grid.

    Args:
        medium: Coefficients of the update.
        source: Position, shape (ndim,).
        receivers: Positions, shape (nrec, ndim).
        signature: Source signature at every computing step, shape (num_steps,).
        slot: Where its background wavefield is kept; shots that share a slot overwrite each other's.
    """

    medium: Medium
    source: NDArray[np.float64]
    receivers: NDArray[np.float64]
    signature: NDArray[np.float64]
    slot: int = 0


class Propagator:
    """Runs shots of one setting, grid shape and length. Made by `propagator`, which reuses it.

    Calls from several threads wait for each other: run several processes instead.
    """

    def __init__(
        self, setting: Setting, shape: tuple[int, ...], *, num_steps: int, num_receivers: int, subsample: int
    ) -> None:
        self.num_steps = num_steps
        self._setting = setting
        self._subsample = subsample
        self._fields = Fields(
            setting, shape, num_steps=num_steps, num_receivers=num_receivers, subsample=subsample
        )
        self._kept: list[Any] = []
        self._owners: dict[int, Shot] = {}
        self._views: dict[str, NDArray[Any]] = {}
        self._arguments: dict[tuple[Kind, int], tuple[Any, list[Any]]] = {}
        self._medium: Medium | None = None
        self._lock = RLock()

    def forward(self, shot: Shot) -> NDArray[Any]:
        """F q: the record (num_steps, nrec) of the shot."""
        with self._lock:
            self._load(shot)
            self._view("src")[:, 0] = shot.signature
            self._run("forward", clear=("u",))
            return self._view("rec").copy()

    def adjoint(self, shot: Shot, record: NDArray[Any]) -> NDArray[Any]:
        """F^T d: the source signature (num_steps,) for a record (num_steps, nrec)."""
        with self._lock:
            self._load(shot)
            self._view("rec")[...] = record
            self._run("adjoint", clear=("v",))
            return self._view("src")[:, 0].copy()

    def born(self, shot: Shot, dm: NDArray[Any], *, keep: bool) -> NDArray[Any]:
        """J dm: the scattered record of ``dm`` (padded, over dt^2); ``keep`` the background in its slot."""
        with self._lock:
            self._load(shot)
            self._view("dm")[...] = dm
            self._view("src")[:, 0] = shot.signature
            if keep:
                self._run_keeping("born_keep", shot, clear=("u", "du"))
            else:
                self._run("born", clear=("u", "du"))
            return self._view("rec").copy()

    def born_adjoint(self, shot: Shot, record: NDArray[Any]) -> NDArray[Any]:
        """J^T d: the padded image, times dt^2. The background is recomputed unless its slot still has it."""
        with self._lock:
            self._load(shot)
            if self._owners.get(shot.slot) is not shot:
                self._view("src")[:, 0] = shot.signature
                self._run_keeping("background", shot, clear=("u",))
            self._view("rec")[...] = record
            self._run("born_adjoint", clear=("v", "image"), slot=shot.slot)
            return self._view("image").copy()

    def _load(self, shot: Shot) -> None:
        """Put the shot's medium and positions into the buffers."""
        if self._medium is not shot.medium:
            self._view("alpha")[...] = shot.medium.alpha
            self._view("beta")[...] = shot.medium.beta
            self._medium = shot.medium
        self._fields.src.coordinates.data[...] = shot.source
        self._fields.rec.coordinates.data[...] = shot.receivers

    def _view(self, name: str) -> NDArray[Any]:
        """The inner values of a field as a plain numpy view: Devito's indexing costs more than the copies."""
        if name not in self._views:
            self._views[name] = np.asarray(getattr(self._fields, name).data)
        return self._views[name]

    def _run_keeping(self, kind: Kind, shot: Shot, *, clear: tuple[str, ...]) -> None:
        """Run and note whose background the slot holds; nobody's, should the run be interrupted."""
        self._owners.pop(shot.slot, None)
        self._run(kind, clear=clear, slot=shot.slot)
        self._owners[shot.slot] = shot

    def _run(self, kind: Kind, *, clear: tuple[str, ...], slot: int = 0) -> None:
        """Zero the fields that a run starts from and call the compiled function.

        The halo is zero from its allocation on and never written, so the inner values are all there is to
        clear.
        """
        for name in clear:
            self._view(name)[...] = 0.0
        with kept_floating_point_state():
            function, arguments = self._call(kind, slot if kind in KEEPING else 0)
            status = function(*arguments)
        if status != 0:
            raise RuntimeError(f"the compiled operator {kind!r} returned status {status}")

    def _call(self, kind: Kind, slot: int) -> tuple[Any, list[Any]]:
        """The compiled function and its arguments: pointers into the buffers, so they are made only once."""
        key = (kind, slot)
        if key not in self._arguments:
            operator = compiled(kind, self._setting, self._subsample if kind in KEEPING else 1)
            wanted = {p.name for p in operator.parameters}
            names = wanted & {"u", "du", "v", "alpha", "beta", "dm", "image", "src", "rec"}
            fields = {name: getattr(self._fields, name) for name in names}
            if "kept" in wanted:
                fields["kept"] = self._slot(slot)
            values = operator.arguments(**fields, time_m=0, time_M=self.num_steps - 1)
            self._arguments[key] = operator.cfunction, [values[p.name] for p in operator.parameters]
        return self._arguments[key]

    def _slot(self, slot: int) -> Any:
        while len(self._kept) <= slot:
            self._kept.append(self._fields.kept())
        return self._kept[slot]


@lru_cache(maxsize=4)
def propagator(
    setting: Setting, shape: tuple[int, ...], *, num_steps: int, num_receivers: int, subsample: int
) -> Propagator:
    """The process's propagator for this setting, shape and length; the four last used stay allocated."""
    return Propagator(setting, shape, num_steps=num_steps, num_receivers=num_receivers, subsample=subsample)
