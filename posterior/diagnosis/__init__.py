"""Can the posterior be believed: every test on held-out pairs, and an alarm for surveys of another kind."""

from posterior.diagnosis.options import DiagnoseConfig as DiagnoseConfig
from posterior.diagnosis.options import WatchConfig as WatchConfig
from posterior.diagnosis.records import before_first as before_first
from posterior.diagnosis.records import data_chi_square as data_chi_square
from posterior.diagnosis.records import noise_level as noise_level
from posterior.diagnosis.table import format_table as format_table
from posterior.diagnosis.watch import Watch as Watch
from posterior.diagnosis.write import diagnose as diagnose
from posterior.diagnosis.write import fit_watch as fit_watch
from posterior.diagnosis.write import judge_surveys as judge_surveys

__all__ = [
    "DiagnoseConfig",
    "Watch",
    "WatchConfig",
    "before_first",
    "data_chi_square",
    "diagnose",
    "fit_watch",
    "format_table",
    "judge_surveys",
    "noise_level",
]
