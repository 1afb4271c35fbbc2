"""The drawn pairs: each is read once for its figures, its place in the viewer and its video."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import final

from posterior import plots
from posterior.report.evaluate import PairDraws
from posterior.report.figures import Drawing, pair_drawings, pair_stem, spread_drawing
from posterior.report.viewer import Viewer

VIDEO_DRAWS = 24
"""Frames of a video, one a draw: six seconds at four a second."""


@final
@dataclass(frozen=True)
class Playback:
    """What a report holds of single draws beside its figures."""

    viewer_draws: int = 50
    """Draws of each drawn pair in the page's viewer; 0 for no viewer."""
    video: bool = False
    """Whether each drawn pair gets a video of its draws, a GIF beside the figures."""

    def __post_init__(self) -> None:
        if self.viewer_draws < 0:
            raise ValueError(f"expected viewer_draws from 0 on, got {self.viewer_draws}")


@final
class Show:
    """Takes drawn pairs, one at a time.

    Args:
        viewer: Takes in every pair.
        folder: Where videos go, or None for none.
    """

    def __init__(self, viewer: Viewer, folder: Path | None) -> None:
        self._viewer = viewer
        self._folder = folder
        self.videos: list[str] = []
        """Names of the videos, without ending."""

    def drawings(self, split: str, pair: PairDraws, place: str, *, spread: bool) -> Iterator[Drawing]:
        """Figures of a pair, after the viewer has taken it in and its video is written.

        Args:
            split: Name of the split.
            pair: The pair with its draws.
            place: Where the pair stands among the others.
            spread: Whether the maps of its spread are drawn as well.
        """
        scene = self._viewer.scene
        self._viewer.add(split, pair, place)
        if self._folder is not None:
            name = f"{pair_stem(split, pair)}-draws"
            path = self._folder / f"{name}.gif"
            plots.samples_video(pair.draws[:VIDEO_DRAWS], path, axes=scene.axes, quantity=scene.quantity)
            self.videos.append(name)
        yield from pair_drawings(split, pair, place, scene)
        if spread:
            yield spread_drawing(split, pair, scene)

    def html(self) -> str:
        """The viewer, and below it the videos by name: they lie beside the page, not in it."""
        links = ", ".join(
            f'<a href="figures/{escape(name)}.gif">{escape(name)}.gif</a>' for name in self.videos
        )
        text = f"<p>Videos of the draws, beside this page: {links}.</p>" if links else ""
        return self._viewer.html() + text
