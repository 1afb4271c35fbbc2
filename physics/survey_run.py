"""The shots of a survey in one model, one at a time: modelling and the adjoints of its derivatives."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from physics import errors
from physics.modelling import Modelling


@final
class SurveyRun:
    """All shots of a survey in one model.

    Made by `AcousticOperator.run`.

    Args:
        modelling: Model, survey and numerics.
        signatures: One a source, (nsrc, nt).
        first_slot: Where the first shot keeps its wavefield, the others after it; by default all share one
            place, and each overwrites that of the shot before.
    """

    def __init__(
        self, modelling: Modelling, signatures: NDArray[np.float64], *, first_slot: int | None = None
    ) -> None:
        self._modelling = modelling
        shots = modelling.shots(list(signatures))
        if first_slot is not None:
            shots = [replace(shot, slot=first_slot + index) for index, shot in enumerate(shots)]
        self._shots = shots
        self._runner = modelling.propagator()
        self._dtype = np.dtype(modelling.model.dtype)

    def record(self, index: int, *, keep: bool = False) -> NDArray[Any]:
        """The record (nt, nrec) of a shot; ``keep`` its wavefield for `image`."""
        steps = self._runner.forward(self._shots[index], keep=keep)
        record = self._modelling.sample(index, steps)
        errors.check_result(record, f"record of shot {index}")
        return record.astype(self._dtype, copy=False)

    def image(self, index: int, source: NDArray[Any]) -> NDArray[Any]:
        """What the adjoint source (nt, nrec) of a shot adds to the padded image of `finish`."""
        image = self._runner.born_adjoint(self._shots[index], self._modelling.sample_adjoint(index, source))
        errors.check_result(image, f"image of shot {index}")
        return image

    def finish(self, image: NDArray[Any]) -> NDArray[Any]:
        """The gradient with respect to m, of the model's shape, of a sum of images."""
        return self._modelling.image(image)

    def records(self, *, keep: bool = False) -> NDArray[Any]:
        """F(m) q: the records (nsrc, nt, nrec)."""
        return np.stack([self.record(index, keep=keep) for index in range(len(self._shots))])

    def gradient(self, sources: NDArray[Any]) -> NDArray[Any]:
        """J(m)^T of adjoint sources (nsrc, nt, nrec), of the model's shape; shots without any are not run."""
        image = np.zeros(self._modelling.model.padding.padded_shape, self._dtype)
        for index, source in enumerate(sources):
            if source.any():
                image += self.image(index, source)
        return self.finish(image)

    def signatures(self, sources: NDArray[Any]) -> NDArray[Any]:
        """F(m)^T of adjoint sources (nsrc, nt, nrec): the gradient (nsrc, nt) with respect to signatures."""
        signatures = np.zeros(sources.shape[:2], self._dtype)
        for index, source in enumerate(sources):
            if not source.any():
                continue
            back = self._runner.adjoint(self._shots[index], self._modelling.sample_adjoint(index, source))
            signatures[index] = self._modelling.time.refine_adjoint(back.T)[0]
            errors.check_result(signatures[index], f"source signature of shot {index}")
        return signatures

    def snapshots(self, index: int) -> NDArray[Any]:
        """The kept wavefield of a shot within the model, (kept steps, *shape)."""
        kept = self._runner.wavefield(self._shots[index])
        snapshots = kept[(slice(None), *self._modelling.model.padding.inside)].copy()
        errors.check_result(snapshots, f"wavefield of shot {index}")
        return snapshots
