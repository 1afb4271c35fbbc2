"""Figure of the reversible core against plain autograd, checkpoints and other libraries.

Run after core_against_peers.py: python examples/benchmarks/plot_core_against_peers.py
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from posterior.plots.style import ESTIMATE, NEUTRAL, RAW, TRUTH, new_figure, save, styled

HERE = Path(__file__).resolve().parent
LOOKS: dict[str, dict[str, Any]] = {
    "store": {"color": TRUTH, "label": "ours, stored (plain autograd)"},
    "checkpoint": {"color": "#009E73", "label": "ours, checkpoints"},
    "invert": {"color": ESTIMATE, "label": "ours, inverted"},
    "invert, keep": {"color": ESTIMATE, "ls": "--", "label": "ours, inverted, (s, t) kept"},
    "bfloat16, invert, keep": {"color": RAW, "label": "the same, bfloat16 conditioner"},
    "normflows": {"color": NEUTRAL, "marker": "s", "label": "normflows"},
    "nflows": {"color": NEUTRAL, "marker": "^", "label": "nflows"},
    "FrEIA": {"color": NEUTRAL, "marker": "v", "ls": ":", "label": "FrEIA, fixed mixing (less work)"},
    "FrEIA, learned mixing": {"color": NEUTRAL, "marker": "v", "label": "FrEIA, learned mixing"},
    "MemCNN": {"color": "#CC79A7", "marker": "D", "label": "MemCNN"},
}


@styled
def figure(figures: dict[str, Any], size: int) -> Figure:
    """Peak memory and step time against the number of steps a scale, at one image size."""
    fig = new_figure("double", 7.5)
    left, right = fig.subplots(1, 2)
    keys = [key for key in figures["time"] if key.startswith(f"{size}x")]
    steps = [int(key.rsplit("=", 1)[1]) for key in keys]
    for name, look in LOOKS.items():
        style = {"marker": "o", "ms": 3.0, "ls": "-"} | look
        left.plot(steps, [figures["peak_megabytes"][key][name]["tensors"] for key in keys], **style)
        right.plot(steps, [figures["time"][key][name]["ratio_to_store"] for key in keys], **style)
    _axes(left, steps, "peak memory of a step [MB]")
    _axes(right, steps, "time of a step / stored")
    left.set_yscale("log")
    left.set_yticks(ticks := (10, 20, 50, 100, 200, 500), [str(tick) for tick in ticks])
    right.axhline(1.0, color=TRUTH, lw=0.5)
    right.set_ylim(bottom=0.0)
    fig.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return fig


def _axes(axes: Axes, steps: list[int], label: str) -> None:
    axes.set_xscale("log", base=2)
    axes.set_xticks(steps, [str(step) for step in steps])
    axes.minorticks_off()
    axes.set_xlabel("flow steps at each of 3 scales")
    axes.set_ylabel(label)


if __name__ == "__main__":
    entry = json.loads((HERE / "results" / "core_against_peers.json").read_text())
    save(figure(entry["figures"], 128), HERE.parent / "gallery" / "core_against_peers", formats=("png",))
