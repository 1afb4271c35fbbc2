"""A survey's SEG-Y file through our reader and writer: every trace and header, bit by bit.

Reads a field survey, writes its values back with its headers (``like``), and compares the two files. What
differs is counted by header, and is what has to: the sample format, the text's lines on what the samples are,
and a count of samples in the trace headers where the survey's was wrong. What was written is read and written
once more: the same bytes. Then the standard deviation of a made-up posterior, on the survey's traces, is
opened in segyio as anyone would, with geometry.

    python examples/benchmarks/segy_round_trip.py [SURVEY.sgy]     # needs segyio; F3 crop by default
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

import numpy as np
import segyio
from record import record

from posterior.interop.segy import read_segy, write_segy
from posterior.interop.segy_read import SegyUnits, SegyVolume
from posterior.uq.moments import std

SURVEY = Path(__file__).resolve().parents[3] / "shared" / "data" / "f3_crop.sgy"
FORMATS: tuple[Literal["ibm", "ieee"], ...] = ("ibm", "ieee")
DRAWS = 100
MAY_DIFFER = {"file: Format", "trace: TRACE_SAMPLE_COUNT"}


def differing_headers(one: Path, other: Path) -> dict[str, int]:
    """Header field to the number of traces (or 1, of the file) in which it differs."""
    found: Counter[str] = Counter()
    with segyio.open(one, ignore_geometry=True) as a, segyio.open(other, ignore_geometry=True) as b:
        found.update(f"file: {key}" for key in a.bin if a.bin[key] != b.bin[key])
        for here, there in zip(a.header, b.header, strict=True):
            found.update(f"trace: {key}" for key in here if here[key] != there[key])
    return dict(found)


def compared(survey: Path, written: Path) -> dict[str, Any]:
    """Headers and lines of text that differ, and whether every sample is the same number."""
    with segyio.open(survey, ignore_geometry=True) as a, segyio.open(written, ignore_geometry=True) as b:
        before, after = (np.frombuffer(file.text[0], np.uint8).reshape(40, 80) for file in (a, b))
        equal = bool((a.trace.raw[:].astype(np.float64) == b.trace.raw[:].astype(np.float64)).all())
        fields = {"file": len(a.bin), "trace": a.tracecount * len(a.header[0])}
    return {
        "headers_compared": fields,
        "headers_that_differ": differing_headers(survey, written),
        "text_lines_that_differ": (np.flatnonzero((before != after).any(axis=1)) + 1).tolist(),
        "samples_equal": equal,
    }


def round_trip(
    survey: Path, volume: SegyVolume, path: Path, floats: Literal["ibm", "ieee"]
) -> dict[str, Any]:
    """The survey's values written with its headers, read, and written once more."""
    write_segy(path, volume.values, volume.grid, like=survey, floats=floats)
    back, again = read_segy(path), path.with_suffix(".again")
    write_segy(again, back.values, back.grid, like=path, floats=floats)
    names = vars(volume.grid)
    return compared(survey, path) | {
        "read_back_bit_identical": back.values.tobytes() == volume.values.tobytes(),
        "grid_identical": all(np.array_equal(names[name], getattr(back.grid, name)) for name in names),
        "written_again_same_bytes": again.read_bytes() == path.read_bytes(),
    }


def geometry(path: Path) -> dict[str, Any]:
    """What segyio makes of a file that it opens with geometry."""
    with segyio.open(path) as file:
        first = file.header[0]
        keys = segyio.TraceField
        positions = [(h[keys.CDP_X], h[keys.CDP_Y], h[keys.SourceGroupScalar]) for h in file.header]
        return {
            "inlines": [int(file.ilines[0]), int(file.ilines[-1]), len(file.ilines)],
            "crosslines": [int(file.xlines[0]), int(file.xlines[-1]), len(file.xlines)],
            "samples": [float(file.samples[0]), float(file.samples[-1]), len(file.samples)],
            "sorting": int(file.sorting),
            "offsets": len(file.offsets),
            "interval_us": int(first[keys.TRACE_SAMPLE_INTERVAL]),
            "positions": hash(tuple(positions)),
        }


def exported_std(survey: Path, path: Path) -> dict[str, Any]:
    """Write a std volume with the survey's headers and find it again, inline by inline."""
    volume = read_segy(survey, SegyUnits(domain="time"))
    white = np.random.default_rng(0).standard_normal((DRAWS, *volume.values.shape)).astype(np.float32)
    spread = std(volume.values + 0.1 * np.abs(volume.values).max() * white).astype(np.float32)
    write_segy(path, spread, volume.grid, like=survey, title="std [amplitude]")
    with segyio.open(path) as file:
        lines = [np.array_equal(file.iline[line], spread[i]) for i, line in enumerate(file.ilines)]
    before, after = geometry(survey), geometry(path)
    same = {name: before[name] == after[name] for name in before}
    del after["positions"]
    return {"geometry": after, "same_as_the_survey": same, "inlines_bit_identical": [sum(lines), len(lines)]}


def main() -> None:
    """Both files, compared; fails where a trace or a header that must not change does."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("survey", type=Path, nargs="?", default=SURVEY)
    survey = parser.parse_args().survey
    if not survey.is_file():
        print(f"skipped: expected a survey's SEG-Y file, got none at {survey}")
        return
    volume = read_segy(survey, SegyUnits(domain="time"))
    with tempfile.TemporaryDirectory() as folder:
        trips = {
            floats: round_trip(survey, volume, Path(folder) / f"{floats}.sgy", floats) for floats in FORMATS
        }
        figures = {
            "survey": survey.name,
            "segyio": metadata.version("segyio"),
            "traces": int(np.prod(volume.grid.shape)),
            "samples": volume.values.shape[-1],
            "round_trip": trips,
            "exported_std": exported_std(survey, Path(folder) / "std.sgy"),
        }
    record("segy_round_trip", figures)
    wrong = {name for trip in trips.values() for name in trip["headers_that_differ"]} - MAY_DIFFER
    if wrong or not all(
        trip["samples_equal"] and trip["written_again_same_bytes"] for trip in trips.values()
    ):
        sys.exit(f"expected every trace and header that matters to be the same, got {sorted(wrong)} changed")


if __name__ == "__main__":
    main()
