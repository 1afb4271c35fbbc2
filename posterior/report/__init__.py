"""The report of a run: evaluate the held-out splits, draw, write ``metrics.json`` and ``report.html``."""

from posterior.report.playback import Playback as Playback
from posterior.report.text import format_table as format_table
from posterior.report.write import write_report as write_report

__all__ = ["Playback", "format_table", "write_report"]
