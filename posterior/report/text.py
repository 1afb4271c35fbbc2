"""Words and tables of the report: verdicts a geophysicist can act on, from the metrics alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Metrics = Mapping[str, Any]

# The bars of the project's own acceptance: 90 % intervals within three points, std within a fifth of the
# error.
COVERAGE_MARGIN = 0.03
SLOPE_MARGIN = 0.2
SIGNIFICANCE = 0.01

_ROWS: tuple[tuple[str, str, float, str], ...] = (
    ("Pairs", "num_pairs", 1.0, "d"),
    ("Posterior draws a pair", "num_samples", 1.0, "d"),
    ("SNR of the posterior mean (dB)", "snr_db", 1.0, ".2f"),
    ("SNR of the best scaled migrated image (dB)", "snr_image_db", 1.0, ".2f"),
    ("Gain (dB)", "snr_gain_db", 1.0, ".2f"),
    ("SSIM of the posterior mean", "ssim", 1.0, ".3f"),
    ("50 % intervals hold, raw (%)", "coverage_50_raw", 100.0, ".1f"),
    ("50 % intervals hold, recalibrated (%)", "coverage_50", 100.0, ".1f"),
    ("90 % intervals hold, raw (%)", "coverage_90_raw", 100.0, ".1f"),
    ("90 % intervals hold, recalibrated (%)", "coverage_90", 100.0, ".1f"),
    ("Slope of RMSE against std, raw", "std_rmse_slope", 1.0, ".2f"),
    ("Slope of RMSE against std, recalibrated", "std_rmse_slope_recalibrated", 1.0, ".2f"),
    ("Slope with a free intercept, raw", "std_rmse_slope_free", 1.0, ".2f"),
    ("Prior variance removed (%)", "contraction", 100.0, ".1f"),
    ("SBC p-value, smallest of all, corrected", "sbc_p_value", 1.0, ".2g"),
)
_SCALED = (("RMSE", "rmse"), ("RMS posterior std", "std_rms"), ("CRPS", "crps"))


def table(metrics: Metrics, *, scale: float = 1.0, unit: str = "") -> tuple[list[str], list[list[str]]]:
    """Header and rows of the table of all splits.

    Args:
        metrics: What ``write_report`` returned, with ``splits``.
        scale: Factor from SI to the unit shown.
        unit: The unit shown.
    """
    splits: Metrics = metrics["splits"]
    names = list(splits)
    suffix = f" ({unit})" if unit else ""
    rows = [
        [label, *(_cell(splits[name].get(key), factor, form) for name in names)]
        for label, key, factor, form in _ROWS
    ]
    rows[6:6] = [
        [label + suffix, *(_cell(splits[name].get(key), scale, ".4g") for name in names)]
        for label, key in _SCALED
    ]
    return ["", *names], rows


def format_table(metrics: Metrics) -> str:
    """The table of all splits as plain text for a terminal, with the interval factor below it.

    Args:
        metrics: What ``write_report`` returned.

    Example:
        >>> print(format_table(metrics))  # doctest: +SKIP
    """
    quantity = metrics.get("quantity", {})
    header, rows = table(metrics, scale=quantity.get("scale", 1.0), unit=quantity.get("unit", ""))
    lines: Sequence[list[str]] = [header, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    text = [
        "  ".join(
            [line[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(line[1:], widths[1:], strict=True))]
        )
        for line in lines
    ]
    text.insert(1, "-" * len(text[0]))
    return "\n".join([*text, factor_sentence(metrics), f"SSIM is {metrics['ssim_convention']}."])


def factor_sentence(metrics: Metrics) -> str:
    """What the interval factor is and what it was fitted on."""
    fitted = metrics.get("recalibration")
    if not fitted:
        return "No interval factor: the run has no calibration split, so intervals are the network's own."
    factor = fitted["factor"]
    was = "too narrow" if factor > 1.0 else "too wide"
    return (
        f"Interval factor {factor:.3f}: half-widths about the median are multiplied by it, since the "
        "network's "
        f"own {100 * fitted['level']:.0f} % intervals were {was} on {fitted['pairs']} calibration pairs "
        "that serve "
        f"nothing else. Pairs left out of the fit in turn were covered to "
        f"{100 * fitted['coverage_left_out']:.1f} %."
    )


def coverage_verdict(metrics: Metrics) -> str:
    """One sentence on the 90 % intervals of a split."""
    repaired = metrics.get("coverage_90") is not None
    key = "coverage_90" if repaired else "coverage_90_raw"
    value, error = metrics[key], metrics.get(f"{key}_error")
    margin = f" ± {100 * error:.1f}" if error is not None else ""
    state = f"{100 * value:.1f}{margin} % of the cells"
    raw = f" (raw: {100 * metrics['coverage_90_raw']:.1f} %)" if repaired else ""
    if abs(value - 0.9) <= COVERAGE_MARGIN:
        return f"The 90 % intervals can be taken at their word: they hold {state}{raw}."
    if value < 0.9:
        return f"The 90 % intervals are too narrow: they hold only {state}{raw}; read them with caution."
    return f"The 90 % intervals are wider than they need be: they hold {state}{raw}."


def slope_verdict(metrics: Metrics) -> str:
    """One sentence on RMSE against std."""
    raw = metrics["std_rmse_slope"]
    after = metrics.get("std_rmse_slope_recalibrated")
    slope = raw if after is None else after
    text = f"slope {slope:.2f}" + ("" if after is None else f" after recalibration (raw: {raw:.2f})")
    if abs(slope - 1.0) <= SLOPE_MARGIN:
        verdict = f"Where the std is large the error is as large as it says: {text}."
    elif slope > 1.0:
        verdict = f"Errors are larger than the std says: {text}."
    else:
        verdict = f"Errors are smaller than the std says: {text}."
    free = metrics.get("std_rmse_slope_free")
    if free is not None and free < 0.5:
        verdict += f" With a free intercept it is {free:.2f}: the std hardly tells good cells from bad ones."
    return verdict


def sbc_verdict(metrics: Metrics) -> str:
    """One sentence on simulation-based calibration, with what it cannot tell."""
    p_values: Metrics = metrics["sbc_p_values"]
    failed = [name for name, p in p_values.items() if p * len(p_values) < SIGNIFICANCE]
    pairs = metrics["num_pairs"]
    if failed:
        return (
            f"Ranks of {', '.join(failed)} are not uniform ({pairs} pairs, corrected for {len(p_values)} "
            "tests): "
            "the raw posterior of these quantities is not calibrated."
        )
    return (
        f"No functional departs from uniform ranks at the {100 * SIGNIFICANCE:.0f} % level over {pairs} "
        "pairs: "
        "no proof of calibration, but no sign against it that so many pairs could show."
    )


def gain_verdict(metrics: Metrics) -> str:
    """One sentence on the posterior mean against the migrated image."""
    gain, error = metrics["snr_gain_db"], metrics["snr_gain_db_error"]
    margin = f" ± {error:.1f}" if error is not None else ""
    what = "nearer to" if gain > 0 else "farther from"
    return (
        f"On average over {metrics['num_pairs']} pairs the posterior mean is {abs(gain):.1f}{margin} dB "
        f"{what} "
        f"the truth than the migrated image at its best scale ({metrics['snr_db']:.1f} against "
        f"{metrics['snr_image_db']:.1f} dB)."
    )


def _cell(value: float | None, factor: float, form: str) -> str:
    return "–" if value is None else format(value if form == "d" else value * factor, form)
