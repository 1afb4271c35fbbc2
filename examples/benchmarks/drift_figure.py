"""The figure of drift.py: gradient errors over depth, and the guard beside the truth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from posterior.drift import default_tolerance
from posterior.plots.style import ESTIMATE, NEUTRAL, RAW, new_figure, styled

Rows = list[dict[str, Any]]
COLOURS = {"float32": ESTIMATE, "bfloat16": RAW}
STYLES = {"invert": "-", "invert, keep": "--", "invert, anchors": ":"}
DRAWN = {"trained": "Trained, well-conditioned", "ill-conditioned": "Trained, ill-conditioned"}
"""Weights whose errors are drawn over depth."""
TOLERANCES = {name: default_tolerance([getattr(torch, name)]) for name in COLOURS}


@styled
def draw(rows: Rows, sound: Rows) -> Figure:
    """Two panels of gradient errors over depth; estimated against true drift; warnings against severity."""
    figure = new_figure("double", 12.0)
    (left, right), (below_left, below_right) = figure.subplots(2, 2)
    for ax, (weights, title) in zip((left, right), DRAWN.items(), strict=True):
        over_depth(ax, [row for row in rows if row["weights"] == weights])
        ax.set_title(title)
    lines = [Line2D([], [], color="k", ls=style, label=f'"{mode}"') for mode, style in STYLES.items()]
    lines.append(Line2D([], [], color="k", marker="x", ms=3, lw=0.6, label='"store", from float64'))
    left.legend(handles=lines, loc="center left", bbox_to_anchor=(0.0, 0.43))
    shades = [Line2D([], [], color=shade, label=f"{name} conditioners") for name, shade in COLOURS.items()]
    right.legend(handles=shades, loc="center left", bbox_to_anchor=(0.0, 0.43))
    against_truth(below_left, sound)
    against_severity(below_right, sound)
    return figure


def over_depth(ax: Axes, rows: Rows) -> None:
    """Errors of the parameters' gradient in the forward direction."""
    for precision, colour in COLOURS.items():
        chosen = [row for row in rows if row["direction"] == "forward" and row["precision"] == precision]
        for mode, style in STYLES.items():
            line(ax, [row for row in chosen if row["mode"] == mode], "error", color=colour, ls=style)
        own = [row for row in chosen if row["mode"] == "invert"]
        line(ax, own, "store", color=colour, marker="x", ms=3, lw=0.6)
    ax.set(xscale="log", yscale="log", xlabel="Flow steps in the chain", ylim=(1e-7, 1.0))
    depths = sorted({row["depth"] for row in rows})
    ax.set_xticks(depths, [str(depth) for depth in depths])
    ax.minorticks_off()
    ax.set_ylabel("Relative error of the gradient")


def line(ax: Axes, rows: Rows, key: str, **style: Any) -> None:
    """One mode over depth."""
    ax.plot([row["depth"] for row in rows], [row[key] for row in rows], **style)


def against_truth(ax: Axes, rows: Rows) -> None:
    """Each run's estimate of its drift."""
    limits = (1e-7, 1e2)
    ax.plot(limits, limits, color=NEUTRAL, lw=0.6)
    for precision, colour in COLOURS.items():
        chosen = [row for row in rows if row["precision"] == precision and row["true"]]
        true, estimate = (clipped([row[key] for row in chosen], *limits) for key in ("true", "estimate"))
        ax.plot(true, estimate, "o", ms=2.5, mew=0, alpha=0.6, color=colour)
        ax.axhline(TOLERANCES[precision], color=colour, lw=0.6, ls="--")
    ax.text(0.5 * limits[1], 1.5 * max(TOLERANCES.values()), "tolerances", ha="right", color=NEUTRAL)
    ax.set(xscale="log", yscale="log", xlim=limits, ylim=limits)
    ax.set(xlabel="True relative error of the rebuilt input", ylabel="The guard's estimate")


def against_severity(ax: Axes, rows: Rows) -> None:
    """What drift adds to a gradient's error, over what the guard goes by."""
    span, height = (1e-5, 1e3), (1e-5, 1e3)
    ax.fill_between((span[0], 1.0), 1.0, height[1], color=NEUTRAL, alpha=0.2, lw=0)
    ax.fill_between((1.0, span[1]), height[0], 0.1, color=NEUTRAL, alpha=0.2, lw=0)
    ax.text(2 * span[0], 0.4 * height[1], "silent, gradients wrong", va="top", color=NEUTRAL)
    ax.text(0.5 * span[1], 3 * height[0], "warned,\ngradients right", ha="right", color=NEUTRAL)
    for precision, colour in COLOURS.items():
        for warned in (False, True):
            chosen = [row for row in rows if row["precision"] == precision and row["warned"] == warned]
            alarm = clipped([row["estimate"] / TOLERANCES[precision] for row in chosen], *span)
            harm = clipped([row["severity"] for row in chosen], *height)
            ax.plot(alarm, harm, "o" if warned else ".", ms=3.5, mew=0, alpha=0.6, color=colour)
    ax.set(xscale="log", yscale="log", xlim=span, ylim=height)
    ax.set(xlabel="The guard's estimate / its tolerance", ylabel="Change by drift / tolerable error")


def clipped(values: Sequence[float], low: float, high: float) -> Any:
    """Values beyond the axes, or not finite, at their edge."""
    return np.clip(np.nan_to_num(np.asarray(values, float), nan=high, posinf=high), low, high)
