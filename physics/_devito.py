"""The one place where Devito is imported: its process-wide settings must stand before that import.

Plain C on one thread is the fastest way to run the small grids of a training set (one process a core), and
Devito's default log level prints two lines a shot. A variable that the user has set is left alone.
"""

from __future__ import annotations

import os

os.environ.setdefault("DEVITO_LANGUAGE", "C")
os.environ.setdefault("DEVITO_LOGGING", "ERROR")

import devito  # Devito reads the variables above when it is imported
from devito.types.sparse import SubFunction

__all__ = ["SubFunction", "devito"]
