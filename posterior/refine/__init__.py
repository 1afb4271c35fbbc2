"""Correction of an amortized posterior by its own data: :func:`refine`, its methods, and the likelihood."""

from posterior.refine.api import refine as refine
from posterior.refine.config import RefineConfig as RefineConfig
from posterior.refine.importance import Importance as Importance
from posterior.refine.latent import LatentCorrection as LatentCorrection
from posterior.refine.latent_map import LatentMap as LatentMap
from posterior.refine.likelihood import Batch as Batch
from posterior.refine.likelihood import GaussianLikelihood as GaussianLikelihood
from posterior.refine.likelihood import Likelihood as Likelihood
from posterior.refine.method import Method as Method
from posterior.refine.preconditioned import WarmStart as WarmStart
from posterior.refine.prior import FlowPrior as FlowPrior
from posterior.refine.refined import Refined as Refined
from posterior.refine.refined import Report as Report
from posterior.refine.run import RefinementDivergedError as RefinementDivergedError
from posterior.refine.run import RefinementInterrupted as RefinementInterrupted
from posterior.refine.run import Solves as Solves

__all__ = [
    "Batch",
    "FlowPrior",
    "GaussianLikelihood",
    "Importance",
    "LatentCorrection",
    "LatentMap",
    "Likelihood",
    "Method",
    "RefineConfig",
    "Refined",
    "RefinementDivergedError",
    "RefinementInterrupted",
    "Report",
    "Solves",
    "WarmStart",
    "refine",
]
