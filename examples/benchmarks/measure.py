"""Fair time and honest memory: steps in turn, medians of ratios; peak memory in a process of its own."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path


def seconds_in_turn(steps: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Seconds of every step, taken in turn so that a noisy machine disturbs all alike; one round warms up."""
    times: dict[str, list[float]] = {name: [] for name in steps}
    for turn in range(rounds + 1):
        for name, step in steps.items():
            start = time.perf_counter()
            step()
            if turn:
                times[name].append(time.perf_counter() - start)
    return times


def median_ratios(times: Mapping[str, list[float]], reference: str) -> dict[str, float]:
    """Median over the rounds of each step's time over that of the reference in the same round."""
    return {
        name: statistics.median(a / b for a, b in zip(own, times[reference], strict=True))
        for name, own in times.items()
    }


def in_own_process(expression: str, module: str) -> float:
    """Value of an expression, evaluated in a fresh interpreter after importing ``module`` as ``m``."""
    code = f"import {module} as m; print(float({expression}))"
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=Path(__file__).resolve().parent, capture_output=True, text=True
    )
    if run.returncode:
        raise RuntimeError(run.stderr)
    return float(run.stdout.splitlines()[-1])


def peak_growth(step: Callable[[], object], warm: Callable[[], object], repeats: int = 2) -> float:
    """Megabytes (10^6 bytes) by which a step raises this process's peak resident memory (Linux).

    ``warm`` runs first: libraries and parameters' gradients are there before the measurement.
    """
    warm()
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts again from what is resident now
    before = _resident("VmRSS")
    for _ in range(repeats):
        step()
    return (_resident("VmHWM") - before) * 1024 / 1e6


def _resident(field: str) -> int:
    """Kilobytes by the kernel's count: VmRSS now, VmHWM at the peak."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{field}:"))
