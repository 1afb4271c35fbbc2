"""Words of a diagnosis: what each test found, and what it can and cannot tell."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from posterior.diagnosis.numbers import DENSITY, SIGNIFICANCE

Numbers = Mapping[str, Any]


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
