"""Fair time and honest memory: steps in turn, medians of ratios; peak memory in a process of its own."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from torch.profiler import ProfilerActivity, profile

HERE = Path(__file__).resolve().parent


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


def in_own_process(expression: str, module: str) -> Any:
    """Value of an expression, evaluated in a fresh interpreter after importing ``module`` as ``m``."""
    code = f"import json, {module} as m; print(json.dumps({expression}))"
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], cwd=HERE, capture_output=True, text=True
    )
    if run.returncode:
        raise RuntimeError(run.stderr)
    return json.loads(run.stdout.splitlines()[-1])


def peak_tensors(step: Callable[[], object]) -> float:
    """Megabytes (10^6 bytes) that torch's allocator held at most during a step, beyond what was there."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        step()
    events = [e for e in profiler.profiler.kineto_results.events() if e.name() == "[memory]"]
    events.sort(key=lambda event: event.start_ns())
    held = peak = 0
    for event in events:
        held += event.nbytes()
        peak = max(peak, held)
    return peak / 1e6


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
