"""The report as one HTML page: template filled, pictures inside, nothing fetched from anywhere."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from posterior import plots
from posterior.dataset import PairDataset
from posterior.report.figures import Drawing
from posterior.report.text import (
    coverage_verdict,
    factor_sentence,
    gain_verdict,
    sbc_verdict,
    slope_verdict,
    table,
)


@final
class Album:
    """Figures of a report: each is written to its files as it comes, so that none is kept in memory.

    Args:
        folder: Where they go; made if need be.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self._folder = folder
        self._captions: dict[str, list[tuple[str, str, str]]] = {}

    def add(self, section: str, drawings: Iterable[Drawing]) -> None:
        """Write figures and keep their captions under a heading."""
        for drawing in drawings:
            plots.save(drawing.figure, self._folder / drawing.name)
            kept = self._captions.setdefault(section, [])
            kept.append((drawing.name, drawing.verdict, drawing.caption))

    @property
    def names(self) -> list[str]:
        """Names of all figures, without ending."""
        return [name for figures in self._captions.values() for name, _, _ in figures]

    def html(self) -> str:
        """All sections with their pictures inside."""
        return "\n".join(
            f"<section><h2>{escape(section.replace('_', ' ').capitalize())}</h2>\n"
            + "\n".join(self._figure(*figure) for figure in figures)
            + "</section>"
            for section, figures in self._captions.items()
        )

    def _figure(self, name: str, verdict: str, caption: str) -> str:
        picture = base64.b64encode((self._folder / f"{name}.png").read_bytes()).decode("ascii")
        return (
            f'<figure id="{escape(name)}"><img alt="{escape(name)}" src="data:image/png;base64,{picture}">'
            f"<figcaption><b>{escape(verdict)}</b> {escape(caption)}</figcaption></figure>"
        )


@final
@dataclass(frozen=True)
class Page:
    """What the page is made of."""

    title: str
    metrics: Mapping[str, Any]
    album: Album
    pairs: PairDataset
    run: Path
    viewer: str = ""
    """The viewer's section, or nothing."""


def render(page: Page) -> str:
    """Fill the packaged template.

    Args:
        page: Metrics, figures, data and folder of a run.
    """
    template = Template(files("posterior.report").joinpath("report.html").read_text(encoding="utf-8"))
    metrics = page.metrics
    return template.substitute(
        title=escape(page.title),
        verdicts=_verdicts(metrics),
        inverted=_paragraphs(_inverted(page)),
        table=_table(metrics),
        factor=escape(factor_sentence(metrics)),
        ssim=escape(metrics["ssim_convention"]),
        prior=escape(metrics["contraction_prior"]),
        viewer=page.viewer,
        sections=page.album.html(),
        provenance=_provenance(page),
    )


def house_style() -> str:
    """The style sheet of the packaged template, for other pages that are to look like the report."""
    template = files("posterior.report").joinpath("report.html").read_text(encoding="utf-8")
    return template.partition("<style>")[2].partition("</style>")[0]


def _verdicts(metrics: Mapping[str, Any]) -> str:
    """The headline sentences, on ``test`` or else on the first split."""
    splits = metrics["splits"]
    name = "test" if "test" in splits else next(iter(splits))
    sentences = [
        verdict(splits[name]) for verdict in (gain_verdict, coverage_verdict, slope_verdict, sbc_verdict)
    ]
    items = "".join(f"<li>{escape(sentence)}</li>" for sentence in sentences)
    return f"<p>On the split <b>{escape(name)}</b>:</p><ul>{items}</ul>"


def _inverted(page: Page) -> list[str]:
    pairs = page.pairs
    nx, nz = pairs.x_shape[1:]
    dx, dz = (float(step) for step in pairs.spacing)
    survey = pairs.config.get("survey", {})
    unknown = f"{pairs.x_channels[0].replace('_', ' ')} [{pairs.x_units[0]}]"
    known = " and ".join(name.replace("_", " ") for name in pairs.y_channels)
    sentences = [
        f"Unknown: {unknown} on {nx} × {nz} cells of {dx:g} m × {dz:g} m. Given: {known}. The network "
        "answers with "
        "draws of the posterior p(unknown | given); it was trained on simulated pairs and has not seen the "
        "pairs below.",
        f"Scores count the {int(pairs.scored.sum())} of {pairs.scored.size} cells outside the muted rows, "
        "where the "
        "unknown is known to vanish.",
    ]
    if {"num_sources", "num_receivers", "f0", "record_length"} <= survey.keys():
        sentences.insert(
            1,
            f"Data: {survey['num_sources']} shots into {survey['num_receivers']} receivers, Ricker wavelet "
            f"of {survey['f0']:g} Hz, records of {survey['record_length']:g} s{noise_words(pairs.snr_db)}.",
        )
    return sentences


def noise_words(snr_db: NDArray[np.floating[Any]]) -> str:
    """How strong the noise of the data is, as the end of a sentence.

    Args:
        snr_db: Signal-to-noise ratio of each pair's data [dB]; NaN where it is not known, as in imported
            pairs.
    """
    known = snr_db[np.isfinite(snr_db)]
    if not known.size:
        return ", noise of unknown strength"
    some = "" if known.size == snr_db.size else f" over the {known.size} pairs that state it"
    return f", noise in the wavelet's band at {float(known.mean()):.1f} dB on average{some}"


def _table(metrics: Mapping[str, Any]) -> str:
    quantity = metrics["quantity"]
    return html_table(*table(metrics, scale=quantity["scale"], unit=quantity["unit"]))


def html_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of plain texts.

    Args:
        header: Names of the columns.
        rows: Cells of each row.
    """
    head = "".join(f"<th>{escape(cell)}</th>" for cell in header)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>\n" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>\n{body}</tbody></table>"


def _provenance(page: Page) -> str:
    config = page.run / "config.toml"
    seconds = {key: f"{value:.0f} s" for key, value in page.metrics.items() if key.startswith("seconds")}
    rows = {
        **{f"version of {name}": version for name, version in page.metrics["versions"].items()},
        "model (sha256)": page.metrics["drawn_by"]["model_sha256"],
        "seed of the draws": str(page.metrics["drawn_by"]["seed"]),
        "seed of the pairs": str(page.pairs.config.get("seed", "not stated")),
        "configuration of the first split's pairs (sha256)": page.pairs.config_hash,
        "fingerprint of the first split's pairs": page.pairs.fingerprint,
        **{key.replace("_", " "): value for key, value in seconds.items()},
    }
    body = "".join(
        f"<tr><td>{escape(key)}</td><td>{escape(value)}</td></tr>\n" for key, value in rows.items()
    )
    text = config.read_text(encoding="utf-8") if config.is_file() else json.dumps(page.pairs.config, indent=1)
    return (
        f"<table class='left'><tbody>\n{body}</tbody></table>\n"
        f"<details><summary>Configuration</summary><pre>{escape(text)}</pre></details>"
    )


def _paragraphs(sentences: Sequence[str]) -> str:
    return "".join(f"<p>{escape(sentence)}</p>" for sentence in sentences)
