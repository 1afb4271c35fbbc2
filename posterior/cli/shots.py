"""Shot records of a survey, migrated as a run's pairs are, for the run's network to be asked about."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from posterior.cli.config import load
from posterior.interop.arrays import Block, PairLabels

if TYPE_CHECKING:
    from physics.geometry import Acquisition
    from physics.pairs import PairSimulator


def migrate_shots(
    shots: Path, run_file: Path, background: NDArray[np.float32], *, depths: bool = False
) -> tuple[Block, PairLabels]:
    r"""Make the y of one pair from a SEG-Y file of shot records: :math:`y = [W T J(m_0)^T d, m_0]`.

    The records count in the units of the run's modelling, whose wavelet has amplitude one: scale those of the
    field before. The truth is unknown: x is zero, and no cell is scored.

    Args:
        shots: SEG-Y file of shot records; unequal geometry is filled up with dead traces.
        run_file: The run's TOML file, for grid, wavelet and imaging.
        background: Smooth velocity on the run's grid [m/s].
        depths: Whether the file's elevation headers hold depths.

    Raises:
        ValueError: If records or background do not fit the run, or the file is no SEG-Y file of shot records.
        ImportError: If segyio is not installed.
    """
    from physics.pairs import Draw, PairSimulator
    from physics.segy import SegyOptions, read_shots

    run = load(run_file, [])
    config = run.pairs(next(iter(run.splits)))
    shape = config.survey.shape
    if background.shape != shape:
        raise ValueError(f"expected a background on the run's grid {shape}, got {background.shape}")
    simulator = PairSimulator(config)
    survey, records = read_shots(shots, SegyOptions(elevations="down" if depths else "up"))
    survey, records = _fitted(simulator, survey, records)
    model = simulator.earth_model(background.astype(np.float64))
    draw = Draw(background.astype(np.float64), model, np.zeros(shape, np.float32), survey, records, records)
    y = simulator.observe(draw)
    return Block(np.zeros((1, 1, *shape), np.float32), y[None]), _labels(simulator)


def _fitted(
    simulator: PairSimulator, survey: Acquisition, records: NDArray[np.float32]
) -> tuple[Acquisition, NDArray[np.float32]]:
    """Survey and records of the run's length, if they are sampled as the run's."""
    dt, nt = simulator.config.survey.dt, simulator.nt
    if abs(survey.dt / dt - 1.0) > 1e-6 or survey.nt < nt:
        raise ValueError(
            f"expected records of at least {nt} samples every {dt:g} s, as the run's, got {survey.nt} every "
            f"{survey.dt:g} s: resample them"
        )
    return replace(survey, nt=nt), records[:, :nt]


def _labels(simulator: PairSimulator) -> PairLabels:
    survey, channels = simulator.config.survey, simulator.channels
    return PairLabels(
        x_channels=("squared_slowness_perturbation",),
        x_units=("s^2/m^2",),
        y_channels=tuple(channels),
        y_units=tuple(channels.values()),
        spacing=tuple(survey.spacing),
        origin=(0.0,) * len(survey.shape),
        known=False,
        depth_weight=tuple(simulator.weights.depth.tolist()),
    )
