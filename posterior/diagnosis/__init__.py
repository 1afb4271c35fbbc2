"""Can the posterior be believed: every test on held-out pairs, and an alarm for surveys of another kind."""

from posterior.diagnosis.features import data_chi_square as data_chi_square
from posterior.diagnosis.text import format_table as format_table
from posterior.diagnosis.watch import Watch as Watch
from posterior.diagnosis.write import diagnose as diagnose
from posterior.diagnosis.write import fit_watch as fit_watch
from posterior.diagnosis.write import judge_surveys as judge_surveys

__all__ = ["Watch", "data_chi_square", "diagnose", "fit_watch", "format_table", "judge_surveys"]
