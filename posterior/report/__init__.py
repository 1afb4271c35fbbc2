"""The report of a run: evaluate the held-out splits, draw, write ``metrics.json`` and ``report.html``."""

from posterior.report.text import format_table as format_table
from posterior.report.write import write_report as write_report

__all__ = ["format_table", "write_report"]
