"""The viewer: drawn pairs as data that a reader can leaf through, and the script that shows them."""

from __future__ import annotations

import base64
import json
from html import escape
from importlib.resources import files
from string import Template
from typing import Any, final

import matplotlib
import numpy as np

from posterior import uq
from posterior.plots.look import Look
from posterior.plots.style import MAGNITUDE, SIGNED, VELOCITY
from posterior.report.evaluate import Array, PairDraws, best_image
from posterior.report.figures import Scene
from posterior.report.quantise import Bits, Quantised, quantise

SCRIPTS = ("viewer_data.js", "viewer_axes.js", "viewer_draw.js", "viewer.js")
FULL_BYTES, MOST_BYTES = 2 << 20, 4 << 20
"""Bytes of a pair's draws up to which they are kept to 16 bits, and up to which they are kept at all."""
_LEVELS = (0.5, 0.9)


@final
class Viewer:
    """Collects the pairs that the viewer shows, one at a time, each as text for the page.

    Args:
        scene: What all figures of the run share.
        draws: Draws kept of each pair; 0 for no viewer at all.

    Raises:
        ValueError: With a negative number of draws.
    """

    def __init__(self, scene: Scene, draws: int) -> None:
        if draws < 0:
            raise ValueError(f"expected a number of draws from 0 on, got {draws}")
        self.scene = scene
        self._draws = draws
        self._pairs: dict[str, tuple[str, str]] = {}

    def add(self, split: str, pair: PairDraws, place: str) -> None:
        """Take in one pair.

        Args:
            split: Name of the split.
            pair: The pair with all its draws; the intervals are those of all of them.
            place: Where the pair stands among the others.
        """
        if self._draws == 0:
            return
        key = f"{split}-{pair.index}"
        shown = pack_pair(pair, self.scene, self._draws)
        label = f"{split.replace('_', ' ')}, pair {pair.index} ({place})"
        self._pairs[key] = (label, as_script(f"viewer-pair-{key}", {**shown, "label": label}))

    def html(self) -> str:
        """The section of the page; empty without pairs."""
        if not self._pairs:
            return ""
        package = files("posterior.report")
        script = "\n".join(package.joinpath(name).read_text(encoding="utf-8") for name in SCRIPTS)
        options = (
            f'<option value="{escape(key)}">{escape(label)}</option>'
            for key, (label, _) in self._pairs.items()
        )
        data = [text for _, text in self._pairs.values()]
        template = Template(package.joinpath("viewer.html").read_text(encoding="utf-8"))
        return template.substitute(
            options="".join(options),
            intervals=escape(_intervals(self.scene)),
            data="\n".join([as_script("viewer-scene", pack_scene(self.scene)), *data]),
            script=f'<script>\n"use strict";\n(() => {{\n{script}}})();\n</script>',
        )


def as_script(name: str, values: dict[str, Any]) -> str:
    """Plain values as a JSON element that the page's script finds by its name."""
    text = json.dumps(values, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
    return f'<script type="application/json" id="{escape(name)}">{text}</script>'


def pack_scene(scene: Scene) -> dict[str, Any]:
    """What all pairs share, for the page: grid in the unit shown, quantity, colour maps.

    Args:
        scene: What all figures of the run share.
    """
    shape = scene.scored.shape
    factor, unit = scene.axes.unit(shape)
    return {
        "shape": list(shape),
        "spacing": [factor * step for step in scene.axes.spacing],
        "origin": [factor * start for start in scene.axes.origin],
        "unit": unit,
        "metres": 1.0 / factor,
        "quantity": {"label": scene.quantity.label, "unit": scene.quantity.unit},
        "maps": {name: _colour_map(name) for name in (SIGNED, MAGNITUDE, VELOCITY)},
        "magnitude": MAGNITUDE,
    }


def pack_pair(pair: PairDraws, scene: Scene, draws: int) -> dict[str, Any]:
    """One pair for the page, in the unit shown.

    Draws are kept to 16 bits while they are few, then to 8, then fewer of them, so that a report of large
    sections can still be opened.

    Args:
        pair: The pair with its draws.
        scene: What all figures of the run share.
        draws: Draws wanted.

    Returns:
        Sections and draws as :meth:`Quantised.packed`, limits of the colours, the number of draws shown and
        of all, the largest error of a section's and of a draw's value.
    """
    scale = scene.quantity.scale
    bits, count = _fitting(pair.truth.size, min(draws, len(pair.draws)))
    sections = {name: quantise(scale * section) for name, section in _sections(pair, scene).items()}
    shown = quantise(scale * pair.draws[:count], bits)
    truth, std = scale * pair.truth, sections["std"].values()
    error = np.abs(sections["mean"].values() - truth)
    look = Look.of(truth)
    return {
        "sections": {name: section.packed() for name, section in sections.items()},
        "draws": shown.packed(),
        "count": count,
        "of": len(pair.draws),
        "map": look.cmap,
        "limits": list(look.limits),
        "largest": float(np.percentile([error, std], 99.0)) or 1.0,
        "errors": _errors(sections, shown),
    }


def _errors(sections: dict[str, Quantised], draws: Quantised) -> dict[str, float]:
    return {"sections": max(section.error for section in sections.values()), "draws": draws.error}


def _sections(pair: PairDraws, scene: Scene) -> dict[str, Array]:
    """Truth, image, moments and interval bounds, SI units; bounds recalibrated if there is a factor."""
    widened = scene.recalibration.widen(pair.draws) if scene.recalibration else pair.draws
    bounds: dict[str, Array] = {}
    for level in _LEVELS:
        lower, upper = uq.credible_interval(widened, level)
        bounds |= {f"lower{100 * level:.0f}": lower, f"upper{100 * level:.0f}": upper}
    return {
        "truth": pair.truth,
        "image": best_image(pair, scene.scored, scene.depth_weight),
        "mean": uq.mean(pair.draws),
        "std": uq.std(pair.draws),
        **bounds,
    }


def _fitting(cells: int, draws: int) -> tuple[Bits, int]:
    """Bits of a draw's values and number of draws that keep a pair small."""
    if 2 * cells * draws <= FULL_BYTES:
        return 16, draws
    return 8, max(1, min(draws, MOST_BYTES // cells))


def _colour_map(name: str) -> str:
    """A colour map's 256 colours as bytes red, green, blue in base64."""
    colours = matplotlib.colormaps[name](np.arange(256), bytes=True)[:, :3]
    return base64.b64encode(np.ascontiguousarray(colours).tobytes()).decode("ascii")


def _intervals(scene: Scene) -> str:
    fitted = scene.recalibration
    if fitted is None:
        return "The intervals are the network's own, of all draws."
    return (
        f"The intervals are those of all draws, recalibrated: half-widths about the median times "
        f"{fitted.factor:.3f}. Draws, mean and std are the network's own."
    )
