"""Finite differences along one axis, in part of the grid too: where Devito's derivatives do not reach."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from physics.accuracy import first_derivative_weights, second_derivative_weights, staggered_weights

Place = Mapping[Any, Any]
"""Dimensions and what to put in their place."""


def at(field: Any, place: Place) -> Any:
    """The value of a field where some of its dimensions are replaced."""
    return field[tuple(place.get(dimension, dimension) for dimension in field.dimensions)]


def first(field: Any, axis: Any, order: int, place: Place) -> Any:
    """Centred first derivative along ``axis``; antisymmetric, so its adjoint is its negative."""
    here = place.get(axis, axis)
    return (
        _sum(
            weight * (at(field, {**place, axis: here + k}) - at(field, {**place, axis: here - k}))
            for k, weight in enumerate(first_derivative_weights(order), start=1)
        )
        / axis.spacing
    )


def second(field: Any, axis: Any, order: int, place: Place) -> Any:
    """Centred second derivative along ``axis``; symmetric, so it is its own adjoint."""
    here = place.get(axis, axis)
    centre, *sides = second_derivative_weights(order)
    return (
        centre * at(field, {**place, axis: here})
        + _sum(
            weight * (at(field, {**place, axis: here + k}) + at(field, {**place, axis: here - k}))
            for k, weight in enumerate(sides, start=1)
        )
    ) / axis.spacing**2


def after(field: Any, axis: Any, order: int, place: Place) -> Any:
    """First derivative half a cell after every cell; its adjoint is the negative of `before`."""
    return _staggered(field, axis, order, place, offset=1)


def before(field: Any, axis: Any, order: int, place: Place) -> Any:
    """First derivative on the cells of a field that lives half a cell after them."""
    return _staggered(field, axis, order, place, offset=0)


def _staggered(field: Any, axis: Any, order: int, place: Place, *, offset: int) -> Any:
    here = place.get(axis, axis) + offset
    return (
        _sum(
            weight * (at(field, {**place, axis: here + k}) - at(field, {**place, axis: here - 1 - k}))
            for k, weight in enumerate(staggered_weights(order))
        )
        / axis.spacing
    )


def _sum(terms: Any) -> Any:
    total = 0
    for term in terms:
        total = total + term
    return total
