"""The diagnosis as one HTML page in the report's style: pictures inside, nothing fetched from anywhere."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from importlib.resources import files
from string import Template
from typing import Any

from posterior.diagnosis.table import table
from posterior.diagnosis.text import verdicts
from posterior.report.page import Album, house_style, html_table


def render(diagnosis: Mapping[str, Any], album: Album, *, title: str) -> str:
    """Fill the packaged template.

    Args:
        diagnosis: What :func:`posterior.diagnosis.write.diagnose` returned.
        album: Its figures.
        title: Heading of the page.
    """
    template = Template(files("posterior.diagnosis").joinpath("diagnosis.html").read_text(encoding="utf-8"))
    first = next(iter(diagnosis["splits"].values()))["raw"]
    return template.substitute(
        title=escape(title),
        style=house_style(),
        verdicts="\n".join(_verdicts(name, split) for name, split in diagnosis["splits"].items()),
        table=html_table(*table(diagnosis)),
        densities=_densities(first),
        published=escape("First split, raw, SI units: " + "; ".join(first["calibration_error"]["described"])),
        watch=escape(diagnosis["watch"]["said"]),
        sections=album.html(),
        provenance=_provenance(diagnosis),
    )


def _verdicts(name: str, split: Mapping[str, Any]) -> str:
    blocks = []
    for kind in ("raw", "recalibrated"):
        if kind in split:
            items = "".join(f"<li>{escape(sentence)}</li>" for sentence in verdicts(split, kind))
            blocks.append(f"<p><b>{escape(name.replace('_', ' '))}, {kind}:</b></p><ul>{items}</ul>")
    return f'<div class="verdict">{"".join(blocks)}</div>'


def _densities(raw: Mapping[str, Any]) -> str:
    score = raw.get("log_score")
    if score is None:
        return "left out: the run keeps no model"
    return f"{score['draws']} draws a pair, raw posterior only"


def _provenance(diagnosis: Mapping[str, Any]) -> str:
    rows = {
        **{f"version of {name}": version for name, version in diagnosis["versions"].items()},
        **{key.replace("_", " "): str(value) for key, value in diagnosis["drawn_by"].items()},
        "seed of the diagnosis": str(diagnosis["seed"]),
        "training pairs behind the prior": str(diagnosis["num_prior"]),
    }
    return "\n".join(
        f"<tr><td>{escape(key)}</td><td>{escape(value)}</td></tr>" for key, value in rows.items()
    )
