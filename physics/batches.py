"""Batches of models and records: how many samples, whose operator, of which shape."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar

from physics.errors import PhysicsError

T = TypeVar("T")
Shape = tuple[int, ...]


def one_each(items: T | Sequence[T], shape: Shape) -> list[T]:
    """One item for every sample of a batch of ``shape``, of one for all or a sequence of as many."""
    if not shape or not shape[0]:
        raise PhysicsError(f"expected a batch of at least 1 sample, got shape {tuple(shape)}")
    if not isinstance(items, Sequence):
        return [items] * shape[0]
    if len(items) != shape[0]:
        raise PhysicsError(
            f"expected one operator for all samples, or one for each of {shape[0]}, got {len(items)}"
        )
    return list(items)


def common_shape(shapes: Iterable[Shape], name: str) -> Shape:
    """The shape that all samples have."""
    found = sorted(set(shapes))
    if len(found) > 1:
        raise PhysicsError(f"expected operators whose {name} can be stacked, got shapes {found}")
    return found[0]


def check_batch(shape: Shape, *allowed: Shape, name: str) -> None:
    """Refuse a batch whose samples have none of the allowed shapes."""
    if tuple(shape[1:]) not in allowed:
        texts = [f"(B, {', '.join(map(str, sample))})" for sample in allowed]
        raise PhysicsError(f"expected {name} of shape {' or '.join(texts)}, got {tuple(shape)}")


def check_signatures(shape: Shape, full: Shape) -> None:
    """Refuse a wavelet that is none of (nt,), (nsrc, nt) and ``full`` = (B, nsrc, nt)."""
    if tuple(shape) not in (full, full[1:], full[2:]):
        raise PhysicsError(f"expected wavelet of shape {full[2:]}, {full[1:]} or {full}, got {tuple(shape)}")


def is_squared_slowness(parameter: str) -> bool:
    """Whether models are squared slowness, "m", rather than velocity, "vp"."""
    if parameter not in ("m", "vp"):
        raise PhysicsError(f"expected parameter 'm' or 'vp', got {parameter!r}")
    return parameter == "m"
