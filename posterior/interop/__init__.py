"""Models and results of other tools, read and written: one tool a module."""
