"""Figures, one a file: each function takes what :mod:`posterior.uq` returned and returns (figure, axes).

Arrays are (x, z) in SI units; figures show depth downwards, in metres or kilometres, at the width of a
journal's column.
"""

from posterior.plots.alarms import alarms
from posterior.plots.bimodality import bimodality
from posterior.plots.butterfly import butterfly
from posterior.plots.c2st import c2st
from posterior.plots.contraction import contraction
from posterior.plots.correlation import correlation
from posterior.plots.coverage import calibration_curve
from posterior.plots.coverage_map import coverage_map
from posterior.plots.exceedance import exceedance
from posterior.plots.histograms import histograms
from posterior.plots.horizons import horizons
from posterior.plots.image_axes import ImageAxes, Quantity
from posterior.plots.juxtapose import juxtapose
from posterior.plots.latents import latents
from posterior.plots.look import Look
from posterior.plots.maps import maps
from posterior.plots.modes import modes
from posterior.plots.overlay import overlay
from posterior.plots.panel import Patch, panel
from posterior.plots.pit import pit
from posterior.plots.power import power
from posterior.plots.predictive import predictive
from posterior.plots.profiles import profiles
from posterior.plots.ranks import ranks
from posterior.plots.record_axes import RecordAxes
from posterior.plots.reliability import reliability
from posterior.plots.samples import samples
from posterior.plots.sbc import sbc
from posterior.plots.scores import scores
from posterior.plots.slices import VolumeAxes, slices
from posterior.plots.snr_against_samples import snr_against_samples
from posterior.plots.sparsification import sparsification
from posterior.plots.spread import spread
from posterior.plots.std_rmse import std_rmse
from posterior.plots.style import FORMATS, save
from posterior.plots.tarp import tarp
from posterior.plots.traces import traces
from posterior.plots.training import training
from posterior.plots.video import samples_video
from posterior.plots.wiggle import wiggle
from posterior.plots.z_scores import z_scores

__all__ = [
    "FORMATS",
    "ImageAxes",
    "Look",
    "Patch",
    "Quantity",
    "RecordAxes",
    "VolumeAxes",
    "alarms",
    "bimodality",
    "butterfly",
    "c2st",
    "calibration_curve",
    "contraction",
    "correlation",
    "coverage_map",
    "exceedance",
    "histograms",
    "horizons",
    "juxtapose",
    "latents",
    "maps",
    "modes",
    "overlay",
    "panel",
    "pit",
    "power",
    "predictive",
    "profiles",
    "ranks",
    "reliability",
    "samples",
    "samples_video",
    "save",
    "sbc",
    "scores",
    "slices",
    "snr_against_samples",
    "sparsification",
    "spread",
    "std_rmse",
    "tarp",
    "traces",
    "training",
    "wiggle",
    "z_scores",
]
