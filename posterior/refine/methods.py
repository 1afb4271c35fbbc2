"""The methods of refinement by name; a new one is a file and a line here."""

from __future__ import annotations

from posterior.refine.importance import Importance
from posterior.refine.latent import LatentCorrection
from posterior.refine.latent_map import LatentMap
from posterior.refine.method import Method
from posterior.refine.preconditioned import WarmStart

METHODS: dict[str, type[Method]] = {
    method.name: method for method in (LatentCorrection, LatentMap, WarmStart, Importance)
}
