"""Drift over depth: how far gradients of "invert" are off, and whether the guard warns where it should.

Run: OMP_NUM_THREADS=1 python examples/benchmarks/drift.py
"""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, final

import numpy as np
import torch
from drift_figure import DRAWN, draw
from drift_nets import SETTINGS, Case, Setting, cases, loss, network, train
from record import record
from torch import Tensor

from posterior import ConditionalGlow
from posterior.drift import relative_error
from posterior.invertible import Invertible, ReverseStep, Trace
from posterior.plots.style import save
from posterior.reversible import Memory

GALLERY = Path(__file__).resolve().parents[1] / "gallery"
DEPTHS = (4, 8, 16, 32, 64, 128)
"""Flow steps, all in one chain."""
LAYERS = 3
"""In a flow step."""
PRECISIONS: dict[str, torch.dtype | None] = {"float32": None, "bfloat16": torch.bfloat16}
"""Of the conditioners; the state is in float32."""
MODES = {
    "invert": Memory("invert"),
    "invert, keep": Memory("invert", keep=True),
    "invert, anchors": Memory("invert", anchor_every=32),
}
UNDRIFTED = Memory("invert", anchor_every=1)
"""The arithmetic of "invert", every layer's input exact: what it is off by is not drift."""
NEGLIGIBLE = 1e-3
"""Error of a gradient that nobody minds."""
SEVERITIES = {"below 0.1": 0.1, "0.1 to 1": 1.0, "1 to 10": 10.0, "above 10": math.inf}


class Outcome(NamedTuple):
    """One backward pass: gradients of the input and of all parameters, and what is known of its drift."""

    gradients: tuple[Tensor, Tensor]
    estimate: float | None = None
    true: float | None = None
    warned: bool = False


@final
class Probe(Invertible):
    """The identity at a chain's start, which sees the true input and the rebuilt one."""

    draws_random = False

    def __init__(self) -> None:
        super().__init__()
        self.error: float | None = None

    def forward(self, x: Tensor, c: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return x, and remember it."""
        self.true = x.detach()
        return x, x.new_zeros(len(x))

    inverse = forward

    def reverse_step(
        self, z: Tensor, c: Tensor | None, grad_z: Tensor, grad_logdet: Tensor, trace: Trace = ()
    ) -> ReverseStep:
        """Compare."""
        self.error = relative_error(self.true, z).amax().item()
        return ReverseStep(z, grad_z, None, [])

    reverse_step_inverse = reverse_step


def differentiate(net: ConditionalGlow, case: Case, precision: torch.dtype = torch.float32) -> Outcome:
    """Gradients of the loss, and whether the guard warned."""
    net = net.to(precision).eval()
    (chain,), probe = net.scales.chains, Probe()
    chain.layers.insert(0 if case.direction == "forward" else len(chain.layers), probe)
    image = case.image.to(precision).requires_grad_()
    case = Case(case.direction, image, case.c.to(precision))
    wanted = [image, *net.parameters()]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", RuntimeWarning)
        found = torch.autograd.grad(loss(net, case), wanted, materialize_grads=True)
    of_input, *of_parameters = (gradient.double().flatten() for gradient in found)
    warned = any("rebuilt its input" in str(one.message) for one in caught)
    return Outcome((of_input, torch.cat(of_parameters)), chain.drift, probe.error, warned)


def errors(outcome: Outcome, reference: Outcome) -> list[float]:
    """Relative errors of both gradients."""
    pairs = zip(outcome.gradients, reference.gradients, strict=True)
    return [float((one - other).norm() / other.norm()) for one, other in pairs]


def severity(changes: list[float], own: list[float]) -> float:
    """What drift alone changes in a gradient, beside what the precision costs anyway; the worse."""
    shares = [change / max(NEGLIGIBLE, floor) for change, floor in zip(changes, own, strict=True)]
    return max(shares) if all(map(math.isfinite, shares)) else math.inf


def judge(setting: Setting, trained: ConditionalGlow, case: Case) -> Iterator[dict[str, Any]]:
    """Every mode and precision on one batch."""
    depth = len(trained.scales.chains[0].layers) - 1

    def run(
        memory: Memory, dtype: torch.dtype | None = None, precision: torch.dtype = torch.float32
    ) -> Outcome:
        net = network(setting, depth, memory, dtype)
        net.load_state_dict(trained.state_dict())
        return differentiate(net, case, precision)

    truth = run(Memory("store"), precision=torch.float64)
    for name, dtype in PRECISIONS.items():
        stored, undrifted = run(Memory("store"), dtype), run(UNDRIFTED, dtype)
        own = errors(undrifted, truth)
        row = {"depth": depth, "direction": case.direction, "precision": name}
        row["own"], row["store"] = max(own), errors(stored, truth)[1]
        for mode, memory in MODES.items():
            if memory.anchor_every > LAYERS * depth:
                continue
            outcome = run(memory, dtype)
            yield row | {
                "mode": mode,
                "error": errors(outcome, stored)[1],
                "error_of_input": errors(outcome, stored)[0],
                "severity": severity(errors(outcome, undrifted), own),
                "estimate": outcome.estimate,
                "true": outcome.true if not memory.anchor_every else None,
                "warned": outcome.warned,
            }


def measure() -> list[dict[str, Any]]:
    """Every mode and precision on every batch, over all weights and depths."""
    return [
        {"weights": name} | row
        for setting, depth in itertools.product(SETTINGS, DEPTHS)
        for name, net in train(setting, depth)
        for case in cases(setting, net)
        for row in judge(setting, net, case)
    ]


def sound(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Runs whose gradients mean something in that precision without drift: off by less than their size."""
    return [row for row in rows if row["own"] < 1.0]


def curves(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Errors of gradients over depth: of the parameters, or of x."""
    table: dict[str, Any] = {}
    for row in rows:
        place = table
        for key in ("weights", "direction", "precision"):
            place = place.setdefault(row[key], {})
        mode = row["mode"]
        names = {"store, from float64": "store", mode: "error", f"{mode}, of x": "error_of_input"}
        for name, key in names.items():
            value = float(f"{row[key]:.1e}")
            place.setdefault(name, {})[row["depth"]] = value if math.isfinite(value) else None
    return table


def verdicts(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """How often the guard warned or was silent, by severity."""
    table: dict[str, Any] = {}
    for row in rows:
        place = table.setdefault(row["precision"], {}).setdefault("warned" if row["warned"] else "silent", {})
        name = next(name for name, upper in SEVERITIES.items() if row["severity"] <= upper)
        place[name] = place.get(name, 0) + 1
    return table


def figures(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """What goes into the record."""
    judged = sound(rows)
    known = [row for row in judged if row["true"] and math.isfinite(row["true"])]
    ratios = np.array([row["estimate"] / row["true"] for row in known])
    return {
        "gradient_error": curves([row for row in rows if row["weights"] in DRAWN]),
        "estimated_over_true_drift": {
            "runs": len(ratios),
            "median": float(f"{np.median(ratios):.2f}"),
            "range": [float(f"{bound:.2f}") for bound in (ratios.min(), ratios.max())],
        },
        "runs_by_severity": verdicts(judged),
        "runs_left_out": len(rows) - len(judged),
        "largest_severity_without_warning": max(row["severity"] for row in judged if not row["warned"]),
        "smallest_severity_with_warning": min(row["severity"] for row in judged if row["warned"]),
    }


if __name__ == "__main__":
    measured = measure()
    save(draw(measured, sound(measured)), GALLERY / "drift", formats=("png",))
    record("drift", figures(measured))
