"""Figures, one a file: each function takes what :mod:`posterior.uq` returned and returns (figure, axes).

Arrays are (x, z) in SI units; figures show depth downwards, in metres or kilometres, at the width of a
journal's column.
"""

from posterior.plots.coverage import calibration_curve
from posterior.plots.image_axes import ImageAxes, Quantity
from posterior.plots.maps import maps
from posterior.plots.panel import Patch, panel
from posterior.plots.profiles import profiles
from posterior.plots.sbc import sbc
from posterior.plots.std_rmse import std_rmse
from posterior.plots.style import FORMATS, save
from posterior.plots.training import training

__all__ = [
    "FORMATS",
    "ImageAxes",
    "Patch",
    "Quantity",
    "calibration_curve",
    "maps",
    "panel",
    "profiles",
    "save",
    "sbc",
    "std_rmse",
    "training",
]
