"""Words and tables of a diagnosis: what each test found, and what it can and cannot tell."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from posterior.diagnosis.numbers import DENSITY, SIGNIFICANCE

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


def verdicts(split: Numbers, kind: str = "raw") -> list[str]:
    """Sentences on one posterior of a split: what was found, and what it cannot tell.

    Powers are those of ``examples/benchmarks/results/calibration_power.json``: 64 correlated Gaussian cells,
    100 draws, 5 % level.

    Args:
        split: Numbers of the split.
        kind: ``raw`` or ``recalibrated``.
    """
    numbers = split[kind]
    said = [
        _coverage(numbers),
        _ranks(numbers),
        *_density(numbers),
        _tarp(numbers),
        _c2st(numbers),
        _std(numbers),
        _order(numbers),
    ]
    return [*said, *([] if split.get("watch") is None or kind != "raw" else [watch_sentence(split["watch"])])]


def failed(numbers: Numbers) -> list[str]:
    """Names of the tests that a posterior fails at the 5 % level, each allowing for its own comparisons.

    Args:
        numbers: Of one posterior on a split.
    """
    tarp = numbers["tarp"]
    p_values = {
        "coverage": numbers["coverage_p"],
        "PIT": numbers["pit_p"],
        "ranks": numbers["ranks"]["p_value"],
        "TARP": min(1.0, len(tarp) * min(tarp.values())),
        "local C2ST": numbers["c2st"]["p_value"],
        "std": numbers["calibration_error"]["p_value"],
    }
    return [name for name, p_value in p_values.items() if p_value < SIGNIFICANCE]


def watch_sentence(watch: Numbers) -> str:
    """What the alarm said of the surveys of a split, from their data alone."""
    count, alarms, rate = watch["surveys"], watch["alarms"], watch["rate"]
    share = f"{alarms} of {count} surveys raise the alarm (checks: {', '.join(watch['checks'])})"
    usual = f"{100 * rate:.0f} % of surveys like those of the training would"
    if alarms <= rate * count + 2.0 * (rate * (1.0 - rate) * count) ** 0.5:
        return f"{share}; {usual}: no sign that the split is of another kind. The data alone may hide one."
    return f"{share}; {usual}: the split is not of the kind the network was trained on, believe it less."


def _coverage(numbers: Numbers) -> str:
    at, p_value = numbers["coverage"]["90"], numbers["coverage_p"]
    share = f"{100 * at['share']:.1f} ± {100 * at['error']:.1f} % of cells lie in their 90 % interval"
    blind = "Blind to cells that are wrong only together, and to a posterior that ignores its data."
    if p_value >= SIGNIFICANCE:
        power = (
            "60 pairs show a std 15 % too small or 30 % too large always, a shift by 0.3 std in 6 of 10 cases"
        )
        found = f"Coverage: no departure at any level beyond chance (p = {p_value:.2g}); {share}."
        return f"{found} {power}. {blind}"
    narrow = at["share"] < 0.9
    word = "too narrow" if narrow else "too wide at 90 %"
    return f"Coverage: intervals do not hold what they claim (p = {p_value:.2g}), {word}; {share}. {blind}"


def _ranks(numbers: Numbers) -> str:
    ranks = numbers["ranks"]
    failed = [name for name, p in ranks["adjusted"].items() if p < SIGNIFICANCE]
    count = len(ranks["adjusted"])
    if failed:
        return (
            f"Ranks: {len(failed)} of {count} functionals are not uniform ({', '.join(failed)}; smallest "
            f"p = {ranks['p_value']:.2g} after Holm): these quantities of the section are not calibrated."
        )
    return (
        f"Ranks: none of {count} functionals departs from uniform (smallest p = {ranks['p_value']:.2g} after "
        "Holm). 60 pairs show a std 30 % off (energy) or a shift by 0.3 std (block means) always, a std "
        "15 % too small in 7 of 10 cases, wrong correlations (principal scores) in 9 of 10. A posterior that "
        "ignores its data passes: only a data misfit would find it."
    )


def _density(numbers: Numbers) -> list[str]:
    """On the rank of log q, where it was evaluated."""
    score = numbers.get("log_score")
    if score is None:
        return []
    p_value, share = numbers["ranks"]["adjusted"][DENSITY], 100.0 * score["above_half_of_the_draws"]
    found = f"Density: {share:.0f} % of truths have a higher log q(x | y) than half of their draws"
    if p_value >= SIGNIFICANCE:
        return [f"{found}, as often as chance allows (p = {p_value:.2g} after Holm)."]
    why = (
        "as from a network that was trained with noise on x, which its draws carry and truths do not"
        if share > 50.0
        else "truths lie where the network holds them unlikely"
    )
    return [f"{found} (50 % expected, p = {p_value:.2g} after Holm): {why}."]


def _tarp(numbers: Numbers) -> str:
    values = numbers["tarp"]
    said = ", ".join(f"{name} p = {p:.2g}" for name, p in values.items())
    if min(values.values()) * len(values) < SIGNIFICANCE:
        return (
            f"TARP: credibilities about random points are not uniform ({said}): the joint posterior is off."
        )
    return (
        f"TARP: credibilities about random points are uniform ({said}). With reference points made from the "
        "data it finds a posterior that ignores them in 8 of 10 cases with 60 pairs; a std 15 % too small in "
        "4 of 10, wrong correlations in 1 of 3 only."
    )


def _c2st(numbers: Numbers) -> str:
    p_value = numbers["c2st"]["p_value"]
    if p_value < SIGNIFICANCE:
        return (
            f"Local C2ST: a classifier tells truths from draws in three principal scores (p = {p_value:.2g})."
        )
    return (
        f"Local C2ST: truths cannot be told from draws in three principal scores (p = {p_value:.2g}). 60 "
        "pairs show a std 30 % too small, a shift by 0.3 std, wrong correlations and ignored data always; a "
        "std 30 % too large needs 300. Finer structure than these modes is not looked at."
    )


def _std(numbers: Numbers) -> str:
    error, z = numbers["calibration_error"], numbers["z"]
    usual = f"{100 * z['expected_beyond_2']:.1f} % expected"
    beyond = f"{100 * z['beyond_2']:.1f} % of z-scores lie beyond 2 ({usual})"
    if error["p_value"] < SIGNIFICANCE:
        word = "small" if error["ratio"] > 1.0 else "large"
        return (
            f"Std: too {word} by size of error, {100 * error['value']:.1f} % off after correction "
            f"(p = {error['p_value']:.2g}); {beyond}."
        )
    return f"Std: errors are as large as the std says (p = {error['p_value']:.2g}); {beyond}."


def _order(numbers: Numbers) -> str:
    area, expected = numbers["sparsification"]["ause"], numbers["sparsification"]["expected"]
    word = "as well as" if area <= 1.1 * expected else "less well than"
    return (
        f"Order: the std tells good cells from bad ones {word} a right Gaussian posterior would "
        f"(sparsification area {area:.3f} against {expected:.3f}). Says nothing of the size of the std."
    )


def _at(numbers: Numbers, path: tuple[str, ...]) -> float | None:
    value: Any = numbers
    for key in path:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def _cell(value: float | None, factor: float, form: str) -> str:
    return "–" if value is None else format(value * factor, form)


def _alarms(watch: Numbers | None) -> str:
    return "–" if watch is None else f"{watch['alarms']} of {watch['surveys']}"
