"""The table of a diagnosis: every number of every split, raw and recalibrated."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from posterior.diagnosis.numbers import DENSITY

Numbers = Mapping[str, Any]

_ROWS: tuple[tuple[str, tuple[str, ...], float, str], ...] = (
    ("50 % intervals hold (%)", ("coverage", "50", "share"), 100.0, ".1f"),
    ("90 % intervals hold (%)", ("coverage", "90", "share"), 100.0, ".1f"),
    ("± one standard error over pairs", ("coverage", "90", "error"), 100.0, ".1f"),
    ("Coverage at all levels, p", ("coverage_p",), 1.0, ".2g"),
    ("Cells of the coverage map beyond chance", ("coverage_map", "outside"), 1.0, ".0f"),
    ("PIT histogram, p", ("pit_p",), 1.0, ".2g"),
    ("Ranks of all functionals, p (Holm)", ("ranks", "p_value"), 1.0, ".2g"),
    ("Rank of log q(x | y), p (Holm)", ("ranks", "adjusted", DENSITY), 1.0, ".2g"),
    ("TARP, cells, p", ("tarp", "cells"), 1.0, ".2g"),
    ("TARP, principal scores, p", ("tarp", "principal scores"), 1.0, ".2g"),
    ("Local C2ST over all pairs, p", ("c2st", "p_value"), 1.0, ".2g"),
    ("Error of the std, corrected (%)", ("calibration_error", "value"), 100.0, ".1f"),
    ("Error of the std, p", ("calibration_error", "p_value"), 1.0, ".2g"),
    ("ENCE (Levi), 10 bins (%)", ("calibration_error", "published", "ence"), 100.0, ".1f"),
    ("Slope of RMSE against std", ("std_rmse_slope",), 1.0, ".2f"),
    ("z-scores beyond 2 (%)", ("z", "beyond_2"), 100.0, ".1f"),
    ("of a right Gaussian posterior (%)", ("z", "expected_beyond_2"), 100.0, ".1f"),
    ("Std of z-scores", ("z", "std"), 1.0, ".2f"),
    ("Correlation of std and |error|, Spearman", ("error_std_correlation", "spearman"), 1.0, ".2f"),
    ("Sparsification area", ("sparsification", "ause"), 1.0, ".3f"),
    ("of a right Gaussian posterior", ("sparsification", "expected"), 1.0, ".3f"),
    ("Log score, exact (nats a cell)", ("log_score", "nats_a_cell"), 1.0, ".4f"),
    ("Log score of a Gaussian (nats a cell)", ("scores", "log", "mean"), 1.0, ".4f"),
)
_SCALED = (
    ("CRPS", ("scores", "crps", "mean"), 1),
    ("Energy score", ("scores", "energy", "mean"), 1),
    ("Interval score, 90 %", ("scores", "interval", "mean"), 1),
    ("Calibration error, slim, 64 bins", ("calibration_error", "published", "slim"), 1),
    ("Calibration error, Laves, 10 bins", ("calibration_error", "published", "laves"), 2),
)


def table(diagnosis: Numbers) -> tuple[list[str], list[list[str]]]:
    """Header and rows of the table of all splits, raw and recalibrated.

    Args:
        diagnosis: What :func:`posterior.diagnosis.write.diagnose` returned.
    """
    columns = [
        (f"{name}, {kind}", split, split[kind])
        for name, split in diagnosis["splits"].items()
        for kind in ("raw", "recalibrated")
        if kind in split
    ]
    quantity = diagnosis["quantity"]
    unit = f" ({quantity['unit']})" if quantity["unit"] else ""
    square = f" (({quantity['unit']})²)" if quantity["unit"] else ""
    rows = [["Pairs × draws", *(f"{split['num_pairs']} × {split['num_samples']}" for _, split, _ in columns)]]
    rows += [
        [label, *(_cell(_at(numbers, path), factor, form) for *_, numbers in columns)]
        for label, path, factor, form in _ROWS
    ]
    rows += [
        [label + (unit if power == 1 else square)]
        + [_cell(_at(numbers, path), quantity["scale"] ** power, ".4g") for *_, numbers in columns]
        for label, path, power in _SCALED
    ]
    rows.append(
        ["Prior variance removed (%)", *(_cell(s["contraction"], 100.0, ".1f") for _, s, _ in columns)]
    )
    rows.append(["Surveys that raise the alarm", *(_alarms(split.get("watch")) for _, split, _ in columns)])
    return ["", *(name for name, *_ in columns)], rows


def format_table(diagnosis: Numbers) -> str:
    """The table as plain text for a terminal.

    Args:
        diagnosis: What :func:`posterior.diagnosis.write.diagnose` returned.
    """
    header, rows = table(diagnosis)
    lines = [header, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    text = [
        "  ".join(
            [line[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(line[1:], widths[1:], strict=True))]
        )
        for line in lines
    ]
    text.insert(1, "-" * len(text[0]))
    return "\n".join(text)


def _at(numbers: Numbers, path: tuple[str, ...]) -> float | None:
    value: Any = numbers
    for key in path:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def _cell(value: float | None, factor: float, form: str) -> str:
    return "–" if value is None else format(value * factor, form)


def _alarms(watch: Numbers | None) -> str:
    return "–" if watch is None else f"{watch['alarms']} of {watch['surveys']}"
