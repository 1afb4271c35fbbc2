"""Conditioners: ordinary networks inside couplings. They need not be invertible; the coupling is.

A conditioner maps (B, in, ...) to (B, out, ...) at the same size. Its last layer starts at zero, so a
coupling starts as the identity. Batch statistics that are tracked over calls are out: a reversible chain
evaluates a conditioner twice.
"""

from posterior.conditioners.dense import DenseConditioner
from posterior.conditioners.gated import GatedBlock, GatedConditioner
from posterior.conditioners.parts import (
    ConditionerFactory,
    convolution,
    cut_to_size,
    feature_dropout,
    pad_to_multiple,
    zero_initialised,
)
from posterior.conditioners.residual import ResidualConditioner
from posterior.conditioners.unet import UNetConditioner

__all__ = [
    "ConditionerFactory",
    "DenseConditioner",
    "GatedBlock",
    "GatedConditioner",
    "ResidualConditioner",
    "UNetConditioner",
    "convolution",
    "cut_to_size",
    "feature_dropout",
    "pad_to_multiple",
    "zero_initialised",
]
